//! T11: a release is staged on a hundred hosts over SSH at a time: checked there, nothing started or stopped, hosts that are away
//! listed, and a second time does nothing.
//!
//! Hosts are loopback's one sshd, programs are scripts that say a release: what is real is the way there and what lies there.
#![expect(clippy::unwrap_used, reason = "helpers of a test fail loudly, as the test itself does")]

#[path = "../../transport/tests/ssh/sshd.rs"]
#[allow(dead_code, reason = "not every test needs all that it can")]
mod sshd;

use quorate_model::{NodeObservation, Observation, Outcome, Plan, Reach, Release, Role};
use quorate_planner::{Measured, PlanRequest, Planned, plan};
use quorate_runner::{
    ops::run::prepare,
    problem::NOT_STAGED,
    setup::{Setup, SetupOptions},
};
use serde_json::json;
use sshd::Sshd;
use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

const HOSTS: usize = 100;
/// Of them.
const AWAY: [usize; 2] = [41, 97];
const FROM: &str = "3.4.23";
const TO: &str = "3.5.16";

/// A program of etcd, as far as staging asks it; long enough that half a copy is not a whole one.
fn program(path: &Path, release: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let padding = "#".repeat(300_000);
    let text = format!(
        "#!/bin/sh\ncase \"$1\" in serve) exec sleep 600 ;; esac\necho 'etcd Version: {release}'\n{padding}\n"
    );
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

struct Hosts {
    sshd: Sshd,
    services: Vec<Child>,
}

impl Hosts {
    fn up() -> Self {
        // A home of its own: the start-up file of whoever runs the test would be read hundreds of times.
        let sshd = Sshd::with("MaxStartups 1000\nSetEnv HOME=DIR\n");
        let config = fs::read_to_string(sshd.at("config")).unwrap();
        let away: String = AWAY.map(|away| format!("Host h{away}\n Port 1\n")).concat();
        fs::write(sshd.at("config"), format!("{away}{}", config.replace("Host box", "Host h*")))
            .unwrap();
        for release in [FROM, TO] {
            for name in ["etcd", "etcdctl", "etcdutl"] {
                program(&sshd.at("artifacts/etcd").join(release).join(name), release);
            }
        }
        let mut own = Self { sshd, services: Vec::new() };
        let mut fleet = format!(
            "schema: 1\nfleet: many\nssh: {{config: {}}}\nclusters:\n  - name: many\n    pack: etcd\n    defaults: {{sudo: false}}\n    nodes:\n",
            own.sshd.at("config").display()
        );
        for host in 1..=HOSTS {
            let live = own.folder(host).join("etcd");
            program(&live, FROM);
            let child = Command::new(&live).arg("serve").stdin(Stdio::null()).spawn().unwrap();
            fs::write(own.folder(host).join("pid"), child.id().to_string()).unwrap();
            own.services.push(child);
            let at = own.folder(host).display().to_string();
            writeln!(fleet, "      - {{name: n{host}, host: {{ssh: h{host}}}, endpoints: {{client: 'http://127.0.0.1:1'}}, service: {{kind: process, argv: [{at}/etcd, '--data-dir={at}/data'], pid_file: {at}/pid, log_file: {at}/log}}}}").unwrap();
        }
        fs::write(own.sshd.at("fleet.yaml"), fleet).unwrap();
        own
    }
    fn folder(&self, host: usize) -> PathBuf {
        self.sshd.at("hosts").join(host.to_string())
    }
    fn setup(&self) -> Setup {
        let options = SetupOptions {
            fleet: Some(self.sshd.at("fleet.yaml")),
            artifacts: vec![self.sshd.at("artifacts")],
            ..SetupOptions::default()
        };
        Setup::open(&options).unwrap()
    }
    /// What lies beside the live binary: names, inodes, and when it was last changed.
    fn staged(&self, host: usize) -> Vec<(String, u64, i64)> {
        let mut found = Vec::new();
        let mut open = vec![self.folder(host)];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                let seen = entry.metadata().unwrap();
                let name = entry.path().strip_prefix(self.folder(host)).unwrap().to_owned();
                found.push((name.display().to_string(), seen.ino(), seen.mtime_nsec()));
                if seen.is_dir() {
                    open.push(entry.path());
                }
            }
        }
        found.sort();
        found
    }
    fn all_run_on(&mut self) -> bool {
        self.services.iter_mut().all(|child| child.try_wait().unwrap().is_none())
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for child in &mut self.services {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn seen(host: usize, from: &Release) -> NodeObservation {
    let facts = [
        ("release", json!(from)),
        ("member_id", json!(host.to_string())),
        ("leader_id", json!("1")),
        ("healthy", json!(true)),
        ("cluster_release", json!("3.4.0")),
        ("v2_content", json!(false)),
    ];
    let name = format!("n{host}");
    NodeObservation {
        reach: Reach::Reachable,
        release: Some(from.clone()),
        disk_release: Some(from.clone()),
        role: if host == 1 { Role::Leader } else { Role::Follower },
        member_id: Some(host.to_string()),
        voter: Some(true),
        healthy: Some(true),
        applied_index: Some(1200),
        lag: Some(0),
        store: Some("v3".into()),
        data_hash: Some("3735928559".into()),
        hash_revision: Some(1000),
        facts: facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        ..NodeObservation::unseen(name.as_str().into(), "server".into(), "")
    }
}

fn planned(setup: &Setup) -> Box<Plan> {
    let cluster = setup.cluster("many").unwrap();
    let from: Release = FROM.parse().unwrap();
    let facts =
        [("cluster_release", json!("3.4.0")), ("v2_content", json!(false)), ("auth", json!(false))];
    let observation = Observation {
        cluster: cluster.name.clone(),
        pack: cluster.pack.clone(),
        taken_at: jiff::Timestamp::UNIX_EPOCH,
        nodes: (1..=HOSTS).map(|host| seen(host, &from)).collect(),
        facts: facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        findings: Vec::new(),
    };
    let request = PlanRequest {
        cluster,
        pack: &setup.pack(cluster).unwrap(),
        observation: &observation,
        to: &TO.parse().unwrap(),
        artifacts: &setup.artifacts(&cluster.pack),
        measured: &Measured::new(),
        now: observation.taken_at,
        parent: None,
        state_files: &[],
        convert: None,
    };
    match plan(&request) {
        Planned::Ready(plan) => plan,
        other => panic!("no plan: {other:?}"),
    }
}

/// Stages; gives what each step ended with, by its node, and what the whole ended with.
async fn staged(
    setup: &Setup,
    plan: &Plan,
) -> (BTreeMap<String, Outcome>, Result<(), quorate_runner::problem::Problem>) {
    let mut outcomes = BTreeMap::new();
    let done = prepare(setup, plan, |step, outcome| {
        outcomes.insert(step.node.as_ref().unwrap().to_string(), outcome.clone());
    });
    let done = done.await;
    (outcomes, done)
}

fn count(outcomes: &BTreeMap<String, Outcome>, note: &str) -> usize {
    let has = |outcome: &&Outcome| matches!(outcome, Outcome::Succeeded { note: Some(said) } if said.contains(note));
    outcomes.values().filter(has).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t11_a_hundred_hosts_are_staged_and_no_service_is_touched() {
    let mut hosts = Hosts::up();
    let setup = hosts.setup();
    let plan = planned(&setup);
    let before: Vec<_> = (1..=HOSTS).map(|host| hosts.staged(host)).collect();

    // The files changed after the plan was made: nobody gets them.
    let source = hosts.sshd.at("artifacts/etcd").join(TO).join("etcd");
    let good = fs::read(&source).unwrap();
    fs::write(&source, [good.as_slice(), b"# another one\n"].concat()).unwrap();
    let (outcomes, done) = staged(&setup, &plan).await;
    assert_eq!(done.unwrap_err().code, NOT_STAGED);
    assert_eq!(count(&outcomes, ""), 0, "{outcomes:?}");
    for host in 1..=HOSTS {
        let release = hosts.folder(host).join(format!("etcd_{TO}"));
        assert!(!release.exists(), "{} came from another file", release.display());
    }
    fs::write(&source, &good).unwrap();

    // A copy that was cut off lies on one of them.
    fs::write(hosts.folder(7).join(format!("etcd_{TO}")), &good[..1000]).unwrap();
    let (outcomes, done) = staged(&setup, &plan).await;
    let problem = done.unwrap_err();
    assert_eq!(problem.code, NOT_STAGED);
    assert_eq!(problem.causes.len(), AWAY.len(), "{:?}", problem.causes);
    for away in AWAY {
        let told = |cause: &&String| cause.contains(&format!("n{away}"));
        assert_eq!(problem.causes.iter().filter(told).count(), 1, "{:?}", problem.causes);
    }
    assert_eq!(count(&outcomes, "bytes copied"), HOSTS - AWAY.len(), "{outcomes:?}");
    let there = |host: &usize| !AWAY.contains(host);
    for host in (1..=HOSTS).filter(there) {
        let release = hosts.folder(host).join(format!("etcd_{TO}"));
        assert!(fs::read(&release).unwrap() == good, "{} is not whole", release.display());
        let live = before[host - 1].iter().filter(|(name, ..)| name == "etcd" || name == "pid");
        let now = hosts.staged(host);
        for file in live {
            assert!(now.contains(file), "{} of host {host} was touched", file.0);
        }
    }

    // A second time does nothing.
    let after: Vec<_> = (1..=HOSTS).map(|host| hosts.staged(host)).collect();
    let (outcomes, _) = staged(&setup, &plan).await;
    assert_eq!(count(&outcomes, "it was there already"), HOSTS - AWAY.len(), "{outcomes:?}");
    let again: Vec<_> = (1..=HOSTS).map(|host| hosts.staged(host)).collect();
    assert!(after == again, "something was written a second time");
    assert!(hosts.all_run_on(), "no service was stopped");
}
