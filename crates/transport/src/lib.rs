//! Reaches hosts: runs a command, moves a file, speaks HTTP. Every answer is Done, Failed or Unknown.
//!
//! Invariant: a connection lost in mid-command is Unknown, never Failed; the step's own probe decides what happened.
//! Invariant: no password, token or header value reaches a log, an error or a `Debug` text (`redact.rs`).

pub mod answer;
pub mod command;
pub mod fake;
pub mod http;
pub mod local;
pub mod redact;
pub mod secret;
pub mod ssh;

pub use answer::Answer;
pub use command::{Command, Output};
pub use fake::{Asked, FakeTransport};
pub use local::LocalTransport;
pub use ssh::{SshHosts, SshTransport};

use async_trait::async_trait;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// The path beside this one whose name is this one's whole name and an ending. `Path::with_extension` takes what stands
/// behind a name's last dot away first, so that `etcd.1` and `etcd.2` would share one name.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}

/// A way to one host.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Runs a command to its end and gives its output. `Done` means that it ran, whatever its exit status.
    async fn run(&self, command: &Command, limit: Duration) -> Answer<Output>;
    /// Reads a whole file.
    async fn read(&self, path: &Path) -> Answer<Vec<u8>>;
    /// Writes a whole file so that a crash leaves the old or the new one: temporary name, sync, rename.
    async fn write(&self, path: &Path, content: &[u8], mode: u32) -> Answer<()>;
    /// Copies a local file to the host, in the same safe way.
    async fn put(&self, local: &Path, remote: &Path, mode: u32) -> Answer<()>;
    /// A socket on this machine that leads to an address as the host sees it, `127.0.0.1:2379`; none when this machine
    /// reaches the address by itself. The error is a sentence.
    async fn tunnel(&self, _address: &str) -> Result<Option<PathBuf>, String> {
        Ok(None)
    }
    /// Whether the host can be reached at all; a command to it is a question of its own. The error is a sentence.
    async fn reach(&self) -> Result<(), String> {
        Ok(())
    }
    /// Lets go of what is held open to the host: who has asked all that it wanted of thousands must not keep them all.
    async fn leave(&self) {}
    /// For people: `this machine`, `db-1 (10.0.0.7)`.
    fn name(&self) -> String;
}
