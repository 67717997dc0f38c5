//! Fills the pack's templates in, so that a plan holds complete requests and commands and no choice is left.
//!
//! Words that only the runner can know stay as they are: `{artifact}` (the staged artifact's folder) and `{state}`
//! (the state folder).

use crate::{
    explain::seen_from_here,
    members::{Member, listed_as},
};
use quorate_model::{
    Call, CallKind, Cluster, Facts, Node, NodeName, NodeObservation, Observation, Release,
    member_word,
};
use quorate_packs::{CallTemplate, Pack, TemplateValue, template_value};
use serde_json::{Map, Value, json};
use std::{
    cell::{OnceCell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

/// A template that could not be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the template of {what} cannot be filled in for {node}: {because}")]
pub(crate) struct Unrendered {
    pub(crate) what: String,
    pub(crate) node: NodeName,
    pub(crate) because: String,
}

/// What the templates of one hop can say.
pub(crate) struct Words<'a> {
    pub(crate) pack: &'a Pack,
    pub(crate) cluster: &'a Cluster,
    pub(crate) observation: &'a Observation,
    pub(crate) from: &'a Release,
    pub(crate) to: &'a Release,
    /// The release whose words (`vars`) are used: what the spoken-to member runs.
    pub(crate) speaking: &'a Release,
    /// An earlier look, for what a cluster that is not well cannot say any more.
    pub(crate) before: Option<&'a Observation>,
    /// Whether an earlier hop of the plan gives members other ids than they were seen with.
    pub(crate) renamed: bool,
    /// What was put together before, for the hops of one plan alike.
    pub(crate) known: Known,
}

impl<'a> Words<'a> {
    /// For what is done on the release that runs, where nobody moves.
    pub(crate) fn standing(
        pack: &'a Pack,
        cluster: &'a Cluster,
        observation: &'a Observation,
        release: &'a Release,
    ) -> Self {
        Self {
            pack,
            cluster,
            observation,
            from: release,
            to: release,
            speaking: release,
            before: None,
            renamed: false,
            known: Known::default(),
        }
    }
}

/// Words that depend on the looks alone. Clones share them: a plan of several hops puts each together once.
#[derive(Default, Clone)]
pub(crate) struct Known(Rc<KnownWords>);

#[derive(Default)]
struct KnownWords {
    /// The cluster as somebody reaches it by hand, where that is another way.
    by_hand: OnceCell<Option<(Rc<Cluster>, Known)>>,
    cluster: OnceCell<TemplateValue>,
    nodes: RefCell<BTreeMap<NodeName, TemplateValue>>,
}

/// What one call says beside the words of its hop.
#[derive(Default, Clone, Copy)]
pub(crate) struct Extra<'a> {
    pub(crate) target: Option<Member<'a>>,
    pub(crate) file: Option<&'a str>,
    /// The copy that `file` is made of.
    pub(crate) source: Option<&'a str>,
    /// A member that was taken out, as the cluster listed it then.
    pub(crate) member: Option<&'a Facts>,
}

/// What templates say by these names.
const NAMES: [&str; 14] = [
    "node",
    "endpoints",
    "facts",
    "vars",
    "cluster",
    "from",
    "to",
    "tls",
    "user",
    "target",
    "file",
    "source",
    "ejected",
    "seen_at",
];

/// The words of one call. Each is put together when the first template asks for it: all words for every template would
/// take longer than the rest of a plan.
struct Said<'w, 'a> {
    words: &'w Words<'a>,
    member: &'w Member<'a>,
    extra: Extra<'a>,
    by_name: [OnceCell<Option<TemplateValue>>; NAMES.len()],
}

impl<'w, 'a> Said<'w, 'a> {
    fn new(words: &'w Words<'a>, member: &'w Member<'a>, extra: Extra<'a>) -> Self {
        Self { words, member, extra, by_name: Default::default() }
    }

    /// Everything that the template looks up and that there is.
    fn context(&self, template: &str) -> TemplateValue {
        let asked = self.words.pack.names_in(template);
        let asked = |name: &str| asked.is_none_or(|names| names.contains(name));
        let here = NAMES.iter().zip(&self.by_name).filter(|(name, _)| asked(name));
        TemplateValue::from_pairs(here.filter_map(|(name, known)| {
            Some((*name, known.get_or_init(|| self.word(name)).clone()?))
        }))
    }

