//! Sources of hosts: what their answers mean, which are refused, and the nodes that clusters make of hosts.

use jiff::Timestamp;
use quorate_inventory::{ListedHost, Source, read_fleet_with, read_sources, sources::Question};
use quorate_model::{Fleet, Host, ServiceSpec};
use quorate_packs::Packs;
use quorate_syntax::{Diagnostic, render};
use std::path::Path;

fn source(yaml: &str) -> Source {
    let text = format!("inventory:\n  - {}\n", yaml.trim().replace('\n', "\n    "));
    match read_sources("fleet.yaml", &text, Path::new("/srv/fleet")) {
        Ok(mut sources) => sources.remove(0),
        Err(wrong) => panic!("{}", render(&wrong, &text)),
    }
}

fn hosts(yaml: &str, answer: &str) -> Vec<ListedHost> {
    source(yaml).hosts(answer, Timestamp::UNIX_EPOCH).unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// One line a host: what it is and how it is reached.
fn told(yaml: &str, answer: &str) -> String {
    let line = |host: &ListedHost| {
        let facts = [&host.environment, &host.role, &host.sub_role, &host.state, &host.datacenter];
        let facts: Vec<&str> = facts.iter().map(|fact| fact.as_deref().unwrap_or("-")).collect();
        let labels: Vec<String> = host.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        format!(
            "{} via {} at {:?}: {}; networks {:?} groups {:?} labels {}",
            host.name,
            host.ssh().unwrap_or("local"),
            host.addresses,
            facts.join(" "),
            host.networks,
            host.groups,
            labels.join(" ")
        )
    };
    hosts(yaml, answer).iter().map(line).collect::<Vec<_>>().join("\n")
}

fn refused(yaml: &str, answer: &str) -> String {
    let wrong = source(yaml).hosts(answer, Timestamp::UNIX_EPOCH).expect_err("it is no answer");
    format!("{wrong}\n  hint: {}", wrong.hint)
}

fn words(yaml: &str) -> String {
    match source(yaml).question() {
        Some(Question::Run { argv, .. }) => argv.join(" "),
        Some(Question::Get { url, .. }) => url,
        None => "nothing".into(),
    }
}

const COMMAND: &str = "name: list\ncommand: [./hosts.sh]";

#[test]
fn each_kind_of_source_knows_what_to_ask() {
    let all = [
        COMMAND,
        "name: list\nhosts: []",
        "name: a\nansible: [hosts.ini, /etc/ansible/hosts, 'db-1,db-2']",
        "name: e\nec2: {region: eu-central-1, profile: ops, endpoint: 'http://127.0.0.1:5000', tags: {stack: 'a, b', role: consul}}",
        "name: e\nec2: {}",
        "name: c\nconsul: {address: 'http://127.0.0.1:8500/'}",
        "name: c\nconsul: {address: 'http://127.0.0.1:8500', service: 'my web', datacenter: dc1}",
    ];
    insta::assert_snapshot!(all.map(words).join("\n"));
}

#[test]
fn a_command_prints_a_list_or_json() {
    let list = "# servers\ndb-1\n  anna@db-2.example:2222  # the second\n\n10.0.0.3\nfd00::4\n";
    let json = r#"{"hosts": ["db-1", {"name": "db-2", "ssh": "anna@10.0.0.2", "addresses": ["10.0.0.2"],
        "environment": "prod", "role": "etcd", "labels": {"rack": 3, "ssd": true}}]}"#;
    let bare = r#"["db-1", "db-2"]"#;
    insta::assert_snapshot!([list, json, bare].map(|text| told(COMMAND, text)).join("\n--\n"));
}

const ANSIBLE: &str = r#"{
  "_meta": {"hostvars": {
    "db-1": {"ansible_host": "10.0.0.1", "ansible_user": "admin", "ansible_port": 2222, "rack": "r1",
             "ansible_password": "hunter2", "db_password": "hunter2", "role": "etcd"},
    "db-2": {"rack": 7, "environment": "stage"},
    "here": {"ansible_connection": "local"}
  }},
  "all": {"children": ["ungrouped", "prod"], "vars": {"datacenter": "dc9"}},
  "prod": {"children": ["servers"], "vars": {"environment": "prod", "rack": "far"}},
  "servers": {"hosts": ["db-1", "db-2"], "vars": {"sub_role": "server"}},
  "ungrouped": {"hosts": ["here"]}
}"#;

