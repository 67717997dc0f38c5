//! Golden path tests of packs: a file of commands, each followed by what it must answer.
//!
//! ```text
//! # why this matters
//! > path 3.3.25 -> 3.5.16 available 3.4.23,3.5.16 fact auth=false
//! path: 3.3.25 -> 3.4.23 -> 3.5.16
//!   ...
//! ```
//!
//! Lines that begin with `#` before a command say why and are kept. Everything between two commands is the expected
//! answer; empty lines at its end do not count.

use crate::{
    explain::path_text,
    path::{PathRequest, path},
};
use quorate_model::{Facts, Release};
use quorate_packs::Pack;

/// One command of a file, with what was expected and what came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoldenCase {
    /// Its line in the file, counted from 1.
    pub line: usize,
    /// The command, without the mark.
    pub command: String,
    /// What the file says.
    pub expected: String,
    /// What the planner says.
    pub actual: String,
}

impl GoldenCase {
    /// Whether the two are the same.
    pub fn holds(&self) -> bool {
        self.expected.trim_end() == self.actual.trim_end()
    }
}

/// Runs every command of a file.
pub fn run(pack: &Pack, text: &str) -> Vec<GoldenCase> {
    let mut cases: Vec<GoldenCase> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(command) = line.strip_prefix("> ") {
            let actual = answer(pack, command).unwrap_or_else(|wrong| format!("error: {wrong}\n"));
            cases.push(GoldenCase {
                line: index + 1,
                command: command.to_owned(),
                expected: String::new(),
                actual,
            });
        } else if let Some(case) = cases.last_mut().filter(|_| !line.starts_with('#')) {
            case.expected.push_str(line);
            case.expected.push('\n');
        }
    }
    cases
}

/// The same file with the answers of today, for a person to review.
pub fn bless(pack: &Pack, text: &str) -> String {
    let mut out = String::new();
    let mut cases = run(pack, text).into_iter();
    let mut in_head = true;
    for line in text.lines() {
        if line.starts_with("> ") {
            in_head = false;
            out.push_str(line);
            out.push('\n');
            if let Some(case) = cases.next() {
                out.push_str(case.actual.trim_end());
                out.push_str("\n\n");
            }
        } else if line.starts_with('#') || in_head {
            out.push_str(line);
            out.push('\n');
        }
    }
    format!("{}\n", out.trim_end())
}

fn answer(pack: &Pack, command: &str) -> Result<String, String> {
    let mut words = command.split_whitespace();
    let shape = || "write `path A -> B [available x,y] [fact name=value]...`".to_owned();
    if words.next() != Some("path") {
        return Err(shape());
    }
    let from = release(words.next())?;
    if words.next() != Some("->") {
        return Err(shape());
    }
    let to = release(words.next())?;
    let mut available: Option<Vec<Release>> = None;
    let mut facts = Facts::new();
    while let Some(word) = words.next() {
        match word {
            "available" => {
                let list = words.next().ok_or_else(shape)?.split(',');
                available = Some(list.map(|text| release(Some(text))).collect::<Result<_, _>>()?);
            }
            "fact" => {
                let (name, value) =
                    words.next().and_then(|pair| pair.split_once('=')).ok_or_else(shape)?;
                let parsed = serde_json::from_str(value);
                facts.insert(name.to_owned(), parsed.unwrap_or_else(|_| value.into()));
            }
            _ => return Err(shape()),
        }
    }
    let request =
        PathRequest { available: available.as_deref(), facts, ..PathRequest::on_paper(&from, &to) };
    Ok(path_text(&path(pack, &request)))
}

fn release(word: Option<&str>) -> Result<Release, String> {
    word.unwrap_or_default().parse().map_err(|error| format!("{error}"))
}
