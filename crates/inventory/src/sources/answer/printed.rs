//! What a command prints: hosts one a line, JSON of our own shape, or JSON as Ansible's dynamic inventories print it.

use super::{AnswerError, ansible, beginning, from_entry, from_ssh_name, scalar};
use crate::{
    hosts::ListedHost,
    sources::{HostEntry, Source},
};
use serde_json::Value;

/// What next, whatever is wrong with what was printed.
const SHAPES: &str = "it may print one host a line, `{\"hosts\": [{\"name\": …}]}`, or what `ansible-inventory --list` prints; notes belong on standard error";

pub(super) fn read(source: &Source, text: &str) -> Result<Vec<ListedHost>, AnswerError> {
    if !text.trim_start().starts_with(['{', '[']) {
        return lines(source, text);
    }
    let value: Value = serde_json::from_str(text).map_err(|error| {
        AnswerError::new(format!("it printed no JSON: {error}: {}", beginning(text)), SHAPES)
    })?;
    match &value {
        Value::Array(entries) => hosts(source, entries),
        // In our own shape `hosts` is a list of hosts; a group of Ansible that is called so is a map.
        Value::Object(map) => match map.get("hosts") {
            Some(Value::Array(entries)) if map.len() == 1 => hosts(source, entries),
            Some(_) | None => ansible::read(source, &value),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => lines(source, text),
    }
}

fn lines(source: &Source, text: &str) -> Result<Vec<ListedHost>, AnswerError> {
    let mut hosts = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let name = line.split_once('#').map_or(line, |(name, _)| name).trim();
        if name.is_empty() {
            continue;
        }
        if !is_host_name(name) {
            let number = index + 1;
            let because =
                format!("line {number} of what it printed is no host: {}", beginning(name));
            return Err(AnswerError::new(because, SHAPES));
        }
        hosts.push(from_ssh_name(source, name));
    }
    Ok(hosts)
}

/// `db-1`, `anna@db-1.example:2222`, `fd00::1`: what SSH takes.
fn is_host_name(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.@:[]".contains(c);
    name.chars().all(fine) && name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
}

fn hosts(source: &Source, entries: &[Value]) -> Result<Vec<ListedHost>, AnswerError> {
    entries.iter().enumerate().map(|(index, entry)| host(source, index, entry)).collect()
}

fn host(source: &Source, index: usize, value: &Value) -> Result<ListedHost, AnswerError> {
    if let Some(name) = value.as_str() {
        let wrong = || AnswerError::new(format!("`{}` is no host", beginning(name)), SHAPES);
        return is_host_name(name).then(|| from_ssh_name(source, name)).ok_or_else(wrong);
    }
    let mut value = value.clone();
    // Programs print `3` and `true` without quotes; as labels they are texts.
    if let Some(labels) = value.get_mut("labels").and_then(Value::as_object_mut) {
        for label in labels.values_mut() {
            if let Some(text) = scalar(label) {
                *label = Value::String(text);
            }
        }
    }
    let entry: HostEntry = serde_json::from_value(value).map_err(|error| {
        AnswerError::new(
            format!("host {} of what it printed is no host: {error}", index + 1),
            SHAPES,
        )
    })?;
    if is_host_name(entry.ssh.as_deref().unwrap_or(&entry.name)) {
        return Ok(from_entry(source, entry));
    }
    Err(AnswerError::new(format!("`{}` is no name of a host", entry.name), SHAPES))
}
