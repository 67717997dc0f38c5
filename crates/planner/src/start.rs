//! Where a plan starts: the lowest release that runs, a hop somebody left half done, and what stands in the way.
//!
//! Invariant: nothing is left out by accident. A node that cannot be seen, named or acted on refuses the plan by name.

use crate::members::{Member, Standing};
use quorate_model::{Blocked, Cluster, Finding, NotNow, Observation, Reach, Release, Severity};
use quorate_packs::Pack;

/// The finding that says so of a node, by its code.
const OTHER_CLUSTER: &str = "other-cluster";
/// The finding that says that members are started from one file, by its code: a way back exchanges files as well.
const BINARY_SHARED: &str = "binary-shared";

/// Where a plan starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Start {
    /// The lowest release that runs.
    pub(crate) from: Release,
    /// The release that some members already run, when a hop was left half done.
    pub(crate) half_way: Option<Release>,
}

/// What a plan is for: a way back is taken from a cluster that is not well, so it asks for less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Upgrade,
    Rollback,
}

/// Everything that needs a person before any plan can be made.
pub(crate) fn stands_in_the_way(
    pack: &Pack,
    cluster: &Cluster,
    observation: &Observation,
    members: &[Member<'_>],
    purpose: Purpose,
) -> Vec<NotNow> {
    let mut reasons = Vec::new();
    let mut block = |blocked| reasons.push(NotNow::Blocked(blocked));
    if observation.cluster != cluster.name || observation.pack != cluster.pack {
        if let Some(first) = members.first() {
            let because =
                format!("the look at hand is of {} {}", observation.pack, observation.cluster);
            block(Blocked::OtherCluster { node: first.name().clone(), because });
        }
        return reasons;
    }
    for member in members {
        let node = member.name().clone();
        if let Standing::Unreachable(because) = member.standing() {
            block(Blocked::Unreachable { node, because });
        } else if let Some(because) =
            wrong_address(pack, observation, member).filter(|_| purpose == Purpose::Upgrade)
        {
            block(Blocked::Unreachable { node, because });
        } else if member.node.service.is_none() {
            let because =
                "the fleet file does not say how its service is stopped and started".to_owned();
            block(Blocked::CannotAct { node, because });
        } else if member.release().is_none() && purpose == Purpose::Upgrade {
            block(Blocked::ConditionUnseen {
                rule: "release".into(),
                text: format!("which release {node} runs must be known"),
                what: format!("neither {node} nor its binary on disk says its release"),
            });
        }
        if !member.votes && !member.is_client() {
            block(Blocked::Condition {
                rule: "group".into(),
                text: "every node must be declared in a group that fits its part in the cluster"
                    .into(),
                because: format!(
                    "{} is declared in group {}, which has no part in the quorum, and it has",
                    member.name(),
                    member.node.group
                ),
                way_out: Some(format!(
                    "give {} the group of the servers in the fleet file",
                    member.name()
                )),
            });
        }
        for finding in member.seen.iter().flat_map(|seen| &seen.findings) {
            if purpose == Purpose::Rollback && finding.code != OTHER_CLUSTER {
                continue;
            }
            reasons_of(pack, finding, member).into_iter().for_each(&mut block);
        }
    }
    if let Some(first) = members.first() {
        let stands =
            |finding: &&Finding| purpose == Purpose::Upgrade || finding.code == BINARY_SHARED;
        for finding in observation.findings.iter().filter(stands) {
            reasons_of(pack, finding, first).into_iter().for_each(&mut block);
        }
    }
    reasons
}

/// A member whose process lives and whose declared address does not answer, while the cluster knows it by another one:
/// the fleet file errs, and a restart would mend nothing.
fn wrong_address(pack: &Pack, observation: &Observation, member: &Member<'_>) -> Option<String> {
    let seen = member.seen.filter(|seen| seen.process.is_some())?;
    let Reach::Unreachable(because) = &seen.reach else { return None };
    let declared = member.node.endpoints.get(&pack.detect.as_ref()?.endpoint)?;
    let listed = observation.facts.get("members")?.as_array()?;
    let own = listed.iter().find(|one| {
        one.get("name").and_then(|name| name.as_str()) == Some(member.name().as_str())
    })?;
    let known: Vec<&str> =
        own.get("client_urls")?.as_array()?.iter().filter_map(|url| url.as_str()).collect();
    let plain = |url: &str| url.trim_end_matches('/').to_owned();
    if known.is_empty() || known.iter().any(|url| plain(url) == plain(declared)) {
        return None;
    }
    Some(format!(
        "{because}; its process runs, and the cluster knows it as {}: correct the address in the fleet file",
        known.join(", ")
    ))
}

/// A grave finding blocks, except for two that the plan itself mends: a member that is down, and a release whose fault
/// is only that it runs.
fn reasons_of(pack: &Pack, finding: &Finding, member: &Member<'_>) -> Option<Blocked> {
    let cured_by_leaving =
        pack.known_issues.iter().any(|i| i.id == finding.code && i.detect.is_none());
    let down = member
        .seen
        .is_some_and(|seen| seen.reach != Reach::Reachable && seen.findings.contains(finding));
    // The safety oracle says it with the members' names.
    let said_by_safety = finding.code == "data-differ";
    if finding.severity != Severity::Error || cured_by_leaving || down || said_by_safety {
        return None;
    }
    if finding.code == OTHER_CLUSTER {
        return Some(Blocked::OtherCluster {
            node: member.name().clone(),
            because: finding.text.clone(),
        });
    }
    Some(Blocked::Condition {
        rule: finding.code.clone(),
        text: "nothing grave may have been found on the cluster".into(),
        because: finding.text.clone(),
        way_out: finding.hint.clone(),
    })
}

/// Finds the start. Two releases are a hop left half done, whether it is permitted is for the path to say; more than
/// two are no single hop.
pub(crate) fn start(members: &[Member<'_>]) -> Result<Option<Start>, Box<NotNow>> {
    let mut releases: Vec<&Release> = members.iter().filter_map(Member::release).collect();
    releases.sort();
    releases.dedup();
    match releases.as_slice() {
        [] => Ok(None),
        [from] => Ok(Some(Start { from: (*from).clone(), half_way: None })),
        [from, to] => Ok(Some(Start { from: (*from).clone(), half_way: Some((*to).clone()) })),
        more => {
            let releases = more.iter().copied().cloned().collect();
            Err(Box::new(NotNow::Blocked(Blocked::MixedReleases { releases })))
        }
    }
}
