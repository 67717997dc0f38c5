//! What only shows when nodes are laid side by side: who is behind, whose data differ, who belongs to another cluster.
//!
//! Invariant: a node of another cluster takes part in no comparison.

use crate::{
    fields, finding,
    members::{Member, undeclared},
};
use quorate_model::{
    CLUSTER_ID, Cluster, Node, NodeName, NodeObservation, Observation, Reach, Severity,
};
use std::collections::{BTreeMap, BTreeSet};

/// Name of the fact that says up to where the history was compacted when the hash was taken, where a product compacts.
const HASH_COMPACT: &str = "hash_compact";

fn cluster_id(node: &NodeObservation) -> Option<String> {
    node.facts.get(CLUSTER_ID).and_then(fields::text)
}

/// Lays the nodes of a look side by side. `full` tells everything; at a gate only what a gate must know.
pub(crate) fn across(
    cluster: &Cluster,
    members: Option<&[Member]>,
    seen: &mut Observation,
    full: bool,
) {
    let strangers = find_strangers(seen);
    if let Some(members) = members {
        take_from_members(cluster, members, &strangers, seen);
    }
    set_lag(&strangers, seen);
    find_different_data(&strangers, seen);
    if let (Some(members), true) = (members, full) {
        find_member_faults(cluster, members, &strangers, seen);
    }
}

/// Nodes whose cluster id is not the one that most nodes have. When no id has a majority, all of them are doubtful.
fn find_strangers(seen: &mut Observation) -> BTreeSet<NodeName> {
    let mut by_id: BTreeMap<String, Vec<NodeName>> = BTreeMap::new();
    for node in &seen.nodes {
        if let Some(id) = cluster_id(node) {
            by_id.entry(id).or_default().push(node.name.clone());
        }
    }
    if by_id.len() <= 1 {
        return BTreeSet::new();
    }
    let total: usize = by_id.values().map(Vec::len).sum();
    let own = by_id.iter().find(|(_, nodes)| nodes.len() * 2 > total).map(|(id, _)| id.clone());
    let mut strangers = BTreeSet::new();
    for node in &mut seen.nodes {
        let Some(id) = cluster_id(node).filter(|id| own.as_ref() != Some(id)) else { continue };
        let text = match &own {
            Some(own) => format!(
                "{} answers as a member of cluster {id}, the others belong to {own}",
                node.name
            ),
            None => format!(
                "{} answers as a member of cluster {id}, and no cluster has most of the nodes",
                node.name
            ),
        };
        let hint = "correct its endpoint in the fleet file, or declare it in a cluster of its own"
            .to_owned();
        node.findings.push(finding(Severity::Error, "other-cluster", text, Some(hint)));
        strangers.insert(node.name.clone());
    }
    strangers
}

/// What the other members know of one that does not answer: its id and whether it has a vote. A voter that is down is
/// still a voter, else the quorum would shrink with every failure.
fn take_from_members(
    cluster: &Cluster,
    members: &[Member],
    strangers: &BTreeSet<NodeName>,
    seen: &mut Observation,
) {
    for node in seen.nodes.iter_mut().filter(|node| !strangers.contains(&node.name)) {
        let Some(declared) = cluster.nodes.iter().find(|one| one.name == node.name) else {
            continue;
        };
        let own = members
            .iter()
            .find(|member| member.is_node(members, declared, node.member_id.as_deref()));
        if let Some(member) = own {
            node.member_id.get_or_insert_with(|| member.id.clone());
            node.voter.get_or_insert(!member.learner);
        }
    }
}

fn set_lag(strangers: &BTreeSet<NodeName>, seen: &mut Observation) {
    let own = |node: &&NodeObservation| !strangers.contains(&node.name);
    let furthest = seen.nodes.iter().filter(own).filter_map(|node| node.applied_index).max();
    for node in &mut seen.nodes {
        node.lag = match (furthest, node.applied_index) {
            (Some(furthest), Some(own)) if !strangers.contains(&node.name) => {
                Some(furthest.saturating_sub(own))
            }
            _ => None,
        };
    }
}

