//! S5: every hop is a permitted edge of the release graph, its conditions proved on this cluster; mixed releases are never more
//! than that hop apart.
//!
//! The edge's ranges travel in the plan with the pack's digest; here they are applied again. A way back is permitted by the
//! pack's rollback rules, whose ids begin with `rollback`; blocks and `never land` speak of ways forward and do not bind it.

use super::{Invariant, Violation};
use crate::{
    walk::{Visit, Watch, steps_of},
    world::{Member, World},
};
use quorate_model::{
    Action, Dependant, Edge, Hop, Plan, PlanKind, Release, Requirement, RuleVerdict, Step, StepRole,
};

/// Ids of rules that permit a way back begin so.
const ROLLBACK: &str = "rollback";

/// Applies the release graph's evidence again and keeps the mixture of releases within the hop.
pub(crate) struct Hops;

impl<'p> Watch<'p> for Hops {
    fn hop_begins(
        &mut self,
        plan: &'p Plan,
        index: usize,
        world: &World<'p>,
        found: &mut Vec<Violation>,
    ) {
        let hop = &plan.hops[index];
        let mut broken = |text| found.push(Violation::error(Invariant::S5, None, text));
        let before = index.checked_sub(1).map_or(&plan.from, |i| &plan.hops[i].to);
        if hop.from != *before {
            broken(format!(
                "the hop to {} starts at {}, but the cluster is at {before}",
                hop.to, hop.from
            ));
        }
        if index + 1 == plan.hops.len() && hop.to != plan.to {
            broken(format!("the last hop ends at {}, the plan at {}", hop.to, plan.to));
        }
        let up = hop.to > hop.from;
        // Where data change form the release stays.
        if up != (plan.kind == PlanKind::Upgrade) && hop.conversion.is_none() {
            broken(format!("the hop {} -> {} goes the other way than the plan", hop.from, hop.to));
        }
        if let Some(name) = hop.conversion.as_ref().filter(|_| hop.from != hop.to) {
            broken(format!(
                "{name} stays on its release, and {} -> {} leaves it",
                hop.from, hop.to
            ));
        }
        if plan.kind == PlanKind::Restart && hop.to != hop.from {
            broken(format!(
                "a restart stays on its release, and {} -> {} leaves it",
                hop.from, hop.to
            ));
        }
        for text in unwanted(plan.kind, &plan.dependants, hop) {
            broken(text);
        }
        for text in unproved_rules(hop) {
            broken(text);
        }
        // Who belongs to the cluster is no edge of the release graph; `membership.rs` asks what is asked there.
        if plan.kind.is_membership() || plan.kind == PlanKind::Restart {
            return;
        }
        for text in unproved_edge(hop, plan.kind) {
            broken(text);
        }
        for text in too_far_apart(hop, index, world) {
            broken(text);
        }
    }

    fn step(&mut self, at: &Visit<'p>, world: &World<'p>, found: &mut Vec<Violation>) {
        let mut broken = |text| found.push(Violation::error(Invariant::S5, at.id(), text));
        match &at.step.action {
            // Where the release stays, what is kept gets a name of its own.
            Action::Swap { node, from, .. }
                if !at.plan.kind.is_membership() && at.plan.kind != PlanKind::Restart =>
            {
                let runs = world.member(node).and_then(|member| member.release);
                if let Some(runs) = runs.filter(|runs| *runs != from) {
                    broken(format!("{node} runs {runs} then, the step takes it for {from}"));
                }
            }
            Action::Start { node, expect } if *expect != at.hop.to => {
                broken(format!("{node} is started as {expect} on a hop to {}", at.hop.to));
            }
            _ => {}
        }
    }

    fn hop_ends(
        &mut self,
        plan: &'p Plan,
        index: usize,
        world: &World<'p>,
        found: &mut Vec<Violation>,
    ) {
        let hop = &plan.hops[index];
        let moving = |member: &&Member<'_>| !plan.kind.is_membership() || member.started;
        for member in world.members.iter().filter(moving) {
            // A member that nobody could see may be left out of the last hop, never out of one that others follow.
            let left = match member.release {
                Some(release) => *release != hop.to,
                None => index + 1 < plan.hops.len(),
            };
            if left {
                let runs =
                    member.release.map_or("an unseen release".to_owned(), Release::to_string);
                let text =
                    format!("the hop to {} ends with {} still at {runs}", hop.to, member.name);
                found.push(Violation::error(Invariant::S5, None, text));
            }
        }
    }
}

