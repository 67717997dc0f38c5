//! How closely a look is taken: what is asked, and how long an answer may take.

use quorate_packs::{Detect, Probe};
use std::{collections::BTreeSet, time::Duration};

/// How closely a look is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Depth {
    /// What gates always need: no costly probe.
    Gate,
    /// A gate that also needs these facts or fields; costly probes that give one of them are asked.
    GateFor(BTreeSet<String>),
    /// Everything, for detection and planning.
    Full,
}

/// A costly answer, such as a hash over all data, may take this long.
const SLOW_LIMIT: Duration = Duration::from_secs(5);

impl Depth {
    /// The depth that conditions need: costly probes are asked only when one of them is named.
    pub fn for_conditions<'a>(
        detect: &Detect,
        conditions: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let named: BTreeSet<&str> = conditions.into_iter().flat_map(words).collect();
        let costly: Vec<&Probe> =
            detect.node.iter().chain(&detect.cluster).filter(|p| p.costly).collect();
        let fields = detect.fields.iter().filter(|(name, _)| named.contains(name.as_str()));
        let fed: BTreeSet<&str> =
            fields.flat_map(|(_, cel)| words(cel)).chain(named.iter().copied()).collect();
        let wanted: BTreeSet<String> = costly
            .iter()
            .flat_map(|probe| probe.facts.keys())
            .filter(|fact| fed.contains(fact.as_str()))
            .cloned()
            .collect();
        if wanted.is_empty() { Self::Gate } else { Self::GateFor(wanted) }
    }

    /// Whether this probe is asked.
    pub(crate) fn asks(&self, probe: &Probe) -> bool {
        match self {
            Self::Full => true,
            Self::Gate => !probe.costly,
            Self::GateFor(wanted) => {
                !probe.costly || probe.facts.keys().any(|fact| wanted.contains(fact))
            }
        }
    }

    /// Whether a look of this depth asks all that one of the other depth would ask.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Full, _) | (_, Self::Gate) => true,
            (Self::GateFor(own), Self::GateFor(wanted)) => own.is_superset(wanted),
            (Self::Gate, _) | (Self::GateFor(_), Self::Full) => false,
        }
    }

    /// Whether everything is looked at.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Full)
    }

    /// One answer may take this long. At a gate a second: a member that is slower than that is not caught up, and the
    /// next look comes soon; an election in the middle must not blind it for longer. What is costly, and a full look, may
    /// take five: a store under load may need them.
    pub(crate) fn probe_limit(&self, probe: &Probe) -> Duration {
        match self {
            Self::Gate | Self::GateFor(_) if !probe.costly => Duration::from_secs(1),
            Self::Gate | Self::GateFor(_) | Self::Full => SLOW_LIMIT,
        }
    }

    /// All answers of one node together may take this long; what was not asked by then is not seen.
    pub(crate) fn node_limit(&self) -> Duration {
        match self {
            Self::Gate => Duration::from_secs(3),
            Self::GateFor(_) | Self::Full => SLOW_LIMIT * 3,
        }
    }
}

/// Names in an expression.
fn words(cel: &str) -> impl Iterator<Item = &str> {
    cel.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

/// Whether a probe speaks of this name: in its condition, its question or its facts. Probes that do not speak of what
/// earlier ones found can be asked at the same time.
pub(crate) fn speaks_of(probe: &Probe, name: &str) -> bool {
    let ask = serde_json::to_string(&probe.ask).unwrap_or_else(|_| name.to_owned());
    let mut expressions = probe.when.iter().chain(probe.facts.values()).map(String::as_str);
    expressions.any(|text| words(text).any(|word| word == name))
        || ask.split("{{").skip(1).any(|part| {
            let inside = part.split("}}").next().unwrap_or(part);
            words(inside).any(|word| word == name)
        })
}

/// Whether a probe speaks of a fact that the other one gives, and so has to wait for its answer.
pub(crate) fn waits_for(probe: &Probe, other: &Probe) -> bool {
    let ask = serde_json::to_string(&probe.ask).unwrap_or_default();
    let inside = ask.split("{{").skip(1).filter_map(|part| part.split("}}").next());
    let expressions = probe.when.iter().chain(probe.facts.values()).map(String::as_str);
    expressions.chain(inside).flat_map(named_facts).any(|named| match named {
        Some(name) => other.facts.contains_key(name),
        // Facts as a whole, or by a name that is made up while it is read: any could be meant.
        None => true,
    })
}

/// Names that an expression reads as `facts.NAME`; none for another use of `facts`.
fn named_facts(cel: &str) -> impl Iterator<Item = Option<&str>> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    cel.match_indices("facts").filter_map(move |(at, word)| {
        let rest = &cel[at + word.len()..];
        if cel[..at].ends_with(is_word) || rest.starts_with(is_word) {
            return None;
        }
        let name = rest.strip_prefix('.').and_then(|rest| rest.split(|c| !is_word(c)).next());
        Some(name.filter(|name| !name.is_empty()))
    })
}

