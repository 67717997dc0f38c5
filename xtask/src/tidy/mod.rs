//! The structure of the repository, checked: room edges, file heads and sizes, licences, words that do not belong.

mod edges;
mod files;
mod licences;

use crate::shell;
use cargo_metadata::MetadataCommand;

pub(crate) fn run() -> Result<(), String> {
    eprintln!("\n=== tidy");
    let root = shell::root();
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .exec()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let mut faults = edges::check(&metadata);
    faults.extend(licences::check()?);
    faults.extend(files::check(&root)?);
    if faults.is_empty() {
        eprintln!("=== tidy: the house is in order");
        return Ok(());
    }
    for fault in &faults {
        eprintln!("tidy: {fault}");
    }
    Err(format!("tidy found {} faults", faults.len()))
}
