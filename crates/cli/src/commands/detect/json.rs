//! A look for programs.

use quorate_model::{Cluster, NodeObservation, Reach};
use quorate_runner::ops::see::Seen;
use serde_json::{Value, json};

/// One cluster.
pub(super) fn cluster(cluster: &Cluster, seen: &Seen) -> Value {
    let Seen { look: seen, kept, before: _ } = seen;
    let mut releases: Vec<String> = seen
        .nodes
        .iter()
        .filter_map(|node| node.release.as_ref())
        .map(ToString::to_string)
        .collect();
    releases.sort();
    releases.dedup();
    let nodes: Vec<Value> = seen.nodes.iter().map(node_json).collect();
    json!({
        "name": cluster.name,
        "pack": cluster.pack,
        "environment": cluster.environment,
        "taken_at": seen.taken_at,
        "kept": kept,
        "releases": releases,
        "facts": seen.facts,
        "findings": seen.findings,
        "nodes": nodes,
    })
}

fn node_json(node: &NodeObservation) -> Value {
    let flags: Vec<String> = node
        .settings
        .iter()
        .map(|setting| {
            if setting.value.is_empty() {
                setting.key.clone()
            } else {
                format!("{}={}", setting.key, setting.value)
            }
        })
        .collect();
    let why = match &node.reach {
        Reach::Reachable => Value::Null,
        Reach::Unreachable(because) => json!(because),
    };
    json!({
        "name": node.name,
        "group": node.group,
        "reachable": node.reach == Reach::Reachable,
        "unreachable_because": why,
        "release": node.release,
        "disk_release": node.disk_release,
        "role": node.role,
        "voter": node.voter,
        "healthy": node.healthy,
        "lag": node.lag,
        "applied_index": node.applied_index,
        "member_id": node.member_id,
        "os": node.os,
        "store": node.store,
        "tls": node.tls,
        "data_hash": node.data_hash,
        "hash_revision": node.hash_revision,
        "alarms": node.alarms,
        "flags": flags,
        "config_digest": node.config_digest,
        "process": node.process,
        "facts": node.facts,
        "findings": node.findings,
    })
}
