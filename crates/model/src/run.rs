//! A run: one execution of a plan, who holds it, and how it ended.

use crate::{ClusterName, Digest, Generation, RunId, StepId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The right to act on one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The cluster.
    pub cluster: ClusterName,
    /// The run that it was taken for.
    pub run: RunId,
    /// Who acts.
    pub holder: Holder,
    /// Counts takers; an older one may not act (S8).
    pub generation: Generation,
    /// Since when.
    pub taken_at: Timestamp,
    /// Without a renewal it ends then.
    pub expires_at: Timestamp,
}

/// A person at a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// `anna@control-1`.
    pub who: String,
    /// The controller's process id.
    pub pid: u32,
}

/// What a list of runs shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunHeader {
    /// The run.
    pub run: RunId,
    /// Its cluster.
    pub cluster: ClusterName,
    /// Its plan.
    pub plan: Digest,
    /// When it began.
    pub began_at: Timestamp,
    /// Where it stands.
    pub state: RunState,
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum RunState {
    /// At work, or its controller died: the lease tells.
    Running,
    /// A person said wait.
    Paused { by: String },
    /// A person must say yes.
    AwaitingApproval { step: StepId },
    /// Over.
    Ended { end: RunEnd },
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "end")]
pub enum RunEnd {
    /// Every step done, every gate held.
    Succeeded,
    /// Stopped by a gate, a failure or a surprise; nothing further was touched.
    Halted { hold: Hold },
    /// Stopped by a person.
    Aborted { by: String, reason: String },
}

/// Code of the hold of a run that did everything that was left to do, and left nodes without a vote behind.
pub const LEFT_BEHIND: &str = "left-behind";

/// What halted a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The step at which it halted.
    pub step: Option<StepId>,
    /// Stable name: `gate-timeout`, `precheck`, `unsafe`, `act-failed`, `unknown-outcome`, `world-differs`, `lease-lost`, `client-gap`, `invariant`,
    /// `failure-budget`, [`LEFT_BEHIND`].
    pub code: String,
    /// Who, what, why.
    pub text: String,
    /// What next.
    pub hint: Option<String>,
}
