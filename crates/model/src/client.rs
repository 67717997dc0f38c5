//! What clients saw of a run: acknowledged, lost and failed requests, and the gaps between them.

use crate::StepId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A pause in which no write was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientGap {
    /// When the last write before it was acknowledged.
    pub at: Timestamp,
    /// Its length in milliseconds.
    pub gap_ms: u64,
    /// The step that was under way, when one was.
    pub step: Option<StepId>,
}

/// One second of the client's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientSample {
    /// The end of the second.
    pub at: Timestamp,
    /// Writes acknowledged in it.
    pub acked: u64,
    /// Requests that failed after all retries.
    pub failed: u64,
    /// Median latency of its writes in microseconds.
    pub p50_us: u64,
    /// Worst latency of its writes in microseconds.
    pub max_us: u64,
    /// The longest time without an acknowledged write that ended in it, in milliseconds.
    pub gap_ms: u64,
}

/// The whole run as clients saw it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientFigures {
    /// Writes that the cluster acknowledged.
    pub writes_acked: u64,
    /// Acknowledged writes that were not there at the end, or held another value.
    pub writes_lost: u64,
    /// Requests that failed although they were retried like a good client does.
    pub requests_failed: u64,
    /// Linearizable reads answered.
    pub reads_ok: u64,
    /// Reads that gave an older value than one already acknowledged.
    pub reads_stale: u64,
    /// Watch events received.
    pub watch_events: u64,
    /// Watch events that never came.
    pub watch_missed: u64,
    /// The longest time without an acknowledged write, in milliseconds.
    pub write_gap_max_ms: u64,
    /// The same before anything was changed: the machine's own noise.
    pub baseline_gap_max_ms: u64,
    /// A lock that several clients took in turn; none where the product or its pack knows none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<LockFigures>,
    /// What was looked up all the time, by every way there is; empty where there is nothing to look up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lookups: Vec<LookupFigures>,
}

/// A lock as several clients saw it that took it in turn.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockFigures {
    /// Times that somebody got it.
    pub taken: u64,
    /// Times that two held it at once, or that the number that tells holders apart did not grow.
    pub broken: u64,
    /// Sessions that ended before their clients ended them.
    pub sessions_lost: u64,
    /// The longest time in which nobody got it, in milliseconds.
    pub wait_max_ms: u64,
}

/// One way to look a service up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupFigures {
    /// The pack's name for it: `dns`, `http`.
    pub name: String,
    /// Answers that named members, and nobody else.
    pub right: u64,
    /// Answers that named nobody, or somebody who is no member.
    pub wrong: u64,
    /// Questions that were not answered, whoever was asked.
    pub failed: u64,
    /// The longest time without a right answer, in milliseconds.
    pub gap_max_ms: u64,
}
