//! Intent is in the journal before the act.

use super::{Act, Check};
use crate::world::World;
use quorate_model::{Attempt, Plan, RunEvent, RunId, StepId};
use std::collections::BTreeSet;

/// Remembers the intents that are durable.
#[derive(Default)]
pub(crate) struct IntentFirst {
    started: BTreeSet<(RunId, StepId, Attempt)>,
}

impl Check for IntentFirst {
    fn name(&self) -> (&'static str, &'static str) {
        ("intent-first", "journal")
    }
    fn appended(
        &mut self,
        run: &RunId,
        _plan: &Plan,
        events: &[RunEvent],
        _world: &World,
    ) -> Option<String> {
        for event in events {
            if let RunEvent::Started { step, attempt } = event {
                self.started.insert((run.clone(), step.clone(), *attempt));
            }
        }
        None
    }
    fn acting(&mut self, act: &Act<'_>, _world: &World) -> Option<String> {
        let known = self.started.contains(&(act.run.clone(), act.step.id.clone(), act.attempt));
        (!known).then(|| format!("try {} acts before its intent is in the journal", act.attempt))
    }
}
