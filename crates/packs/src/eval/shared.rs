//! A map that is shared where CEL copies: it copies every item that a loop steps over, and a node is a large map.
//!
//! Invariant: to an expression it is CEL's own map, whatever side of an operator it stands on. That is why it hands that
//! map out as the built-in value, by the two accessors that CEL hides from its documentation.

use cel::{
    ExecutionError,
    common::{
        traits::{Container, Indexer, Iterable, Sizer, Zeroer},
        types::{CelMap, Type},
        value::{Builtin, BuiltinRef, CowVal, Val},
    },
};
use std::sync::Arc;

/// A map whose copies are the same map.
#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<CelMap<'static>>);

impl Shared {
    pub(super) fn new(map: CelMap<'static>) -> Self {
        Self(Arc::new(map))
    }
}

impl Val for Shared {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        <CelMap<'static> as Val>::cel_type()
    }

    fn as_container(&self) -> Option<&dyn Container> {
        self.0.as_container()
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        self.0.as_indexer()
    }

    fn into_indexer<'v>(self: Box<Self>) -> Option<Box<dyn Indexer + 'v>>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_iterable<'b, 'v>(&'b self) -> Option<&'b (dyn Iterable + 'v)>
    where
        Self: 'v,
    {
        self.0.as_iterable()
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        self.0.as_sizer()
    }

    fn as_zeroer(&self) -> Option<&dyn Zeroer> {
        self.0.as_zeroer()
    }

    fn equals(&self, other: &dyn Val) -> bool {
        self.0.equals(other)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }

    fn as_builtin<'b, 'v>(&'b self) -> BuiltinRef<'b, 'v>
    where
        Self: 'v,
    {
        BuiltinRef::Map(&self.0)
    }

    fn into_builtin<'v>(self: Box<Self>) -> Option<Builtin<'v>>
    where
        Self: 'v,
    {
        Some(Builtin::Map(Arc::unwrap_or_clone(self.0)))
    }
}

impl Indexer for Shared {
    fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.0.get(key)
    }

    fn steal<'v>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.0.get(key).map(CowVal::into_owned)
    }
}
