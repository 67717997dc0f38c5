//! `quorate detect` and `probe`: what runs, what clients see.

use super::findings;
use crate::{
    args::{Detect, Global, Output, Probe},
    print, site,
};
use quorate_model::{Cluster, NodeObservation, Observation, Reach, RunEvent};
use quorate_report::words;
use quorate_runner::{
    ops::see::{observe, observe_all},
    problem::Problem,
    watch::ClientWatch,
};
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) async fn detect(global: &Global, args: Detect) -> Result<u8, Problem> {
    let setup = site::setup(global, &args.artifacts)?;
    let clusters = setup.select(&args.names.clusters)?;
    let seen = observe_all(&setup, &clusters).await?;
    if global.output == Output::Json {
        let all: Vec<Value> =
            clusters.iter().zip(&seen).map(|(cluster, seen)| as_json(cluster, seen)).collect();
        print::json(&json!({ "schema": 1, "clusters": all }));
    } else {
        for seen in &seen {
            print::data(&as_text(seen));
        }
    }
    Ok(0)
}

fn as_json(cluster: &Cluster, seen: &Observation) -> Value {
    let mut releases: Vec<String> = seen
        .nodes
        .iter()
        .filter_map(|node| node.release.as_ref())
        .map(ToString::to_string)
        .collect();
    releases.sort();
    releases.dedup();
    let nodes: Vec<Value> = seen.nodes.iter().map(node_json).collect();
    json!({
        "name": cluster.name,
        "pack": cluster.pack,
        "environment": cluster.environment,
        "taken_at": seen.taken_at,
        "releases": releases,
        "facts": seen.facts,
        "findings": seen.findings,
        "nodes": nodes,
    })
}

fn node_json(node: &NodeObservation) -> Value {
    let flags: Vec<String> = node
        .settings
        .iter()
        .map(|setting| {
            if setting.value.is_empty() {
                setting.key.clone()
            } else {
                format!("{}={}", setting.key, setting.value)
            }
        })
        .collect();
    let why = match &node.reach {
        Reach::Reachable => Value::Null,
        Reach::Unreachable(because) => json!(because),
    };
    json!({
        "name": node.name,
        "group": node.group,
        "reachable": node.reach == Reach::Reachable,
        "unreachable_because": why,
        "release": node.release,
        "disk_release": node.disk_release,
        "role": node.role,
        "voter": node.voter,
        "healthy": node.healthy,
        "lag": node.lag,
        "applied_index": node.applied_index,
        "member_id": node.member_id,
        "os": node.os,
        "store": node.store,
        "tls": node.tls,
        "data_hash": node.data_hash,
        "hash_revision": node.hash_revision,
        "alarms": node.alarms,
        "flags": flags,
        "config_digest": node.config_digest,
        "process": node.process,
        "facts": node.facts,
        "findings": node.findings,
    })
}

fn as_text(seen: &Observation) -> String {
    let dash = || "-".to_owned();
    let rows: Vec<Vec<String>> = seen
        .nodes
        .iter()
        .map(|node| {
            let health = match (&node.reach, node.healthy) {
                (Reach::Unreachable(_), _) => "unreachable".to_owned(),
                (Reach::Reachable, Some(true)) => "healthy".to_owned(),
                (Reach::Reachable, Some(false)) => "unhealthy".to_owned(),
                (Reach::Reachable, None) => "unknown".to_owned(),
            };
            let since = node.process.as_ref().and_then(|process| process.started_at);
            let age = since
                .and_then(|since| Duration::try_from(seen.taken_at.duration_since(since)).ok());
            vec![
                node.name.to_string(),
                node.group.to_string(),
                node.release.as_ref().map_or_else(dash, ToString::to_string),
                node.disk_release.as_ref().map_or_else(dash, ToString::to_string),
                words::role(node.role).to_owned(),
                health,
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
    let mut text =
        format!("cluster {} ({})\n{}", seen.cluster, seen.pack, print::table(&head, &rows));
    text.push_str(&findings::as_text(seen));
    for node in &seen.nodes {
        if let Reach::Unreachable(because) = &node.reach {
            text.push_str(&format!("  {} is unreachable: {because}\n", node.name));
        }
    }
    text
}

pub(crate) async fn probe(global: &Global, args: Probe) -> Result<u8, Problem> {
    let setup = site::setup(global, &Default::default())?;
    let cluster = setup.cluster(&args.cluster)?;
    let seen = observe(&setup, cluster).await?;
    let lowest = seen.nodes.iter().filter_map(|node| node.release.as_ref()).min();
    let lowest = lowest.ok_or_else(|| {
        Problem::new(
            quorate_runner::problem::UNSEEN,
            format!("no member of {} says its release", cluster.name),
        )
    })?;
    let secs = Duration::try_from_secs_f64(args.secs).map_err(|_| {
        Problem::new(
            quorate_runner::problem::BAD_FLEET,
            format!("{} is no number of seconds", args.secs),
        )
    })?;
    let mut watch = ClientWatch::start(&setup, cluster, lowest, None).await?;
    let mut events = watch.events();
    let until = tokio::time::sleep(secs);
    tokio::pin!(until);
    loop {
        tokio::select! {
            () = &mut until => break,
            Some(event) = events.recv() => tell(global, &event),
        }
    }
    let figures = watch.end().await?;
    let lost = figures.writes_lost;
    if global.output == Output::Json {
        print::json(&json!({ "schema": 1, "cluster": cluster.name, "client": figures }));
    } else {
        print::data(&format!(
            "{} writes acknowledged, {} lost, {} requests failed, longest gap {} ms, {} reads ({} stale), {} watch events ({} missed)",
            words::count(figures.writes_acked),
            figures.writes_lost,
            figures.requests_failed,
            figures.write_gap_max_ms,
            words::count(figures.reads_ok),
            figures.reads_stale,
            words::count(figures.watch_events),
            figures.watch_missed,
        ));
    }
    Ok(if lost == 0 { 0 } else { 5 })
}

fn tell(global: &Global, event: &RunEvent) {
    match (global.output, event) {
        (Output::Json, event) => print::json(event),
        (Output::Text, RunEvent::Client { sample }) => print::say(&format!(
            "{}  {} writes, {} failed, p50 {}, worst {}, gap {} ms",
            words::clock(sample.at),
            sample.acked,
            sample.failed,
            words::micros(sample.p50_us),
            words::micros(sample.max_us),
            sample.gap_ms,
        )),
        (Output::Text, RunEvent::ClientGap { gap }) => {
            print::say(&format!("{}  gap of {} ms", words::clock(gap.at), gap.gap_ms))
        }
        _ => {}
    }
}
