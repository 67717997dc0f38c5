//! A fleet file that takes its hosts from inventories of Ansible: what `init --ansible` writes for people to go on with.
//!
//! Invariant: it can be read as it is, and declares no cluster yet. Which port a product answers at, nobody has said.

use crate::{hosts::ListedHost, write::quote};
use quorate_packs::Packs;
use std::{collections::BTreeMap, path::PathBuf};

/// Hosts of a group that a comment names.
const NAMED_MAX: usize = 4;

/// Writes the file. Groups that were seen stand in it as comments, and a group that is called as a product as a cluster to fill in.
pub fn write_ansible(name: &str, paths: &[PathBuf], hosts: &[ListedHost], packs: &Packs) -> String {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for host in hosts {
        for group in &host.groups {
            groups.entry(group).or_default().push(&host.name);
        }
    }
    let mut lines = vec![
        "# A fleet file of Quorate: what is declared. `quorate inventory` shows how it is read.".to_owned(),
        "schema: 1".to_owned(),
        format!("fleet: {}", quote(name)),
        String::new(),
        "# Read through `ansible-inventory --list`. Variables are kept when they are named: `labels: [rack]`.".to_owned(),
        "inventory:".to_owned(),
        "  - name: ansible".to_owned(),
        "    ansible:".to_owned(),
    ];
    lines
        .extend(paths.iter().map(|path| format!("      - {}", quote(&path.display().to_string()))));
    lines.push(String::new());
    lines.push(format!("# Groups of its {} hosts:", hosts.len()));
    for (group, names) in &groups {
        let shown: Vec<&str> = names.iter().take(NAMED_MAX).copied().collect();
        let more = if names.len() > NAMED_MAX { ", ..." } else { "" };
        lines.push(format!("#   {group}: {} ({}{more})", names.len(), shown.join(", ")));
    }
    if groups.is_empty() {
        lines.push("#   none".to_owned());
    }
    lines.push("# A group becomes the nodes of a cluster. Say where its members answer, and how they are restarted:".to_owned());
    lines.push("clusters: []".to_owned());
    let fits = |group: &str| packs.get(&group.into()).is_some();
    let group = groups
        .keys()
        .find(|group| fits(group))
        .or_else(|| groups.keys().next())
        .copied()
        .unwrap_or("etcd");
    let pack = if fits(group) { group } else { "etcd" };
    let endpoint = packs.get(&pack.into()).and_then(|pack| pack.detect.as_ref());
    let endpoint = endpoint.map_or("client", |detect| detect.endpoint.as_str());
    lines.extend([
        format!("#  - name: {}", quote(group)),
        format!("#    pack: {pack}"),
        "#    defaults:".to_owned(),
        format!("#      service: {{unit: {pack}.service, binary: /usr/bin/{pack}}}"),
        "#    nodes_from:".to_owned(),
        format!("#      - select: {}", quote(&format!("group={group}"))),
        format!("#        endpoints: {{{endpoint}: \"http://{{{{ address }}}}:PORT\"}}"),
    ]);
    lines.join("\n") + "\n"
}
