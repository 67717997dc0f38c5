//! The quick loop and the whole of CI.

use crate::{
    shell::{cargo, command, has, root},
    tidy,
};
use std::path::Path;

/// Seeds that CI simulates: enough to meet every fault several times, few enough for a minute on two cores.
const SIM_SEEDS_CI: &str = "2000";

/// Debian packages that the tests need and a bare machine may lack: apt's own tools are always there.
/// `curl` is what a run book asks with.
/// `mount` makes the small disks that tests fill.
/// `sshd` and `ssh-keygen` make the hosts of the tests of SSH.
/// The last five make, link and break whole machines.
const PACKAGES: [(&str, &str); 12] = [
    ("setsid", "util-linux"),
    ("dpkg-deb", "dpkg"),
    ("cc", "gcc"),
    ("curl", "curl"),
    ("mount", "mount"),
    ("sshd", "openssh-server"),
    ("ssh", "openssh-client"),
    ("mmdebstrap", "mmdebstrap"),
    ("systemd-nspawn", "systemd-container"),
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("mkfs.ext4", "e2fsprogs"),
];

pub(crate) fn check() -> Result<(), String> {
    cargo(["fmt", "--all", "--check"]).run()?;
    cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]).run()?;
    tidy::run()?;
    cargo(["nextest", "run", "--workspace", "--exclude", "quorate-e2e"]).run()
}

pub(crate) fn test() -> Result<(), String> {
    install()?;
    space()?;
    cargo(["fmt", "--all", "--check"]).run()?;
    cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]).run()?;
    tidy::run()?;
    // The whole workspace each time: packages that are chosen by their name would be built again, with fewer features.
    cargo(["build", "--workspace", "--bins"]).run()?;
    cargo(["nextest", "run", "--workspace", "-E", "not package(quorate-e2e)"]).run()?;
    cargo(["test", "--workspace", "--doc"]).run()?;
    deny()?;
    // The binaries that overflow checks and assertions are built into: they find more than the ones that ship, and a second
    // build of everything would take a fifth of the time that CI has.
    command(&built("quorate-sim"), ["--seeds", SIM_SEEDS_CI]).run()?;
    // Real processes: etcd, Consul, whole machines; what measures times has the machine for itself (`.config/nextest.toml`).
    cargo(["nextest", "run", "--workspace", "-E", "package(quorate-e2e)"])
        .env("QUORATE_BIN", built("quorate"))
        .run()
}

/// A program of the build that was tested.
fn built(program: &str) -> String {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    root().join(target).join("debug").join(program).display().to_string()
}

pub(crate) fn bless() -> Result<(), String> {
    cargo(["fmt", "--all"]).run()?;
    cargo(["nextest", "run", "--workspace", "--exclude", "quorate-e2e"])
        .env("INSTA_UPDATE", "always")
        .env("QUORATE_BLESS", "1")
        .run()
}

fn install() -> Result<(), String> {
    let missing: Vec<&str> =
        PACKAGES.iter().filter(|(program, _)| !has(program)).map(|(_, package)| *package).collect();
    if !missing.is_empty() {
        command("apt-get", ["update"]).run()?;
        command("apt-get", ["install", "-y", "--no-install-recommends"]).args(missing).run()?;
    }
    if !has("cargo-nextest") {
        cargo(["install", "--locked", "cargo-nextest"]).run()?;
    }
    limits()
}

/// What the tests need of the disk at a time, in GB: a hundred machines that each get a program of 68 MB beside the one they run
/// take 7, Debian trees and downloads 2, everything else 1; and some for the others on the machine.
const SPACE_FOR_TESTS: u64 = 13;

/// What a build of everything takes, in GB: 11, measured.
const SPACE_FOR_BUILD: u64 = 12;

/// Says at the start what would otherwise fail in the middle, as whatever the test of that moment was about.
fn space() -> Result<(), String> {
    let target = root().join("target");
    let build = if target.join("debug/quorate").exists() { 0 } else { SPACE_FOR_BUILD };
    let temp = std::env::temp_dir();
    let free = |folder: &Path| -> Result<u64, String> {
        let stat = nix::sys::statvfs::statvfs(folder).map_err(|error| {
            format!("cannot ask how much of {} is free: {error}", folder.display())
        })?;
        Ok(stat.blocks_available().saturating_mul(stat.fragment_size()) / 1_000_000_000)
    };
    let needs = [(&temp, SPACE_FOR_TESTS + build), (&root(), build)];
    for (folder, needed) in needs {
        let free = free(folder)?;
        if free < needed {
            return Err(format!(
                "the tests need {needed} GB in {} and {free} GB are free: `cargo clean` frees what earlier builds left, `quorate lab \
                 list` names labs that still hold some",
                folder.display()
            ));
        }
    }
    Ok(())
}

/// What a hundred Debian machines that all speak with each other take of the kernel, which has it for a dozen as it comes: watches
/// on files, six a machine, and neighbours in a network, each of each.
const LIMITS: [(&str, u32); 4] = [
    ("fs/inotify/max_user_instances", 1024),
    ("net/ipv4/neigh/default/gc_thresh1", 8192),
    ("net/ipv4/neigh/default/gc_thresh2", 16384),
    ("net/ipv4/neigh/default/gc_thresh3", 32768),
];

fn limits() -> Result<(), String> {
    for (name, needed) in LIMITS {
        let file = format!("/proc/sys/{name}");
        let allowed = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
        if allowed.is_none_or(|allowed: u32| allowed < needed) {
            std::fs::write(&file, needed.to_string())
                .map_err(|error| format!("cannot raise {file} to {needed}: {error}"))?;
        }
    }
    Ok(())
}

/// Licences, duplicate crates and sources. The advisory database is not asked: it needs the network at every run.
fn deny() -> Result<(), String> {
    if has("cargo-deny") {
        return cargo(["deny", "check", "bans", "licenses", "sources"]).run();
    }
    eprintln!(
        "=== cargo-deny is not installed: `tidy` has checked licences and sources of the lock file in its place"
    );
    Ok(())
}
