//! What does not fit a type, in words for people: the error that reading a tree gives.

use crate::{
    suggest::nearest,
    tree::{Place, Tree},
};
use serde::de::{self, Expected, Unexpected};
use std::fmt;

/// Known keys that a message lists; more would bury the message.
const LISTED_MAX: usize = 16;

/// What does not fit, before and after its place is known.
#[derive(Debug, Clone)]
pub(crate) struct Wrong {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    pub(crate) code: &'static str,
    pub(crate) place: Option<Place>,
    /// The unknown key, whose own place is better than that of its map.
    pub(crate) unknown: Option<String>,
}

impl Wrong {
    pub(crate) fn new(code: &'static str, message: String) -> Self {
        Self { message, hint: None, code, place: None, unknown: None }
    }
    /// Gives it the place of a value, unless a better one is known.
    pub(crate) fn at(mut self, tree: &Tree) -> Self {
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

pub(crate) fn list(words: &[&'static str]) -> String {
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
        Self::new(
            "wrong-type",
            format!("expected {}, found {}", in_words(expected), describe(found)),
        )
    }
    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(
            "wrong-value",
            format!("expected {}, found {}", in_words(expected), describe(found)),
        )
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

pub(crate) fn describe(found: Unexpected<'_>) -> String {
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
