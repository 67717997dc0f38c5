//! Finds gates that can never pass, when the plan is made and not when the cluster already waits at one.
//!
//! A member that is well now must pass the gate that will ask it to be well later. If a condition does not hold on it
//! today, something other than the upgrade stands in the way.

use crate::members::{Member, Standing};
use jiff::Timestamp;
use quorate_model::{Blocked, Hop, NodeName, NotNow, Policy, REJOIN_GATE, Release, WaitingOn};
use quorate_packs::{
    NamedCondition, Pack,
    eval::{Scope, Truth},
};
use std::collections::BTreeSet;

/// What is looked at.
pub(crate) struct GateRequest<'a, 'w> {
    pub(crate) pack: &'a Pack,
    pub(crate) policy: &'a Policy,
    pub(crate) scope: &'w Scope,
    pub(crate) members: &'w [Member<'a>],
    /// The first hop's target.
    pub(crate) to: &'a Release,
    pub(crate) now: Timestamp,
}

/// Looks at every gate condition that must hold before and after the hop alike.
pub(crate) fn never_passing(request: &GateRequest<'_, '_>) -> Vec<NotNow> {
    let Some(safety) = &request.pack.safety else { return Vec::new() };
    let mut reasons = Vec::new();
    for member in request.members {
        if member.standing() != Standing::Up {
            continue;
        }
        let Some(release) = member.release() else { continue };
        let scope =
            request.scope.with_node(member.name()).with_releases(Some(release), Some(release));
        for condition in safety.rejoined.iter().filter(|c| {
            c.is_for(&member.node.group) && concerns(c, release) && concerns(c, request.to)
        }) {
            match request.pack.holds(&condition.cel, &scope) {
                Truth::True => {}
                _ if only_this_moment(member, condition) => {}
                _ if overridden(request, member) => {}
                Truth::False => reasons.push(false_now(member, condition)),
                Truth::Unknown { what } => reasons.push(never(member, condition, &what)),
            }
        }
    }
    reasons
}

/// Overrides that would set nothing aside: a name that no gate of that member has is a slip, and a run that counts on it
/// would halt where nobody expects it.
pub(crate) fn overrides_without_gate(policy: &Policy, hops: &[Hop], now: Timestamp) -> Vec<NotNow> {
    let steps = || hops.iter().flat_map(|hop| &hop.waves).flat_map(|wave| &wave.steps);
    let gates = |node: &NodeName| -> BTreeSet<&str> {
        let own = steps().filter(|step| step.node.as_ref() == Some(node));
        own.filter_map(|step| step.gate.as_ref()).map(|gate| gate.name.as_str()).collect()
    };
    let valid = policy.overrides.iter().filter(|over| over.expires > now);
    let slips = valid.filter(|over| !gates(&over.node).contains(over.gate.as_str()));
    let told = slips.map(|over| {
        let names: Vec<&str> = gates(&over.node).into_iter().collect();
        NotNow::Blocked(Blocked::Condition {
            rule: "override".into(),
            text: "an override must name a gate of the plan, and the node it is asked of".into(),
            because: format!("no gate `{}` is asked of {}", over.gate, over.node),
            way_out: Some(if names.is_empty() {
                format!("take the override of {} out of the policy", over.node)
            } else {
                format!("gates that are asked of {}: {}", over.node, names.join(", "))
            }),
        })
    });
    told.collect()
}

fn concerns(condition: &NamedCondition, release: &Release) -> bool {
    condition.releases.as_ref().is_none_or(|range| range.contains(release))
}

fn overridden(request: &GateRequest<'_, '_>, member: &Member<'_>) -> bool {
    request.policy.overrides.iter().any(|over| {
        over.node == *member.name() && over.expires > request.now && over.gate == REJOIN_GATE
    })
}

/// Hashes of members that are asked a moment apart may speak of two revisions: that is no reason against a plan. When
/// they speak of one and differ, safety has said so already.
fn only_this_moment(member: &Member<'_>, condition: &NamedCondition) -> bool {
    condition.name == "data-equal" && member.seen.is_some_and(|seen| seen.data_hash.is_some())
}

fn false_now(member: &Member<'_>, condition: &NamedCondition) -> NotNow {
    let node = member.name().clone();
    match (condition.name.as_str(), member.seen.and_then(|seen| seen.lag)) {
        ("caught-up", Some(lag)) => NotNow::WaitingOn(WaitingOn::CatchUp { node, lag }),
        _ => NotNow::WaitingOn(WaitingOn::Condition {
            node: Some(node),
            gate: condition.name.clone(),
            text: condition.text.clone(),
        }),
    }
}

fn never(member: &Member<'_>, condition: &NamedCondition, what: &str) -> NotNow {
    let node = member.name();
    NotNow::Blocked(Blocked::NeverPasses {
        gate: condition.name.clone(),
        because: format!("`{}` cannot be seen on {node}: {what}", condition.text),
        way_out: format!(
            "make it visible on {node}, or set gate `{}` aside for {node} in the policy's `overrides`, with a reason and an end",
            REJOIN_GATE
        ),
    })
}
