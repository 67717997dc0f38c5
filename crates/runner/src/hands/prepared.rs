//! What `prepare` has just seen of staged files, for the run that begins after it in the same program.
//!
//! Invariant: only what was found whole is kept, and a file that anybody has touched since is read again; only what a node has taken
//! is not put to it a second time.

use super::live::{LiveHands, LiveParts};
use quorate_hosts::swap::{self, Fingerprint, Prints, Staged, paths::NodePaths};
use quorate_model::{ArtifactRef, ClusterName, Digest, NodeName, Release};
use quorate_transport::{Answer, Transport};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Settings and packages of a host may change without a staged file being touched: after this time the staged binary is asked
/// again whether it takes them. A person reads a plan and says yes in less.
const KEPT: Duration = Duration::from_secs(600);

/// A release's files on a node, by the plan and the hop that they were staged for.
type Key = (ClusterName, Digest, usize, NodeName, Release);

/// Files that were found whole and taken, by what they are known again.
#[derive(Clone, Default)]
pub struct Prepared(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    taken: HashMap<Key, (Instant, Prints)>,
    /// A host's files by what they hold: members that share a host may share its files, under names of their own.
    whole: HashMap<(String, Digest), (Instant, Fingerprint)>,
}

impl Prepared {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Its maps are whole whenever their lock is free.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn keep(&self, key: Key, prints: Prints) {
        self.kept().taken.insert(key, (Instant::now(), prints));
    }
    fn known(&self, key: &Key) -> Option<Prints> {
        let kept = self.kept();
        kept.taken.get(key).filter(|(at, _)| at.elapsed() <= KEPT).map(|(_, prints)| prints.clone())
    }
    fn keep_whole(&self, host: &str, digests: Vec<Digest>, prints: &Prints) {
        let mut kept = self.kept();
        for (digest, print) in digests.into_iter().zip(prints.iter()) {
            if let Some(print) = print {
                let found = (Instant::now(), print.clone());
                kept.whole.insert((host.to_owned(), digest), found);
            }
        }
    }
    fn whole(&self, host: &str, digests: Vec<Digest>) -> Prints {
        let kept = self.kept();
        let known = |digest| {
            let found = kept.whole.get(&(host.to_owned(), digest));
            found.filter(|(at, _)| at.elapsed() <= KEPT).map(|(_, print)| print.clone())
        };
        digests.into_iter().map(known).collect()
    }
}

impl LiveHands {
    /// Puts the files of a release on a host; what this program has read there not long ago is not read again.
    pub(super) async fn stage_files(
        &self,
        transport: &dyn Transport,
        paths: &NodePaths,
        artifact: &ArtifactRef,
    ) -> Answer<Staged> {
        let LiveParts { prepared, cache, .. } = &self.parts;
        let (host, digests) = (transport.name(), swap::digests(paths, artifact));
        let known = prepared.whole(&host, digests.clone());
        let staged = swap::stage(transport, paths, artifact, cache, &known).await;
        if let Answer::Done(staged) = &staged {
            prepared.keep_whole(&host, digests, &staged.prints);
        }
        staged
    }

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
