//! Taking a member out of its cluster and bringing it back: look, plan, prove, keep. And what a look says of who is out.

use super::{
    artifacts::bring,
    plan::{Doing, Made, measured, not_now, settle},
    see::observe,
};
use crate::{
    problem::{BUG, NO_NODE, NOT_NOW, Problem},
    setup::{Setup, holder},
};
use jiff::Timestamp;
use quorate_hosts::artifacts::OnProgress;
use quorate_model::{Cluster, Ejected, Finding, NodeName, Observation, Plan, Severity};
use quorate_planner::{EjectRequest, Planned, RejoinRequest};

/// The finding of a declared server that the cluster does not list.
const NOT_A_MEMBER: &str = "not-a-member";
/// The finding of one that was taken out.
const EJECTED: &str = "ejected";

/// Plans taking a node out.
pub async fn eject(
    setup: &Setup,
    cluster: &str,
    node: &str,
    reason: &str,
) -> Result<Plan, Problem> {
    let (cluster, node) = with_node(setup, cluster, node)?;
    let pack = setup.pack(&cluster)?;
    let observation = observe(setup, &cluster).await?;
    let planned = quorate_planner::eject(&EjectRequest {
        cluster: &cluster,
        pack: &pack,
        observation: &observation,
        node: &node,
        by: &holder().who,
        reason,
        measured: &measured(setup, cluster.pack.as_str())?,
        now: Timestamp::now(),
    });
    settled(setup, planned, &cluster, &format!("{node} cannot be taken out of {}", cluster.name))
}

/// Plans bringing a node back that is out.
pub async fn rejoin(
    setup: &Setup,
    cluster: &str,
    node: &str,
    progress: OnProgress<'_>,
) -> Result<Plan, Problem> {
    let (cluster, node) = with_node(setup, cluster, node)?;
    let out = setup.ejected.iter().find(|out| out.cluster == cluster.name && out.node == node);
    let Some(ejected) = out else {
        let text = format!("{node} was not taken out of {}, so it cannot rejoin it", cluster.name);
        return Err(Problem::new(NO_NODE, text).hint("`quorate detect` says who is out"));
    };
    let pack = setup.pack(&cluster)?;
    let observation = observe(setup, &cluster).await?;
    let others = observation.nodes.iter().filter(|seen| seen.name != node);
    if let Some(lowest) = others.filter_map(|seen| seen.release.as_ref()).min() {
        // What cannot be had is the planner's to say.
        let _ = bring(setup, &cluster, &pack, lowest, progress).await;
    }
    let planned = quorate_planner::rejoin(&RejoinRequest {
        cluster: &cluster,
        pack: &pack,
        observation: &observation,
        ejected,
        artifacts: &setup.artifacts_of(&cluster),
        measured: &measured(setup, cluster.pack.as_str())?,
        now: Timestamp::now(),
    });
    settled(setup, planned, &cluster, &format!("{node} cannot rejoin {}", cluster.name))
}

/// The cluster with this node, also when the node is out.
fn with_node(setup: &Setup, cluster: &str, node: &str) -> Result<(Cluster, NodeName), Problem> {
    let working = setup.cluster(cluster)?;
    let name = NodeName::new(node);
    let whole = setup.whole_cluster(working);
    if !whole.nodes.iter().any(|own| own.name == name) {
        let known: Vec<&str> = whole.nodes.iter().map(|node| node.name.as_str()).collect();
        return Err(Problem::new(NO_NODE, format!("{cluster} has no node `{node}`"))
            .hint(format!("its nodes are: {}", known.join(", "))));
    }
    Ok((setup.also(working, &[&name]), name))
}

fn settled(
    setup: &Setup,
    planned: Planned,
    cluster: &Cluster,
    what: &str,
) -> Result<Plan, Problem> {
    if let Planned::NotNow(refusal) = &planned {
        let problem = not_now(cluster, refusal, Doing::ChangeMembers);
        return Err(Problem {
            code: NOT_NOW,
            text: format!("{what} now; nothing was touched"),
            ..problem
        });
    }
    match settle(setup, planned, cluster, Doing::ChangeMembers)? {
        Made::Plan(plan) => Ok(*plan),
        Made::NothingToDo(text) => Err(Problem::new(BUG, text)),
    }
}

/// Says of nodes that are out since when and why. What the cluster does not list has no vote in it.
pub fn mark(ejected: &[Ejected], seen: &mut Observation) {
    for out in ejected.iter().filter(|out| out.cluster == seen.cluster) {
        let Some(node) = seen.nodes.iter_mut().find(|node| node.name == out.node) else { continue };
        let before = node.findings.len();
        node.findings.retain(|finding| finding.code != NOT_A_MEMBER);
        if node.findings.len() < before {
            node.voter = Some(false);
        }
        let (name, cluster) = (&out.node, &out.cluster);
        let at = quorate_report::words::moment(out.at);
        node.findings.insert(
            0,
            Finding {
                severity: Severity::Warning,
                code: EJECTED.into(),
                text: format!(
                    "{name} was taken out of {cluster} at {at} by {}: {}",
                    out.ejection.by, out.ejection.reason
                ),
                hint: Some(format!("bring it back with `quorate rejoin {cluster} {name}`")),
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::{Digest, Ejection, Facts, NodeObservation};

    fn look(finding: &str) -> Observation {
        let mut node = NodeObservation::unseen("a-2".into(), "server".into(), "it is off");
        node.findings.push(Finding {
            severity: Severity::Error,
            code: finding.into(),
            text: String::new(),
            hint: None,
        });
        Observation {
            cluster: "a".into(),
            pack: "etcd".into(),
            taken_at: Timestamp::UNIX_EPOCH,
            nodes: vec![node],
            facts: Facts::new(),
            findings: Vec::new(),
        }
    }

    fn out(cluster: &str) -> Ejected {
        Ejected {
            cluster: cluster.into(),
            node: "a-2".into(),
            at: Timestamp::UNIX_EPOCH,
            plan: Digest::new("d"),
            ejection: Ejection {
                by: "anna".into(),
                reason: "its disk died".into(),
                member: Facts::new(),
            },
        }
    }

    fn codes(seen: &Observation) -> Vec<&str> {
        seen.nodes[0].findings.iter().map(|finding| finding.code.as_str()).collect()
    }

    #[test]
    fn a_look_says_who_is_out_in_the_place_of_not_a_member_and_gives_it_no_vote() {
        let mut seen = look("not-a-member");
        mark(&[out("a")], &mut seen);
        assert_eq!((codes(&seen), seen.nodes[0].voter), (vec!["ejected"], Some(false)));
        let said = &seen.nodes[0].findings[0];
        assert_eq!(
            said.text,
            "a-2 was taken out of a at 1970-01-01 00:00:00 UTC by anna: its disk died"
        );
        assert!(said.hint.as_ref().unwrap().contains("quorate rejoin a a-2"));
    }

    #[test]
    fn one_that_the_cluster_lists_again_keeps_its_vote_and_other_clusters_are_left_alone() {
        let mut seen = look("unanswered");
        mark(&[out("a")], &mut seen);
        assert_eq!((codes(&seen), seen.nodes[0].voter), (vec!["ejected", "unanswered"], None));
        let mut seen = look("not-a-member");
        mark(&[out("b")], &mut seen);
        assert_eq!(codes(&seen), ["not-a-member"]);
    }
}
