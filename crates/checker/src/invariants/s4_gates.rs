//! S4: nothing proceeds past a gate that has not been seen to hold.
//!
//! In a plan: every start is followed, before anything else is touched, by gates that see the release, health, membership and
//! catching up of that very member (and equal data, when data could be compared at all); every hop ends with a look at the
//! whole cluster; every gate can fail and has an end.

use super::{Invariant, Violation};
use crate::{
    walk::{Visit, Watch, steps_of},
    world::{Life, World, leaves_alone},
};
use quorate_model::{Action, Gate, Plan, StepRole};

/// Sees that no gate is missing, empty or endless.
pub(crate) struct Gates;

impl<'p> Watch<'p> for Gates {
    fn step(&mut self, at: &Visit<'p>, world: &World<'p>, found: &mut Vec<Violation>) {
        if let Some(because) = at.step.gate.as_ref().and_then(toothless) {
            found.push(Violation::error(Invariant::S4, at.id(), because));
        }
        if leaves_alone(at.step) {
            return;
        }
        for member in world.members.iter().filter(|member| member.life == Life::Started) {
            // With the whole cluster down nobody can be back before the others are started too.
            let starts_another = at.is_outage()
                && matches!(at.step.action, Action::Swap { .. } | Action::Start { .. } | Action::Restore { .. })
                && at.node() != Some(member.name);
            if starts_another {
                continue;
            }
            let missing: Vec<_> = member.not_yet_held().collect();
            let text = format!(
                "goes on although no gate has seen {} back since its start: {} not looked at",
                member.name,
                missing.join(", ")
            );
            found.push(Violation::error(Invariant::S4, at.id(), text));
        }
    }

    fn hop_ends(&mut self, plan: &'p Plan, index: usize, world: &World<'p>, found: &mut Vec<Violation>) {
        let hop = &plan.hops[index];
        let mut broken = |text| found.push(Violation::error(Invariant::S4, None, text));
        for member in &world.members {
            if member.life == Life::Started {
                let missing: Vec<_> = member.not_yet_held().collect();
                let text = format!(
                    "the hop to {} ends although no gate has seen {} back: {} not looked at",
                    hop.to,
                    member.name,
                    missing.join(", ")
                );
                broken(text);
            }
        }
        let hash_seen = plan.observed.nodes.iter().any(|node| node.data_hash.is_some());
        for (member, step) in world.members.iter().filter_map(|member| {
            let start = steps_of(hop).find(|s| matches!(&s.action, Action::Start { node, .. } if node == member.name))?;
            Some((member, start))
        }) {
            if hash_seen && member.life == Life::Up && !member.has_held("data-equal") {
                found.push(Violation::error(
                    Invariant::S4,
                    Some(step.id.clone()),
                    format!("data of the members can be compared, and no gate compares those of {} after its start", member.name),
                ));
            }
        }
        let after_last_start = steps_of(hop).rev().take_while(|s| !matches!(s.action, Action::Start { .. }));
        let closes = after_last_start.into_iter().any(|s| s.role == StepRole::HopComplete && s.gate.is_some());
        if world.any_stop && !closes {
            let text = format!("the hop to {} ends without a gate on the whole cluster", hop.to);
            found.push(Violation::error(Invariant::S4, None, text));
        }
    }
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
    let blind = gate.conditions.iter().find(|c| !["node", "cluster"].iter().any(|word| c.cel.contains(word)));
    blind.map(|c| format!("condition `{}` of gate `{name}` looks at nothing: `{}`", c.name, c.cel))
}
