//! Benchmarks: programs that measure, print each figure beside its bar, and never judge a test run.

use crate::shell::cargo;

pub(crate) fn run(names: &[String], output: &str) -> Result<(), String> {
    cargo(["build", "--release", "-p", "quorate-cli", "-p", "quorate-sim", "-p", "quorate-bench"])
        .run()?;
    cargo(["run", "--release", "-q", "-p", "quorate-bench", "--", "--output"])
        .args([output])
        .args(names.iter().map(String::as_str))
        .run()
}
