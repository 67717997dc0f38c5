//! `quorate inventory`: hosts and nodes, as declared and as sources list them.

use crate::{
    args::{Artifacts, Global, Inventory, Output},
    print, site,
};
use jiff::Timestamp;
use quorate_inventory::{ListedHost, hosts::Carried, select_listed};
use quorate_model::{Cluster, Host};
use quorate_report::words;
use quorate_runner::{
    problem::Problem,
    setup::Setup,
    sources::{HostsOptions, Taken},
};
use serde_json::{Value, json};

pub(crate) fn run(global: &Global, args: &Inventory) -> Result<u8, Problem> {
    let mut options = site::options(global, &Artifacts::default());
    options.hosts =
        HostsOptions { refresh: args.refresh, accept_fewer: args.accept_fewer, ..options.hosts };
    let setup = site::open(&options)?;
    let clusters = clusters(&setup, &args.selectors);
    // An inventory of nothing is shown as such; a selector that means nothing is an error.
    let hosts = match (setup.hosts.is_empty(), args.selectors.is_empty()) {
        (true, true) => Vec::new(),
        _ => setup.select_hosts(&args.selectors)?,
    };
    let now = Timestamp::now();
    if args.hosts {
        for host in &hosts {
            print::data(host.ssh().unwrap_or("local"));
        }
    } else if global.output == Output::Json {
        let hosts: Vec<Value> = hosts.iter().map(|host| host_json(host)).collect();
        let sources: Vec<Value> =
            setup.sources.iter().map(|source| source_json(source, now)).collect();
        print::json(&json!({
            "schema": 1,
            "fleet": setup.fleet.name,
            "clusters": clusters,
            "hosts": hosts,
            "sources": sources,
        }));
    } else {
        print_tables(&setup, &clusters, &hosts, now);
    }
    let stopped = setup.hosts.iter().filter(|host| !host.may_run()).count();
    if args.selectors.is_empty() && stopped > 0 {
        print::say(&format!(
            "note: {stopped} of {} hosts do not run and are left out; `quorate inventory state=-` shows them",
            setup.hosts.len()
        ));
    }
    Ok(0)
}

/// The clusters with the nodes that are meant; all of them without selectors.
fn clusters(setup: &Setup, selectors: &[String]) -> Vec<Cluster> {
    if selectors.is_empty() {
        return setup.whole.clusters.clone();
    }
    let meant = select_listed(&setup.hosts, selectors);
    let kept = setup.whole.clusters.iter().map(|cluster| {
        let nodes = cluster.nodes.iter().filter(|node| {
            meant.iter().any(|one| one.cluster == cluster.name && one.node == node.name)
        });
        Cluster { nodes: nodes.cloned().collect(), ..cluster.clone() }
    });
    kept.filter(|cluster| !cluster.nodes.is_empty()).collect()
}

fn print_tables(setup: &Setup, clusters: &[Cluster], hosts: &[&ListedHost], now: Timestamp) {
    let dash = |fact: &Option<String>| fact.clone().unwrap_or_else(|| "-".into());
    let mut rows = Vec::new();
    for cluster in clusters {
        for node in &cluster.nodes {
            let endpoints: Vec<&str> = node.endpoints.values().map(String::as_str).collect();
            rows.push(vec![
                cluster.name.to_string(),
                cluster.pack.to_string(),
                dash(&cluster.environment),
                node.name.to_string(),
                node.group.to_string(),
                endpoints.join(" "),
            ]);
        }
    }
    if !rows.is_empty() {
        let head = ["CLUSTER", "PACK", "ENVIRONMENT", "NODE", "GROUP", "ENDPOINTS"];
        print::data(&print::table(&head, &rows));
    }
    // A fleet on this machine alone has one host, and everybody knows it.
    if hosts.iter().all(|host| host.host == Host::Local && host.taken_at.is_none()) {
        return;
    }
    let rows: Vec<Vec<String>> = hosts
        .iter()
        .map(|host| {
            let age = setup.sources.iter().find(|source| source.name == host.source);
            let age = age.and_then(|source| source.age(now));
            vec![
                host.name.clone(),
                host.addresses.first().cloned().unwrap_or_else(|| "-".into()),
                dash(&host.environment),
                dash(&host.role),
                dash(&host.sub_role),
                dash(&host.state),
                dash(&host.datacenter),
                carried(&host.nodes),
                host.source.clone(),
                age.map_or_else(|| "-".into(), words::duration),
            ]
        })
        .collect();
    let head = [
        "HOST",
        "ADDRESS",
        "ENVIRONMENT",
        "ROLE",
        "SUB-ROLE",
        "STATE",
        "DATACENTER",
        "NODES",
        "SOURCE",
        "AGE",
    ];
    print::data(&print::table(&head, &rows));
}

/// Nodes that fit into a cell; a host that carries more shows how many.
const NODES_MAX: usize = 2;

fn carried(nodes: &[Carried]) -> String {
    let shown: Vec<String> = nodes
        .iter()
        .take(NODES_MAX)
        .map(|node| format!("{}/{}", node.cluster, node.node))
        .collect();
    match nodes.len() {
        0 => "-".into(),
        count if count > NODES_MAX => format!("{} +{}", shown.join(" "), count - NODES_MAX),
        _ => shown.join(" "),
    }
}

fn host_json(host: &ListedHost) -> Value {
    let mut value = json!(host);
    if let Some(map) = value.as_object_mut() {
        map.insert("ssh".into(), json!(host.ssh()));
    }
    value
}

fn source_json(source: &Taken, now: Timestamp) -> Value {
    json!({
        "name": source.name,
        "kind": source.kind,
        "taken_at": source.at,
        "age_secs": source.age(now).map(|age| age.as_secs()),
        "kept": source.kept,
        "failed": source.failed,
        "hosts": source.hosts.len(),
    })
}
