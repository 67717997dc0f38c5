//! What people and programs read: data on stdout, everything else on stderr, colour by meaning.

use crate::args::{Color, Global, Output};
use quorate_runner::problem::Problem;
use serde::Serialize;
use std::io::{IsTerminal, Write};

/// Whether to colour what goes to this stream.
pub(crate) fn colored(color: Color, stream: &impl IsTerminal) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => stream.is_terminal() && std::env::var_os("NO_COLOR").is_none(),
    }
}

/// Writes data. A reader that went away (`| head`) is no error.
pub(crate) fn data(text: &str) {
    let mut out = std::io::stdout().lock();
    let newline = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
    let _ = write!(out, "{text}{newline}");
    let _ = out.flush();
}

/// Writes one JSON document.
pub(crate) fn json<T: Serialize>(value: &T) {
    match serde_json::to_string(value) {
        Ok(text) => data(&text),
        Err(error) => say(&format!("this cannot be written as JSON: {error}")),
    }
}

/// Says something to the person: never data.
pub(crate) fn say(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "{text}");
}

/// Says how far something that takes a while has come: each new thing once.
pub(crate) fn progress(progress: quorate_runner::Progress) {
    if progress.bytes == 0 {
        say(&format!("... {}", progress.what));
    }
}

/// Tells a problem.
pub(crate) fn problem(problem: &Problem, global: &Global) {
    let Problem { code, text, causes, hints, pointers } = problem;
    if global.output == Output::Json {
        json(&serde_json::json!({
            "schema": 1,
            "error": { "code": code.id, "title": code.title, "text": text, "causes": causes, "hints": hints, "pointers": pointers },
        }));
    }
    let color = colored(global.color, &std::io::stderr());
    let (red, cyan, dim, end) =
        if color { ("\x1b[1;31m", "\x1b[36m", "\x1b[2m", "\x1b[0m") } else { ("", "", "", "") };
    say(&format!("{red}error{end}{dim}[{}]{end}: {text}", code.id));
    for cause in causes {
        say(&format!("  because: {cause}"));
    }
    if let Some(pointers) = pointers {
        say(pointers.trim_end());
    }
    for hint in hints {
        say(&format!("{cyan}hint{end}: {hint}"));
    }
}

/// A table with aligned columns; cells must be plain text.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| {
        let mut text = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        text.trim_end().to_owned() + "\n"
    };
    let mut text = line(head.to_vec());
    for row in rows {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    text
}
