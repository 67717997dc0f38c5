//! S6: before the first one-way door there is a backup that was verified, and an explicit go.
//!
//! Each hop is asked for itself: a copy that the release before the last hop wrote is no way back over this one.

use super::{Invariant, Violation};
use crate::{
    walk::{Visit, Watch, acted_on, acts, is_outage, steps_of},
    world::{Copy, World},
};
use quorate_model::{
    Action, BACKUP_WHOLE, Backup, Door, Hop, Plan, PlanKind, Step, StepId, StepRole,
};
use std::collections::BTreeSet;

/// Knows where the way back closes in this hop.
#[derive(Default)]
pub(crate) struct OneWay<'p> {
    closes_at: Option<StepId>,
    /// Names of copies, of the whole plan.
    files: BTreeSet<&'p str>,
}

impl<'p> Watch<'p> for OneWay<'p> {
    fn hop_begins(
        &mut self,
        plan: &'p Plan,
        index: usize,
        world: &World<'p>,
        _found: &mut Vec<Violation>,
    ) {
        self.closes_at = closing_step(plan, &plan.hops[index], world);
    }

    fn step(&mut self, at: &Visit<'p>, world: &World<'p>, found: &mut Vec<Violation>) {
        if let Action::Backup { backup } = &at.step.action
            && !self.files.insert(&backup.file)
        {
            let text =
                format!("another copy is kept as {}: it would be taken for this one", backup.file);
            found.push(Violation::error(Invariant::S6, at.id(), text));
        }
        if let Some(text) = blind(at, world) {
            found.push(Violation::error(Invariant::S6, at.id(), text));
        }
        if self.closes_at.as_ref() != Some(&at.step.id) {
            return;
        }
        let mut broken = |text| found.push(Violation::error(Invariant::S6, at.id(), text));
        // A rollback goes back to a copy that an earlier run took; a new one would hold what is to be left behind.
        if matches!(at.plan.kind, PlanKind::Upgrade | PlanKind::Restart | PlanKind::Recover) {
            if world.copies.is_empty() {
                broken(format!(
                    "the way back to {} closes here, and no backup was taken in this hop",
                    at.hop.from
                ));
            } else if let Some(copy) = world.copies.iter().find(|copy| !proved(copy, world)) {
                broken(format!(
                    "the way back closes here, and backup {} was never verified",
                    copy.backup.file
                ));
            }
        }
        if !world.confirmed {
            broken(format!(
                "the way back to {} closes here, and nobody is asked first",
                at.hop.from
            ));
        }
    }
}

/// A copy was restored and compared, or what was made of it was.
fn proved(copy: &Copy<'_>, world: &World<'_>) -> bool {
    let of_it = |other: &&Copy<'_>| other.backup.made_of.as_ref() == Some(&copy.backup.file);
    copy.verified || world.copies.iter().filter(of_it).any(|made| made.verified)
}

/// Where data are put back nobody stops before the copy was read again, and the plan says what it must be, or takes and proves
/// it itself.
fn blind(at: &Visit<'_>, world: &World<'_>) -> Option<String> {
    if !at.exchanges_data() {
        return None;
    }
    // What a conversion makes is made after the stops; a folder that comes back is no copy.
    let restores = steps_of(at.hop).any(|step| matches!(step.action, Action::Restore { .. }));
    let asked_late = at.hop.conversion.is_some() || !restores;
    let proved_here = |backup: &Backup| {
        world.copies.iter().any(|copy| copy.verified && copy.backup.file == backup.file)
    };
    let asks = || at.step.precheck.iter().any(|one| one.name == BACKUP_WHOLE);
    match &at.step.action {
        Action::Stop { node } if !asked_late && !asks() => {
            Some(format!("{node} stops before anybody has read the copy that it is to get"))
        }
        Action::Restore { backup, .. } if backup.sha256.is_none() && !proved_here(backup) => {
            Some(format!("the plan does not say what {} must be", backup.file))
        }
        _ => None,
    }
}

/// The first step after which the old release cannot run.
fn closing_step(plan: &Plan, hop: &Hop, world: &World<'_>) -> Option<StepId> {
    let steps: Vec<&Step> = steps_of(hop).filter(|step| !world.has_happened(step)).collect();
    let is_client = |step: &Step| {
        let member = acted_on(&step.action).and_then(|node| world.member(node));
        member.is_some_and(|member| member.client)
    };
    let first_stop = || steps.iter().position(|step| stops(step));
    let by_door = match hop.one_way {
        _ if plan.kind.puts_data_back() => first_stop(),
        Door::None => None,
        // With everything stopped at once there is no last member: the first stop begins what cannot be half undone.
        Door::LastMember if is_outage(plan, hop) => first_stop(),
        // Nodes without a vote hold no data: the door is the servers'.
        Door::LastMember => steps.iter().rposition(|step| stops(step) && !is_client(step)),
        Door::Now => steps.iter().position(|step| changes(step)),
        Door::Finalize => steps.iter().position(|step| step.role == StepRole::Finalize),
    };
    // The question itself and the copy may carry the mark; they close nothing.
    let by_mark = steps.iter().position(|step| step.one_way && changes(step));
    let first = by_door.into_iter().chain(by_mark).min()?;
    steps.get(first).map(|step| step.id.clone())
}

fn stops(step: &Step) -> bool {
    matches!(step.action, Action::Stop { .. })
}

/// Whether the step changes a member or its data: staging, copying, comparing and a change of leader do not.
fn changes(step: &Step) -> bool {
    let beside =
        matches!(step.action, Action::Stage { .. } | Action::Backup { .. } | Action::Verify { .. });
    acts(&step.action) && !beside && step.role != StepRole::Handover
}
