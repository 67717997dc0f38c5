//! Steps, plans and beginnings for conversations with the machine.

#![allow(clippy::unwrap_used, dead_code, reason = "shared by several tests, each uses a part")]

use jiff::Timestamp;
use quorate_model::*;
use std::{sync::Arc, time::Duration};

pub(crate) fn condition(name: &str) -> Condition {
    Condition { name: name.into(), cel: String::new(), text: name.into() }
}

pub(crate) fn step(id: &str, role: StepRole, action: Action) -> Step {
    let acts = !matches!(action, Action::Look | Action::Confirm { .. });
    Step {
        id: id.into(),
        title: id.into(),
        role,
        node: Some("n1".into()),
        action,
        precheck: Vec::new(),
        done: acts.then(|| condition("done")),
        gate: None,
        undo: Undo::Nothing,
        limit: Duration::from_secs(5),
        estimate: Duration::from_secs(1),
        one_way: false,
        needs_approval: false,
    }
}

pub(crate) fn gate(soak: u64) -> Gate {
    Gate {
        name: "rejoin".into(),
        conditions: vec![condition("healthy")],
        good_looks: 2,
        look_every: Duration::from_secs(1),
        soak: Duration::from_secs(soak),
        limit: Duration::from_secs(30),
    }
}

pub(crate) fn plan_of(waves: Vec<Wave>) -> Arc<Plan> {
    let release: Release = "3.4.23".parse().unwrap();
    let at = Timestamp::UNIX_EPOCH;
    let policy = Policy { look_every: Duration::from_secs(1), ..Policy::default() };
    Arc::new(Plan {
        schema: PLAN_SCHEMA,
        digest: Digest::new("d1"),
        parent: None,
        cluster: "c".into(),
        pack: "p".into(),
        pack_digest: Digest::new("p"),
        kind: PlanKind::Upgrade,
        from: release.clone(),
        to: release.clone(),
        observation: ObservationRef { taken_at: at, digest: Digest::new("o") },
        observed: Observation {
            cluster: "c".into(),
            pack: "p".into(),
            taken_at: at,
            nodes: vec![],
            facts: Facts::new(),
            findings: vec![],
        },
        policy,
        hops: vec![Hop {
            from: release.clone(),
            to: release.clone(),
            kind: HopKind::Rolling,
            conversion: None,
            risk: Risk::Low,
            one_way: Door::None,
            rules: vec![],
            edge: Edge {
                permitted_by: vec![],
                blocks: vec![],
                excused: vec![],
                never_land: vec![],
                protocols: Vec::new(),
            },
            artifact: ArtifactRef {
                pack: "p".into(),
                release,
                source: ArtifactSource::Folder("/a".into()),
                files: vec![],
            },
            waves,
        }],
        refused: vec![],
        config_findings: vec![],
        dependants: Vec::new(),
        losses: vec![],
        estimate: Duration::ZERO,
        outage: Duration::ZERO,
    })
}

pub(crate) fn began(plan: &Plan) -> RunEvent {
    RunEvent::Began {
        plan: plan.digest.clone(),
        cluster: "c".into(),
        holder: Holder { who: "anna".into(), pid: 1 },
        generation: Generation(1),
    }
}
