//! The members that the product itself names, and which declared node each of them is.

use crate::fields;
use quorate_model::{Cluster, Facts, Node};
use quorate_packs::{Detect, Pack, eval::Scope};
use serde_json::Value;

/// A member, as the product names it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Member {
    /// Its name; empty when it was added and has not started yet.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
    /// Where other members reach it.
    pub peer_urls: Vec<String>,
    /// Without a vote.
    pub learner: bool,
}

/// The members, when the pack can tell them and the cluster told.
pub fn members_of(pack: &Pack, detect: &Detect, cluster: &Facts) -> Option<Vec<Member>> {
    let cel = detect.members.as_deref()?;
    let map: serde_json::Map<String, Value> = cluster.clone().into_iter().collect();
    let scope = Scope::default().with("cluster", &Value::Object(map));
    match pack.value_in(cel, &scope) {
        Ok(Value::Array(members)) => Some(members.iter().map(member).collect()),
        Ok(_) => None,
        Err(because) => {
            tracing::debug!(because, "members not seen");
            None
        }
    }
}

fn member(value: &Value) -> Member {
    let urls = |name: &str| match value.get(name) {
        Some(Value::Array(urls)) => urls.iter().filter_map(fields::text).collect(),
        Some(other) => fields::text(other).into_iter().collect(),
        None => Vec::new(),
    };
    Member {
        name: value.get("name").and_then(fields::text).unwrap_or_default(),
        id: value.get("id").and_then(fields::text).unwrap_or_default(),
        client_urls: urls("client_urls"),
        peer_urls: urls("peer_urls"),
        learner: value.get("learner").and_then(Value::as_bool).unwrap_or(false),
    }
}

impl Member {
    /// What people call it.
    pub fn shown(&self) -> String {
        if self.name.is_empty() {
            format!("member {} (not started yet)", self.id)
        } else {
            self.name.clone()
        }
    }

    /// Whether a declared node is this one of all members: by id when one was seen, else by an address that no other member
    /// has, else by name. Members that serve on their own host's loopback all have the same address.
    pub(crate) fn is_node(&self, all: &[Self], node: &Node, seen_id: Option<&str>) -> bool {
        if let Some(id) = seen_id {
            return id == self.id;
        }
        let declared: Vec<String> = node.endpoints.values().map(|url| bare(url)).collect();
        let there = |member: &&Self| {
            let urls = member.client_urls.iter().chain(&member.peer_urls);
            urls.map(|url| bare(url)).any(|url| declared.contains(&url))
        };
        let only = all.iter().filter(there).count() == 1;
        (only && there(&self)) || self.name == node.name.as_str()
    }
}

/// The members that no declared node is.
pub(crate) fn undeclared<'a>(
    members: &'a [Member],
    cluster: &Cluster,
    seen_id: &dyn Fn(&Node) -> Option<String>,
) -> Vec<&'a Member> {
    let declared = |member: &&Member| {
        cluster.nodes.iter().any(|node| member.is_node(members, node, seen_id(node).as_deref()))
    };
    members.iter().filter(|member| !declared(member)).collect()
}

/// An address without what does not tell two apart: the slash at its end, and two names of this machine.
pub(crate) fn bare(url: &str) -> String {
    let url = url.trim_end_matches('/');
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let rest = match rest.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => rest.to_owned(),
    };
    format!("{}://{}", scheme.to_lowercase(), rest.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::Host;
    use std::collections::BTreeMap;

    fn node(name: &str, url: &str) -> Node {
        Node {
            name: name.into(),
            group: "server".into(),
            host: Host::Local,
            endpoints: BTreeMap::from([("client".into(), url.into())]),
            data_dir: None,
            service: None,
        }
    }

    fn m1() -> Member {
        Member {
            name: "m1".into(),
            id: "7".into(),
            client_urls: vec!["http://127.0.0.1:1".into()],
            ..Member::default()
        }
    }

    #[test]
    fn a_node_is_a_member_by_id_then_address_then_name() {
        assert!(m1().is_node(&[m1()], &node("x", "http://other:1"), Some("7")));
        assert!(
            !m1().is_node(&[m1()], &node("m1", "http://127.0.0.1:1"), Some("8")),
            "its own word counts more"
        );
        assert!(m1().is_node(&[m1()], &node("x", "http://localhost:1/"), None));
        assert!(m1().is_node(&[m1()], &node("m1", "http://other:1"), None));
        assert!(!m1().is_node(&[m1()], &node("x", "http://other:1"), None));
        // On loopback alone everybody has the same address, each on a host of its own: then it tells nobody.
        let all = [m1(), Member { name: "m2".into(), id: "8".into(), ..m1() }];
        assert!(!m1().is_node(&all, &node("m2", "http://127.0.0.1:1"), None));
        assert!(all[1].is_node(&all, &node("m2", "http://127.0.0.1:1"), None));
    }

    #[test]
    fn reads_members_leniently() {
        let value = serde_json::json!({"id": 7, "name": "m1", "client_urls": "http://a:1", "learner": null});
        let seen = member(&value);
        assert_eq!((seen.id.as_str(), seen.client_urls.len(), seen.learner), ("7", 1, false));
        assert_eq!(member(&serde_json::json!({"id": "9"})).shown(), "member 9 (not started yet)");
    }
}
