//! Changes of who belongs to the cluster: S1, S2, S4, S5 and S10 as they apply to a member that goes or comes back.
//!
//! One member a plan. It leaves only when it does not serve, and what remains forms a quorum of healthy voters in the cluster as
//! it was and as it will be. It comes back with its data aside, on a release that runs, and gets its vote (and clients get it)
//! only after gates saw it.

use super::{Invariant, Violation};
use crate::{
    walk::{Visit, Watch},
    world::{Life, Member, World},
};
use quorate_model::{Action, MemberChange, NodeName, Plan, PlanKind};

/// Fewest voters that may remain: with one, the next failure is the end of the data.
const REMAIN_MIN: usize = 2;

/// Follows the one member that changes.
#[derive(Default)]
pub(crate) struct Membership<'p> {
    changed: Option<&'p NodeName>,
    listed: bool,
}

impl<'p> Watch<'p> for Membership<'p> {
    fn step(&mut self, at: &Visit<'p>, world: &World<'p>, found: &mut Vec<Violation>) {
        let mut broken = |invariant, text| found.push(Violation::error(invariant, at.id(), text));
        let node = match &at.step.action {
            Action::Membership { node, .. }
            | Action::SetAside { node }
            | Action::List { node, .. }
            | Action::Start { node, .. }
            | Action::Stop { node }
                if at.plan.kind.is_membership() =>
            {
                node
            }
            Action::Membership { .. } | Action::SetAside { .. } | Action::List { .. } => {
                return broken(
                    Invariant::S2,
                    "changes who belongs to the cluster in a plan that is not for it".to_owned(),
                );
            }
            _ => return,
        };
        if self.changed.is_some_and(|changed| changed != node) {
            broken(Invariant::S2, format!("touches {node}, the second member of this plan"));
        }
        self.changed = Some(node);
        let Some(member) = world.member(node) else { return };
        self.listed |= matches!(at.step.action, Action::List { .. });
        let found = match &at.step.action {
            Action::Membership { change, call, .. } => {
                let mut found = unproved(at.plan.kind, *change, member, world);
                let speaks = world.member(&call.node).is_some_and(|m| m.voter && m.serves());
                if call.node == *node || !speaks {
                    let text =
                        format!("is said through {}, which is no other healthy voter", call.node);
                    found.push((Invariant::S1, text));
                }
                found
            }
            other => too_early(other, member).into_iter().collect(),
        };
        for (invariant, text) in found {
            broken(invariant, text);
        }
    }

    fn hop_ends(
        &mut self,
        plan: &'p Plan,
        index: usize,
        world: &World<'p>,
        found: &mut Vec<Violation>,
    ) {
        if !plan.kind.is_membership() {
            return;
        }
        let mut broken = |invariant, text| found.push(Violation::error(invariant, None, text));
        if !self.listed {
            broken(Invariant::S4, "the list that clients get is left as it was".to_owned());
        }
        let hop = &plan.hops[index];
        if hop.from != hop.to {
            broken(
                Invariant::S5,
                format!("{} -> {}: nobody changes the release here", hop.from, hop.to),
            );
        }
        let others = world.members.iter().filter(|m| m.serves() && !m.started);
        let lowest = others.filter_map(|member| member.release).min();
        if lowest.is_some_and(|lowest| *lowest != hop.to) && plan.kind == PlanKind::Rejoin {
            broken(
                Invariant::S5,
                format!("who joins runs {}, which is not the lowest release that runs", hop.to),
            );
        }
    }
}

/// What a step does to the member before it may.
fn too_early(action: &Action, member: &Member<'_>) -> Option<(Invariant, String)> {
    let node = member.name;
    let back = member.voter && member.life == Life::Up;
    match action {
        Action::SetAside { .. } if member.voter || member.serves() => {
            Some((Invariant::S10, format!("moves the data of {node} aside while it is a member")))
        }
        Action::Start { .. } if !member.joined => {
            Some((Invariant::S4, format!("{node} is started before the cluster was told of it")))
        }
        Action::List { out: Some(_), .. } if member.life != Life::Out => {
            Some((Invariant::S4, format!("clients lose {node} before it has left the cluster")))
        }
        Action::List { out: None, .. } if !back => Some((
            Invariant::S4,
            format!("clients get {node} before it was seen back with its vote"),
        )),
        _ => None,
    }
}

/// What is not proved of one change.
fn unproved(
    kind: PlanKind,
    change: MemberChange,
    member: &Member<'_>,
    world: &World<'_>,
) -> Vec<(Invariant, String)> {
    let node = member.name;
    let (others, serving) =
        (world.voters() - usize::from(member.voter), world.serving_without(node));
    let mut found = Vec::new();
    let fits = if kind == PlanKind::Eject {
        change == MemberChange::Leave
    } else {
        change != MemberChange::Leave
    };
    if !fits {
        found.push((Invariant::S2, format!("{change:?} of {node} is not what this plan is for")));
    }
    let mut quorum = |voters: usize, well: usize| {
        let need = voters / 2 + 1;
        if well < need {
            let text = format!(
                "with {node} changed {well} healthy voters of {voters} are left, {need} are needed"
            );
            found.push((Invariant::S1, text));
        }
    };
    match change {
        MemberChange::Leave => {
            quorum(world.voters(), serving);
            quorum(others, serving);
            if member.voter && others < REMAIN_MIN {
                let text =
                    format!("without {node} there are {others} voters, {REMAIN_MIN} must remain");
                found.push((Invariant::S1, text));
            }
            if member.serves() {
                found.push((Invariant::S1, format!("{node} leaves while it serves")));
            }
        }
        MemberChange::Join | MemberChange::JoinAsLearner => {
            quorum(others + usize::from(change == MemberChange::Join), serving);
            if member.voter {
                found.push((Invariant::S2, format!("{node} joins and has a vote already")));
            }
            if !member.aside {
                let text = format!("{node} joins with the data that it had");
                found.push((Invariant::S10, text));
            }
        }
        MemberChange::Promote => {
            quorum(others + 1, serving + 1);
            if !member.joined || member.life != Life::Up {
                let text = format!("{node} gets its vote before it was seen caught up");
                found.push((Invariant::S4, text));
            }
        }
    }
    found
}