    fn word(&self, name: &str) -> Option<TemplateValue> {
        let Self { words, member, extra, by_name: _ } = self;
        let word = match name {
            "node" => return Some(words.known_node(member)),
            "cluster" => return Some(words.known_cluster()),
            "target" => return extra.target.as_ref().map(|target| words.known_node(target)),
            "endpoints" => Some(json!(member.node.endpoints)),
            "facts" => Some(member.seen.map_or_else(|| json!({}), |seen| json!(seen.facts))),
            "vars" => Some(json!(words.pack.vars_for(words.speaking))),
            "from" => Some(json!(words.from)),
            "to" => Some(json!(words.to)),
            "tls" => Some(json!(words.cluster.tls)),
            "user" => Some(json!(words.cluster.auth.as_ref().map(|auth| &auth.user))),
            "file" => extra.file.map(|file| json!(file)),
            "source" => extra.source.map(|source| json!(source)),
            // Differs from plan to plan: for what must not be taken for something of an earlier one.
            "seen_at" => {
                Some(json!(words.observation.taken_at.strftime("%Y%m%dT%H%M%S%3f").to_string()))
            }
            "ejected" => extra.member.map(|member| json!(member)),
            _ => None,
        };
        word.map(|word| template_value(&word))
    }
}

impl<'a> Words<'a> {
    /// Fills in a call to a member.
    pub(crate) fn call(
        &self,
        what: &str,
        member: &Member<'a>,
        template: &CallTemplate,
        by_hand: &str,
        extra: Extra<'a>,
    ) -> Result<Call, Unrendered> {
        let said = Said::new(self, member, extra);
        let fill = |text: &str| self.fill(what, text, &said);
        let fill_map = |map: &BTreeMap<String, String>| {
            map.iter()
                .map(|(k, v)| Ok((k.clone(), fill(v)?)))
                .collect::<Result<BTreeMap<_, _>, Unrendered>>()
        };
        let call = match template {
            CallTemplate::Http { method, url, body, form: _, expect_status } => CallKind::Http {
                method: method.clone(),
                url: fill(url)?,
                body: body.as_deref().map(fill).transpose()?,
                expect_status: if expect_status.is_empty() {
                    vec![200]
                } else {
                    expect_status.clone()
                },
            },
            CallTemplate::Command { argv, env } => CallKind::Command {
                argv: argv.iter().map(|word| fill(word)).collect::<Result<_, _>>()?,
                env: fill_map(env)?,
            },
            CallTemplate::Native { action, args } => CallKind::Native {
                action: action.clone(),
                args: fill_map(args)?.into_iter().map(|(k, v)| (k, Value::String(v))).collect(),
            },
            CallTemplate::File { .. } | CallTemplate::Grpc { .. } => {
                return Err(Unrendered {
                    what: what.into(),
                    node: member.name().clone(),
                    because: "files and gRPC questions are for looks, they do nothing".into(),
                });
            }
        };
        // A run book sets these before anything is typed.
        let by_hand = self.by_hand(what, member, by_hand, extra)?;
        let by_hand = by_hand.replace("{state}", "$state").replace("{artifact}", "$tools");
        let by_hand = self.cluster.nodes.iter().fold(by_hand, |text, node| {
            text.replace(&member_word(&node.name), &format!("ID-OF-{}", node.name))
        });
        let (name, node) = (what.into(), member.name().clone());
        Ok(Call { name, node, call, by_hand, retry_on: Vec::new() })
    }

    /// Fills in what a person types, with the addresses that a person reaches.
    fn by_hand(
        &self,
        what: &str,
        member: &Member<'a>,
        template: &str,
        extra: Extra<'a>,
    ) -> Result<String, Unrendered> {
        let here = self.known.0.by_hand.get_or_init(|| {
            seen_from_here(self.cluster).map(|here| (Rc::new(here), Known::default()))
        });
        let Some((here, known)) = here else { return self.text(what, member, template, extra) };
        let there = |member: Member<'a>| -> Member<'_> {
            let own = here.nodes.iter().find(|node| node.name == member.node.name);
            Member { node: own.unwrap_or(member.node), ..member }
        };
        let words = Words { cluster: here, known: known.clone(), ..*self };
        let extra = Extra { target: extra.target.map(there), ..extra };
        words.text(what, &there(*member), template, extra)
    }

    /// Fills in a text for people.
    pub(crate) fn text(
        &self,
        what: &str,
        member: &Member<'a>,
        template: &str,
        extra: Extra<'a>,
    ) -> Result<String, Unrendered> {
        self.fill(what, template, &Said::new(self, member, extra))
    }

    fn fill(&self, what: &str, template: &str, said: &Said<'_, 'a>) -> Result<String, Unrendered> {
        if !template.contains('{') {
            return Ok(template.to_owned());
        }
        self.pack.render(template, &said.context(template)).map_err(|because| Unrendered {
            what: what.into(),
            node: said.member.name().clone(),
            because,
        })
    }

