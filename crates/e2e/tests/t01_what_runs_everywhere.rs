//! T01: etcd 3.3.25 on whole machines, etcd 3.4.23, and Consul with twenty clients: one command lists them all, and a host that
//! is switched off is listed as unreachable, never left out.

use quorate_e2e::{Bed, CONSUL, Said, hosts::HostBed};
use quorate_hosts::lab::Fault;
use serde_json::Value;
use std::{collections::BTreeSet, fs, process::Command};

const CLIENTS: usize = 20;

/// The cluster of another fleet file, as it stands there.
fn cluster_of(bed: &Bed) -> String {
    let text = fs::read_to_string(bed.fleet()).expect("a fleet file");
    let (_, clusters) = text.split_once("\nclusters:\n").expect("clusters");
    clusters.to_owned()
}

fn look(said: &Said, name: &str) -> Value {
    let all = said.json();
    let clusters = all["clusters"].as_array().expect("clusters").iter();
    let own = clusters.filter(|cluster| cluster["name"] == name).collect::<Vec<_>>();
    assert_eq!(own.len(), 1, "{name} once: {all}");
    own[0].clone()
}

fn nodes(cluster: &Value) -> Vec<&Value> {
    cluster["nodes"].as_array().expect("nodes").iter().collect()
}

/// What every field of every node that answers must say.
fn told(cluster: &Value, release: &str, os: &str) {
    let name = &cluster["name"];
    for node in nodes(cluster) {
        assert_eq!(node["reachable"], true, "{name}: {node}");
        assert_eq!(node["release"], release, "{name}: {node}");
        assert_eq!(node["disk_release"], release, "{name}: {node}");
        assert!(node["os"].as_str().is_some_and(|said| said.starts_with(os)), "{name}: {node}");
        assert_eq!(node["tls"], false, "{name}: {node}");
        assert!(node["config_digest"].as_str().is_some_and(|d| d.len() > 12), "{name}: {node}");
        assert!(node["process"]["started_at"].is_string(), "{name}: {node}");
    }
    let leaders = nodes(cluster).into_iter().filter(|node| node["role"] == "leader").count();
    assert_eq!(leaders, 1, "{name} has one leader: {cluster}");
}

