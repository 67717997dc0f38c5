//! `quorate probe`: what clients see.

use crate::{
    args::{Global, Output, Probe},
    print, site,
};
use quorate_model::RunEvent;
use quorate_report::words;
use quorate_runner::{ops::see::observe, problem::Problem, watch::ClientWatch};
use serde_json::json;
use std::time::Duration;

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
        words::beside_writes(&figures).iter().for_each(|line| print::data(line));
    }
    Ok(if words::is_broken(&figures) { 5 } else { 0 })
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
