//! The functions that conditions can call. Each gives an error, hence unknown, on anything that it does not understand.

use super::values;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cel::{Context, Env, ExecutionError, Value, extensions};
use quorate_model::{Range, Release};
use std::sync::Arc;

type Answer<T> = Result<T, ExecutionError>;

/// Functions that expressions may call by name: those of CEL, its string extension, and those declared below.
pub(crate) fn known_functions() -> &'static [&'static str] {
    &[
        "at_least",
        "below",
        "line",
        "in_range",
        "metric",
        "b64",
        "b64d",
        "json",
        "size",
        "string",
        "int",
        "uint",
        "double",
        "bool",
        "bytes",
        "type",
        "dyn",
        "contains",
        "startsWith",
        "endsWith",
        "matches",
        "min",
        "max",
        "charAt",
        "indexOf",
        "lastIndexOf",
        "join",
        "lowerAscii",
        "upperAscii",
        "replace",
        "split",
        "substring",
        "trim",
        "reverse",
        "format",
        "timestamp",
        "duration",
        "has",
        "all",
        "exists",
        "exists_one",
        "filter",
        "map",
    ]
}

/// The environment that every expression is parsed and evaluated in.
pub(super) fn env() -> Env {
    let mut env = Env::stdlib();
    // The extension declares names that the standard library leaves free, so it cannot clash.
    let _ = env.add_extension(extensions::strings);
    env
}

/// Adds the functions to a context. `line_parts` numbers of a release name its line.
pub(super) fn declare(context: &mut Context<'static, 'static>, line_parts: usize) {
    let line = move |value: Value| -> Answer<Arc<String>> {
        Ok(Arc::new(release("line", &value)?.line(line_parts)))
    };
    // None of these names is one of CEL's own, so no declaration can fail.
    let _ = context.add_function("at_least", |a: Value, b: Value| -> Answer<bool> {
        Ok(release("at_least", &a)? >= release("at_least", &b)?)
    });
    let _ = context.add_function("below", |a: Value, b: Value| -> Answer<bool> {
        Ok(release("below", &a)? < release("below", &b)?)
    });
    let _ = context.add_function("line", line);
    let _ = context.add_function("in_range", |a: Value, range: Value| -> Answer<bool> {
        let Value::String(text) = &range else {
            return Err(missing("in_range", "a range", &range));
        };
        let range: Range =
            text.parse().map_err(|error| ExecutionError::function_error("in_range", error))?;
        Ok(range.contains(&release("in_range", &a)?))
    });
    let _ = context.add_function("metric", metric);
    let _ = context.add_function("b64", |value: Value| -> Answer<Arc<String>> {
        Ok(Arc::new(STANDARD.encode(text("b64", &value)?.as_bytes())))
    });
    let _ = context.add_function("b64d", |value: Value| -> Answer<Arc<String>> {
        let wrong = |error: String| ExecutionError::function_error("b64d", error);
        let bytes =
            STANDARD.decode(text("b64d", &value)?).map_err(|error| wrong(error.to_string()))?;
        String::from_utf8(bytes)
            .map(Arc::new)
            .map_err(|_| wrong("the bytes are no UTF-8 text".into()))
    });
    let _ = context.add_function("json", |value: Value| -> Answer<Value> {
        let wrong = |error: String| ExecutionError::function_error("json", error);
        let parsed: serde_json::Value = serde_json::from_str(text("json", &value)?)
            .map_err(|error| wrong(error.to_string()))?;
        values::to_value(&parsed)
    });
}

fn text<'a>(function: &str, value: &'a Value) -> Answer<&'a str> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(missing(function, "a text", other)),
    }
}

fn missing(function: &str, want: &str, got: &Value) -> ExecutionError {
    ExecutionError::function_error(
        function,
        format!("{want} was expected, a {} was found", got.type_of()),
    )
}

fn release(function: &str, value: &Value) -> Answer<Release> {
    let Value::String(text) = value else { return Err(missing(function, "a release", value)) };
    text.parse::<Release>().map_err(|error| ExecutionError::function_error(function, error))
}

/// Reads the number of the first line of a Prometheus text that has this name; a name with braces is taken as it is.
fn metric(text: Value, name: Value) -> Answer<f64> {
    let name = self::text("metric", &name)?;
    self::text("metric", &text)?
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix(name))
        .filter(|rest| rest.starts_with([' ', '\t', '{']))
        .filter_map(|rest| match rest.strip_prefix('{') {
            Some(labels) => labels.split_once('}').map(|(_, rest)| rest),
            None => Some(rest),
        })
        .find_map(|rest| rest.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| {
            ExecutionError::function_error("metric", format!("there is no line `{name}`"))
        })
}
