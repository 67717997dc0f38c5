//! `write_gap`: the longest time without an acknowledged write over both hops, above what the idle cluster shows.
//!
//! The naive loop runs on a cluster of the same shape with the same probe, in the same run; its sleep is shortened, which
//! does not shorten its gaps: every member is back long before.

use crate::{
    Measured,
    bed::Bed,
    figure::{Figure, median},
    machine::load,
    naive,
};
use quorate_model::Policy;
use serde_json::{Value, json};
use std::time::Duration;

const ROAD: [&str; 3] = ["3.3.25", "3.4.23", "3.5.16"];
const RUNS: usize = 3;
const BAR_MS: f64 = 200.0;
/// The field sleeps ten seconds.
const NAIVE_SLEEP: Duration = Duration::from_secs(3);
const BASELINE: Duration = Duration::from_secs(4);

pub(crate) fn measure() -> Measured {
    let mut above = Vec::new();
    let mut worst = Vec::new();
    let mut baselines = Vec::new();
    let mut lost = 0;
    for _ in 0..RUNS {
        let bed = Bed::up(&ROAD)?;
        let report = bed.upgrade(ROAD[2], true, considerate)?;
        let client = &report["client"];
        let (gap, baseline) =
            (number(client, "write_gap_max_ms")?, number(client, "baseline_gap_max_ms")?);
        lost += client["writes_lost"].as_u64().ok_or("nobody knows how many writes were lost")?;
        above.push(gap - baseline);
        worst.push(gap);
        baselines.push(baseline);
    }
    let bed = Bed::up(&ROAD)?;
    let naive = naive::roll(&bed, &ROAD, NAIVE_SLEEP, BASELINE)?;
    let figure = Figure::at_most("write_gap", median(&above), "ms above baseline", BAR_MS)
        .over(&above)
        .with("gap_ms", worst)
        .with("baseline_ms", baselines)
        .with("writes_lost", lost)
        .with(
            "naive",
            json!({
                "gap_ms": naive.write_gap_max_ms,
                "baseline_ms": naive.baseline_gap_max_ms,
                "writes_lost": naive.writes_lost,
                "requests_failed": naive.requests_failed,
                "sleep_secs": NAIVE_SLEEP.as_secs(),
            }),
        )
        .with("load", load());
    Ok(vec![figure])
}

/// A short soak: the gaps of planned stops do not depend on it.
fn considerate(policy: &mut Policy) {
    policy.soak = Duration::from_secs(1);
    policy.look_every = Duration::from_millis(100);
    policy.baseline = BASELINE;
}

fn number(client: &Value, key: &str) -> Result<f64, String> {
    client[key].as_f64().ok_or(format!("the report lacks `{key}`: {client}"))
}
