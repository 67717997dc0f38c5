//! What was seen, when, and how much of it could be seen at all.
//!
//! Invariant: `None` means "could not be seen", and what cannot be seen counts as not healthy (S11).

use crate::{ClusterName, Digest, GroupName, NodeName, PackName, Release};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// Facts that only the product's pack understands, by name. Conditions read them.
pub type Facts = BTreeMap<String, serde_json::Value>;

/// One look at one cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// The cluster.
    pub cluster: ClusterName,
    /// Its product.
    pub pack: PackName,
    /// When the look began.
    pub taken_at: Timestamp,
    /// Every declared node, seen or not.
    pub nodes: Vec<NodeObservation>,
    /// Facts of the cluster as a whole: `cluster_release`, `auth`, `members`.
    pub facts: Facts,
    /// What a person should know: members that are not declared, hashes that differ.
    pub findings: Vec<Finding>,
}

impl Observation {
    /// The id that the product gives the cluster, as far as anybody said it.
    pub fn cluster_id(&self) -> Option<String> {
        let said = |facts: &Facts| match facts.get(CLUSTER_ID)? {
            serde_json::Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        said(&self.facts).or_else(|| self.nodes.iter().find_map(|node| said(&node.facts)))
    }
}

/// The fact of a cluster that names what its applications need of it, as they were declared.
pub const NEEDS: &str = "needs";

/// Name of the fact that holds a cluster's own id, on each node and on the cluster.
pub const CLUSTER_ID: &str = "cluster_id";

/// One look at one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeObservation {
    /// The declared name.
    pub name: NodeName,
    /// Its duty.
    pub group: GroupName,
    /// Whether anything answered.
    pub reach: Reach,
    /// The process, seen on its host.
    pub process: Option<ProcessSeen>,
    /// The release that runs, as the member itself says.
    pub release: Option<Release>,
    /// The release of the binary on disk, when it was asked.
    pub disk_release: Option<Release>,
    /// The member's id inside the product.
    pub member_id: Option<String>,
    /// Its part in the cluster.
    pub role: Role,
    /// Whether it has a vote.
    pub voter: Option<bool>,
    /// Whether it serves.
    pub healthy: Option<bool>,
    /// Entries applied to its state.
    pub applied_index: Option<u64>,
    /// Entries behind the furthest member seen in the same look.
    pub lag: Option<u64>,
    /// Kind of store: `v2`, `v3`, `both`.
    pub store: Option<String>,
    /// Whether clients talk TLS to it.
    pub tls: Option<bool>,
    /// Content hash at `hash_revision`: equal hashes at one revision are equal data.
    pub data_hash: Option<String>,
    /// The revision that the hash speaks of.
    pub hash_revision: Option<u64>,
    /// Alarms that the product raised.
    pub alarms: Vec<String>,
    /// Operating system, `debian 12`.
    pub os: Option<String>,
    /// What the process really runs with.
    pub settings: Vec<Setting>,
    /// Digest over the settings, to see that two members are configured alike.
    pub config_digest: Option<Digest>,
    /// Where its data lie and how the others know it, by what it runs with, or would start with; none when that could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// The configuration file that the member reads, as far as a plan may have to edit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_file: Option<ConfigFileSeen>,
    /// The files that say what its unit starts it with: the unit, its drop-ins, its environment files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unit_files: Vec<ConfigFileSeen>,
    /// Debian packages that its binary came with, then those of the product's other programs beside it. Looked for only where
    /// the fleet file names no `packages` of its unit; empty where dpkg does not have the binary.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// Its files that the operator's templates make.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub templated: Vec<TemplatedFile>,
    /// More facts, by the pack.
    pub facts: Facts,
    /// What a person should know of this node.
    pub findings: Vec<Finding>,
}

impl NodeObservation {
    /// A node of which nothing is known but its name.
    pub fn unseen(name: NodeName, group: GroupName, because: impl Into<String>) -> Self {
        Self {
            name,
            group,
            reach: Reach::Unreachable(because.into()),
            process: None,
            release: None,
            disk_release: None,
            member_id: None,
            role: Role::Unknown,
            voter: None,
            healthy: None,
            applied_index: None,
            lag: None,
            store: None,
            tls: None,
            data_hash: None,
            hash_revision: None,
            alarms: Vec::new(),
            os: None,
            settings: Vec::new(),
            config_digest: None,
            place: None,
            config_file: None,
            unit_files: Vec::new(),
            packages: Vec::new(),
            templated: Vec::new(),
            facts: Facts::new(),
            findings: Vec::new(),
        }
    }
    /// Whether it answered, says it is healthy, and raised no alarm.
    pub fn is_healthy(&self) -> bool {
        self.reach == Reach::Reachable && self.healthy == Some(true)
    }
    /// Whether it is a voter, as far as could be seen.
    pub fn is_voter(&self) -> bool {
        self.voter == Some(true)
    }
}

