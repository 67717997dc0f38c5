//! Turns a pack's expressions into the typed fields of an observation.
//!
//! Invariant: a value of the wrong kind is no value. Numbers may come as text, as products like to write them.

use quorate_model::{NodeObservation, Role};
use quorate_packs::Pack;
use quorate_packs::eval::Scope;
use serde_json::Value;
use std::collections::BTreeMap;

/// Reads a number that may be written as text.
pub(crate) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// CEL gives numbers of metrics with a fraction; those without one are whole.
fn whole(number: f64) -> Option<u64> {
    let fits = number >= 0.0 && number.fract() == 0.0 && number < 9_007_199_254_740_992.0;
    fits.then(|| format!("{number:.0}").parse().ok()).flatten()
}

/// Reads a text that may be a number.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn role(value: &Value) -> Role {
    serde_json::from_value(value.clone()).unwrap_or(Role::Unknown)
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().filter_map(text).collect(),
        other => text(other).into_iter().collect(),
    }
}

/// Evaluates one field over a scope with `facts` and `cluster`.
pub(crate) fn field(
    pack: &Pack,
    fields: &BTreeMap<String, String>,
    name: &str,
    scope: &Scope,
) -> Option<Value> {
    let cel = fields.get(name)?;
    match pack.value_in(cel, scope) {
        Ok(Value::Null) => None,
        Ok(value) => Some(value),
        Err(because) => {
            tracing::trace!(field = name, because, "field not seen");
            None
        }
    }
}

/// Fills in every field that the pack speaks of and that could be seen.
pub(crate) fn fill(
    pack: &Pack,
    fields: &BTreeMap<String, String>,
    scope: &Scope,
    seen: &mut NodeObservation,
) {
    for name in fields.keys() {
        let Some(value) = field(pack, fields, name, scope) else { continue };
        match name.as_str() {
            "release" => seen.release = text(&value).and_then(|text| pack.upstream(&text)),
            "role" => seen.role = role(&value),
            "voter" => seen.voter = truth(&value),
            "healthy" => seen.healthy = truth(&value),
            "member_id" => seen.member_id = text(&value),
            "applied_index" => seen.applied_index = number(&value),
            "store" => seen.store = text(&value),
            "tls" => seen.tls = truth(&value),
            "data_hash" => seen.data_hash = text(&value),
            "hash_revision" => seen.hash_revision = number(&value),
            "alarms" => seen.alarms = texts(&value),
            // A name that the model has no field for is a fact under that name.
            other => {
                seen.facts.insert(other.to_owned(), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_may_be_text() {
        assert_eq!(number(&json!("8719965465587736049")), Some(8_719_965_465_587_736_049));
        assert_eq!(number(&json!(7)), Some(7));
        assert_eq!(number(&json!(7.0)), Some(7));
        for bad in [json!(7.5), json!(-1), json!("x"), json!(null), json!([1])] {
            assert_eq!(number(&bad), None, "{bad}");
        }
    }

    #[test]
    fn a_role_that_no_one_knows_is_unknown() {
        assert_eq!(role(&json!("leader")), Role::Leader);
        assert_eq!(role(&json!("boss")), Role::Unknown);
        assert_eq!(role(&json!(3)), Role::Unknown);
    }

    #[test]
    fn lists_and_single_texts_are_lists() {
        assert_eq!(texts(&json!(["NOSPACE", 3])), ["NOSPACE", "3"]);
        assert_eq!(texts(&json!("CORRUPT")), ["CORRUPT"]);
        assert!(texts(&json!(null)).is_empty());
    }
}
