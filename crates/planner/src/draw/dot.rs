//! A path in the language of Graphviz.

use super::{colour, columns, on_the_way, risk_name, rule_ids};
use crate::path::PathAnswer;
use quorate_packs::Pack;
use std::fmt::Write;

/// Writes the path as a Graphviz digraph.
pub fn dot(pack: &Pack, answer: &PathAnswer) -> String {
    let mut out = String::from(
        "digraph path {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n",
    );
    let mut line = |text: String| {
        // Writing to a text cannot fail.
        let _ = writeln!(out, "  {text}");
    };
    for (name, releases) in columns(pack, answer) {
        let names = releases.iter().map(|r| format!("\"{r}\"")).collect::<Vec<_>>().join("; ");
        line(format!("subgraph \"cluster_{name}\" {{ label=\"{name}\"; {names}; }}"));
        for release in releases.iter().filter(|release| on_the_way(answer, release)) {
            line(format!("\"{release}\" [penwidth=3];"));
        }
    }
    for hop in &answer.hops {
        line(format!(
            "\"{}\" -> \"{}\" [label=\"{} ({})\", color=\"{}\", penwidth=4];",
            hop.from,
            hop.to,
            rule_ids(hop),
            risk_name(hop.risk),
            colour(hop.risk)
        ));
    }
    for refused in &answer.refused {
        line(format!(
            "\"{}\" -> \"{}\" [label=\"{}\", style=dashed, color=\"#777777\", constraint=false];",
            refused.from,
            refused.to,
            refused.rule.replace('"', "'")
        ));
    }
    out.push_str("}\n");
    out
}