/// Where a member's data lie, and how the others know it: what must be known to put data back, whether or not it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Its name inside the product.
    pub name: Option<String>,
    /// Addresses at which the other members reach it.
    pub peer_urls: Vec<String>,
    /// Every folder that holds its data, by the setting that names it.
    pub folders: BTreeMap<String, PathBuf>,
}

/// Whether a node answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// It answered.
    Reachable,
    /// It did not, and why.
    Unreachable(String),
}

/// A member's part in its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Orders writes.
    Leader,
    /// Replicates and votes.
    Follower,
    /// Replicates without a vote.
    Learner,
    /// Seeks votes: no leader is known to it.
    Candidate,
    /// A client or router, no member.
    Client,
    /// Could not be seen.
    Unknown,
}

/// A process, seen on its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSeen {
    /// Process id.
    pub pid: u32,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// Arguments, the binary first.
    pub argv: Vec<String>,
    /// The file that runs.
    pub binary: PathBuf,
    /// True when that file was replaced or deleted since the start.
    pub binary_replaced: bool,
}

/// One setting that a member runs with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Setting {
    /// Where it was said.
    pub source: SettingSource,
    /// As written there: `--log-output`, `ETCD_DEBUG`, `log-outputs`.
    pub key: String,
    /// Its value; an empty text for a bare flag.
    pub value: String,
}

/// Where a setting was said.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum SettingSource {
    /// Command line.
    Flag,
    /// Environment variable.
    Env,
    /// Configuration file.
    File,
}

/// A configuration file as far as a plan may have to edit it. Its text as a whole is kept nowhere: it may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigFileSeen {
    /// Where it is, absolute.
    pub path: String,
    /// How settings are said in it.
    #[serde(default)]
    pub form: FileForm,
    /// What it holds; none when it could not be read.
    pub sha256: Option<Digest>,
    /// Its size: a setting that stands nowhere yet is added there.
    pub size_bytes: u64,
    /// Whether its last line lacks an end.
    pub open_end: bool,
    /// Where it says the settings that the pack's rules speak of; never a secret one.
    pub spans: Vec<ConfigSpan>,
    /// Why it is not known what it sets.
    pub unread: Option<String>,
    /// Why nothing in it can be changed by lines, though it was read.
    pub by_hand: Option<String>,
}

/// A file that a template makes, line by line. A line that the template does not make is people's own: only its length is kept,
/// it may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplatedFile {
    /// Where it is, absolute.
    pub path: String,
    /// What it holds; none when it could not be read.
    pub sha256: Option<Digest>,
    /// Its lines.
    pub lines: Vec<FileLine>,
    /// Why it could not be read.
    pub unread: Option<String>,
}

/// A line of a file, its end included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileLine {
    /// Its length.
    pub size_bytes: u64,
    /// What it says, when the template says it too.
    pub text: Option<String>,
}

/// How a file says settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileForm {
    /// The product's own configuration file: flat YAML.
    #[default]
    Yaml,
    /// An environment file of a unit: a variable a line.
    Environment,
    /// A unit, or a drop-in of one.
    Unit,
}

/// Where a file says a setting: whole lines, one line up to its comment, or words of a line with the blank before them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigSpan {
    /// What it is to the product.
    #[serde(default = "in_file")]
    pub source: SettingSource,
    /// The setting, by its plain name; none for a place where settings of this source are added.
    pub key: String,
    /// Offset in bytes.
    pub at: u64,
    /// What stands there, byte for byte.
    pub text: String,
}

fn in_file() -> SettingSource {
    SettingSource::File
}

/// Something a person should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// Stable name, `release-on-disk-differs`.
    pub code: String,
    /// One sentence: who, what, why.
    pub text: String,
    /// What next.
    pub hint: Option<String>,
}

/// How bad a finding is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Good to know.
    Note,
    /// Look at it soon.
    Warning,
    /// An upgrade must not begin.
    Error,
}
