//! A release that comes as Debian packages: whether a host can take them, what keeps them from starting anything, and `dpkg`.
//!
//! Invariant: no package is installed but those of the plan, digests checked just before, and only while nothing that they
//! bring can be started by them: a plain upgrade of a package restarts its server without asking anybody for a quorum.
//! Absent on purpose: apt. It would choose versions, and reach for the network. Read next: `install.sh`, `hold_back.sh`.

use super::{DIGEST_LIMIT, paths::NodePaths, server_file, text};
use crate::shell;
use quorate_model::{ArtifactFile, ArtifactRef, ClusterName, DebName, Digest};
use quorate_transport::{Answer, Transport};
use std::time::Duration;

/// Where `invoke-rc.d` and `deb-systemd-invoke` look for who may start what.
const POLICY_FOLDER: &str = "/usr/sbin";
/// Where dpkg keeps what it knows, and its locks.
const DPKG_FOLDER: &str = "/var/lib/dpkg";
/// A small file is written, or taken away.
const POLICY_LIMIT: Duration = Duration::from_secs(30);
/// What the packages of a server take on a slow disk, with the triggers of a host full of manual pages.
pub const INSTALL_LIMIT: Duration = Duration::from_secs(240);
/// An upgrade that the host does by itself holds dpkg for seconds, seldom longer; the member is down meanwhile.
const LOCK_LIMIT: Duration = Duration::from_secs(60);

/// What became of packages that were to be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Package and version of each.
    pub packages: Vec<String>,
    /// True when all were there before.
    pub already: bool,
    /// Settings of the packages that were put beside those in use.
    pub left: Vec<String>,
}

/// The files of a plan that are packages, with what their names say; the error names one that the artifact lacks.
fn planned<'a>(
    artifact: &'a ArtifactRef,
    files: &[String],
) -> Result<Vec<(&'a ArtifactFile, DebName)>, String> {
    let one = |name: &String| {
        let found = artifact.packages().find(|(file, _)| file.name == *name);
        found.ok_or_else(|| {
            format!("the artifact of {} {} has no package {name}", artifact.pack, artifact.release)
        })
    };
    files.iter().map(one).collect()
}

/// The files of an artifact that are the packages of this member.
pub fn files_of(paths: &NodePaths, artifact: &ArtifactRef) -> Vec<String> {
    let own = paths.packages().iter().filter_map(|name| artifact.package(name));
    own.map(|file| file.name.clone()).collect()
}

/// Why the host cannot take these packages, which are staged there; none when it can.
pub async fn not_installable(
    transport: &dyn Transport,
    paths: &NodePaths,
    artifact: &ArtifactRef,
    files: &[String],
) -> Answer<Option<String>> {
    let planned = match planned(artifact, files) {
        Ok(planned) => planned,
        Err(because) => return Answer::Failed(because),
    };
    let folder = paths.artifact_dir(&artifact.pack, &artifact.release);
    let mut words = vec![text(&folder), text(paths.live())];
    for (file, deb) in &planned {
        let DebName { package, version, architecture } = deb.clone();
        words.extend([file.name.clone(), file.sha256.0.clone(), package, version, architecture]);
    }
    let said = run(transport, "asking dpkg", include_str!("installable.sh"), &words, DIGEST_LIMIT);
    said.await.map(|said| match said.trim() {
        "can" => None,
        because => Some(because.to_owned()),
    })
}

/// Why these packages, which were staged, must not take anybody's place; none when they are as planned.
pub async fn not_whole(
    transport: &dyn Transport,
    paths: &NodePaths,
    artifact: &ArtifactRef,
    files: &[String],
) -> Answer<Option<String>> {
    let planned = match planned(artifact, files) {
        Ok(planned) => planned,
        Err(because) => return Answer::Failed(because),
    };
    let folder = paths.artifact_dir(&artifact.pack, &artifact.release);
    let tenths = (LOCK_LIMIT.as_millis() / 100).to_string();
    let mut words = vec![DPKG_FOLDER.to_owned(), tenths, text(&folder)];
    words.extend(planned.iter().flat_map(|(file, _)| [file.name.clone(), file.sha256.0.clone()]));
    let what = "looking at the staged packages";
    let limit = DIGEST_LIMIT + LOCK_LIMIT;
    let said = run(transport, what, include_str!("whole.sh"), &words, limit).await;
    said.map(|said| match said.trim().split_once(' ') {
        None if said.trim() == "whole" => None,
        None if said.trim() == "busy" => Some(format!(
            "another dpkg or apt has been at work there for {} s; see `ps -C apt-get,dpkg,unattended-upgr`",
            LOCK_LIMIT.as_secs()
        )),
        Some(("damaged", file)) => Some(format!(
            "{} does not have the planned digest: it was changed after it was staged",
            folder.join(file).display()
        )),
        Some(("missing", file)) => {
            Some(format!("{} is missing: run `quorate prepare` again", folder.join(file).display()))
        }
        _ => Some(format!("the look at the staged packages answered with `{}`", said.trim())),
    })
}

/// Installs the packages of a release, and nothing else. They start nothing: that is held back before.
pub async fn install(
    transport: &dyn Transport,
    paths: &NodePaths,
    artifact: &ArtifactRef,
    files: &[String],
    cluster: &ClusterName,
) -> Answer<Installed> {
    let (planned, server) = match (planned(artifact, files), server_file(paths, artifact)) {
        (Ok(planned), Ok(server)) => (planned, server),
        (Err(because), _) | (_, Err(because)) => return Answer::Failed(because),
    };
    let tenths = (LOCK_LIMIT.as_millis() / 100).to_string();
    let folder = text(&paths.artifact_dir(&artifact.pack, &artifact.release));
    let mut words = vec![POLICY_FOLDER.to_owned(), cluster.to_string(), tenths, folder.clone()];
    words.extend([text(paths.live()), server.sha256.0.clone()]);
    for (file, deb) in &planned {
        let (package, version) = (deb.package.clone(), deb.version.clone());
        words.extend([file.name.clone(), file.sha256.0.clone(), package, version]);
    }
    let names: Vec<String> =
        planned.iter().map(|(_, deb)| format!("{} {}", deb.package, deb.version)).collect();
    let what = "installing the packages";
    let said = run(transport, what, include_str!("install.sh"), &words, INSTALL_LIMIT).await;
    let host = transport.name();
    said.and_then(|said| read_installed(&said, names, &folder, &host))
}

