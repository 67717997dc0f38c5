//! `sim_rate`: simulated runs a second on one core.

use crate::{
    Measured,
    figure::{Figure, median},
    machine::load,
};
use std::time::Instant;

/// Seeds of one measurement: some tenths of a second.
const SEEDS: u32 = 500;
const RUNS: u32 = 5;
const BAR: f64 = 1000.0;

pub(crate) fn measure() -> Measured {
    let mut runs = Vec::new();
    for run in 0..RUNS {
        let began = Instant::now();
        for seed in 0..SEEDS {
            let outcome = quorate_sim::run_seed(u64::from(run * SEEDS + seed));
            if !outcome.holds() {
                return Err(format!("a simulated run broke an invariant: {}", outcome.command()));
            }
        }
        runs.push(f64::from(SEEDS) / began.elapsed().as_secs_f64());
    }
    Ok(vec![
        Figure::at_least("sim_rate", median(&runs), "runs/s", BAR).over(&runs).with("load", load()),
    ])
}
