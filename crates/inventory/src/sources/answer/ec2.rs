//! EC2: what `aws ec2 describe-instances --output json` prints.

use super::{AnswerError, ListedHost, Source, ssh, text_at};
use crate::sources::Ec2File;
use serde_json::Value;

/// States of instances that are no hosts any more: they stay in the list for an hour, under names that others may have by then.
const GONE: [&str; 2] = ["terminated", "shutting-down"];

pub(super) fn read(
    source: &Source,
    ec2: &Ec2File,
    value: &Value,
) -> Result<Vec<ListedHost>, AnswerError> {
    let wrong = |what: &str| {
        AnswerError::new(
            format!("the command line of EC2 printed no list of instances: {what}"),
            "run `aws ec2 describe-instances --output json` by hand",
        )
    };
    let reservations = value
        .get("Reservations")
        .and_then(Value::as_array)
        .ok_or_else(|| wrong("there is no `Reservations`"))?;
    let mut hosts = Vec::new();
    for reservation in reservations {
        let instances = reservation.get("Instances").and_then(Value::as_array);
        for instance in instances.ok_or_else(|| wrong("a reservation has no `Instances`"))? {
            let id = text_at(instance, "/InstanceId")
                .ok_or_else(|| wrong("an instance has no `InstanceId`"))?;
            let state = text_at(instance, "/State/Name").map(str::to_owned);
            if !state.as_deref().is_some_and(|state| GONE.contains(&state)) {
                hosts.push(host(source, ec2, instance, id, state));
            }
        }
    }
    Ok(hosts)
}

fn host(
    source: &Source,
    ec2: &Ec2File,
    instance: &Value,
    id: &str,
    state: Option<String>,
) -> ListedHost {
    let mut host = ListedHost::new(&source.name, id);
    for tag in instance.get("Tags").and_then(Value::as_array).into_iter().flatten() {
        if let (Some(key), Some(value)) = (text_at(tag, "/Key"), text_at(tag, "/Value")) {
            host.labels.insert(key.to_owned(), value.to_owned());
        }
    }
    if let Some(name) = host.labels.get("Name") {
        host.name = name.clone();
    }
    let zone = text_at(instance, "/Placement/AvailabilityZone");
    let more = [
        ("instance_id", Some(id)),
        ("instance_type", text_at(instance, "/InstanceType")),
        ("image_id", text_at(instance, "/ImageId")),
        ("zone", zone),
        ("private_dns", text_at(instance, "/PrivateDnsName")),
        ("public_ip", text_at(instance, "/PublicIpAddress")),
    ];
    for (key, value) in more {
        if let Some(value) = value {
            // A tag of the same name is what people wrote.
            host.labels.entry(key.to_owned()).or_insert_with(|| value.to_owned());
        }
    }
    let addresses = ["/PrivateIpAddress", "/PublicIpAddress"];
    host.addresses =
        addresses.iter().filter_map(|at| text_at(instance, at)).map(str::to_owned).collect();
    let networks = ["/VpcId", "/SubnetId"];
    host.networks =
        networks.iter().filter_map(|at| text_at(instance, at)).map(str::to_owned).collect();
    // A zone is its region and a letter.
    let region =
        zone.map(|zone| zone.trim_end_matches(|c: char| c.is_ascii_lowercase()).to_owned());
    host.datacenter = region.or_else(|| ec2.region.clone());
    host.state = state;
    host.host = ssh(source, host.addresses.first().unwrap_or(&host.name));
    host
}
