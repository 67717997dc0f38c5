//! S3: nobody who leads is stopped while somebody else could lead: leadership is handed over first.

use super::{Act, Check};
use crate::world::World;
use quorate_model::{Action, HopKind};

/// Looks who really leads at every stop.
pub(crate) struct LeaderLast;

impl Check for LeaderLast {
    fn name(&self) -> (&'static str, &'static str) {
        ("leader-last", "S3")
    }
    fn acting(&mut self, act: &Act<'_>, world: &World) -> Option<String> {
        let Action::Stop { node } = &act.step.action else { return None };
        let index = world.place(node).filter(|_| act.hop.kind == HopKind::Rolling)?;
        if world.leader != Some(index) {
            return None;
        }
        let could = |i: &usize| *i != index && world.members[*i].voter && world.takes_part(*i);
        let other = (0..world.members.len()).find(could)?;
        Some(format!("{node} leads and is stopped, {} could have led", world.members[other].name))
    }
}
