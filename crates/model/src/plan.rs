//! A plan: everything that will be done to one cluster, complete, readable and immutable.
//!
//! Invariant: executing a plan leaves no meaningful choice. A surprise halts the run; a child plan names its parent.
//! Read next: `event.rs`, what a run writes down while it carries a plan out.

use crate::{
    ArtifactRef, ClusterName, Dependant, DependantName, Digest, Ejection, Facts, GroupName, Host,
    HostAct, NodeName, Observation, PackName, Policy, Range, Refused, Release, ServiceSpec, StepId,
    secs,
};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// Version of the plan file. A program refuses a newer one and says so.
pub const PLAN_SCHEMA: u32 = 1;

/// An immutable, complete intent for one cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`PLAN_SCHEMA`] of the program that wrote it.
    pub schema: u32,
    /// SHA-256 over the plan's canonical JSON with this field empty. Approvals and runs name it.
    ///
    /// Canonical JSON is what `serde_json::to_vec` writes of the value: fields in the order of the type,
    /// maps sorted (they are `BTreeMap`s), no white space. Lower-case hexadecimal.
    pub digest: Digest,
    /// The plan that this one continues or reverses.
    pub parent: Option<Digest>,
    /// The cluster.
    pub cluster: ClusterName,
    /// The product.
    pub pack: PackName,
    /// Digest of the pack whose rules were applied.
    pub pack_digest: Digest,
    /// Upward, back, or the same release again.
    pub kind: PlanKind,
    /// The lowest release found running.
    pub from: Release,
    /// The release that every member runs at the end.
    pub to: Release,
    /// Name of the observation it was made from.
    pub observation: ObservationRef,
    /// That observation itself, so that the proof needs nothing else.
    pub observed: Observation,
    /// The limits it was made under.
    pub policy: Policy,
    /// One entry a hop, in order.
    pub hops: Vec<Hop>,
    /// Tempting hops that were not taken.
    pub refused: Vec<Refused>,
    /// Settings that the coming releases change, with the rewrite when there is one.
    pub config_findings: Vec<ConfigFinding>,
    /// Applications that live by the cluster, as they were declared.
    // Left out when there are none, so that plans of programs that did not know them keep their digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependants: Vec<Dependant>,
    /// What a rollback will lose; empty for an upgrade.
    pub losses: Vec<String>,
    /// Seconds the whole plan is expected to take.
    #[serde(with = "secs", rename = "estimate_secs")]
    pub estimate: Duration,
    /// Seconds of outage that the plan itself causes; zero for a rolling plan.
    #[serde(with = "secs", rename = "outage_secs")]
    pub outage: Duration,
}

impl Plan {
    /// The node that a plan takes out or brings back; none for plans that leave the membership alone.
    pub fn changed_member(&self) -> Option<&NodeName> {
        let steps = self.hops.iter().flat_map(|hop| &hop.waves).flat_map(|wave| &wave.steps);
        steps.into_iter().find_map(|step| match &step.action {
            Action::List { node, .. } => Some(node),
            _ => None,
        })
    }
}

/// Which way a plan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanKind {
    /// To a newer release.
    Upgrade,
    /// To the release before, while the cluster is mixed: binaries back, one by one.
    RollbackBinaries,
    /// To the release before, after completion: the verified backup is restored with the older tool.
    RollbackRestore,
    /// One member leaves the cluster and the list that clients get; every other stays as it is.
    Eject,
    /// A member that left comes back, empty, on the release of the others, and catches up.
    Rejoin,
    /// Members are started anew on the release that runs, freshly installed or with other settings.
    Restart,
    /// Members that hold different data all get those of one of them.
    Recover,
}

