//! `rolling_ratio`: how much longer a rolling hop takes than its floor, without soak.
//!
//! Counted is a hop 3.4 -> 3.5 of three members: from the first handover or stop to the last member back and caught up
//! (`rolling_secs` less `soak_secs` of the report) over the sum of the times from each member's stop to its being healthy
//! and caught up (`floor_secs`). Staging, the backup and its proof, and the wait for the cluster version are not in it.
//! `bare_secs` is beside it: the same by the shortest script that waits for the same thing, on a cluster of the same shape.

use crate::{
    Measured, bare,
    bed::Bed,
    figure::{Figure, median},
    machine::load,
};
use quorate_model::Policy;
use std::time::Duration;

const FROM: &str = "3.4.23";
const TO: &str = "3.5.16";
const RUNS: usize = 5;
const BAR: f64 = 1.10;

pub(crate) fn measure() -> Measured {
    let (mut ratios, mut rolling, mut floors, mut bares) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let bed = Bed::up(&[FROM, TO])?;
        let report = bed.upgrade(TO, false, hasty)?;
        let hop = &report["hops"][0];
        let secs = |key: &str| hop[key].as_f64().ok_or(format!("the report lacks `{key}`: {hop}"));
        let (took, floor) = (secs("rolling_secs")? - secs("soak_secs")?, secs("floor_secs")?);
        ratios.push(took / floor);
        rolling.push(took);
        floors.push(floor);
        drop(bed);
        let bed = Bed::up(&[FROM, TO])?;
        bares.push(bare::roll(&bed, TO)?);
    }
    let figure = Figure::at_most("rolling_ratio", median(&ratios), "times the floor", BAR)
        .over(&ratios)
        .with("rolling_secs", rounded(&rolling))
        .with("floor_secs", rounded(&floors))
        .with("bare_secs", rounded(&bares))
        .with("load", load());
    Ok(vec![figure])
}

/// No soak, one good look, and looks as close as they can be: what is left is the work itself.
fn hasty(policy: &mut Policy) {
    policy.soak = Duration::ZERO;
    policy.good_looks = 1;
    policy.look_every = Duration::from_millis(20);
}

fn rounded(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| crate::figure::round(*value)).collect()
}
