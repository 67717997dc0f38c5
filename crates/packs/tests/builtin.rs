//! The packs that are compiled in: they lint without an error, and every one is there.

use quorate_packs::{Packs, builtin_files, lint};
use quorate_syntax::Diagnostic;

#[test]
fn built_in_packs_lint_without_an_error() {
    let errors: String = lint(&builtin_files())
        .iter()
        .filter(|found| found.is_error())
        .map(|found| format!("{found}\n"))
        .collect();
    assert!(errors.is_empty(), "{errors}");
}

#[test]
fn every_built_in_pack_is_there() {
    let roots = builtin_files().iter().filter(|(name, _)| name.ends_with("/pack.yaml")).count();
    assert!(roots > 0);
    assert_eq!(Packs::builtin().iter().count(), roots);
}

#[test]
fn warnings_of_built_in_packs_are_known() {
    let warnings: Vec<_> = lint(&builtin_files())
        .iter()
        .filter(|found| !found.is_error())
        .map(Diagnostic::to_string)
        .collect();
    assert!(warnings.is_empty(), "{}", warnings.join("\n"));
}

#[test]
fn starting_is_quick() {
    let begin = std::time::Instant::now();
    let packs = Packs::builtin().iter().count();
    let took = begin.elapsed();
    println!("{packs} built-in packs took {took:?}");
    // Without optimisation and on a busy machine; a whole start of the released program may take 50 ms.
    assert!(took.as_secs() < 5, "{took:?}");
}
