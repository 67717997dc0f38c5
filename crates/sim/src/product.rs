//! The simulated product: its pack, its releases, and the fleet file's view of a cluster of it.

use quorate_model::{
    ArtifactFile, ArtifactRef, ArtifactSource, Cluster, Digest, Host, Node, NodeName, PackName,
    Policy, ProcessSpec, Release, ServiceSpec, Share,
};
use quorate_packs::{Pack, Packs};
use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
    time::Duration,
};

/// The pack's name.
pub const PACK: &str = "simkv";
/// Every release of the product, oldest first.
const RELEASES: [&str; 5] = ["1.0.3", "1.1.2", "1.1.9", "1.2.4", "1.3.1"];

/// The group of members.
pub(crate) const SERVER: &str = "server";
/// The group of clients.
pub(crate) const CLIENT: &str = "client";

/// A release by its place in the product's history.
pub type Rel = usize;

/// What every run shares.
#[derive(Debug)]
pub struct Product {
    packs: Packs,
    /// Releases, oldest first.
    pub releases: Vec<Release>,
    /// Their artifacts.
    pub artifacts: Vec<ArtifactRef>,
}

static PRODUCT: LazyLock<Product> = LazyLock::new(Product::new);

impl Product {
    /// The product; compiled once.
    pub fn get() -> &'static Self {
        &PRODUCT
    }
    /// Its pack.
    pub fn pack(&self) -> &Pack {
        // The pack's own text is compiled in and loaded by a test of this crate.
        self.packs.get(&PackName::from(PACK)).expect("the simulated pack is compiled in")
    }
    /// The place of a release in the history.
    pub fn rel(&self, release: &Release) -> Option<Rel> {
        self.releases.iter().position(|known| known == release)
    }
    /// The line of a release, as a number that grows with it.
    pub fn line(&self, rel: Rel) -> u32 {
        self.releases.get(rel).and_then(|release| release.numbers().get(1)).copied().unwrap_or(0)
    }

    fn new() -> Self {
        let file = ("simkv/pack.yaml".to_owned(), include_str!("product.yaml").to_owned());
        let packs = Packs::load(&[file])
            .unwrap_or_else(|found| panic!("the simulated pack does not load: {found:?}"));
        let releases: Vec<Release> = RELEASES.iter().filter_map(|text| text.parse().ok()).collect();
        let artifacts =
            releases.iter().enumerate().map(|(rel, release)| artifact(rel, release)).collect();
        Self { packs, releases, artifacts }
    }
}

fn artifact(rel: Rel, release: &Release) -> ArtifactRef {
    ArtifactRef {
        pack: PACK.into(),
        release: release.clone(),
        source: ArtifactSource::Folder("artifacts".into()),
        files: vec![ArtifactFile {
            name: PACK.into(),
            sha256: Digest::new(format!("{:x}", rel + 1).repeat(64)),
            size_bytes: 1,
        }],
    }
}

/// The cluster as a fleet file would declare it.
pub fn declared(names: &[NodeName], clients: &[NodeName], policy: Policy) -> Cluster {
    let node = |(name, group): (&NodeName, &str)| Node {
        name: name.clone(),
        group: group.into(),
        host: Host::Local,
        endpoints: BTreeMap::new(),
        data_dir: None,
        service: Some(ServiceSpec::Process(ProcessSpec {
            argv: vec![PACK.into()],
            env: BTreeMap::new(),
            pid_file: "pid".into(),
            log_file: "log".into(),
            work_dir: None,
            grace: Duration::from_secs(1),
        })),
    };
    Cluster {
        name: "sim".into(),
        pack: PACK.into(),
        environment: None,
        nodes: names
            .iter()
            .map(|name| (name, SERVER))
            .chain(clients.iter().map(|name| (name, CLIENT)))
            .map(node)
            .collect(),
        tls: None,
        auth: None,
        config: Vec::new(),
        dependants: Vec::new(),
        policy,
    }
}

/// The limits that simulated runs are made under: short waits, so that many runs fit into a second.
pub fn policy() -> Policy {
    Policy {
        soak: Duration::from_secs(1),
        good_looks: 2,
        look_every: Duration::from_millis(500),
        rejoin_limit: Duration::from_secs(45),
        client_wave: Share::Percent(40),
        client_failure_budget: Share::Count(1),
        ..Policy::default()
    }
}

/// Names of clients: c1, c2 and so on.
pub fn client_names(count: usize) -> Vec<NodeName> {
    (1..=count).map(|i| NodeName(format!("c{i}"))).collect()
}

/// Names of members: m1, m2 and so on.
pub fn names(size: usize) -> Vec<NodeName> {
    (1..=size).map(|i| NodeName(format!("m{i}"))).collect()
}

/// A shared plan is read by engine, checkers and driver at once.
pub(crate) type SharedPlan = Arc<quorate_model::Plan>;
