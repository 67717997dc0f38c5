//! Getting releases: what a way needs and is not in the folders comes from Debian suites, through the machine's own apt.

use crate::{
    problem::{NO_ARTIFACT, Problem},
    setup::{Setup, no_artifact},
};
use quorate_hosts::{
    artifacts::{
        Cache, DebianRequest, OnProgress, WebRequest,
        debian::{self, SUITES},
        web,
    },
    swap::{asks_version, program},
};
use quorate_model::{ArtifactRef, Digest, Release};
use quorate_packs::Pack;
use quorate_planner::{PathOutcome, PathRequest, path};
use quorate_transport::LocalTransport;
use std::path::{Path, PathBuf};

/// Suites that are released: their packages stay what they are. Unreleased ones move under our feet.
const RELEASED: usize = 3;

/// Makes the releases of the way between two releases be at hand, as far as Debian has them. What cannot be had is left
/// to the planner, which says what is missing.
pub async fn bring_way(
    setup: &Setup,
    pack: &Pack,
    from: &Release,
    to: &Release,
    progress: OnProgress<'_>,
) -> Result<(), Problem> {
    let mut at_hand: Vec<Release> =
        setup.artifacts(&pack.pack).into_iter().map(|artifact| artifact.release).collect();
    if way(pack, from, to, &at_hand).is_some() && at_hand.contains(to)
        || pack.scheme.debian_packages.is_empty()
    {
        return Ok(());
    }
    let suites: Vec<String> =
        SUITES.iter().take(RELEASED).map(|suite| (*suite).to_owned()).collect();
    let Some(server) = pack.scheme.debian_packages.first() else { return Ok(()) };
    let upstream = |version: &str| pack.upstream(version);
    let (offers, problems) =
        debian::offers(&setup.cache, server, &suites, &upstream, progress).await;
    for problem in problems {
        tracing::info!(problem, "a Debian suite could not be asked");
    }
    at_hand.extend(offers.into_iter().filter_map(|offer| offer.release));
    for release in way(pack, from, to, &at_hand).unwrap_or_default() {
        if setup.artifact(&pack.pack, &release).is_none() {
            from_debian(&setup.cache, pack, &release, progress).await?;
        }
    }
    Ok(())
}

/// One release, from the folders, the cache, or Debian.
pub async fn bring(
    setup: &Setup,
    pack: &Pack,
    release: &Release,
    progress: OnProgress<'_>,
) -> Result<ArtifactRef, Problem> {
    match setup.artifact(&pack.pack, release) {
        Some(artifact) => Ok(artifact),
        None => from_debian(&setup.cache, pack, release, progress).await,
    }
}

/// One release from Debian, into the cache.
pub async fn from_debian(
    cache: &Cache,
    pack: &Pack,
    release: &Release,
    progress: OnProgress<'_>,
) -> Result<ArtifactRef, Problem> {
    let request = DebianRequest {
        pack: pack.pack.clone(),
        release: release.clone(),
        suites: SUITES.iter().take(RELEASED).map(|suite| (*suite).to_owned()).collect(),
        packages: pack.scheme.debian_packages.clone(),
        binaries: pack.scheme.binaries.clone(),
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
