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

impl World {
    /// Looks at the members and at one client, as lanes do: whoever moves beside others does not look at all of them.
    pub fn look_beside(&mut self, node: &NodeName) -> (Observation, Print) {
        self.look();
        let own =
            |index: &usize| !self.members[*index].client || self.members[*index].name == *node;
        let these: Vec<usize> = (0..self.members.len()).filter(own).collect();
        let mut print = self.print.0.first().copied().into_iter().collect::<Vec<_>>();
        print.extend(these.iter().flat_map(|index| self.print_of(*index)));
        let nodes = these.iter().map(|index| self.seen.nodes[*index].clone()).collect();
        (Observation { nodes, ..self.seen.clone() }, Print(print))
    }

    /// Looks at everything that can be reached now.
    pub fn look(&mut self) -> (&Observation, &Print) {
        let mut print = Vec::with_capacity(self.members.len() * 6 + 1);
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

    fn print_of(&self, index: usize) -> [u8; 6] {
        let member = &self.members[index];
        if member.cut {
            return [u8::MAX; 6];
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
