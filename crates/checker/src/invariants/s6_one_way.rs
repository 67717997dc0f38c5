//! S6: before the first one-way door there is a backup that was verified, and an explicit go.
//!
//! Each hop is asked for itself: a copy that the release before the last hop wrote is no way back over this one.

use super::{Invariant, Violation};
use crate::{
    walk::{Visit, Watch, acts, is_outage, steps_of},
    world::World,
};
use quorate_model::{Action, Door, Hop, Plan, PlanKind, StepId, StepRole};

/// Knows where the way back closes in this hop.
#[derive(Default)]
pub(crate) struct OneWay {
    closes_at: Option<StepId>,
}

impl<'p> Watch<'p> for OneWay {
    fn hop_begins(&mut self, plan: &'p Plan, index: usize, _world: &World<'p>, _found: &mut Vec<Violation>) {
        self.closes_at = closing_step(plan, &plan.hops[index]);
    }

    fn step(&mut self, at: &Visit<'p>, world: &World<'p>, found: &mut Vec<Violation>) {
        if self.closes_at.as_ref() != Some(&at.step.id) {
            return;
        }
        let mut broken = |text| found.push(Violation::error(Invariant::S6, at.id(), text));
        // A rollback goes back to a copy that an earlier run took; a new one would hold what is to be left behind.
        if at.plan.kind == PlanKind::Upgrade {
            if world.copies.is_empty() {
                broken(format!("the way back to {} closes here, and no backup was taken in this hop", at.hop.from));
            } else if let Some(copy) = world.copies.iter().find(|copy| !copy.verified) {
                broken(format!("the way back closes here, and backup {} was never verified", copy.backup.file));
            }
        }
        if !world.confirmed {
            broken(format!("the way back to {} closes here, and nobody is asked first", at.hop.from));
        }
    }
}

/// The first step after which the old release cannot run.
fn closing_step(plan: &Plan, hop: &Hop) -> Option<StepId> {
    let stops = |action: &Action| matches!(action, Action::Stop { .. });
    let harms = |action: &Action| {
        acts(action) && !matches!(action, Action::Stage { .. } | Action::Backup { .. } | Action::Verify { .. })
    };
    let by_door = match hop.one_way {
        _ if plan.kind == PlanKind::RollbackRestore => steps_of(hop).position(|s| stops(&s.action)),
        Door::None => None,
        // With everything stopped at once there is no last member: the first stop begins what cannot be half undone.
        Door::LastMember if is_outage(plan, hop) => steps_of(hop).position(|s| stops(&s.action)),
        Door::LastMember => steps_of(hop).rev().find(|s| stops(&s.action)).and_then(|last| steps_of(hop).position(|s| s.id == last.id)),
        Door::Now => steps_of(hop).position(|s| harms(&s.action)),
        Door::Finalize => steps_of(hop).position(|s| s.role == StepRole::Finalize),
    };
    // The question itself and the copy may carry the mark; they close nothing.
    let by_mark = steps_of(hop).position(|s| s.one_way && harms(&s.action));
    let first = by_door.into_iter().chain(by_mark).min()?;
    steps_of(hop).nth(first).map(|step| step.id.clone())
}
