//! Hosts over SSH in a run book: what is typed here and done there, and addresses that only the host itself reaches.
//!
//! Invariant: the book is followed in one shell on one machine; every block says by itself on which host it acts.

use super::shell;
use quorate_model::{Cluster, Host, Node, Secret, SshHost, SshSpec};

/// The first local port that leads to a member: below those that systems give out by themselves, above those of scratch members.
const PORT_FIRST: u16 = 31_001;
/// The last one: where Linux begins to give out ports by itself.
const PORT_LAST: u16 = 32_767;

/// A port of this machine that leads to an address as a host sees it.
struct Forward<'a> {
    node: &'a Node,
    purpose: &'a str,
    /// `http://`
    scheme: &'a str,
    /// `127.0.0.1:2379`
    authority: &'a str,
    /// What follows.
    path: &'a str,
    port: u16,
}

fn forwards(cluster: &Cluster) -> Vec<Forward<'_>> {
    let ports = PORT_FIRST..=PORT_LAST;
    let asked = cluster.nodes.iter().flat_map(|node| {
        let host = host_of(node);
        node.endpoints.iter().filter_map(move |(purpose, url)| {
            let (scheme, rest) = url.split_once("://")?;
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            (host?.tunnel || is_loopback(authority)).then_some((
                node,
                purpose.as_str(),
                &url[..scheme.len() + 3],
                authority,
                path,
            ))
        })
    });
    ports
        .zip(asked)
        .map(|(port, (node, purpose, scheme, authority, path))| Forward {
            node,
            purpose,
            scheme,
            authority,
            path,
            port,
        })
        .collect()
}

fn is_loopback(authority: &str) -> bool {
    ["127.", "localhost:", "[::1]:"].iter().any(|start| authority.starts_with(start))
}

fn host_of(node: &Node) -> Option<&SshHost> {
    ssh_of(&node.host)
}

fn ssh_of(host: &Host) -> Option<&SshHost> {
    match host {
        Host::Ssh(host) => Some(host),
        Host::Local => None,
    }
}

/// The cluster as somebody on this machine reaches it by hand; none when that is as it is declared.
pub(crate) fn seen_from_here(cluster: &Cluster) -> Option<Cluster> {
    let forwards = forwards(cluster);
    if forwards.is_empty() {
        return None;
    }
    let mut here = cluster.clone();
    for Forward { node, purpose, scheme, path, port, .. } in forwards {
        let own = here.nodes.iter_mut().find(|own| own.name == node.name);
        if let Some(url) = own.and_then(|own| own.endpoints.get_mut(purpose)) {
            *url = format!("{scheme}127.0.0.1:{port}{path}");
        }
    }
    Some(here)
}

/// The hosts of a cluster as a person reaches them.
pub(super) struct Remote<'a> {
    ssh: &'a SshSpec,
    hosts: Vec<&'a SshHost>,
    forwards: Vec<Forward<'a>>,
}

impl<'a> Remote<'a> {
    /// None when every member lives on this machine.
    pub(super) fn of(cluster: &'a Cluster, ssh: &'a SshSpec) -> Option<Self> {
        let runs = cluster.dependants.iter().filter_map(|one| one.runs.as_ref());
        let applications = runs.flat_map(|runs| &runs.hosts).filter_map(ssh_of);
        let nodes = cluster.nodes.iter().filter_map(host_of);
        let mut hosts: Vec<&SshHost> = nodes.chain(applications).collect();
        hosts.sort();
        hosts.dedup();
        (!hosts.is_empty()).then(|| Self { ssh, hosts, forwards: forwards(cluster) })
    }

    /// Words for hosts, and the ways to members that serve on their own host alone.
    pub(super) fn head(&self) -> String {
        let ssh = self.client();
        let plain = self.hosts.iter().filter(|host| !host.sudo).map(|host| target(host));
        let plain: Vec<String> = plain.collect();
        let sudo = match &self.ssh.sudo_password {
            Some(_) => "sudo -k -S -p '' --",
            None => "sudo -n --",
        };
        let secret = match &self.ssh.sudo_password {
            Some(Secret::File(file)) => {
                // The file's only line may lack its end.
                format!(
                    "printf '%s\\n' \"$(head -n 1 {})\"",
                    shell::word(&file.display().to_string())
                )
            }
            Some(Secret::Env(name)) => format!("printf '%s\\n' \"${name}\""),
            None => ":".to_owned(),
        };
        let rooted = |act: &str| match (plain.len() == self.hosts.len(), plain.is_empty()) {
            (true, _) => ":".to_owned(),
            (_, true) => act.to_owned(),
            (_, false) => format!("case $1 in {}) ;; *) {act} ;; esac", plain.join("|")),
        };
        let rights = rooted(&format!("printf %s {}", shell::word(sudo)));
        let mut text = include_str!("remote.sh")
            .replace("@SSH@", &ssh)
            .replace("@RIGHTS@", &rights)
            .replace("@SECRET@", &rooted(&secret));
        for host in &self.hosts {
            let own = self.forwards.iter().filter(|forward| host_of(forward.node) == Some(host));
            let own: Vec<String> =
                own.map(|forward| format!("-L {}:{}", forward.port, forward.authority)).collect();
            if !own.is_empty() {
                let (name, to) = (control(host), shell::word(&target(host)));
                text.push_str(&format!(
                    "\n{ssh} -f -N -M -S \"$hands.{name}\" -o ExitOnForwardFailure=yes {} {to} || echo 'no way to {}'",
                    own.join(" "),
                    host.name
                ));
            }
        }
        text
    }

