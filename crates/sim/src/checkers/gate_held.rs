//! S4: a member that a run started is really back, as often as its gate asks, before the run touches another.

use super::{Act, Check, Looked};
use crate::{product::Product, world::World};
use quorate_engine::Look;
use quorate_model::{Action, Outcome, Plan, RunEvent, RunId, Step, StepId, StepRole};
use std::collections::BTreeMap;

/// Counts good looks by itself, from what really is.
#[derive(Default)]
pub(crate) struct GateHeld {
    /// Members started and not yet proved back, with the looks in a row at which they really were.
    unproved: BTreeMap<(RunId, usize), u32>,
}

impl Check for GateHeld {
    fn name(&self) -> (&'static str, &'static str) {
        ("gate-held", "S4")
    }
    fn looked(&mut self, looked: &Looked<'_>, world: &World) {
        let (Look::Gate | Look::GateOnTheWay, StepRole::Rejoin, Some(gate)) =
            (looked.look, looked.step.role, &looked.step.gate)
        else {
            return;
        };
        let Some(index) = looked.step.node.as_ref().and_then(|node| world.place(node)) else {
            return;
        };
        let key = (looked.run.clone(), index);
        let Some(good) = self.unproved.get_mut(&key) else { return };
        let member = &world.members[index];
        let back = world.healthy(index)
            && member.caught_up()
            && Product::get().rel(&looked.hop.to) == Some(member.runs);
        *good = if back { *good + 1 } else { 0 };
        if *good >= gate.good_looks {
            self.unproved.remove(&key);
        }
    }
    fn appended(
        &mut self,
        run: &RunId,
        plan: &Plan,
        events: &[RunEvent],
        world: &World,
    ) -> Option<String> {
        for event in events {
            // It failed, and is told of: nobody waits for it any more.
            if let RunEvent::LeftBehind { node, .. } = event
                && let Some(index) = world.place(node)
            {
                self.unproved.remove(&(run.clone(), index));
            }
        }
        let finished = events.iter().find_map(|event| match event {
            RunEvent::Finished { step, outcome: Outcome::Succeeded { .. }, .. } => {
                rejoin_of(plan, step)
            }
            _ => None,
        })?;
        let index = finished.node.as_ref().and_then(|node| world.place(node))?;
        let good = self.unproved.remove(&(run.clone(), index))?;
        let name = &world.members[index].name;
        Some(format!(
            "the gate of {name} counts as held, but only {good} good looks in a row were there to see"
        ))
    }
    fn acting(&mut self, act: &Act<'_>, world: &World) -> Option<String> {
        let touched = act.node().and_then(|node| world.place(node));
        if !matches!(
            act.step.action,
            Action::Stop { .. } | Action::Swap { .. } | Action::Start { .. }
        ) {
            return None;
        }
        // Clients move beside each other; whoever has a part in the quorum waits for everybody.
        let beside = touched.is_some_and(|index| world.members[index].client);
        let other = self.unproved.keys().find(|(run, index)| {
            let waits = !(beside && world.members[*index].client);
            run == act.run && Some(*index) != touched && waits
        })?;
        Some(format!(
            "goes on to another member, and {} was not seen back",
            world.members[other.1].name
        ))
    }
    fn acted(&mut self, act: &Act<'_>, world: &World) -> Option<String> {
        if let Action::Start { node, .. } = &act.step.action {
            let index = world.place(node)?;
            self.unproved.insert((act.run.clone(), index), 0);
        }
        None
    }
}

fn rejoin_of<'p>(plan: &'p Plan, step: &StepId) -> Option<&'p Step> {
    // Ids end in what the step is for; only those that end so are searched for in the plan.
    let steps = plan.hops.iter().flat_map(|hop| &hop.waves).flat_map(|wave| &wave.steps);
    steps.filter(|own| own.role == StepRole::Rejoin).find(|own| own.id == *step)
}
