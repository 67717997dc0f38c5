//! Decides whether a member may stop now. The planner asks when it plans, the runner before every stop.
//!
//! Invariant: an answer holds for one look; the next stop asks again with a new one.
//! Invariant: what could not be seen refuses. A voter that is already down may be stopped and started, as long as the
//! others form a quorum: that takes nothing away.
//! Absent on purpose: waiting and retries.

use crate::members::{Part, part};
use quorate_model::{NodeName, NodeObservation, Observation, Release, Role, Unsafe};
use quorate_packs::{Pack, Safety, eval::Scope};

/// What is known when the question is asked.
#[derive(Debug, Clone, Copy)]
pub struct SafetyRequest<'a> {
    /// The product.
    pub pack: &'a Pack,
    /// The newest look.
    pub observation: &'a Observation,
    /// The hop's start, for the pack's own conditions.
    pub from: Option<&'a Release>,
    /// The hop's target.
    pub to: Option<&'a Release>,
    /// Members of one group that may be down by our doing. Voters are one at a time whatever this says.
    pub max_unavailable: u32,
    /// Members that are down by our doing.
    pub down_by_us: &'a [NodeName],
}

/// Says whether the member may stop now, or what would break.
pub fn may_stop(request: &SafetyRequest<'_>, node: &NodeName) -> Result<(), Unsafe> {
    let scope = Scope::cluster(request.pack, request.observation, request.from, request.to);
    may_stop_in(request, &scope, node)
}

/// Splits all members into those that may stop now, each alone, and those that may not, with the reason.
pub fn safe_set(request: &SafetyRequest<'_>) -> (Vec<NodeName>, Vec<(NodeName, Unsafe)>) {
    let scope = Scope::cluster(request.pack, request.observation, request.from, request.to);
    let mut safe = Vec::new();
    let mut not = Vec::new();
    for node in &request.observation.nodes {
        match may_stop_in(request, &scope, &node.name) {
            Ok(()) => safe.push(node.name.clone()),
            Err(why) => not.push((node.name.clone(), why)),
        }
    }
    (safe, not)
}

/// The same over a scope that was already built.
pub(crate) fn may_stop_in(
    request: &SafetyRequest<'_>,
    scope: &Scope,
    node: &NodeName,
) -> Result<(), Unsafe> {
    let cannot_see = |what: String| Unsafe::CannotSee { node: node.clone(), what };
    let Some(own) = request.observation.nodes.iter().find(|seen| seen.name == *node) else {
        return Err(cannot_see(format!("{node} was not looked at")));
    };
    let Some(safety) = &request.pack.safety else {
        return Err(cannot_see(format!(
            "pack {} does not say when a member may stop",
            request.pack.pack
        )));
    };
    one_at_a_time(request, own)?;
    if part(request.pack, own) == Part::Voter {
        let others: Vec<_> = others(request, node).collect();
        quorum_remains(own, &others)?;
        if own.is_healthy() {
            others_carry_on(request.observation, own, &others)?;
            others_hold_the_data(own, &others, safety.max_lag)?;
        }
    }
    pack_agrees(request.pack, safety, scope, own)
}

/// Voters other than this one; what was not seen counts as one.
fn others<'a>(
    request: &SafetyRequest<'a>,
    node: &'a NodeName,
) -> impl Iterator<Item = &'a NodeObservation> {
    let voter = |seen: &NodeObservation| part(request.pack, seen) == Part::Voter;
    request.observation.nodes.iter().filter(move |seen| seen.name != *node && voter(seen))
}

/// S2.
fn one_at_a_time(request: &SafetyRequest<'_>, own: &NodeObservation) -> Result<(), Unsafe> {
    let max =
        if part(request.pack, own) == Part::Voter { 1 } else { request.max_unavailable.max(1) };
    let down: Vec<_> =
        request.down_by_us.iter().filter(|down| **down != own.name).cloned().collect();
    let count = u32::try_from(down.len()).unwrap_or(u32::MAX);
    if count >= max {
        return Err(Unsafe::TooManyDown { node: own.name.clone(), down, max });
    }
    Ok(())
}

