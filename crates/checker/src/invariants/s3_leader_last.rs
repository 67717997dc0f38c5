//! S3: the leader goes last in each hop, and leadership is handed over before it stops, where the product can.
//!
//! Whether the product can is read from the plan: a hop with no handover at all belongs to a release that has none.
//! A handover from a member that does not lead finds that it has already happened, so a plan may ask it of everybody.
//! After a stop without handover the members elect a leader that no plan can name: from then on each of them may be it.

use super::{Invariant, Violation};
use crate::{
    walk::{Visit, Watch, is_outage, steps_of},
    world::{World, handover_target},
};
use quorate_model::{Action, Hop, NodeName, Plan, StepRole};

/// Follows leadership through a hop.
#[derive(Default)]
pub(crate) struct LeaderLast<'p> {
    /// The leader when the hop began.
    first: Option<&'p NodeName>,
    /// The last voter that the hop stops.
    last_stop: Option<&'p NodeName>,
    can_hand_over: bool,
}

impl<'p> Watch<'p> for LeaderLast<'p> {
    fn hop_begins(
        &mut self,
        plan: &'p Plan,
        index: usize,
        world: &World<'p>,
        found: &mut Vec<Violation>,
    ) {
        let hop = &plan.hops[index];
        self.first = world.leadership.only();
        self.last_stop = last_stop(hop, world);
        self.can_hand_over = steps_of(hop).any(|step| step.role == StepRole::Handover);
        if world.leadership.unseen && self.last_stop.is_some() && !is_outage(plan, hop) {
            let text = "no leader was seen, so nobody can say that it goes last";
            found.push(Violation::error(Invariant::S3, None, text));
        }
    }

    fn step(&mut self, at: &Visit<'p>, world: &World<'p>, found: &mut Vec<Violation>) {
        if at.is_outage() {
            return;
        }
        let mut broken = |text| found.push(Violation::error(Invariant::S3, at.id(), text));
        if at.step.role == StepRole::Handover
            && at.node().is_some_and(|from| world.leadership.may_be(from))
        {
            match handover_target(at.step, world).and_then(|name| world.member(name)) {
                None => broken(
                    "the handover does not say in a `leader` condition who leads afterwards"
                        .to_owned(),
                ),
                Some(to) if !to.voter || !to.serves() => {
                    broken(format!(
                        "leadership goes to {}, which is no healthy voter then",
                        to.name
                    ));
                }
                Some(_) => {}
            }
        }
        let Action::Stop { node } = &at.step.action else { return };
        if self.first == Some(node) && self.last_stop != Some(node) {
            broken(format!("{node} leads when the hop begins and is not stopped last"));
        } else if self.can_hand_over && world.voters() > 1 && world.leadership.may_be(node) {
            broken(format!("{node} may lead and is stopped without a handover"));
        }
    }
}

/// The last voter that the hop stops; clients and routers, which come later, do not lead.
fn last_stop<'p>(hop: &'p Hop, world: &World<'p>) -> Option<&'p NodeName> {
    let voter = |node: &NodeName| world.member(node).is_some_and(|member| member.voter);
    steps_of(hop).rev().find_map(|step| match &step.action {
        Action::Stop { node } if voter(node) && !world.has_happened(step) => Some(node),
        _ => None,
    })
}