fn find_different_data(strangers: &BTreeSet<NodeName>, seen: &mut Observation) {
    // A hash speaks of what compaction left: two members compare only when the same was compacted away.
    let mut at: BTreeMap<(u64, Option<u64>), BTreeMap<String, Vec<String>>> = BTreeMap::new();
    for node in seen.nodes.iter().filter(|node| !strangers.contains(&node.name)) {
        if let (Some(revision), Some(hash)) = (node.hash_revision, &node.data_hash) {
            let compacted = node.facts.get(HASH_COMPACT).and_then(fields::number);
            let names =
                at.entry((revision, compacted)).or_default().entry(hash.clone()).or_default();
            names.push(node.name.to_string());
        }
    }
    for ((revision, _), hashes) in at.iter().filter(|(_, hashes)| hashes.len() > 1) {
        let groups: Vec<String> =
            hashes.iter().map(|(hash, names)| format!("{} ({hash})", names.join(", "))).collect();
        let text = format!(
            "members hold different data at revision {revision}: {}",
            groups.join(" against ")
        );
        let hint = format!(
            "do not upgrade; `quorate recover {} --compare` names every key that differs, and `quorate recover` gives everybody the newest data",
            seen.cluster
        );
        seen.findings.push(finding(Severity::Error, "data-differ", text, Some(hint)));
    }
}

fn find_member_faults(
    cluster: &Cluster,
    members: &[Member],
    strangers: &BTreeSet<NodeName>,
    seen: &mut Observation,
) {
    let ids: BTreeMap<NodeName, Option<String>> =
        seen.nodes.iter().map(|node| (node.name.clone(), node.member_id.clone())).collect();
    let seen_id = |node: &Node| ids.get(&node.name).cloned().flatten();
    for member in undeclared(members, cluster, &seen_id) {
        let at = member.client_urls.iter().chain(&member.peer_urls).next();
        let at = at.map_or(String::new(), |url| format!(" at {url}"));
        seen.findings.push(finding(
            Severity::Error,
            "member-not-declared",
            format!(
                "{}{at} is a member of the cluster, but no node of the fleet file",
                member.shown()
            ),
            Some("add it to the fleet file, or remove it from the cluster".into()),
        ));
    }
    for node in &mut seen.nodes {
        let Some(declared) = cluster.nodes.iter().find(|one| one.name == node.name) else {
            continue;
        };
        let is_member = members
            .iter()
            .any(|member| member.is_node(members, declared, node.member_id.as_deref()));
        if is_member || strangers.contains(&node.name) || !declares_member(declared) {
            continue;
        }
        let hint = match node.reach {
            Reach::Reachable => "its endpoint leads to something else; correct the fleet file",
            Reach::Unreachable(_) => {
                "it was removed, or its endpoint is wrong; correct the fleet file"
            }
        };
        node.findings.push(finding(
            Severity::Error,
            "not-a-member",
            format!("{} is declared, but the cluster knows no such member", node.name),
            Some(hint.to_owned()),
        ));
    }
}