    fn known_cluster(&self) -> TemplateValue {
        self.known.0.cluster.get_or_init(|| template_value(&self.cluster_words())).clone()
    }

    fn known_node(&self, member: &Member<'_>) -> TemplateValue {
        if let Some(known) = self.known.0.nodes.borrow().get(member.name()) {
            return known.clone();
        }
        let words = template_value(&self.node_words(member));
        self.known.0.nodes.borrow_mut().insert(member.name().clone(), words.clone());
        words
    }

    fn cluster_words(&self) -> Value {
        let mut words = self.before.map(|seen| facts_as_map(&seen.facts)).unwrap_or_default();
        words.extend(facts_as_map(&self.observation.facts));
        if let (false, Some(listed)) = (words.contains_key("members"), self.members_by_settings()) {
            words.insert("members".into(), listed);
        }
        words.insert("name".into(), json!(self.cluster.name));
        words.insert(
            "nodes".into(),
            json!(self.cluster.nodes.iter().map(|n| &n.name).collect::<Vec<_>>()),
        );
        let endpoints: Vec<_> = self.cluster.nodes.iter().map(|node| &node.endpoints).collect();
        words.insert("endpoints".into(), json!(endpoints));
        let files = self.observation.nodes.iter().filter_map(|node| node.config_file.as_ref());
        let files: Vec<_> = files.map(|file| &file.path).collect();
        words.insert("config_files".into(), json!(files));
        Value::Object(words)
    }

    /// The members as their own settings name them, for a cluster of which nobody answers and no earlier look is known.
    /// None when one of them does not say where the others reach it.
    fn members_by_settings(&self) -> Option<Value> {
        let seen = |node: &Node| self.observation.nodes.iter().find(|seen| seen.name == node.name);
        let one = |node: &Node| {
            let place = seen(node)?.place.as_ref()?;
            let name = place.name.as_deref().unwrap_or(node.name.as_str());
            let id = settings_id(&node.name);
            (!place.peer_urls.is_empty())
                .then(|| json!({ "name": name, "id": id, "peer_urls": place.peer_urls }))
        };
        self.cluster.nodes.iter().map(one).collect::<Option<Vec<_>>>().map(Value::Array)
    }

    /// Whether some look knows the members as the cluster itself lists them.
    fn members_listed(&self) -> bool {
        let lists = |seen: &Observation| seen.facts.contains_key("members");
        lists(self.observation) || self.before.is_some_and(lists)
    }

    /// The id under which the cluster itself lists a member that cannot speak for itself.
    fn listed_id(&self, node: &Node) -> Option<String> {
        let list = self.observation.facts.get("members")?.as_array()?;
        let listed = listed_as(list, node)?;
        listed.get("id")?.as_str().map(str::to_owned)
    }

    /// What is not known is left out, so that a template that needs it fails instead of saying `none` to a product.
    fn node_words(&self, member: &Member<'_>) -> Value {
        let node = member.node;
        let earlier =
            self.before.and_then(|seen| seen.nodes.iter().find(|seen| seen.name == node.name));
        let id = |seen: &NodeObservation| seen.member_id.clone();
        let member_id = member
            .seen
            .and_then(id)
            .or_else(|| earlier.and_then(id))
            .or_else(|| self.listed_id(node))
            .or_else(|| (!self.members_listed()).then(|| settings_id(&node.name)));
        let place = member.seen.and_then(|seen| seen.place.as_ref());
        let place = place.or_else(|| earlier.and_then(|seen| seen.place.as_ref()));
        let form = self.pack.detect.as_ref().map(|detect| &detect.process);
        let own = form.zip(place).and_then(|(form, place)| form.data_folder(place));
        let mut words = member.seen.map(|seen| facts_as_map(&seen.facts)).unwrap_or_default();
        words.insert("name".into(), json!(node.name));
        words.insert("endpoints".into(), json!(node.endpoints));
        let data_dir = own.or(node.data_dir.as_ref());
        words.extend(data_dir.map(|folder| ("data_dir".to_owned(), json!(folder))));
        let none = BTreeMap::new();
        words.insert("folders".into(), json!(place.map_or(&none, |place| &place.folders)));
        words.extend(member.release().map(|release| ("release".to_owned(), json!(release))));
        let member_id = match self.renamed {
            true => Some(member_word(&node.name)),
            false => member_id,
        };
        words.extend(member_id.map(|id| ("member_id".to_owned(), json!(id))));
        Value::Object(words)
    }
}

/// Stands for the id of a member that only its settings name; no product is ever told it.
fn settings_id(node: &NodeName) -> String {
    format!("settings-of-{node}")
}

fn facts_as_map(facts: &Facts) -> Map<String, Value> {
    facts.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}
