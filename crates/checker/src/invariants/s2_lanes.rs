//! S2 for nodes without a vote: they move beside each other within their share, and never beside a server.
//!
//! Each lane is stop, swap, start, rejoin, soak of one node; how many lanes a wave has, and how many nodes may fail, is what
//! the policy says of the group; upward they come after every server of the hop, on the way back before.

use super::{Invariant, Violation};
use crate::{
    walk::{Visit, Watch, acted_on, steps_of},
    world::{Member, World},
};
use quorate_model::{
    Action, CallKind, GroupName, HOLD_BACK, Hop, Lanes as Limits, NodeName, Plan, SERVERS_WELL,
    Share, Step, StepRole, Wave,
};

/// Looks at every wave with lanes before its hop begins.
pub(crate) struct Lanes;

/// Finds what is wrong with one hop.
struct Search<'f, 'w, 'p> {
    plan: &'p Plan,
    hop: &'p Hop,
    world: &'w World<'p>,
    found: &'f mut Vec<Violation>,
}

impl<'p> Watch<'p> for Lanes {
    fn hop_begins(
        &mut self,
        plan: &'p Plan,
        index: usize,
        world: &World<'p>,
        found: &mut Vec<Violation>,
    ) {
        let hop = &plan.hops[index];
        let mut search = Search { plan, hop, world, found };
        for wave in &hop.waves {
            match &wave.lanes {
                Some(limits) => search.wave(wave, limits),
                None => search.alone(wave),
            }
        }
        search.order();
    }

    fn step(&mut self, _at: &Visit<'p>, _world: &World<'p>, _found: &mut Vec<Violation>) {}
}

impl<'p> Search<'_, '_, 'p> {
    fn broken(&mut self, invariant: Invariant, step: &Step, text: String) {
        self.found.push(Violation::error(invariant, Some(step.id.clone()), text));
    }

    fn is_client(&self, node: &NodeName) -> bool {
        self.world.member(node).is_some_and(|member| member.client)
    }

    fn wave(&mut self, wave: &'p Wave, limits: &Limits) {
        let Some(first) = wave.steps.first() else { return };
        let lanes = wave.lane_places();
        let of_group = |m: &&Member<'_>| m.client && m.group == limits.group.as_str();
        let size = self.world.members.iter().filter(of_group).count();
        let stops = wave.steps.iter().any(|step| matches!(step.action, Action::Stop { .. }));
        let most = share(self.plan.policy.client_wave, size).max(1);
        if stops && (limits.at_most > most || count(lanes.len()) > most) {
            let text = format!(
                "{} of {} move at the same time, limited to {}: {} of {size} allows {most}",
                lanes.len(),
                limits.group,
                limits.at_most,
                self.plan.policy.client_wave
            );
            self.broken(Invariant::S2, first, text);
        }
        let budget = share(self.plan.policy.client_failure_budget, size);
        if limits.failures > budget {
            let text = format!(
                "{} of {} may fail, {} of {size} allows {budget}",
                limits.failures, limits.group, self.plan.policy.client_failure_budget
            );
            self.broken(Invariant::S2, first, text);
        }
        for lane in lanes {
            let steps: Vec<&Step> = lane.iter().map(|at| &wave.steps[*at]).collect();
            self.lane(&steps, &limits.group);
        }
    }

