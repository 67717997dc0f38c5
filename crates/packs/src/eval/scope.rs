//! What a condition sees: `node`, `nodes`, `cluster`, `from`, `to`. Built once for an observation, cloned for nothing.

use super::{
    uses::{CLUSTER_FIELDS, NODE_FIELDS},
    values::{self, Fields, Owned},
};
use crate::PackFile;
use cel::{
    common::{
        types::CelList,
        value::{CowVal, Val},
    },
    context::VariableResolver,
};
use quorate_model::{
    Facts, NEEDS, NodeName, NodeObservation, Observation, Reach, Release, Role, Setting,
    SettingSource,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The variables of a condition. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    nodes: Option<Variable>,
    cluster: Option<Variable>,
    from: Option<Variable>,
    to: Option<Variable>,
    /// Variables by any other name.
    others: Arc<BTreeMap<String, Variable>>,
    names: Arc<Vec<NodeName>>,
    node: Option<usize>,
}

/// One variable.
type Variable = Arc<Owned>;

impl Scope {
    /// A scope over one look at a cluster.
    pub fn cluster(
        pack: &PackFile,
        seen: &Observation,
        from: Option<&Release>,
        to: Option<&Release>,
    ) -> Self {
        let nodes = seen.nodes.iter().map(|node| node_value(pack, node)).collect();
        let names = seen.nodes.iter().map(|node| node.name.clone()).collect();
        let mut scope = Self { names: Arc::new(names), ..Self::default() };
        scope.set("nodes", values::list(nodes));
        scope.set("cluster", cluster_value(seen));
        scope.releases(from, to)
    }

    /// A scope over facts alone, for a path on paper: no node was looked at.
    pub fn paper(facts: &Facts, from: Option<&Release>, to: Option<&Release>) -> Self {
        let mut scope = Self::default();
        let mut fields = Fields::new();
        add_facts(&mut fields, facts);
        scope.set("cluster", values::map(fields));
        scope.releases(from, to)
    }

    /// A scope over plain variables.
    pub fn of(vars: &BTreeMap<String, serde_json::Value>) -> Self {
        let mut scope = Self::default();
        for (name, value) in vars {
            scope.set(name, values::from_json(value));
        }
        scope
    }

    /// The same, looking at one of its nodes. A name that is not there leaves `node` unknown.
    #[must_use]
    pub fn with_node(&self, node: &NodeName) -> Self {
        let node = self.names.iter().position(|name| name == node);
        Self { node, ..self.clone() }
    }

    /// The same with a variable added or replaced.
    #[must_use]
    pub fn with(&self, name: &str, value: &serde_json::Value) -> Self {
        let mut scope = self.clone();
        scope.set(name, values::from_json(value));
        scope
    }

    /// The same for another hop.
    #[must_use]
    pub fn with_releases(&self, from: Option<&Release>, to: Option<&Release>) -> Self {
        self.clone().releases(from, to)
    }

    fn releases(mut self, from: Option<&Release>, to: Option<&Release>) -> Self {
        let text = |release: &Release| Arc::new(values::text(release.to_string()));
        self.from = from.map(text);
        self.to = to.map(text);
        self
    }

    fn set(&mut self, name: &str, value: Owned) {
        let value = Arc::new(value);
        match name {
            "nodes" => self.nodes = Some(value),
            "cluster" => self.cluster = Some(value),
            "from" => self.from = Some(value),
            "to" => self.to = Some(value),
            other => drop(Arc::make_mut(&mut self.others).insert(other.to_owned(), value)),
        }
    }
}

impl VariableResolver for Scope {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let known = match (variable, self.node) {
            ("node", Some(index)) => {
                let nodes = self.nodes.as_ref()?;
                return nodes.downcast_ref::<CelList<'_>>()?.inner().get(index).map(borrow);
            }
            ("nodes", _) => self.nodes.as_ref(),
            ("cluster", _) => self.cluster.as_ref(),
            ("from", _) => self.from.as_ref(),
            ("to", _) => self.to.as_ref(),
            _ => self.others.get(variable),
        };
        known.map(|value| borrow(value))
    }
}

fn borrow<'b>(value: &'b Owned) -> CowVal<'b, 'b> {
    let value: &'b (dyn Val + 'static) = &**value;
    CowVal::Borrowed(value)
}

fn add_facts(fields: &mut Fields, facts: &Facts) {
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_null()) {
        fields.insert(values::key(name.clone()), values::from_json(value));
    }
}

