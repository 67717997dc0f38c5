//! Licences and sources of every crate in the lock file: a quick stand-in for cargo-deny that needs nothing installed.

use cargo_metadata::Metadata;

/// Licences that may be linked into an Apache-2.0 binary without further duties.
const ALLOWED: [&str; 14] = [
    "MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib", "Unlicense",
    "0BSD", "Unicode-3.0", "CC0-1.0", "BSL-1.0", "MIT-0", "CDLA-Permissive-2.0",
];

pub(crate) fn check(metadata: &Metadata) -> Vec<String> {
    let mut faults = Vec::new();
    for package in &metadata.packages {
        if let Some(source) = package.source.as_ref().filter(|source| !source.is_crates_io()) {
            faults.push(format!("crate `{}` comes from {source}: only the public registry is allowed", package.name));
        }
        let text = package.license.clone().unwrap_or_default();
        if !text.is_empty() && !permitted(&text) {
            faults.push(format!("crate `{}` has licence `{text}`, which is not on the list", package.name));
        }
    }
    faults
}

/// `A OR B` needs one, `A AND B` needs all; `/` is the old way to write OR.
fn permitted(expression: &str) -> bool {
    let flat = expression.replace(['(', ')'], " ").replace('/', " OR ");
    flat.split(" OR ").any(|choice| choice.split(" AND ").all(|one| ALLOWED.contains(&one.trim())))
}
