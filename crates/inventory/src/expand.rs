//! `nodes_from` of a cluster to nodes: each host that is selected fills in the entry's templates.
//!
//! The work is done on the tree of the file, so that a node that comes out wrong is refused at the line that made it.
//! Hosts that do not run are nodes, too, unless a selector says otherwise: what cannot be seen is listed, never dropped.

use crate::{
    hosts::{ListedHost, select_any},
    sources::context,
};
use quorate_model::Host;
use quorate_packs::{TemplateValue, render};
use quorate_syntax::{Content, Diagnostic, Entry, Key, Scalar, Tree};
use std::collections::BTreeSet;

/// The key of a cluster that names hosts of the inventory.
const NODES_FROM: &str = "nodes_from";

/// Adds the nodes that hosts of the inventory make to every cluster.
pub(crate) fn expand(tree: &mut Tree, hosts: &[ListedHost]) -> Result<(), Vec<Diagnostic>> {
    let mut found = Vec::new();
    let Content::Map(entries) = &mut tree.content else { return Ok(()) };
    let clusters = entries.iter_mut().find(|entry| entry.key.text == "clusters");
    let Some(Content::List(clusters)) = clusters.map(|entry| &mut entry.value.content) else {
        return Ok(());
    };
    for cluster in clusters {
        match nodes_of(cluster, hosts) {
            Ok(nodes) if nodes.is_empty() => {}
            Ok(nodes) => add_nodes(cluster, nodes),
            Err(wrong) => found.extend(wrong),
        }
    }
    if found.is_empty() { Ok(()) } else { Err(found) }
}

fn add_nodes(cluster: &mut Tree, nodes: Vec<Tree>) {
    let Content::Map(own) = &mut cluster.content else { return };
    if let Some(entry) = own.iter_mut().find(|entry| entry.key.text == "nodes") {
        // Anything else than a list is refused when the file is read.
        if let Content::List(declared) = &mut entry.value.content {
            declared.extend(nodes);
        }
        return;
    }
    let Some(place) = nodes.first().map(|node| node.place.clone()) else { return };
    let key = Key { place: place.clone(), text: "nodes".into() };
    own.push(Entry { key, value: Tree { place, content: Content::List(nodes) } });
}

fn nodes_of(cluster: &Tree, hosts: &[ListedHost]) -> Result<Vec<Tree>, Vec<Diagnostic>> {
    let mut found = Vec::new();
    let mut nodes = Vec::new();
    let mut places: BTreeSet<&str> = BTreeSet::new();
    let mut says_where = false;
    let has_host = cluster.get("defaults").is_some_and(|defaults| defaults.get("host").is_some());
    let sources = cluster.get(NODES_FROM).map_or(&[][..], Tree::items);
    for from in sources {
        match selected(from, hosts) {
            Ok((texts, selected)) => {
                says_where |=
                    texts.iter().any(|text| text.contains("datacenter=") || text.contains("dc="));
                for host in selected {
                    places.extend(host.datacenter.as_deref());
                    match node(from, host, has_host) {
                        Ok(node) => nodes.push(node),
                        Err(wrong) => found.push(wrong),
                    }
                }
            }
            Err(wrong) => found.push(wrong),
        }
    }
    if let (true, false, Some(from)) = (places.len() > 1, says_where, sources.first()) {
        let places: Vec<&str> = places.into_iter().collect();
        let message = format!("the nodes stand in several datacenters: {}", places.join(", "));
        let hint = format!(
            "add `datacenter={}` to `select`, or `datacenter=-` when one cluster spans them",
            places.first().copied().unwrap_or_default()
        );
        found.push(error(from.get("select").unwrap_or(from), "datacenters", message, hint));
    }
    // One wrong template is wrong for every host; one of them shows it.
    found.dedup_by(|a, b| (a.line, a.column, a.code) == (b.line, b.column, b.code));
    if found.is_empty() { Ok(nodes) } else { Err(found) }
}

fn error(at: &Tree, code: &'static str, message: String, hint: impl Into<String>) -> Diagnostic {
    Diagnostic::error(at.place.file.as_ref(), at.place.at(), code, message).with_hint(hint)
}

/// The selectors of an entry, and the hosts that they mean.
fn selected<'t, 'h>(
    from: &'t Tree,
    hosts: &'h [ListedHost],
) -> Result<(Vec<&'t str>, Vec<&'h ListedHost>), Diagnostic> {
    let example = "write `select: 'role=consul,sub_role=server'`, or a list of such selectors";
    let Some(select) = from.get("select") else {
        let message = "the entry does not `select` hosts of the inventory".to_owned();
        return Err(error(from, "no-hosts", message, example));
    };
    let texts: Vec<&str> = match select.as_text() {
        Some(text) => vec![text],
        None => select.items().iter().filter_map(Tree::as_text).collect(),
    };
    if texts.is_empty() {
        return Err(error(select, "no-hosts", "`select` is no selector".into(), example));
    }
    let hosts = select_any(hosts, &texts)
        .map_err(|wrong| error(select, "no-hosts", wrong.to_string(), wrong.hint()))?;
    Ok((texts, hosts))
}

/// The entry as the node that it makes of a host.
fn node(from: &Tree, host: &ListedHost, has_host: bool) -> Result<Tree, Diagnostic> {
    let mut node = from.clone();
    let Content::Map(entries) = &mut node.content else { return Ok(node) };
    entries.retain(|entry| entry.key.text != "select");
    fill_in(entries, &context(host), host)?;
    let place = &node.place;
    let text = |text: &str| Tree {
        place: place.clone(),
        content: Content::Scalar(Scalar { text: text.to_owned(), plain: false }),
    };
    let entry = |key: &str, value: Tree| Entry {
        key: Key { place: place.clone(), text: key.to_owned() },
        value,
    };
    if !entries.iter().any(|entry| entry.key.text == "name") {
        entries.push(entry("name", text(&host.name)));
    }
    if !has_host && !entries.iter().any(|entry| entry.key.text == "host") {
        let value = match &host.host {
            Host::Local => text("local"),
            Host::Ssh(way) => Tree {
                place: place.clone(),
                content: Content::Map(vec![entry("ssh", text(&way.name))]),
            },
        };
        entries.push(entry("host", value));
    }
    Ok(node)
}

fn fill_in(
    entries: &mut [Entry],
    context: &TemplateValue,
    host: &ListedHost,
) -> Result<(), Diagnostic> {
    entries.iter_mut().try_for_each(|entry| fill_in_tree(&mut entry.value, context, host))
}

fn fill_in_tree(
    tree: &mut Tree,
    context: &TemplateValue,
    host: &ListedHost,
) -> Result<(), Diagnostic> {
    match &mut tree.content {
        Content::Map(entries) => fill_in(entries, context, host),
        Content::List(items) => {
            items.iter_mut().try_for_each(|item| fill_in_tree(item, context, host))
        }
        Content::Scalar(scalar) if scalar.text.contains("{{") || scalar.text.contains("{%") => {
            match render(&scalar.text, context) {
                Ok(text) => {
                    *scalar = Scalar { text, plain: false };
                    Ok(())
                }
                Err(because) => {
                    let message =
                        format!("cannot be filled in for the host `{}`: {because}", host.name);
                    let hint = "a host has name, address, addresses, url_host, ssh, environment, role, sub_role, state, datacenter, networks, groups, labels and source, as far as its source says them: `quorate inventory --output json` shows it";
                    Err(error(tree, "template", message, hint))
                }
            }
        }
        Content::Scalar(_) => Ok(()),
    }
}
