//! Fetches a release out of a Debian package of any suite, through the machine's own apt: its mirrors, its keys, its proxy.
//!
//! The system's own lists are not touched: apt works in folders of the cache, with one suite each. apt checks the
//! signatures and digests. Read next: `sources.rs` (which archive), `apt.rs` (how apt is run).

mod apt;
pub mod sources;

use super::{
    ArtifactError, Cache, OnProgress, Progress,
    cache::{artifact_file, blocking, names_in},
    silent,
};
use apt::Apt;
use quorate_model::{ArtifactFile, ArtifactRef, ArtifactSource, DebName, PackName, Release};
use std::path::Path;

/// A release to fetch from Debian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebianRequest {
    /// The product.
    pub pack: PackName,
    /// The upstream release.
    pub release: Release,
    /// Suites to look through, in this order; [`SUITES`] when nothing better is known.
    pub suites: Vec<String>,
    /// Packages that carry its programs, the server's first.
    pub packages: Vec<String>,
    /// Programs to take, the server first.
    pub binaries: Vec<String>,
    /// Packages whose files are kept as they are, beside the programs: those that members shall be installed from.
    pub keep: Vec<String>,
}

/// Suites of Debian that mirrors still serve, oldest first.
pub const SUITES: [&str; 5] = ["bullseye", "bookworm", "trixie", "forky", "sid"];

/// One version of a package in one suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The suite.
    pub suite: String,
    /// As Debian writes it: `3.4.23+dfsg-1+b5`.
    pub version: String,
    /// As upstream writes it, when it can be told.
    pub release: Option<Release>,
}

/// Maps a distribution's version to the upstream release.
pub type Upstream<'a> = &'a (dyn Fn(&str) -> Option<Release> + Send + Sync);

/// Folders where Debian packages put programs.
const PROGRAM_FOLDERS: [&str; 4] = ["usr/bin", "usr/sbin", "bin", "sbin"];

/// Fetches a release from the first suite that carries it. One that is in the cache already needs no network.
pub async fn fetch(
    cache: &Cache,
    request: &DebianRequest,
    upstream: Upstream<'_>,
    progress: OnProgress<'_>,
) -> Result<ArtifactRef, ArtifactError> {
    let known = cache.known(&request.pack, &request.release);
    if let Some(known) = known.filter(|known| known.lacks(&request.keep).is_empty()) {
        return Ok(known);
    }
    let mut tried = Vec::new();
    for suite in &request.suites {
        match from_suite(cache, request, suite, upstream, progress, &mut tried).await {
            Ok(Some(artifact)) => return Ok(artifact),
            Ok(None) => {}
            Err(error) => tried.push(format!("Debian {suite}: {}", error.sentence())),
        }
    }
    Err(ArtifactError::NotAtHand {
        pack: request.pack.clone(),
        release: request.release.clone(),
        tried,
    })
}

/// Tells which versions of a package the suites carry. Suites that cannot be asked are told beside them.
pub async fn offers(
    cache: &Cache,
    package: &str,
    suites: &[String],
    upstream: Upstream<'_>,
    progress: OnProgress<'_>,
) -> (Vec<Offer>, Vec<String>) {
    let (mut all, mut problems) = (Vec::new(), Vec::new());
    for suite in suites {
        match apts(cache, suite).await {
            Ok(apts) => {
                for apt in apts {
                    match suite_offers(&apt, package, suite, upstream, progress).await {
                        Ok(offers) => all.extend(offers),
                        Err(because) => {
                            problems.push(format!("Debian {suite} at {}: {because}", apt.place()))
                        }
                    }
                }
            }
            Err(error) => problems.push(format!("Debian {suite}: {}", error.sentence())),
        }
    }
    (all, problems)
}