#[test]
fn inventories_of_ansible_keep_no_variable_that_nobody_named() {
    let yaml = "name: a\nansible: [hosts.ini]\nlabels: [rack]";
    let text = told(yaml, ANSIBLE);
    insta::assert_snapshot!(text);
    let kept = serde_json::to_string(&hosts(yaml, ANSIBLE)).unwrap();
    assert!(!kept.contains("hunter2"), "{kept}");
    // The same from a program of one's own, and the old shape with bare lists.
    assert_eq!(told("name: a\ncommand: [x]\nlabels: [rack]", ANSIBLE), text);
    insta::assert_snapshot!(told(COMMAND, r#"{"web": ["w-1", "w-2"], "db": {"hosts": ["w-2"]}}"#), @r#"
    w-1 via w-1 at []: - - - - -; networks [] groups ["web"] labels 
    w-2 via w-2 at []: - - - - -; networks [] groups ["db", "web"] labels
    "#);
}

const EC2: &str = r#"{"Reservations": [{"Instances": [
  {"InstanceId": "i-1", "State": {"Name": "running"}, "PrivateIpAddress": "10.0.0.1", "PublicIpAddress": "203.0.113.1",
   "VpcId": "vpc-1", "SubnetId": "subnet-1", "Placement": {"AvailabilityZone": "eu-central-1a"},
   "Tags": [{"Key": "Name", "Value": "c-1"}, {"Key": "stack", "Value": "prod"}, {"Key": "Role", "Value": "consul"}, {"Key": "part", "Value": "server"}]},
  {"InstanceId": "i-2", "State": {"Name": "stopped"}, "PrivateIpAddress": "10.0.0.2", "Placement": {"AvailabilityZone": "eu-central-1b"}}]},
 {"Instances": [{"InstanceId": "i-3", "State": {"Name": "terminated"}, "Tags": [{"Key": "Name", "Value": "c-1"}]}]}]}"#;

#[test]
fn instances_of_ec2_are_what_their_tags_say() {
    let yaml = "name: e\nec2: {}\nfacts: {environment: '{{ labels.stack }}', sub_role: '{{ labels.part }}', ssh: 'admin@{{ addresses[0] }}'}";
    insta::assert_snapshot!(told(yaml, EC2));
}

const NODES: &str = r#"[{"ID": "1", "Node": "c-1", "Address": "10.0.0.1", "Datacenter": "dc1",
  "TaggedAddresses": {"lan": "10.0.0.1", "wan": "203.0.113.1"}, "Meta": {"role": "consul", "consul-network-segment": ""}}]"#;
const SERVICE: &str = r#"[{"Node": "w-1", "Address": "10.0.0.5", "Datacenter": "dc1", "NodeMeta": {"env": "prod"},
  "ServiceName": "web", "ServiceTags": ["v1"], "ServiceMeta": {"port": "80"}},
 {"Node": "w-1", "Address": "10.0.0.5", "Datacenter": "dc1", "ServiceName": "web", "ServiceTags": ["v2"]}]"#;

#[test]
fn a_catalog_of_consul_lists_nodes_and_services() {
    let yaml = "name: c\nconsul: {address: 'http://127.0.0.1:8500'}";
    insta::assert_snapshot!([NODES, SERVICE].map(|text| told(yaml, text)).join("\n"));
}