impl PlanKind {
    /// Whether the plan changes who belongs to the cluster.
    pub fn is_membership(self) -> bool {
        matches!(self, Self::Eject | Self::Rejoin)
    }
    /// Whether every member stops and gets its data from a copy.
    pub fn puts_data_back(self) -> bool {
        matches!(self, Self::RollbackRestore | Self::Recover)
    }
    /// Whether a member moves from one release to another: then one that runs the target is past its stop.
    pub fn moves_releases(self) -> bool {
        matches!(self, Self::Upgrade | Self::RollbackBinaries)
    }
}

/// Names an observation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservationRef {
    /// When it was taken.
    pub taken_at: Timestamp,
    /// SHA-256 over its canonical JSON.
    pub digest: Digest,
}

/// One permitted move of the whole cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hop {
    /// Where it starts.
    pub from: Release,
    /// Where it ends.
    pub to: Release,
    /// How members move.
    pub kind: HopKind,
    /// The change of the form of the data that the hop is for, as the pack names it.
    // Left out when there is none, so that plans of programs that did not know it keep their digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversion: Option<String>,
    /// The gravest risk of its rules.
    pub risk: Risk,
    /// After which the old release cannot run.
    pub one_way: Door,
    /// Rules that were looked at for it, those that hold and those that were proved not to apply.
    pub rules: Vec<RuleApplied>,
    /// What makes this an edge of the release graph, for the proof.
    pub edge: Edge,
    /// What will run.
    pub artifact: ArtifactRef,
    /// In order, one after another.
    pub waves: Vec<Wave>,
}

/// A hop for people: `3.3.25 -> 3.4.23`, or `v2-to-v3 on 3.3.25` where data change form.
pub fn hop_title(conversion: Option<&str>, from: &Release, to: &Release, arrow: &str) -> String {
    match conversion {
        Some(name) => format!("{name} on {from}"),
        None => format!("{from} {arrow} {to}"),
    }
}

impl Hop {
    /// For people, as [`hop_title`] has it.
    pub fn title(&self) -> String {
        hop_title(self.conversion.as_deref(), &self.from, &self.to, "->")
    }
    /// What it leads to, for people: its release, or the change of the form of the data.
    pub fn leads_to(&self) -> String {
        self.conversion.clone().unwrap_or_else(|| self.to.to_string())
    }
}

/// How the members of a cluster move along a hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HopKind {
    /// One member at a time, the cluster serves throughout.
    Rolling,
    /// All stop, all move, all start: an outage.
    FullStop,
    /// Data change form while everything is stopped.
    Offline,
}

/// How likely a hop is to hurt.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// Routine.
    Low,
    /// Needs care with configuration or order.
    Med,
    /// Outage or data at stake when something is skipped.
    High,
}

/// Where the way back closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Door {
    /// It stays open.
    None,
    /// When the last member runs the new release.
    LastMember,
    /// With the first change.
    Now,
    /// When the hop is finalized by an explicit command.
    Finalize,
}

/// A rule and what it said of this hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleApplied {
    /// The pack's id for it.
    pub id: String,
    /// What it said.
    pub verdict: RuleVerdict,
    /// What it asks, in a sentence.
    pub text: String,
    /// Why it holds or was met here: the evidence.
    pub because: String,
    /// Its risk.
    pub risk: Risk,
    /// Where it comes from.
    pub sources: Vec<String>,
    /// Steps that cure what its condition found, by name.
    pub cures: Vec<String>,
    /// Changes of settings, carried by this hop, that make its condition true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rewrites: Vec<String>,
}

/// What a rule said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RuleVerdict {
    /// The hop is permitted.
    Allow,
    /// Never.
    Block,
    /// Only when its condition is proved.
    Condition,
    /// It was looked at and does not concern this cluster.
    NotApplicable,
}

/// The evidence that a hop is an edge: ranges of the permitting rules, and of every blocking rule that was proved not to apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// Rules that permit it: id, from-range, to-range.
    pub permitted_by: Vec<(String, Range, Range)>,
    /// Blocking rules of the pack: id, from-range, to-range; those matching the hop must be in `excused`.
    pub blocks: Vec<(String, Range, Range)>,
    /// Blocking rules that match the ranges but were proved not to apply, with the evidence.
    pub excused: Vec<(String, String)>,
    /// Releases never to land on.
    pub never_land: Vec<Range>,
    /// What both releases speak of each protocol that must overlap.
    // Left out when there are none, so that plans of programs that did not know it keep their digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protocols: Vec<Spoken>,
}

