//! What `inventory` of a fleet file can say, as serde reads it.

use quorate_model::{Secret, Share, TlsSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// A source of hosts: a name, exactly one of `hosts`, `command`, `ansible`, `ec2` and `consul`, and how it is used.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SourceFile {
    /// Unique in the inventory; shown with the hosts.
    pub name: String,
    /// Hosts that are written down here.
    pub hosts: Option<Vec<HostEntry>>,
    /// A program and its arguments that prints hosts: one a line, or JSON. It runs in the folder of this file.
    pub command: Option<Vec<String>>,
    /// Inventories of Ansible, as `ansible-inventory -i` takes them; relative to this file.
    pub ansible: Option<Vec<PathBuf>>,
    /// Instances of EC2, through the vendor's command line and the credentials that it uses.
    pub ec2: Option<Ec2File>,
    /// Nodes of a Consul catalog.
    pub consul: Option<ConsulFile>,
    /// Variables of Ansible to keep as labels. Others are not: inventories hold secrets.
    pub labels: Vec<String>,
    /// What hosts are, as templates over what the source says of them.
    pub facts: FactsFile,
    /// Whether commands on its hosts run as root, through sudo; true when left out.
    pub sudo: Option<bool>,
    /// Seconds that the source may take to answer; 60 when left out.
    #[schemars(range(min = 0.0))]
    pub limit_secs: Option<f64>,
    /// Seconds that an answer is used without asking again; 300 when left out.
    #[schemars(range(min = 0.0))]
    pub fresh_secs: Option<f64>,
    /// When the source fails: seconds that its last answer may be old and is used instead; never when left out.
    #[schemars(range(min = 0.0))]
    pub fallback_secs: Option<f64>,
    /// How many hosts, or what part of them, may be gone at once; `50%` when left out.
    pub lose_max: Option<Share>,
}

/// What hosts are, as templates over what the source says of them. What is left out is what the source says, or the label of
/// the same name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FactsFile {
    /// The name: `{{ labels.Name }}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The name that SSH takes: `admin@{{ addresses[0] }}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh: Option<String>,
    /// The address that others use: `{{ addresses[1] }}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The environment: `{{ labels.stack }}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The sub-role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub_role: Option<String>,
    /// The state; `running` is the one of hosts to be worked on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Where it stands: a region, a datacenter of Consul.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datacenter: Option<String>,
}

/// A host, as a fleet file and the JSON of a command write it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostEntry {
    /// Unique among all hosts.
    pub name: String,
    /// The name that SSH takes, `anna@db-1:2222`; the host's own name when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<String>,
    /// Its addresses; the first is the one that others use.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// `production`, `staging`, a person's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Which part of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_role: Option<String>,
    /// `running`, `stopped`, or another word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Where it stands, when there are several such places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datacenter: Option<String>,
    /// Networks that it is in, by name or as CIDR.
    #[serde(default)]
    pub networks: Vec<String>,
    /// Groups that it is in.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Whatever else is to be known.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// Instances of EC2.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ec2File {
    /// The region; what the command line has set up when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The profile of credentials; what the command line has set up when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Another address of the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Tags that instances must have; `*` in a value stands for any text.
    pub tags: BTreeMap<String, String>,
}

/// Nodes of a Consul catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsulFile {
    /// Address of an agent: `http://127.0.0.1:8500`.
    pub address: String,
    /// Only nodes with this service; all nodes when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The datacenter that is asked; the agent's own when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datacenter: Option<String>,
    /// Where the ACL token is read from at the moment of use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// Certificates, when the agent talks TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSpec>,
}
