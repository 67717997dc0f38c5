//! Hosts that sources of the inventory list, with what they say of them; and which hosts a selector means.
//!
//! Invariant: pure. What a source answered comes in as a value; the runner's `sources/` asks it.
//! Read next: `selector.rs` (which hosts), `listed.rs` (the hosts of a fleet as a whole).

mod listed;
mod selector;

pub use listed::{listed, select_listed};
pub(crate) use selector::select_any;
pub use selector::{HostSelectError, select_hosts};

use jiff::Timestamp;
use quorate_model::{ClusterName, GroupName, Host, NodeName, SshHost};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A host that a source lists, with what it says of it. What it does not say is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedHost {
    /// Unique among all hosts.
    pub name: String,
    /// How commands get there.
    pub host: Host,
    /// Its addresses; the first is the one that others use.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// `production`, `staging`, a person's name.
    #[serde(default)]
    pub environment: Option<String>,
    /// What it is for: `consul`.
    #[serde(default)]
    pub role: Option<String>,
    /// Which part of that: `server`.
    #[serde(default)]
    pub sub_role: Option<String>,
    /// `running`, `stopped`, or as its source says; unknown when absent.
    #[serde(default)]
    pub state: Option<String>,
    /// Where it stands, when there are several such places: a region, a datacenter of Consul.
    #[serde(default)]
    pub datacenter: Option<String>,
    /// Networks that it is in, by name or as CIDR.
    #[serde(default)]
    pub networks: Vec<String>,
    /// Groups that its source puts it in.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Whatever else its source says: tags, meta data, variables.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The source that lists it; `fleet` when a cluster declares it.
    pub source: String,
    /// When the source listed it; absent when the fleet file does.
    #[serde(default)]
    pub taken_at: Option<Timestamp>,
    /// Nodes of the fleet that it carries.
    #[serde(default)]
    pub nodes: Vec<Carried>,
}

/// A node that a host carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// Its cluster.
    pub cluster: ClusterName,
    /// Its group.
    pub group: GroupName,
    /// Its name.
    pub node: NodeName,
}

/// The state of a host that is there to be worked on.
pub const RUNNING: &str = "running";

impl ListedHost {
    /// A host of which only the name is known.
    pub fn new(source: impl Into<String>, name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            host: Host::Ssh(SshHost::new(name.as_str())),
            name,
            addresses: Vec::new(),
            environment: None,
            role: None,
            sub_role: None,
            state: None,
            datacenter: None,
            networks: Vec::new(),
            groups: Vec::new(),
            labels: BTreeMap::new(),
            source: source.into(),
            taken_at: None,
            nodes: Vec::new(),
        }
    }

    /// Whether nothing says that it does not run: a host that cannot be seen is listed, never dropped.
    pub fn may_run(&self) -> bool {
        self.state.as_deref().is_none_or(|state| state == RUNNING)
    }

    /// The name that SSH takes for it; none for this machine.
    pub fn ssh(&self) -> Option<&str> {
        match &self.host {
            Host::Local => None,
            Host::Ssh(host) => Some(&host.name),
        }
    }

    /// The host in the name that SSH takes.
    pub fn ssh_address(&self) -> Option<&str> {
        self.ssh().map(bare_host)
    }
}

/// The host in a name that SSH takes, `anna@db-1:2222`: without the user and the port.
pub(crate) fn bare_host(name: &str) -> &str {
    let host = name.rsplit_once('@').map_or(name, |(_, host)| host);
    match host.rsplit_once(':') {
        // More colons are an address of IPv6.
        Some((host, port)) if !host.contains(':') && port.parse::<u16>().is_ok() => host,
        _ => host,
    }
}
