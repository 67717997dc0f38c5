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
}