/// S1.
fn quorum_remains(own: &NodeObservation, others: &[&NodeObservation]) -> Result<(), Unsafe> {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let need = count(usize::midpoint(others.len(), 1) + 1);
    let healthy_after = count(others.iter().filter(|other| other.is_healthy()).count());
    if healthy_after < need {
        return Err(Unsafe::QuorumLost { node: own.name.clone(), healthy_after, need });
    }
    Ok(())
}

/// The members that remain are well, know a leader and raised no alarm.
fn others_carry_on(
    observation: &Observation,
    own: &NodeObservation,
    others: &[&NodeObservation],
) -> Result<(), Unsafe> {
    let node = own.name.clone();
    if let Some(other) = others.iter().find(|other| !other.is_healthy()) {
        let because = match &other.reach {
            quorate_model::Reach::Unreachable(because) => because.clone(),
            quorate_model::Reach::Reachable if other.healthy.is_none() => {
                "its health was not seen".into()
            }
            quorate_model::Reach::Reachable => "it says that it is not healthy".into(),
        };
        return Err(Unsafe::OtherUnhealthy { node, other: other.name.clone(), because });
    }
    if !observation.nodes.iter().any(|seen| seen.role == Role::Leader && seen.is_healthy()) {
        return Err(Unsafe::NoLeader { node });
    }
    let voters = others.iter().copied().chain([own]);
    for voter in voters {
        if let Some(alarm) = voter.alarms.first() {
            return Err(Unsafe::Alarm { node, on: voter.name.clone(), alarm: alarm.clone() });
        }
    }
    Ok(())
}

/// Nothing hangs on this member alone: the others caught up, and hold the same data.
fn others_hold_the_data(
    own: &NodeObservation,
    others: &[&NodeObservation],
    max: u64,
) -> Result<(), Unsafe> {
    let node = || own.name.clone();
    for other in others {
        let Some(lag) = other.lag else {
            return Err(Unsafe::CannotSee {
                node: node(),
                what: format!("how far {} is behind was not seen", other.name),
            });
        };
        if lag > max {
            return Err(Unsafe::OtherBehind { node: node(), other: other.name.clone(), lag, max });
        }
    }
    let differ: Vec<_> = others
        .iter()
        .filter(|other| data_differ(own, other))
        .map(|other| other.name.clone())
        .collect();
    if differ.is_empty() {
        Ok(())
    } else {
        Err(Unsafe::DataDiffer { node: node(), others: differ })
    }
}

/// Hashes speak only of the same revision. Products that give none are judged by their own gates.
pub(crate) fn data_differ(a: &NodeObservation, b: &NodeObservation) -> bool {
    match (&a.data_hash, &b.data_hash, a.hash_revision == b.hash_revision) {
        (Some(a), Some(b), true) => a != b,
        _ => false,
    }
}

fn pack_agrees(
    pack: &Pack,
    safety: &Safety,
    scope: &Scope,
    own: &NodeObservation,
) -> Result<(), Unsafe> {
    let concerns = |releases: &Option<quorate_model::Range>| {
        releases
            .as_ref()
            .is_none_or(|range| own.release.as_ref().is_some_and(|r| range.contains(r)))
    };
    let scope = scope.with_node(&own.name);
    let asked = safety.may_stop.iter().filter(|condition| condition.is_for(&own.group));
    for condition in asked.filter(|condition| concerns(&condition.releases)) {
        if !pack.holds(&condition.cel, &scope).is_true() {
            return Err(Unsafe::Pack {
                node: own.name.clone(),
                rule: condition.name.clone(),
                text: condition.text.clone(),
            });
        }
    }
    Ok(())
}
