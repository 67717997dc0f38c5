//! What could not be kept or read, with what next.

use quorate_model::{ClusterName, Digest, Generation, Lease, RunId, Seq};
use std::path::PathBuf;

/// What could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else appended first.
    #[error(
        "the journal of run {run} is at {actual}, not at {expected}: somebody else wrote to it"
    )]
    Conflict { run: RunId, expected: Seq, actual: Seq },
    /// A newer lease exists.
    #[error(
        "the lease of cluster {cluster} is at generation {newest}, this controller holds {own}: it may not act any more"
    )]
    Fenced { cluster: ClusterName, own: Generation, newest: Generation },
    /// The lease was given back, or belongs to another run.
    #[error("no lease of cluster {cluster} is held for run {run} any more: it was given back")]
    NotHeld { cluster: ClusterName, run: RunId },
    /// Only the holder of the lease writes this.
    #[error("the event `{event}` of run {run} needs the lease of cluster {cluster}")]
    NeedsLease { cluster: ClusterName, run: RunId, event: &'static str },
    /// Somebody holds the lease.
    #[error("cluster {} is held by {} (process {}) for run {} since {}, until {}", .0.cluster, .0.holder.who, .0.holder.pid, .0.run, .0.taken_at, .0.expires_at)]
    Held(Box<Lease>),
    /// There is no such thing.
    #[error("there is no {what} `{name}`")]
    Missing { what: &'static str, name: String },
    /// There is one already.
    #[error("there is a {what} `{name}` already")]
    Exists { what: &'static str, name: String },
    /// A beginning that fits several.
    #[error("{what} `{name}` is not unique, it may mean {}", .matches.join(" or "))]
    Ambiguous { what: &'static str, name: String, matches: Vec<String> },
    /// Two plans with one digest.
    #[error("another plan is kept under digest {}: one of the two was edited by hand", .digest.short())]
    PlanDiffers { digest: Digest },
    /// The file is from a newer program.
    #[error("state file {} has schema {found}, this program knows up to {known}: use the newer quorate", path.display())]
    Newer { path: PathBuf, found: u32, known: u32 },
    /// The file cannot be used.
    #[error("cannot use state file {}: {because}", path.display())]
    Unusable { path: PathBuf, because: String, hint: String },
}

impl StoreError {
    /// What next, when a person can do something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Conflict { .. } | Self::NeedsLease { .. } => None,
            Self::Fenced { .. } | Self::NotHeld { .. } => {
                Some("see who acts now with `quorate run list`".to_owned())
            }
            Self::Held(lease) => Some(format!(
                "watch it with `quorate run watch {run}`, or ask for a pause with `quorate run pause {run}`",
                run = lease.run
            )),
            Self::Missing { what: "run", .. } => {
                Some("`quorate run list` shows the runs".to_owned())
            }
            Self::Missing { .. } | Self::Exists { .. } => None,
            Self::Ambiguous { .. } => Some("give more of its digits".to_owned()),
            Self::PlanDiffers { .. } => Some("plan again instead of editing a plan".to_owned()),
            Self::Newer { .. } => {
                Some("use the newer quorate, or another folder with `--state DIR`".to_owned())
            }
            Self::Unusable { hint, .. } => Some(hint.clone()),
        }
    }
}
