//! Golden paths: every file of the built-in packs' tests and of `tests/paths/`, command by command.
//!
//! `QUORATE_BLESS=1` writes today's answers into the files, for a person to review.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up shall fail")]

mod support;

use quorate_packs::{Pack, Packs};
use quorate_planner::golden;
use std::{fs, path::Path};

/// A file of `packs/<product>/tests`.
fn built_in(path: &Path) -> datatest_stable::Result<()> {
    let product = path.ancestors().nth(2).and_then(Path::file_name).ok_or("no product's file")?;
    let product = product.to_string_lossy();
    let pack = Packs::builtin().get(&product.as_ref().into());
    check(pack.ok_or_else(|| format!("there is no pack {product}"))?, path)
}

fn keeper(path: &Path) -> datatest_stable::Result<()> {
    check(support::keeper(), path)
}

fn check(pack: &Pack, path: &Path) -> datatest_stable::Result<()> {
    let text = fs::read_to_string(path)?;
    if std::env::var_os("QUORATE_BLESS").is_some() {
        fs::write(path, golden::bless(pack, &text))?;
        return Ok(());
    }
    let cases = golden::run(pack, &text);
    if cases.is_empty() {
        return Err("the file has no command".into());
    }
    let wrong: Vec<String> = cases
        .iter()
        .filter(|case| !case.holds())
        .map(|case| {
            format!(
                "line {}: > {}\nexpected:\n{}\nactual:\n{}",
                case.line, case.command, case.expected, case.actual
            )
        })
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

datatest_stable::harness! {
    { test = built_in, root = "../../packs", pattern = r"/tests/[^/]*\.txt$" },
    { test = keeper, root = "tests/paths", pattern = r"\.txt$" },
}
