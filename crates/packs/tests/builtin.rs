//! The packs that are compiled in: they lint without an error, and every one is there.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up shall fail")]

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
fn consul_writes_its_version_in_many_ways() {
    let pack = Packs::builtin().get(&"consul".into()).unwrap();
    for (said, release) in [
        ("0.7.4", "0.7.4"),
        ("Consul v0.7.4 ('3c8f5f2+CHANGES')", "0.7.4"),
        ("1.8.7+dfsg1-2+b3", "1.8.7"),
        ("1.8.7+dfsg1", "1.8.7"),
        ("1.10.0+ent", "1.10.0"),
        ("1.0.0-dev", "1.0.0-dev"),
        ("1.0.0-dev ('0a1b2c3+CHANGES')", "1.0.0-dev"),
        ("1.9.0-rc1", "1.9.0-rc1"),
        ("1.0.0-beta2", "1.0.0-beta2"),
    ] {
        let known = pack.upstream(said).map(|release| release.to_string());
        assert_eq!(known.as_deref(), Some(release), "{said}");
    }
    let printed = "Consul v1.8.7\nProtocol 2 spoken by default, understands 2 to 3\n";
    assert_eq!(pack.release_said(printed).unwrap().to_string(), "1.8.7");
    assert_eq!(pack.upstream("unknown"), None);
}

#[test]
fn every_rule_of_consul_is_asked_on_paper() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packs/consul/tests");
    let texts = std::fs::read_dir(folder).unwrap();
    let texts: String =
        texts.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let pack = Packs::builtin().get(&"consul".into()).unwrap();
    let silent = pack.rules.iter().filter(|rule| {
        let says = |after: &str| texts.contains(&format!("{}{after}", rule.id));
        ![" allows", " asks", " does not apply", ":"].iter().any(|after| says(after))
    });
    let silent: Vec<_> = silent.map(|rule| rule.id.as_str()).collect();
    assert!(silent.is_empty(), "no golden path speaks of {}", silent.join(", "));
    for number in 1..=31 {
        let id = format!("C{number:02}");
        assert!(pack.rules.iter().any(|rule| rule.id == id), "{id}");
    }
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
