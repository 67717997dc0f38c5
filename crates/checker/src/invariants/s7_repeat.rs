//! S7: no step runs twice unless its own probe said that it had not happened.
//!
//! In a plan: ids are unique, and every step that is not harmless to repeat says how to see that it has happened.

use super::{Invariant, Violation};
use crate::{
    walk::{Visit, Watch},
    world::World,
};
use quorate_model::{Action, Condition, HELD_BACK, StepId, StepRole};
use std::collections::BTreeSet;

/// Remembers the ids seen so far.
#[derive(Default)]
pub(crate) struct Repeat<'p> {
    seen: BTreeSet<&'p StepId>,
}

impl<'p> Watch<'p> for Repeat<'p> {
    fn step(&mut self, at: &Visit<'p>, _world: &World<'p>, found: &mut Vec<Violation>) {
        let step = at.step;
        if !self.seen.insert(&step.id) {
            found.push(Violation::error(
                Invariant::S7,
                at.id(),
                format!("two steps are named {}", step.id),
            ));
        }
        let probe = step.done.as_ref().filter(|done| can_tell(done, &step.action));
        // A question in the role of a proof compares, and changes nothing.
        // One in the role of a restore writes the same values again.
        let asks = matches!(step.role, StepRole::Verify | StepRole::Precheck | StepRole::Restore)
            && matches!(step.action, Action::Call { .. });
        if probe.is_none() && !asks && !harmless_to_repeat(&step.action) {
            let text = "has no probe that tells whether it has already happened, and is not harmless to repeat";
            found.push(Violation::error(Invariant::S7, at.id(), text));
        }
    }
}

/// Whether the probe can tell: by its expression, or by looking at the host itself for what this very action leaves there.
fn can_tell(done: &Condition, action: &Action) -> bool {
    let on_host = match action {
        Action::Stop { .. } => "stopped",
        Action::Swap { .. } => "swapped",
        Action::TempSet { .. } => HELD_BACK,
        Action::Start { .. } => "started",
        Action::Restore { .. } => "restored",
        Action::SetAside { .. } => "set-aside",
        Action::BringBack { .. } => "brought-back",
        Action::List { .. } => "listed",
        _ => return !done.cel.trim().is_empty(),
    };
    !done.cel.trim().is_empty() || done.name == on_host
}

/// Whether doing it twice gives the same as doing it once, whatever happened in between.
fn harmless_to_repeat(action: &Action) -> bool {
    match action {
        // Looking and asking change nothing; staging, copying and comparing write the same files again; the ledger pays once;
        // what stops or starts an application may be said twice, as the fleet file asks of it.
        Action::Look
        | Action::Confirm { .. }
        | Action::Stage { .. }
        | Action::Backup { .. }
        | Action::Verify { .. }
        | Action::StandStill { .. }
        | Action::Switch { .. }
        // What is gone is gone.
        | Action::Clear { .. }
        | Action::TempPutBack { .. } => true,
        Action::Call { .. }
        | Action::TempSet { .. }
        | Action::Stop { .. }
        | Action::Swap { .. }
        | Action::Start { .. }
        | Action::Restore { .. }
        | Action::Membership { .. }
        | Action::SetAside { .. }
        | Action::BringBack { .. }
        | Action::List { .. } => false,
    }
}
