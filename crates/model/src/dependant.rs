//! Applications that live by a cluster: what they need of it, and what must be true of them before it changes.

use crate::{DependantName, Range, Release};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An application that lives by a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dependant {
    /// Unique in the cluster: `billing`.
    pub name: DependantName,
    /// Its own version that runs, where something is asked of it: `1.8.4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Release>,
    /// What it needs of the cluster, as the pack names it: `v2-api`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Releases of the cluster that it works with: `>=3.1 <3.6`; any, when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub works_with: Option<Range>,
    /// What its own version must be before the cluster has some releases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Requirement>,
}

/// A version that an application must have before its cluster has some releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// Releases of the cluster that ask for it: `>=3.2`.
    pub cluster: Range,
    /// Versions of the application that will do: `>=1.9`.
    pub version: Range,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}