async fn from_suite(
    cache: &Cache,
    request: &DebianRequest,
    suite: &str,
    upstream: Upstream<'_>,
    progress: OnProgress<'_>,
    tried: &mut Vec<String>,
) -> Result<Option<ArtifactRef>, ArtifactError> {
    let Some(server) = request.packages.first() else {
        return Err(ArtifactError::Input(format!(
            "the pack {} names no Debian package",
            request.pack
        )));
    };
    for apt in apts(cache, suite).await? {
        let place = format!("Debian {suite} at {}", apt.place());
        let offers = match suite_offers(&apt, server, suite, upstream, progress).await {
            Ok(offers) => offers,
            Err(because) => {
                tried.push(format!("{place}: {because}"));
                continue;
            }
        };
        let Some(offer) =
            offers.iter().find(|offer| offer.release.as_ref() == Some(&request.release))
        else {
            let versions: Vec<&str> = offers.iter().map(|offer| offer.version.as_str()).collect();
            let carries =
                if versions.is_empty() { "nothing of".to_owned() } else { versions.join(", ") };
            tried.push(format!("{place} carries {carries} {server}"));
            continue;
        };
        let packages = same_version(&apt, request, &offer.version, upstream).await;
        progress(Progress::step(format!(
            "fetching {} {} from Debian {suite}",
            request.pack, request.release
        )));
        match take(cache, &apt, &packages, &request.binaries, &request.keep).await {
            Ok(files) => {
                let artifact = ArtifactRef {
                    pack: request.pack.clone(),
                    release: request.release.clone(),
                    source: ArtifactSource::Debian { suite: suite.to_owned(), packages },
                    files,
                };
                cache.remember(&artifact)?;
                return Ok(Some(artifact));
            }
            Err(error) => tried.push(format!("{place}: {}", error.sentence())),
        }
    }
    Ok(None)
}

/// Fetches an artifact again whose files left the cache: the very same package versions.
pub(super) async fn fetch_again(
    cache: &Cache,
    artifact: &ArtifactRef,
    suite: &str,
    packages: &[String],
) -> Result<(), ArtifactError> {
    let keep: Vec<String> = artifact.packages().map(|(_, deb)| deb.package).collect();
    let names = artifact.files.iter().map(|file| file.name.clone());
    let names: Vec<String> = names.filter(|name| DebName::of(name).is_none()).collect();
    let mut tried = Vec::new();
    for apt in apts(cache, suite).await? {
        let updated = apt.update(&silent).await;
        let taken = match updated {
            Ok(()) => take(cache, &apt, packages, &names, &keep)
                .await
                .map(drop)
                .map_err(|error| error.sentence()),
            Err(because) => Err(because),
        };
        match taken {
            Ok(()) => return Ok(()),
            Err(because) => tried.push(format!("Debian {suite} at {}: {because}", apt.place())),
        }
    }
    Err(ArtifactError::NotAtHand {
        pack: artifact.pack.clone(),
        release: artifact.release.clone(),
        tried,
    })
}

/// Lines of `sources.list` that ask the machine's own archive for another suite, trusting what the machine trusts.
pub async fn one_line_sources(suite: &str) -> Result<Vec<String>, ArtifactError> {
    let (sources, own) = apt::machine_sources().await?;
    let archives = sources::archives(&sources, own.as_deref(), suite);
    if archives.is_empty() {
        return Err(no_archive(sources.len()));
    }
    Ok(archives.into_iter().flat_map(|source| sources::lines_for(source, suite)).collect())
}

fn no_archive(sources: usize) -> ArtifactError {
    ArtifactError::Input(format!(
        "none of the {sources} package sources of this machine is the archive of its distribution"
    ))
}

async fn apts(cache: &Cache, suite: &str) -> Result<Vec<Apt>, ArtifactError> {
    let plain = !suite.is_empty()
        && suite.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    if !plain || suite.starts_with('.') {
        return Err(ArtifactError::Input(format!("`{suite}` cannot be the name of a suite")));
    }
    let (sources, own) = apt::machine_sources().await?;
    let archives = sources::archives(&sources, own.as_deref(), suite);
    if archives.is_empty() {
        return Err(no_archive(sources.len()));
    }
    archives.into_iter().map(|source| Apt::open(cache.dir(), source, suite)).collect()
}

