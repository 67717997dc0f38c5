//! Why nothing happens now. Waiting, refusing and being blocked are data, not errors.

use crate::{NodeName, Release};
use serde::{Deserialize, Serialize};

/// Clears by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "waiting_on")]
pub enum WaitingOn {
    /// A member applies entries that others already have.
    CatchUp { node: NodeName, lag: u64 },
    /// A member has started and does not serve yet.
    Healthy { node: NodeName },
    /// No leader is known.
    Leader,
    /// The cluster has not taken the new release as its own yet.
    HopComplete { seen: Option<String>, want: Release },
    /// A condition of the pack does not hold yet.
    Condition { node: Option<NodeName>, gate: String, text: String },
    /// Healthy time still to pass, in whole seconds.
    Soak { node: Option<NodeName>, left_secs: u64 },
    /// A probe gave no answer; missing data opens no gate.
    Unseen { node: Option<NodeName>, what: String },
}

/// Would break an invariant now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "unsafe")]
pub enum Unsafe {
    /// With the member gone, too few healthy voters remain (S1).
    QuorumLost { node: NodeName, healthy_after: u32, need: u32 },
    /// Another member is already down by our doing (S2).
    TooManyDown { node: NodeName, down: Vec<NodeName>, max: u32 },
    /// Another member is not healthy.
    OtherUnhealthy { node: NodeName, other: NodeName, because: String },
    /// Another member has not caught up, so the data hang on this one.
    OtherBehind { node: NodeName, other: NodeName, lag: u64, max: u64 },
    /// The cluster has no leader.
    NoLeader { node: NodeName },
    /// The cluster cannot be seen well enough to tell.
    CannotSee { node: NodeName, what: String },
    /// An alarm of the product is raised.
    Alarm { node: NodeName, on: NodeName, alarm: String },
    /// Members hold different data at the same revision.
    DataDiffer { node: NodeName, others: Vec<NodeName> },
    /// The pack's own rule says no.
    Pack { node: NodeName, rule: String, text: String },
}

/// Needs a person or another hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "blocked")]
pub enum Blocked {
    /// No chain of permitted hops leads there; the refused hops say why.
    NoPath { from: Release, to: Release, refused: Vec<Refused>, way_out: Option<String> },
    /// The target is older: only a rollback goes there, and maybe not even that.
    Downgrade { from: Release, to: Release, because: String, way_out: Option<String> },
    /// A rule's condition was looked at and does not hold.
    Condition { rule: String, text: String, because: String, way_out: Option<String> },
    /// A rule's condition could not be looked at.
    ConditionUnseen { rule: String, text: String, what: String },
    /// The release is not at hand.
    NoArtifact { release: Release, tried: Vec<String> },
    /// A member runs with a setting that the next release does not start with.
    Config { node: NodeName, release: Release, settings: Vec<String>, rewrite: Option<String> },
    /// The cluster is too small to lose a member.
    NeedsOutage { voters: u32, outage_secs: u64 },
    /// The gates of this plan can never pass.
    NeverPasses { gate: String, because: String, way_out: String },
    /// Members run releases that no single hop joins.
    MixedReleases { releases: Vec<Release> },
    /// The node has no service, so it can be seen but not restarted.
    CannotAct { node: NodeName, because: String },
    /// A node cannot be reached.
    Unreachable { node: NodeName, because: String },
    /// A member reports that it belongs to another cluster.
    OtherCluster { node: NodeName, because: String },
    /// A known issue forbids the release.
    KnownIssue { release: Release, issue: String, text: String },
    /// A freeze window is open.
    Frozen { window: String, until: String },
}

/// A tempting hop that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Where it starts.
    pub from: Release,
    /// Where it would land.
    pub to: Release,
    /// The rule that refuses it.
    pub rule: String,
    /// In a sentence.
    pub because: String,
}

/// Why there is no plan, or no next step, now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotNow {
    /// Clears by itself.
    WaitingOn(WaitingOn),
    /// Would break an invariant.
    Unsafe(Unsafe),
    /// Needs a person.
    Blocked(Blocked),
}

/// All the reasons at once, the gravest first, and the smallest safe way out when there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// At least one.
    pub reasons: Vec<NotNow>,
    /// What a person can do, smallest change first.
    pub ways_out: Vec<String>,
}
