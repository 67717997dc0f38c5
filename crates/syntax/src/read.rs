//! A tree of YAML into any type that serde can read, with the place of whatever does not fit.

use crate::{
    Diagnostic,
    parse::parse,
    plain::{Plain, plain},
    tree::{Content, Entry, Key, Tree},
    wrong::{Wrong, describe, list},
};
use serde::{
    Deserialize, Deserializer,
    de::{
        self, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess,
        SeqAccess, Unexpected, VariantAccess, Visitor,
    },
    forward_to_deserialize_any,
};

/// Reads YAML text into a type.
pub fn read_yaml<T: DeserializeOwned>(file_name: &str, text: &str) -> Result<T, Vec<Diagnostic>> {
    let tree = parse(file_name, text).map_err(|diagnostic| vec![diagnostic])?;
    read_tree(&tree)
}

/// Reads a tree into a type.
pub fn read_tree<'de, T: Deserialize<'de>>(tree: &'de Tree) -> Result<T, Vec<Diagnostic>> {
    T::deserialize(Reader(tree)).map_err(|wrong| {
        let Wrong { message, hint, code, place, unknown: _ } = wrong.at(tree);
        let place = place.unwrap_or_else(|| tree.place.clone());
        vec![Diagnostic::error(place.file.as_ref(), place.at(), code, message).with_hint_if(hint)]
    })
}

#[derive(Clone, Copy)]
struct Reader<'de>(&'de Tree);

impl<'de> Reader<'de> {
    fn unexpected(self) -> Unexpected<'de> {
        match &self.0.content {
            Content::Scalar(scalar) => match plain(scalar) {
                Plain::Nothing => Unexpected::Unit,
                Plain::Bool(value) => Unexpected::Bool(value),
                Plain::Unsigned(value) => Unexpected::Unsigned(value),
                Plain::Signed(value) => Unexpected::Signed(value),
                Plain::Float(value) => Unexpected::Float(value),
                Plain::Text(value) => Unexpected::Str(value),
            },
            Content::List(_) => Unexpected::Seq,
            Content::Map(_) => Unexpected::Map,
        }
    }
    fn misfit<'v, V: Visitor<'v>>(self, visitor: &V) -> Wrong {
        <Wrong as de::Error>::invalid_type(self.unexpected(), visitor).at(self.0)
    }
    fn is_nothing(self) -> bool {
        matches!(&self.0.content, Content::Scalar(scalar) if matches!(plain(scalar), Plain::Nothing))
    }
}

