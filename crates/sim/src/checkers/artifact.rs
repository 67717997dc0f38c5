//! S9: what runs is what was planned, byte for byte.

use super::{Act, Check};
use crate::{product::Product, world::World};
use quorate_model::Action;

/// Looks at the live files after every swap and start.
pub(crate) struct Planned;

impl Check for Planned {
    fn name(&self) -> (&'static str, &'static str) {
        ("planned-artifact", "S9")
    }
    fn acted(&mut self, act: &Act<'_>, world: &World) -> Option<String> {
        let (node, want) = match &act.step.action {
            Action::Swap { node, to, .. } => (node, &to.release),
            Action::Start { node, expect } => (node, expect),
            _ => return None,
        };
        let member = &world.members[world.place(node)?];
        if member.live_damaged {
            return Some(format!("the live file of {node} has another digest than the plan's"));
        }
        let live = Product::get().releases.get(member.live)?;
        (live != want)
            .then(|| format!("the live files of {node} are those of {live}, the plan says {want}"))
    }
}
