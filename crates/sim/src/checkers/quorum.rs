//! S1: our act never takes the quorum away.

use super::{Act, Check};
use crate::world::World;
use quorate_model::{Action, HopKind};

/// Counts the voters that really serve at every stop.
pub(crate) struct Quorum;

impl Check for Quorum {
    fn name(&self) -> (&'static str, &'static str) {
        ("quorum", "S1")
    }
    fn acting(&mut self, act: &Act<'_>, world: &World) -> Option<String> {
        let Action::Stop { node } = &act.step.action else { return None };
        let index = world.place(node)?;
        // Whoever does not serve is not missed; an outage is asked for and allowed.
        if !world.members[index].voter
            || !world.takes_part(index)
            || act.hop.kind != HopKind::Rolling
        {
            return None;
        }
        let (left, need) = (world.serving_voters().saturating_sub(1), world.quorum());
        (left < need).then(|| format!("{node} is stopped, {left} voters remain, {need} are needed"))
    }
}