#[test]
fn answers_that_are_none_are_refused() {
    let ansible = "name: a\nansible: [x]";
    let ec2 = "name: e\nec2: {}";
    let consul = "name: c\nconsul: {address: 'http://127.0.0.1:8500'}";
    let facts = "name: list\ncommand: [x]\nfacts: {role: '{{ name.x.y() }}'}";
    let cases = [
        (COMMAND, "db-1\ndb-1\n"),
        (COMMAND, "Traceback (most recent call last):\n  File"),
        (COMMAND, "db-1\n<html>\n"),
        (COMMAND, "{\"hosts\": [\"db-1\","),
        (COMMAND, "{\"hosts\": [{\"nam\": \"db-1\"}]}"),
        (COMMAND, "{\"hosts\": [\"-oProxyCommand=x\"]}"),
        (
            COMMAND,
            "{\"hosts\": [{\"name\": \"a\"}, {\"name\": \"a\", \"addresses\": [\"10.0.0.2\"]}]}",
        ),
        (COMMAND, "{\"status\": \"error\"}"),
        (COMMAND, "[1]"),
        (ansible, "[WARNING]: no inventory"),
        (ansible, "[]"),
        (ec2, ""),
        (ec2, "{}"),
        (consul, "{\"error\": 1}"),
        (facts, "db-1"),
    ];
    let told: Vec<String> = cases
        .iter()
        .map(|(yaml, answer)| {
            format!("{}\n  {}", answer.lines().next().unwrap_or(""), refused(yaml, answer))
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
    // Nothing at all is an answer: whether it may be is decided by what was there before.
    assert!(hosts(COMMAND, "").is_empty() && hosts(ansible, "{}").is_empty());
}

const FLEET: &str = "schema: 1
fleet: home
inventory:
  - name: list
    hosts:
      - {name: c-1, addresses: [10.0.0.1], environment: prod, role: consul, sub_role: server}
      - {name: c-2, addresses: [10.0.0.2], environment: prod, role: consul, sub_role: server, state: stopped}
      - {name: c-3, addresses: ['fd00::3'], ssh: anna@c-3, environment: prod, role: consul, sub_role: client}
      - {name: w-1, addresses: [10.0.0.9], role: web, datacenter: dc2}
  - name: cloud
    command: [./hosts]
clusters:
  - name: c1
    pack: consul
    defaults: {sudo: false, service: {unit: consul.service, binary: /usr/bin/consul}}
    nodes_from:
      - select: environment=prod,role=consul,sub_role=server
        endpoints: {client: 'http://{{ address }}:8500'}
        data_dir: '/var/lib/{{ role }}'
      - select: ['sub_role=client', 'source=cloud']
        name: 'agent-{{ name }}'
        group: client
        endpoints: {client: 'http://{{ url_host }}:8500'}
";

fn cloud() -> Vec<ListedHost> {
    let mut hosts = hosts("name: cloud\ncommand: [x]", "anna@10.9.0.1\n");
    hosts[0].role = Some("consul".into());
    hosts
}

fn read(text: &str) -> Result<(Fleet, Vec<ListedHost>), Vec<Diagnostic>> {
    let folder = Path::new("/srv/fleet");
    read_fleet_with("fleet.yaml", text, folder, Packs::builtin(), &cloud())
}

#[test]
fn hosts_become_nodes() {
    let (fleet, hosts) = read(FLEET).unwrap_or_else(|wrong| panic!("{}", render(&wrong, FLEET)));
    assert_eq!(hosts.len(), 5);
    let line = |node: &quorate_model::Node| {
        let (ssh, sudo) = match &node.host {
            Host::Ssh(ssh) => (ssh.name.as_str(), ssh.sudo),
            Host::Local => ("local", true),
        };
        let unit = match &node.service {
            Some(ServiceSpec::Systemd(unit)) => unit.unit.as_str(),
            _ => "none",
        };
        format!(
            "{} {} {ssh} {sudo} {:?} {:?} {unit}",
            node.name, node.group, node.endpoints, node.data_dir
        )
    };
    let lines: Vec<String> = fleet.clusters[0].nodes.iter().map(line).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn an_inventory_needs_no_cluster() {
    let text = FLEET.split("clusters:").next().unwrap().to_owned() + "clusters: []\n";
    assert_eq!(read(&text).unwrap().1.len(), 5);
}

#[test]
fn three_hundred_hosts_are_one_entry() {
    let mut text = "schema: 1\nfleet: f\ninventory:\n  - name: list\n    hosts:\n".to_owned();
    for n in 0..300 {
        text += &format!("      - {{name: c-{n}, addresses: [10.0.{}.{}]}}\n", n / 250, n % 250);
    }
    text += "clusters:\n  - name: c\n    pack: consul\n    nodes_from:\n      - {select: '-', endpoints: {client: 'http://{{ address }}:8500'}}\n";
    let (fleet, _) = read(&text).unwrap_or_else(|wrong| panic!("{}", render(&wrong, &text)));
    assert_eq!(fleet.clusters[0].nodes.len(), 300);
    // What is wrong with all of them is said a few times, not three hundred times.
    let wrong = read(&text.replace("{{ address }}:8500", "{{ address }}")).unwrap_err();
    assert_eq!(wrong.len(), 3);
}

#[test]
fn wrong_inventories_are_refused_with_place_and_hint() {
    let cases = [
        ("sub_role=server\n", "sub_roel=server\n"),
        ("sub_role=server\n", "sub_role=servers\n"),
        ("{{ address }}:8500", "{{ adress }}:8500"),
        ("{{ address }}:8500", "{{ address }:8500"),
        ("'agent-{{ name }}'", "'{{ role }}'"),
        ("'agent-{{ name }}'", "agent"),
        ("        group: client\n", "        gruop: client\n"),
        ("name: cloud", "name: list"),
        ("name: cloud", "name: ../cloud"),
        ("    command: [./hosts]\n", ""),
        ("    command: [./hosts]\n", "    command: [./hosts]\n    ec2: {}\n"),
        ("    command: [./hosts]\n", "    command: []\n"),
        ("    command: [./hosts]\n", "    command: [./hosts]\n    limit_secs: 0\n"),
        ("    command: [./hosts]\n", "    comand: [./hosts]\n"),
        ("    command: [./hosts]\n", "    consul: {address: '127.0.0.1:8500'}\n"),
        ("    command: [./hosts]\n", "    consul: {address: 'http://a:1', token: hunter2}\n"),
        ("    command: [./hosts]\n", "    ec2: {}\n    labels: [rack]\n"),
        ("name: w-1", "name: c-1"),
        ("name: w-1", "name: '-w'"),
        ("name: w-1", "name: 10.9.0.1"),
        ("'source=cloud'", "role=web, 'sub_role=server,datacenter=-'"),
        ("      - select: environment=prod,role=consul,sub_role=server\n", "      - name: x\n"),
        (
            "sub_role: client}",
            "sub_role: client, datacenter: dc1}\n      - {name: c-4, sub_role: client, datacenter: dc2}",
        ),
    ];
    let mut told = String::new();
    let secret = "hunter2";
    for (was, is) in cases {
        assert!(FLEET.contains(was), "{was}");
        let text = FLEET.replacen(was, is, 1);
        match read(&text) {
            Ok(_) => told += &format!("{is:?} is accepted\n\n"),
            Err(wrong) => {
                let wrong = render(&wrong, &text);
                assert!(!wrong.contains(secret), "{wrong}");
                told += &format!("{is:?}\n{wrong}\n");
            }
        }
    }
    insta::assert_snapshot!(told);
}
