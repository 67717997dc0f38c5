//! Says plans and paths in words: the run book that a person could follow by hand, the summary, the path as text.
//!
//! Invariant: the run book is written from what a run goes by: the plan, the declared services, the pack. What people read
//! is what is carried out.

mod beside;
mod by_hand;
mod edits;
mod fold;
mod notes;
mod path_text;
mod remote;
mod run_book;
mod shell;
mod told;

pub use notes::notes;
pub use path_text::path_text;
pub(crate) use remote::seen_from_here;
pub use run_book::{RunBook, run_book};

use quorate_model::{
    Action, ConfigFinding, Hop, HopKind, Lanes, NodeName, Plan, PlanKind, Risk, Wave,
};
use std::{fmt::Write, time::Duration};

/// Says a plan in a few lines, for a terminal.
pub fn summary(plan: &Plan) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        // Writing to a text cannot fail.
        let _ = writeln!(out, "{text}");
    };
    line(format!(
        "plan {} for {} ({}): {}, {}",
        plan.digest.short(),
        plan.cluster,
        plan.pack,
        kind_name(plan.kind),
        way(plan)
    ));
    if plan.kind.is_membership() {
        line("  everybody else stays as it is".to_owned());
    }
    let moving = plan.hops.iter().enumerate().filter(|_| !plan.kind.is_membership());
    for (index, hop) in moving {
        let order = hop.waves.iter().filter_map(|wave| wave.node.as_ref()).map(ToString::to_string);
        let order = order.collect::<Vec<_>>().join(", ");
        let how = match hop.kind {
            HopKind::Rolling if order.is_empty() => "no server moves".to_owned(),
            HopKind::Rolling => format!("one by one: {order}"),
            HopKind::FullStop => "everything stops at once".to_owned(),
            HopKind::Offline => "everything stops, data change form".to_owned(),
        };
        let door = if steps(plan, index).any(|step| step.one_way) { ", one-way door" } else { "" };
        line(format!(
            "  hop {}: {}, risk {}{door}; {how}",
            index + 1,
            hop.title(),
            risk_name(hop.risk)
        ));
        crowds(hop).into_iter().for_each(&mut line);
    }
    let count =
        plan.hops.iter().flat_map(|hop| &hop.waves).map(|wave| wave.steps.len()).sum::<usize>();
    let asks = plan.hops.iter().flat_map(|hop| &hop.waves).flat_map(|wave| &wave.steps);
    let asks = asks.filter(|step| step.needs_approval).count();
    let asked = match asks {
        0 => "nobody is asked".to_owned(),
        1 => "a person is asked once".to_owned(),
        more => format!("a person is asked {more} times"),
    };
    line(format!("  {count} steps, about {}; {asked}", spoken(plan.estimate)));
    if !plan.outage.is_zero() {
        line(format!("  outage: about {}", spoken(plan.outage)));
    }
    for (finding, nodes) in alike(&plan.config_findings) {
        let fatal = if finding.fatal { "does not start with it" } else { "starts" };
        line(format!(
            "  setting of {} at {}: {} ({fatal})",
            names(&nodes),
            finding.release,
            finding.setting
        ));
    }
    if plan.kind.puts_data_back() && plan.losses.is_empty() {
        line("  lost: nothing".to_owned());
    }
    for loss in &plan.losses {
        line(format!("  lost: {loss}"));
    }
    for note in notes(plan) {
        line(format!("  note: {note}"));
    }
    out
}

/// So many nodes with the same finding are told one by one; more are told together.
const ONE_BY_ONE: usize = 5;
/// Nodes that are named of many.
const NAMED: usize = 3;

