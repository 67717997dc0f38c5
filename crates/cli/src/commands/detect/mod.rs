//! `quorate detect`: what runs, everywhere at once; told as it arrives, kept, and compared with the look before.

mod csv;
mod json;
mod metrics;
mod text;

use crate::{
    args::{Detect, Global, Output},
    print,
    progress::Progress,
    site,
};
use jiff::{Span, SpanRelativeTo, Timestamp};
use quorate_model::{Cluster, NodeObservation, Reach};
use quorate_report::changes::{Change, changes};
use quorate_runner::{
    ops::see::{LookOptions, Seen, observe_all, telling, write_whole},
    problem::{BAD_SETTING, BUG, Problem},
};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

pub(crate) async fn detect(global: &Global, args: Detect) -> Result<u8, Problem> {
    let since = args.since.as_deref().map(duration).transpose()?;
    let setup = site::setup_for_many(global, &args.artifacts)?;
    let clusters = setup.select(&args.names.clusters)?;
    let nodes = clusters.iter().map(|cluster| cluster.nodes.len()).sum();
    let progress = Arc::new(Mutex::new(Progress::of(nodes, "nodes")));
    let own = progress.clone();
    let told =
        telling(move |node| tell(&mut own.lock().unwrap_or_else(PoisonError::into_inner), node));
    let options = LookOptions { since, retries: args.retries, told };
    let looks = observe_all(&setup, &clusters, &options).await;
    drop(options);
    if let Some(progress) = Arc::into_inner(progress) {
        progress.into_inner().unwrap_or_else(PoisonError::into_inner).done();
    }
    let (mut seen, mut failed) = (Vec::new(), Vec::new());
    for (cluster, look) in clusters.into_iter().zip(looks) {
        match look {
            Ok(look) => seen.push((cluster, look)),
            Err(problem) => failed.push((cluster, problem)),
        }
    }
    if let Some(file) = &args.textfile {
        let looks = seen.iter().map(|(cluster, seen)| (*cluster, &seen.look));
        let failed = failed.iter().map(|(cluster, problem)| (*cluster, problem));
        write_whole(file, &metrics::text(looks, failed).map_err(unwritten)?)?;
    }
    show(global, args.changed, &seen, &failed)?;
    Ok(failed.first().map_or(0, |(_, problem)| problem.exit_code()))
}

fn tell(progress: &mut Progress, node: &NodeObservation) {
    progress.one();
    if let Reach::Unreachable(because) = &node.reach {
        progress.tell(&format!("{} is unreachable: {because}", node.name));
    }
}

type Looked<'f> = (&'f Cluster, Seen);
type Failed<'f> = (&'f Cluster, Problem);

fn show(
    global: &Global,
    changed: bool,
    seen: &[Looked<'_>],
    failed: &[Failed<'_>],
) -> Result<(), Problem> {
    let differ: Vec<Vec<Change>> = seen
        .iter()
        .map(|(_, seen)| match &seen.before {
            Some(before) if changed => changes(before, &seen.look),
            _ => Vec::new(),
        })
        .collect();
    match (global.output, changed) {
        (Output::Json, false) => {
            let all: Vec<Value> =
                seen.iter().map(|(cluster, seen)| json::cluster(cluster, seen)).collect();
            print::json(&document(all, failed));
        }
        (Output::Json, true) => {
            let all = seen.iter().zip(&differ).map(|((cluster, seen), changes)| {
                let before = seen.before.as_ref().map(|before| before.taken_at);
                json!({ "name": cluster.name, "since": before, "taken_at": seen.look.taken_at, "changes": changes })
            });
            print::json(&document(all.collect(), failed));
        }
        (Output::Csv, false) => {
            let looks = seen.iter().map(|(_, seen)| &seen.look);
            print::data(&csv::nodes(looks).map_err(unwritten)?);
        }
        (Output::Csv, true) => {
            let all = seen.iter().zip(&differ);
            let all = all.map(|((cluster, _), changes)| (&cluster.name, changes.as_slice()));
            print::data(&csv::changes(all).map_err(unwritten)?);
        }
        (Output::Text, false) => {
            let now = Timestamp::now();
            seen.iter().for_each(|(_, seen)| print::data(&text::cluster(seen, now)));
        }
        (Output::Text, true) => {
            let all = seen.iter().zip(&differ);
            all.for_each(|((_, seen), changes)| print::data(&text::changed(seen, changes)));
        }
    }
    // In the document they stand already; people are told in any case.
    let people = Global { output: Output::Text, ..global.clone() };
    failed.iter().for_each(|(_, problem)| print::problem(problem, &people));
    Ok(())
}

fn document(clusters: Vec<Value>, failed: &[Failed<'_>]) -> Value {
    let failed: Vec<Value> = failed
        .iter()
        .map(|(cluster, problem)| {
            json!({ "name": cluster.name, "code": problem.code.id, "text": problem.to_string() })
        })
        .collect();
    json!({ "schema": 1, "clusters": clusters, "not_looked_at": failed })
}

fn unwritten(error: Box<dyn std::error::Error + Send + Sync>) -> Problem {
    Problem::new(BUG, "the looks cannot be written in this form").because(error.to_string())
}

/// A duration as a person writes it.
fn duration(text: &str) -> Result<Duration, Problem> {
    let read = text.parse::<Span>().and_then(|span| {
        let exact = span.to_duration(SpanRelativeTo::days_are_24_hours())?;
        Ok(Duration::try_from(exact).ok())
    });
    read.ok().flatten().ok_or_else(|| {
        Problem::new(BAD_SETTING, format!("`{text}` is no duration"))
            .hint("write it with its unit: `90s`, `15m`, `2h`, `1d`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let secs = |text| duration(text).map(|read| read.as_secs()).map_err(|no| no.text);
        assert_eq!(
            ["90s", "15m", "2h", "1d", "1h 30m"].map(secs),
            [90, 900, 7200, 86_400, 5400].map(Ok)
        );
        for wrong in ["", "90", "soon", "-5m"] {
            assert_eq!(secs(wrong), Err(format!("`{wrong}` is no duration")));
        }
    }
}
