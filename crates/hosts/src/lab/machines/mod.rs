//! Sets up whole Debian machines on this machine: systemd, sshd, apt, an own address and a data volume each.
//!
//! A machine is a root tree (an overlay over a base tree that all labs share), a small file system for its data, a
//! network namespace with a link to the lab's bridge, and a control group that holds every process of it. All names
//! outside the lab's folder carry the lab's own random number, which is written down before anything is made.
//! Invariants: nothing without that number, or outside the folder, is touched; no packet leaves the bridge; root is
//! needed for this kind of lab alone. Read next: `up.rs`, `down.rs`, `fault.rs`, `place.rs`.

mod base;
mod boot;
mod clock;
mod disk;
mod down;
mod fault;
mod group;
mod keys;
mod needs;
mod net;
mod place;
mod ready;
mod seed;
mod up;

pub use base::Debian;
pub use place::{Machine, Machines, SCHEMA, machines};
pub use seed::{Seed, SeedFile, Sudo, User};
pub use up::up;

pub(super) use down::{down, seen};
pub(super) use fault::fault;
pub(super) use place::is;

use super::LabError;
use crate::shell;
use quorate_transport::{Command, LocalTransport};
use std::{path::PathBuf, time::Duration};

/// Machines to set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachinesSpec {
    /// The lab's name.
    pub name: String,
    /// The folder to make.
    pub dir: PathBuf,
    /// The release of Debian.
    pub release: Debian,
    /// How many; they are `m1`, `m2` and so on.
    pub count: u32,
    /// Megabytes of each machine's data volume.
    pub data_mb: u32,
    /// Debian packages to have beside the usual ones.
    pub packages: Vec<String>,
    /// What each machine finds on its first boot.
    pub seed: Seed,
}

/// Megabytes of a data volume when nothing else is said: room for a cluster's first days, and quickly filled.
pub const DATA_MB_DEFAULT: u32 = 256;
/// The user that every lab has.
pub const USER: &str = "quorate";
/// Where a machine finds its data volume.
pub const DATA: &str = "/data";

/// Short work of the kernel and of tools on this machine; a loaded one gets a hundred times what they need.
const LOCAL_LIMIT: Duration = Duration::from_secs(30);

/// Runs a script of this module on this machine and gives what it printed.
async fn script(what: &str, text: &str, words: &[&str]) -> Result<String, LabError> {
    run(what, shell::script(text, words), LOCAL_LIMIT).await
}

/// Runs a command on this machine and gives what it printed.
async fn run(what: &str, command: Command, limit: Duration) -> Result<String, LabError> {
    let command = command.env("PATH", needs::path()).env("LC_ALL", "C.UTF-8");
    let answer = shell::run(&LocalTransport, what, &command, limit).await;
    answer
        .into_result()
        .map_err(|because| LabError::Setup { what: "set the machines up".to_owned(), because })
}
