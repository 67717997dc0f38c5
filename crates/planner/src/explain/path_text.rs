//! A path as text for people; the golden tests of packs compare exactly this.

use super::risk_name;
use crate::path::{PathAnswer, PathHop, PathOutcome, clause};
use quorate_model::{Door, HopKind, RuleVerdict, Spoken};
use std::fmt::Write;

/// Writes the path: hops with rules and cures, refused hops, ways out, notes.
pub fn path_text(answer: &PathAnswer) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        // Writing to a text cannot fail.
        let _ = writeln!(out, "{text}");
    };
    let way = answer.hops.iter().map(PathHop::leads_to);
    let way = std::iter::once(answer.from.to_string()).chain(way).collect::<Vec<_>>().join(" -> ");
    match answer.outcome {
        PathOutcome::NothingToDo => line(format!("nothing to do: {} is the target", answer.to)),
        PathOutcome::Blocked => line(format!("blocked: {} -> {}", answer.from, answer.to)),
        PathOutcome::Path => line(format!("path: {way}")),
    }
    for hop in &answer.hops {
        line(format!("  {}  {}", hop.title(), nature(hop)));
        if !hop.protocols.is_empty() {
            line(format!("    speaks {}", both_speak(&hop.protocols)));
        }
        for rule in &hop.rules {
            let cures = if rule.cures.is_empty() {
                String::new()
            } else {
                format!(" [cure: {}]", rule.cures.join(", "))
            };
            let rewrites = if rule.rewrites.is_empty() {
                String::new()
            } else {
                format!(" [rewrite: {}]", rule.rewrites.join(", "))
            };
            line(format!(
                "    {} {}: {}{cures}{rewrites}",
                rule.id,
                verdict(rule.verdict),
                clause(&rule.text)
            ));
        }
    }
    for refused in &answer.refused {
        line(format!(
            "  refused {} -> {}: {}: {}",
            refused.from,
            refused.to,
            refused.rule,
            clause(&refused.because)
        ));
    }
    for way_out in &answer.ways_out {
        line(format!("  way out: {}", clause(way_out)));
    }
    for note in &answer.notes {
        line(format!("  note: {}", clause(note)));
    }
    out
}

/// What the old and the new release speak of each protocol.
pub(super) fn both_speak(protocols: &[Spoken]) -> String {
    protocols.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn nature(hop: &PathHop) -> String {
    let kind = match hop.kind {
        HopKind::Rolling => "rolling",
        HopKind::FullStop => "full stop",
        HopKind::Offline => "offline",
    };
    let door = match hop.one_way {
        Door::None => "",
        Door::LastMember => ", one way after the last member",
        Door::Now => ", one way from the first change",
        Door::Finalize => ", one way when finalized",
    };
    format!("{kind}, risk {}{door}", risk_name(hop.risk))
}

fn verdict(verdict: RuleVerdict) -> &'static str {
    match verdict {
        RuleVerdict::Allow => "allows",
        RuleVerdict::Block => "blocks",
        RuleVerdict::Condition => "asks",
        RuleVerdict::NotApplicable => "does not apply",
    }
}
