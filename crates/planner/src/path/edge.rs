//! The evidence that a hop is an edge, in a form that the proof can check without the pack.

use super::PathHop;
use quorate_model::{Edge, Range, RuleVerdict};
use quorate_packs::{Pack, Rule, Verdict};

/// Collects the evidence for a hop that the search found.
pub fn edge(pack: &Pack, hop: &PathHop) -> Edge {
    let with_ranges = |rule: &Rule| (rule.id.clone(), rule.from.clone(), rule.to.clone());
    let said = |rule: &Rule, verdict: RuleVerdict| {
        hop.rules.iter().find(|applied| applied.id == rule.id && applied.verdict == verdict)
    };
    let blocks = || pack.rules.iter().filter(|rule| rule.verdict == Verdict::Block);
    let matches = |rule: &&Rule| rule.from.contains(&hop.from) && rule.to.contains(&hop.to);
    let excuse = |rule: &Rule| match said(rule, RuleVerdict::NotApplicable) {
        Some(applied) => (rule.id.clone(), applied.because.clone()),
        // A rule whose ranges match and that was not looked at is narrowed by its reach.
        None => (rule.id.clone(), format!("its reach does not span {} -> {}", hop.from, hop.to)),
    };
    Edge {
        permitted_by: pack
            .rules
            .iter()
            .filter(|rule| said(rule, RuleVerdict::Allow).is_some())
            .map(with_ranges)
            .collect(),
        blocks: blocks().map(with_ranges).collect(),
        excused: blocks().filter(matches).map(excuse).collect(),
        never_land: never_land(pack),
        protocols: hop.protocols.clone(),
    }
}

fn never_land(pack: &Pack) -> Vec<Range> {
    pack.known_issues
        .iter()
        .filter(|issue| issue.never_land)
        .map(|issue| issue.affects.clone())
        .collect()
}