/// Clients and routers of a cluster are declared, too, and are no members.
fn declares_member(node: &Node) -> bool {
    node.group.as_str() == "server"
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::{Facts, Finding, Host, Policy};
    use serde_json::json;

    fn node(name: &str) -> Node {
        Node {
            name: name.into(),
            group: "server".into(),
            host: Host::Local,
            endpoints: BTreeMap::from([("client".into(), format!("http://{name}:1"))]),
            data_dir: None,
            service: None,
        }
    }

    fn cluster(names: &[&str]) -> Cluster {
        Cluster {
            name: "demo".into(),
            pack: "etcd".into(),
            environment: None,
            nodes: names.iter().map(|name| node(name)).collect(),
            tls: None,
            auth: None,
            config: Vec::new(),
            dependants: Vec::new(),
            policy: Policy::default(),
        }
    }

    fn look(names: &[&str], change: impl Fn(usize, &mut NodeObservation)) -> Observation {
        let nodes = names.iter().enumerate().map(|(index, name)| {
            let mut node = NodeObservation::unseen((*name).into(), "server".into(), "");
            node.reach = Reach::Reachable;
            change(index, &mut node);
            node
        });
        Observation {
            cluster: "demo".into(),
            pack: "etcd".into(),
            taken_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            nodes: nodes.collect(),
            facts: Facts::new(),
            findings: Vec::new(),
        }
    }

    fn member(name: &str, learner: bool) -> Member {
        Member {
            name: name.into(),
            id: format!("id-{name}"),
            client_urls: vec![format!("http://{name}:1")],
            learner,
            ..Member::default()
        }
    }

    fn codes(findings: &[Finding]) -> Vec<&str> {
        findings.iter().map(|finding| finding.code.as_str()).collect()
    }

    #[test]
    fn lag_is_counted_from_the_furthest_member() {
        let names = ["a", "b", "c"];
        let mut seen = look(&names, |i, node| node.applied_index = [Some(10), Some(7), None][i]);
        across(&cluster(&names), None, &mut seen, false);
        let lags: Vec<_> = seen.nodes.iter().map(|node| node.lag).collect();
        assert_eq!(lags, [Some(0), Some(3), None]);
    }

    #[test]
    fn a_node_of_another_cluster_is_named_and_compared_with_nobody() {
        let names = ["a", "b", "c"];
        let mut seen = look(&names, |i, node| {
            node.applied_index = Some([10, 9, 5000][i]);
            node.hash_revision = Some(1);
            node.data_hash = Some(["x", "x", "y"][i].into());
            node.facts.insert(CLUSTER_ID.into(), json!(["1", "1", "2"][i]));
        });
        across(&cluster(&names), None, &mut seen, true);
        assert_eq!(codes(&seen.nodes[2].findings), ["other-cluster"]);
        assert!(seen.findings.is_empty() && seen.nodes[0].findings.is_empty());
        assert_eq!(seen.nodes[0].lag, Some(0));
        assert_eq!(seen.nodes[2].lag, None);
    }

    #[test]
    fn two_clusters_mixed_up_evenly_are_both_named() {
        let names = ["a", "b"];
        let mut seen = look(&names, |i, node| {
            node.facts.insert(CLUSTER_ID.into(), json!(i + 1));
        });
        across(&cluster(&names), None, &mut seen, false);
        assert!(seen.nodes.iter().all(|node| codes(&node.findings) == ["other-cluster"]));
    }

    #[test]
    fn data_differ_only_at_one_revision() {
        let names = ["a", "b"];
        let hashed = |revisions: [u64; 2], compacted: [u64; 2]| {
            let mut seen = look(&names, |i, node| {
                node.hash_revision = Some(revisions[i]);
                node.facts.insert(HASH_COMPACT.into(), json!(compacted[i]));
                node.data_hash = Some(["x", "y"][i].into());
            });
            across(&cluster(&names), None, &mut seen, false);
            codes(&seen.findings).len()
        };
        assert_eq!(hashed([4, 4], [1, 1]), 1);
        assert_eq!(hashed([4, 5], [1, 1]), 0, "a member that is a write behind is not different");
        assert_eq!(hashed([4, 4], [1, 3]), 0, "nor is one that has compacted more");
    }

    #[test]
    fn a_voter_that_is_down_is_still_a_voter() {
        let names = ["a", "b"];
        let mut seen = look(&names, |i, node| {
            if i == 1 {
                node.reach = Reach::Unreachable("refused".into());
            }
        });
        let members = [member("a", false), member("b", false)];
        across(&cluster(&names), Some(&members), &mut seen, false);
        assert_eq!(
            (seen.nodes[1].voter, seen.nodes[1].member_id.as_deref()),
            (Some(true), Some("id-b"))
        );
        assert_eq!(seen.nodes[1].healthy, None);
    }

    #[test]
    fn members_and_declared_nodes_are_held_against_each_other() {
        let names = ["a", "b"];
        let members = [member("a", false), member("z", true)];
        let mut seen = look(&names, |_, _| {});
        across(&cluster(&names), Some(&members), &mut seen, true);
        assert_eq!(codes(&seen.findings), ["member-not-declared"]);
        assert_eq!(codes(&seen.nodes[1].findings), ["not-a-member"]);
        assert!(seen.nodes[0].findings.is_empty());
    }
}
