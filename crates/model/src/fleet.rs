//! What is declared: clusters, their nodes, and how Quorate reaches and restarts them.

use crate::{ClusterName, Dependant, GroupName, NodeName, PackName, Policy, secs};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// Everything that one fleet file declares, resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fleet {
    /// The fleet's name, for reports.
    pub name: String,
    /// Folders to search for artifacts, laid out `DIR/<pack>/<release>/<binary>`.
    pub artifacts: Vec<PathBuf>,
    /// The clusters, in the order of the file.
    pub clusters: Vec<Cluster>,
    /// How hosts are reached over SSH.
    #[serde(default)]
    pub ssh: SshSpec,
}

/// How hosts are reached over SSH: what the whole fleet has in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SshSpec {
    /// The client configuration; `~/.ssh/config` and the machine's own when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<PathBuf>,
    /// What is done with a host key that is not known; `strict` when left out.
    #[serde(default)]
    pub host_keys: HostKeys,
    /// The password that sudo asks for, where it asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sudo_password: Option<Secret>,
}

/// What is done with a host key that is not known. A key that changed is refused by either.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HostKeys {
    /// It is refused.
    #[default]
    Strict,
    /// It is believed once and written down.
    AcceptNew,
}

/// Nodes that replicate together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// Unique in the fleet.
    pub name: ClusterName,
    /// The product it runs.
    pub pack: PackName,
    /// `production`, `staging`, a person's name: free text that selectors and rings use.
    pub environment: Option<String>,
    /// Its members and clients.
    pub nodes: Vec<Node>,
    /// How clients (Quorate among them) authenticate the servers and themselves.
    pub tls: Option<TlsSpec>,
    /// The user that Quorate acts as inside the product.
    pub auth: Option<AuthSpec>,
    /// Files of its members that are rendered for each release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub config: Vec<ConfigTemplate>,
    /// Applications that live by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependants: Vec<Dependant>,
    /// The operator's limits for this cluster.
    pub policy: Policy,
}

/// A file of every member that is rendered for each release from a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigTemplate {
    /// Where the file is on the hosts, absolute; itself a template over the node.
    pub path: String,
    /// Where the template is, for people.
    pub template: PathBuf,
    /// The template.
    pub text: String,
}

/// One member or client process on one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Unique in the cluster.
    pub name: NodeName,
    /// Its duty, `server` unless said otherwise.
    pub group: GroupName,
    /// Where commands run.
    pub host: Host,
    /// Addresses by purpose, as the pack names them: `client: http://127.0.0.1:2379`.
    pub endpoints: BTreeMap<String, String>,
    /// Folder of the member's data, when it is known.
    pub data_dir: Option<PathBuf>,
    /// How the process is stopped and started; without it Quorate can look but not act.
    pub service: Option<ServiceSpec>,
}

/// Where a node's commands run.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Host {
    /// This machine.
    Local,
    /// A host that is reached over SSH.
    Ssh(SshHost),
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local => f.write_str("this machine"),
            Self::Ssh(host) => f.write_str(&host.name),
        }
    }
}

/// A host that is reached over SSH.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct SshHost {
    /// Its name as `ssh` takes it: an alias of the client configuration, `db-1`, `anna@db-1`, `db-1:2222`.
    pub name: String,
    /// Whether commands run as root, through sudo.
    #[serde(default = "yes")]
    pub sudo: bool,
    /// Whether products on it are asked through the connection, also at addresses that this machine could reach by itself.
    #[serde(default)]
    pub tunnel: bool,
}

fn yes() -> bool {
    true
}

impl SshHost {
    /// A host by its name, with what most have: sudo, and tunnels only to loopback addresses.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), sudo: true, tunnel: false }
    }
}

/// How a service is stopped and started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum ServiceSpec {
    /// A plain process that Quorate starts itself: no root and no systemd needed.
    Process(ProcessSpec),
    /// A unit of systemd.
    Systemd(SystemdSpec),
}

/// A plain process that Quorate starts itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessSpec {
    /// The live binary and its arguments. The swap replaces the file that the first word names.
    pub argv: Vec<String>,
    /// Environment variables added to an otherwise almost empty environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// File that holds the process id.
    pub pid_file: PathBuf,
    /// File that standard output and error are appended to.
    pub log_file: PathBuf,
    /// Working folder; `/` when left out.
    #[serde(default)]
    pub work_dir: Option<PathBuf>,
    /// Time between the polite signal and the kill, in seconds.
    #[serde(default = "default_grace", with = "secs", rename = "grace_secs")]
    #[schemars(with = "f64")]
    pub grace: Duration,
}

/// A unit of systemd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SystemdSpec {
    /// The unit: `etcd.service`.
    pub unit: String,
    /// The file that the unit runs; the swap replaces it.
    pub binary: PathBuf,
    /// Debian packages that its program comes with, as `dpkg` names them. With them the swap installs packages; without, it
    /// exchanges the bare file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// The longest that a stop takes before systemd kills the process, in seconds: the unit's `TimeoutStopSec`.
    #[serde(default = "default_unit_grace", with = "secs", rename = "grace_secs")]
    #[schemars(with = "f64")]
    pub grace: Duration,
}

/// Thirty seconds: a store that flushes on stop needs a few, and systemd's own default is 90;
/// past this the member is stuck and a kill is the smaller harm.
pub const GRACE_DEFAULT: Duration = Duration::from_secs(30);

/// Ninety seconds: what systemd waits when a unit says nothing.
pub const UNIT_GRACE_DEFAULT: Duration = Duration::from_secs(90);

fn default_grace() -> Duration {
    GRACE_DEFAULT
}

fn default_unit_grace() -> Duration {
    UNIT_GRACE_DEFAULT
}

impl ServiceSpec {
    /// The live binary: what a swap replaces.
    pub fn binary(&self) -> Option<PathBuf> {
        match self {
            Self::Process(process) => process.argv.first().map(PathBuf::from),
            Self::Systemd(unit) => Some(unit.binary.clone()),
        }
    }
    /// Debian packages that its program comes with; none where the bare file is exchanged.
    pub fn packages(&self) -> &[String] {
        match self {
            Self::Process(_) => &[],
            Self::Systemd(unit) => &unit.packages,
        }
    }
    /// Time between the polite signal and the kill.
    pub fn grace(&self) -> Duration {
        match self {
            Self::Process(process) => process.grace,
            Self::Systemd(unit) => unit.grace,
        }
    }
    /// The plain process, when it is one: its words and variables are declared, a unit's are read on its host.
    pub fn process(&self) -> Option<&ProcessSpec> {
        match self {
            Self::Process(process) => Some(process),
            Self::Systemd(_) => None,
        }
    }
}

/// Files of a TLS client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsSpec {
    /// Certificates (PEM) that sign the servers' certificates.
    pub ca: PathBuf,
    /// Client certificate (PEM), when the servers ask for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// Its key (PEM).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

/// A user inside the product; the secret itself is never in the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthSpec {
    /// User name.
    pub user: String,
    /// Where its password is read from at the moment of use.
    pub password: Secret,
}

/// A reference to a secret: read when needed, never stored, printed or journaled.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Secret {
    /// The first line of a file.
    File(PathBuf),
    /// An environment variable of the controller.
    Env(String),
}
