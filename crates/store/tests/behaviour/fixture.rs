//! Small values that the checks speak of.

use jiff::{Timestamp, ToSpan};
use quorate_model::{
    Attempt, ClusterName, Digest, Facts, Holder, Lease, Observation, ObservationRef, PLAN_SCHEMA,
    Plan, PlanKind, Policy, RunEvent, RunId, Seq,
};
use quorate_store::Store;
use std::time::Duration;

pub(crate) const TTL: Duration = Duration::from_secs(30);

/// Seconds after the beginning of everything.
pub(crate) fn at(secs: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH.checked_add(secs.seconds()).unwrap()
}

pub(crate) fn cluster() -> ClusterName {
    "demo".into()
}

pub(crate) fn run() -> RunId {
    "r1".into()
}

pub(crate) fn holder(who: &str) -> Holder {
    Holder { who: who.into(), pid: 7 }
}

pub(crate) fn note(text: &str) -> RunEvent {
    RunEvent::Note { by: "anna".into(), text: text.into() }
}

pub(crate) fn started(step: &str) -> RunEvent {
    RunEvent::Started { step: step.into(), attempt: Attempt(1) }
}

/// Makes run `r1` of cluster `demo` known and takes its lease at second 0.
pub(crate) fn begun(store: &dyn Store) -> Lease {
    store.create_run(&run(), &cluster(), &Digest::new("d1"), at(0)).unwrap();
    store.take_lease(&cluster(), &run(), &holder("anna"), at(0), TTL, false).unwrap()
}

/// Texts of the notes and names of the steps in the journal, with their places.
pub(crate) fn story(store: &dyn Store) -> String {
    let journal = store.journal(&run(), Seq(0)).unwrap();
    let words = journal.iter().map(|recorded| match &recorded.event {
        RunEvent::Note { text, .. } => format!("{}:{text}", recorded.seq),
        RunEvent::Started { step, .. } => format!("{}:{step}", recorded.seq),
        other => format!("{}:{other:?}", recorded.seq),
    });
    words.collect::<Vec<_>>().join(" ")
}

pub(crate) fn observation(taken_at: Timestamp) -> Observation {
    Observation {
        cluster: cluster(),
        pack: "etcd".into(),
        taken_at,
        nodes: Vec::new(),
        facts: Facts::from([("index".into(), serde_json::json!(1.5))]),
        findings: Vec::new(),
    }
}

pub(crate) fn plan(digest: &str) -> Plan {
    Plan {
        schema: PLAN_SCHEMA,
        digest: Digest::new(digest),
        parent: None,
        cluster: cluster(),
        pack: "etcd".into(),
        pack_digest: Digest::new("p"),
        kind: PlanKind::Upgrade,
        from: "3.3.25".parse().unwrap(),
        to: "3.5.16".parse().unwrap(),
        observation: ObservationRef { taken_at: at(0), digest: Digest::new("o") },
        observed: observation(at(0)),
        policy: Policy::default(),
        hops: Vec::new(),
        refused: Vec::new(),
        config_findings: Vec::new(),
        dependants: Vec::new(),
        losses: Vec::new(),
        estimate: Duration::from_millis(1500),
        outage: Duration::ZERO,
    }
}
