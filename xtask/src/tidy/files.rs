//! Heads, sizes and words of source files.

use std::{fs, path::Path};

/// A file above this holds a second idea.
const FILE_LINES_MAX: usize = 800;

/// What must not stand in product code, with what to write in its place.
const BANNED: [(&str, &str); 5] = [
    ("#[ignore", "a test runs or does not exist"),
    ("std::thread::sleep", "wait for a condition with an end; sleep is not a gate"),
    ("process::exit", "return an exit code from main, so that destructors run"),
    ("todo!(", "name the gap in the docs, or build it"),
    ("unimplemented!(", "name the gap in the docs, or build it"),
];

/// Files whose pause is a bounded retry against another process, or the window of a measurement: no event to wait for.
const BOUNDED_PAUSES: [&str; 4] = [
    "crates/store/src/sqlite/mod.rs",
    "crates/bench/src/clients.rs",
    "crates/bench/src/overhead.rs",
    "crates/bench/src/fanout/bed.rs",
];

pub(crate) fn check(root: &Path) -> Result<Vec<String>, String> {
    let mut faults = Vec::new();
    for folder in ["crates", "xtask", "fuzz"] {
        visit(&root.join(folder), root, &mut faults)?;
    }
    Ok(faults)
}

fn visit(folder: &Path, root: &Path, faults: &mut Vec<String>) -> Result<(), String> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target" && name != "snapshots") {
                visit(&path, root, faults)?;
            }
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            check_file(&name, &text, faults);
        }
    }
    Ok(())
}

fn check_file(name: &str, text: &str, faults: &mut Vec<String>) {
    let is_test = name.contains("/tests/") || name.ends_with("tests.rs");
    if !text.starts_with("//! ") {
        faults.push(format!("{name}: begins without a `//!` sentence that says what it is"));
    }
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX && !is_test {
        faults.push(format!("{name}: {lines} lines, at most {FILE_LINES_MAX}: split it by idea"));
    }
    if name.starts_with("xtask/src/tidy") {
        return;
    }
    for (number, line) in text.lines().enumerate() {
        for (word, instead) in BANNED
            .iter()
            .filter(|(word, _)| line.contains(word) && !line.trim_start().starts_with("//"))
        {
            let sleeps = *word == "std::thread::sleep";
            let allowed = sleeps && (is_test || BOUNDED_PAUSES.contains(&name));
            if !allowed {
                faults.push(format!("{name}:{}: `{word}`: {instead}", number + 1));
            }
        }
    }
}
