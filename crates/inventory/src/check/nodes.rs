//! Nodes: names, groups, addresses, files, services.

use super::{Check, url};
use crate::file::{ClusterFile, HostFile, NodeFile, ServiceFile, ServiceKind};
use quorate_packs::Packs;
use quorate_syntax::{SECRET_IN_FILE, Step, nearest};
use std::{collections::BTreeMap, path::Path};

/// Longest grace: an hour. A run that waits longer for one stop has left a member half dead.
const GRACE_MAX_SECS: f64 = 3600.0;

pub(super) fn check(check: &mut Check<'_>, c: usize, cluster: &ClusterFile, packs: &Packs) {
    let path = |key| ["clusters".into(), c.into(), Step::Key(key)];
    if cluster.nodes.is_empty() {
        let message = format!("the cluster `{}` has no node", cluster.name);
        check.error(&path("nodes"), "cluster-empty", message, None);
    }
    if let Some(defaults) = &cluster.defaults {
        let at = |key| ["clusters".into(), c.into(), "defaults".into(), Step::Key(key)];
        if let Some(group) = &defaults.group {
            check.name(&at("group"), "group", group.as_str());
        }
        grace(check, &at("grace_secs"), defaults.grace_secs);
        if let Some(unit) = &defaults.service {
            packages(check, &at("service"), &unit.packages);
        }
    }
    if let Some(tls) = &cluster.tls
        && tls.cert.is_some() != tls.key.is_some()
    {
        let message = "a client certificate needs both `cert` and `key`";
        check.error(&path("tls"), "tls", message, None);
    }
    for (t, template) in cluster.config.iter().enumerate() {
        let at = ["clusters".into(), c.into(), "config".into(), t.into(), Step::Key("path")];
        if !template.path.starts_with('/') && !template.path.starts_with("{{") {
            let message = format!("`{}` is no place on a host", template.path);
            let hint = "give the whole path: `/etc/etcd.yml`, or `{{ node.data_dir }}.yml`";
            check.error(&at, "template-path", message, Some(hint.into()));
        }
        let same = cluster.config.iter().take(t).any(|other| other.path == template.path);
        if same {
            let message = format!("two templates make `{}`", template.path);
            check.error(&at, "template-path", message, None);
        }
    }
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for (n, node) in cluster.nodes.iter().enumerate() {
        let at = |key| ["clusters".into(), c.into(), "nodes".into(), n.into(), Step::Key(key)];
        check.name(&at("name"), "node", node.name.as_str());
        if let Some(before) = names.insert(node.name.as_str(), n) {
            let first = ["clusters".into(), c.into(), "nodes".into(), before.into(), "name".into()];
            let line = check.line(&first);
            let message = format!("another node of `{}` is called `{}`", cluster.name, node.name);
            check.error(
                &at("name"),
                "duplicate-node",
                message,
                Some(format!("the first is on line {line}")),
            );
        }
        if let Some(group) = &node.group {
            check.name(&at("group"), "group", group.as_str());
        }
        let who = format!("{}/{}", cluster.name, node.name);
        let defaults = cluster.defaults.as_ref();
        let own = node.host.as_ref().or_else(|| defaults.and_then(|d| d.host.as_ref()));
        let host = match own {
            Some(HostFile::Ssh(name)) => Some(name.as_str()),
            Some(HostFile::Local) | None => None,
        };
        if let Some(name) = host.filter(|name| {
            name.is_empty() || name.starts_with('-') || name.contains(char::is_whitespace)
        }) {
            let message = format!("`{name}` cannot be the name of a host");
            let hint = "write it as for `ssh`: `{ssh: db-1}`, `{ssh: anna@db-1}`";
            check.error(&at("host"), "bad-host", message, Some(hint.into()));
        }
        let whose = Whose { who: &who, host };
        endpoints(check, &at("endpoints"), &whose, node, needed(cluster, packs));
        if let Some(dir) = &node.data_dir {
            let dir = whose.path(check, &at("data_dir"), dir);
            check.alone(&at("data_dir"), "the data folder", dir, &who);
        }
        if let Some(one) = &node.service {
            service(check, &at("service"), &whose, one);
        }
    }
}

