//! The base trees that machines stand on: one for each release of Debian and set of packages, kept for all labs.
//!
//! Why mmdebstrap: it asks the machine's own apt, so mirrors, keys and proxies are those that the machine has.
//! Invariants: a tree has its final name only when it is whole; its name follows from everything that went into it, so
//! another recipe gets another tree; a tree is never written to again.

use super::{
    super::super::artifacts::{OnProgress, Progress, debian},
    LabError, run, shell,
};
use quorate_transport::Command;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{
    fmt,
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// A release of Debian that machines can be made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Debian {
    /// Debian 11.
    Bullseye,
    /// Debian 12.
    Bookworm,
    /// Debian 13.
    Trixie,
}

impl Debian {
    /// Every one, oldest first.
    pub const ALL: [Self; 3] = [Self::Bullseye, Self::Bookworm, Self::Trixie];

    /// The name of its suite.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bullseye => "bullseye",
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }
}

impl fmt::Display for Debian {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Debian {
    type Err = LabError;
    fn from_str(text: &str) -> Result<Self, LabError> {
        Self::ALL.into_iter().find(|one| one.as_str() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            LabError::Input(format!(
                "machines cannot be made of Debian `{text}`; they can of: {names}"
            ))
        })
    }
}

/// What every machine has beside Debian's essential packages: it boots, is reached, and can be looked into.
const PACKAGES: [&str; 10] = [
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "sudo",
    "iproute2",
    "procps",
    "ca-certificates",
    "curl",
    "unzip",
];

/// A build takes some fifteen seconds; a slow mirror gets forty times that.
const BUILD_LIMIT: Duration = Duration::from_secs(600);
/// Between two looks whether another program has finished the same tree.
const LOCK_POLL: Duration = Duration::from_millis(200);

/// Gives the base tree; builds it when it is not there yet.
pub(super) async fn tree(
    bases: &Path,
    release: Debian,
    packages: &[String],
    progress: OnProgress<'_>,
) -> Result<PathBuf, LabError> {
    let lines = debian::one_line_sources(release.as_str()).await?;
    let mut wanted: Vec<&str> =
        PACKAGES.into_iter().chain(packages.iter().map(String::as_str)).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let whole = bases.join(format!("{release}-{}", key(&lines, &wanted)));
    if whole.is_dir() {
        return Ok(whole);
    }
    fs::create_dir_all(bases).map_err(LabError::disk("make", bases))?;
    let _lock = lock(bases).await?;
    if whole.is_dir() {
        return Ok(whole);
    }
    tidy(bases)?;
    progress(Progress::step(format!("building the base tree of Debian {release}, once")));
    let part = bases.join(format!("{PART}{release}-{}", std::process::id()));
    let built = build(&part, release, &lines, &wanted).await;
    if built.is_err() {
        // The error that ended the build is the one to tell.
        let _ = fs::remove_dir_all(&part);
    }
    built?;
    fs::rename(&part, &whole).map_err(LabError::disk("name", &whole))?;
    Ok(whole)
}

/// How a tree that is not whole begins its name.
const PART: &str = ".part-";

/// Everything that decides what is in a tree.
fn key(lines: &[String], packages: &[&str]) -> String {
    let recipe = include_str!("base.sh");
    let mut hash = Sha256::new();
    for word in lines.iter().map(String::as_str).chain(packages.iter().copied()).chain([recipe]) {
        hash.update(word.as_bytes());
        hash.update([0]);
    }
    let hex = hex::encode(hash.finalize());
    hex.get(..12).unwrap_or(&hex).to_owned()
}

async fn build(
    part: &Path,
    release: Debian,
    lines: &[String],
    packages: &[&str],
) -> Result<(), LabError> {
    let part_word = part.to_string_lossy();
    let include = format!("--include={}", packages.join(","));
    // `MODE=root`: nothing is guessed. Documents are left out: a machine of a lab has no reader.
    let mut words: Vec<String> = [
        "mmdebstrap",
        "--quiet",
        "--mode=root",
        "--variant=minbase",
        "--format=directory",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        &include,
    ]
    .map(str::to_owned)
    .into();
    words.extend(proxies().await?.iter().map(|setting| format!("--aptopt={setting}")));
    words.extend([release.as_str().to_owned(), part_word.clone().into_owned()]);
    words.extend(lines.iter().cloned());
    let mut command = Command::new(words);
    command.clean_env = true;
    run("building a base tree with mmdebstrap", command, BUILD_LIMIT).await?;
    let command = shell::script(include_str!("base.sh"), &[&part_word]);
    run("preparing the base tree", command, BUILD_LIMIT).await.map(drop)
}

/// The machine's proxies, as settings of apt: mmdebstrap works with settings of its own.
async fn proxies() -> Result<Vec<String>, LabError> {
    let words = ["apt-config", "dump", "--format", "%f \"%v\";%n", "Acquire"];
    let text = run("asking apt for its proxies", Command::new(words), super::LOCAL_LIMIT).await?;
    Ok(text
        .lines()
        .filter(|line| line.to_ascii_lowercase().contains("::proxy"))
        .map(str::to_owned)
        .collect())
}

/// One builder at a time; the lock ends with its process.
async fn lock(bases: &Path) -> Result<File, LabError> {
    let path = bases.join("lock");
    let file = File::create(&path).map_err(LabError::disk("write", &path))?;
    let deadline = Instant::now() + BUILD_LIMIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) if Instant::now() < deadline => {
                sleep(LOCK_POLL).await;
            }
            Err(fs::TryLockError::WouldBlock) => {
                return Err(LabError::disk("lock", &path)(ErrorKind::TimedOut.into()));
            }
            Err(fs::TryLockError::Error(error)) => {
                return Err(LabError::disk("lock", &path)(error));
            }
        }
    }
}

/// Removes what a builder that was killed left behind. Only the holder of the lock does this.
fn tidy(bases: &Path) -> Result<(), LabError> {
    for name in crate::artifacts::cache::names_in(bases) {
        let path = bases.join(&name);
        if name.starts_with(PART) {
            // A killed build may have left mounts (`proc`) in it: then nothing is removed.
            if super::disk::mounts_below(&path)?.is_empty() {
                fs::remove_dir_all(&path).map_err(LabError::disk("remove", &path))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_source_or_package_is_another_tree() {
        let lines = |text: &str| vec![text.to_owned()];
        let one = key(&lines("deb http://a.test/ x main"), &["curl", "sudo"]);
        assert_eq!(one, key(&lines("deb http://a.test/ x main"), &["curl", "sudo"]));
        assert_ne!(one, key(&lines("deb http://b.test/ x main"), &["curl", "sudo"]));
        assert_ne!(one, key(&lines("deb http://a.test/ x main"), &["curlsudo"]));
        assert_ne!(one, key(&lines("deb http://a.test/ x main"), &["curl", "sudo", "x"]));
    }

    #[test]
    fn an_unknown_release_is_told_with_the_known_ones() {
        assert_eq!("trixie".parse::<Debian>().unwrap(), Debian::Trixie);
        let said = "jessie".parse::<Debian>().unwrap_err().to_string();
        assert!(said.contains("`jessie`") && said.contains("bullseye, bookworm, trixie"), "{said}");
    }
}
