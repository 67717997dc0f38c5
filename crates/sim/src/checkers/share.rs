//! S2: no more clients are down by a run's doing than the policy's share of them.

use super::{Act, Check};
use crate::world::World;
use quorate_model::{Action, HopKind, NodeName, RunId};
use std::collections::BTreeSet;

/// Counts the clients that a run has stopped and that have not served since.
#[derive(Default)]
pub(crate) struct ClientShare {
    stopped: BTreeSet<(RunId, NodeName)>,
}

impl Check for ClientShare {
    fn name(&self) -> (&'static str, &'static str) {
        ("client-share", "S2")
    }
    fn acting(&mut self, act: &Act<'_>, world: &World) -> Option<String> {
        let Action::Stop { node } = &act.step.action else { return None };
        let index = world.place(node).filter(|_| act.hop.kind == HopKind::Rolling)?;
        let own = &world.members[index];
        // Whoever does not serve is not missed.
        if !own.client || !own.takes_part() {
            return None;
        }
        let ours = |name: &NodeName| self.stopped.contains(&(act.run.clone(), name.clone()));
        let others = world.clients().filter(|other| other.name != *node);
        let down = others.filter(|other| other.down_by_us && ours(&other.name)).count();
        self.stopped.insert((act.run.clone(), node.clone()));
        let all = world.clients().count();
        let most = act.plan.policy.client_wave.of(all).max(1);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        (down + 1 > most).then(|| {
            format!(
                "{node} would be client number {} that is down, {most} of {all} may be",
                down + 1
            )
        })
    }
}
