//! What a controller sees of the world: an observation, and a short print of it that names equal observations.
//!
//! Invariant: what the controller cannot reach it does not see at all (S11).

use super::{Process, World, member::MAX_LAG};
use crate::{
    clock::timestamp,
    product::{PACK, Product, SERVER},
};
use jiff::Timestamp;
use quorate_model::{Facts, NodeName, NodeObservation, Observation, Reach, Role};
use serde_json::json;

/// Names an observation: two with the same print are the same but for their time.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Print(Vec<u8>);

/// What a print says of one node.
const PRINT_BYTES: usize = 6;

/// Lag as it is shown. Few values, so that verdicts over equal views can be kept.
fn shown_lag(lag: u64) -> u64 {
    match lag {
        0 => 0,
        1..=MAX_LAG => MAX_LAG / 2,
        _ => lag.next_power_of_two().min(65536),
    }
}

pub(super) fn blank(names: &[NodeName]) -> Observation {
    let nodes = names.iter().map(|name| unseen(name, SERVER));
    Observation {
        cluster: "sim".into(),
        pack: PACK.into(),
        taken_at: Timestamp::UNIX_EPOCH,
        nodes: nodes.collect(),
        facts: Facts::new(),
        findings: Vec::new(),
    }
}

pub(super) fn unseen(name: &NodeName, group: &str) -> NodeObservation {
    NodeObservation::unseen(name.clone(), group.into(), "not looked at yet")
}

/// Whom a look is taken at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Whom<'a> {
    /// Every node.
    Everybody,
    /// The members, without those that have no vote.
    Members,
    /// The members, and one of those without a vote.
    MembersAnd(&'a NodeName),
}

impl World {
    fn is_looked_at(&self, index: usize, whom: Whom<'_>) -> bool {
        let member = &self.members[index];
        match whom {
            Whom::Everybody => true,
            Whom::Members => !member.client,
            Whom::MembersAnd(node) => !member.client || member.name == *node,
        }
    }

    /// The print of a look at these, without the look.
    pub fn print(&mut self, whom: Whom<'_>) -> Print {
        self.look();
        let mut print = Vec::with_capacity(self.print.0.len());
        print.extend(self.print.0.first());
        let places = self.print.0.get(1..).unwrap_or_default().chunks(PRINT_BYTES).enumerate();
        let own = places.filter(|(index, _)| self.is_looked_at(*index, whom));
        own.for_each(|(_, own)| print.extend_from_slice(own));
        Print(print)
    }

    /// Looks at these.
    pub fn look_at(&mut self, whom: Whom<'_>) -> Observation {
        self.look();
        let nodes = self.seen.nodes.iter().enumerate();
        let own = nodes.filter(|(index, _)| self.is_looked_at(*index, whom));
        let nodes = own.map(|(_, node)| node.clone()).collect();
        let Observation { cluster, pack, taken_at, nodes: _, facts, findings } = &self.seen;
        let (cluster, pack, taken_at) = (cluster.clone(), pack.clone(), *taken_at);
        Observation {
            cluster,
            pack,
            taken_at,
            nodes,
            facts: facts.clone(),
            findings: findings.clone(),
        }
    }

    /// Looks at everything that can be reached now.
    pub fn look(&mut self) -> (&Observation, &Print) {
        let mut print = Vec::with_capacity(self.members.len() * PRINT_BYTES + 1);
        let asked = |i: &usize| !self.members[*i].client && !self.members[*i].cut;
        let reached = (0..self.members.len()).find(|i| asked(i) && self.healthy(*i));
        print.push(reached.map_or(u8::MAX, |_| small(u64::from(self.cluster_line))));
        for index in 0..self.members.len() {
            print.extend(self.print_of(index));
        }
        if self.print.0 != print {
            for index in 0..self.members.len() {
                self.show(index);
            }
            self.seen.facts.clear();
            if reached.is_some() {
                self.seen
                    .facts
                    .insert("cluster_release".into(), json!(format!("1.{}", self.cluster_line)));
            }
            self.print = Print(print);
        }
        self.seen.taken_at = timestamp(self.now);
        (&self.seen, &self.print)
    }

    fn print_of(&self, index: usize) -> [u8; PRINT_BYTES] {
        let member = &self.members[index];
        if member.cut {
            return [u8::MAX; PRINT_BYTES];
        }
        let process = match member.process {
            Process::Down => 0,
            Process::Starting { .. } => 1,
            Process::Up => 2,
        };
        let lag = shown_lag(member.lag());
        let lag =
            if lag <= MAX_LAG { small(lag) } else { small(u64::from(lag.trailing_zeros()) + 20) };
        let part = u8::from(self.healthy(index)) + 2 * u8::from(self.leader == Some(index));
        [process, place(member.runs), place(member.live), part, lag, u8::from(member.voter)]
    }

    fn show(&mut self, index: usize) {
        let product = Product::get();
        let (healthy, leads, led) =
            (self.healthy(index), self.leader == Some(index), self.leader.is_some());
        let (member, node) = (&self.members[index], &mut self.seen.nodes[index]);
        let (name, group) = (node.name.clone(), node.group.clone());
        if member.cut {
            *node = NodeObservation::unseen(name, group, "no answer");
            return;
        }
        if member.process != Process::Up {
            *node = NodeObservation::unseen(name, group, "connection refused");
            node.disk_release = product.releases.get(member.live).cloned();
            node.os = Some("simulated".into());
            return;
        }
        node.reach = Reach::Reachable;
        node.os = Some("simulated".into());
        node.release = product.releases.get(member.runs).cloned();
        node.disk_release = product.releases.get(member.live).cloned();
        node.member_id = Some(member.name.0.clone());
        if member.client {
            node.role = Role::Client;
            node.voter = Some(false);
            node.healthy = Some(healthy);
            return;
        }
        node.role = match (leads, member.voter, led && !member.isolated) {
            (true, _, _) => Role::Leader,
            (false, false, _) => Role::Learner,
            (false, true, true) => Role::Follower,
            (false, true, false) => Role::Candidate,
        };
        node.voter = Some(member.voter);
        node.healthy = Some(healthy);
        node.lag = Some(shown_lag(member.lag()));
        node.data_hash = Some("same".into());
    }
}

fn small(number: u64) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX - 1)
}

fn place(index: usize) -> u8 {
    u8::try_from(index).unwrap_or(u8::MAX - 1)
}
