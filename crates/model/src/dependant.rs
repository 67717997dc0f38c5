//! Applications that live by a cluster: what they need of it, and what must be true of them before it changes.

use crate::{DependantName, Host, Range, Release, secs};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// An application that lives by a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Where it runs, and how it is stopped and started there; without it nothing is ever done to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<Runs>,
}

/// How an application is handled on its hosts while its cluster cannot serve it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runs {
    /// Where it runs, in the order in which it is started.
    pub hosts: Vec<Host>,
    /// Stops it so that nothing brings it back.
    pub stop: HostAct,
    /// Starts it.
    pub start: HostAct,
    /// Lets it speak to the cluster in the way that is left once the data have changed their form, while it stands still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switch: Option<HostAct>,
    /// Lets it speak to the cluster as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switch_back: Option<HostAct>,
}

/// What is done on a host, and how it is seen that it was done: two lines of shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostAct {
    /// Does it; doing it twice gives the same as doing it once.
    pub run: String,
    /// Ends with status 0 once it is done; what it says otherwise is told to people.
    pub seen: String,
    /// Seconds until it must be seen.
    #[serde(with = "secs", rename = "limit_secs")]
    pub limit: Duration,
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
