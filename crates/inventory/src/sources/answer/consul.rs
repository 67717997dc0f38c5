//! Consul: what `/v1/catalog/nodes` and `/v1/catalog/service/NAME` answer.

use super::{AnswerError, ListedHost, Source, scalar, ssh, text_at};
use serde_json::{Map, Value};

pub(super) fn read(source: &Source, value: &Value) -> Result<Vec<ListedHost>, AnswerError> {
    let wrong = |what: &str| {
        AnswerError::new(
            format!("the catalog of Consul answered no list of nodes: {what}"),
            "is the `address` that of an agent's HTTP API, as `http://127.0.0.1:8500`?",
        )
    };
    let nodes = value.as_array().ok_or_else(|| wrong("it is no list"))?;
    let mut hosts: Vec<ListedHost> = Vec::new();
    for node in nodes {
        let name = text_at(node, "/Node").ok_or_else(|| wrong("an entry has no `Node`"))?;
        let new = host(source, node, name);
        // A service may have several instances on one node; that is still one host.
        match hosts.iter_mut().find(|known| known.name == new.name) {
            Some(known) if known.labels.contains_key("service") => join(known, new),
            Some(_) | None => hosts.push(new),
        }
    }
    Ok(hosts)
}

fn host(source: &Source, node: &Value, name: &str) -> ListedHost {
    let mut host = ListedHost::new(&source.name, name);
    let metas = ["Meta", "NodeMeta", "ServiceMeta"].map(|key| node.get(key));
    for meta in metas.iter().filter_map(|meta| meta.and_then(Value::as_object)) {
        add(&mut host, meta);
    }
    if let Some(service) = text_at(node, "/ServiceName") {
        host.labels.insert("service".into(), service.to_owned());
    }
    let tags = node.get("ServiceTags").and_then(Value::as_array);
    host.groups = tags.into_iter().flatten().filter_map(scalar).collect();
    for at in ["/Address", "/TaggedAddresses/lan", "/TaggedAddresses/wan"] {
        let address = text_at(node, at).map(str::to_owned);
        host.addresses.extend(address.filter(|address| !host.addresses.contains(address)));
    }
    host.datacenter = text_at(node, "/Datacenter").map(str::to_owned);
    host.host = ssh(source, host.addresses.first().unwrap_or(&host.name));
    host
}

fn add(host: &mut ListedHost, meta: &Map<String, Value>) {
    for (key, value) in meta {
        if let Some(value) = scalar(value) {
            host.labels.insert(key.clone(), value);
        }
    }
}

fn join(known: &mut ListedHost, new: ListedHost) {
    for tag in new.groups {
        if !known.groups.contains(&tag) {
            known.groups.push(tag);
        }
    }
}
