//! Nodes: names, groups, addresses, files, services.

use super::{Check, url};
use crate::file::{ClusterFile, NodeFile, ServiceFile};
use quorate_packs::Packs;
use quorate_syntax::{SECRET_IN_FILE, Step, nearest};
use std::collections::BTreeMap;

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
    }
    if let Some(tls) = &cluster.tls
        && tls.cert.is_some() != tls.key.is_some()
    {
        let message = "a client certificate needs both `cert` and `key`";
        check.error(&path("tls"), "tls", message, None);
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
        endpoints(check, &at("endpoints"), &who, node, needed(cluster, packs));
        if let Some(dir) = &node.data_dir {
            let dir = check.resolved(dir);
            check.alone(&at("data_dir"), "the data folder", dir, &who);
        }
        if let Some(one) = &node.service {
            service(check, &at("service"), &who, one);
        }
    }
}

/// The endpoint that the pack's detection goes to.
fn needed<'p>(cluster: &ClusterFile, packs: &'p Packs) -> Option<&'p str> {
    packs.get(&cluster.pack)?.detect.as_ref().map(|detect| detect.endpoint.as_str())
}

fn endpoints(
    check: &mut Check<'_>,
    path: &[Step<'_>],
    who: &str,
    node: &NodeFile,
    needed: Option<&str>,
) {
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

fn service(check: &mut Check<'_>, path: &[Step<'_>], who: &str, service: &ServiceFile) {
    let at = |key| path.iter().copied().chain([Step::Key(key)]).collect::<Vec<_>>();
    match service.argv.first() {
        None => check.error(&at("argv"), "service", "the service has no command", None),
        Some(binary) if !binary.contains('/') || binary.ends_with('/') => {
            let message = format!("`{binary}` is no path to a binary");
            let hint = "the swap replaces this file, so it must be named whole: `bin/etcd`, `/opt/etcd/etcd`";
            check.error(&at("argv"), "service", message, Some(hint.into()));
        }
        Some(_) => {}
    }
    let pid_file = check.resolved(&service.pid_file);
    check.alone(&at("pid_file"), "the pid file", pid_file, who);
    grace(check, &at("grace_secs"), service.grace_secs);
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
