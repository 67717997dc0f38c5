//! Draws a path: releases as boxes, a column a line, the chosen way bold and coloured by risk, refused hops dashed.
//!
//! Dot and Mermaid are for other programs to lay out; the SVG is laid out by hand, as a picture for the wall.

mod dot;
mod mermaid;
mod svg;

pub use dot::dot;
pub use mermaid::mermaid;
pub use svg::svg;

use crate::path::PathAnswer;
use quorate_model::{Release, Risk};
use quorate_packs::Pack;
use std::collections::BTreeSet;

/// Every release that the picture shows, in order, by column.
fn columns(pack: &Pack, answer: &PathAnswer) -> Vec<(String, Vec<Release>)> {
    let mut releases: BTreeSet<&Release> = [&answer.from, &answer.to].into();
    releases.extend(answer.hops.iter().flat_map(|hop| [&hop.from, &hop.to]));
    releases.extend(answer.refused.iter().flat_map(|hop| [&hop.from, &hop.to]));
    let mut columns: Vec<(String, Vec<Release>)> = Vec::new();
    for release in releases {
        let line = pack.line(release);
        match columns.last_mut().filter(|(known, _)| *known == line) {
            Some((_, column)) => column.push(release.clone()),
            None => columns.push((line, vec![release.clone()])),
        }
    }
    columns
}

/// Whether the way goes through a release.
fn on_the_way(answer: &PathAnswer, release: &Release) -> bool {
    answer.hops.iter().any(|hop| hop.from == *release || hop.to == *release)
}

/// Green, amber, red: readable on white paper and apart for most colour-blind people by their lightness.
fn colour(risk: Risk) -> &'static str {
    match risk {
        Risk::Low => "#2e9d5b",
        Risk::Med => "#d98a00",
        Risk::High => "#b3261e",
    }
}

fn risk_name(risk: Risk) -> &'static str {
    match risk {
        Risk::Low => "low",
        Risk::Med => "med",
        Risk::High => "high",
    }
}

/// Ids of the rules that give a hop its risk.
fn rule_ids(hop: &crate::path::PathHop) -> String {
    let applied =
        hop.rules.iter().filter(|rule| rule.verdict != quorate_model::RuleVerdict::NotApplicable);
    applied.map(|rule| rule.id.as_str()).collect::<Vec<_>>().join(" ")
}
