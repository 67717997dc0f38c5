//! The failure budget: once more clients failed than the policy allows, a run stops nobody more until a person has looked.

use super::{Act, Check};
use crate::world::World;
use quorate_model::{Action, Plan, RunEvent, RunId};
use std::collections::BTreeMap;

/// Counts the clients that a run left behind since it last halted.
#[derive(Default)]
pub(crate) struct Budget {
    failed: BTreeMap<RunId, u32>,
}

impl Check for Budget {
    fn name(&self) -> (&'static str, &'static str) {
        ("failure-budget", "S2")
    }
    fn appended(
        &mut self,
        run: &RunId,
        _plan: &Plan,
        events: &[RunEvent],
        _world: &World,
    ) -> Option<String> {
        let failed = self.failed.entry(run.clone()).or_default();
        for event in events {
            match event {
                RunEvent::LeftBehind { .. } => *failed += 1,
                RunEvent::Retried { nodes } => {
                    *failed = failed.saturating_sub(u32::try_from(nodes.len()).unwrap_or(0));
                }
                RunEvent::Halted { .. } => *failed = 0,
                _ => {}
            }
        }
        None
    }
    fn acting(&mut self, act: &Act<'_>, world: &World) -> Option<String> {
        let Action::Stop { node } = &act.step.action else { return None };
        let failed = self.failed.get(act.run).copied().unwrap_or(0);
        let budget = act.plan.policy.client_failure_budget.of(world.clients().count());
        (failed > budget)
            .then(|| format!("{node} is stopped after {failed} clients failed, {budget} may"))
    }
}
