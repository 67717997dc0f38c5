//! Diagnostics as text for people: the line of the file, a mark under the place, and what next.

use crate::{Diagnostic, Severity};
use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode, SourceSpan,
};
use std::fmt;

/// How text is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Look {
    /// Lines and marks from Unicode, no colour: files, pipes, tests.
    #[default]
    Plain,
    /// The same with colours: a terminal.
    Colour,
    /// Nothing beyond ASCII: old terminals.
    Ascii,
}

/// Columns that a message may take before it is wrapped: what a terminal of the usual width shows.
const WIDTH: usize = 100;

/// The code of a diagnostic about a secret: its line is never drawn, for what is drawn lands in logs.
pub const SECRET_IN_FILE: &str = "secret-in-file";

/// Renders diagnostics of one file as plain text.
pub fn render(diagnostics: &[Diagnostic], source: &str) -> String {
    render_as(diagnostics, Look::Plain, |_| Some(source))
}

/// Renders diagnostics of several files; `source` gives the text of a file by its name.
pub fn render_as<'s>(
    diagnostics: &[Diagnostic],
    look: Look,
    source: impl Fn(&str) -> Option<&'s str>,
) -> String {
    let theme = match look {
        Look::Plain => GraphicalTheme::unicode_nocolor(),
        Look::Colour => GraphicalTheme::unicode(),
        Look::Ascii => GraphicalTheme::none(),
    };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(WIDTH).with_links(false);
    let mut text = String::new();
    for diagnostic in diagnostics {
        let shown = Shown::new(diagnostic, source(&diagnostic.file).unwrap_or_default());
        if handler.render_report(&mut text, &shown).is_err() {
            // Writing to a text cannot fail; should the renderer refuse all the same, the bare words remain.
            text.push_str(&format!("{diagnostic}\n"));
        }
    }
    text
}

/// A diagnostic together with its file, as the renderer wants it.
#[derive(Debug)]
struct Shown<'a> {
    diagnostic: &'a Diagnostic,
    source: NamedSource<String>,
    span: Option<SourceSpan>,
}

impl<'a> Shown<'a> {
    fn new(diagnostic: &'a Diagnostic, text: &str) -> Self {
        let source = NamedSource::new(&diagnostic.file, text.to_owned());
        let (line, column) = (diagnostic.line, diagnostic.column);
        let shown = diagnostic.code != SECRET_IN_FILE;
        let found = span(text, line, column).filter(|_| shown).map(SourceSpan::from);
        // A place that the text does not have would make the renderer fail: it is left out.
        let span = found.filter(|span| source.read_span(span, 0, 0).is_ok());
        Self { diagnostic, source, span }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Diagnostic { file, message, line, .. } = self.diagnostic;
        match (&self.span, line) {
            (Some(_), _) => f.write_str(message),
            (None, 0) => write!(f, "{file}: {message}"),
            (None, line) => write!(f, "{file}:{line}: {message}"),
        }
    }
}
impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.diagnostic.code))
    }
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Warning => miette::Severity::Warning,
            Severity::Error => miette::Severity::Error,
        })
    }
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.diagnostic.hint.as_ref().map(|hint| Box::new(hint) as Box<dyn fmt::Display + 'a>)
    }
    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.span.is_some().then_some(&self.source as &dyn SourceCode)
    }
    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = LabeledSpan::new_primary_with_span(None, self.span?);
        Some(Box::new(std::iter::once(label)))
    }
}

/// Bytes of the word at a line and column, both counted from 1.
fn span(text: &str, line: u32, column: u32) -> Option<std::ops::Range<usize>> {
    let index = usize::try_from(line.checked_sub(1)?).ok()?;
    let begin: usize = text.split_inclusive('\n').take(index).map(str::len).sum();
    let line = text.split_inclusive('\n').nth(index)?.trim_end_matches(['\n', '\r']);
    let skip = usize::try_from(column.saturating_sub(1)).ok()?;
    let at = line.char_indices().nth(skip).map_or(line.len(), |(at, _)| at);
    let rest = &line[at..];
    let len = match rest.chars().next() {
        Some(mark @ ('"' | '\'')) => rest[1..].find(mark).map_or(rest.len(), |end| end + 2),
        Some(_) => {
            let word = rest.split(" #").next().unwrap_or(rest);
            let word = word.split([',', ']', '}']).next().unwrap_or(word);
            let word = word.split(": ").next().unwrap_or(word);
            word.trim_end().trim_end_matches(':').len()
        }
        None => 0,
    };
    Some(begin + at..begin + at + len)
}

#[cfg(test)]
mod tests {
    use super::span;

    fn word(text: &str, line: u32, column: u32) -> Option<&str> {
        span(text, line, column).map(|range| &text[range])
    }

    #[test]
    fn marks_the_word_at_a_place() {
        let text = "a: b\nnames: [x, \"y z\"] # why\nü: é\n";
        assert_eq!(word(text, 1, 1), Some("a"));
        assert_eq!(word(text, 2, 1), Some("names"));
        assert_eq!(word(text, 2, 12), Some("\"y z\""));
        assert_eq!(word(text, 3, 4), Some("é"));
        assert_eq!(word(text, 2, 99), Some(""));
        assert_eq!(word(text, 9, 1), None);
        assert_eq!(word(text, 0, 0), None);
    }
}
