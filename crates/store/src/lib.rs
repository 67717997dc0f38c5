//! Keeps what must survive the controller: journals, plans, observations, leases. One SQLite file by default.
//!
//! Invariant: a journal only grows, at the expected sequence, and only under the newest lease generation (S8).

use jiff::Timestamp;
use quorate_model::{
    ClusterName, Digest, Generation, Holder, Lease, Observation, Plan, Recorded, RunEvent, RunHeader, RunId, Seq,
};
use std::{path::PathBuf, time::Duration};

/// What could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else appended first.
    #[error("the journal of run {run} is at {actual}, not at {expected}: somebody else wrote to it")]
    Conflict { run: RunId, expected: Seq, actual: Seq },
    /// A newer lease exists.
    #[error("the lease of cluster {cluster} is at generation {newest}, this controller holds {own}: it may not act any more")]
    Fenced { cluster: ClusterName, own: Generation, newest: Generation },
    /// Somebody holds the lease.
    #[error("cluster {} is held by {} (process {}) for run {} since {}, until {}", .0.cluster, .0.holder.who, .0.holder.pid, .0.run, .0.taken_at, .0.expires_at)]
    Held(Box<Lease>),
    /// There is no such thing.
    #[error("there is no {what} `{name}`")]
    Missing { what: &'static str, name: String },
    /// The file is from a newer program.
    #[error("state file {path} has schema {found}, this program knows up to {known}: use the newer quorate")]
    Newer { path: PathBuf, found: u32, known: u32 },
    /// The file cannot be used.
    #[error("cannot use state file {path}: {because}")]
    Unusable { path: PathBuf, because: String },
}

/// What must survive the controller. All calls are short and blocking.
pub trait Store: Send + Sync {
    /// Appends events after `expected`, at once or not at all. `lease` fences: an older generation is refused.
    fn append(&self, run: &RunId, lease: Option<&Lease>, expected: Seq, at: Timestamp, events: &[RunEvent]) -> Result<Seq, StoreError>;
    /// Events after `after`, in order.
    fn journal(&self, run: &RunId, after: Seq) -> Result<Vec<Recorded>, StoreError>;
    /// Makes a run known; its first event is appended by the caller.
    fn create_run(&self, run: &RunId, cluster: &ClusterName, plan: &Digest, at: Timestamp) -> Result<(), StoreError>;
    /// All runs, newest first.
    fn runs(&self) -> Result<Vec<RunHeader>, StoreError>;
    /// Keeps a plan under its digest; keeping it twice is one plan.
    fn save_plan(&self, plan: &Plan) -> Result<(), StoreError>;
    /// A plan by its digest, or by a unique beginning of it.
    fn plan(&self, digest: &str) -> Result<Plan, StoreError>;
    /// Keeps an observation; the newest [`OBSERVATIONS_KEPT`] of a cluster stay.
    fn save_observation(&self, observation: &Observation) -> Result<(), StoreError>;
    /// The newest observation of a cluster.
    fn last_observation(&self, cluster: &ClusterName) -> Result<Option<Observation>, StoreError>;
    /// Takes the right to act. `break_held` takes it from its holder; the generation grows each time.
    fn take_lease(&self, cluster: &ClusterName, run: &RunId, holder: &Holder, now: Timestamp, ttl: Duration, break_held: bool) -> Result<Lease, StoreError>;
    /// Prolongs it; refused when a newer generation exists.
    fn renew_lease(&self, lease: &Lease, now: Timestamp, ttl: Duration) -> Result<Lease, StoreError>;
    /// Gives it back. The generation stays known.
    fn release_lease(&self, lease: &Lease) -> Result<(), StoreError>;
    /// The lease, when one is held (it may have expired: compare `expires_at`).
    fn lease(&self, cluster: &ClusterName) -> Result<Option<Lease>, StoreError>;
    /// Seconds that a kind of step took on a cluster's product before, newest first, for estimates.
    fn measured(&self, pack: &str, role: &str) -> Result<Vec<f64>, StoreError>;
    /// Adds one.
    fn save_measured(&self, pack: &str, role: &str, secs: f64, at: Timestamp) -> Result<(), StoreError>;
}

/// Observations kept for each cluster: a day's looks at a quarter of an hour.
pub const OBSERVATIONS_KEPT: usize = 96;