fn node_value(pack: &PackFile, seen: &NodeObservation) -> Owned {
    let mut fields = Fields::with_capacity(NODE_FIELDS.len() + seen.facts.len());
    add_facts(&mut fields, &seen.facts);
    let mut set = |name: &'static str, value: Option<Owned>| {
        if let Some(value) = value {
            fields.insert(values::key(name), value);
        }
    };
    set("name", Some(values::text(seen.name.as_str())));
    set("group", Some(values::text(seen.group.as_str())));
    set("reachable", Some(values::boolean(seen.reach == Reach::Reachable)));
    set("role", Some(values::word(role_name(seen.role))));
    set("alarms", Some(values::list(seen.alarms.iter().map(values::text).collect())));
    set("release", seen.release.as_ref().map(|r| values::text(r.to_string())));
    set("disk_release", seen.disk_release.as_ref().map(|r| values::text(r.to_string())));
    set("member_id", seen.member_id.as_ref().map(values::text));
    set("voter", seen.voter.map(values::boolean));
    set("healthy", seen.healthy.map(values::boolean));
    set("applied_index", seen.applied_index.map(values::number));
    set("lag", seen.lag.map(values::number));
    set("store", seen.store.as_ref().map(values::text));
    set("tls", seen.tls.map(values::boolean));
    set("data_hash", seen.data_hash.as_ref().map(values::text));
    set("hash_revision", seen.hash_revision.map(values::number));
    set("os", seen.os.as_ref().map(values::text));
    set("config_file", seen.config_file.as_ref().map(|file| values::text(&file.path)));
    set("config_digest", seen.config_digest.as_ref().map(|d| values::text(d.as_str())));
    let settings =
        effective(seen).map(|s| (values::key(plain_setting(pack, &s.key)), values::text(&s.value)));
    set("settings", Some(values::map(settings.collect())));
    values::map(fields)
}

/// The settings that count, the winning one of each name last: a file stands alone, without one a flag wins over a variable.
fn effective(seen: &NodeObservation) -> impl Iterator<Item = &Setting> {
    let by_file = seen.config_file.is_some();
    let of = |source: SettingSource| {
        seen.settings.iter().filter(move |setting| setting.source == source)
    };
    let beside = [SettingSource::Env, SettingSource::Flag].into_iter().flat_map(of);
    beside.filter(move |_| !by_file).chain(of(SettingSource::File))
}

/// A setting's plain name: `--log-output`, `ETCD_LOG_OUTPUT` and `log-output` are one.
fn plain_setting(pack: &PackFile, key: &str) -> String {
    let prefix = pack.detect.as_ref().and_then(|detect| detect.process.env_prefix.as_deref());
    let bare = prefix.filter(|p| !p.is_empty()).and_then(|prefix| key.strip_prefix(prefix));
    match bare {
        Some(bare) => bare.to_lowercase().replace('_', "-"),
        None => key.trim_start_matches('-').to_owned(),
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Leader => "leader",
        Role::Follower => "follower",
        Role::Learner => "learner",
        Role::Candidate => "candidate",
        Role::Client => "client",
        Role::Unknown => "unknown",
    }
}

fn cluster_value(seen: &Observation) -> Owned {
    let mut fields = Fields::with_capacity(CLUSTER_FIELDS.len() + seen.facts.len());
    let voters = seen.nodes.iter().filter(|node| node.is_voter()).count();
    let healthy = seen.nodes.iter().filter(|node| node.is_voter() && node.is_healthy()).count();
    let count = |n: usize| values::number(u64::try_from(n).unwrap_or(u64::MAX));
    let leader = seen.nodes.iter().find(|node| node.role == Role::Leader);
    let releases: BTreeSet<_> =
        seen.nodes.iter().filter_map(|node| node.release.as_ref()).collect();
    for (name, value) in [
        ("name", values::text(seen.cluster.as_str())),
        ("size", count(seen.nodes.len())),
        ("voters", count(voters)),
        ("healthy_voters", count(healthy)),
        ("quorum", count(voters / 2 + 1)),
        ("leader", leader.map_or_else(values::null, |node| values::text(node.name.as_str()))),
        (
            "releases",
            values::list(releases.into_iter().map(|r| values::text(r.to_string())).collect()),
        ),
        // Told by whoever looked, when applications were declared.
        (NEEDS, seen.facts.get(NEEDS).map_or_else(|| values::list(Vec::new()), values::from_json)),
    ] {
        fields.insert(values::key(name), value);
    }
    // What observation itself counts goes before a fact of the same name.
    for (name, value) in seen.facts.iter().filter(|(_, value)| !value.is_null()) {
        fields.entry(values::key(name.clone())).or_insert_with(|| values::from_json(value));
    }
    values::map(fields)
}