/// What `install.sh` told.
fn read_installed(
    said: &str,
    packages: Vec<String>,
    folder: &str,
    host: &str,
) -> Answer<Installed> {
    let mut lines = said.lines();
    let first = lines.next().unwrap_or_default().trim();
    let (left, rest): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with("left "));
    let left: Vec<String> =
        left.iter().filter_map(|line| line.strip_prefix("left ")).map(str::to_owned).collect();
    let named = packages.join(", ");
    match first.split_once(' ').unwrap_or((first, "")) {
        ("installed", _) => Answer::Done(Installed { packages, already: false, left }),
        ("already", _) => Answer::Done(Installed { packages, already: true, left }),
        ("free", _) => Answer::Failed(format!(
            "{named} was not installed on {host}: nothing keeps packages from starting services there, {POLICY_FOLDER}/policy-rc.d is not ours any more; `quorate run resume` sets it again"
        )),
        ("damaged", file) => Answer::Failed(format!(
            "{folder}/{file} on {host} does not have the planned digest: it was changed after it was staged; nothing was installed"
        )),
        ("busy", _) => Answer::Failed(format!(
            "{named} was not installed on {host}: another dpkg or apt has been at work there for {} s; see `ps -C apt-get,dpkg,unattended-upgr`",
            LOCK_LIMIT.as_secs()
        )),
        ("failed", _) => {
            let told: Vec<&str> =
                rest.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
            Answer::Failed(format!("dpkg on {host} did not install {named}: {}", told.join(" / ")))
        }
        _ => Answer::Unknown(format!(
            "the installation on {host} answered with `{first}`, which says nothing"
        )),
    }
}

/// Whether dpkg has the packages of a release whole, at their versions.
pub async fn are_installed(
    transport: &dyn Transport,
    artifact: &ArtifactRef,
    files: &[String],
) -> Answer<bool> {
    let planned = match planned(artifact, files) {
        Ok(planned) => planned,
        Err(because) => return Answer::Failed(because),
    };
    let words: Vec<String> =
        planned.into_iter().flat_map(|(_, deb)| [deb.package, deb.version]).collect();
    let what = "asking dpkg for its packages";
    let said = run(transport, what, include_str!("installed.sh"), &words, DIGEST_LIMIT).await;
    said.and_then(|said| match said.trim() {
        "installed" => Answer::Done(true),
        "other" => Answer::Done(false),
        said => Answer::Unknown(format!("dpkg on {} answered with `{said}`", transport.name())),
    })
}

/// Keeps packages from starting or restarting the unit, and what Quorate installs from starting anything.
pub async fn hold_back(
    transport: &dyn Transport,
    unit: &str,
    packages: &[String],
    cluster: &ClusterName,
    plan: &Digest,
) -> Answer<()> {
    let plain = unit.strip_suffix(".service").unwrap_or(unit);
    // The name becomes a word of a script.
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    if !plain.bytes().all(fine) {
        return Answer::Failed(format!("`{unit}` cannot be the name of a unit"));
    }
    let mut words =
        [POLICY_FOLDER, plain, cluster.as_str(), plan.short()].map(str::to_owned).to_vec();
    words.extend(packages.iter().cloned());
    let what = "keeping packages from starting services";
    let said = run(transport, what, include_str!("hold_back.sh"), &words, POLICY_LIMIT).await;
    let host = transport.name();
    said.and_then(|said| match said.trim().split_once(' ') {
        None if said.trim() == "held" => Answer::Done(()),
        Some(("other", whose)) => Answer::Failed(format!(
            "services on {host} are held back for a run on cluster {whose}: let that end first (`quorate run list`)"
        )),
        _ => Answer::Unknown(format!("holding services back on {host} answered with `{}`", said.trim())),
    })
}

/// Lets packages start services again; a policy of the operator is back as it was.
pub async fn let_go(transport: &dyn Transport, cluster: &ClusterName) -> Answer<String> {
    let words = [POLICY_FOLDER.to_owned(), cluster.to_string()];
    let what = "letting packages start services again";
    let said = run(transport, what, include_str!("let_go.sh"), &words, POLICY_LIMIT).await;
    said.map(|said| match said.trim() {
        "other" => format!("{POLICY_FOLDER}/policy-rc.d is somebody else's and was left"),
        _ => "as it was before".to_owned(),
    })
}

/// Whether packages are kept from starting services, for this plan.
pub async fn is_held(
    transport: &dyn Transport,
    cluster: &ClusterName,
    plan: &Digest,
) -> Answer<bool> {
    let words = [POLICY_FOLDER, cluster.as_str(), plan.short()].map(str::to_owned);
    let what = "looking whether services are held back";
    let said = run(transport, what, include_str!("held.sh"), &words, POLICY_LIMIT).await;
    said.map(|said| said.trim() == "held")
}

async fn run(
    transport: &dyn Transport,
    what: &str,
    script: &str,
    words: &[String],
    limit: Duration,
) -> Answer<String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    shell::run(transport, what, &shell::script(script, &words), limit).await
}

#[cfg(test)]
mod tests;