/// The versions of one protocol that the two releases of a hop speak.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spoken {
    /// The protocol: `raft`.
    pub protocol: String,
    /// The lowest and the highest version that the old release speaks.
    pub from: (u32, u32),
    /// The same of the new release.
    pub to: (u32, u32),
}

impl Spoken {
    /// Whether there is a version that both speak.
    pub fn overlaps(&self) -> bool {
        self.from.1 >= self.to.0 && self.to.1 >= self.from.0
    }
}

impl std::fmt::Display for Spoken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let range = |(min, max): (u32, u32)| match min == max {
            true => min.to_string(),
            false => format!("{min} to {max}"),
        };
        write!(f, "{} {} and {}", self.protocol, range(self.from), range(self.to))
    }
}

/// Steps that belong together: a member's way through a hop, or a barrier for the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wave {
    /// `h1.demo-2`, `h1.begin`, `h1.complete`.
    pub id: String,
    /// For people: `demo-2: 3.3.25 -> 3.4.23`.
    pub title: String,
    /// The member it moves, when it is one member's.
    pub node: Option<NodeName>,
    /// Set for nodes without a vote, which move beside each other: the steps of one node are its lane. Without it all steps
    /// are one after another.
    // Left out when there are none, so that plans of programs that did not know it keep their digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lanes: Option<Lanes>,
    /// In order; with lanes, in order within each node's lane.
    pub steps: Vec<Step>,
}

impl Wave {
    /// How long it is expected to take: its steps one after another; with lanes, its longest lane as often as lanes must wait
    /// for each other.
    pub fn estimate(&self) -> Duration {
        let lanes = self.lane_places();
        let of_lane = |lane: &Vec<usize>| lane.iter().map(|at| self.steps[*at].estimate).sum();
        let longest: Duration = lanes.iter().map(of_lane).max().unwrap_or_default();
        let most = self.lanes.as_ref().map_or(1, |lanes| lanes.at_most.max(1));
        let turns = u32::try_from(lanes.len()).unwrap_or(u32::MAX).div_ceil(most);
        longest.saturating_mul(turns)
    }

    /// The steps that are one after another: all of them, or, with lanes, those of each node for itself. By their places in
    /// `steps`.
    pub fn lane_places(&self) -> Vec<Vec<usize>> {
        if self.lanes.is_none() {
            return vec![(0..self.steps.len()).collect()];
        }
        let mut lanes: Vec<Vec<usize>> = Vec::new();
        let mut lane_of: BTreeMap<Option<&NodeName>, usize> = BTreeMap::new();
        for (place, step) in self.steps.iter().enumerate() {
            let lane = *lane_of.entry(step.node.as_ref()).or_insert_with(|| {
                lanes.push(Vec::new());
                lanes.len() - 1
            });
            lanes[lane].push(place);
        }
        lanes
    }
}

/// Nodes of one group that move beside each other, and how many may be down or fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lanes {
    /// Their group; nobody in it has a vote.
    pub group: GroupName,
    /// Nodes of the group that may be on their way at the same time. One that was stopped and failed counts until it is back.
    pub at_most: u32,
    /// Nodes of the group that may fail and be left behind; with one more the run halts.
    pub failures: u32,
}

/// Stands in a request for the id that a member has when it is said: an earlier hop of the plan gives it another one.
pub fn member_word(node: &NodeName) -> String {
    format!("{{member:{node}}}")
}

