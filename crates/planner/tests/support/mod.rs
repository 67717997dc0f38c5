//! Clusters that do not exist: shaped by a few words, so that a test shows only what it is about.

#![allow(dead_code, reason = "each test binary uses a part of this")]

use quorate_model::{
    ArtifactFile, ArtifactRef, ArtifactSource, Cluster, Digest, Host, Node, NodeObservation,
    Observation, Plan, Policy, ProcessSpec, Reach, Release, Role, ServiceSpec,
};
use quorate_packs::{Pack, Packs};
use quorate_planner::{
    Measured, PlanRequest, Planned,
    explain::{RunBook, run_book},
    plan,
};
use std::{collections::BTreeMap, path::Path, sync::LazyLock, time::Duration};

static PACKS: LazyLock<Packs> = LazyLock::new(|| {
    let text = include_str!("keeper.yaml");
    Packs::load(&[("keeper.yaml".into(), text.into())]).unwrap_or_else(|found| {
        panic!("{}", quorate_syntax::render(&found, text));
    })
});

/// The pack of a product that does not exist.
pub(crate) fn keeper() -> &'static Pack {
    PACKS.get(&"keeper".into()).unwrap()
}

/// A release by its text.
pub(crate) fn release(text: &str) -> Release {
    text.parse().unwrap()
}

/// The time at which all tests happen.
pub(crate) fn now() -> jiff::Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

/// A cluster, what was seen of it, and the releases at hand.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) seen: Observation,
    pub(crate) artifacts: Vec<ArtifactRef>,
    pub(crate) measured: Measured,
}

/// A healthy cluster of voters `a`, `b`, `c` ... at one release; the last one leads.
pub(crate) fn world(size: usize, at: &str) -> World {
    let names: Vec<String> = ('a'..='z').take(size).map(String::from).collect();
    let cluster = Cluster {
        name: "demo".into(),
        pack: "keeper".into(),
        environment: None,
        nodes: names.iter().map(|name| node(name)).collect(),
        tls: None,
        auth: None,
        config: Vec::new(),
        dependants: Vec::new(),
        policy: Policy { soak: Duration::ZERO, ..Policy::default() },
    };
    let mut nodes: Vec<NodeObservation> = names.iter().map(|name| seen(name, at)).collect();
    if let Some(last) = nodes.last_mut() {
        last.role = Role::Leader;
    }
    let facts = [("auth", false), ("old_format", false), ("converted", false)];
    let seen = Observation {
        cluster: "demo".into(),
        pack: "keeper".into(),
        taken_at: now(),
        nodes,
        facts: facts.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
        findings: Vec::new(),
    };
    let artifacts = ["1.0.0", "1.0.5", "1.1.9", "1.2.3", "1.3.1", "2.0.0"].map(artifact).to_vec();
    World { cluster, seen, artifacts, measured: Measured::new() }
}

/// The same with clients `c1`, `c2` ... beside it.
pub(crate) fn with_clients(mut world: World, count: usize) -> World {
    let at = world.seen.nodes[0].release.clone().unwrap().to_string();
    for name in (1..=count).map(|nth| format!("c{nth}")) {
        world.cluster.nodes.push(Node { group: "client".into(), ..node(&name) });
        world.seen.nodes.push(client(&name, &at));
    }
    world
}

/// A client that is well.
pub(crate) fn client(name: &str, at: &str) -> NodeObservation {
    NodeObservation {
        reach: Reach::Reachable,
        release: Some(release(at)),
        disk_release: Some(release(at)),
        role: Role::Client,
        voter: Some(false),
        healthy: Some(true),
        os: Some("debian 12".into()),
        ..NodeObservation::unseen(name.into(), "client".into(), "")
    }
}

fn node(name: &str) -> Node {
    Node {
        name: name.into(),
        group: "server".into(),
        host: Host::Local,
        endpoints: BTreeMap::from([("client".into(), format!("http://{name}:1"))]),
        data_dir: Some(format!("/data/{name}").into()),
        service: Some(ServiceSpec::Process(ProcessSpec {
            argv: vec![format!("/opt/{name}/keeper"), "--name".into(), name.into()],
            env: BTreeMap::new(),
            pid_file: format!("/run/{name}.pid").into(),
            log_file: format!("/log/{name}").into(),
            work_dir: None,
            grace: Duration::from_secs(30),
        })),
    }
}

fn seen(name: &str, at: &str) -> NodeObservation {
    NodeObservation {
        reach: Reach::Reachable,
        release: Some(release(at)),
        disk_release: Some(release(at)),
        member_id: Some(format!("id-{name}")),
        role: Role::Follower,
        voter: Some(true),
        healthy: Some(true),
        applied_index: Some(1000),
        lag: Some(0),
        data_hash: Some("h".into()),
        hash_revision: Some(7),
        os: Some("debian 12".into()),
        ..NodeObservation::unseen(name.into(), "server".into(), "")
    }
}

/// A release at hand.
pub(crate) fn artifact(at: &str) -> ArtifactRef {
    let digest = Digest::new(format!("{at:0>64}").replace('.', "0"));
    ArtifactRef {
        pack: "keeper".into(),
        release: release(at),
        source: ArtifactSource::Folder(format!("/artifacts/keeper/{at}").into()),
        files: vec![ArtifactFile { name: "keeper".into(), sha256: digest, size_bytes: 1 }],
    }
}

impl World {
    /// The run book of a plan for it.
    pub(crate) fn book(&self, pack: &Pack, plan: &Plan) -> String {
        let state_dir = Path::new("/srv/fleet/.quorate");
        let ssh = &quorate_model::SshSpec::default();
        run_book(&RunBook { plan, pack, cluster: &self.cluster, state_dir, ssh })
    }
    /// What was seen of a node.
    pub(crate) fn node(&mut self, name: &str) -> &mut NodeObservation {
        self.seen.nodes.iter_mut().find(|node| node.name.as_str() == name).unwrap()
    }
    /// The member's process is gone; its host answers.
    pub(crate) fn down(&mut self, name: &str) -> &mut NodeObservation {
        let node = self.node(name);
        node.reach = Reach::Unreachable("connection refused".into());
        (node.release, node.healthy, node.voter, node.lag, node.member_id) =
            (None, None, None, None, None);
        (node.data_hash, node.hash_revision) = (None, None);
        node.role = Role::Unknown;
        node
    }
    /// Adds arguments to a member's service.
    pub(crate) fn add_args(&mut self, name: &str, args: &[&str]) {
        let node = self.cluster.nodes.iter_mut().find(|node| node.name.as_str() == name).unwrap();
        let Some(ServiceSpec::Process(ProcessSpec { argv, .. })) = &mut node.service else {
            panic!("{name} has no service")
        };
        argv.extend(args.iter().map(|arg| (*arg).to_owned()));
    }
    /// Plans.
    pub(crate) fn plan(&self, to: &str) -> Planned {
        let to = release(to);
        plan(&PlanRequest {
            cluster: &self.cluster,
            pack: keeper(),
            observation: &self.seen,
            to: &to,
            artifacts: &self.artifacts,
            measured: &self.measured,
            now: now(),
            parent: None,
            state_files: &[],
            convert: None,
        })
    }
}
