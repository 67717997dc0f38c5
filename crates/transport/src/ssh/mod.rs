//! Hosts over SSH: one connection a host, reused; commands, files and tunnels through it; the configuration, keys, agents and
//! known hosts that people already have.
//!
//! Invariant: a host is spoken to only when its key is the known one.
//! Read next: `connect.rs` (how a connection comes to be), `exec.rs` (how a command runs).

mod auth;
mod config;
mod connect;
mod exec;
mod files;
mod known;
mod reader;
mod sockets;
mod spare;
mod told;
mod tunnel;

pub use config::{CONNECT_LIMIT, ConfigError, Target};

use crate::{
    Answer, Command, Output, Transport,
    secret::{self, SecretText},
};
use async_trait::async_trait;
use connect::Connections;
use exec::Input;
use files::Digests;
use quorate_model::{Secret, SshHost, SshSpec};
use reader::Rights;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};
use told::Ran;
use tunnel::Tunnels;

/// Every host over SSH that this program speaks to. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct SshHosts {
    shared: Arc<Shared>,
}

struct Shared {
    connections: Connections,
    tunnels: Tunnels,
    digests: Digests,
    sudo_password: Option<Secret>,
    /// Read when sudo is first used, so that a fleet without it needs no secret.
    password: OnceLock<Result<Arc<SecretText>, String>>,
    hosts: Mutex<HashMap<SshHost, Arc<SshTransport>>>,
}

impl SshHosts {
    /// Reads the client configuration. No host is spoken to yet.
    pub fn new(spec: &SshSpec) -> Result<Self, ConfigError> {
        let shared = Shared {
            connections: Connections::new(spec)?,
            tunnels: Tunnels::default(),
            digests: Digests::default(),
            sudo_password: spec.sudo_password.clone(),
            password: OnceLock::new(),
            hosts: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The way to a host.
    pub fn host(&self, host: &SshHost) -> Arc<SshTransport> {
        let mut hosts = self.shared.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || {
            let shown = connect::shown(&self.shared.connections.target(&host.name));
            Arc::new_cyclic(|own| SshTransport {
                host: host.clone(),
                name: shown,
                shared: self.shared.clone(),
                own: own.clone(),
            })
        };
        hosts.entry(host.clone()).or_insert_with(made).clone()
    }

    /// What a name stands for.
    pub fn target(&self, name: &str) -> Target {
        self.shared.connections.target(name)
    }
}

/// The way to one host over SSH.
pub struct SshTransport {
    host: SshHost,
    /// For people: the name, and the address behind it.
    name: String,
    shared: Arc<Shared>,
    own: std::sync::Weak<Self>,
}

impl SshTransport {
    fn connections(&self) -> &Connections {
        &self.shared.connections
    }

    fn rights(&self, user: &str) -> Result<Rights, String> {
        if !self.host.sudo || user == "root" {
            return Ok(Rights::Own);
        }
        let Some(password) = &self.shared.sudo_password else { return Ok(Rights::Sudo) };
        let read = self.shared.password.get_or_init(|| {
            let read = secret::read(password).map(Arc::new);
            read.map_err(|error| format!("{error}: {}", error.hint()))
        });
        read.clone().map(Rights::SudoAsks)
    }

    /// Runs a command whose input can be given twice: a connection that died while nobody used it is made again, once.
    async fn ran<'i>(
        &self,
        command: &Command,
        input: impl Fn() -> Input<'i>,
        limit: Duration,
    ) -> Answer<Output> {
        let mut again = true;
        loop {
            let session = match self.connections().session(&self.host.name).await {
                Ok(session) => session,
                Err(because) => return Answer::Failed(because),
            };
            let rights = match self.rights(&session.target.user) {
                Ok(rights) => rights,
                Err(because) => return Answer::Failed(because),
            };
            let began = Instant::now();
            let ran = exec::run(&session, command, input(), &rights, limit).await;
            tracing::trace!(host = %self.host.name, command = command.shown(), took = ?began.elapsed());
            match ran {
                Ran::Done(output) => return Answer::Done(output),
                Ran::Failed(because) => return Answer::Failed(because),
                Ran::Dead(because) => {
                    self.connections().forget(&session).await;
                    if !std::mem::take(&mut again) {
                        return Answer::Failed(because);
                    }
                }
                Ran::Unknown(because) => {
                    // Whether it hangs or has died, the next question shall not hang on it.
                    self.connections().forget(&session).await;
                    return Answer::Unknown(because);
                }
            }
        }
    }
}

#[async_trait]
impl Transport for SshTransport {
    async fn run(&self, command: &Command, limit: Duration) -> Answer<Output> {
        let input = || command.stdin.as_deref().map_or(Input::Nothing, Input::Bytes);
        self.ran(command, input, limit).await
    }
    async fn read(&self, path: &Path) -> Answer<Vec<u8>> {
        self.read_file(path).await
    }
    async fn write(&self, path: &Path, content: &[u8], mode: u32) -> Answer<()> {
        self.write_file(path, content, mode).await
    }
    async fn put(&self, local: &Path, remote: &Path, mode: u32) -> Answer<()> {
        self.put_file(local, remote, mode).await
    }
    async fn tunnel(&self, address: &str) -> Result<Option<PathBuf>, String> {
        if !self.host.tunnel && !tunnel::is_loopback(address) {
            return Ok(None);
        }
        let Some(own) = self.own.upgrade() else { return Ok(None) };
        self.shared.tunnels.socket(&own, address).await.map(Some)
    }
    /// Whether this host can be logged in to.
    async fn reach(&self) -> Result<(), String> {
        self.connections().session(&self.host.name).await.map(|_| ())
    }
    /// Who still uses the connection keeps it until they have ended.
    async fn leave(&self) {
        self.connections().leave(&self.host.name).await;
    }
    fn name(&self) -> String {
        self.name.clone()
    }
}