/// Name of the gate that a started member must pass; overrides use it.
pub const REJOIN_GATE: &str = "rejoin";
/// Name of the condition that the safety oracle answers, not an expression: with the member gone a quorum remains.
pub const MAY_STOP: &str = "may-stop";
/// Name of the condition under which a node without a vote may stop: the servers that it depends on serve.
pub const SERVERS_WELL: &str = "servers-well";
/// Name of the condition that the host answers: the staged files are those of the plan.
pub const ARTIFACT_WHOLE: &str = "artifact-whole";
/// Name of the action that keeps packages from starting or restarting anything on a member's host.
pub const HOLD_BACK: &str = "debian.hold-back";
/// Name of the action that lets them again.
pub const LET_GO: &str = "debian.let-go";
/// Name of the condition that the host answers: nothing there is started by a package.
pub const HELD_BACK: &str = "held-back";
/// Name of the condition that hosts answer: no application that was stopped has come back.
pub const DEPENDANTS_STOPPED: &str = "dependants-stopped";
/// Name of the condition that the controller answers from its own disk: the copy that will be put back is the planned one.
pub const BACKUP_WHOLE: &str = "backup-whole";

/// The unit of journal and retry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Unique in the plan.
    pub id: StepId,
    /// For people, an imperative: `stop demo-2`.
    pub title: String,
    /// What the step is for.
    pub role: StepRole,
    /// The node it acts on.
    pub node: Option<NodeName>,
    /// Its effect.
    pub action: Action,
    /// Must hold before the act; every one is looked at afresh.
    pub precheck: Vec<Condition>,
    /// Holds when the step has already happened. Without it an unknown outcome needs a person.
    pub done: Option<Condition>,
    /// Must hold after the act before the next step.
    pub gate: Option<Gate>,
    /// How it is reversed.
    pub undo: Undo,
    /// The act is given up after this.
    #[serde(with = "secs", rename = "limit_secs")]
    pub limit: Duration,
    /// How long it is expected to take, gate included.
    #[serde(with = "secs", rename = "estimate_secs")]
    pub estimate: Duration,
    /// True when the way back closes with this step.
    pub one_way: bool,
    /// True when a person must say yes first.
    pub needs_approval: bool,
}

/// What a step is for: the proof and the screens go by this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepRole {
    /// Cluster whole and healthy before a hop begins.
    Precheck,
    /// Artifacts beside the live ones, digests checked.
    Stage,
    /// Copy of the data.
    Backup,
    /// The copy restored into a scratch cluster and compared.
    Verify,
    /// A person's explicit yes before a one-way door.
    Go,
    /// Repairs what a rule's condition found.
    Cure,
    /// A temporary change, in the ledger until it is put back.
    TempSet,
    /// Puts a temporary change back.
    TempPutBack,
    /// Leadership moves to a named member.
    Handover,
    /// The member stops.
    Stop,
    /// The live files are exchanged.
    Swap,
    /// The member starts.
    Start,
    /// Back, a member again, caught up, data equal.
    Rejoin,
    /// Healthy time passes.
    Soak,
    /// The cluster as a whole has taken the release.
    HopComplete,
    /// An explicit command that closes the way back.
    Finalize,
    /// Data are put back from a backup.
    Restore,
    /// The cluster is told who belongs to it.
    Membership,
    /// A member's data folder is moved aside.
    SetAside,
    /// The list that clients get is changed.
    List,
    /// An application that lives by the cluster stops on one of its hosts.
    DependantStop,
    /// It is told where its data are from now on.
    DependantSwitch,
    /// It starts again.
    DependantStart,
}

