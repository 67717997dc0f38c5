//! The report of a plan of which nothing has been done.

use crate::report::{
    ClientReport, Health, HopReport, MemberReport, MemberSeen, Origin, Report, StepReport,
    StepState, WaveReport,
};
use quorate_model::{Hop, NodeObservation, Plan, Reach, RunState, Step, Wave};
use std::time::Duration;

pub(super) fn of_plan(plan: &Plan) -> Report {
    Report {
        run: None,
        cluster: plan.cluster.clone(),
        pack: plan.pack.clone(),
        kind: plan.kind,
        from: plan.from.clone(),
        to: plan.to.clone(),
        origin: Origin {
            plan: plan.digest.clone(),
            parent: plan.parent.clone(),
            pack: plan.pack_digest.clone(),
            observation: plan.observation.clone(),
        },
        state: RunState::Running,
        began_at: None,
        ended_at: None,
        as_of: plan.observation.taken_at,
        estimate: plan.estimate,
        outage: plan.outage,
        hops: plan.hops.iter().map(hop).collect(),
        members: plan.observed.nodes.iter().map(|node| member(plan, node)).collect(),
        leader_changes: Vec::new(),
        client: ClientReport::default(),
        approvals: Vec::new(),
        notes: Vec::new(),
        overrides: Vec::new(),
        ledger: Vec::new(),
        backups: Vec::new(),
        left_behind: Vec::new(),
        halts: Vec::new(),
        standstills: Vec::new(),
        request: None,
        controllers: Vec::new(),
        world: Vec::new(),
        refused: plan.refused.clone(),
        config_findings: plan.config_findings.clone(),
        losses: plan.losses.clone(),
        log: Vec::new(),
    }
}

fn hop(hop: &Hop) -> HopReport {
    HopReport {
        from: hop.from.clone(),
        to: hop.to.clone(),
        kind: hop.kind,
        conversion: hop.conversion.clone(),
        risk: hop.risk,
        one_way: hop.one_way,
        rules: hop.rules.clone(),
        started_at: None,
        ended_at: None,
        wall: Duration::ZERO,
        rolling: Duration::ZERO,
        outage: None,
        soak: Duration::ZERO,
        floor: Duration::ZERO,
        estimate: hop.waves.iter().map(Wave::estimate).sum(),
        progress: 0.0,
        waves: hop.waves.iter().map(wave).collect(),
    }
}

fn wave(wave: &Wave) -> WaveReport {
    WaveReport {
        id: wave.id.clone(),
        title: wave.title.clone(),
        node: wave.node.clone(),
        lanes: wave.lanes.clone(),
        steps: wave.steps.iter().map(step).collect(),
    }
}

fn step(step: &Step) -> StepReport {
    let gate = step.gate.as_ref().map(|gate| gate.conditions.as_slice()).unwrap_or_default();
    StepReport {
        id: step.id.clone(),
        title: step.title.clone(),
        role: step.role,
        node: step.node.clone(),
        one_way: step.one_way,
        needs_approval: step.needs_approval,
        gate: gate.iter().map(|condition| condition.text.clone()).collect(),
        estimate: step.estimate,
        state: StepState::Pending,
        attempts: 0,
        started_at: None,
        ended_at: None,
        took: None,
        floor: None,
    }
}

fn member(plan: &Plan, node: &NodeObservation) -> MemberReport {
    let health = match (&node.reach, node.healthy) {
        (Reach::Unreachable(_), _) => Health::Unseen,
        (Reach::Reachable, Some(true)) => Health::Serving,
        (Reach::Reachable, Some(false) | None) => Health::NotServing,
    };
    let seen = MemberSeen {
        at: plan.observation.taken_at,
        release: node.release.clone(),
        role: node.role,
        health,
        lag: node.lag,
    };
    MemberReport {
        node: node.name.clone(),
        group: node.group.clone(),
        voter: node.voter,
        history: vec![seen],
    }
}
