//! T11 and T89 on a hundred Debian machines that run Consul's own agents as units of systemd: a release is staged on all of them over SSH,
//! checked there, no unit is touched, machines that are off are listed, and a second time does nothing. One command runs on
//! all of them, in waves, in order, within a limit. Then servers, and a wave of clients, are installed anew from what was staged, by an
//! ordinary user with sudo.

use quorate_e2e::{
    Bed,
    ask::started,
    machines::{MachineBed, with_consul},
    until,
    waves::{most_on_their_way, node_of},
};
use quorate_hosts::lab::{Fault, machines::Debian};
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Write, fs, time::Duration};

const MACHINES: u32 = 100;
const SERVERS: [&str; 3] = ["m1", "m2", "m3"];
/// Switched off after the plan was made.
const OFF: [u32; 2] = [41, 97];
/// Has another file under the release's name.
const DAMAGED: &str = "m7";
/// Three servers and these clients are the cluster that is rolled.
const ROLLED: u32 = 7;
/// A hundred agents find each other while a hundred machines finish their boot.
const SERVE_LIMIT: Duration = Duration::from_secs(180);

struct Hosts {
    bed: Bed,
    machines: MachineBed,
}

impl Hosts {
    fn up() -> Self {
        let machines = MachineBed::with(Debian::Bullseye, MACHINES, with_consul);
        let own = Self { bed: Bed::empty(), machines };
        fs::create_dir_all(own.bed.dir()).expect("a folder");
        own.declare(MACHINES);
        until(SERVE_LIMIT, "everybody is in gossip", || {
            let said = own.machines.ssh("m1", "consul members");
            said.out.lines().filter(|line| line.contains(" alive ")).count() == MACHINES as usize
        });
        own
    }
    /// Declares the first so many machines.
    fn declare(&self, count: u32) {
        let mut nodes = String::new();
        for number in 1..=count {
            let group = if number <= 3 { "server" } else { "client" };
            writeln!(nodes, "      - {{name: m{number}, group: {group}, host: {{ssh: quorate@m{number}}}, data_dir: /var/lib/consul, endpoints: {{client: 'http://127.0.0.1:8500', dns: 'http://127.0.0.1:8600'}}}}").expect("text");
        }
        let text = format!(
            "schema: 1
fleet: many
ssh: {{config: {}}}
clusters:
  - name: {}
    pack: consul
    environment: lab
    defaults:
      service: {{unit: consul.service, binary: /usr/bin/consul}}
    nodes:
{nodes}",
            self.machines.lab.ssh_config.display(),
            self.bed.name()
        );
        fs::write(self.bed.fleet(), text).expect("the fleet file");
    }
    /// What a command prints on every machine that answers, by machine.
    fn all_say(&self, line: &str) -> BTreeMap<String, String> {
        let mut words = vec!["--output", "json", "exec", "--keep-going", self.bed.name(), "--"];
        words.push(line);
        let said = self.bed.quorate(&words).json();
        let hosts = said["hosts"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().trim().to_owned();
        let bare = |name: String| name.rsplit('/').next().unwrap_or_default().to_owned();
        let done = hosts.iter().filter(|host| host["outcome"] == "ended");
        done.map(|host| (bare(text(&host["nodes"][0])), text(&host["stdout"]))).collect()
    }
    /// Files beside the live binary: name, inode, time of change.
    fn staged(&self) -> BTreeMap<String, String> {
        self.all_say("find /usr/bin /var/lib/quorate -name '*consul*' -printf '%p %i %C@ ' 2>/dev/null; true")
    }
    fn pids(&self) -> BTreeMap<String, String> {
        self.all_say("systemctl show -p MainPID,NRestarts --value consul")
    }
}

/// How many steps of what a command told have ended so.
fn count(told: &str, note: &str) -> usize {
    told.lines().filter(|line| line.contains(note)).count()
}

#[test]
fn t11_a_hundred_machines_are_staged_and_then_consul_rolls_over_ssh() {
    let hosts = Hosts::up();
    let plan = {
        let file = hosts.bed.scratch().join("plan.json").display().to_string();
        hosts.bed.quorate(&["plan", hosts.bed.name(), "--restart", "-o", &file]).expect(0);
        file
    };
    let away: Vec<String> = OFF.iter().map(|off| format!("m{off}")).collect();
    away.iter().for_each(|name| drop(hosts.machines.fault(name, &Fault::Kill)));
    let there = MACHINES as usize - OFF.len();
    let (pids, before) = (hosts.pids(), hosts.staged());
    assert_eq!((pids.len(), before.len()), (there, there), "{pids:?}");

    // On one of them lies another file under the release's name.
    hosts.machines.says(DAMAGED, "echo 'another one' | sudo tee /usr/bin/consul_1.8.7");
    let told = hosts.bed.quorate(&["prepare", &plan]);
    assert_ne!(told.code, 0, "two machines are off");
    for name in &away {
        assert!(told.err.contains(&format!("{name}:")), "{name} is not named: {}", told.err);
    }
    assert_eq!(count(&told.err, "bytes copied"), there, "{}", told.err);
    let sums = hosts.all_say("sha256sum </usr/bin/consul_1.8.7");
    let wanted = sums.values().next().cloned().unwrap_or_default();
    let live = hosts.machines.says("m1", "sha256sum </usr/bin/consul");
    assert!(wanted.len() > 60 && sums.len() == there, "{sums:?}");
    assert!(sums.values().all(|sum| *sum == live), "the release's own file everywhere: {sums:?}");
    let after = hosts.staged();
    let again = hosts.bed.quorate(&["prepare", &plan]);
    assert_eq!(count(&again.err, "it was there already"), there, "{}", again.err);
    assert_eq!(hosts.staged(), after, "nothing was written a second time");
    assert_eq!(hosts.pids(), pids, "no unit was stopped or started");

    fan_out(&hosts);
    roll(&hosts, &pids);
}

/// T89: one command on all of them, in waves, in order, with a limit; two machines are off.
fn fan_out(hosts: &Hosts) {
    let exec = |words: &[&str], selector: &str, line: &str| -> Vec<Value> {
        let nodes = format!("{}{selector}", hosts.bed.name());
        let all = [&["--output", "json", "exec"], words, &[nodes.as_str(), "--", line]].concat();
        let said = hosts.bed.quorate(&all);
        assert_ne!(said.code, 0, "somebody failed or is away: {}", said.out);
        said.json()["hosts"].as_array().cloned().unwrap_or_default()
    };
    let is = |wanted: &'static str| move |host: &&Value| host["outcome"] == wanted;

    // All machines have the clock of one kernel.
    let began_and_ended = "date +%s%N; sleep 0.2; date +%s%N";
    let waves = exec(&["--share", "10%", "--keep-going", "--retries", "1"], "", began_and_ended);
    let mut moments: Vec<(u64, bool)> = Vec::new();
    for host in waves.iter().filter(is("ended")) {
        let text = host["stdout"].as_str().unwrap_or_default();
        let at: Vec<u64> = text.lines().map(|line| line.parse().expect("a moment")).collect();
        moments.extend([(at[0], true), (at[1], false)]);
    }
    moments.sort_unstable();
    let (mut now, mut most) = (0_usize, 0);
    for (_, begins) in &moments {
        now = if *begins { now + 1 } else { now - 1 };
        most = most.max(now);
    }
    // A tenth of 97 clients and of three servers.
    assert!((2..=10).contains(&most), "{most} at the same time");
    assert_eq!(moments.len(), 2 * (MACHINES as usize - OFF.len()));
    let away: Vec<_> =
        waves.iter().filter(is("not-reached")).map(|host| &host["attempts"]).collect();
    assert_eq!(away, [2, 2], "those that are off were tried twice");

    let third = exec(&["--serial", "--on-failure", "hostname"], "", "[ $(hostname) != m3 ]");
    let count = |wanted| third.iter().filter(is(wanted)).count();
    assert_eq!((count("ended"), count("not-begun")), (3, MACHINES as usize - 3));
    assert_eq!(
        (&third[2]["status"], &third[2]["on_failure"]["stdout"]),
        (&1.into(), &"m3\n".into())
    );

    let slow = exec(&["--limit", "3", "--keep-going"], "/m?", "[ $(hostname) != m5 ] || sleep 60");
    let late: Vec<_> = slow.iter().filter(is("unknown")).map(|host| &host["nodes"][0]).collect();
    assert_eq!(late, [&Value::from(format!("{}/m5", hosts.bed.name()))]);
    assert_eq!(slow.iter().filter(is("ended")).count(), 8);
}

/// Servers first, one by one, then clients in waves, over SSH; the other machines are another operator's.
fn roll(hosts: &Hosts, before: &BTreeMap<String, String>) {
    hosts.declare(ROLLED);
    hosts.bed.limit(&["soak_secs: 0", "baseline_secs: 1", "client_wave: 4"]);
    hosts.bed.quorate(&["upgrade", hosts.bed.name(), "--restart", "--yes"]).expect(0);
    let journal = hosts.bed.journal();
    let stops: Vec<String> = started(&journal)
        .iter()
        .filter(|step| step.ends_with(".stop"))
        .map(|step| node_of(step).to_owned())
        .collect();
    assert_eq!(stops.len(), ROLLED as usize, "{stops:?}");
    assert!(stops.iter().take(3).all(|node| SERVERS.contains(&node.as_str())), "{stops:?}");
    let clients = most_on_their_way(&journal, |node| !SERVERS.contains(&node));
    assert!((2..=4).contains(&clients), "clients move beside each other");
    let report = hosts.bed.report();
    assert_eq!(report["outcome"], "succeeded");
    assert_eq!(report["client"]["writes_lost"], 0, "{}", report["client"]);
    assert!(report["client"]["writes_acked"].as_u64() > Some(100), "{}", report["client"]);
    hosts.declare(MACHINES);
    for (node, pid) in hosts.pids() {
        let number: u32 = node.trim_start_matches('m').parse().expect("a number");
        assert_eq!(
            pid != before[&node],
            number <= ROLLED,
            "{node}: {pid}, before {}",
            before[&node]
        );
    }
}
