//! S2: clients and members with a part in the quorum are never on their way together.

use super::{Act, Check};
use crate::world::World;
use quorate_model::{Action, NodeName, Outcome, Plan, RunEvent, RunId, StepRole};
use std::collections::BTreeSet;

/// Remembers who was stopped by a run and is not back.
#[derive(Default)]
pub(crate) struct Apart {
    on_their_way: BTreeSet<(RunId, NodeName)>,
}

impl Check for Apart {
    fn name(&self) -> (&'static str, &'static str) {
        ("apart", "S2")
    }
    fn appended(
        &mut self,
        run: &RunId,
        plan: &Plan,
        events: &[RunEvent],
        _world: &World,
    ) -> Option<String> {
        for event in events {
            let back = match event {
                RunEvent::Finished { step, outcome: Outcome::Succeeded { .. }, .. } => {
                    let steps = plan.hops.iter().flat_map(|hop| &hop.waves);
                    let mut steps = steps.flat_map(|wave| &wave.steps);
                    let own = steps.find(|own| own.id == *step);
                    own.filter(|own| own.role == StepRole::Rejoin).and_then(|own| own.node.as_ref())
                }
                RunEvent::LeftBehind { node, .. } => Some(node),
                _ => None,
            };
            if let Some(node) = back {
                self.on_their_way.remove(&(run.clone(), node.clone()));
            }
        }
        None
    }
    fn acting(&mut self, act: &Act<'_>, world: &World) -> Option<String> {
        let Action::Stop { node } = &act.step.action else { return None };
        let is_client =
            |node: &NodeName| world.place(node).is_some_and(|at| world.members[at].client);
        let other = self.on_their_way.iter().find(|(run, other)| {
            run == act.run && other != node && is_client(other) != is_client(node)
        });
        let text = other.map(|(_, other)| format!("{node} is stopped while {other} is on its way"));
        self.on_their_way.insert((act.run.clone(), node.clone()));
        text
    }
}