/// One effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Action {
    /// Nothing is changed: the step is its gate.
    Look,
    /// Nothing is changed: a person says yes.
    Confirm { door: Door, text: String },
    /// Puts the artifact's files beside the live ones of this node and checks their digests.
    Stage { node: NodeName, artifact: ArtifactRef },
    /// Copies the data.
    Backup { backup: Backup },
    /// Restores the copy into a scratch cluster and compares.
    Verify { backup: Backup },
    /// Speaks to the product.
    Call { call: Call },
    /// Speaks to the product, and owes `put_back` from then on.
    TempSet { key: String, call: Call, put_back: Call },
    /// Pays what is owed.
    TempPutBack { key: String },
    /// Stops the member's service, politely, then by force after its grace.
    Stop { node: NodeName },
    /// Makes the staged files live, keeping the old ones under their release. With packages it is `dpkg` that does: these
    /// files of the artifact are installed, and nothing is started by them.
    Swap {
        node: NodeName,
        from: Release,
        to: ArtifactRef,
        config: Option<ConfigChange>,
        // Left out when there are none, so that plans of programs that did not know it keep their digest.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        packages: Vec<String>,
    },
    /// Starts the member's service, expecting this release to run.
    Start { node: NodeName, expect: Release },
    /// Puts a member's data back from a backup while it is stopped. With `joins` the copy is on that member, and this one is
    /// emptied and joins it.
    Restore {
        node: NodeName,
        backup: Box<Backup>,
        call: Call,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        joins: Option<NodeName>,
    },
    /// Tells the cluster, through another member, of one change of one member.
    Membership { node: NodeName, change: MemberChange, call: Call },
    /// Moves the data folder of a stopped node aside. Nothing is deleted.
    SetAside { node: NodeName },
    /// Takes a node out of the list that clients get, or, without an ejection, puts it back.
    List { node: NodeName, out: Option<Ejection> },
    /// Stops an application on one of its hosts, and owes its start from then on.
    StandStill { key: String, dependant: DependantName, host: Host, stop: HostAct, start: HostAct },
    /// Moves the data folders of a stopped node back that the plan which this one reverses has moved aside.
    BringBack { node: NodeName },
    /// Deletes what this plan has moved aside on a node.
    Clear { node: NodeName },
    /// Lets an application that stands still speak to the cluster in another way from its next start on.
    Switch { dependant: DependantName, host: Host, act: HostAct },
}

impl Action {
    /// The key of the temporary change that it makes, which is owed until it is put back.
    pub fn owes(&self) -> Option<&str> {
        match self {
            Self::TempSet { key, .. } | Self::StandStill { key, .. } => Some(key),
            _ => None,
        }
    }
    /// Whether it changes a member, or what the cluster lives by: only the holder of the cluster may.
    pub fn changes_members(&self) -> bool {
        match self {
            Self::Look | Self::Confirm { .. } | Self::Stage { .. } => false,
            Self::Backup { .. } | Self::Verify { .. } | Self::List { .. } => false,
            Self::Call { .. }
            | Self::TempSet { .. }
            | Self::TempPutBack { .. }
            | Self::Stop { .. }
            | Self::Swap { .. }
            | Self::Start { .. }
            | Self::Restore { .. }
            | Self::Membership { .. }
            | Self::SetAside { .. }
            | Self::BringBack { .. }
            | Self::Clear { .. }
            | Self::StandStill { .. }
            | Self::Switch { .. } => true,
        }
    }
}

/// One change of who belongs to a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemberChange {
    /// Its vote is gone.
    Leave,
    /// It counts for the quorum from now on, before it has any data.
    Join,
    /// It gets the data, and counts for nothing until it is promoted.
    JoinAsLearner,
    /// A learner gets its vote.
    Promote,
}

/// A copy of the data, planned or taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// The pack's name for the way: `v3-snapshot`, `v2-copy`.
    pub kind: String,
    /// The member it is taken from.
    pub node: NodeName,
    /// The release that it is taken on.
    pub release: Release,
    /// File or folder, relative to the state folder: `backups/demo/h1-v3-snapshot.db`.
    pub file: String,
    /// How it is taken.
    pub save: Call,
    /// How it is proved.
    pub verify: Call,
    /// The file of the copy that it is made of, for one that is converted and not taken.
    // Left out when there is none, as below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_of: Option<String>,
    /// What it is, for a copy that was taken before the plan; none for one that the plan takes.
    // Left out when there is none, so that plans of programs that did not know it keep their digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
}

