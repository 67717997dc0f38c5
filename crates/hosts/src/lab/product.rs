//! What differs between the products that labs are made of, each in a file of its own.

use super::{
    LabError, LabSpec, Registry,
    certs::Certs,
    consul,
    etcd::{self, Member},
};
use quorate_model::NodeName;
use quorate_transport::http::HttpClient;
use std::{collections::BTreeMap, path::Path, time::Duration};

/// One request to a member that serves or is about to; the products answer in milliseconds once they have a leader.
pub(super) const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// A product of which labs can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Product {
    Etcd,
    Consul,
}

/// One process to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Agent {
    pub(super) name: String,
    /// Its duty: `server`, `client`.
    pub(super) group: &'static str,
    /// Addresses by purpose.
    pub(super) endpoints: Vec<(&'static str, String)>,
}

impl Agent {
    /// The address for a purpose; empty when there is none.
    pub(super) fn endpoint(&self, purpose: &str) -> &str {
        let of = self.endpoints.iter().find(|(own, _)| *own == purpose);
        of.map_or("", |(_, url)| url)
    }

    fn member(&self) -> Member {
        Member {
            name: self.name.clone(),
            client_url: self.endpoint("client").to_owned(),
            peer_url: self.endpoint("peer").to_owned(),
        }
    }
}

impl Product {
    /// The product of a lab to be, which must suit its release.
    pub(super) fn of(spec: &LabSpec) -> Result<Self, LabError> {
        let product = Self::named(spec.artifact.pack.as_str()).ok_or_else(|| {
            LabError::Input(format!(
                "labs of {} cannot be made yet, only of etcd and Consul",
                spec.artifact.pack
            ))
        })?;
        match product {
            Self::Etcd => etcd::suits(spec)?,
            Self::Consul => consul::suits(spec)?,
        }
        Ok(product)
    }

    /// The product of a pack.
    pub(super) fn named(pack: &str) -> Option<Self> {
        match pack {
            "etcd" => Some(Self::Etcd),
            "consul" => Some(Self::Consul),
            _ => None,
        }
    }

    /// The server's program.
    pub(super) fn binary(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Consul => "consul",
        }
    }

    /// Names and addresses of everybody, and the ports that the lab holds for them.
    pub(super) fn agents(
        self,
        spec: &LabSpec,
        registry: &Registry,
        dir: &Path,
    ) -> Result<(Vec<Agent>, Vec<u16>), LabError> {
        match self {
            Self::Etcd => etcd::agents(spec, registry, dir),
            Self::Consul => consul::agents(spec, registry, dir),
        }
    }

    /// The user that a lab with a user has, and its password.
    pub(super) fn secret(self, random: [u8; 16]) -> String {
        let text = hex::encode(random);
        match self {
            Self::Etcd => text,
            // A token is a UUID.
            Self::Consul => {
                let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
                [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
            }
        }
    }

    /// The arguments of one process; what it reads beside them is written down.
    pub(super) fn args(
        self,
        spec: &LabSpec,
        agent: &Agent,
        all: &[Agent],
        data_dir: &Path,
        secrets: (Option<&Certs>, Option<&str>),
    ) -> Result<Vec<String>, LabError> {
        let (certs, token) = secrets;
        match self {
            Self::Etcd => {
                let all: Vec<Member> = all.iter().map(Agent::member).collect();
                Ok(etcd::args(spec, &agent.member(), &all, data_dir, certs))
            }
            Self::Consul => consul::args(spec, agent, all, data_dir, token),
        }
    }

    /// The variables of one process's environment.
    pub(super) fn env(self, spec: &LabSpec) -> BTreeMap<String, String> {
        match self {
            Self::Etcd => BTreeMap::new(),
            Self::Consul => consul::env(spec),
        }
    }

    /// Asks a process once whether it serves; the error says what it answered.
    pub(super) async fn serves(
        self,
        http: &HttpClient,
        node: &NodeName,
        url: &str,
    ) -> Result<(), String> {
        match self {
            Self::Etcd => etcd::serves(http, url).await,
            Self::Consul => consul::serves(http, node, url).await,
        }
    }

    /// Makes users and keys once everybody serves.
    pub(super) async fn prepare(
        self,
        http: &HttpClient,
        spec: &LabSpec,
        url: &str,
        password: Option<&str>,
    ) -> Result<(), LabError> {
        match self {
            Self::Etcd => etcd::prepare(http, spec, url, password).await,
            // Its ACLs are on from the start.
            Self::Consul => Ok(()),
        }
    }
}
