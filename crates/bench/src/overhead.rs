//! `run_overhead`: what the controller costs while a gate waits, as `quorate upgrade` is run by a person.
//!
//! The policy is the default one (a look every half second); only the soak is longer, so that there is time to measure.
//! The bars are for the controller without the client's view: the load of a client is not the controller's own work, it is
//! shown beside. Programs that looks start on the host (the product's own tool, asked for a hash) are shown apart.

use crate::{
    Measured,
    bed::{Bed, folders, said},
    figure::Figure,
    machine,
};
use quorate_runner::ops::lab::shared_cache;
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

const SOAK_SECS: u64 = 30;
const MEASURED: Duration = Duration::from_secs(20);
/// Staging, a verified backup and one member's way back take some seconds; a minute means that the gate is never reached.
const UNTIL_GATE: Duration = Duration::from_secs(90);
const CPU_BAR: f64 = 2.0;
const MEMORY_BAR_MB: f64 = 60.0;

struct Cost {
    cpu_percent: f64,
    children_percent: f64,
    memory_mb: f64,
}

pub(crate) fn measure() -> Measured {
    let own = run(false)?;
    let probed = run(true)?;
    let load = machine::load();
    let cpu = Figure::at_most("run_overhead", own.cpu_percent, "% of a core", CPU_BAR)
        .with("children", own.children_percent)
        .with("with_probe", probed.cpu_percent)
        .with("measured_secs", MEASURED.as_secs())
        .with("load", load);
    let memory = Figure::at_most("run_overhead_memory", own.memory_mb, "MB", MEMORY_BAR_MB)
        .with("with_probe", probed.memory_mb)
        .with("load", load);
    Ok(vec![cpu, memory])
}

fn run(probed: bool) -> Result<Cost, String> {
    let bed = Bed::up(&["3.4.23", "3.5.16"])?;
    let mut command = Command::new(machine::quorate()?);
    command.arg("--fleet").arg(&bed.setup.fleet_file).arg("--state").arg(&bed.setup.state_dir);
    command.args([
        "--output",
        "json",
        "upgrade",
        bed.cluster()?.name.as_str(),
        "--to",
        "3.5.16",
        "--yes",
        "--soak",
    ]);
    command.arg(SOAK_SECS.to_string());
    for folder in folders() {
        command.arg("--artifacts").arg(folder);
    }
    if !probed {
        command.arg("--no-probe");
    }
    command.env("XDG_CACHE_HOME", shared_cache().parent().unwrap_or(std::path::Path::new("/tmp")));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(said)?;
    let cost = watch(&mut child);
    // Only this child, by its own handle: the cluster goes with the bed, and a journal that ends here harms nobody.
    let killed = child.kill().and_then(|()| child.wait());
    killed.map_err(said)?;
    cost
}

/// Waits for the first soak, then measures.
fn watch(child: &mut Child) -> Result<Cost, String> {
    let pid = child.id();
    let out = child.stdout.take().ok_or("the run has no output")?;
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let give_up = Instant::now() + UNTIL_GATE;
    loop {
        let left = give_up.saturating_duration_since(Instant::now());
        let line =
            lines.recv_timeout(left).map_err(|_| "the run did not come to its first soak")?;
        if line.contains("\"waiting\"") && line.contains("\"soak\"") {
            break;
        }
    }
    let gone = || "the run ended while it was measured".to_owned();
    let (cpu, children) =
        (machine::cpu(pid).ok_or_else(gone)?, machine::cpu_of_children(pid).ok_or_else(gone)?);
    let began = Instant::now();
    std::thread::sleep(MEASURED);
    let secs = began.elapsed().as_secs_f64();
    let (cpu_after, children_after) =
        (machine::cpu(pid).ok_or_else(gone)?, machine::cpu_of_children(pid).ok_or_else(gone)?);
    let percent = |before: Duration, after: Duration| {
        crate::figure::round(100.0 * after.saturating_sub(before).as_secs_f64() / secs)
    };
    Ok(Cost {
        cpu_percent: percent(cpu, cpu_after),
        children_percent: percent(children, children_after),
        memory_mb: crate::figure::round(machine::memory_peak_mb(pid).ok_or_else(gone)?),
    })
}
