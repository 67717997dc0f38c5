//! Taking a member out of its cluster and bringing it back: look, plan, prove, keep. And what a look says of who is out.

use super::{
    artifacts::bring,
    plan::{Made, measured, not_now, settle},
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
        let _ = bring(setup, &pack, lowest, progress).await;
    }
    let planned = quorate_planner::rejoin(&RejoinRequest {
        cluster: &cluster,
        pack: &pack,
        observation: &observation,
        ejected,
        artifacts: &setup.artifacts(&cluster.pack),
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
        let problem = not_now(cluster, refusal);
        return Err(Problem {
            code: NOT_NOW,
            text: format!("{what} now; nothing was touched"),
            ..problem
        });
    }
    match settle(setup, planned, cluster)? {
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
                code: "ejected".into(),
                text: format!(
                    "{name} was taken out of {cluster} at {at} by {}: {}",
                    out.ejection.by, out.ejection.reason
                ),
                hint: Some(format!("bring it back with `quorate rejoin {cluster} {name}`")),
            },
        );
    }
}
