//! The functions that conditions can call. Each gives an error, hence unknown, on anything that it does not understand.

use cel::{Context, ExecutionError, Value};
use quorate_model::{Range, Release};
use std::sync::Arc;

type Answer<T> = Result<T, ExecutionError>;

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
        let Value::String(text) = &range else { return Err(missing("in_range", "a range", &range)) };
        let range: Range = text.parse().map_err(|error| ExecutionError::function_error("in_range", error))?;
        Ok(range.contains(&release("in_range", &a)?))
    });
    let _ = context.add_function("metric", metric);
}

fn missing(function: &str, want: &str, got: &Value) -> ExecutionError {
    ExecutionError::function_error(function, format!("{want} was expected, a {} was found", got.type_of()))
}

fn release(function: &str, value: &Value) -> Answer<Release> {
    let Value::String(text) = value else { return Err(missing(function, "a release", value)) };
    text.parse().map_err(|error| ExecutionError::function_error(function, error))
}

/// Reads the number of the first line of a Prometheus text that has this name; a name with braces is taken as it is.
fn metric(text: Value, name: Value) -> Answer<f64> {
    let Value::String(text) = &text else { return Err(missing("metric", "a text", &text)) };
    let Value::String(name) = &name else { return Err(missing("metric", "a name", &name)) };
    text.lines()
        .filter_map(|line| line.trim_start().strip_prefix(name.as_str()))
        .filter(|rest| rest.starts_with([' ', '\t', '{']))
        .filter_map(|rest| match rest.strip_prefix('{') {
            Some(labels) => labels.split_once('}').map(|(_, rest)| rest),
            None => Some(rest),
        })
        .find_map(|rest| rest.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| ExecutionError::function_error("metric", format!("there is no line `{name}`")))
}
