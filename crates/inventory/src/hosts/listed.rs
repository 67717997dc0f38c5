//! All hosts of a fleet: those that sources list, and those that clusters declare by hand, each once, with the nodes they carry.

use super::{Carried, ListedHost, select_hosts};
use quorate_model::{Cluster, Fleet, Host, Node};
use std::collections::BTreeMap;

/// The source of hosts that only clusters name.
const DECLARED: &str = "fleet";
/// The name of the machine that Quorate runs on.
const HERE: &str = "local";

/// Joins the hosts of sources with those of the clusters' nodes. A host is the same when SSH takes the same name for it; what a
/// source does not say of it is what its cluster says: its environment, its pack as the role, its group as the sub-role.
pub fn listed(from_sources: &[ListedHost], fleet: &Fleet) -> Vec<ListedHost> {
    let mut hosts = from_sources.to_vec();
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for (index, host) in hosts.iter().enumerate() {
        known.entry(key(&host.host)).or_insert(index);
    }
    for cluster in &fleet.clusters {
        for node in &cluster.nodes {
            let index = *known.entry(key(&node.host)).or_insert_with(|| {
                hosts.push(ListedHost::new(DECLARED, key(&node.host)));
                hosts.len() - 1
            });
            if let Some(host) = hosts.get_mut(index) {
                add(host, cluster, node);
            }
        }
    }
    hosts
}

/// The nodes that any of the selectors means: each of a host's nodes is asked for by itself, so that the name of a cluster does not
/// mean its neighbours on the same host.
pub fn select_listed<'h, S: AsRef<str>>(
    hosts: &'h [ListedHost],
    selectors: &[S],
) -> Vec<&'h Carried> {
    let alone = |host: &ListedHost, node: &Carried| ListedHost {
        nodes: vec![node.clone()],
        ..host.clone()
    };
    let fits = |host: &ListedHost, node: &Carried| {
        let alone = [alone(host, node)];
        selectors.iter().any(|one| select_hosts(&alone, &[one.as_ref()]).is_ok())
    };
    let nodes = hosts.iter().flat_map(|host| host.nodes.iter().map(move |node| (host, node)));
    nodes.filter(|(host, node)| fits(host, node)).map(|(_, node)| node).collect()
}

fn key(host: &Host) -> String {
    match host {
        Host::Local => HERE.to_owned(),
        Host::Ssh(host) => host.name.clone(),
    }
}

fn add(host: &mut ListedHost, cluster: &Cluster, node: &Node) {
    // The cluster knows how its hosts are worked on; root only where every node says so.
    let before = std::mem::replace(&mut host.host, node.host.clone());
    if let (Host::Ssh(before), Host::Ssh(now), false) =
        (before, &mut host.host, host.nodes.is_empty())
    {
        now.sudo &= before.sudo;
    }
    let fill = |fact: &mut Option<String>, value: Option<&str>| {
        if fact.is_none() {
            *fact = value.map(str::to_owned);
        }
    };
    fill(&mut host.environment, cluster.environment.as_deref());
    fill(&mut host.role, Some(cluster.pack.as_str()));
    fill(&mut host.sub_role, Some(node.group.as_str()));
    host.nodes.push(Carried {
        cluster: cluster.name.clone(),
        group: node.group.clone(),
        node: node.name.clone(),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::{Policy, SshHost, SshSpec};

    fn node(name: &str, host: Host) -> Node {
        Node {
            name: name.into(),
            group: "server".into(),
            host,
            endpoints: BTreeMap::new(),
            data_dir: None,
            service: None,
        }
    }

    #[test]
    fn a_host_that_a_source_and_a_cluster_name_is_one() {
        let bare = SshHost { sudo: false, ..SshHost::new("db-1") };
        let nodes = vec![
            node("a", Host::Ssh(bare.clone())),
            node("b", Host::Ssh(SshHost::new("db-2"))),
            node("c", Host::Local),
            node("d", Host::Local),
        ];
        let cluster = Cluster {
            name: "shop".into(),
            pack: "etcd".into(),
            environment: Some("prod".into()),
            nodes,
            tls: None,
            auth: None,
            config: Vec::new(),
            dependants: Vec::new(),
            policy: Policy::default(),
        };
        let fleet = Fleet {
            name: "f".into(),
            artifacts: Vec::new(),
            clusters: vec![cluster],
            ssh: SshSpec::default(),
        };
        let mut own = ListedHost::new("list", "db-1");
        own.role = Some("store".into());
        let hosts = listed(&[own, ListedHost::new("list", "web-1")], &fleet);
        let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
        assert_eq!(names, ["db-1", "web-1", "db-2", "local"]);
        assert_eq!(hosts[0].host, Host::Ssh(bare));
        assert_eq!(hosts[0].role.as_deref(), Some("store"));
        assert_eq!(hosts[0].environment.as_deref(), Some("prod"));
        assert_eq!((hosts[1].nodes.len(), hosts[3].nodes.len()), (0, 2));
        assert_eq!(hosts[2].source, "fleet");
        let nodes = |selector: &str| {
            let nodes = select_listed(&hosts, &[selector]).into_iter();
            nodes.map(|node| node.node.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(nodes("shop"), "a b c d");
        assert_eq!(
            (nodes("d"), nodes("role=store"), nodes("local")),
            ("d".into(), "a".into(), "c d".into())
        );
        assert_eq!(
            (hosts[3].host.clone(), hosts[3].sub_role.as_deref()),
            (Host::Local, Some("server"))
        );
    }
}
