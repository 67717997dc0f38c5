//! What `prepare` has just seen of staged files, for the run that begins after it in the same program.
//!
//! Invariant: only what was found whole, and was taken by its node, is kept; a file that anybody has touched since is read again.

use super::live::LiveHands;
use quorate_hosts::swap::{Prints, Staged};
use quorate_model::{ArtifactRef, ClusterName, Digest, NodeName, Release};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Settings and packages of a host may change without a staged file being touched: after this time the staged binary is asked
/// again whether it takes them. A person reads a plan and says yes in less.
const KEPT: Duration = Duration::from_secs(600);

/// A release's files on a node, by the plan and the hop that they were staged for.
type Key = (ClusterName, Digest, usize, NodeName, Release);

/// Files that were found whole and taken, by what they are known again.
#[derive(Clone, Default)]
pub struct Prepared(Arc<Mutex<HashMap<Key, (Instant, Prints)>>>);

impl Prepared {
    fn keep(&self, key: Key, prints: Prints) {
        // A map of prints is whole whenever its lock is free.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(key, (Instant::now(), prints));
    }
    fn known(&self, key: &Key) -> Option<Prints> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(key).filter(|(at, _)| at.elapsed() <= KEPT).map(|(_, prints)| prints.clone())
    }
}

impl LiveHands {
    fn staged_key(&self, node: &NodeName, hop: usize, artifact: &ArtifactRef) -> Key {
        let (cluster, plan) = (self.parts.cluster.name.clone(), self.plan().digest.clone());
        (cluster, plan, hop, node.clone(), artifact.release.clone())
    }

    /// Keeps that the files were found whole and taken.
    pub(super) fn keep_staged(
        &self,
        node: &NodeName,
        hop: usize,
        artifact: &ArtifactRef,
        staged: &Staged,
    ) {
        self.keep_fingerprint(node, &artifact.release, staged.prints.server().cloned());
        let key = self.staged_key(node, hop, artifact);
        self.parts.prepared.keep(key, staged.prints.clone());
    }

    /// By what the files are known again that were found whole and taken not long ago.
    pub(super) fn known_staged(
        &self,
        node: &NodeName,
        hop: usize,
        artifact: &ArtifactRef,
    ) -> Option<Prints> {
        self.parts.prepared.known(&self.staged_key(node, hop, artifact))
    }
}
