//! `lab_boot`: whole machines, from the command to its end, when every one of them has let its user in.
//!
//! The base tree is there beforehand: the first lab, which is not counted, sees to it. Needs root.

use crate::{
    Measured,
    figure::{Figure, median},
    machine::{load, quorate},
};
use std::{
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

const FEW: u32 = 3;
const FEW_RUNS: usize = 5;
const FEW_BAR_SECS: f64 = 10.0;
const MANY: u32 = 20;
const MANY_RUNS: usize = 3;
const MANY_BAR_SECS: f64 = 60.0;

pub(crate) fn measure() -> Measured {
    boot(1)?;
    let mut figures = Vec::new();
    for (count, runs, bar) in [(FEW, FEW_RUNS, FEW_BAR_SECS), (MANY, MANY_RUNS, MANY_BAR_SECS)] {
        let runs: Vec<f64> = (0..runs).map(|_| boot(count)).collect::<Result<_, _>>()?;
        let name = if count == FEW { "lab_boot" } else { "lab_boot_20" };
        figures.push(
            Figure::at_most(name, median(&runs), "s", bar)
                .with("machines", count)
                .over(&runs)
                .with("load", load()),
        );
    }
    Ok(figures)
}

/// Seconds until all machines of a new lab answer; the lab is taken down again.
fn boot(count: u32) -> Result<f64, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let dir = folder.path().join("lab");
    let count = count.to_string();
    let words =
        ["lab", "up", "machines", "--release", "bookworm", "--count", &count, "--name", "bench"];
    let began = Instant::now();
    let up = run(&words, Some(&dir));
    let took = began.elapsed().as_secs_f64();
    up?;
    run(&["lab", "down", "--yes", &dir.display().to_string()], None)?;
    Ok(took)
}

fn run(words: &[&str], dir: Option<&Path>) -> Result<(), String> {
    let mut command = Command::new(quorate()?);
    command.args(words).stdin(Stdio::null());
    if let Some(dir) = dir {
        command.arg("--dir").arg(dir);
    }
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("`quorate {}` failed: {said}", words.join(" ")))
}