async fn suite_offers(
    apt: &Apt,
    package: &str,
    suite: &str,
    upstream: Upstream<'_>,
    progress: OnProgress<'_>,
) -> Result<Vec<Offer>, String> {
    apt.update(progress).await?;
    let versions = apt.versions(package).await?;
    Ok(versions
        .into_iter()
        .map(|version| Offer { suite: suite.to_owned(), release: upstream(&version), version })
        .collect())
}

/// The packages with their versions, `etcd-client=3.4.23+dfsg-1+b5`: the server's own version where there is one.
/// A package that the suite lacks is left out; tools come and go between releases.
async fn same_version(
    apt: &Apt,
    request: &DebianRequest,
    version: &str,
    upstream: Upstream<'_>,
) -> Vec<String> {
    let mut packages = Vec::new();
    let more = request.keep.iter().filter(|name| !request.packages.contains(name));
    for package in request.packages.iter().chain(more) {
        let versions = apt.versions(package).await.unwrap_or_default();
        let same = versions.iter().find(|other| *other == version);
        let near =
            || versions.iter().find(|other| upstream(other).as_ref() == Some(&request.release));
        packages.extend(same.or_else(near).map(|version| format!("{package}={version}")));
    }
    packages
}

async fn take(
    cache: &Cache,
    apt: &Apt,
    packages: &[String],
    binaries: &[String],
    keep: &[String],
) -> Result<Vec<ArtifactFile>, ArtifactError> {
    let tmp = cache.dir().join("tmp");
    let folder = tempfile::tempdir_in(&tmp).map_err(ArtifactError::disk("write in", &tmp))?;
    let failed = |because: String| ArtifactError::Fetch { url: packages.join(", "), because };
    let root = folder.path().join("root");
    apt.unpack(packages, folder.path(), &root).await.map_err(failed)?;
    let (inner, binaries, what) = (cache.clone(), binaries.to_vec(), packages.join(", "));
    let mut files = blocking(move || programs(&inner, &root, &binaries, &what)).await?;
    let (inner, keep, from) = (cache.clone(), keep.to_vec(), folder.path().to_owned());
    files.extend(blocking(move || kept(&inner, &from, &keep)).await?);
    files.sort_by(|a, b| a.name.cmp(&b.name));
    drop(folder);
    Ok(files)
}

/// The packages' own files, as apt has downloaded them: it takes none whose digest is not the one of its signed index.
fn kept(
    cache: &Cache,
    folder: &Path,
    packages: &[String],
) -> Result<Vec<ArtifactFile>, ArtifactError> {
    let wanted =
        |name: &String| DebName::of(name).is_some_and(|deb| packages.contains(&deb.package));
    let names = names_in(folder).into_iter().filter(wanted);
    names
        .map(|name| Ok(artifact_file(&*name, cache.add_file(&folder.join(&name), None)?)))
        .collect()
}

fn programs(
    cache: &Cache,
    root: &Path,
    binaries: &[String],
    what: &str,
) -> Result<Vec<ArtifactFile>, ArtifactError> {
    let mut files = Vec::new();
    for name in binaries {
        let places = PROGRAM_FOLDERS.iter().map(|folder| root.join(folder).join(name));
        let plain =
            |path: &std::path::PathBuf| path.symlink_metadata().is_ok_and(|meta| meta.is_file());
        if let Some(path) = places.into_iter().find(plain) {
            files.push(artifact_file(name, cache.add_file(&path, None)?));
        }
    }
    let first = binaries.first();
    if first.is_none() || !files.iter().any(|file| Some(&file.name) == first) {
        return Err(ArtifactError::Archive {
            archive: what.to_owned(),
            because: format!("the packages hold no program `{}`", first.map_or("", String::as_str)),
        });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}
