//! What machines need of this machine: root, a few programs, and control groups of the second kind.

use super::LabError;
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Programs that are called, with the Debian package that holds each.
const PROGRAMS: [(&str, &str); 10] = [
    ("mmdebstrap", "mmdebstrap"),
    ("systemd-nspawn", "systemd-container"),
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mount", "mount"),
    ("setsid", "util-linux"),
    ("chroot", "coreutils"),
];

/// Folders that a root shell has in its path and another one may lack.
const SYSTEM_FOLDERS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/// The search path for programs.
pub(super) fn path() -> String {
    let own = env::var("PATH").unwrap_or_default();
    let own = own.split(':').filter(|folder| !folder.is_empty());
    own.chain(SYSTEM_FOLDERS).collect::<Vec<_>>().join(":")
}

/// Refuses when something is missing for so many machines, before anything is made.
pub(super) fn check(count: u32) -> Result<(), LabError> {
    root()?;
    let missing = missing(&path());
    if !missing.is_empty() {
        return Err(LabError::Programs(missing));
    }
    groups()?;
    let path = Path::new("/proc/sys/fs/inotify/max_user_instances");
    let text = fs::read_to_string(path).map_err(LabError::disk("read", path))?;
    // A kernel that says no number has another way to tell its limit, when it is reached.
    text.trim().parse().map_or(Ok(()), |allowed| watches(count, allowed))
}

/// Watches on files that systemd, and what it starts, keep on one machine: with 128 of them the twenty-fourth did not boot.
const WATCHES_EACH: u32 = 6;

/// Refuses more machines than this machine's kernel lets root have watches for.
fn watches(count: u32, allowed: u32) -> Result<(), LabError> {
    let needed = count.saturating_mul(WATCHES_EACH);
    if needed <= allowed {
        return Ok(());
    }
    Err(LabError::Input(format!(
        "{count} machines keep some {needed} watches on files, and this machine allows root {allowed}: allow more with `sysctl -w fs.inotify.max_user_instances={}`",
        needed.next_power_of_two()
    )))
}

fn missing(path: &str) -> Vec<(&'static str, &'static str)> {
    let has =
        |program: &str| path.split(':').any(|folder| Path::new(folder).join(program).is_file());
    PROGRAMS.into_iter().filter(|(program, _)| !has(program)).collect()
}

/// Refuses everybody but root.
pub(super) fn root() -> Result<(), LabError> {
    if nix::unistd::geteuid().is_root() { Ok(()) } else { Err(LabError::NotRoot) }
}

/// Where control groups of the second kind are mounted.
pub(super) fn groups() -> Result<PathBuf, LabError> {
    let path = Path::new("/proc/self/mountinfo");
    let text = fs::read_to_string(path).map_err(LabError::disk("read", path))?;
    cgroup2(&text).ok_or_else(|| LabError::Setup {
        what: "hold machines apart".to_owned(),
        because: "control groups of version 2 are not mounted here".to_owned(),
    })
}

fn cgroup2(mountinfo: &str) -> Option<PathBuf> {
    let line = mountinfo.lines().find(|line| {
        line.split_once(" - ").is_some_and(|(_, kind)| kind.starts_with("cgroup2 "))
    })?;
    line.split_whitespace().nth(4).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_told_with_its_package() {
        let folder = tempfile::tempdir().unwrap();
        for (program, _) in PROGRAMS.iter().filter(|(program, _)| *program != "nft") {
            fs::write(folder.path().join(program), "").unwrap();
        }
        let error = LabError::Programs(missing(&folder.path().to_string_lossy()));
        assert_eq!(error.to_string(), "nft is missing");
        assert!(error.hint().unwrap().contains("apt-get install nftables"));
    }

    #[test]
    fn more_machines_than_the_kernel_has_watches_for_are_refused() {
        assert!(watches(20, 128).is_ok());
        let said = watches(100, 128).unwrap_err().to_string();
        assert!(
            said.contains("100 machines") && said.contains("max_user_instances=1024"),
            "{said}"
        );
    }

    #[test]
    fn finds_control_groups_beside_those_of_the_first_kind() {
        let hybrid = "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(cgroup2(hybrid), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(cgroup2("40 31 0:37 / /x rw - cgroup cgroup rw\n"), None);
    }
}
