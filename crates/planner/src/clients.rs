//! Nodes without a vote along a hop: their files are staged at once, then they move in waves, group by group.
//!
//! Invariant: no wave is wider than the policy's share of the group, and none holds anybody with a vote.
//! Invariant: upward they come after all servers of the hop, on the way back before them.
//! Read next: `waves.rs`, of whose steps a lane is made.

use crate::{
    hop::{HopPlan, named, these},
    members::Member,
    packages, waves,
};
use quorate_model::{Condition, GroupName, Lanes, SERVERS_WELL, Step, Wave};
use std::collections::BTreeSet;

/// The clients of one group that have a way to go.
struct Crowd<'w, 'a> {
    group: &'w GroupName,
    /// All nodes of the group: shares are parts of this.
    size: usize,
    moving: Vec<&'w Member<'a>>,
}

/// The files of the hop beside the live ones of every client, a wave a group.
pub(crate) fn staging(plan: &HopPlan<'_, '_>) -> Vec<Wave> {
    let wave = |crowd: &Crowd<'_, '_>| {
        let name = format!("stage-{}", crowd.group);
        let to = &plan.hop.to;
        let count = crowd.moving.len();
        let title = format!("put {to} beside the live files of {count} of {}", crowd.group);
        let steps = crowd.moving.iter().map(|member| plan.stage(&name, member)).collect();
        // Nobody stops for it: all may be at it, as far as the controller goes.
        let lanes = Lanes { at_most: as_u32(count), ..limits(plan, crowd) };
        Wave { lanes: Some(lanes), ..plan.wave(&name, title, None, steps) }
    };
    crowds(plan).iter().map(wave).collect()
}

/// The waves in which clients move.
pub(crate) fn waves(plan: &HopPlan<'_, '_>) -> Vec<Wave> {
    let mut all = Vec::new();
    let well = servers_well(plan);
    for crowd in crowds(plan) {
        let lanes = limits(plan, &crowd);
        let width = usize::try_from(lanes.at_most).unwrap_or(usize::MAX);
        let (from, to, group) = (&plan.hop.from, &plan.hop.to, crowd.group);
        let mut first = 1;
        for (nth, members) in crowd.moving.chunks(width).enumerate() {
            let last = first + members.len() - 1;
            let whole = crowd.moving.len();
            let title = format!("{group} {first} to {last} of {whole}: {from} -> {to}");
            first = last + 1;
            let steps = members.iter().flat_map(|member| lane(plan, member, &well)).collect();
            let wave = plan.wave(&format!("{group}-{}", nth + 1), title, None, steps);
            all.push(Wave { lanes: Some(lanes.clone()), ..wave });
        }
    }
    all
}

/// Stop, swap, start, rejoin, soak of one client.
fn lane(plan: &HopPlan<'_, '_>, member: &Member<'_>, well: &Condition) -> Vec<Step> {
    let mut stop = waves::stop(plan, member);
    stop.precheck.push(well.clone());
    stop.precheck.push(waves::artifact_whole(plan, member.name()));
    stop.precheck.extend(waves::may_stop(plan, member));
    let mut steps: Vec<Step> = packages::hold_back(plan, member).into_iter().collect();
    steps.extend([stop, waves::swap(plan, member), waves::start(plan, member)]);
    let title = format!("wait until {} is back", member.name());
    steps.push(Step { title, ..waves::rejoin(plan, member) });
    steps.extend(packages::let_go(plan, member));
    steps.extend(waves::soak(plan, member));
    steps
}

/// What a client is not stopped without: those that it depends on serve.
fn servers_well(plan: &HopPlan<'_, '_>) -> Condition {
    let servers = these(plan.members.iter().filter(|member| !member.is_client()));
    let mut cel = format!("{servers}.all(n, n.healthy == true)");
    let mut text = "every server is healthy".to_owned();
    if plan.leader.is_some() {
        cel.push_str(" && cluster.leader != null");
        text.push_str(" and a leader is known");
    }
    named(SERVERS_WELL, cel, text)
}

fn limits(plan: &HopPlan<'_, '_>, crowd: &Crowd<'_, '_>) -> Lanes {
    Lanes {
        group: crowd.group.clone(),
        at_most: plan.policy.client_wave.of(crowd.size).max(1),
        failures: plan.policy.client_failure_budget.of(crowd.size),
    }
}

/// Clients by group, in the order of the pack; groups that it does not name come last. Those that are down come first:
/// to move them takes nothing away. Those that run the release already have no way to go.
fn crowds<'w, 'a>(plan: &'w HopPlan<'a, '_>) -> Vec<Crowd<'w, 'a>> {
    let moves =
        |member: &&Member<'_>| member.is_client() && (!plan.moved(member) || plan.down(member));
    let clients = || plan.order.iter().map(|at| &plan.members[*at]).filter(moves);
    let size = |group: &GroupName| {
        let own = |member: &&Member<'_>| member.is_client() && member.node.group == *group;
        plan.members.iter().filter(own).count()
    };
    let present: BTreeSet<&GroupName> = clients().map(|member| &member.node.group).collect();
    let mut groups: Vec<&GroupName> = present.into_iter().collect();
    let place = |group: &GroupName| plan.pack.groups.iter().position(|known| known.name == *group);
    groups.sort_by_key(|group| place(group).unwrap_or(usize::MAX));
    let crowd = |group: &'w GroupName| {
        let mut moving: Vec<&Member<'a>> =
            clients().filter(|member| member.node.group == *group).collect();
        moving.sort_by_key(|member| !plan.down(member));
        Crowd { group, size: size(group), moving }
    };
    groups.into_iter().map(crowd).collect()
}

fn as_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
