//! Sets up clusters of plain processes, or whole machines, on this machine, breaks them on purpose, and takes them away.
//!
//! A lab is a folder: `lab.json` says what stands there, `members/<node>/` has each member's binaries, data, log and
//! pid file. Invariants: only folders with the lab's own mark are removed, only processes that are proved to be the
//! lab's members are signalled, and ports stay reserved while their members are stopped.
//! Product knowledge is in a file a product, `etcd.rs` and `consul.rs`, joined by `product.rs`. Read next: `up.rs`, `down.rs`,
//! `fault.rs`; machines are in `machines/mod.rs`.

mod certs;
mod consul;
mod down;
mod error;
mod etcd;
mod fault;
pub mod machines;
mod place;
mod product;
mod registry;
mod up;

pub use down::{Down, LabSeen, down, list};
pub use error::LabError;
pub use fault::{Damage, Fault, fault};
pub use place::{LabState, state};
pub use registry::Registry;
pub use up::up;

use quorate_model::{ArtifactRef, Fleet};
use std::path::PathBuf;

/// A lab to set up. The release is the artifact's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabSpec {
    /// The cluster's name; nodes are `<name>-1`, `<name>-2` and so on.
    pub name: String,
    /// The folder to make.
    pub dir: PathBuf,
    /// Number of members.
    pub members: u32,
    /// Number of clients that belong to the cluster, where the product has some.
    pub clients: u32,
    /// Server, peer and client certificates, and clients must show theirs.
    pub tls: bool,
    /// A user `root` with a password.
    pub auth: bool,
    /// Keys to write through the v2 API.
    pub v2_keys: u32,
    /// Arguments added to every member, after the lab's own.
    pub extra_args: Vec<String>,
    /// The programs to run; each member gets its own copy.
    pub artifact: ArtifactRef,
}

/// A lab that serves.
#[derive(Debug, Clone, PartialEq)]
pub struct Lab {
    /// Its declaration, for the caller to write down.
    pub fleet: Fleet,
    /// Its folder.
    pub dir: PathBuf,
}
