//! Remembers the labs of this user and the ports that they hold.
//!
//! Why: a member that is stopped for a swap does not listen, so a look at open ports would give its port to another lab.
//! A record whose lab is gone is dropped when it is seen.

use super::{LabError, place};
use sha2::{Digest as _, Sha256};
use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
};

/// Where the labs of one user are written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    dir: PathBuf,
}

/// Below this, ports are often taken by well-known services.
const PORT_FIRST: u16 = 15_000;
/// Where Linux begins to hand out ports for outgoing connections, unless it is set otherwise: a member must never
/// find its port taken by somebody's outgoing connection while it is stopped.
const EPHEMERAL_FIRST: u16 = 32_768;

impl Registry {
    /// A registry in a folder.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// This user's registry: `$XDG_STATE_HOME/quorate/labs`, else `~/.local/state/quorate/labs`, else a folder for
    /// temporary files.
    pub fn of_user() -> Self {
        let env = |name: &str| {
            std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
        };
        let state =
            env("XDG_STATE_HOME").or_else(|| env("HOME").map(|home| home.join(".local/state")));
        let dir = state.map_or_else(
            || std::env::temp_dir().join(format!("quorate-labs-{}", nix::unistd::getuid())),
            |state| state.join("quorate/labs"),
        );
        Self { dir }
    }

    /// Folders of the labs that exist, sorted.
    pub fn labs(&self) -> Vec<PathBuf> {
        let mut labs: Vec<PathBuf> = self.records().into_iter().map(|(_, lab, _)| lab).collect();
        labs.sort();
        labs
    }

    /// Holds `count` ports for the lab in `dir`, which must already have its mark.
    pub(super) fn reserve(&self, dir: &Path, count: usize) -> Result<Vec<u16>, LabError> {
        let _lock = self.lock()?;
        let held: Vec<u16> = self.records().into_iter().flat_map(|(_, _, ports)| ports).collect();
        let last = ephemeral_first();
        let free: Vec<u16> = (PORT_FIRST.min(last.saturating_sub(1000))..last)
            .filter(|port| !held.contains(port))
            .filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
            .take(count)
            .collect();
        if free.len() < count {
            return Err(LabError::Setup {
                what: format!("find {count} free ports below {last}"),
                because: format!("only {} are free", free.len()),
            });
        }
        let numbers: Vec<String> = free.iter().map(u16::to_string).collect();
        let text = format!("{}\n{}\n", dir.display(), numbers.join(" "));
        place::write(&self.record(dir), text.as_bytes(), 0o600)?;
        Ok(free)
    }

    /// Keeps every other `up` of this user from choosing ports or subnets.
    pub(super) fn lock(&self) -> Result<File, LabError> {
        fs::create_dir_all(&self.dir).map_err(LabError::disk("make", &self.dir))?;
        let path = self.dir.join("lock");
        let lock = File::create(&path).map_err(LabError::disk("write", &path))?;
        // Held for milliseconds by another `up`; the lock ends with its process.
        lock.lock().map_err(LabError::disk("lock", &path))?;
        Ok(lock)
    }

    /// Lets go of a lab's ports.
    pub(super) fn release(&self, dir: &Path) {
        // A record that stays is dropped when its lab is not found any more.
        let _ = fs::remove_file(self.record(dir));
    }

    fn record(&self, dir: &Path) -> PathBuf {
        let name = hex::encode(Sha256::digest(dir.as_os_str().as_encoded_bytes()));
        self.dir.join(format!("{}.lab", name.get(..16).unwrap_or(&name)))
    }

    fn records(&self) -> Vec<(PathBuf, PathBuf, Vec<u16>)> {
        let mut records = Vec::new();
        for name in crate::artifacts::cache::names_in(&self.dir) {
            let path = self.dir.join(&name);
            let Some(text) = fs::read_to_string(&path).ok().filter(|_| name.ends_with(".lab"))
            else {
                continue;
            };
            let mut lines = text.lines();
            let lab = PathBuf::from(lines.next().unwrap_or_default());
            let ports = lines.next().unwrap_or_default().split_whitespace();
            let ports = ports.filter_map(|port| port.parse().ok()).collect();
            if lab.join(place::MARK).is_file() {
                records.push((path, lab, ports));
            } else {
                let _ = fs::remove_file(&path);
            }
        }
        records
    }
}

fn ephemeral_first() -> u16 {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = text.split_whitespace().next().and_then(|first| first.parse().ok());
    first.filter(|first| *first > 2000).unwrap_or(EPHEMERAL_FIRST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lab(root: &Path, name: &str) -> PathBuf {
        let dir = root.join(name);
        place::write(&dir.join(place::MARK), b"", 0o600).unwrap();
        dir
    }

    #[test]
    fn two_labs_never_share_a_port_even_while_nobody_listens() {
        let root = tempfile::tempdir().unwrap();
        let registry = Registry::new(root.path().join("registry"));
        let (one, two) = (lab(root.path(), "one"), lab(root.path(), "two"));
        let first = registry.reserve(&one, 6).unwrap();
        let second = registry.reserve(&two, 6).unwrap();
        assert!(first.iter().all(|port| !second.contains(port)), "{first:?} {second:?}");
        assert!(first.iter().chain(&second).all(|port| *port < ephemeral_first()));
        assert_eq!(registry.labs(), [one.clone(), two.clone()]);
        registry.release(&one);
        assert_eq!(registry.labs(), [two]);
    }

    #[test]
    fn a_lab_that_was_deleted_by_hand_gives_its_ports_back() {
        let root = tempfile::tempdir().unwrap();
        let registry = Registry::new(root.path().join("registry"));
        let one = lab(root.path(), "one");
        let first = registry.reserve(&one, 2).unwrap();
        fs::remove_dir_all(&one).unwrap();
        assert!(registry.labs().is_empty());
        assert_eq!(registry.reserve(&lab(root.path(), "two"), 2).unwrap(), first);
    }
}
