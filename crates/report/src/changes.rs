//! What differs between two looks at one cluster: who, what, from which value to which.
//!
//! Invariant: what could not be seen has not changed. A member that does not answer is told as that, not as one without
//! a release. What moves all the time (lag, indexes, hashes of data) is left out.

use crate::words;
use quorate_model::{Finding, NodeName, NodeObservation, Observation, Reach, Role, Setting};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// One thing that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The node; none when the cluster as a whole has changed.
    pub node: Option<NodeName>,
    /// What changed: `release`, `role`, `setting --quota`, `finding half-way`.
    pub what: String,
    /// What it was; none when it was not there.
    pub from: Option<String>,
    /// What it is; none when it is not there any more.
    pub to: Option<String>,
}

/// Everything that differs, node by node in declared order, then of the cluster.
pub fn changes(before: &Observation, now: &Observation) -> Vec<Change> {
    let mut all = Vec::new();
    for node in &now.nodes {
        match before.nodes.iter().find(|known| known.name == node.name) {
            Some(known) => all.extend(of_node(known, node)),
            None => all.push(declared(&node.name, false, true)),
        }
    }
    for gone in before.nodes.iter().filter(|node| now.nodes.iter().all(|own| own.name != node.name))
    {
        all.push(declared(&gone.name, true, false));
    }
    all.extend(different(None, findings(&before.findings), findings(&now.findings)));
    all
}

fn declared(node: &NodeName, before: bool, now: bool) -> Change {
    let said = |is: bool| is.then(|| "yes".to_owned());
    Change { node: Some(node.clone()), what: "declared".into(), from: said(before), to: said(now) }
}

fn of_node(before: &NodeObservation, now: &NodeObservation) -> Vec<Change> {
    let name = Some(&now.name);
    let mut values = different(name, fields(before), fields(now));
    // A process that nobody sees has no settings; that is not a change of them.
    if before.process.is_some() && now.process.is_some() {
        values.extend(different(name, settings(&before.settings), settings(&now.settings)));
    }
    values.extend(different(name, findings(&before.findings), findings(&now.findings)));
    if now.reach != Reach::Reachable {
        values.retain(|change| change.to.is_some());
    }
    values
}

/// What is told of a node, in the order in which a person asks for it.
fn fields(node: &NodeObservation) -> Vec<(String, String)> {
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let role = (node.role != Role::Unknown).then(|| words::role(node.role).to_owned());
    let process = node.process.as_ref();
    let alarms = (!node.alarms.is_empty()).then(|| node.alarms.join(", "));
    let fields = [
        ("reachable", Some(yes(node.reach == Reach::Reachable))),
        ("release", node.release.as_ref().map(ToString::to_string)),
        ("disk release", node.disk_release.as_ref().map(ToString::to_string)),
        ("role", role),
        ("voter", node.voter.map(yes)),
        ("healthy", node.healthy.map(yes)),
        ("member id", node.member_id.clone()),
        ("alarms", alarms),
        ("store", node.store.clone()),
        ("TLS", node.tls.map(yes)),
        ("system", node.os.clone()),
        ("binary", process.map(|process| process.binary.display().to_string())),
        ("started", process.and_then(|process| process.started_at).map(words::moment)),
    ];
    fields.into_iter().filter_map(|(what, value)| Some((what.to_owned(), value?))).collect()
}

fn settings(settings: &[Setting]) -> Vec<(String, String)> {
    let of = |setting: &Setting| (format!("setting {}", setting.key), setting.value.clone());
    settings.iter().map(of).collect()
}

/// Findings by their code: their texts hold figures that are never twice the same.
fn findings(findings: &[Finding]) -> Vec<(String, String)> {
    let of = |finding: &Finding| {
        (format!("finding {}", finding.code), words::severity(finding.severity).to_owned())
    };
    findings.iter().map(of).collect()
}

