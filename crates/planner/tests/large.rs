//! A path over a graph as large as any product's; how long it takes is for the benchmark to say.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up shall fail")]

mod support;

use quorate_packs::Packs;
use quorate_planner::{PathOutcome, PathRequest, Planned, path};
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

#[test]
fn three_servers_and_three_hundred_clients_are_planned_proved_and_readable() {
    let world = support::with_clients(support::world(3, "1.0.5"), 300);
    let Planned::Ready(plan) = world.plan("1.1.9") else { panic!("no plan") };
    let found = quorate_checker::check(&plan);
    assert_eq!(found, Vec::new());
    let moving = plan.hops[0].waves.iter().filter(|wave| wave.id.starts_with("h1.client-"));
    let widths: Vec<usize> = moving.map(|wave| wave.lane_places().len()).collect();
    assert_eq!(widths, vec![30; 10], "ten waves of a tenth");
    let summary = quorate_planner::explain::summary(&plan);
    assert!(summary.lines().count() < 12, "{summary}");
    let book = world.book(support::keeper(), &plan);
    assert_eq!(book.matches("stop_service /run/$NODE.pid").count(), 1, "clients are told once");
    for node in (1..=300).map(|nth| format!("c{nth}")) {
        let own = format!("\n{node}\n");
        assert_eq!(book.matches(&own).count(), 2, "{node} is in the list of its wave, and staged");
    }
    let lines = book.lines().count();
    assert!(lines < 1_500, "two lines a client, and {} more", lines - 600);
    let headings = book.lines().filter(|line| line.starts_with("### ")).count();
    assert!(headings < 20, "{headings} blocks");
}
