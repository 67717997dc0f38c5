//! Answers of sources to hosts. One file a shape.
//!
//! Invariant: an answer is understood as a whole or refused as a whole. A host that is left out unnoticed would be left out of an
//! upgrade, too.

mod ansible;
mod consul;
mod ec2;
mod printed;

use super::{HostEntry, Source, SourceKind};
use crate::hosts::{ListedHost, bare_host};
use quorate_model::{Host, SshHost};
use std::{collections::BTreeMap, net::IpAddr};

/// Why an answer is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{because}")]
pub struct AnswerError {
    /// Why.
    pub because: String,
    /// What next.
    pub hint: String,
}

impl AnswerError {
    pub(super) fn new(because: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { because: because.into(), hint: hint.into() }
    }
}

/// Reads an answer.
pub(super) fn read(source: &Source, text: &str) -> Result<Vec<ListedHost>, AnswerError> {
    match &source.kind {
        SourceKind::Hosts(entries) => {
            Ok(entries.iter().map(|entry| from_entry(source, entry.clone())).collect())
        }
        SourceKind::Command { .. } => printed::read(source, text),
        SourceKind::Ansible { .. } => ansible::read(source, &json(text, "ansible-inventory")?),
        SourceKind::Ec2(ec2) => ec2::read(source, ec2, &json(text, "the command line of EC2")?),
        SourceKind::Consul(_) => consul::read(source, &json(text, "the catalog")?),
    }
}

fn json(text: &str, who: &str) -> Result<serde_json::Value, AnswerError> {
    serde_json::from_str(text).map_err(|error| {
        AnswerError::new(
            format!("{who} printed no JSON: {error}: {}", beginning(text)),
            "run it by hand, and see that it prints JSON and nothing else on standard output",
        )
    })
}

/// The beginning of a text, to be recognized by.
fn beginning(text: &str) -> String {
    /// As much as fits in a line of a terminal beside the rest of the message.
    const SHOWN_MAX: usize = 60;
    let line = text.trim().lines().next().unwrap_or_default();
    let shown: String = line.chars().take(SHOWN_MAX).collect();
    let more = if shown.len() < text.trim().len() { "…" } else { "" };
    if shown.is_empty() { "it printed nothing".to_owned() } else { format!("`{shown}{more}`") }
}

/// A name that is listed twice is two hosts that cannot be told apart, or one that would be worked on twice.
pub(super) fn refuse_doubles(hosts: &[ListedHost]) -> Result<(), AnswerError> {
    let mut seen = BTreeMap::new();
    for host in hosts {
        let address = host.addresses.first().map_or("no address", String::as_str);
        if let Some(before) = seen.insert(host.name.as_str(), address) {
            return Err(AnswerError::new(
                format!("it lists the host `{}` twice, at {before} and at {address}", host.name),
                "mend the source, or give its hosts other names with `facts: {name: …}`",
            ));
        }
    }
    Ok(())
}

/// A host from the name that SSH takes: `db-1`, `anna@db-1:2222`, `10.0.0.1`.
fn from_ssh_name(source: &Source, name: &str) -> ListedHost {
    let bare = bare_host(name);
    let mut host = ListedHost::new(&source.name, bare);
    host.host = ssh(source, name);
    if bare.parse::<IpAddr>().is_ok() {
        host.addresses.push(bare.to_owned());
    }
    host
}

fn ssh(source: &Source, name: &str) -> Host {
    Host::Ssh(SshHost { sudo: source.sudo, ..SshHost::new(name) })
}

fn from_entry(source: &Source, entry: HostEntry) -> ListedHost {
    let HostEntry {
        name,
        ssh: reached,
        addresses,
        environment,
        role,
        sub_role,
        state,
        datacenter,
        networks,
        groups,
        labels,
    } = entry;
    ListedHost {
        host: ssh(source, reached.as_deref().unwrap_or(&name)),
        addresses,
        environment,
        role,
        sub_role,
        state,
        datacenter,
        networks,
        groups,
        labels,
        ..ListedHost::new(&source.name, name)
    }
}

/// A single value of JSON as text; nothing for lists, maps and null.
fn scalar(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        serde_json::Value::Bool(truth) => Some(truth.to_string()),
        serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
            None
        }
    }
}

/// The text at a key, when there is one that is not empty.
fn text_at<'v>(value: &'v serde_json::Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer)?.as_str().filter(|text| !text.is_empty())
}
