//! S2: voters are down by our doing one at a time.

use super::{Act, Check};
use crate::world::World;
use quorate_model::{Action, HopKind};

/// Looks for another voter that a controller stopped and that has not served since.
pub(crate) struct OneDown;

impl Check for OneDown {
    fn name(&self) -> (&'static str, &'static str) {
        ("one-down", "S2")
    }
    fn acting(&mut self, act: &Act<'_>, world: &World) -> Option<String> {
        let Action::Stop { node } = &act.step.action else { return None };
        let index = world.place(node).filter(|_| act.hop.kind == HopKind::Rolling)?;
        if !world.members[index].voter || !world.takes_part(index) {
            return None;
        }
        let other = world
            .members
            .iter()
            .find(|other| other.voter && other.down_by_us && other.name != *node)?;
        Some(format!("{node} is stopped while {} is still down by our doing", other.name))
    }
}
