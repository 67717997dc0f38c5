//! Clusters of plain processes and whole machines on this machine, to try things on.

use super::artifacts::from_debian;
use crate::{
    problem::{BAD_STATE, FILE, LAB, Problem},
    setup::unknown_pack,
};
use quorate_hosts::{
    artifacts::{Cache, Catalog, OnProgress},
    lab::{
        self, Lab, LabError, LabSpec, Registry,
        machines::{self, Machines, MachinesSpec},
    },
};
use quorate_model::{NodeName, PackName, Release};
use quorate_packs::Packs;
use quorate_transport::LocalTransport;
use std::path::{Path, PathBuf};

pub use quorate_hosts::lab::{
    Damage, Down, Fault, LabSeen,
    machines::{DATA_MB_DEFAULT, Debian, Seed},
};

/// What is wanted.
#[derive(Debug, Clone)]
pub struct LabRequest {
    /// The product.
    pub pack: PackName,
    /// The release to begin with.
    pub release: Release,
    /// Members.
    pub members: u32,
    /// Clients that belong to the cluster, where the product has some.
    pub clients: u32,
    /// The cluster's name.
    pub name: String,
    /// The folder to make.
    pub dir: PathBuf,
    /// With TLS and client certificates.
    pub tls: bool,
    /// With a user and a password.
    pub auth: bool,
    /// Keys to write through the v2 API.
    pub v2_keys: u32,
    /// Arguments added to every member.
    pub extra_args: Vec<String>,
    /// Folders of artifacts.
    pub artifacts: Vec<PathBuf>,
    /// Where fetched releases are kept; in the lab's own state when left out.
    pub cache: Option<PathBuf>,
}

/// What is wanted of whole machines.
#[derive(Debug, Clone)]
pub struct MachinesRequest {
    /// The release of Debian, `bookworm`.
    pub release: String,
    /// How many.
    pub count: u32,
    /// The lab's name.
    pub name: String,
    /// The folder to make.
    pub dir: PathBuf,
    /// Megabytes of each data volume.
    pub data_mb: u32,
    /// With a second user, whose sudo asks for a password.
    pub asks: bool,
    /// Debian packages beside the usual ones.
    pub packages: Vec<String>,
}

/// Boots whole machines and gives what is needed to reach them.
pub async fn up_machines(
    request: &MachinesRequest,
    progress: OnProgress<'_>,
) -> Result<Machines, Problem> {
    let seed = Seed::default();
    let spec = MachinesSpec {
        name: request.name.clone(),
        dir: request.dir.clone(),
        release: request.release.parse().map_err(problem)?,
        count: request.count,
        data_mb: request.data_mb,
        packages: request.packages.clone(),
        seed: if request.asks { seed.with_asks() } else { seed },
    };
    let bases = shared_cache().join("bases");
    machines::up(&bases, &Registry::of_user(), &spec, progress).await.map_err(problem)
}

/// Makes a cluster, writes its fleet file, and gives the file's path.
pub async fn up(request: &LabRequest, progress: OnProgress<'_>) -> Result<(Lab, PathBuf), Problem> {
    let packs = Packs::builtin();
    let pack =
        packs.get(&request.pack).ok_or_else(|| unknown_pack(packs, request.pack.as_str()))?;
    let dir = std::path::absolute(&request.dir).unwrap_or_else(|_| request.dir.clone());
    let cache_dir = request.cache.clone().unwrap_or_else(shared_cache);
    let cache =
        Cache::open(cache_dir).map_err(|error| Problem::new(BAD_STATE, error.sentence()))?;
    let catalog = Catalog::scan(&request.artifacts);
    let artifact = match catalog
        .find(&request.pack, &request.release)
        .cloned()
        .or_else(|| cache.known(&request.pack, &request.release))
    {
        Some(artifact) => artifact,
        None => from_debian(&cache, pack, &request.release, progress).await?,
    };
    let spec = LabSpec {
        name: request.name.clone(),
        dir: dir.clone(),
        members: request.members,
        clients: request.clients,
        tls: request.tls,
        auth: request.auth,
        v2_keys: request.v2_keys,
        extra_args: request.extra_args.clone(),
        artifact,
    };
    let mut lab = lab::up(&LocalTransport, &cache, &Registry::of_user(), &spec, progress)
        .await
        .map_err(problem)?;
    lab.fleet.artifacts.extend(
        request
            .artifacts
            .iter()
            .map(|dir| std::path::absolute(dir).unwrap_or_else(|_| dir.clone())),
    );
    let file = dir.join("fleet.yaml");
    let text = quorate_inventory::write_fleet(&lab.fleet);
    std::fs::write(&file, text).map_err(|error| {
        Problem::new(FILE, format!("cannot write {}", file.display())).because(error.to_string())
    })?;
    Ok((lab, file))
}

/// Removes a cluster by its name: only what its own state file names is stopped.
pub async fn down(name: &str) -> Result<Down, Problem> {
    let registry = Registry::of_user();
    let dir = dir_of(name).await?;
    lab::down(&LocalTransport, &registry, &dir).await.map_err(problem)
}

/// Every cluster that was made, and what could not be read of the others.
pub async fn list() -> (Vec<LabSeen>, Vec<String>) {
    lab::list(&LocalTransport, &Registry::of_user()).await
}

/// Breaks something on purpose; says what was done.
pub async fn fault(name: &str, node: &str, fault: &Fault) -> Result<String, Problem> {
    let dir = dir_of(name).await?;
    lab::fault(&LocalTransport, &dir, &NodeName::new(node), fault).await.map_err(problem)
}

/// Where fetched releases are kept for every lab and demo of this user.
pub fn shared_cache() -> PathBuf {
    let env =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    env("XDG_CACHE_HOME")
        .or_else(|| env("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("quorate")
}

/// The folder of a lab, by its name or by that folder itself.
pub async fn dir_of(name: &str) -> Result<PathBuf, Problem> {
    let given = Path::new(name);
    if given.is_dir() && given.components().count() > 1 {
        return Ok(given.to_owned());
    }
    let (labs, _) = list().await;
    labs.iter().find(|lab| lab.name == name).map(|lab| lab.dir.clone()).ok_or_else(|| {
        let known: Vec<&str> = labs.iter().map(|lab| lab.name.as_str()).collect();
        let known = if known.is_empty() {
            "there is none".to_owned()
        } else {
            format!("there are: {}", known.join(", "))
        };
        Problem::new(LAB, format!("there is no lab `{name}`")).hint(known)
    })
}

fn problem(error: LabError) -> Problem {
    let hint = error.hint();
    let mut problem = Problem::new(LAB, error.to_string());
    problem.hints.extend(hint);
    let mut cause = std::error::Error::source(&error);
    while let Some(one) = cause {
        problem = problem.because(one.to_string());
        cause = one.source();
    }
    problem
}
