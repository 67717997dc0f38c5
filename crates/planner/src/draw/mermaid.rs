//! A path in the language of Mermaid, as repositories and wikis show it.

use super::{colour, columns, risk_name, rule_ids};
use crate::path::PathAnswer;
use quorate_model::Release;
use quorate_packs::Pack;
use std::fmt::Write;

/// Writes the path as a Mermaid flow chart.
pub fn mermaid(pack: &Pack, answer: &PathAnswer) -> String {
    let mut out = String::from("flowchart LR\n");
    let mut line = |text: String| {
        // Writing to a text cannot fail.
        let _ = writeln!(out, "  {text}");
    };
    for (name, releases) in columns(pack, answer) {
        line(format!("subgraph line_{} [\"{name}\"]", name.replace('.', "_")));
        for release in releases {
            line(format!("  {}[\"{release}\"]", id(&release)));
        }
        line("end".to_owned());
    }
    for hop in &answer.hops {
        let label = format!("{} ({})", rule_ids(hop), risk_name(hop.risk));
        line(format!("{} ==>|\"{label}\"| {}", id(&hop.from), id(&hop.to)));
    }
    for refused in &answer.refused {
        line(format!(
            "{} -.-x|\"{}\"| {}",
            id(&refused.from),
            refused.rule.replace('"', "'"),
            id(&refused.to)
        ));
    }
    for (nth, hop) in answer.hops.iter().enumerate() {
        line(format!("linkStyle {nth} stroke:{},stroke-width:4px", colour(hop.risk)));
    }
    out
}

fn id(release: &Release) -> String {
    format!("r{}", release.to_string().replace(['.', '-', '+'], "_"))
}
