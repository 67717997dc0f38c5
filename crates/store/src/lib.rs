//! Keeps what must survive the controller: journals, plans, observations, leases. One SQLite file by default.
//!
//! Invariant: a journal only grows, at the expected sequence, and only under the newest lease generation (S8).
//! Read next: `rules.rs`, the decisions that every store shares, then `sqlite/` and `memory.rs`, which keep them.

mod error;
mod memory;
mod operator;
mod rules;
mod sqlite;
mod state;

pub use error::StoreError;
pub use memory::MemoryStore;
pub use operator::append_as_operator;
pub use rules::{event_name, is_operator_event};
pub use sqlite::{SCHEMA, SqliteStore};
pub use state::state_of;

use jiff::Timestamp;
use quorate_model::{
    ClusterName, Digest, Ejected, Holder, Lease, NodeName, Observation, Plan, Recorded, RunEvent,
    RunHeader, RunId, Seq,
};
use std::time::Duration;

/// What must survive the controller. All calls are short and blocking.
pub trait Store: Send + Sync {
    /// Appends events after `expected`, at once or not at all. `lease` fences: an older generation is refused, even at
    /// the right sequence. Without a lease only a person's events go in ([`is_operator_event`]). Gives the new end.
    fn append(
        &self,
        run: &RunId,
        lease: Option<&Lease>,
        expected: Seq,
        at: Timestamp,
        events: &[RunEvent],
    ) -> Result<Seq, StoreError>;
    /// Events after `after`, in order.
    fn journal(&self, run: &RunId, after: Seq) -> Result<Vec<Recorded>, StoreError>;
    /// Makes a run known; its first event is appended by the caller.
    fn create_run(
        &self,
        run: &RunId,
        cluster: &ClusterName,
        plan: &Digest,
        at: Timestamp,
    ) -> Result<(), StoreError>;
    /// All runs, newest first.
    fn runs(&self) -> Result<Vec<RunHeader>, StoreError>;
    /// Keeps a plan under its digest; keeping it twice is one plan, another plan under the same digest is refused.
    fn save_plan(&self, plan: &Plan) -> Result<(), StoreError>;
    /// A plan by its digest, or by a unique beginning of it.
    fn plan(&self, digest: &str) -> Result<Plan, StoreError>;
    /// Keeps an observation; the newest [`OBSERVATIONS_KEPT`] of a cluster stay.
    fn save_observation(&self, observation: &Observation) -> Result<(), StoreError>;
    /// The newest observation of a cluster.
    fn last_observation(&self, cluster: &ClusterName) -> Result<Option<Observation>, StoreError>;
    /// Takes the right to act. An expired lease is taken over, `break_held` takes it from its holder; the generation
    /// grows each time.
    fn take_lease(
        &self,
        cluster: &ClusterName,
        run: &RunId,
        holder: &Holder,
        now: Timestamp,
        ttl: Duration,
        break_held: bool,
    ) -> Result<Lease, StoreError>;
    /// Prolongs it; refused when a newer generation exists. A lease that has expired and that nobody took is prolonged.
    fn renew_lease(
        &self,
        lease: &Lease,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Lease, StoreError>;
    /// Gives it back; twice is once. The generation stays known.
    fn release_lease(&self, lease: &Lease) -> Result<(), StoreError>;
    /// The lease, when one is held (it may have expired: compare `expires_at`).
    fn lease(&self, cluster: &ClusterName) -> Result<Option<Lease>, StoreError>;
    /// Seconds that a kind of step took on a cluster's product before, newest first, at most [`MEASURED_KEPT`].
    fn measured(&self, pack: &str, role: &str) -> Result<Vec<f64>, StoreError>;
    /// Adds one. Something that is no duration (negative, endless) is left out.
    fn save_measured(
        &self,
        pack: &str,
        role: &str,
        secs: f64,
        at: Timestamp,
    ) -> Result<(), StoreError>;
    /// Nodes that were taken out of a cluster and have not rejoined, by name.
    fn ejected(&self, cluster: &ClusterName) -> Result<Vec<Ejected>, StoreError>;
    /// Writes down that a node is out of its cluster, in the place of what was known of it.
    fn save_ejected(&self, ejected: &Ejected) -> Result<(), StoreError>;
    /// Forgets it: the node is back. Twice is once.
    fn forget_ejected(&self, cluster: &ClusterName, node: &NodeName) -> Result<(), StoreError>;
}

/// Observations kept for each cluster: a day's looks at a quarter of an hour.
pub const OBSERVATIONS_KEPT: usize = 96;

/// Durations kept for each kind of step: enough for a stable median, few enough that a new machine soon counts.
pub const MEASURED_KEPT: usize = 50;
