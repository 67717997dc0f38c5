//! A command on selected hosts: from selectors of nodes and of hosts to the hosts that a fan-out goes to.

use crate::{
    fanout::Target,
    problem::{NO_NODE, Problem},
    setup::Setup,
};
use quorate_inventory::{ListedHost, select_nodes};
use quorate_model::{Host, SshHost};
use quorate_observe::Transports;
use quorate_transport::Command;

/// A command from the words of a person: one word is a line for the shell, several are taken as they are.
pub fn command(words: &[String]) -> Command {
    match words {
        [line] => line_for_shell(line),
        words => Command::new(words),
    }
}

/// A line for the shell of the host.
pub fn line_for_shell(line: &str) -> Command {
    Command::new(["/bin/sh", "-c", line])
}

/// The hosts that selectors of hosts (`role=consul`) mean, and the hosts of the nodes that the others mean (`shop/shop-1`), each
/// once, in declared order: several nodes may live on one. `sudo` says otherwise than they
/// are declared.
pub fn targets(
    setup: &Setup,
    selectors: &[String],
    sudo: Option<bool>,
) -> Result<Vec<Target>, Problem> {
    let (of_hosts, of_nodes): (Vec<String>, Vec<String>) =
        selectors.iter().cloned().partition(|selector| selector.contains('='));
    let nodes = select_nodes(&setup.whole, &of_nodes)
        .map_err(|error| Problem::new(NO_NODE, error.to_string()).hint(error.hint))?;
    let mut found: Vec<Found> = Vec::new();
    if !of_hosts.is_empty() {
        found.extend(setup.select_hosts(&of_hosts)?.into_iter().map(Found::listed));
    }
    for (cluster, node) in nodes {
        let place = format!("{}/{}", cluster.name, node.name);
        let group = format!("{}/{}", cluster.name, node.group);
        match found.iter_mut().find(|own| own.is(&node.host)) {
            Some(own) if own.nodes.contains(&place) => {}
            Some(own) => own.add(&node.host, place, group),
            None => found.push(Found {
                host: node.host.clone(),
                nodes: vec![place],
                groups: vec![group],
            }),
        }
    }
    let transports = setup.transports();
    Ok(found.into_iter().map(|found| found.target(&transports, sudo)).collect())
}

/// A host, and what lives there.
struct Found {
    host: Host,
    nodes: Vec<String>,
    groups: Vec<String>,
}

impl Found {
    /// A host that the inventory lists. One that carries no node is in the group of its source.
    fn listed(listed: &ListedHost) -> Self {
        let nodes = listed.nodes.iter();
        let mut groups: Vec<String> = Vec::new();
        for group in nodes.clone().map(|node| format!("{}/{}", node.cluster, node.group)) {
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        if groups.is_empty() {
            groups.push(listed.source.clone());
        }
        let nodes = nodes.map(|node| format!("{}/{}", node.cluster, node.node)).collect();
        Self { host: listed.host.clone(), nodes, groups }
    }

    /// A host is one by its name, whatever else its nodes declare of it.
    fn is(&self, host: &Host) -> bool {
        match (&self.host, host) {
            (Host::Local, Host::Local) => true,
            (Host::Ssh(own), Host::Ssh(other)) => own.name == other.name,
            (Host::Local, Host::Ssh(_)) | (Host::Ssh(_), Host::Local) => false,
        }
    }

    /// Root only where every node says so: a node that does without must not come by it through its neighbour.
    fn add(&mut self, host: &Host, place: String, group: String) {
        if let (Host::Ssh(own), Host::Ssh(other)) = (&mut self.host, host) {
            own.sudo &= other.sudo;
        }
        self.nodes.push(place);
        if !self.groups.contains(&group) {
            self.groups.push(group);
        }
    }

    fn target(self, transports: &Transports, sudo: Option<bool>) -> Target {
        let Self { host, nodes, groups } = self;
        let (name, host) = match host {
            Host::Local => ("this machine".to_owned(), Host::Local),
            Host::Ssh(host) => {
                let host = SshHost { sudo: sudo.unwrap_or(host.sudo), ..host };
                (host.name.clone(), Host::Ssh(host))
            }
        };
        Target { name, nodes, groups, transport: transports(&host) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_inventory::hosts::Carried;

    fn ssh(name: &str, sudo: bool) -> Host {
        Host::Ssh(SshHost { sudo, ..SshHost::new(name) })
    }

    fn found(host: Host) -> Found {
        Found { host, nodes: vec!["a/1".into()], groups: vec!["a/server".into()] }
    }

    #[test]
    fn a_host_is_one_by_its_name_and_root_only_where_all_say_so() {
        let mut own = found(ssh("db-1", true));
        assert!(own.is(&ssh("db-1", false)) && !own.is(&ssh("db-2", true)));
        assert!(!own.is(&Host::Local) && found(Host::Local).is(&Host::Local));
        own.add(&ssh("db-1", false), "b/1".into(), "b/server".into());
        own.add(&ssh("db-1", true), "b/2".into(), "b/server".into());
        assert_eq!(own.host, ssh("db-1", false));
        assert_eq!((own.nodes.len(), own.groups.len()), (3, 2));
    }

    #[test]
    fn a_listed_host_is_in_the_groups_of_its_nodes_or_in_its_source() {
        let mut host = ListedHost::new("cloud", "db-1");
        assert_eq!(Found::listed(&host).groups, ["cloud"]);
        for node in ["1", "2"] {
            host.nodes.push(Carried {
                cluster: "a".into(),
                group: "server".into(),
                node: node.into(),
            });
        }
        let found = Found::listed(&host);
        assert_eq!(
            (found.groups.join(" "), found.nodes.join(" ")),
            ("a/server".into(), "a/1 a/2".into())
        );
    }

    #[test]
    fn one_word_is_a_line_and_several_are_words() {
        let words = |words: &[&str]| {
            command(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).argv
        };
        assert_eq!(words(&["uptime | cut -c1-3"]), ["/bin/sh", "-c", "uptime | cut -c1-3"]);
        assert_eq!(words(&["echo", "a b"]), ["echo", "a b"]);
    }
}