/// A node, and the host of SSH that its files lie on.
struct Whose<'a> {
    who: &'a str,
    host: Option<&'a str>,
}

impl Whose<'_> {
    /// What is the same on two hosts is not shared by them.
    fn there(&self, value: String) -> String {
        match self.host {
            Some(host) => format!("{value} on {host}"),
            None => value,
        }
    }
    /// A path as the fleet will have it. On another host it must be whole: this file does not lie there.
    fn path(&self, check: &mut Check<'_>, at: &[Step<'_>], path: &Path) -> String {
        if self.host.is_some() && !path.is_absolute() {
            let message = format!("`{}` is no whole path on a host of SSH", path.display());
            let hint =
                "begin it with `/`: only on this machine paths are relative to the fleet file";
            check.error(at, "relative-path", message, Some(hint.into()));
        }
        self.there(check.resolved(path))
    }
}

/// Whether an address means the host that says it.
fn is_loopback(address: &str) -> bool {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    ["127.", "localhost", "[::1]"].iter().any(|own| rest.starts_with(own))
}

/// The endpoint that the pack's detection goes to.
fn needed<'p>(cluster: &ClusterFile, packs: &'p Packs) -> Option<&'p str> {
    packs.get(&cluster.pack)?.detect.as_ref().map(|detect| detect.endpoint.as_str())
}

fn endpoints(
    check: &mut Check<'_>,
    path: &[Step<'_>],
    whose: &Whose<'_>,
    node: &NodeFile,
    needed: Option<&str>,
) {
    let who = whose.who;
    for (purpose, address) in &node.endpoints {
        let at: Vec<_> = path.iter().copied().chain([Step::Key(purpose)]).collect();
        match url::wrong_with(address) {
            // The address is not repeated: what stands before the `@` may be a password.
            Some(_) if address.contains('@') => {
                let message =
                    format!("the endpoint `{purpose}` of `{who}` has a user in its address");
                let hint =
                    "name the user under `auth`, and its password by file or environment variable";
                check.error(&at, SECRET_IN_FILE, message, Some(hint.into()));
            }
            Some(because) => {
                let message = format!("`{address}` is no address of a member: {because}");
                check.error(
                    &at,
                    "bad-endpoint",
                    message,
                    Some("write `http://127.0.0.1:2379`".into()),
                );
            }
            None => {
                let address = address.trim_end_matches('/').to_lowercase();
                let address = match is_loopback(&address) {
                    true => whose.there(address),
                    false => address,
                };
                check.alone(&at, "the address", address, who);
            }
        }
    }
    let Some(needed) =
        needed.filter(|needed| !needed.is_empty() && !node.endpoints.contains_key(*needed))
    else {
        return;
    };
    let near = nearest(needed, node.endpoints.keys().map(String::as_str));
    let hint = near.map(|near| format!("is `{near}` it?"));
    check.error(path, "no-endpoint", format!("the node `{who}` has no endpoint `{needed}`"), hint);
}

fn service(check: &mut Check<'_>, path: &[Step<'_>], whose: &Whose<'_>, service: &ServiceFile) {
    let at = |key| path.iter().copied().chain([Step::Key(key)]).collect::<Vec<_>>();
    grace(check, &at("grace_secs"), service.grace_secs);
    match service.kind {
        ServiceKind::Systemd => unit(check, path, service),
        ServiceKind::Process => process(check, path, whose, service),
    }
}

