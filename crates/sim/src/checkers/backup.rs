//! S6: before the last member leaves the old release there is a verified copy taken on it, and a person said yes.

use super::{Act, Check};
use crate::{product::Product, world::World};
use quorate_model::{Action, Door, Plan, RunEvent, RunId, StepRole};
use std::collections::BTreeSet;

/// Looks at copies and answers when a door closes.
#[derive(Default)]
pub(crate) struct BackedUp {
    /// Runs and hops for which a person said yes.
    agreed: BTreeSet<(RunId, usize)>,
}

impl Check for BackedUp {
    fn name(&self) -> (&'static str, &'static str) {
        ("backed-up", "S6")
    }
    fn appended(
        &mut self,
        run: &RunId,
        plan: &Plan,
        events: &[RunEvent],
        _world: &World,
    ) -> Option<String> {
        for event in events {
            let RunEvent::Approved { step, .. } = event else { continue };
            let asks = |hop: &quorate_model::Hop| {
                hop.waves
                    .iter()
                    .flat_map(|w| &w.steps)
                    .any(|s| s.id == *step && s.role == StepRole::Go)
            };
            if let Some(hop) = plan.hops.iter().position(asks) {
                self.agreed.insert((run.clone(), hop));
            }
        }
        None
    }
    fn acting(&mut self, act: &Act<'_>, world: &World) -> Option<String> {
        let Action::Stop { node } = &act.step.action else { return None };
        let (product, index) = (Product::get(), world.place(node)?);
        let (from, to) = (product.rel(&act.hop.from)?, product.rel(&act.hop.to)?);
        let others = || world.members.iter().enumerate().filter(|(i, m)| *i != index && !m.client);
        let closes = act.hop.one_way == Door::LastMember
            && !world.members[index].client
            && world.members[index].runs != to
            && others().all(|(_, member)| member.runs == to);
        if !closes {
            return None;
        }
        if !world
            .copies
            .iter()
            .any(|copy| copy.verified && product.line(copy.release) == product.line(from))
        {
            return Some(format!(
                "the way back to {} closes with {node}, no verified copy exists",
                act.hop.from
            ));
        }
        let hop = act.plan.hops.iter().position(|hop| hop.to == act.hop.to)?;
        let agreed = self.agreed.contains(&(act.run.clone(), hop));
        (!agreed).then(|| {
            format!("the way back to {} closes with {node}, nobody said yes", act.hop.from)
        })
    }
}