/// Whether an expression speaks of the single node, `node`, and not only of `nodes` and `cluster`.
pub(crate) fn speaks_of_node(cel: &str) -> bool {
    words(cel).any(|word| word == "node")
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_packs::{CallTemplate, ProcessForm};
    use std::collections::BTreeMap;

    fn probe(id: &str, fact: &str, costly: bool) -> Probe {
        Probe {
            id: id.into(),
            releases: None,
            when: None,
            ask: CallTemplate::File { path: "/x".into() },
            facts: BTreeMap::from([(fact.into(), "text".into())]),
            optional: true,
            costly,
        }
    }

    fn detect() -> Detect {
        Detect {
            endpoint: "client".into(),
            process: ProcessForm {
                names: Vec::new(),
                env_prefix: None,
                file_setting: None,
                data_setting: None,
                more_data_settings: Vec::new(),
                peer_setting: None,
                name_setting: None,
                own_settings: Vec::new(),
                secret_settings: Vec::new(),
            },
            node: vec![
                probe("cheap", "leader", false),
                probe("hash", "hash", true),
                probe("v2", "v2_keys", true),
            ],
            cluster: Vec::new(),
            fields: BTreeMap::from([("data_hash".into(), "string(facts.hash)".into())]),
            auth: Vec::new(),
            tool_user_env: None,
            members: None,
            findings: Vec::new(),
        }
    }

    fn asked(conditions: &[&str]) -> Vec<String> {
        let detect = detect();
        let depth = Depth::for_conditions(&detect, conditions.iter().copied());
        detect.node.iter().filter(|probe| depth.asks(probe)).map(|probe| probe.id.clone()).collect()
    }

    #[test]
    fn a_gate_asks_for_costly_facts_only_when_it_names_them() {
        assert_eq!(asked(&["node.healthy", "cluster.leader != null"]), ["cheap"]);
        assert_eq!(asked(&["nodes.all(n, n.data_hash == node.data_hash)"]), ["cheap", "hash"]);
        assert_eq!(asked(&["node.v2_keys == 0"]), ["cheap", "v2"]);
    }

    #[test]
    fn knows_which_probes_wait_for_others() {
        let mut one = probe("alarms", "alarms", false);
        let (gives_id, gives_body) = (probe("a", "id", false), probe("b", "body", false));
        assert!(!waits_for(&one, &gives_id));
        one.facts.insert("own".into(), "body.a.filter(x, x.id == facts.id && x.body)".into());
        assert!(waits_for(&one, &gives_id) && !waits_for(&one, &gives_body));
        one.facts.insert("own".into(), "own_facts.id".into());
        assert!(!waits_for(&one, &gives_id));
        one.when = Some("facts.size() > 0 && !has(facts.body)".into());
        assert!(!waits_for(&one, &gives_id) && waits_for(&one, &gives_body));
        one.when = Some("'body' in facts".into());
        assert!(waits_for(&one, &gives_id) && waits_for(&one, &gives_body), "it may mean any");
        one.when = None;
        one.facts.clear();
        one.ask = CallTemplate::File { path: "/{{ facts.id }}/x/facts.body".into() };
        assert!(waits_for(&one, &gives_id) && !waits_for(&one, &gives_body));
        one.ask = CallTemplate::File { path: "/{{ facts.dir }}/x".into() };
        assert!(speaks_of(&one, "facts") && !speaks_of(&one, "cluster"));
        one.ask = CallTemplate::File { path: "/{{ x }}/cluster/facts".into() };
        assert!(
            !speaks_of(&one, "facts") && !speaks_of(&one, "cluster"),
            "a word of an address is no name"
        );
    }

    #[test]
    fn tells_node_from_nodes() {
        assert!(speaks_of_node("node.healthy"));
        assert!(!speaks_of_node("nodes.all(n, n.healthy)"));
    }
}
