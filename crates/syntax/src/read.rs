//! A tree of YAML into any type that serde can read, with the place of whatever does not fit.

use crate::{
    Diagnostic,
    suggest::nearest,
    tree::{Content, Entry, Key, Place, Scalar, Tree, parse},
};
use serde::{
    Deserialize, Deserializer, forward_to_deserialize_any,
    de::{
        self, DeserializeOwned, DeserializeSeed, EnumAccess, Expected, IntoDeserializer, MapAccess, SeqAccess,
        Unexpected, VariantAccess, Visitor,
    },
};
use std::fmt;

/// Known keys that a message lists; more would bury the message.
const LISTED_MAX: usize = 16;

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

/// What does not fit, before and after its place is known.
#[derive(Debug, Clone)]
struct Wrong {
    message: String,
    hint: Option<String>,
    code: &'static str,
    place: Option<Place>,
    /// The unknown key, whose own place is better than that of its map.
    unknown: Option<String>,
}

impl Wrong {
    fn new(code: &'static str, message: String) -> Self {
        Self { message, hint: None, code, place: None, unknown: None }
    }
    /// Gives it the place of a value, unless a better one is known.
    fn at(mut self, tree: &Tree) -> Self {
        if self.place.is_none() {
            let key = self.unknown.as_ref().and_then(|name| tree.entry(name));
            self.place = Some(key.map_or(&tree.place, |entry| &entry.key.place).clone());
        }
        self
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
impl std::error::Error for Wrong {}

fn list(words: &[&'static str]) -> String {
    let shown: Vec<_> = words.iter().take(LISTED_MAX).map(|word| format!("`{word}`")).collect();
    let more = if words.len() > LISTED_MAX { " …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

fn meant(word: &str, known: &'static [&'static str]) -> Option<String> {
    if known.is_empty() {
        return None;
    }
    Some(match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}", list(known)),
    })
}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new("wrong-value", message.to_string())
    }
    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new("wrong-type", format!("expected {}, found {}", in_words(expected), describe(found)))
    }
    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new("wrong-value", format!("expected {}, found {}", in_words(expected), describe(found)))
    }
    fn unknown_variant(found: &str, known: &'static [&'static str]) -> Self {
        let hint = meant(found, known);
        let message = format!("`{found}` is not one of {}", list(known));
        Self { hint, ..Self::new("unknown-value", message) }
    }
    fn unknown_field(found: &str, known: &'static [&'static str]) -> Self {
        let wrong = Self::new("unknown-key", format!("unknown key `{found}`"));
        Self { hint: meant(found, known), unknown: Some(found.to_owned()), ..wrong }
    }
    fn missing_field(name: &'static str) -> Self {
        Self::new("missing-key", format!("the key `{name}` is missing"))
    }
}

/// What serde expects, in the words of people who write YAML.
fn in_words(expected: &dyn Expected) -> String {
    let expected = expected.to_string();
    match expected.as_str() {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0 up".into(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".into(),
        "f32" | "f64" => "a number".into(),
        "a string" | "a borrowed string" => "a text".into(),
        "a boolean" => "`true` or `false`".into(),
        "a sequence" => "a list".into(),
        text if text.starts_with("struct ") => "a map".into(),
        _ => expected,
    }
}

fn describe(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Unit | Unexpected::Option => "nothing".into(),
        Unexpected::Str(text) => format!("the text `{text}`"),
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("`{value}`"),
        Unexpected::Signed(value) => format!("`{value}`"),
        Unexpected::Float(value) => format!("`{value}`"),
        Unexpected::Seq => "a list".into(),
        Unexpected::Map | Unexpected::StructVariant => "a map".into(),
        other => other.to_string(),
    }
}

/// What a plain scalar can be besides a text.
enum Plain<'de> {
    Nothing,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'de str),
}

fn plain(scalar: &Scalar) -> Plain<'_> {
    let text = scalar.text.as_str();
    if !scalar.plain {
        return Plain::Text(text);
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Nothing,
        "true" | "True" | "TRUE" => return Plain::Bool(true),
        "false" | "False" | "FALSE" => return Plain::Bool(false),
        _ => {}
    }
    let numeric = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    let digits = |prefix, radix| text.strip_prefix(prefix).and_then(|d: &str| u64::from_str_radix(d, radix).ok());
    if let Some(number) = digits("0x", 16).or_else(|| digits("0o", 8)) {
        return Plain::Unsigned(number);
    }
    if !numeric {
        return Plain::Text(text);
    }
    if let Ok(number) = text.parse() {
        return Plain::Unsigned(number);
    }
    if let Ok(number) = text.parse() {
        return Plain::Signed(number);
    }
    // `1.` and `.5` are numbers in YAML as in Rust; `.inf` and `.nan` are no number that anything here wants.
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Plain::Float(number),
        _ => Plain::Text(text),
    }
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
                Plain::Bool(value) => visitor.visit_bool(value).map_err(|wrong: Wrong| wrong.at(self.0)),
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
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Wrong> {
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
                    let message = format!("{}, and exactly one, found {} keys", known(), entries.len());
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
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Wrong> {
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
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wrong> {
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
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Wrong> {
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
            Err(_) => Err(<Wrong as de::Error>::invalid_type(Unexpected::Str(&self.0.text), &visitor)),
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
    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, VariantBody<'de>), Wrong> {
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
    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Wrong> {
        Reader(self.0).deserialize_map(visitor)
    }
}
