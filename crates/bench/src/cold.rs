//! `cold_start`: the whole process, from its start to its end, with its output read.

use crate::{
    Measured,
    figure::{Figure, median},
    machine::{load, quorate},
};
use std::{
    process::{Command, Stdio},
    time::Instant,
};

const RUNS: usize = 20;
const VERSION_BAR_MS: f64 = 20.0;
const PATH_BAR_MS: f64 = 50.0;

pub(crate) fn measure() -> Measured {
    Ok(vec![
        one("cold_start", &["--version"], VERSION_BAR_MS)?,
        one("cold_start_path", &["path", "etcd", "3.3.25", "3.5.16"], PATH_BAR_MS)?,
    ])
}

fn one(name: &str, words: &[&str], bar: f64) -> Result<Figure, String> {
    let program = quorate()?;
    let mut runs = Vec::new();
    // The first one only warms the disk's cache.
    for run in 0..=RUNS {
        let began = Instant::now();
        let output = Command::new(&program)
            .args(words)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        let took = began.elapsed().as_secs_f64() * 1e3;
        if !output.status.success() {
            return Err(format!(
                "`quorate {}` failed: {}",
                words.join(" "),
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        if run > 0 {
            runs.push(took);
        }
    }
    Ok(Figure::at_most(name, median(&runs), "ms", bar)
        .with("command", words.join(" "))
        .over(&runs)
        .with("load", load()))
}
