//! `path_1000`: a path over a graph of a thousand releases, fifty lines of twenty patches, with every patch at hand.

use crate::{
    Measured,
    figure::{Figure, median},
    machine::load,
};
use quorate_packs::Packs;
use quorate_planner::{PathOutcome, PathRequest, path};
use std::time::Instant;

const LINES: usize = 50;
const PATCHES: usize = 20;
/// Enough for a steady median, and over in an instant.
const RUNS: usize = 21;
const BAR_MS: f64 = 10.0;

pub(crate) fn measure() -> Measured {
    let packs =
        Packs::load(&[("bench.yaml".into(), pack_text())]).map_err(|found| format!("{found:?}"))?;
    let pack = packs.get(&"bench".into()).ok_or("the generated pack is missing")?;
    let (from, to) = (
        "7.0.0".parse().map_err(|error| format!("{error}"))?,
        last().parse().map_err(|error| format!("{error}"))?,
    );
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let began = Instant::now();
        let answer = path(pack, &PathRequest::on_paper(&from, &to));
        runs.push(began.elapsed().as_secs_f64() * 1e3);
        if answer.outcome != PathOutcome::Path || answer.hops.len() != LINES - 1 {
            return Err(format!(
                "the path has {} hops, it should have {}",
                answer.hops.len(),
                LINES - 1
            ));
        }
    }
    let figure =
        Figure::at_most("path_1000", median(&runs), "ms", BAR_MS).over(&runs).with("load", load());
    Ok(vec![figure])
}

fn last() -> String {
    format!("7.{}.{}", LINES - 1, PATCHES - 1)
}

/// A product whose members go one line at a time, with a rule that blocks a patch of every line, as real ones have.
fn pack_text() -> String {
    let lines: String = (0..LINES).map(|line| format!("  - {{ line: \"7.{line}\" }}\n")).collect();
    let patches = |line: usize| {
        (0..PATCHES).map(move |patch| format!("  - {{ release: \"7.{line}.{patch}\" }}\n"))
    };
    let releases: String = (0..LINES).flat_map(patches).collect();
    include_str!("bench.yaml").replace("LINES", &lines).replace("RELEASES", &releases)
}
