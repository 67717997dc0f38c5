//! `fanout_200`, `fanout_1000`: release and role from so many hosts over SSH, cold, beside what people use today.
//!
//! All of it runs on one machine, whose sshd does most of the work: what is compared is the whole, and beside it what the
//! controller alone has spent. Needs root, and Debian's package lists.

pub(crate) mod bed;
pub(crate) mod peers;

use crate::{
    Measured,
    figure::{Figure, median, round},
    machine::{cpu_of_children, load, memory_peak_mb, quorate},
};
use bed::{Bed, RELEASE, ROLE};
use peers::{Peer, Peers};
use serde_json::{Map, Value};
use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Runs of ours and of the tuned one; the others take ten times as long and are far away.
const RUNS: usize = 3;
/// Fan-outs that the others are tried with, beside their defaults (64, 32 and 5): more than these only queue on few cores.
const FAN_OUTS: [Option<u32>; 4] = [None, Some(16), Some(64), Some(128)];
/// Hosts on which the best fan-out is found.
const TRIED_ON: usize = 200;
const FASTER_BAR: f64 = 4.0;
const FASTER_THAN_TUNED_BAR: f64 = 1.4;
const CPU_BAR: f64 = 0.1;
const MEMORY_BAR_MB: f64 = 200.0;

pub(crate) fn two_hundred() -> Measured {
    measure(200)
}

pub(crate) fn thousand() -> Measured {
    let mut figures = measure(1000)?;
    let bed = Bed::start()?;
    figures.push(
        Figure::at_most("fanout_1000_memory", memory(&bed, 1000)?, "MB", MEMORY_BAR_MB)
            .with("load", load()),
    );
    Ok(figures)
}

/// What a run took.
#[derive(Debug, Clone, Copy)]
struct Took {
    secs: f64,
    cpu_secs: f64,
}

fn measure(count: usize) -> Measured {
    let bed = Bed::start()?;
    let peers = Peers::fetch(bed.folder())?;
    let (hosts, _) = bed.hosts(TRIED_ON)?;
    let mut best = Vec::new();
    for peer in [Peer::Clush, Peer::ParallelSsh, Peer::AnsibleRaw, Peer::ClushTuned] {
        let tried = FAN_OUTS.iter().map(|fan_out| {
            let took = one(&bed, TRIED_ON, peers.command(peer, &bed, &hosts, *fan_out))?;
            Ok((took, *fan_out))
        });
        let tried: Vec<(Took, Option<u32>)> = tried.collect::<Result<_, String>>()?;
        let least = tried.into_iter().min_by(|a, b| a.0.secs.total_cmp(&b.0.secs));
        best.push((peer, least.ok_or("nothing was tried")?));
    }
    let (hosts, fleet) = bed.hosts(count)?;
    let (mut own, mut tuned, mut others) = (Vec::new(), Vec::new(), Map::new());
    let mut fastest = f64::INFINITY;
    for (peer, (tried, fan_out)) in best {
        let ask = || one(&bed, count, peers.command(peer, &bed, &hosts, fan_out));
        let at_once = fan_out.map_or("default".to_owned(), |hosts| hosts.to_string());
        if peer == Peer::ClushTuned {
            // In turns, so that a busy minute of the machine meets both.
            for _ in 0..RUNS {
                own.push(one(&bed, count, ours(&bed, &fleet)?)?);
                tuned.push(ask()?);
            }
            others.insert(format!("{}_at_once", peer.name()), at_once.into());
            continue;
        }
        let took = if count == TRIED_ON { tried } else { ask()? };
        fastest = fastest.min(took.secs);
        others.insert(format!("{}_secs", peer.name()), round(took.secs).into());
        others.insert(format!("{}_cpu_secs", peer.name()), round(took.cpu_secs).into());
        others.insert(format!("{}_at_once", peer.name()), at_once.into());
    }
    Ok(figures(&format!("fanout_{count}"), &own, &tuned, fastest, others))
}

fn figures(
    name: &str,
    own: &[Took],
    tuned: &[Took],
    fastest: f64,
    others: Map<String, Value>,
) -> Vec<Figure> {
    let secs = |runs: &[Took]| median(&runs.iter().map(|took| took.secs).collect::<Vec<_>>());
    let cpu = |runs: &[Took]| median(&runs.iter().map(|took| took.cpu_secs).collect::<Vec<_>>());
    let faster = Figure::at_least(name, fastest / secs(own), "times faster", FASTER_BAR)
        .with("secs", round(secs(own)))
        .with("cpu_secs", round(cpu(own)));
    let faster = others.into_iter().fold(faster, |figure, (key, value)| figure.with(&key, value));
    let than_tuned = secs(tuned) / secs(own);
    let share = cpu(own) / cpu(tuned);
    vec![
        faster.with("load", load()),
        Figure::at_least(
            &format!("{name}_tuned"),
            than_tuned,
            "times faster",
            FASTER_THAN_TUNED_BAR,
        )
        .with("secs", round(secs(own)))
        .with("clush_tuned_secs", round(secs(tuned))),
        Figure::at_most(&format!("{name}_cpu"), share, "of clush tuned", CPU_BAR)
            .with("cpu_secs", round(cpu(own)))
            .with("clush_tuned_cpu_secs", round(cpu(tuned))),
    ]
}

fn ours(bed: &Bed, fleet: &Path) -> Result<Command, String> {
    let mut command = Command::new(quorate()?);
    command.arg("--fleet").arg(fleet).arg("--state").arg(bed.at("state"));
    command.args(["exec", "many", "--"]).arg(bed.question());
    Ok(command)
}

/// Asks every host, and insists that every one of them has told.
fn one(bed: &Bed, count: usize, mut command: Command) -> Result<Took, String> {
    bed.quiet()?;
    let cpu = || cpu_of_children(std::process::id()).unwrap_or(Duration::ZERO);
    let (before, began) = (cpu(), Instant::now());
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    let took = Took {
        secs: began.elapsed().as_secs_f64(),
        cpu_secs: cpu().saturating_sub(before).as_secs_f64(),
    };
    let said = String::from_utf8_lossy(&output.stdout);
    // Some show equal answers once, with who gave them; others each.
    let told = said.matches(&format!("{RELEASE}{ROLE}")).count();
    if output.status.success() && (told == 1 || told == count) {
        return Ok(took);
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = complaint.lines().rev().take(5).collect();
    Err(format!(
        "{told} of {count} hosts told {:?}: {}",
        command.get_args().collect::<Vec<_>>(),
        last.join(" / ")
    ))
}

/// The most memory that ours holds at a time, in MB.
fn memory(bed: &Bed, count: usize) -> Result<f64, String> {
    let (_, fleet) = bed.hosts(count)?;
    let mut child = ours(bed, &fleet)?
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut peak = 0.0_f64;
    loop {
        peak = peak.max(memory_peak_mb(child.id()).unwrap_or(0.0));
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) if status.success() => return Ok(peak),
            Some(status) => return Err(format!("the run that was measured ended with {status}")),
            None => bed::pause(),
        }
    }
}
