//! A backup on its own, proved by a restore; and putting one back.

use crate::{
    problem::{NO_BACKUP, Problem},
    setup::Setup,
};
use quorate_model::{Cluster, Digest, Plan};
use std::path::{Path, PathBuf};

/// A backup that was taken and proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The pack's name for the way.
    pub kind: String,
    /// Where it is.
    pub file: PathBuf,
    /// Its digest.
    pub sha256: Digest,
    /// Its size.
    pub size_bytes: u64,
    /// How it was proved.
    pub verified: String,
}

/// Takes every backup that the pack knows for the running release, and proves each.
pub async fn take(_setup: &Setup, cluster: &Cluster, _tell: &(dyn Fn(&str) + Sync)) -> Result<Vec<Taken>, Problem> {
    Err(Problem::new(NO_BACKUP, format!("{}: not built yet", cluster.name)))
}

/// Plans putting a backup back on every member.
pub async fn restore_plan(_setup: &Setup, cluster: &Cluster, file: &Path) -> Result<Plan, Problem> {
    Err(Problem::new(NO_BACKUP, format!("{}: {} not built yet", cluster.name, file.display())))
}
