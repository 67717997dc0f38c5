//! S2: at most `max_unavailable` members of a group are down by our doing; voters are always one at a time.
//!
//! That a started member is really back before the next stop is the business of S4.

use super::{Invariant, Violation};
use crate::{
    walk::{Visit, Watch},
    world::{Life, World},
};
use quorate_model::{Action, Plan};

/// Counts members that the plan has stopped and not started again.
pub(crate) struct OneAtATime;

impl<'p> Watch<'p> for OneAtATime {
    fn step(&mut self, at: &Visit<'p>, world: &World<'p>, found: &mut Vec<Violation>) {
        let mut broken = |text| found.push(Violation::error(Invariant::S2, at.id(), text));
        let Action::Stop { node } = &at.step.action else { return };
        let Some(member) = world.member(node) else { return };
        if member.life == Life::Stopped {
            return broken(format!("{node} is stopped a second time before it was started"));
        }
        if at.is_outage() {
            return;
        }
        let down = || world.members.iter().filter(|m| m.life == Life::Stopped);
        if let Some(other) = down().find(|other| other.voter && member.voter) {
            return broken(format!(
                "{node} is stopped while {} is still stopped: voters go one at a time",
                other.name
            ));
        }
        let in_group = down().filter(|other| other.group == member.group).count();
        // How many nodes without a vote are on their way at the same time is `s2_lanes.rs`'s to see.
        let max = if member.client { 1 } else { at.plan.policy.max_unavailable };
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        if in_group + 1 > max {
            broken(format!(
                "{node} would be number {} of its group that is down, {max} may be",
                in_group + 1
            ));
        }
    }

    fn hop_ends(
        &mut self,
        plan: &'p Plan,
        index: usize,
        world: &World<'p>,
        found: &mut Vec<Violation>,
    ) {
        for member in world.members.iter().filter(|member| member.life == Life::Stopped) {
            let hop = &plan.hops[index];
            let text =
                format!("{} is not started again before the hop to {} ends", member.name, hop.to);
            found.push(Violation::error(Invariant::S2, None, text));
        }
    }
}
