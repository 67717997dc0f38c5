//! The way back while members are mixed: the old files are put back, member by member, the broken one first.
//!
//! Configuration that the upgrade rewrote goes back with them.

use super::{RollbackRequest, WayBack, applied, edge, no_way, old};
use crate::{
    hop::HopPlan,
    members::Member,
    order::order,
    path::PathHop,
    plan::{Draft, Ground, assemble, cannot_build, kind_of, refusal, refuse_if_any, unsafe_now},
    template::{Known, Words},
};
use quorate_model::{
    Action, Blocked, ConfigChange, Door, FileRewrite, HopKind, NodeName, NotNow, Plan, PlanKind,
    Refusal, Risk,
};
use quorate_packs::eval::Scope;
use std::collections::BTreeMap;

/// Plans it.
pub(super) fn plan(
    request: &RollbackRequest<'_>,
    members: &[Member<'_>],
    way: &WayBack<'_>,
) -> Result<Plan, Refusal> {
    let Some(safety) = &request.pack.safety else {
        return Err(no_way(way.hop, format!("pack {} has no `safety`", request.pack.pack), None));
    };
    if !way.rule.mixed {
        return Err(no_way(way.hop, way.rule.text.clone(), None));
    }
    let back = PathHop {
        from: way.hop.to.clone(),
        to: old(way.hop).clone(),
        kind: HopKind::Rolling,
        conversion: None,
        risk: Risk::Med,
        one_way: Door::None,
        rules: vec![applied(way.rule)],
        cures: Vec::new(),
        protocols: Vec::new(),
    };
    let kind = kind_of(members, &back);
    if kind != HopKind::Rolling && !request.cluster.policy.allow_outage {
        let voters = members.iter().filter(|member| member.is_voter()).count();
        let voters = u32::try_from(voters).unwrap_or(u32::MAX);
        return Err(refusal([NotNow::Blocked(Blocked::NeedsOutage { voters, outage_secs: 0 })]));
    }
    let scope = Scope::cluster(request.pack, request.observation, None, None);
    let ground =
        Ground { pack: request.pack, cluster: request.cluster, observation: request.observation };
    refuse_if_any(unsafe_now(&ground, members, &back, &scope))?;
    let words = Words {
        pack: request.pack,
        cluster: request.cluster,
        observation: request.observation,
        from: &back.from,
        to: &back.to,
        speaking: &back.from,
        before: Some(&request.plan.observed),
        renamed: false,
        known: Known::default(),
    };
    let leader = members.iter().position(Member::is_leader);
    let built = HopPlan {
        number: 1,
        pack: request.pack,
        safety,
        policy: &request.cluster.policy,
        measured: request.measured,
        words: &words,
        scope: &scope,
        members,
        hop: &back,
        artifact: way.artifact,
        order: &order(members, leader.map(|index| members[index].name()), false),
        leader,
        healed: false,
        config: &configuration_back(request, way),
        taken_names: &[],
        now: request.now,
        kind,
    }
    .build()
    .map_err(|fault| cannot_build(&fault))?;
    let mut hop = built.hop;
    hop.edge = edge(way.rule);
    let draft = Draft {
        kind: PlanKind::RollbackBinaries,
        from: back.from.clone(),
        to: back.to.clone(),
        hops: vec![hop],
    };
    Ok(assemble(request.cluster, request.pack, request.observation, draft))
}

/// The rewrites of the hop, turned round: back to what the hops before it left, or to what was found at the start.
pub(super) fn configuration_back(
    request: &RollbackRequest<'_>,
    way: &WayBack<'_>,
) -> BTreeMap<NodeName, ConfigChange> {
    let changes = |hop: &quorate_model::Hop| -> Vec<(NodeName, ConfigChange)> {
        let steps = hop.waves.iter().flat_map(|wave| &wave.steps);
        let change = |step: &quorate_model::Step| match &step.action {
            Action::Swap { node, config: Some(config), .. } => Some((node.clone(), config.clone())),
            _ => None,
        };
        steps.filter_map(change).collect()
    };
    let earlier: Vec<_> =
        request.plan.hops.iter().take_while(|hop| hop.to != way.hop.to).flat_map(changes).collect();
    changes(way.hop)
        .into_iter()
        .map(|(node, change)| {
            let back = turned_round(request, &earlier, &node, &change);
            (node, back)
        })
        .collect()
}

fn turned_round(
    request: &RollbackRequest<'_>,
    earlier: &[(NodeName, ConfigChange)],
    node: &NodeName,
    change: &ConfigChange,
) -> ConfigChange {
    let own = || earlier.iter().rev().filter(|(other, _)| other == node).map(|(_, change)| change);
    let declared = request.cluster.nodes.iter().find(|declared| declared.name == *node);
    let service = change.service.as_ref().and_then(|_| {
        let before = own().find_map(|change| change.service.clone());
        before.or_else(|| declared.and_then(|node| node.service.clone()))
    });
    // A file's rewrite knows both of its states: the way back leads from the one to the other.
    let files = change.files.iter().map(|file| FileRewrite {
        before: file.after.clone(),
        after: file.before.clone(),
        ..file.clone()
    });
    let files = files.collect();
    let diff = change.diff.iter().rev().map(|line| {
        match (line.strip_prefix("+ "), line.strip_prefix("- ")) {
            (Some(added), _) => format!("- {added}"),
            (None, Some(removed)) => format!("+ {removed}"),
            (None, None) => line.clone(),
        }
    });
    ConfigChange { service, files, diff: diff.collect() }
}
