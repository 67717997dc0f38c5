//! Fills the pack's templates in, so that a plan holds complete requests and commands and no choice is left.
//!
//! Words that only the runner can know stay as they are: `{artifact}` (the staged artifact's folder) and `{state}`
//! (the state folder).

use crate::members::Member;
use quorate_model::{
    Call, CallKind, Cluster, Facts, Node, NodeName, NodeObservation, Observation, Release,
};
use quorate_packs::{CallTemplate, Pack, TemplateValue, template_value};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

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
}

/// What one call says beside the words of its hop.
#[derive(Default, Clone, Copy)]
pub(crate) struct Extra<'a> {
    pub(crate) target: Option<Member<'a>>,
    pub(crate) file: Option<&'a str>,
    /// A member that was taken out, as the cluster listed it then.
    pub(crate) member: Option<&'a Facts>,
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
        let context = self.context(member, extra);
        let fill = |text: &str| self.fill(what, member, text, &context);
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
        // A person types a path; the state folder is where it is by default.
        let by_hand = fill(by_hand)?.replace("{state}", ".quorate");
        let (name, node) = (what.into(), member.name().clone());
        Ok(Call { name, node, call, by_hand, retry_on: Vec::new() })
    }

    /// Fills in a text for people.
    pub(crate) fn text(
        &self,
        what: &str,
        member: &Member<'a>,
        template: &str,
        extra: Extra<'a>,
    ) -> Result<String, Unrendered> {
        self.fill(what, member, template, &self.context(member, extra))
    }

    fn fill(
        &self,
        what: &str,
        member: &Member<'_>,
        template: &str,
        context: &TemplateValue,
    ) -> Result<String, Unrendered> {
        if !template.contains('{') {
            return Ok(template.to_owned());
        }
        self.pack.render(template, context).map_err(|because| Unrendered {
            what: what.into(),
            node: member.name().clone(),
            because,
        })
    }

    fn context(&self, member: &Member<'a>, extra: Extra<'a>) -> TemplateValue {
        let mut words = Map::new();
        words.insert("node".into(), self.node_words(member));
        words.insert("endpoints".into(), json!(member.node.endpoints));
        words.insert(
            "facts".into(),
            member.seen.map_or_else(|| json!({}), |seen| json!(seen.facts)),
        );
        words.insert("vars".into(), json!(self.pack.vars_for(self.speaking)));
        words.insert("cluster".into(), self.cluster_words());
        words.insert("from".into(), json!(self.from));
        words.insert("to".into(), json!(self.to));
        words.insert("tls".into(), json!(self.cluster.tls));
        words.insert("user".into(), json!(self.cluster.auth.as_ref().map(|auth| &auth.user)));
        if let Some(target) = &extra.target {
            words.insert("target".into(), self.node_words(target));
        }
        if let Some(file) = extra.file {
            words.insert("file".into(), json!(file));
        }
        if let Some(member) = extra.member {
            words.insert("ejected".into(), json!(member));
        }
        template_value(&Value::Object(words))
    }

    fn cluster_words(&self) -> Value {
        let mut words = self.before.map(|seen| facts_as_map(&seen.facts)).unwrap_or_default();
        words.extend(facts_as_map(&self.observation.facts));
        words.insert("name".into(), json!(self.cluster.name));
        words.insert(
            "nodes".into(),
            json!(self.cluster.nodes.iter().map(|n| &n.name).collect::<Vec<_>>()),
        );
        let endpoints: Vec<_> = self.cluster.nodes.iter().map(|node| &node.endpoints).collect();
        words.insert("endpoints".into(), json!(endpoints));
        Value::Object(words)
    }

    /// The id under which the cluster itself lists a member that cannot speak for itself.
    fn listed_id(&self, node: &Node) -> Option<String> {
        let list = self.observation.facts.get("members")?.as_array()?;
        let serves_there = |member: &Value| {
            let urls = member.get("client_urls").and_then(Value::as_array).into_iter().flatten();
            urls.filter_map(Value::as_str).any(|url| node.endpoints.values().any(|own| own == url))
        };
        let named = |member: &&Value| {
            member.get("name").and_then(Value::as_str) == Some(node.name.as_str())
        };
        let listed =
            list.iter().find(|member| serves_there(member)).or_else(|| list.iter().find(named))?;
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
            .or_else(|| self.listed_id(node));
        let mut words = member.seen.map(|seen| facts_as_map(&seen.facts)).unwrap_or_default();
        words.insert("name".into(), json!(node.name));
        words.insert("endpoints".into(), json!(node.endpoints));
        words.extend(node.data_dir.as_ref().map(|folder| ("data_dir".to_owned(), json!(folder))));
        words.extend(member.release().map(|release| ("release".to_owned(), json!(release))));
        words.extend(member_id.map(|id| ("member_id".to_owned(), json!(id))));
        Value::Object(words)
    }
}

fn facts_as_map(facts: &Facts) -> Map<String, Value> {
    facts.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}
