//! What a look remembers for the next one, so that gates stay cheap: nothing here is ever taken for an observation
//! without a check that it still stands.

use crate::process::find::Found;
use quorate_model::{Facts, NodeName, Place, Release, Setting};
use std::{
    collections::BTreeMap,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The identity of a file's content, as far as it can be told without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileStamp {
    pub(crate) path: PathBuf,
    /// Device, inode, size and time of change.
    pub(crate) print: String,
}

impl FileStamp {
    /// The stamp of a file on this machine.
    pub(crate) fn of(path: &std::path::Path) -> Option<Self> {
        let file = std::fs::metadata(path).ok()?;
        let changed = (file.mtime(), file.mtime_nsec());
        let print = format!("{}:{} {} {changed:?}", file.dev(), file.ino(), file.size());
        Some(Self { path: path.to_owned(), print })
    }
}

/// What is remembered of one node.
#[derive(Debug, Clone, Default)]
pub(crate) struct NodeMemory {
    /// The process, valid while it still runs.
    pub(crate) process: Option<Found>,
    /// What that process was started with, valid as long as the process.
    pub(crate) settings: Vec<Setting>,
    /// Where its data lie, by that process, or by what would be started.
    pub(crate) place: Option<Place>,
    /// The release of the binary on disk, valid while the file is the same.
    pub(crate) disk: Option<(FileStamp, Option<Release>)>,
    /// The release that ran in the last look: chooses how to ask, nothing else.
    pub(crate) release: Option<Release>,
    /// The operating system; a host does not change it while a controller runs.
    pub(crate) os: Option<String>,
}

/// What is remembered of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    nodes: Mutex<BTreeMap<NodeName, NodeMemory>>,
    facts: Mutex<Facts>,
}

/// A look that panicked left at worst an older memory behind, and that is checked before use.
fn open<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    pub(crate) fn node(&self, name: &NodeName) -> NodeMemory {
        open(&self.nodes).get(name).cloned().unwrap_or_default()
    }
    pub(crate) fn keep(&self, name: &NodeName, memory: NodeMemory) {
        open(&self.nodes).insert(name.clone(), memory);
    }
    /// Cluster facts of the last look, for probes that ask only when one of them holds.
    pub(crate) fn facts(&self) -> Facts {
        open(&self.facts).clone()
    }
    pub(crate) fn keep_facts(&self, facts: Facts) {
        *open(&self.facts) = facts;
    }
}
