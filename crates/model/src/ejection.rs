//! A node that was taken out of its cluster and of the list that clients get, until it rejoins.

use crate::{ClusterName, Digest, Facts, NodeName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Why a node goes, and as what the cluster knew it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ejection {
    /// Who took it out.
    pub by: String,
    /// Why, in that person's words.
    pub reason: String,
    /// The member as the cluster listed it: `id`, `name`, `peer_urls`. With these it comes back.
    pub member: Facts,
}

/// A node that is out, as the state keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ejected {
    /// Its cluster.
    pub cluster: ClusterName,
    /// The node.
    pub node: NodeName,
    /// Since when.
    pub at: Timestamp,
    /// The plan that took it out.
    pub plan: Digest,
    /// Why, and as what it was known.
    pub ejection: Ejection,
}