    /// Takes the ways down again.
    pub(super) fn tail(&self) -> String {
        let led = |host: &&&SshHost| {
            self.forwards.iter().any(|forward| host_of(forward.node) == Some(**host))
        };
        let ends = self.hosts.iter().filter(led).map(|host| {
            let to = shell::word(&target(host));
            format!("{} -S \"$hands.{}\" -O exit {to}\n", self.client(), control(host))
        });
        format!("{}rm -f \"$hands\"", ends.collect::<String>())
    }

    fn client(&self) -> String {
        match &self.ssh.config {
            Some(file) => format!("ssh -F {}", shell::word(&file.display().to_string())),
            None => "ssh".to_owned(),
        }
    }
}

/// A host as `ssh` takes it: with a port it is an address.
fn target(host: &SshHost) -> String {
    match host.name.contains(':') {
        true => format!("ssh://{}", host.name),
        false => host.name.clone(),
    }
}

/// A file name for the control socket.
fn control(host: &SshHost) -> String {
    host.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

/// Commands for a node, on its host.
pub(super) fn on(node: &Node, text: &str) -> String {
    on_host(&node.host, text)
}

/// Commands on a host.
pub(super) fn on_host(host: &Host, text: &str) -> String {
    match ssh_of(host) {
        Some(host) => format!("on {} {}", shell::word(&target(host)), shell::word(text)),
        None => text.to_owned(),
    }
}

/// The word for a node's host; none for this machine.
pub(super) fn away(node: &Node) -> Option<String> {
    host_of(node).map(|host| shell::word(&target(host)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::Policy;

    fn cluster(hosts: &[(&str, Host, &str)]) -> Cluster {
        let node = |(name, host, url): &(&str, Host, &str)| Node {
            name: (*name).into(),
            group: "server".into(),
            host: host.clone(),
            endpoints: [("client".to_owned(), (*url).to_owned())].into(),
            data_dir: None,
            service: None,
        };
        Cluster {
            name: "db".into(),
            pack: "etcd".into(),
            environment: None,
            nodes: hosts.iter().map(node).collect(),
            tls: None,
            auth: None,
            config: Vec::new(),
            dependants: Vec::new(),
            policy: Policy::default(),
        }
    }

    fn ssh(name: &str) -> Host {
        Host::Ssh(SshHost::new(name))
    }

    #[test]
    fn members_behind_loopback_get_ports_of_this_machine() {
        let own = "https://127.0.0.1:2379/x";
        let db = cluster(&[("a", ssh("a"), own), ("b", Host::Local, own), ("c", ssh("c"), own)]);
        let urls = |db: &Cluster| -> Vec<String> {
            db.nodes.iter().map(|node| node.endpoints["client"].clone()).collect()
        };
        let here = seen_from_here(&db).unwrap();
        assert_eq!(urls(&here), ["https://127.0.0.1:31001/x", own, "https://127.0.0.1:31002/x"]);
        // What this machine reaches by itself stays as it is, unless a tunnel is asked for.
        let mut far = cluster(&[("a", ssh("a"), "http://db-1:2379")]);
        assert_eq!(seen_from_here(&far), None);
        far.nodes[0].host = Host::Ssh(SshHost { tunnel: true, ..SshHost::new("a") });
        assert_eq!(urls(&seen_from_here(&far).unwrap()), ["http://127.0.0.1:31001"]);
    }

    #[test]
    fn the_head_has_no_password_and_every_way_has_an_end() {
        let own = "http://127.0.0.1:2379";
        let plain = Host::Ssh(SshHost { sudo: false, ..SshHost::new("root@c:2222") });
        let db = cluster(&[("a", ssh("a"), own), ("c", plain, own)]);
        let spec = SshSpec {
            config: Some("/x/config".into()),
            sudo_password: Some(Secret::Env("SUDO_PASSWORD".into())),
            ..SshSpec::default()
        };
        let remote = Remote::of(&db, &spec).unwrap();
        let (head, tail) = (remote.head(), remote.tail());
        assert!(head.contains("printf '%s\\n' \"$SUDO_PASSWORD\""), "{head}");
        assert!(!head.contains("@SSH@") && !head.contains("@SECRET@"), "{head}");
        assert!(head.contains("case $1 in ssh://root@c:2222) ;;"), "{head}");
        assert_eq!(head.matches(" -M -S ").count(), 2, "{head}");
        assert_eq!(tail.matches(" -O exit ").count(), 2, "{tail}");
        assert!(Remote::of(&cluster(&[("a", Host::Local, own)]), &spec).is_none());
    }
}
