//! CEL programs by their text, each parsed once, at its first use: a pack holds some three hundred, a command needs a few.

use super::{Scope, Truth, functions, uses::first_error};
use cel::{Context, Env, ExecutionError, Program, Value};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock, RwLock},
};

/// Programs kept that are not the pack's own. Planners add a dozen texts; a caller that makes new ones without end
/// shall not fill the memory, and pays for parsing each time beyond this.
const ADDED_MAX: usize = 512;

/// The programs of one pack and the functions they can call.
pub struct Programs {
    env: Arc<Env>,
    root: Context<'static, 'static>,
    by_text: HashMap<String, OnceLock<Result<Program, String>>>,
    added: RwLock<HashMap<String, Arc<Program>>>,
}

impl fmt::Debug for Programs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Programs({})", self.by_text.len())
    }
}

impl Programs {
    /// Takes every text of the pack; those that do not parse cannot be evaluated (the linter names them).
    pub(crate) fn new<'a>(line_parts: usize, texts: impl IntoIterator<Item = &'a str>) -> Self {
        let env = Arc::new(functions::env());
        let mut root = Context::with_env(Arc::clone(&env));
        functions::declare(&mut root, line_parts);
        let by_text = texts.into_iter().map(|text| (text.to_owned(), OnceLock::new())).collect();
        Self { env, root, by_text, added: RwLock::default() }
    }

    /// Evaluates a condition.
    pub fn holds(&self, text: &str, scope: &Scope) -> Truth {
        let what = match self.run(text, scope) {
            Ok(Value::Bool(true)) => return Truth::True,
            Ok(Value::Bool(false)) => return Truth::False,
            Ok(other) => {
                format!("`{text}` gives a {} where true or false is asked", other.type_of())
            }
            Err(what) => what,
        };
        Truth::Unknown { what }
    }

    /// Evaluates an expression to plain JSON.
    pub fn value(&self, text: &str, scope: &Scope) -> Result<serde_json::Value, String> {
        let value = self.run(text, scope)?;
        value.json().map_err(|_| format!("`{text}` gives a value that JSON cannot hold"))
    }

    /// A program that is not the pack's own, parsed at its first use.
    fn added(&self, text: &str) -> Result<Arc<Program>, String> {
        // A poisoned lock only means that another thread died while adding: what is there is whole.
        let known =
            self.added.read().unwrap_or_else(|poisoned| poisoned.into_inner()).get(text).cloned();
        if let Some(program) = known {
            return Ok(program);
        }
        let program = Arc::new(self.parse(text)?);
        let mut added = self.added.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        if added.len() < ADDED_MAX {
            added.insert(text.to_owned(), Arc::clone(&program));
        }
        Ok(program)
    }

    fn parse(&self, text: &str) -> Result<Program, String> {
        let parsed = self.env.compile(text);
        parsed.map_err(|error| format!("`{text}` does not parse: {}", first_error(&error)))
    }

    fn run(&self, text: &str, scope: &Scope) -> Result<Value, String> {
        let mut context = self.root.new_inner_scope();
        context.set_variable_resolver(scope);
        let answer = match self.by_text.get(text) {
            Some(program) => program
                .get_or_init(|| self.parse(text))
                .as_ref()
                .map_err(Clone::clone)?
                .execute(&context),
            None => self.added(text)?.execute(&context),
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
