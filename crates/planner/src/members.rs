//! The declared nodes of a cluster, each with what was seen of it.
//!
//! Invariant: a declared server that could not be seen counts as a voter, and as not healthy (S11).
//! Invariant: what was seen goes before what is declared: a node of a group without a vote that votes is a voter.

use quorate_model::{Cluster, Node, NodeName, NodeObservation, Observation, Reach, Release, Role};
use quorate_packs::PackFile;
use serde_json::Value;
use std::collections::HashMap;

/// A declared node and what was seen of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member<'a> {
    pub(crate) node: &'a Node,
    pub(crate) seen: Option<&'a NodeObservation>,
    /// Whether the pack lets its group be members of the quorum.
    pub(crate) votes: bool,
}

/// A node's part, as far as it matters for order and quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Voter,
    Learner,
    Client,
}

/// How well a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It answers and serves.
    Up,
    /// Its host was seen, the member does not serve.
    Down,
    /// Nothing of it was seen.
    Unreachable(String),
}

/// Joins what is declared with what was seen, in declared order.
pub(crate) fn members<'a>(
    pack: &PackFile,
    cluster: &'a Cluster,
    observation: &'a Observation,
) -> Vec<Member<'a>> {
    let by_name: HashMap<&NodeName, &NodeObservation> =
        observation.nodes.iter().map(|seen| (&seen.name, seen)).collect();
    let member = |node: &'a Node| Member {
        node,
        seen: by_name.get(&node.name).copied(),
        votes: pack.votes(&node.group),
    };
    cluster.nodes.iter().map(member).collect()
}

/// The member of the cluster's own list that a declared node is: by an address that nobody else has, else by its name.
/// Members that serve on their own host's loopback all have the same one.
pub(crate) fn listed_as<'l>(list: &'l [Value], node: &Node) -> Option<&'l Value> {
    let serves_there = |member: &&Value| {
        let of = |key: &str| member.get(key).and_then(Value::as_array).into_iter().flatten();
        let mut urls = of("client_urls").chain(of("peer_urls")).filter_map(Value::as_str);
        urls.any(|url| node.endpoints.values().any(|own| own == url))
    };
    let named =
        |member: &&Value| member.get("name").and_then(Value::as_str) == Some(node.name.as_str());
    let mut there = list.iter().filter(serves_there);
    match (there.next(), there.next()) {
        (Some(only), None) => Some(only),
        _ => list.iter().find(named),
    }
}

/// A node's part by what was seen of it. Where nothing of that was seen, its group tells.
pub(crate) fn part(pack: &PackFile, seen: &NodeObservation) -> Part {
    part_of(seen, pack.votes(&seen.group))
}

fn part_of(seen: &NodeObservation, votes: bool) -> Part {
    match (seen.role, seen.voter) {
        (Role::Client, _) => Part::Client,
        (Role::Unknown, None | Some(false)) if !votes => Part::Client,
        (Role::Learner, _) | (_, Some(false)) => Part::Learner,
        (Role::Leader | Role::Follower | Role::Candidate | Role::Unknown, _) => Part::Voter,
    }
}

impl Member<'_> {
    pub(crate) fn name(&self) -> &NodeName {
        &self.node.name
    }
    pub(crate) fn part(&self) -> Part {
        match self.seen {
            Some(seen) => part_of(seen, self.votes),
            None if self.votes => Part::Voter,
            None => Part::Client,
        }
    }
    /// Whether it has no part in the quorum and holds no data: clients, routers.
    pub(crate) fn is_client(&self) -> bool {
        self.part() == Part::Client
    }
    pub(crate) fn is_voter(&self) -> bool {
        self.part() == Part::Voter
    }
    pub(crate) fn is_leader(&self) -> bool {
        self.seen.is_some_and(|seen| seen.role == Role::Leader)
    }
    /// What it runs, else what it would start.
    pub(crate) fn release(&self) -> Option<&Release> {
        let seen = self.seen?;
        seen.release.as_ref().or(seen.disk_release.as_ref())
    }
    pub(crate) fn standing(&self) -> Standing {
        let Some(seen) = self.seen else {
            return Standing::Unreachable("it was not looked at".into());
        };
        let host_seen = seen.process.is_some() || seen.disk_release.is_some() || seen.os.is_some();
        match &seen.reach {
            Reach::Reachable if seen.healthy == Some(true) => Standing::Up,
            Reach::Reachable => Standing::Down,
            Reach::Unreachable(_) if host_seen => Standing::Down,
            Reach::Unreachable(because) => Standing::Unreachable(because.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::Host;
    use serde_json::json;

    #[test]
    fn an_address_that_several_have_tells_nobody() {
        let node = |name: &str, url: &str| Node {
            name: name.into(),
            group: "server".into(),
            host: Host::Local,
            endpoints: [("client".to_owned(), url.to_owned())].into(),
            data_dir: None,
            service: None,
        };
        let member =
            |id: u8, name: &str, url: &str| json!({"id": id, "name": name, "client_urls": [url]});
        let id = |list: &[Value], node: &Node| listed_as(list, node).map(|one| one["id"].clone());
        let (own, other) = ("http://127.0.0.1:2379", "http://db-2:2379");
        let shared = [member(1, "a", own), member(2, "b", own), member(3, "c", other)];
        assert_eq!(id(&shared, &node("b", own)), Some(json!(2)));
        assert_eq!(id(&shared, &node("x", own)), None, "no guess at one of two");
        assert_eq!(id(&shared, &node("x", other)), Some(json!(3)));
    }
}