/// Values by name that are not the same on both sides, in the order of today's, what is gone at the end.
fn different(
    node: Option<&NodeName>,
    before: Vec<(String, String)>,
    now: Vec<(String, String)>,
) -> Vec<Change> {
    let known: BTreeMap<&String, &String> =
        before.iter().map(|(what, value)| (what, value)).collect();
    let own: BTreeMap<&String, &String> = now.iter().map(|(what, value)| (what, value)).collect();
    let mut told = BTreeSet::new();
    now.iter()
        .chain(&before)
        .map(|(what, _)| what)
        .filter(|what| told.insert(*what) && known.get(what) != own.get(what))
        .map(|what| Change {
            node: node.cloned(),
            what: what.clone(),
            from: known.get(what).map(|value| (*value).clone()),
            to: own.get(what).map(|value| (*value).clone()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use quorate_model::{ProcessSeen, SettingSource, Severity};

    fn node(name: &str, release: &str) -> NodeObservation {
        NodeObservation {
            reach: Reach::Reachable,
            release: release.parse().ok(),
            role: Role::Follower,
            healthy: Some(true),
            lag: Some(0),
            process: Some(ProcessSeen {
                pid: 1,
                started_at: Some(Timestamp::UNIX_EPOCH),
                argv: Vec::new(),
                binary: "/usr/bin/etcd".into(),
                binary_replaced: false,
            }),
            ..NodeObservation::unseen(name.into(), "server".into(), "")
        }
    }

    fn look(nodes: Vec<NodeObservation>) -> Observation {
        Observation {
            cluster: "shop".into(),
            pack: "etcd".into(),
            taken_at: Timestamp::UNIX_EPOCH,
            nodes,
            facts: Default::default(),
            findings: Vec::new(),
        }
    }

    fn half_way() -> Finding {
        Finding {
            severity: Severity::Warning,
            code: "half-way".into(),
            text: "3 of 7".into(),
            hint: None,
        }
    }

    fn told(before: Vec<NodeObservation>, now: Vec<NodeObservation>) -> Vec<String> {
        let dash = |value: Option<String>| value.unwrap_or_else(|| "-".into());
        changes(&look(before), &look(now))
            .into_iter()
            .map(|change| {
                let who = change.node.map(|name| name.to_string()).unwrap_or_default();
                format!("{who} {}: {} -> {}", change.what, dash(change.from), dash(change.to))
            })
            .collect()
    }

    #[test]
    fn the_same_look_twice_has_no_changes_and_lag_is_none() {
        let moved = NodeObservation { lag: Some(7), ..node("a", "3.4.23") };
        assert_eq!(told(vec![node("a", "3.4.23")], vec![moved]), Vec::<String>::new());
    }

    #[test]
    fn values_are_told_from_and_to() {
        let leads = NodeObservation { role: Role::Leader, ..node("a", "3.5.16") };
        assert_eq!(
            told(vec![node("a", "3.4.23")], vec![leads]),
            ["a release: 3.4.23 -> 3.5.16", "a role: follower -> leader"]
        );
    }

    #[test]
    fn what_is_not_seen_has_not_changed() {
        let gone = NodeObservation::unseen("a".into(), "server".into(), "it hung up");
        let old = NodeObservation { findings: vec![half_way()], ..node("a", "3.4.23") };
        assert_eq!(told(vec![old], vec![gone.clone()]), ["a reachable: yes -> no"]);
        let back = told(vec![gone], vec![node("a", "3.4.23")]);
        assert_eq!(back[..2], ["a reachable: no -> yes", "a release: - -> 3.4.23"]);
    }

    #[test]
    fn nodes_come_and_go_and_settings_and_findings_change() {
        let set = |value: &str| Setting {
            source: SettingSource::Flag,
            key: "--quota".into(),
            value: value.into(),
        };
        let before = NodeObservation { settings: vec![set("1")], ..node("a", "3.4.23") };
        let now = NodeObservation {
            settings: vec![set("2")],
            findings: vec![half_way()],
            ..node("a", "3.4.23")
        };
        assert_eq!(
            told(vec![before, node("b", "3.4.23")], vec![now, node("c", "3.4.23")]),
            [
                "a setting --quota: 1 -> 2",
                "a finding half-way: - -> warning",
                "c declared: - -> yes",
                "b declared: yes -> -"
            ]
        );
    }
}
