//! Licences and sources of every crate that is linked: a quick stand-in for cargo-deny that needs nothing installed.

use crate::shell;
use std::process::Command;

/// Licences that may be linked into an Apache-2.0 binary without further duties.
const ALLOWED: [&str; 15] = [
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unlicense",
    "0BSD",
    "Unicode-3.0",
    "CC0-1.0",
    "BSL-1.0",
    "MIT-0",
    "CDLA-Permissive-2.0",
    // Asks for the source of its own files alone, and those are published.
    "MPL-2.0",
];

/// Asks `cargo tree`, which leaves out what stands in the lock file only for features that nobody turns on.
pub(crate) fn check() -> Result<Vec<String>, String> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "tree",
            "--workspace",
            "--target",
            "all",
            "--edges",
            "all",
            "--prefix",
            "none",
            "--format",
            "{p}\t{l}",
        ])
        .current_dir(shell::root())
        .output()
        .map_err(|error| format!("cargo tree: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo tree: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines: Vec<&str> = text.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    lines.sort_unstable();
    lines.dedup();
    Ok(lines.into_iter().filter_map(fault).collect())
}

fn fault(line: &str) -> Option<String> {
    let (package, licence) = line.split_once('\t')?;
    let foreign = package.contains("(http") || package.contains("(git");
    if foreign {
        return Some(format!(
            "crate `{package}` comes from elsewhere: only the public registry is allowed"
        ));
    }
    (!licence.is_empty() && !permitted(licence))
        .then(|| format!("crate `{package}` has licence `{licence}`, which is not on the list"))
}

/// `A OR B` needs one, `A AND B` needs all; `/` is the old way to write OR.
fn permitted(expression: &str) -> bool {
    let flat = expression.replace(['(', ')'], " ").replace('/', " OR ");
    flat.split(" OR ").any(|choice| choice.split(" AND ").all(|one| ALLOWED.contains(&one.trim())))
}
