//! S1: no member is stopped unless, with it gone, the healthy voters that remain still form a quorum.
//!
//! A member that was down when the plan was made counts as down. An outage is a plan's own wish: it needs a policy that allows
//! it and a person who said yes before the first stop. Putting a backup back is an outage that the person asked for by name,
//! so there the yes is enough.

use super::{Invariant, Violation};
use crate::{
    walk::{Visit, Watch},
    world::World,
};
use quorate_model::Action;

/// Counts voters at every stop.
pub(crate) struct Quorum;

impl<'p> Watch<'p> for Quorum {
    fn step(&mut self, at: &Visit<'p>, world: &World<'p>, found: &mut Vec<Violation>) {
        let Action::Stop { node } = &at.step.action else { return };
        let (left, need) = (world.serving_without(node), world.quorum());
        if left >= need && !at.is_outage() {
            return;
        }
        let allowed = at.plan.policy.allow_outage || at.plan.kind.puts_data_back();
        let because = match (allowed, world.ever_confirmed, at.plan.outage.is_zero()) {
            (false, _, _) => "the policy allows no outage",
            (true, false, _) => "nobody is asked before the outage",
            (true, true, true) => "the plan does not say that it causes an outage",
            (true, true, false) => return,
        };
        let text = format!(
            "with {node} stopped {left} healthy voters remain, {need} are needed, and {because}"
        );
        found.push(Violation::error(Invariant::S1, at.id(), text));
    }
}
