//! Ansible: what `ansible-inventory --list` and dynamic inventories print. Groups with hosts, children and variables, and
//! `_meta.hostvars`.
//!
//! Invariant: only variables that the source names, and those that say how a host is reached, are read. Inventories hold secrets.

use super::{AnswerError, ListedHost, Source, from_ssh_name, scalar};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// Groups that every host is in, so that they say nothing.
const SAYS_NOTHING: [&str; 2] = ["all", "ungrouped"];
/// Variables that mean what they are called, so that nobody has to name them.
const PLAIN: [&str; 7] = ["environment", "env", "role", "sub_role", "state", "datacenter", "dc"];

pub(super) fn read(source: &Source, value: &Value) -> Result<Vec<ListedHost>, AnswerError> {
    let wrong = |what: String| {
        AnswerError::new(
            format!("it printed no inventory of Ansible: {what}"),
            "look at what it prints: groups with `hosts`, `children` and `vars`, and `_meta` with `hostvars`",
        )
    };
    let groups = value.as_object().ok_or_else(|| wrong("it is no map of groups".into()))?;
    let hostvars = value.pointer("/_meta/hostvars").and_then(Value::as_object);
    let mut inventory = Inventory { groups: BTreeMap::new() };
    for (name, group) in groups.iter().filter(|(name, _)| *name != "_meta") {
        let group = Group::read(group)
            .ok_or_else(|| wrong(format!("`{name}` is neither a list of hosts nor a group")))?;
        inventory.groups.insert(name.clone(), group);
    }
    let mut names: Vec<&String> = Vec::new();
    let mut seen = BTreeSet::new();
    let listed = inventory.groups.values().flat_map(|group| &group.hosts);
    for name in listed.chain(hostvars.into_iter().flat_map(Map::keys)) {
        if seen.insert(name) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names.into_iter().map(|name| inventory.host(source, name, hostvars)).collect())
}

/// A group as it was printed.
#[derive(Default)]
struct Group {
    hosts: Vec<String>,
    children: Vec<String>,
    vars: Map<String, Value>,
}

impl Group {
    fn read(value: &Value) -> Option<Self> {
        let texts = |value: &Value| {
            value.as_array()?.iter().map(|one| one.as_str().map(str::to_owned)).collect()
        };
        // The old shape: a bare list of hosts.
        if value.is_array() {
            return Some(Self { hosts: texts(value)?, ..Self::default() });
        }
        let map = value.as_object()?;
        let list = |key: &str| map.get(key).map_or(Some(Vec::new()), texts);
        let vars = map.get("vars").and_then(Value::as_object).cloned().unwrap_or_default();
        Some(Self { hosts: list("hosts")?, children: list("children")?, vars })
    }
}

struct Inventory {
    groups: BTreeMap<String, Group>,
}

impl Inventory {
    /// The groups that a host is in, directly or through children, the nearest first.
    fn groups_of(&self, host: &str) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        let mut open: Vec<&str> = self
            .groups
            .iter()
            .filter(|(_, group)| group.hosts.iter().any(|one| one == host))
            .map(|(name, _)| name.as_str())
            .collect();
        while !open.is_empty() {
            let new: Vec<&str> =
                open.into_iter().filter(|name| !found.iter().any(|known| known == name)).collect();
            found.extend(new.iter().map(|name| (*name).to_owned()));
            let is_parent =
                |group: &Group| group.children.iter().any(|child| new.contains(&child.as_str()));
            open = self
                .groups
                .iter()
                .filter(|(name, group)| is_parent(group) && !found.contains(name))
                .map(|(name, _)| name.as_str())
                .collect();
        }
        found
    }

    /// A host. Its own variables win over those of its groups, and near groups over far ones.
    fn host(
        &self,
        source: &Source,
        name: &str,
        hostvars: Option<&Map<String, Value>>,
    ) -> ListedHost {
        let own = hostvars.and_then(|all| all.get(name)).and_then(Value::as_object);
        let mut groups = self.groups_of(name);
        let everybody = self.groups.get("all").map(|group| &group.vars);
        let inherited = groups.iter().filter_map(|group| Some(&self.groups.get(group)?.vars));
        let layers: Vec<&Map<String, Value>> =
            own.into_iter().chain(inherited).chain(everybody).collect();
        let var = |key: &str| layers.iter().find_map(|vars| scalar(vars.get(key)?));
        let reached = var("ansible_host").unwrap_or_else(|| name.to_owned());
        let user = var("ansible_user").map(|user| format!("{user}@")).unwrap_or_default();
        let port = var("ansible_port").map(|port| format!(":{port}")).unwrap_or_default();
        let mut host = from_ssh_name(source, &format!("{user}{reached}{port}"));
        name.clone_into(&mut host.name);
        if host.addresses.is_empty() && name.parse::<IpAddr>().is_ok() {
            host.addresses.push(name.to_owned());
        }
        if var("ansible_connection").as_deref() == Some("local") {
            host.host = quorate_model::Host::Local;
        }
        groups.retain(|group| !SAYS_NOTHING.contains(&group.as_str()));
        groups.sort();
        host.groups = groups;
        for key in source.labels.iter().map(String::as_str).chain(PLAIN) {
            if let Some(value) = var(key) {
                host.labels.insert(key.to_owned(), value);
            }
        }
        host
    }
}