/// Findings, those that many nodes share told once.
fn alike(findings: &[ConfigFinding]) -> Vec<(&ConfigFinding, Vec<&NodeName>)> {
    let same = |a: &ConfigFinding, b: &ConfigFinding| {
        (&a.release, &a.setting, &a.change, a.fatal, &a.rewrite)
            == (&b.release, &b.setting, &b.change, b.fatal, &b.rewrite)
    };
    let mut told: Vec<(&ConfigFinding, Vec<&NodeName>)> = Vec::new();
    for finding in findings {
        match told.iter_mut().find(|(known, _)| same(known, finding)) {
            Some((_, nodes)) => nodes.push(&finding.node),
            None => told.push((finding, vec![&finding.node])),
        }
    }
    if told.iter().all(|(_, nodes)| nodes.len() <= ONE_BY_ONE) {
        return findings.iter().map(|finding| (finding, vec![&finding.node])).collect();
    }
    told
}

/// `c1, c2, c3 and 297 more`.
pub(crate) fn names(nodes: &[&NodeName]) -> String {
    let named = if nodes.len() > ONE_BY_ONE { NAMED } else { nodes.len() };
    let first: Vec<&str> = nodes.iter().take(named).map(|node| node.as_str()).collect();
    match nodes.len() - named {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// A line for each group that moves in waves: `client: 300 in 10 waves of 30 at most, 3 may fail`.
fn crowds(hop: &Hop) -> Vec<String> {
    let mut crowds: Vec<(&Lanes, usize, usize)> = Vec::new();
    for wave in hop.waves.iter().filter(|wave| stops_anybody(wave)) {
        let Some(lanes) = &wave.lanes else { continue };
        let nodes = wave.lane_places().len();
        match crowds.iter_mut().find(|(known, ..)| known.group == lanes.group) {
            Some((_, waves, all)) => (*waves, *all) = (*waves + 1, *all + nodes),
            None => crowds.push((lanes, 1, nodes)),
        }
    }
    let back = if hop.to < hop.from { "before them" } else { "then" };
    let told = crowds.into_iter().map(|(lanes, waves, all)| {
        let Lanes { group, at_most, failures } = lanes;
        let many = if waves == 1 { "1 wave".to_owned() } else { format!("{waves} waves") };
        format!("    {back} {all} of {group} in {many}, {at_most} at a time at most, {failures} may fail")
    });
    told.collect()
}

fn stops_anybody(wave: &Wave) -> bool {
    wave.steps.iter().any(|step| matches!(step.action, Action::Stop { .. }))
}

fn steps(plan: &Plan, hop: usize) -> impl Iterator<Item = &quorate_model::Step> {
    plan.hops[hop].waves.iter().flat_map(|wave| &wave.steps)
}

fn way(plan: &Plan) -> String {
    if let Some(node) = plan.changed_member() {
        return format!("{node} on {}", plan.to);
    }
    if plan.kind == PlanKind::Restart {
        return format!("every member stays on {}", plan.to);
    }
    let places = plan.hops.iter().map(Hop::leads_to);
    std::iter::once(plan.from.to_string()).chain(places).collect::<Vec<_>>().join(" -> ")
}

fn kind_name(kind: PlanKind) -> &'static str {
    match kind {
        PlanKind::Upgrade => "upgrade",
        PlanKind::RollbackBinaries => "rollback, binaries put back",
        PlanKind::RollbackRestore => "rollback, backup restored",
        PlanKind::Eject => "eject, a member is taken out",
        PlanKind::Rejoin => "rejoin, a member is brought back",
        PlanKind::Restart => "restart on the release that runs",
        PlanKind::Recover => "recovery, everybody gets one member's data",
    }
}

fn risk_name(risk: Risk) -> &'static str {
    match risk {
        Risk::Low => "low",
        Risk::Med => "med",
        Risk::High => "high",
    }
}

/// Seconds as people say them.
fn spoken(time: Duration) -> String {
    let secs = time.as_secs_f64();
    let whole = time.as_secs();
    match whole {
        0..10 => format!("{secs:.1} s"),
        10..120 => format!("{secs:.0} s"),
        120..7200 => format!("{} min", whole.div_ceil(60)),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Whether a step only looks or asks.
fn only_looks(action: &Action) -> bool {
    matches!(action, Action::Look | Action::Confirm { .. })
}
