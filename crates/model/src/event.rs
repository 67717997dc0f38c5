//! What a run writes down: intent before the act, outcome after it. The journal alone says where a run stands.
//!
//! Invariant: events are only ever added. A new kind of event is a new variant; none changes its meaning.

use crate::{
    Attempt, ClientFigures, ClientGap, ClientSample, ClusterName, Digest, Generation, Hold, Holder,
    NodeName, Override, Release, Role, Seq, StepId, WaitingOn, secs,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// An event with its place and time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// Its place in the journal, counted from 1.
    pub seq: Seq,
    /// When it was written.
    pub at: Timestamp,
    /// What happened.
    pub event: RunEvent,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum RunEvent {
    /// The run exists. Always the first event.
    Began { plan: Digest, cluster: ClusterName, holder: Holder, generation: Generation },
    /// A controller took the run over after another one died, paused or lost its lease.
    Resumed { holder: Holder, generation: Generation },
    /// The world was looked at on resuming; `differs` is empty when it is what the journal implies.
    WorldSeen { differs: Vec<String> },
    /// Intent: the act of this step begins. Written before the act.
    Started { step: StepId, attempt: Attempt },
    /// The act's outcome. Written after the act.
    Acted { step: StepId, attempt: Attempt, outcome: Outcome },
    /// The step's own probe says whether it had already happened.
    DoneProbed { step: StepId, done: bool },
    /// What the step waits for has changed.
    Waiting { step: StepId, on: WaitingOn },
    /// The step is over: its gate held, or it had already happened.
    Finished {
        step: StepId,
        outcome: Outcome,
        #[serde(with = "secs", rename = "took_secs")]
        took: Duration,
    },
    /// A gate was set aside on one member by an override of the policy or of a person.
    Overridden { step: StepId, over: Override, by: String },
    /// A temporary change was made; it is owed until `PutBack`.
    TempSet { key: String },
    /// A temporary change was put back.
    PutBack { key: String },
    /// A backup was taken and, when `verified`, restored and compared.
    BackedUp {
        step: StepId,
        file: String,
        sha256: Digest,
        size_bytes: u64,
        verified: Option<String>,
    },
    /// A person must say yes before this step.
    AskedApproval { step: StepId, text: String },
    /// A person said yes.
    Approved { step: StepId, by: String },
    /// A person asked for a pause; the run stops at the next safe point.
    PauseRequested { by: String, reason: String },
    /// It stands still; the lease is free.
    Paused { by: String },
    /// A person asked for an end; the run stops at the next safe point.
    AbortRequested { by: String, reason: String },
    /// A person wrote something down.
    Note { by: String, text: String },
    /// What was seen of one member changed; the timeline draws these.
    MemberSeen {
        node: NodeName,
        reachable: bool,
        release: Option<Release>,
        role: Role,
        healthy: Option<bool>,
        lag: Option<u64>,
    },
    /// The client's second.
    Client { sample: ClientSample },
    /// A gap worth naming: longer than the baseline's worst.
    ClientGap { gap: ClientGap },
    /// The client's baseline, before anything was changed.
    Baseline {
        gap_max_ms: u64,
        p50_us: u64,
        max_us: u64,
        #[serde(with = "secs", rename = "measured_secs")]
        measured: Duration,
    },
    /// The client's account at the end.
    ClientFigures { figures: ClientFigures },
    /// What the product itself took from the stop to healthy and caught up, for one member.
    Floor {
        step: StepId,
        node: NodeName,
        #[serde(with = "secs", rename = "floor_secs")]
        floor: Duration,
    },
    /// A node without a vote failed and was left as it is; the others go on. The hold says at which step, and why.
    LeftBehind { node: NodeName, hold: Hold },
    /// Nodes that were left behind before are tried once more.
    Retried { nodes: Vec<NodeName> },
    /// The run halted; nothing further is touched.
    Halted { hold: Hold },
    /// Stopped by a person.
    Aborted { by: String, reason: String },
    /// Every step done. Always the last event of a run that succeeded.
    Succeeded,
}

/// How one try of a step went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum Outcome {
    /// It happened, and how that was seen.
    Succeeded { note: Option<String> },
    /// It was not needed: its own probe said that it had happened.
    Skipped { because: String },
    /// It did not happen.
    Failed { because: String },
    /// Nobody knows; the step's own probe decides.
    Unknown { because: String },
}