/// The catalog of Consul is an inventory: every agent is a host, servers by their service.
fn catalog(consul: &Bed) {
    let text = fs::read_to_string(consul.fleet()).expect("a fleet file");
    let url =
        text.lines().find_map(|line| line.trim().strip_prefix("client: ")).expect("an address");
    let file = consul.scratch().join("catalog.yaml");
    let source = |more: &str| {
        format!(
            "schema: 1\nfleet: shops\ninventory:\n  - {{name: catalog, consul: {{address: {url}{more}}}}}\nclusters: []\n"
        )
    };
    for (more, count) in [("", CLIENTS + 3), (", service: consul", 3)] {
        fs::write(&file, source(more)).expect("a fleet file");
        let mut command = Command::new(quorate_e2e::binary());
        command.arg("--fleet").arg(&file).args(["inventory", "--hosts"]);
        let output = command.output().expect("quorate runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(said.lines().count(), count, "{more}: {said}");
    }
}

/// A command on every host as root and as who logs in, grouped by what they said.
fn as_root_and_not(hosts: &HostBed) {
    for (how, who) in [("--sudo", "root"), ("--no-sudo", "asks")] {
        let said = hosts.quorate(&["exec", how, hosts.name(), "--", "id", "-un"]).expect(0).out;
        assert_eq!(said.lines().filter(|line| line.trim() == who).count(), 1, "{how}: {said}");
    }
}

#[test]
fn t01_three_clusters_in_one_look_and_a_host_that_is_off() {
    let hosts = HostBed::etcd("3.3.25");
    let other = Bed::up("3.4.23", &[]);
    let consul = Bed::of("consul", CONSUL, &["--clients", &CLIENTS.to_string()]);
    let own = fs::read_to_string(hosts.fleet()).expect("a fleet file");
    let all = [own, cluster_of(&other), cluster_of(&consul)].concat();
    fs::write(hosts.fleet(), all).expect("a fleet file");

    let said = hosts.quorate(&["--output", "json", "detect"]).expect(0);
    let on_hosts = look(&said, hosts.name());
    told(&on_hosts, "3.3.25", "debian 12");
    assert!(nodes(&on_hosts).iter().all(|node| node["store"].is_string()), "{on_hosts}");
    told(&look(&said, other.name()), "3.4.23", "debian");
    let agents = look(&said, consul.name());
    told(&agents, CONSUL, "debian");
    let of_role = |role: &str| nodes(&agents).iter().filter(|node| node["role"] == role).count();
    assert_eq!((of_role("client"), of_role("follower")), (CLIENTS, 2), "{agents}");

    catalog(&consul);
    as_root_and_not(&hosts);
    let figures = hosts.scratch().join("quorate.prom");
    let file = figures.display().to_string();
    hosts.quorate(&["detect", "--textfile", &file]).expect(0);
    let kept = hosts.quorate(&["--output", "json", "detect", "--since", "1h"]).expect(0);
    assert_eq!(look(&kept, consul.name())["nodes"].as_array().map(Vec::len), Some(CLIENTS + 3));
    let text = fs::read_to_string(&figures).expect("figures");
    let runs = |release: &str| {
        let label = format!(",release=\"{release}\"");
        let infos = text.lines().filter(|line| line.starts_with("quorate_node_info{"));
        infos.filter(|line| line.contains(&label)).count()
    };
    assert_eq!((runs("3.3.25"), runs("3.4.23"), runs(CONSUL)), (3, 3, CLIENTS + 3), "{text}");

    // A host loses its power: its node is in every form of the list, with the reason.
    let leader = nodes(&on_hosts).into_iter().find(|node| node["role"] == "leader").expect("one");
    let off = leader["name"].as_str().expect("a name");
    hosts.machines.fault(off, &Fault::Kill);
    let changed = hosts.quorate(&["detect", "--changed", "--retries", "0"]).expect(0).out;
    assert!(changed.contains(off), "{changed}");
    let agent = format!("{}-client-1", consul.name());
    assert!(!changed.contains(&agent), "what did not change is not shown: {changed}");
    let said = hosts.quorate(&["--output", "json", "detect"]).expect(0);
    let after = look(&said, hosts.name());
    let names = |cluster: &Value| -> BTreeSet<String> {
        nodes(cluster).iter().map(|node| node["name"].to_string()).collect()
    };
    assert_eq!(names(&after), names(&on_hosts), "nobody is missing");
    let gone = nodes(&after).into_iter().find(|node| node["name"] == off).expect("listed");
    assert_eq!(gone["reachable"], false, "{gone}");
    assert!(gone["unreachable_because"].as_str().is_some_and(|why| !why.is_empty()), "{gone}");
    assert_eq!(gone["release"], Value::Null, "what was not seen is not told: {gone}");
    // The look is kept: nobody is asked again.
    let kept = hosts.quorate(&["--output", "json", "detect", "--since", "1h"]).expect(0);
    let kept = look(&kept, hosts.name());
    assert_eq!((&kept["kept"], &kept["nodes"]), (&Value::Bool(true), &after["nodes"]));
    assert_eq!(kept["taken_at"], after["taken_at"]);
    let table = hosts.quorate(&["detect"]).expect(0).out;
    let line = table.lines().find(|line| line.starts_with(off)).expect("its line");
    assert!(line.contains("unreachable"), "{line}");
    assert!(table.contains(&format!("{off} is unreachable: ")), "{table}");
    assert_eq!(look(&said, consul.name())["nodes"].as_array().map(Vec::len), Some(CLIENTS + 3));
    // The table, too, has all three clusters.
    for cluster in [hosts.name(), other.name(), consul.name()] {
        assert!(table.contains(&format!("cluster {cluster} (")), "{table}");
    }
}
