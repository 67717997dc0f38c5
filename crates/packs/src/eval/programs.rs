//! CEL programs by their text, parsed once when a pack is loaded.

use super::{Scope, Truth, functions};
use cel::{Context, Env, ExecutionError, Program, Value};
use std::{collections::HashMap, fmt, sync::Arc};

/// The programs of one pack and the functions they can call.
pub struct Programs {
    env: Arc<Env>,
    root: Context<'static, 'static>,
    by_text: HashMap<String, Program>,
}

impl fmt::Debug for Programs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Programs({})", self.by_text.len())
    }
}

impl Programs {
    /// Parses every text; those that do not parse are left out (the linter names them).
    pub(crate) fn new<'a>(line_parts: usize, texts: impl IntoIterator<Item = &'a str>) -> Self {
        let env = Arc::new(Env::stdlib());
        let mut root = Context::with_env(Arc::clone(&env));
        functions::declare(&mut root, line_parts);
        let by_text = texts
            .into_iter()
            .filter_map(|text| env.compile(text).ok().map(|program| (text.to_owned(), program)))
            .collect();
        Self { env, root, by_text }
    }

    /// Evaluates a condition.
    pub fn holds(&self, text: &str, scope: &Scope) -> Truth {
        let what = match self.run(text, scope) {
            Ok(Value::Bool(true)) => return Truth::True,
            Ok(Value::Bool(false)) => return Truth::False,
            Ok(other) => format!("`{text}` gives a {} where true or false is asked", other.type_of()),
            Err(what) => what,
        };
        Truth::Unknown { what }
    }

    /// Evaluates an expression to plain JSON.
    pub fn value(&self, text: &str, scope: &Scope) -> Result<serde_json::Value, String> {
        let value = self.run(text, scope)?;
        value.json().map_err(|_| format!("`{text}` gives a value that JSON cannot hold"))
    }

    fn run(&self, text: &str, scope: &Scope) -> Result<Value, String> {
        let mut context = self.root.new_inner_scope();
        context.set_variable_resolver(scope);
        let answer = match self.by_text.get(text) {
            Some(program) => program.execute(&context),
            None => {
                let program = self.env.compile(text).map_err(|error| format!("`{text}` does not parse: {error}"))?;
                program.execute(&context)
            }
        };
        answer.map_err(|error| explain(text, &error))
    }
}

/// Says what was missing, for people.
fn explain(text: &str, error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(name) => format!("`{name}` was not seen"),
        ExecutionError::UndeclaredReference(name) => format!("`{name}` is not known here"),
        ExecutionError::FunctionError { function, message } => format!("{function}: {message}"),
        other => format!("`{text}` cannot be evaluated: {other}"),
    }
}
