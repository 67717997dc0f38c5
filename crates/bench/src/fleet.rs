//! `plan_fleet`: ten thousand etcd clusters of three, each planned over two hops and proved, on every core.
//!
//! The fleet (declared and seen) is made first and held in memory, as a controller holds it; the clock covers planning and
//! proving. A plan is dropped once proved: it belongs in the store. The work is done in a child, whose peak memory is the
//! figure.

use crate::{
    Measured,
    figure::{Figure, median},
    machine,
};
use quorate_model::{
    ArtifactFile, ArtifactRef, ArtifactSource, Cluster, Digest, Host, Node, NodeObservation,
    Observation, Policy, ProcessSpec, Reach, Release, Role, ServiceSpec, Setting, SettingSource,
};
use quorate_packs::{Pack, Packs};
use quorate_planner::{Measured as StepTimes, PlanRequest, Planned, plan};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

/// The word that makes this program the child.
pub(crate) const CHILD: &str = "plan-fleet-child";
const CLUSTERS: usize = 10_000;
const MEMBERS: usize = 3;
const RUNS: usize = 5;
const SECS_BAR: f64 = 2.0;
const MEMORY_BAR_MB: f64 = 500.0;

pub(crate) fn measure() -> Measured {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let (mut secs, mut memory, mut steps) = (Vec::new(), Vec::new(), Value::Null);
    for _ in 0..RUNS {
        let output = Command::new(&own).arg(CHILD).output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let said: Value =
            serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
        secs.push(said["secs"].as_f64().ok_or("the child told no time")?);
        memory.push(said["memory_mb"].as_f64().ok_or("the child told no memory")?);
        steps = said["steps"].clone();
    }
    let cores = cores();
    let time = Figure::at_most("plan_fleet", median(&secs), "s", SECS_BAR)
        .over(&secs)
        .with("clusters", CLUSTERS)
        .with("steps_each", steps)
        .with("cores", cores)
        .with("load", machine::load());
    Ok(vec![
        time,
        Figure::at_most("plan_fleet_memory", median(&memory), "MB", MEMORY_BAR_MB).over(&memory),
    ])
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The child: plans everything and prints how long it took.
pub(crate) fn child() -> ExitCode {
    match work() {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(because) => {
            eprintln!("{because}");
            ExitCode::FAILURE
        }
    }
}

struct Declared {
    cluster: Cluster,
    seen: Observation,
}

fn work() -> Result<Value, String> {
    let pack = Packs::builtin().get(&"etcd".into()).ok_or("the etcd pack is missing")?;
    let (from, to) = (release("3.3.25")?, release("3.5.16")?);
    let artifacts = [&from, &release("3.4.23")?, &to].map(artifact);
    let fleet: Vec<Declared> = (0..CLUSTERS).map(|number| declared(number, &from)).collect();
    let began = Instant::now();
    let share = CLUSTERS.div_ceil(cores());
    let steps: Vec<Result<usize, String>> = std::thread::scope(|scope| {
        let threads: Vec<_> = fleet
            .chunks(share)
            .map(|part| {
                scope.spawn(|| part.iter().map(|one| prove(pack, one, &to, &artifacts)).sum())
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err("a thread ended early".into())))
            .collect()
    });
    let secs = began.elapsed().as_secs_f64();
    let steps: usize = steps.into_iter().sum::<Result<usize, String>>()?;
    let memory = machine::memory_peak_mb(std::process::id()).ok_or("the kernel tells no memory")?;
    Ok(json!({ "secs": secs, "memory_mb": memory, "steps": steps / CLUSTERS }))
}

/// Plans one cluster and proves the plan; gives the number of its steps.
fn prove(
    pack: &Pack,
    one: &Declared,
    to: &Release,
    artifacts: &[ArtifactRef],
) -> Result<usize, String> {
    let measured = StepTimes::new();
    let request = PlanRequest {
        cluster: &one.cluster,
        pack,
        observation: &one.seen,
        to,
        artifacts,
        measured: &measured,
        now: one.seen.taken_at,
        parent: None,
        state_files: &[],
        convert: None,
    };
    let Planned::Ready(plan) = plan(&request) else {
        return Err(format!("{} could not be planned: {:?}", one.cluster.name, plan(&request)));
    };
    let found = quorate_checker::check(&plan);
    match found.first() {
        None => Ok(plan.hops.iter().flat_map(|hop| &hop.waves).map(|wave| wave.steps.len()).sum()),
        Some(violation) => Err(format!("{} does not prove: {violation}", one.cluster.name)),
    }
}

fn release(text: &str) -> Result<Release, String> {
    text.parse().map_err(|error| format!("{error}"))
}

fn artifact(release: &Release) -> ArtifactRef {
    let file = |name: &str| ArtifactFile {
        name: name.into(),
        sha256: Digest::new(format!("{:0>64}", release.to_string().replace('.', "0"))),
        size_bytes: 20_000_000,
    };
    ArtifactRef {
        pack: "etcd".into(),
        release: release.clone(),
        source: ArtifactSource::Folder(format!("/artifacts/etcd/{release}").into()),
        files: vec![file("etcd"), file("etcdctl")],
    }
}

/// A healthy cluster with names, addresses and member ids of its own; another member leads in every third.
fn declared(number: usize, at: &Release) -> Declared {
    let name = format!("cluster-{number:05}");
    let words = |member: usize| words(&name, number, member);
    let nodes = (0..MEMBERS).map(|member| node(&name, member, words(member))).collect();
    let seen = (0..MEMBERS).map(|member| seen(&name, number, member, at, &words(member))).collect();
    let members: Vec<Value> = (0..MEMBERS)
        .map(|member| {
            json!({
                "name": format!("{name}-{member}"), "id": id(number, member), "learner": false,
                "peer_urls": [address(number, member, 2380)], "client_urls": [address(number, member, 2379)],
            })
        })
        .collect();
    let facts = [
        ("members", json!(members)),
        ("cluster_release", json!("3.3.0")),
        ("cluster_id", json!((number * 7919).to_string())),
        ("v2_content", json!(false)),
        ("auth", json!(false)),
    ];
    Declared {
        cluster: Cluster {
            name: name.as_str().into(),
            pack: "etcd".into(),
            environment: None,
            nodes,
            tls: None,
            auth: None,
            config: Vec::new(),
            dependants: Vec::new(),
            policy: Policy::default(),
        },
        seen: Observation {
            cluster: name.as_str().into(),
            pack: "etcd".into(),
            taken_at: jiff::Timestamp::UNIX_EPOCH,
            nodes: seen,
            facts: facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            findings: Vec::new(),
        },
    }
}

fn address(cluster: usize, member: usize, port: u16) -> String {
    format!("http://10.{}.{}.{}:{port}", cluster / 250, cluster % 250, member + 1)
}

fn id(cluster: usize, member: usize) -> String {
    (9_000_000_000_000_000_000_u64 + u64::try_from(cluster * 10 + member).unwrap_or(0)).to_string()
}

/// The arguments of a member.
fn words(name: &str, cluster: usize, member: usize) -> Vec<String> {
    let client = address(cluster, member, 2379);
    let peer = address(cluster, member, 2380);
    let all: Vec<String> = (0..MEMBERS)
        .map(|other| format!("{name}-{other}={}", address(cluster, other, 2380)))
        .collect();
    vec![
        format!("/opt/{name}-{member}/bin/etcd"),
        format!("--name={name}-{member}"),
        format!("--data-dir=/var/lib/{name}-{member}"),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster={}", all.join(",")),
        "--initial-cluster-state=new".into(),
        format!("--initial-cluster-token={name}"),
    ]
}

fn node(name: &str, member: usize, argv: Vec<String>) -> Node {
    let client = argv
        .iter()
        .find_map(|word| word.strip_prefix("--advertise-client-urls="))
        .unwrap_or_default()
        .to_owned();
    Node {
        name: format!("{name}-{member}").as_str().into(),
        group: "server".into(),
        host: Host::Local,
        endpoints: BTreeMap::from([("client".into(), client)]),
        data_dir: Some(format!("/var/lib/{name}-{member}").into()),
        service: Some(ServiceSpec::Process(ProcessSpec {
            argv,
            env: BTreeMap::new(),
            pid_file: format!("/run/{name}-{member}.pid").into(),
            log_file: format!("/var/log/{name}-{member}.log").into(),
            work_dir: None,
            grace: Duration::from_secs(30),
        })),
    }
}

fn seen(
    name: &str,
    cluster: usize,
    member: usize,
    at: &Release,
    argv: &[String],
) -> NodeObservation {
    let setting = |word: &String| {
        let (key, value) = word.split_once('=')?;
        Some(Setting { source: SettingSource::Flag, key: key.to_owned(), value: value.to_owned() })
    };
    let own = id(cluster, member);
    let leader = id(cluster, cluster % MEMBERS);
    let facts = [
        ("release", json!(at)),
        ("member_id", json!(own)),
        ("leader_id", json!(leader)),
        ("healthy", json!(true)),
        ("revision", json!(1000)),
        ("applied", json!(1200)),
        ("db_size_bytes", json!(20480)),
        ("cluster_release", json!("3.3.0")),
        ("v2_content", json!(false)),
    ];
    NodeObservation {
        reach: Reach::Reachable,
        release: Some(at.clone()),
        disk_release: Some(at.clone()),
        role: if own == leader { Role::Leader } else { Role::Follower },
        member_id: Some(own),
        voter: Some(true),
        healthy: Some(true),
        applied_index: Some(1200),
        lag: Some(0),
        store: Some("v3".into()),
        tls: Some(false),
        data_hash: Some("3735928559".into()),
        hash_revision: Some(1000),
        os: Some("debian 12".into()),
        settings: argv.iter().filter_map(setting).collect(),
        facts: facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        ..NodeObservation::unseen(format!("{name}-{member}").as_str().into(), "server".into(), "")
    }
}
