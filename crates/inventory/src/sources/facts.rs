//! What hosts are: their labels by name, and the templates of a source over what it says.

use super::{AnswerError, FactsFile, Source};
use crate::hosts::ListedHost;
use quorate_model::Host;
use quorate_packs::{TemplateValue, render_lenient, template_value};
use serde_json::{Map, Value, json};

/// Labels that mean what they are called, when a source has no such fact of its own.
const PLAIN: [(&[&str], Fact); 5] = [
    (&["environment", "env"], |host| &mut host.environment),
    (&["role"], |host| &mut host.role),
    (&["sub_role"], |host| &mut host.sub_role),
    (&["state"], |host| &mut host.state),
    (&["datacenter", "dc"], |host| &mut host.datacenter),
];

type Fact = fn(&mut ListedHost) -> &mut Option<String>;

/// Gives a host its facts: first the templates, then labels of the same name for what is still not known.
pub(super) fn apply(source: &Source, host: &mut ListedHost) -> Result<(), AnswerError> {
    let FactsFile { name, ssh, address, environment, role, sub_role, state, datacenter } =
        &source.facts;
    let said = context(host);
    let given = |key: &str, template: &Option<String>| {
        let Some(template) = template else { return Ok(None) };
        let text = render_lenient(template, &said).map_err(|because| {
            AnswerError::new(
                format!("the fact `{key}` of the host `{}` cannot be made: {because}", host.name),
                "mend the template under `facts`",
            )
        })?;
        Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
    };
    let name = given("name", name)?;
    let ssh = given("ssh", ssh)?;
    let address = given("address", address)?;
    let facts: [(Fact, Option<String>); 5] = [
        (|host| &mut host.environment, given("environment", environment)?),
        (|host| &mut host.role, given("role", role)?),
        (|host| &mut host.sub_role, given("sub_role", sub_role)?),
        (|host| &mut host.state, given("state", state)?),
        (|host| &mut host.datacenter, given("datacenter", datacenter)?),
    ];
    for (fact, value) in facts {
        if value.is_some() {
            *fact(host) = value;
        }
    }
    for (keys, fact) in PLAIN {
        let usual = |key: &str| key.to_lowercase().replace('-', "_");
        let label = host.labels.iter().find(|(key, _)| keys.contains(&usual(key).as_str()));
        let value = label.map(|(_, value)| value.clone()).filter(|value| !value.is_empty());
        let fact = fact(host);
        if fact.is_none() {
            *fact = value;
        }
    }
    if let Some(name) = name {
        host.name = name;
    }
    if let (Some(ssh), Host::Ssh(way)) = (ssh, &mut host.host) {
        way.name = ssh;
    }
    if let Some(address) = address {
        host.addresses.retain(|known| *known != address);
        host.addresses.insert(0, address);
    }
    Ok(())
}

/// What templates see of a host. What is not known has no name there.
pub(crate) fn context(host: &ListedHost) -> TemplateValue {
    let mut map = Map::new();
    let address = host.addresses.first().map(String::as_str).or_else(|| host.ssh_address());
    // In an address of HTTP, one of IPv6 stands in brackets.
    let url_host =
        address.map(|one| if one.contains(':') { format!("[{one}]") } else { one.into() });
    let facts = [
        ("name", Some(host.name.as_str())),
        ("ssh", host.ssh()),
        ("address", address),
        ("url_host", url_host.as_deref()),
        ("environment", host.environment.as_deref()),
        ("role", host.role.as_deref()),
        ("sub_role", host.sub_role.as_deref()),
        ("state", host.state.as_deref()),
        ("datacenter", host.datacenter.as_deref()),
        ("source", Some(host.source.as_str())),
    ];
    for (key, value) in facts {
        if let Some(value) = value {
            map.insert(key.to_owned(), json!(value));
        }
    }
    for (key, value) in [
        ("addresses", json!(host.addresses)),
        ("networks", json!(host.networks)),
        ("groups", json!(host.groups)),
        ("labels", json!(host.labels)),
    ] {
        map.insert(key.to_owned(), value);
    }
    template_value(&Value::Object(map))
}