fn unit(check: &mut Check<'_>, path: &[Step<'_>], service: &ServiceFile) {
    let at = |key| path.iter().copied().chain([Step::Key(key)]).collect::<Vec<_>>();
    match &service.unit {
        None => check.error(
            path,
            "service",
            "the service has no `unit`",
            Some("name it: `unit: etcd.service`".into()),
        ),
        Some(unit)
            if unit.starts_with('-')
                || unit.contains(|c: char| c.is_whitespace() || c == '/')
                || unit.is_empty() =>
        {
            check.error(
                &at("unit"),
                "service",
                format!("`{unit}` cannot be the name of a unit"),
                None,
            );
        }
        Some(_) => {}
    }
    match &service.binary {
        Some(binary) if binary.is_absolute() => {}
        _ => {
            let hint = "name the file that the unit runs, whole, because the swap replaces it: `binary: /usr/bin/etcd`";
            check.error(path, "service", "the service has no `binary`", Some(hint.into()));
        }
    }
    packages(check, path, &service.packages);
    let others = [
        ("argv", !service.argv.is_empty()),
        ("env", !service.env.is_empty()),
        ("pid_file", service.pid_file.is_some()),
        ("log_file", service.log_file.is_some()),
        ("work_dir", service.work_dir.is_some()),
    ];
    for (key, _) in others.into_iter().filter(|(_, said)| *said) {
        let message = format!("a unit has no `{key}` here: its own files say that");
        check.error(&at(key), "service", message, None);
    }
}

/// Names of packages as Debian has them: nothing else may reach a command on a host.
fn packages(check: &mut Check<'_>, path: &[Step<'_>], packages: &[String]) {
    for (nth, package) in packages.iter().enumerate() {
        let at: Vec<_> = path.iter().copied().chain([Step::Key("packages"), nth.into()]).collect();
        let fine = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.')
        };
        let begins = package.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if !begins || package.len() < 2 || !package.bytes().all(fine) {
            let message = format!("`{package}` cannot be the name of a Debian package");
            let hint = "`dpkg -S BINARY` on the host says which it is: `packages: [etcd-server]`";
            check.error(&at, "service", message, Some(hint.into()));
        } else if packages[..nth].contains(package) {
            let message = format!("`{package}` is named twice");
            check.error(&at, "service", message, None);
        }
    }
}

fn process(check: &mut Check<'_>, path: &[Step<'_>], whose: &Whose<'_>, service: &ServiceFile) {
    let at = |key| path.iter().copied().chain([Step::Key(key)]).collect::<Vec<_>>();
    match service.argv.first() {
        None => check.error(&at("argv"), "service", "the service has no command", None),
        Some(binary) if !binary.contains('/') || binary.ends_with('/') => {
            let message = format!("`{binary}` is no path to a binary");
            let hint = "the swap replaces this file, so it must be named whole: `bin/etcd`, `/opt/etcd/etcd`";
            check.error(&at("argv"), "service", message, Some(hint.into()));
        }
        Some(binary) => {
            whose.path(check, &at("argv"), Path::new(binary));
        }
    }
    if !service.packages.is_empty() {
        let message = "a process has no `packages`: only a unit's program comes with some";
        check.error(&at("packages"), "service", message, None);
    }
    for (key, file) in [("pid_file", &service.pid_file), ("log_file", &service.log_file)] {
        match file {
            None => check.error(path, "service", format!("the service has no `{key}`"), None),
            Some(file) => {
                let file = whose.path(check, &at(key), file);
                if key == "pid_file" {
                    check.alone(&at(key), "the pid file", file, whose.who);
                }
            }
        }
    }
    for (key, _) in [("unit", service.unit.is_some()), ("binary", service.binary.is_some())]
        .into_iter()
        .filter(|(_, said)| *said)
    {
        let message = format!("a plain process has no `{key}`");
        let hint = "is it `kind: systemd`?";
        check.error(&at(key), "service", message, Some(hint.into()));
    }
    for name in service.env.keys() {
        if name.is_empty() || name.contains(['=', '\0']) {
            let message = format!("`{name}` cannot be the name of an environment variable");
            check.error(&at("env"), "service", message, None);
        }
    }
}

fn grace(check: &mut Check<'_>, path: &[Step<'_>], secs: Option<f64>) {
    if let Some(secs) = secs.filter(|secs| !(0.0..=GRACE_MAX_SECS).contains(secs)) {
        let message = format!("{secs} seconds are no grace: give 0 to {GRACE_MAX_SECS}");
        check.error(path, "service", message, None);
    }
}
