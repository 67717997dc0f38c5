//! Real etcd clusters to measure on: three members on this machine, gone when the bed is dropped.
//!
//! Releases come from `QUORATE_ARTIFACTS` (laid out `DIR/etcd/<release>/<binary>`), else through the machine's own apt.

use quorate_hosts::artifacts::silent;
use quorate_model::Seq;
use quorate_model::{Cluster, Plan, Policy, Recorded, Release};
use quorate_packs::Packs;
use quorate_report::{Report, json};
use quorate_runner::{
    Cache,
    ops::{
        artifacts::from_debian,
        lab::{self, LabRequest, shared_cache},
        plan::{Made, PlanOptions, make},
        release::release,
        run::{CarryOptions, begin, prepare, verdict},
    },
    setup::{Setup, SetupOptions},
};
use serde_json::Value;
use std::{
    fmt::Display,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use tokio::runtime::Runtime;

/// Beds of this process, so that each has a name of its own.
static COUNT: AtomicU32 = AtomicU32::new(1);

/// A cluster.
pub(crate) struct Bed {
    pub(crate) runtime: Runtime,
    pub(crate) setup: Setup,
    name: String,
    _folder: tempfile::TempDir,
}

/// Folders of artifacts given by the environment.
pub(crate) fn folders() -> Vec<PathBuf> {
    std::env::var_os("QUORATE_ARTIFACTS").map(PathBuf::from).into_iter().collect()
}

pub(crate) fn said(problem: impl Display) -> String {
    problem.to_string()
}

/// Makes these releases be at hand, so that no measured time holds a download.
async fn fetch(releases: &[&str]) -> Result<(), String> {
    if !folders().is_empty() {
        return Ok(());
    }
    let pack = Packs::builtin().get(&"etcd".into()).ok_or("the etcd pack is missing")?;
    let cache = Cache::open(shared_cache()).map_err(said)?;
    for text in releases {
        let wanted: Release = release(text).map_err(said)?;
        if cache.known(&pack.pack, &wanted).is_none() {
            from_debian(&cache, pack, &wanted, &silent).await.map_err(said)?;
        }
    }
    Ok(())
}

impl Bed {
    /// Three members at the first of these releases, the others at hand.
    pub(crate) fn up(releases: &[&str]) -> Result<Self, String> {
        let runtime = Runtime::new().map_err(said)?;
        let folder = tempfile::Builder::new().prefix("quorate-bench-").tempdir().map_err(said)?;
        let name =
            format!("bench-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let first = releases.first().ok_or("a cluster needs a release")?;
        let request = LabRequest {
            pack: "etcd".into(),
            release: release(first).map_err(said)?,
            members: 3,
            name: name.clone(),
            dir: folder.path().join("lab"),
            tls: false,
            auth: false,
            clients: 0,
            v2_keys: 0,
            extra_args: Vec::new(),
            artifacts: folders(),
            cache: Some(shared_cache()),
        };
        let (_, fleet) = runtime.block_on(async {
            fetch(releases).await?;
            lab::up(&request, &silent).await.map_err(said)
        })?;
        let options = SetupOptions {
            fleet: Some(fleet),
            state: Some(folder.path().join("state")),
            artifacts: folders(),
            cache: Some(shared_cache()),
            ..SetupOptions::default()
        };
        let setup = Setup::open(&options).map_err(said)?;
        Ok(Self { runtime, setup, name, _folder: folder })
    }

    /// The cluster as declared.
    pub(crate) fn cluster(&self) -> Result<&Cluster, String> {
        self.setup.cluster(&self.name).map_err(said)
    }

    /// Upgrades as `quorate upgrade` does, with a changed policy, and gives the report's document.
    pub(crate) fn upgrade(
        &self,
        to: &str,
        probed: bool,
        change: impl FnOnce(&mut Policy),
    ) -> Result<Value, String> {
        self.carry(to, None, probed, change)
            .map(|(plan, journal)| json(&Report::fold(&plan, &journal), None))
    }

    /// Leads it through a change of the form of its data, on the release that runs, and gives the journal.
    pub(crate) fn convert(
        &self,
        on: &str,
        name: &str,
        change: impl FnOnce(&mut Policy),
    ) -> Result<Vec<Recorded>, String> {
        self.carry(on, Some(name.to_owned()), false, change).map(|(_, journal)| journal)
    }

    fn carry(
        &self,
        to: &str,
        convert: Option<String>,
        probed: bool,
        change: impl FnOnce(&mut Policy),
    ) -> Result<(Arc<Plan>, Vec<Recorded>), String> {
        let cluster = self.cluster()?;
        let mut policy = cluster.policy.clone();
        change(&mut policy);
        let to = release(to).map_err(said)?;
        self.runtime.block_on(async {
            let options =
                PlanOptions { policy: Some(policy), parent: None, convert, progress: &silent };
            let Made::Plan(plan) = make(&self.setup, cluster, &to, options).await.map_err(said)?
            else {
                return Err(format!("the cluster runs {to} already"));
            };
            prepare(&self.setup, &plan, |_, _| {}).await.map_err(said)?;
            let carry = CarryOptions { yes: true, no_probe: !probed, ..CarryOptions::default() };
            let mut carried = begin(&self.setup, *plan, &carry).await.map_err(said)?;
            while carried.events.recv().await.is_some() {}
            let ending = carried.work.await.map_err(said)?.map_err(said)?;
            verdict(&carried.run, ending).map_err(said)?;
            let journal = self.setup.store.journal(&carried.run, Seq(0)).map_err(said)?;
            if std::env::var_os("QUORATE_BENCH_JOURNAL").is_some() {
                for recorded in &journal {
                    eprintln!("{}", serde_json::to_string(recorded).unwrap_or_default());
                }
            }
            Ok((carried.plan.clone(), journal))
        })
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if let Err(problem) = self.runtime.block_on(lab::down(&self.name)) {
            eprintln!("warning: cluster {} could not be taken down: {problem}", self.name);
        }
    }
}
