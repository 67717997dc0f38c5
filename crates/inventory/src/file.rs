//! What a fleet file can say, as serde reads it. The JSON Schema of fleet files is made from these types.
//!
//! Invariant: unknown keys are refused: a mistyped limit must never be a limit that silently is not there.

use crate::sources::SourceFile;
use quorate_model::{
    AuthSpec, ClusterName, DependantName, GroupName, NodeName, PackName, Policy, Range, Release,
    Requirement, SshSpec, TlsSpec,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf};

/// Version of the fleet file. A program refuses a newer one and says so.
pub const FLEET_SCHEMA: u32 = 1;

/// A fleet file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FleetFile {
    /// Version of this format: 1.
    pub schema: u32,
    /// The fleet's name, for reports.
    pub fleet: String,
    /// Folders to search for releases, laid out `DIR/<pack>/<release>/<binary>`; relative to this file.
    #[serde(default)]
    pub artifacts: Vec<PathBuf>,
    /// What clusters have when they do not say otherwise; a policy is joined key by key.
    #[serde(default)]
    pub defaults: Option<ClusterDefaults>,
    /// How hosts are reached over SSH.
    #[serde(default)]
    pub ssh: SshSpec,
    /// Where hosts are listed, for clusters to take their nodes from.
    #[serde(default)]
    pub inventory: Vec<SourceFile>,
    /// The clusters.
    pub clusters: Vec<ClusterFile>,
}

/// What clusters have when they do not say otherwise.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterDefaults {
    /// As in a cluster.
    #[serde(default)]
    pub environment: Option<String>,
    /// As in a cluster.
    #[serde(default)]
    pub tls: Option<TlsSpec>,
    /// As in a cluster.
    #[serde(default)]
    pub auth: Option<AuthSpec>,
    /// As in a cluster.
    #[serde(default)]
    pub policy: Policy,
}

/// Nodes that replicate together.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterFile {
    /// Unique in the fleet.
    pub name: ClusterName,
    /// The product: the name of a pack, `etcd`.
    pub pack: PackName,
    /// `production`, `staging`, a person's name: free text.
    #[serde(default)]
    pub environment: Option<String>,
    /// Certificates, when clients talk TLS; paths relative to this file.
    #[serde(default)]
    pub tls: Option<TlsSpec>,
    /// The user that Quorate acts as inside the product.
    #[serde(default)]
    pub auth: Option<AuthSpec>,
    /// Files of its members that are rendered for each release.
    #[serde(default)]
    pub config: Vec<TemplateFile>,
    /// Applications that live by it: what they need of it, and what must be true of them before it changes.
    #[serde(default)]
    pub dependants: Vec<DependantFile>,
    /// The limits of this cluster's runs.
    #[serde(default)]
    pub policy: Policy,
    /// What the nodes have when they do not say otherwise.
    #[serde(default)]
    pub defaults: Option<NodeDefaults>,
    /// The members and clients.
    #[serde(default)]
    pub nodes: Vec<NodeFile>,
    /// Members and clients that hosts of the inventory make.
    #[serde(default)]
    pub nodes_from: Vec<NodesFrom>,
}

/// An application that lives by a cluster.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DependantFile {
    /// Unique in the cluster: `billing`.
    pub name: DependantName,
    /// Its own version that runs, where something is asked of it: `1.8.4`.
    #[serde(default)]
    pub version: Option<Release>,
    /// What it needs of the cluster, as the pack names it: `v2-api`.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Releases of the cluster that it works with: `>=3.1 <3.6`; any, when left out.
    #[serde(default)]
    pub works_with: Option<Range>,
    /// What its own version must be before the cluster has some releases.
    #[serde(default)]
    pub requires: Vec<Requirement>,
    /// Where it runs, and how it is stopped and started there while the cluster's data are exchanged; without it nothing is
    /// ever done to it.
    #[serde(default)]
    pub runs: Option<RunsFile>,
}

/// How an application is handled on its hosts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunsFile {
    /// Where it runs, in the order in which it is started: `local`, or `{ssh: NAME}`.
    pub hosts: Vec<HostFile>,
    /// Stops it so that nothing brings it back: a supervisor's definition moved away, a unit masked.
    pub stop: HostActFile,
    /// Starts it.
    pub start: HostActFile,
    /// Lets it speak to the cluster in the way that is left once the data have changed their form (`--convert`), while it
    /// stands still.
    #[serde(default)]
    pub switch: Option<HostActFile>,
    /// Lets it speak to the cluster as before, for the way back.
    #[serde(default)]
    pub switch_back: Option<HostActFile>,
}

/// What is done on a host, and how it is seen that it was done: two lines of shell.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostActFile {
    /// Does it; doing it twice must give the same as doing it once.
    pub run: String,
    /// Ends with status 0 once it is done, and says why not otherwise: the application stands still, or is well.
    pub seen: String,
    /// Seconds until it must be seen; 60 when left out.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub limit_secs: Option<f64>,
}