    /// One node's way: nothing but its own steps, each once, in the legal order.
    fn lane(&mut self, steps: &[&'p Step], group: &GroupName) {
        let Some(first) = steps.first() else { return };
        let Some(node) = &first.node else {
            return self.broken(Invariant::S2, first, "a lane names no node".to_owned());
        };
        if !self.is_client(node) {
            let text = format!("{node} moves beside others and is no node without a vote");
            self.broken(Invariant::S2, first, text);
        } else if self.world.member(node).is_some_and(|m| m.group != group.as_str()) {
            self.broken(Invariant::S2, first, format!("{node} is not of group {group}"));
        }
        for step in steps {
            if acted_on(&step.action).is_some_and(|other| other != node) {
                self.broken(Invariant::S2, step, format!("the lane of {node} touches another"));
            }
        }
        let moving = steps.iter().filter(|step| !holds_back(step, steps));
        let places: Option<Vec<usize>> = moving.map(|step| place(step)).collect();
        let Some(places) = places else {
            let text = format!("the lane of {node} does what belongs to no lane");
            return self.broken(Invariant::S4, first, text);
        };
        let moves: &[&[usize]] = &[&[0], &[1, 2, 3, 4], &[1, 2, 3, 4, 5]];
        if !moves.contains(&places.as_slice()) {
            let text = format!("the lane of {node} is not stop, swap, start, rejoin in this order");
            self.broken(Invariant::S4, first, text);
        }
        for step in steps {
            let asks = || {
                let mut asked = step.precheck.iter();
                asked.any(|one| one.name == SERVERS_WELL && one.cel.contains("healthy"))
            };
            if matches!(step.action, Action::Stop { .. }) && !asks() {
                let text = format!("{node} stops without a look at the servers");
                self.broken(Invariant::S4, step, text);
            }
            let looks = matches!(step.role, StepRole::Rejoin | StepRole::Soak);
            if looks && step.gate.is_none() {
                self.broken(Invariant::S4, step, format!("nothing is asked of {node}"));
            }
        }
    }

    /// A server's wave is its own: no client stops in it.
    fn alone(&mut self, wave: &'p Wave) {
        let stopped = |step: &&Step| matches!(step.action, Action::Stop { .. });
        let stops: Vec<&Step> = wave.steps.iter().filter(stopped).collect();
        let is_client =
            |step: &&&Step| acted_on(&step.action).is_some_and(|node| self.is_client(node));
        let clients = stops.iter().filter(is_client).count();
        if let Some(first) = stops.first().filter(|_| clients > 0 && clients < stops.len()) {
            let text = "a server and a node without a vote stop in one wave".to_owned();
            self.broken(Invariant::S2, first, text);
        }
    }

    /// Servers first on the way up, last on the way back.
    fn order(&mut self) {
        let moves = steps_of(self.hop).filter(|step| {
            matches!(step.action, Action::Stop { .. } | Action::Swap { .. } | Action::Start { .. })
                && !self.world.has_happened(step)
        });
        let moves: Vec<(bool, &'p Step)> = moves
            .filter_map(|step| Some((self.is_client(acted_on(&step.action)?), step)))
            .collect();
        let back = self.hop.to < self.hop.from;
        // Whoever must be through before the others begin.
        let first = |client: bool| client == back;
        let begun = moves.iter().position(|(client, _)| !first(*client));
        let late = begun.and_then(|at| moves[at..].iter().find(|(client, _)| first(*client)));
        if let Some((client, step)) = late {
            let who = if *client { "a node without a vote" } else { "a server" };
            let others = if *client { "servers have" } else { "nodes without a vote have" };
            self.broken(Invariant::S2, step, format!("{who} moves after {others} begun to"));
        }
    }
}

/// Whether a step keeps packages from starting anything on its own member's host, or lets them again. When, S9 proves.
fn holds_back(step: &Step, lane: &[&Step]) -> bool {
    let key_of = |step: &Step| match &step.action {
        Action::TempSet { key, call, .. } if matches!(&call.call, CallKind::Native { action, .. } if action == HOLD_BACK) => {
            Some(key.clone())
        }
        _ => None,
    };
    match (step.role, &step.action) {
        (StepRole::TempSet, Action::TempSet { .. }) => key_of(step).is_some(),
        (StepRole::TempPutBack, Action::TempPutBack { key }) => {
            lane.iter().any(|other| key_of(other).as_ref() == Some(key))
        }
        _ => false,
    }
}

/// Where in a lane a step belongs; none for what belongs in none.
fn place(step: &Step) -> Option<usize> {
    match (step.role, &step.action) {
        (StepRole::Stage, Action::Stage { .. }) => Some(0),
        (StepRole::Stop, Action::Stop { .. }) => Some(1),
        (StepRole::Swap, Action::Swap { .. }) => Some(2),
        (StepRole::Start, Action::Start { .. }) => Some(3),
        (StepRole::Rejoin, Action::Look) => Some(4),
        (StepRole::Soak, Action::Look) => Some(5),
        _ => None,
    }
}

/// The checker's own reading of a share of a group.
pub(crate) fn share(share: Share, size: usize) -> u32 {
    let size = count(size);
    match share {
        Share::Count(nodes) => nodes.min(size),
        Share::Percent(percent) => {
            let hundredths = u64::from(size) * u64::from(percent.min(100));
            u32::try_from(hundredths / 100).unwrap_or(size)
        }
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
