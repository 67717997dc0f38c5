//! One thing that is wrong with a file, as data: front ends choose how it looks.

use serde::Serialize;
use std::fmt;

/// How bad a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth a look; the file is accepted.
    Warning,
    /// The file is refused.
    Error,
}

/// Something wrong at one place of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// The file, as the caller named it.
    pub file: String,
    /// Counted from 1; 0 when the whole file is meant.
    pub line: u32,
    /// Counted from 1, in characters; 0 when the whole line or file is meant.
    pub column: u32,
    /// One lower-case clause: who, what, why.
    pub message: String,
    /// What next.
    pub hint: Option<String>,
    /// Stable code with a page in `docs/errors`.
    pub code: &'static str,
}

impl Diagnostic {
    /// Makes an error at a place.
    pub fn error(
        file: impl Into<String>,
        (line, column): (u32, u32),
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Error,
            file: file.into(),
            line,
            column,
            message: message.into(),
            hint: None,
            code,
        }
    }

    /// Makes a warning at a place.
    pub fn warning(
        file: impl Into<String>,
        place: (u32, u32),
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warning, ..Self::error(file, place, code, message) }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a hint when there is one.
    #[must_use]
    pub fn with_hint_if(mut self, hint: Option<String>) -> Self {
        if hint.is_some() {
            self.hint = hint;
        }
        self
    }

    /// Whether the file must be refused.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity: _, file, line, column, message, hint, code } = self;
        match (line, column) {
            (0, _) => write!(f, "{file}: ")?,
            (line, 0) => write!(f, "{file}:{line}: ")?,
            (line, column) => write!(f, "{file}:{line}:{column}: ")?,
        }
        write!(f, "{message} [{code}]")?;
        match hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}