/// A file of every member that is rendered for each release.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateFile {
    /// Where the file is on the hosts, absolute: `/etc/etcd.yml`, `/srv/{{ node.name }}/etcd.yml`.
    pub path: String,
    /// The template, in Jinja's syntax; relative to this file.
    pub template: PathBuf,
}

/// What the nodes of a cluster have when they do not say otherwise.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeDefaults {
    /// As in a node.
    #[serde(default)]
    pub group: Option<GroupName>,
    /// As in a node.
    #[serde(default)]
    pub host: Option<HostFile>,
    /// Whether commands on hosts of SSH run as root, through sudo; true when left out.
    #[serde(default)]
    pub sudo: Option<bool>,
    /// Whether products are asked through the SSH connection, also at addresses that this machine could reach by itself;
    /// false when left out: loopback addresses are, others are not.
    #[serde(default)]
    pub tunnel: Option<bool>,
    /// As in a node.
    #[serde(default)]
    pub service: Option<UnitFile>,
    /// Environment variables that every service gets; a node's own win.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// As in a service.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub grace_secs: Option<f64>,
}

/// One member or client process.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeFile {
    /// Unique in the cluster; best the name that the member has inside the product.
    pub name: NodeName,
    /// Its duty; `server` when left out.
    #[serde(default)]
    pub group: Option<GroupName>,
    /// Where its commands run: `local`, or a host of SSH as `{ssh: NAME}`; `local` when left out.
    #[serde(default)]
    pub host: Option<HostFile>,
    /// Addresses by purpose, as the pack names them: `client: http://127.0.0.1:2379`.
    pub endpoints: BTreeMap<String, String>,
    /// Folder of its data; relative to this file.
    #[serde(default)]
    pub data_dir: Option<PathBuf>,
    /// How it is stopped and started; without it Quorate can look but not act.
    #[serde(default)]
    pub service: Option<ServiceFile>,
}

/// Hosts of the inventory, and the node that each of them makes: texts are templates over what is known of the host,
/// `http://{{ address }}:8500`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodesFrom {
    /// Which hosts: a selector, `role=consul,sub_role=server`, or several of which one must fit.
    pub select: Select,
    /// As in a node; the host's name when left out.
    #[serde(default)]
    pub name: Option<String>,
    /// As in a node.
    #[serde(default)]
    pub group: Option<String>,
    /// As in a node; the host itself when left out.
    #[serde(default)]
    pub host: Option<HostFile>,
    /// As in a node.
    pub endpoints: BTreeMap<String, String>,
    /// As in a node.
    #[serde(default)]
    pub data_dir: Option<PathBuf>,
    /// As in a node.
    #[serde(default)]
    pub service: Option<ServiceFile>,
}

/// One selector, or several of which one must fit.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Select {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

/// Where commands run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HostFile {
    /// This machine.
    Local,
    /// A host of SSH, by its name as `ssh` takes it: an alias of the client configuration, `db-1`, `anna@db-1:2222`.
    Ssh(String),
}

/// A unit of systemd that every node of a cluster has.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnitFile {
    /// The unit: `etcd.service`.
    pub unit: String,
    /// The file that the unit runs, whole; the swap replaces it.
    pub binary: PathBuf,
    /// Debian packages that the file comes with, the server's first: they are upgraded as packages.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Seconds that a stop may take before systemd kills the process, its `TimeoutStopSec`; 90 when left out.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub grace_secs: Option<f64>,
}

/// How a service is stopped and started.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceFile {
    /// `process`: a plain process that Quorate starts itself. `systemd`: a unit.
    pub kind: ServiceKind,
    /// Of a unit: its name, `etcd.service`.
    #[serde(default)]
    pub unit: Option<String>,
    /// Of a unit: the file that it runs, whole; the swap replaces it.
    #[serde(default)]
    pub binary: Option<PathBuf>,
    /// Of a unit: Debian packages that the file comes with, the server's first; they are upgraded as packages.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Of a process: the live binary, as a path, and its arguments.
    #[serde(default)]
    pub argv: Vec<String>,
    /// Environment variables.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Of a process: file that holds the process id; relative to this file.
    #[serde(default)]
    pub pid_file: Option<PathBuf>,
    /// Of a process: file that its output is appended to; relative to this file.
    #[serde(default)]
    pub log_file: Option<PathBuf>,
    /// Working folder; `/` when left out.
    #[serde(default)]
    pub work_dir: Option<PathBuf>,
    /// Seconds between the polite signal and the kill; 30 when left out, 90 for a unit.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub grace_secs: Option<f64>,
}

/// Kinds of services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceKind {
    /// A plain process.
    Process,
    /// A unit of systemd.
    Systemd,
}
