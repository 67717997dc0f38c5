//! A path over a graph as large as any product's; how long it takes is for the benchmark to say.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up shall fail")]

mod support;

use quorate_packs::Packs;
use quorate_planner::{PathOutcome, PathRequest, path};
use support::release;

/// A thousand releases: fifty lines of twenty patches.
fn thousand() -> Packs {
    let mut text = include_str!("support/keeper.yaml").to_owned();
    let start = text.find("lines:").unwrap();
    let end = text.find("protocols:").unwrap();
    let lines: String = (0..50).map(|line| format!("  - {{ line: \"7.{line}\" }}\n")).collect();
    let releases: String = (0..50)
        .flat_map(|line| {
            (0..20).map(move |patch| format!("  - {{ release: \"7.{line}.{patch}\" }}\n"))
        })
        .collect();
    text.replace_range(start..end, &format!("lines:\n{lines}releases:\n{releases}"));
    Packs::load(&[("keeper.yaml".into(), text)]).unwrap()
}

#[test]
fn a_path_over_a_thousand_releases() {
    let packs = thousand();
    let pack = packs.get(&"keeper".into()).unwrap();
    let (from, to) = (release("7.0.0"), release("7.49.19"));
    let answer = path(pack, &PathRequest::on_paper(&from, &to));
    assert_eq!(answer.outcome, PathOutcome::Path);
    assert_eq!(answer.hops.len(), 49);
    assert!(
        answer.hops.iter().all(|hop| hop.to.numbers()[2] == 19),
        "the newest patch of every line"
    );
}
