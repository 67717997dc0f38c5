//! S7: no step acts twice unless its own probe was asked in between, or repeating it harms nothing.

use super::{Act, Check, Looked};
use crate::world::World;
use quorate_engine::Look;
use quorate_model::{Action, RunId, StepId};
use std::collections::BTreeSet;

/// Remembers steps that acted and were not probed since.
#[derive(Default)]
pub(crate) struct Once {
    acted: BTreeSet<(RunId, StepId)>,
}

impl Check for Once {
    fn name(&self) -> (&'static str, &'static str) {
        ("once", "S7")
    }
    fn looked(&mut self, looked: &Looked<'_>, _world: &World) {
        if looked.look == Look::Done {
            self.acted.remove(&(looked.run.clone(), looked.step.id.clone()));
        }
    }
    fn acting(&mut self, act: &Act<'_>, _world: &World) -> Option<String> {
        let harmless = matches!(
            act.step.action,
            Action::Stage { .. }
                | Action::Backup { .. }
                | Action::Verify { .. }
                | Action::TempPutBack { .. }
        );
        let new = self.acted.insert((act.run.clone(), act.step.id.clone()));
        (!new && !harmless)
            .then(|| format!("try {} acts although no probe was asked since the last", act.attempt))
    }
}
