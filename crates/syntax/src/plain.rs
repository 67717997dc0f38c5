//! What a scalar without quotes can be: YAML's core words and numbers, nothing of the older surprises (`yes`, `1:20`).

use crate::tree::Scalar;

/// What a plain scalar can be besides a text.
pub(crate) enum Plain<'de> {
    Nothing,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'de str),
}

pub(crate) fn plain(scalar: &Scalar) -> Plain<'_> {
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
    let digits = |prefix, radix| {
        text.strip_prefix(prefix).and_then(|d: &str| u64::from_str_radix(d, radix).ok())
    };
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
