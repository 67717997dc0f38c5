//! Plain JSON to values that CEL programs read. Nulls inside maps are left out, so that reading one is a missing key.

use super::shared::Shared;
use cel::common::{
    types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt},
    value::Val,
};
use serde_json::Value;
use std::collections::HashMap;

/// A value of a CEL program, owned.
pub(super) type Owned = Box<dyn Val>;

/// A map under construction.
pub(super) type Fields = HashMap<CelMapKey<'static>, Owned>;

pub(super) fn key(name: impl Into<CelString<'static>>) -> CelMapKey<'static> {
    CelMapKey::String(name.into())
}

pub(super) fn text(value: impl Into<String>) -> Owned {
    Box::new(CelString::from(value.into()))
}

/// A word of our own: nothing of it is copied.
pub(super) fn word(value: &'static str) -> Owned {
    Box::new(CelString::from(value))
}

pub(super) fn boolean(value: bool) -> Owned {
    Box::new(CelBool::from(value))
}

pub(super) fn null() -> Owned {
    Box::new(CelNull)
}

pub(super) fn number(value: u64) -> Owned {
    i64::try_from(value)
        .map_or_else(|_| Box::new(CelUInt::from(value)) as Owned, |n| Box::new(CelInt::from(n)))
}

pub(super) fn list(values: Vec<Owned>) -> Owned {
    Box::new(CelList::from(values))
}

pub(super) fn map(fields: Fields) -> Owned {
    Box::new(Shared::new(CelMap::from(fields)))
}

/// Converts JSON; a null inside a map is left out.
pub(super) fn from_json(value: &Value) -> Owned {
    match value {
        Value::Null => null(),
        Value::Bool(value) => boolean(*value),
        Value::Number(value) => match (value.as_i64(), value.as_u64()) {
            (Some(value), _) => Box::new(CelInt::from(value)),
            (None, Some(value)) => Box::new(CelUInt::from(value)),
            (None, None) => Box::new(CelDouble::from(value.as_f64().unwrap_or(f64::NAN))),
        },
        Value::String(value) => text(value),
        Value::Array(values) => list(values.iter().map(from_json).collect()),
        Value::Object(fields) => map(fields
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (key(name.clone()), from_json(value)))
            .collect()),
    }
}

/// Converts JSON to the value that a function gives back.
pub(super) fn to_value(value: &Value) -> Result<cel::Value, cel::ExecutionError> {
    from_json(value).as_ref().try_into()
}