macro_rules! numbers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            let Content::Scalar(scalar) = &self.0.content else { return Err(self.misfit(&visitor)) };
            match plain(scalar) {
                Plain::Unsigned(value) => visitor.visit_u64(value),
                Plain::Signed(value) => visitor.visit_i64(value),
                Plain::Float(value) => visitor.visit_f64(value),
                Plain::Nothing | Plain::Bool(_) | Plain::Text(_) => return Err(self.misfit(&visitor)),
            }
            .map_err(|wrong: Wrong| wrong.at(self.0))
        })*
    };
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.0.content {
            Content::Scalar(scalar) => match plain(scalar) {
                Plain::Nothing => visitor.visit_unit(),
                Plain::Bool(value) => visitor.visit_bool(value),
                Plain::Unsigned(value) => visitor.visit_u64(value),
                Plain::Signed(value) => visitor.visit_i64(value),
                Plain::Float(value) => visitor.visit_f64(value),
                Plain::Text(value) => visitor.visit_borrowed_str(value),
            }
            .map_err(|wrong: Wrong| wrong.at(self.0)),
            Content::List(_) => self.deserialize_seq(visitor),
            Content::Map(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.0.content {
            Content::Scalar(scalar) if !self.is_nothing() => {
                visitor.visit_borrowed_str(&scalar.text).map_err(|wrong: Wrong| wrong.at(self.0))
            }
            _ => Err(self.misfit(&visitor)),
        }
    }
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }
    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.0.content {
            Content::Scalar(scalar) => match plain(scalar) {
                Plain::Bool(value) => {
                    visitor.visit_bool(value).map_err(|wrong: Wrong| wrong.at(self.0))
                }
                _ => Err(self.misfit(&visitor)),
            },
            _ => Err(self.misfit(&visitor)),
        }
    }
    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_f32 deserialize_f64
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if self.is_nothing() { visitor.visit_none() } else { visitor.visit_some(self) }
    }
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if self.is_nothing() { visitor.visit_unit() } else { Err(self.misfit(&visitor)) }
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self).map_err(|wrong: Wrong| wrong.at(self.0))
    }
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let Content::List(items) = &self.0.content else { return Err(self.misfit(&visitor)) };
        visitor.visit_seq(Items(items.iter())).map_err(|wrong: Wrong| wrong.at(self.0))
    }
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let Content::Map(entries) = &self.0.content else { return Err(self.misfit(&visitor)) };
        let entries = Entries { entries: entries.iter(), value: None };
        visitor.visit_map(entries).map_err(|wrong: Wrong| wrong.at(self.0))
    }
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.deserialize_map(visitor)
    }
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let known = || format!("expected one of {}", list(variants));
        match &self.0.content {
            Content::Scalar(scalar) if !self.is_nothing() => {
                visitor.visit_enum(scalar.text.as_str().into_deserializer())
            }
            Content::Map(entries) => match entries.as_slice() {
                [entry] => visitor.visit_enum(Variant(entry)),
                entries => {
                    let message =
                        format!("{}, and exactly one, found {} keys", known(), entries.len());
                    Err(Wrong::new("wrong-type", message))
                }
            },
            _ => {
                let message = format!("{}, found {}", known(), describe(self.unexpected()));
                Err(Wrong::new("wrong-type", message))
            }
        }
        .map_err(|wrong: Wrong| wrong.at(self.0))
    }
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { i128 u128 bytes byte_buf unit_struct tuple tuple_struct }
}

struct Items<'de>(std::slice::Iter<'de, Tree>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Wrong;
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Wrong> {
        let Some(tree) = self.0.next() else { return Ok(None) };
        seed.deserialize(Reader(tree)).map(Some).map_err(|wrong| wrong.at(tree))
    }
    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct Entries<'de> {
    entries: std::slice::Iter<'de, Entry>,
    value: Option<&'de Tree>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Wrong;
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Wrong> {
        let Some(Entry { key, value }) = self.entries.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(KeyReader(key)).map(Some).map_err(|wrong| at_key(wrong, key))
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        let Some(tree) = self.value.take() else {
            return Err(<Wrong as de::Error>::custom("a value was asked for before its key"));
        };
        seed.deserialize(Reader(tree)).map_err(|wrong| wrong.at(tree))
    }
}

fn at_key(wrong: Wrong, key: &Key) -> Wrong {
    Wrong { place: wrong.place.or_else(|| Some(key.place.clone())), ..wrong }
}

struct KeyReader<'de>(&'de Key);

impl<'de> Deserializer<'de> for KeyReader<'de> {
    type Error = Wrong;
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_borrowed_str(&self.0.text)
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_enum(self.0.text.as_str().into_deserializer())
    }
    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.0.text.parse() {
            Ok(number) => visitor.visit_u64(number),
            Err(_) => {
                Err(<Wrong as de::Error>::invalid_type(Unexpected::Str(&self.0.text), &visitor))
            }
        }
    }
    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Variant<'de>(&'de Entry);

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Wrong;
    type Variant = VariantBody<'de>;
    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, VariantBody<'de>), Wrong> {
        let Entry { key, value } = self.0;
        let name = seed.deserialize(KeyReader(key)).map_err(|wrong| at_key(wrong, key))?;
        Ok((name, VariantBody(value)))
    }
}

struct VariantBody<'de>(&'de Tree);

impl<'de> VariantAccess<'de> for VariantBody<'de> {
    type Error = Wrong;
    fn unit_variant(self) -> Result<(), Wrong> {
        <()>::deserialize(Reader(self.0))
    }
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Wrong> {
        seed.deserialize(Reader(self.0)).map_err(|wrong| wrong.at(self.0))
    }
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Wrong> {
        Reader(self.0).deserialize_seq(visitor)
    }
    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        Reader(self.0).deserialize_map(visitor)
    }
}
