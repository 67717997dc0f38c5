//! Checks that what conditions read is something that detection gives: a typo here would be a gate that never holds.

use super::Lint;
use crate::{
    PackFile,
    eval::{CLUSTER_FIELDS, Env, NODE_FIELDS, Owner},
    spots::{Kind, spots},
};
use quorate_syntax::nearest;
use std::collections::BTreeSet;

/// Facts that the pack's own probes and assumptions give.
struct Given<'a> {
    node: BTreeSet<&'a str>,
    cluster: BTreeSet<&'a str>,
}

fn given(pack: &PackFile) -> Given<'_> {
    let mut node: BTreeSet<&str> = NODE_FIELDS.into_iter().collect();
    let mut cluster: BTreeSet<&str> = CLUSTER_FIELDS.into_iter().collect();
    if let Some(detect) = &pack.detect {
        node.extend(detect.node.iter().flat_map(|probe| probe.facts.keys()).map(String::as_str));
        cluster
            .extend(detect.cluster.iter().flat_map(|probe| probe.facts.keys()).map(String::as_str));
    }
    cluster.extend(pack.assumptions.iter().map(|assumption| assumption.fact.as_str()));
    Given { node, cluster }
}

pub(super) fn check(lint: &mut Lint<'_>) {
    let pack = lint.pack;
    let given = given(pack);
    let env = Env::new();
    for spot in spots(pack) {
        if !matches!(spot.kind, Kind::Cel(_)) {
            continue;
        }
        let Ok(uses) = env.uses(spot.text) else { continue };
        for (owner, name) in uses.facts {
            let (who, known) = match owner {
                Owner::Node => ("node", &given.node),
                Owner::Cluster => ("cluster", &given.cluster),
                // A question to the cluster is asked through a node, and knows the facts of that node.
                Owner::Facts => ("node", &given.node),
            };
            if known.contains(name.as_str()) {
                continue;
            }
            let hint =
                nearest(&name, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            let message = format!("no probe and no assumption gives the fact `{name}` of a {who}");
            lint.warn(&spot.path, "pack-fact", message, hint);
        }
    }
}