/// One thing said to the product, rendered and complete. Secrets are added by the runner at the moment of use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The pack's name for it: `move-leader`.
    pub name: String,
    /// The node whose host or endpoint it goes through.
    pub node: NodeName,
    /// What is said.
    pub call: CallKind,
    /// The shell line or request that a person would use by hand.
    pub by_hand: String,
    /// Texts of refusals that clear by themselves: it is said again until the step's limit.
    // Left out when there are none, so that plans of programs that did not know it keep their digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retry_on: Vec<String>,
}

/// The ways to speak to a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallKind {
    /// An HTTP request to the node.
    Http { method: String, url: String, body: Option<String>, expect_status: Vec<u16> },
    /// A command on the node's host. `{artifact}` in a word stands for the folder of the hop's staged artifact.
    Command { argv: Vec<String>, env: BTreeMap<String, String> },
    /// What data cannot say: an action written in Rust, by name.
    Native { action: String, args: Facts },
}

/// A change of settings that a hop needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigChange {
    /// The service as it shall be, when arguments or environment change.
    pub service: Option<ServiceSpec>,
    /// Files that change, and how.
    pub files: Vec<FileRewrite>,
    /// The difference as a person reads it, a line a change.
    pub diff: Vec<String>,
}

/// One file, rewritten. The plan carries edits and never the file, which may hold secrets.
///
/// Every state of the file is said as edits to what it held when it was looked at: so the one before can be proved, and the
/// way back is the same rewrite with its two states exchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRewrite {
    /// Where it is.
    pub path: String,
    /// What it held when it was looked at. A file in neither state was changed by somebody, and is left as it is.
    pub original_sha256: Digest,
    /// The edits that it carries before.
    pub before: Vec<TextEdit>,
    /// The edits that it carries after.
    pub after: Vec<TextEdit>,
}

/// A piece of text in the place of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextEdit {
    /// Offset in bytes in the original text.
    pub at: u64,
    /// What stands there.
    pub remove: String,
    /// What takes its place.
    pub insert: String,
}

/// A setting that a coming release changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigFinding {
    /// The member that runs with it.
    pub node: NodeName,
    /// The hop's target.
    pub release: Release,
    /// The setting as the member runs with it.
    pub setting: String,
    /// What the release does with it: `removed`, `renamed`, `default-changed`, `rejected`.
    pub change: String,
    /// True when the member would not start.
    pub fatal: bool,
    /// In a sentence, with the cure.
    pub text: String,
    /// Replacement, when there is one; an empty text means: leave it out.
    pub rewrite: Option<String>,
    /// Where that is said.
    pub source: String,
}

/// Something that must be seen to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Standard name: `release`, `healthy`, `member`, `caught-up`, `data-equal`, `leader`, `hop-complete`, or the pack's own.
    pub name: String,
    /// CEL over the observation (`node`, `nodes`, `cluster`, `from`, `to`).
    pub cel: String,
    /// For people.
    pub text: String,
}

/// What must hold between one step and the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// The name that an override uses.
    pub name: String,
    /// All of these.
    pub conditions: Vec<Condition>,
    /// Looks in a row that must be good.
    pub good_looks: u32,
    /// Time between looks.
    #[serde(with = "secs", rename = "look_every_secs")]
    pub look_every: Duration,
    /// Time that they must stay good.
    #[serde(with = "secs", rename = "soak_secs")]
    pub soak: Duration,
    /// The run halts when the gate has not held by then.
    #[serde(with = "secs", rename = "limit_secs")]
    pub limit: Duration,
}

/// How a step is reversed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "undo")]
pub enum Undo {
    /// Nothing to reverse.
    Nothing,
    /// `quorate rollback` plans it; this is what it will do.
    ByPlan { text: String },
    /// The ledger puts it back.
    Ledger,
    /// Cannot be reversed; a verified backup is the way back.
    BackupOnly,
}
