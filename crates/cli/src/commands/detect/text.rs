//! A look for people.

use crate::{commands::findings, print};
use jiff::Timestamp;
use quorate_model::{NodeObservation, Reach};
use quorate_report::{changes::Change, words};
use quorate_runner::ops::see::Seen;
use std::time::Duration;

/// One cluster: a table, its findings, and why somebody was not reached.
pub(super) fn cluster(seen: &Seen, now: Timestamp) -> String {
    let Seen { look: seen, kept, before: _ } = seen;
    let dash = || "-".to_owned();
    let rows: Vec<Vec<String>> = seen
        .nodes
        .iter()
        .map(|node| {
            let since = node.process.as_ref().and_then(|process| process.started_at);
            let age = since
                .and_then(|since| Duration::try_from(seen.taken_at.duration_since(since)).ok());
            vec![
                node.name.to_string(),
                node.group.to_string(),
                node.release.as_ref().map_or_else(dash, ToString::to_string),
                node.disk_release.as_ref().map_or_else(dash, ToString::to_string),
                words::role(node.role).to_owned(),
                health(node).to_owned(),
                node.lag.map_or_else(dash, |lag| lag.to_string()),
                node.store.clone().unwrap_or_else(dash),
                node.tls.map_or_else(dash, |tls| if tls { "yes" } else { "no" }.to_owned()),
                node.os.clone().unwrap_or_else(dash),
                age.map_or_else(dash, words::duration),
                node.config_digest.as_ref().map_or_else(dash, |digest| digest.short().to_owned()),
            ]
        })
        .collect();
    let head = [
        "NODE", "GROUP", "RUNS", "ON DISK", "ROLE", "HEALTH", "LAG", "STORE", "TLS", "OS", "UP",
        "CONFIG",
    ];
    let age = if *kept {
        let age = Duration::try_from(now.duration_since(seen.taken_at)).unwrap_or_default();
        format!(", seen {} ago", words::duration(age))
    } else {
        String::new()
    };
    let table = print::table(&head, &rows);
    let mut text = format!("cluster {} ({}){age}\n{table}", seen.cluster, seen.pack);
    text.push_str(&findings::as_text(seen));
    for node in &seen.nodes {
        if let Reach::Unreachable(because) = &node.reach {
            text.push_str(&format!("  {} is unreachable: {because}\n", node.name));
        }
    }
    text
}

/// Health in a word.
pub(super) fn health(node: &NodeObservation) -> &'static str {
    match (&node.reach, node.healthy) {
        (Reach::Unreachable(_), _) => "unreachable",
        (Reach::Reachable, Some(true)) => "healthy",
        (Reach::Reachable, Some(false)) => "unhealthy",
        (Reach::Reachable, None) => "unknown",
    }
}

/// What changed in one cluster.
pub(super) fn changed(seen: &Seen, changes: &[Change]) -> String {
    let name = &seen.look.cluster;
    let Some(before) = &seen.before else {
        return format!("cluster {name}: seen for the first time\n");
    };
    let since = words::moment(before.taken_at);
    if changes.is_empty() {
        return format!("cluster {name}: nothing has changed since {since}\n");
    }
    let dash = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
    let who = |change: &Change| change.node.as_ref().map_or("-".into(), ToString::to_string);
    let rows: Vec<Vec<String>> = changes
        .iter()
        .map(|change| vec![who(change), change.what.clone(), dash(&change.from), dash(&change.to)])
        .collect();
    let table = print::table(&["NODE", "WHAT", "FROM", "TO"], &rows);
    format!("cluster {name}, since {since}\n{table}")
}
