//! Getting releases: what a way needs and is not in the folders comes from Debian suites, through the machine's own apt.

use crate::{
    problem::{NO_ARTIFACT, Problem},
    setup::{Setup, no_artifact},
};
use quorate_hosts::{
    artifacts::{
        ArtifactError, Cache, DebianRequest, OnProgress, WebRequest,
        debian::{self, SUITES},
        web,
    },
    swap::{asks_version, program},
};
use quorate_model::{ArtifactRef, Cluster, Digest, Release};
use quorate_packs::Pack;
use quorate_planner::{PathOutcome, PathRequest, path};
use quorate_transport::LocalTransport;
use std::path::{Path, PathBuf};

/// Suites that are released: their packages stay what they are. Unreleased ones move under our feet.
const RELEASED: usize = 3;

/// Makes the releases of the way between two releases be at hand, as far as Debian has them, with the packages that members
/// are installed from. What cannot be had is left to the planner, which says what is missing.
pub async fn bring_way(
    setup: &Setup,
    cluster: &Cluster,
    pack: &Pack,
    from: &Release,
    to: &Release,
    progress: OnProgress<'_>,
) -> Result<(), Problem> {
    let at_hand = setup.artifacts_of(cluster);
    let mut releases: Vec<Release> =
        at_hand.iter().map(|artifact| artifact.release.clone()).collect();
    let mut found = way(pack, from, to, &releases).filter(|_| releases.contains(to));
    let Some(server) = pack.scheme.debian_packages.first() else { return Ok(()) };
    if found.is_none() {
        let suites: Vec<String> =
            SUITES.iter().take(RELEASED).map(|suite| (*suite).to_owned()).collect();
        let upstream = |version: &str| pack.upstream(version);
        let (offers, problems) =
            debian::offers(&setup.cache, server, &suites, &upstream, progress).await;
        for problem in problems {
            tracing::info!(problem, "a Debian suite could not be asked");
        }
        releases.extend(offers.into_iter().filter_map(|offer| offer.release));
        found = way(pack, from, to, &releases);
    }
    let packages = Setup::packages(cluster);
    for release in found.unwrap_or_default() {
        let own = at_hand.iter().find(|artifact| artifact.release == release);
        if own.is_none_or(|artifact| !artifact.lacks(&packages).is_empty()) {
            from_debian_keeping(&setup.cache, pack, &release, &packages, progress).await?;
        }
    }
    if !packages.is_empty() {
        keep_way_back(setup, cluster, pack, from, progress).await?;
    }
    Ok(())
}

/// The packages of the release that runs are the way back: they are kept here from before anybody leaves it.
async fn keep_way_back(
    setup: &Setup,
    cluster: &Cluster,
    pack: &Pack,
    from: &Release,
    progress: OnProgress<'_>,
) -> Result<(), Problem> {
    // What cannot be had is the planner's to say.
    let Ok(artifact) = bring(setup, cluster, pack, from, progress).await else { return Ok(()) };
    let failed = |error: ArtifactError| no_artifact(&pack.pack, from, &[error.sentence()]);
    setup.cache.bring(&artifact).await.map_err(failed)?;
    setup.cache.remember(&artifact).map_err(failed)
}

/// One release with the packages that members are installed from: from the folders, the cache, or Debian.
pub async fn bring(
    setup: &Setup,
    cluster: &Cluster,
    pack: &Pack,
    release: &Release,
    progress: OnProgress<'_>,
) -> Result<ArtifactRef, Problem> {
    let packages = Setup::packages(cluster);
    let at_hand =
        setup.artifacts_of(cluster).into_iter().find(|artifact| artifact.release == *release);
    let lacks = |artifact: &ArtifactRef| !artifact.lacks(&packages).is_empty();
    match at_hand {
        Some(artifact) if !lacks(&artifact) => Ok(artifact),
        // Its programs are enough for a copy of the data; a plan that needs its packages says so.
        Some(artifact) => {
            let kept = from_debian_keeping(&setup.cache, pack, release, &packages, progress).await;
            Ok(kept.unwrap_or(artifact))
        }
        None => from_debian_keeping(&setup.cache, pack, release, &packages, progress).await,
    }
}

/// One release from Debian, into the cache.
pub async fn from_debian(
    cache: &Cache,
    pack: &Pack,
    release: &Release,
    progress: OnProgress<'_>,
) -> Result<ArtifactRef, Problem> {
    from_debian_keeping(cache, pack, release, &[], progress).await
}

/// One release from Debian, into the cache, with the files of these packages.
async fn from_debian_keeping(
    cache: &Cache,
    pack: &Pack,
    release: &Release,
    keep: &[String],
    progress: OnProgress<'_>,
) -> Result<ArtifactRef, Problem> {
    let request = DebianRequest {
        pack: pack.pack.clone(),
        release: release.clone(),
        suites: SUITES.iter().take(RELEASED).map(|suite| (*suite).to_owned()).collect(),
        packages: pack.scheme.debian_packages.clone(),
        binaries: pack.scheme.binaries.clone(),
        keep: keep.to_vec(),
    };
    let upstream = |version: &str| pack.upstream(version);
    debian::fetch(cache, &request, &upstream, progress)
        .await
        .map_err(|error| no_artifact(&pack.pack, release, &[error.sentence()]))
}

/// One release from an address, into the cache; its SHA-256 must be known beforehand.
pub async fn from_web(
    setup: &Setup,
    pack: &Pack,
    release: &Release,
    url: &str,
    sha256: &str,
    progress: OnProgress<'_>,
) -> Result<ArtifactRef, Problem> {
    let digest = sha256.to_ascii_lowercase();
    if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Problem::new(
            NO_ARTIFACT,
            format!("`{sha256}` is no SHA-256: 64 hexadecimal digits are expected"),
        ));
    }
    let request = WebRequest {
        pack: pack.pack.clone(),
        release: release.clone(),
        url: url.to_owned(),
        sha256: Digest::new(digest),
        binaries: pack.scheme.binaries.clone(),
    };
    let says = async |server: PathBuf| says_its_release(pack, &server, release).await;
    web::fetch(&setup.cache, &request, progress, says).await.map_err(|error| {
        let mut problem = Problem::new(NO_ARTIFACT, error.sentence());
        problem.hints.extend(error.hint());
        problem
    })
}

/// Asks a fetched server for its version, when it can run on this machine. One for another machine is asked where it is
/// staged.
async fn says_its_release(pack: &Pack, server: &Path, wanted: &Release) -> Result<(), String> {
    let args = &pack.scheme.version_args;
    let runs_here = program::look(server).is_ok_and(|(program, size)| {
        program::objection(&program, size, std::env::consts::ARCH).is_none()
    });
    if args.is_empty() || !runs_here {
        return Ok(());
    }
    let said = asks_version(&LocalTransport, server, args).await.into_result()?;
    match pack.release_said(&said) {
        Some(release) if release == *wanted => Ok(()),
        Some(release) => Err(format!("it is {release}, not {wanted}: it was not kept")),
        None => Err(format!(
            "it does not say which release it is: {}",
            said.lines().next().unwrap_or_default()
        )),
    }
}

/// The releases of the way, when there is one over these.
fn way(pack: &Pack, from: &Release, to: &Release, at_hand: &[Release]) -> Option<Vec<Release>> {
    let request = PathRequest { available: Some(at_hand), ..PathRequest::on_paper(from, to) };
    let answer = path(pack, &request);
    (answer.outcome == PathOutcome::Path)
        .then(|| answer.hops.into_iter().map(|hop| hop.to).collect())
}
