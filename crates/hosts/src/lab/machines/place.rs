//! What the folder of a lab of machines holds, and the names of its things outside the folder.
//!
//! `machines-lab.json` is the lab's own state, `machines.json` what others rely on. `hosts/<machine>/` has the root tree
//! (`root`, over `upper` and `work`), the volume (`data.img`, mounted at `data`) and the console's log.

use super::{
    super::place::{MARK, read, unusable, write},
    LabError,
    net::Rule,
};
use crate::lab::machines::Debian;
use serde::{Deserialize, Serialize};
use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

/// The state file; its being there makes a lab one of machines.
pub(super) const STATE: &str = "machines-lab.json";
/// The list for others.
pub(super) const LIST: &str = "machines.json";
/// Version of both files.
pub const SCHEMA: u32 = 1;

/// One machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Its name: `m1`.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// The release of Debian that it was made with.
    pub release: Debian,
    /// The ordinary user, who may use sudo without a password.
    pub user: String,
    /// The folder of its data volume, as the machine sees it.
    pub data: PathBuf,
}

/// A lab of machines, and the files to reach them with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machines {
    /// The lab's name.
    pub name: String,
    /// The lab's folder.
    pub dir: PathBuf,
    /// The machines, in order.
    pub machines: Vec<Machine>,
    /// For `ssh -F`: the machines by their names, with strict checking of their keys.
    pub ssh_config: PathBuf,
    /// The machines' keys.
    pub known_hosts: PathBuf,
    /// The private key that opens every machine.
    pub key: PathBuf,
}

/// Everything that is known of a lab of machines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) schema: u32,
    /// A random number that all names outside the folder carry.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) release: Debian,
    /// True when `up` made the folder itself, so that `down` may remove it.
    pub(super) made_folder: bool,
    pub(super) data_mb: u32,
    /// The base tree; not there before it was found or built.
    pub(super) base: Option<PathBuf>,
    /// The address of this machine on the lab's bridge; not there before one was chosen.
    pub(super) gateway: Option<Ipv4Addr>,
    pub(super) machines: Vec<Machine>,
    /// Faults of the network that are in force.
    pub(super) rules: Vec<Rule>,
}

impl State {
    pub(super) fn save(&self, dir: &Path) -> Result<(), LabError> {
        write(&dir.join(STATE), &json(self)?, 0o600)
    }

    /// Writes the list for others.
    pub(super) fn publish(&self, dir: &Path) -> Result<(), LabError> {
        let list = serde_json::json!({
            "schema": SCHEMA, "lab": self.name, "machines": self.machines,
        });
        write(&dir.join(LIST), &json(&list)?, 0o644)
    }

    /// One machine by its name.
    pub(super) fn machine(&self, name: &str) -> Result<&Machine, LabError> {
        self.machines.iter().find(|machine| machine.name == name).ok_or_else(|| {
            let known: Vec<&str> = self.machines.iter().map(|one| one.name.as_str()).collect();
            LabError::Input(format!(
                "the lab `{}` has no machine `{name}` (it has: {})",
                self.name,
                known.join(", ")
            ))
        })
    }

    /// The name of the lab's bridge.
    pub(super) fn bridge(&self) -> String {
        format!("q{}", self.id)
    }
    /// The name of the link between the bridge and a machine; the kernel takes 15 letters.
    pub(super) fn link(&self, machine: &str) -> String {
        format!("q{}{machine}", self.id)
    }
    /// The name of a machine's network namespace, and of the machine for systemd-nspawn.
    pub(super) fn space(&self, machine: &str) -> String {
        format!("quorate-{}-{machine}", self.id)
    }
    /// The name of the lab's table of packet rules.
    pub(super) fn table(&self) -> String {
        format!("quorate_{}", self.id)
    }
    /// The name of the lab's control group.
    pub(super) fn group(&self) -> String {
        format!("quorate-lab-{}", self.id)
    }
    /// What callers get.
    pub(super) fn given(&self, dir: &Path) -> Machines {
        Machines {
            name: self.name.clone(),
            dir: dir.to_owned(),
            machines: self.machines.clone(),
            ssh_config: dir.join("ssh_config"),
            known_hosts: dir.join("known_hosts"),
            key: dir.join("id_ed25519"),
        }
    }
}

/// The folder of one machine.
pub(super) fn home(dir: &Path, machine: &str) -> PathBuf {
    dir.join("hosts").join(machine)
}

/// Whether the folder is that of a lab of machines, whole or half made.
pub(in crate::lab) fn is(dir: &Path) -> bool {
    dir.join(MARK).is_file() && dir.join(STATE).is_file()
}

/// Reads the lab of machines in a folder.
pub fn machines(dir: &Path) -> Result<Machines, LabError> {
    let dir = std::path::absolute(dir).map_err(LabError::disk("find", dir))?;
    Ok(state(&dir)?.given(&dir))
}

/// Reads the state of the lab in a folder.
pub(super) fn state(dir: &Path) -> Result<State, LabError> {
    if !is(dir) {
        return Err(LabError::NoLab(dir.to_owned()));
    }
    let path = dir.join(STATE);
    let state: State = read(&path, SCHEMA)?;
    // Names of things to remove follow from it: an edited file must not lead anywhere else.
    if state.id.len() != ID_LETTERS || !state.id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(unusable(&path, format!("`{}` is no number of a lab", state.id)));
    }
    Ok(state)
}

/// Letters of a lab's number: enough that two labs never share one, few enough for the name of a link.
pub(super) const ID_LETTERS: usize = 6;

fn json(value: &impl Serialize) -> Result<Vec<u8>, LabError> {
    serde_json::to_vec_pretty(value).map_err(|error| LabError::Setup {
        what: "write the lab's state down".to_owned(),
        because: error.to_string(),
    })
}
