//! Diagnostics as text for people.
use crate::Diagnostic;

/// Renders diagnostics of one file as plain text.
pub fn render(diagnostics: &[Diagnostic], _source: &str) -> String {
    diagnostics.iter().map(|d| format!("{d}\n")).collect()
}