/// Applications do not work with the hop's target, or are not new enough for it. The way back is not kept from anybody.
pub fn unwanted(kind: PlanKind, dependants: &[Dependant], hop: &Hop) -> Vec<String> {
    let mut wrong = Vec::new();
    if kind != PlanKind::Upgrade {
        return wrong;
    }
    for Dependant { name, version, works_with, requires, .. } in dependants {
        if works_with.as_ref().is_some_and(|range| !range.contains(&hop.to)) {
            wrong.push(format!("{name} does not work with {}", hop.to));
        }
        for Requirement { cluster, version: asked, .. } in requires {
            let met = matches!(version, Some(version) if asked.contains(version));
            if cluster.contains(&hop.to) && !met {
                wrong.push(format!("{name} is not {asked}, which {} asks for", hop.to));
            }
        }
    }
    wrong
}

fn unproved_edge(hop: &Hop, kind: PlanKind) -> Vec<String> {
    let Edge { permitted_by, blocks, excused, never_land, protocols } = &hop.edge;
    let (from, to) = (&hop.from, &hop.to);
    let mut wrong = Vec::new();
    let permits = |id: &str| kind == PlanKind::Upgrade || id.starts_with(ROLLBACK);
    if !permitted_by.iter().any(|(id, f, t)| permits(id) && f.contains(from) && t.contains(to)) {
        wrong.push(format!("no rule permits {from} -> {to}"));
    }
    if kind != PlanKind::Upgrade {
        return wrong;
    }
    for spoken in protocols.iter().filter(|spoken| !spoken.overlaps()) {
        wrong.push(format!("{from} and {to} have no version of a protocol in common: {spoken}"));
    }
    for (id, _, _) in blocks.iter().filter(|(_, f, t)| f.contains(from) && t.contains(to)) {
        let evidence =
            excused.iter().find(|(excused, _)| excused == id).map_or("", |(_, evidence)| evidence);
        if evidence.trim().is_empty() {
            wrong.push(format!(
                "rule {id} forbids {from} -> {to}, and nothing proves that it does not apply"
            ));
        }
    }
    if let Some(range) = never_land.iter().find(|range| range.contains(to)) {
        wrong.push(format!("{to} is never to be landed on ({range})"));
    }
    wrong
}

fn unproved_rules(hop: &Hop) -> Vec<String> {
    let mut wrong = Vec::new();
    let before_first_stop =
        || steps_of(hop).take_while(|step| !matches!(step.action, Action::Stop { .. }));
    for rule in &hop.rules {
        match rule.verdict {
            RuleVerdict::Block => {
                wrong.push(format!("rule {} forbids the hop to {}", rule.id, hop.to))
            }
            RuleVerdict::Condition => {
                if rule.because.trim().is_empty() {
                    wrong.push(format!("the condition of rule {} has no evidence", rule.id));
                }
                if !rule.cures.is_empty()
                    && !before_first_stop().any(|step| step.role == StepRole::Cure)
                {
                    wrong.push(format!(
                        "rule {} needs a cure, and none runs before the first stop",
                        rule.id
                    ));
                }
                if !rule.rewrites.is_empty() && !steps_of(hop).any(rewrites_settings) {
                    wrong.push(format!(
                        "rule {} needs settings to be rewritten, and no exchange of this hop does",
                        rule.id
                    ));
                }
            }
            RuleVerdict::Allow | RuleVerdict::NotApplicable => {}
        }
    }
    wrong
}

fn rewrites_settings(step: &Step) -> bool {
    matches!(&step.action, Action::Swap { config: Some(_), .. })
}

fn too_far_apart(hop: &Hop, index: usize, world: &World<'_>) -> Vec<String> {
    let (low, high) = if hop.from <= hop.to { (&hop.from, &hop.to) } else { (&hop.to, &hop.from) };
    let outside = |release: &Release| release < low || release > high;
    // After the first hop `hop_ends` has already named everyone who was left behind.
    let members = world.members.iter().filter(|_| index == 0);
    members
        .filter_map(|member| Some((member, member.release.filter(|release| outside(release))?)))
        .map(|(member, release)| {
            format!(
                "{} runs {release}, which lies outside the hop {} -> {}",
                member.name, hop.from, hop.to
            )
        })
        .collect()
}
