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
    /// Nothing but the probes that give one of these facts, and nothing of the host: for a question that is asked again and
    /// again while a member changes.
    Only(BTreeSet<String>),
}

/// What is known of a member from its host alone. A gate that names one of these needs the hosts of all members.
const FROM_THE_HOST: [&str; 7] =
    ["process", "settings", "place", "config_digest", "config_file", "disk_release", "os"];

/// A costly answer, such as a hash over all data, may take this long.
const SLOW_LIMIT: Duration = Duration::from_secs(5);

impl Depth {
    /// The depth that conditions need: costly probes are asked only when one of them is named.
    pub fn for_conditions<'a>(
        detect: &Detect,
        conditions: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let conditions: Vec<&str> = conditions.into_iter().collect();
        let named: BTreeSet<&str> = conditions.iter().copied().flat_map(words).collect();
        let of_hosts = FROM_THE_HOST.iter().filter(|field| named.contains(*field));
        let mut wanted = facts_needed(detect, conditions, |probe| probe.costly);
        wanted.extend(of_hosts.map(|field| (*field).to_owned()));
        if wanted.is_empty() { Self::Gate } else { Self::GateFor(wanted) }
    }

    /// What a condition needs of its own node's product and no more; none when it also speaks of others, or of the host.
    pub fn only_for(detect: &Detect, condition: &str) -> Option<Self> {
        let is_of_more =
            |word| matches!(word, "nodes" | "cluster") || FROM_THE_HOST.contains(&word);
        if words(condition).any(is_of_more) {
            return None;
        }
        let wanted = facts_needed(detect, [condition], |_| true);
        (!wanted.is_empty()).then_some(Self::Only(wanted))
    }

    /// Whether this probe is asked.
    pub(crate) fn asks(&self, probe: &Probe) -> bool {
        match self {
            Self::Full => true,
            Self::Gate => !probe.costly,
            Self::GateFor(wanted) => {
                !probe.costly || probe.facts.keys().any(|fact| wanted.contains(fact))
            }
            Self::Only(wanted) => probe.facts.keys().any(|fact| wanted.contains(fact)),
        }
    }

    /// Whether a look of this depth asks all that one of the other depth would ask.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Full, _) | (Self::Gate | Self::GateFor(_), Self::Gate) => true,
            (Self::GateFor(own), Self::GateFor(wanted)) | (Self::Only(own), Self::Only(wanted)) => {
                own.is_superset(wanted)
            }
            (Self::Gate | Self::GateFor(_) | Self::Only(_), _) => false,
        }
    }

    /// Whether everything is looked at.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Full)
    }

    /// Whether hosts are looked at at all, and not only what the product says.
    pub(crate) fn sees_hosts(&self) -> bool {
        !matches!(self, Self::Only(_))
    }

    /// Whether what is asked cannot be told without the host of every member.
    pub(crate) fn needs_every_host(&self) -> bool {
        match self {
            Self::Full => true,
            Self::Gate | Self::Only(_) => false,
            Self::GateFor(wanted) => FROM_THE_HOST.iter().any(|field| wanted.contains(*field)),
        }
    }

    /// One answer may take this long. At a gate a second: a member that is slower than that is not caught up, and the
    /// next look comes soon; an election in the middle must not blind it for longer. What is costly, and a full look, may
    /// take five: a store under load may need them.
    pub(crate) fn probe_limit(&self, probe: &Probe) -> Duration {
        match self {
            Self::Gate | Self::GateFor(_) | Self::Only(_) if !probe.costly => {
                Duration::from_secs(1)
            }
            Self::Gate | Self::GateFor(_) | Self::Only(_) | Self::Full => SLOW_LIMIT,
        }
    }

    /// All answers of one node together may take this long; what was not asked by then is not seen.
    pub(crate) fn node_limit(&self) -> Duration {
        match self {
            Self::Gate | Self::Only(_) => Duration::from_secs(3),
            Self::GateFor(_) | Self::Full => SLOW_LIMIT * 3,
        }
    }
}

/// The facts of some probes that conditions read, by themselves or through a field.
fn facts_needed<'a>(
    detect: &Detect,
    conditions: impl IntoIterator<Item = &'a str>,
    of: impl Fn(&Probe) -> bool,
) -> BTreeSet<String> {
    let named: BTreeSet<&str> = conditions.into_iter().flat_map(words).collect();
    let fields = detect.fields.iter().filter(|(name, _)| named.contains(name.as_str()));
    let fed: BTreeSet<&str> =
        fields.flat_map(|(_, cel)| words(cel)).chain(named.iter().copied()).collect();
    let probes = detect.node.iter().chain(&detect.cluster).filter(|probe| of(probe));
    let facts = probes.flat_map(|probe| probe.facts.keys());
    facts.filter(|fact| fed.contains(fact.as_str())).cloned().collect()
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
    use quorate_packs::{CallTemplate, Declared, ProcessForm};
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
            declared: Declared::default(),
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
    fn a_gate_that_names_what_a_host_tells_needs_the_hosts() {
        let detect = detect();
        let named = Depth::for_conditions(&detect, ["nodes.all(n, 'x' in n.settings)"]);
        assert!(named.needs_every_host() && !Depth::Gate.needs_every_host());
        assert!(!Depth::Gate.covers(&named) && named.covers(&Depth::Gate));
        assert!(!Depth::for_conditions(&detect, ["node.data_hash != ''"]).needs_every_host());
    }

    #[test]
    fn a_question_to_one_node_asks_nothing_else() {
        let detect = detect();
        let depth = Depth::only_for(&detect, "node.v2_keys == 0").expect("it is of one node");
        let asked: Vec<_> = detect.node.iter().filter(|probe| depth.asks(probe)).collect();
        assert_eq!(asked.iter().map(|probe| probe.id.as_str()).collect::<Vec<_>>(), ["v2"]);
        assert!(!depth.sees_hosts() && !depth.covers(&Depth::Gate) && !Depth::Gate.covers(&depth));
        let through_a_field = Depth::only_for(&detect, "node.data_hash != ''");
        assert_eq!(through_a_field, Some(Depth::Only(BTreeSet::from(["hash".to_owned()]))));
        for of_others in
            ["nodes.all(n, n.v2_keys == 0)", "node.leader == cluster.leader", "node.os == node.v2"]
        {
            assert_eq!(Depth::only_for(&detect, of_others), None, "{of_others}");
        }
        assert_eq!(Depth::only_for(&detect, "true"), None, "nothing to ask");
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
