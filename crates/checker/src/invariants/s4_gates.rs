//! S4: nothing proceeds past a gate that has not been seen to hold.
//!
//! In a plan: every start is followed, before anything else is touched, by gates that see the release, health, membership and
//! catching up of that very member (and equal data, when data could be compared at all); every hop ends with a look at the
//! whole cluster; every gate can fail and has an end.

use super::{Invariant, Violation};
use crate::{
    walk::{Visit, Watch, acts, exchanges_data, steps_of},
    world::{Life, Member, World},
};
use quorate_model::{Action, Gate, Hop, NodeName, Plan, Step, StepRole};

/// Sees that no gate is missing, empty or endless.
#[derive(Default)]
pub(crate) struct Gates<'p> {
    /// Members that were named once since their start; more would only repeat it.
    named: Vec<&'p NodeName>,
}

impl<'p> Watch<'p> for Gates<'p> {
    fn step(&mut self, at: &Visit<'p>, world: &World<'p>, found: &mut Vec<Violation>) {
        let mut broken = |text| found.push(Violation::error(Invariant::S4, at.id(), text));
        if let Some(because) = at.step.gate.as_ref().and_then(toothless) {
            broken(because);
        }
        if !acts(&at.step.action) {
            return;
        }
        for member in &world.members {
            if member.life != Life::Started {
                self.named.retain(|named| *named != member.name);
            } else if !starts_another(at, member) && !self.named.contains(&member.name) {
                self.named.push(member.name);
                broken(format!("goes on although {}", unproved(member)));
            }
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
        let mut broken = |step, text| found.push(Violation::error(Invariant::S4, step, text));
        let started = world.members.iter().filter(|member| member.life == Life::Started);
        for member in started.filter(|member| !self.named.contains(&member.name)) {
            broken(None, format!("the hop to {} ends although {}", hop.to, unproved(member)));
        }
        if plan.observed.nodes.iter().any(|node| node.data_hash.is_some()) {
            for (member, start) in uncompared(hop, world) {
                let name = member.name;
                let text = format!(
                    "data can be compared, and no gate compares those of {name} after its start"
                );
                broken(Some(start.id.clone()), text);
            }
        }
        let mut ends = after_last_start(hop).filter(|step| step.role == StepRole::HopComplete);
        if exchanges_data(plan, hop)
            && !after_last_start(hop).any(|step| step.role == StepRole::Verify)
        {
            let text =
                "data are put back, and nothing looks whether those that run are the backup's";
            broken(None, text.to_owned());
        }
        if world.any_stop && !ends.any(|step| step.gate.is_some()) {
            let text = format!("the hop to {} ends without a gate on the whole cluster", hop.to);
            broken(None, text);
        }
    }
}

fn after_last_start(hop: &Hop) -> impl Iterator<Item = &Step> {
    steps_of(hop).rev().take_while(|step| !matches!(step.action, Action::Start { .. }))
}

/// With the whole cluster down nobody can be back before the others are started too.
fn starts_another(at: &Visit<'_>, member: &Member<'_>) -> bool {
    let starts = matches!(
        at.step.action,
        Action::Swap { .. }
            | Action::Start { .. }
            | Action::Restore { .. }
            | Action::BringBack { .. }
    );
    at.is_outage() && starts && at.node() != Some(member.name)
}

fn unproved(member: &Member<'_>) -> String {
    let missing = member.not_yet_held().collect::<Vec<_>>().join(", ");
    format!("no gate has seen {} back since its start: {missing} not looked at", member.name)
}

/// Members that are back without a look at their data, each with the step that started it.
fn uncompared<'w, 'p>(
    hop: &'p Hop,
    world: &'w World<'p>,
) -> impl Iterator<Item = (&'w Member<'p>, &'p Step)> {
    let back = world
        .members
        .iter()
        .filter(|m| m.started && !m.client && m.life == Life::Up && !m.has_held("data-equal"));
    back.filter_map(|member| {
        let starts = |step: &&Step| matches!(&step.action, Action::Start { node, .. } if node == member.name);
        Some((member, steps_of(hop).find(starts)?))
    })
}

/// Why a gate could not stop anything, or would wait for ever.
fn toothless(gate: &Gate) -> Option<String> {
    let name = &gate.name;
    if gate.conditions.is_empty() {
        return Some(format!("gate `{name}` asks nothing"));
    }
    if gate.limit.is_zero() {
        return Some(format!("gate `{name}` has no time limit"));
    }
    if gate.good_looks == 0 {
        return Some(format!("gate `{name}` opens without one good look"));
    }
    let blind = gate
        .conditions
        .iter()
        .find(|c| !["node", "cluster"].iter().any(|word| c.cel.contains(word)));
    blind.map(|c| format!("condition `{}` of gate `{name}` looks at nothing: `{}`", c.name, c.cel))
}
