//! `roll_vs_ansible`: a hop of three etcd members on whole machines beside a playbook that is written well.
//!
//! Both copy the release to three hosts, take a backup, roll units of systemd over SSH with sudo, without soak, going on when a
//! member says that it is well, and wait until the cluster has taken the release. The roll alone is compared: from the first
//! member that is touched to the last one back. `roll_vs_ansible_whole` is both commands from their start to their end; ours also
//! proves its plan, restores its backup, measures a baseline of a second, and reads every staged file again. The same client's
//! view judges both. `rolling_ratio_machines` is `rolling_ratio` of the same runs. Needs root.

use crate::{
    Measured,
    fanout::peers::Peers,
    figure::{Figure, median, round},
    machine::{load, quorate},
};
use quorate_e2e::{artifacts, hosts::HostBed, hosts::NAMES};
use serde_json::Value;
use std::{
    fmt::Write,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const FROM: &str = "3.4.23";
const TO: &str = "3.5.16";
const RUNS: usize = 5;
const ROLL_BAR: f64 = 0.6;
/// Whoever does so much more takes no longer for it.
const WHOLE_BAR: f64 = 1.0;
const GAP_BAR: f64 = 1.0;
const RATIO_BAR: f64 = 1.15;
/// The client looks for so long at the playbook: longer than it takes on a busy machine.
const CLIENT: Duration = Duration::from_secs(60);
const PLAYBOOK: &str = include_str!("ansible.yaml");
/// What Ansible prints when it comes to that play, and to the one after it.
const ROLL_BEGINS: &str = "PLAY [roll]";
const ROLL_ENDS: &str = "PLAY [complete]";

/// What one roll took, and the worst that clients saw meanwhile.
#[derive(Debug, Clone, Copy)]
struct Took {
    secs: f64,
    roll_secs: f64,
    gap_ms: f64,
    lost: u64,
    /// Times the floor, where it is known.
    ratio: f64,
}

pub(crate) fn measure() -> Measured {
    let folder = tempfile::Builder::new().prefix("quorate-bench-").tempdir();
    let folder = folder.map_err(|error| error.to_string())?;
    let peers = Peers::fetch(folder.path())?;
    let (mut own, mut theirs) = (Vec::new(), Vec::new());
    // In turns, so that a busy minute of the machine meets both.
    for _ in 0..RUNS {
        own.push(bedded(ours)?);
        theirs.push(bedded(|bed| playbook(bed, &peers))?);
    }
    let gap = |took: &Took| took.gap_ms;
    let lost = |runs: &[Took]| runs.iter().map(|took| took.lost).sum::<u64>();
    let ratios: Vec<f64> = own.iter().map(|took| took.ratio).collect();
    Ok(vec![
        compared("roll_vs_ansible", &own, &theirs, |took| took.roll_secs, ROLL_BAR),
        compared("roll_vs_ansible_whole", &own, &theirs, |took| took.secs, WHOLE_BAR),
        Figure::at_most(
            "roll_vs_ansible_gap",
            median_of(&own, gap) / median_of(&theirs, gap),
            "of the playbook's worst gap",
            GAP_BAR,
        )
        .with("gap_ms", own.iter().map(|took| took.gap_ms).collect::<Vec<_>>())
        .with("playbook_gap_ms", theirs.iter().map(|took| took.gap_ms).collect::<Vec<_>>())
        .with("writes_lost", lost(&own))
        .with("playbook_writes_lost", lost(&theirs)),
        Figure::at_most("rolling_ratio_machines", median(&ratios), "times the floor", RATIO_BAR)
            .over(&ratios),
    ])
}

fn median_of(runs: &[Took], of: fn(&Took) -> f64) -> f64 {
    median(&runs.iter().map(of).collect::<Vec<_>>())
}

fn compared(name: &str, own: &[Took], theirs: &[Took], of: fn(&Took) -> f64, bar: f64) -> Figure {
    let each = |runs: &[Took]| runs.iter().map(|took| round(of(took))).collect::<Vec<_>>();
    let ratio = median_of(own, of) / median_of(theirs, of);
    Figure::at_most(name, ratio, "of the playbook's time", bar)
        .with("secs", each(own))
        .with("playbook_secs", each(theirs))
        .with("load", load())
}

/// A cluster on machines of its own for one roll. The bed is one of tests, and says by a panic that it cannot be made.
fn bedded(roll: impl FnOnce(&HostBed) -> Result<Took, String>) -> Result<Took, String> {
    let whole = || {
        let bed = HostBed::etcd_with(FROM, &["python3"]);
        // Both log in as the user whose sudo does not ask.
        let fleet = fs::read_to_string(bed.fleet()).map_err(|error| error.to_string())?;
        fs::write(bed.fleet(), fleet.replace("asks@", "")).map_err(|error| error.to_string())?;
        bed.limit(&["soak_secs: 0", "good_looks: 1", "look_every_secs: 0.02", "baseline_secs: 1"]);
        roll(&bed)
    };
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(whole))
        .map_err(|_| "machines for it could not be made: see above".to_owned())?
}

fn command(bed: &HostBed, words: &[&str]) -> Result<Command, String> {
    let mut command = Command::new(quorate()?);
    command.arg("--fleet").arg(bed.fleet()).args(words).stdin(Stdio::null());
    Ok(command)
}

fn output(mut command: Command) -> Result<String, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(out);
    }
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    let last: Vec<&str> = complaint.lines().chain(out.lines()).rev().take(12).collect();
    Err(format!("{:?} failed: {}", command.get_program(), last.join(" / ")))
}

fn document(text: &str) -> Result<Value, String> {
    serde_json::from_str(text.trim()).map_err(|error| format!("{error}: {text}"))
}

fn number(value: &Value, key: &str) -> Result<f64, String> {
    value[key].as_f64().ok_or(format!("`{key}` is lacking: {value}"))
}

fn ours(bed: &HostBed) -> Result<Took, String> {
    let mut upgrade = command(bed, &["upgrade", bed.name(), "--to", TO, "--yes"])?;
    upgrade.arg("--artifacts").arg(artifacts());
    let began = Instant::now();
    output(upgrade)?;
    let secs = began.elapsed().as_secs_f64();
    if std::env::var_os("QUORATE_BENCH_JOURNAL").is_some() {
        for recorded in bed.journal() {
            eprintln!("{}", serde_json::to_string(&recorded).unwrap_or_default());
        }
    }
    let report = document(&output(command(bed, &["run", "report", "--format", "json"])?)?)?;
    let hop = &report["report"]["hops"][0];
    let rolling = number(hop, "rolling_secs")? - number(hop, "soak_secs")?;
    let client = &report["client"];
    Ok(Took {
        secs,
        roll_secs: rolling,
        gap_ms: number(client, "write_gap_max_ms")?,
        lost: client["writes_lost"].as_u64().ok_or("nobody knows how many writes were lost")?,
        ratio: rolling / number(hop, "floor_secs")?,
    })
}

fn playbook(bed: &HostBed, peers: &Peers) -> Result<Took, String> {
    let (inventory, file) = (bed.scratch().join("inventory.ini"), bed.scratch().join("roll.yaml"));
    let mut hosts = "[etcd]\n".to_owned();
    for name in NAMES {
        let _ = writeln!(hosts, "{name}");
    }
    fs::write(&inventory, hosts)
        .and_then(|()| fs::write(&file, PLAYBOOK))
        .map_err(|error| error.to_string())?;
    let secs = CLIENT.as_secs().to_string();
    let mut client = command(bed, &["--output", "json", "probe", bed.name(), "--secs", &secs])?
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let looks_since = Instant::now();
    let mut lines = BufReader::new(client.stdout.take().ok_or("the client has no output")?).lines();
    // Its first second has passed, then it writes.
    let first =
        lines.next().ok_or("the client ended at once")?.map_err(|error| error.to_string())?;
    // An empty pipe all the time: a full one would hold it up.
    let rest = std::thread::spawn(move || lines.map_while(Result::ok).last());
    let mut roll = peers.playbook(&bed.machines.lab.ssh_config, &inventory, &file);
    roll.arg("-e").arg(format!("release={}", release(TO).display()));
    roll.args(["-e", "line=3.5."]).stdin(Stdio::null());
    let began = Instant::now();
    let rolled = timed(roll);
    let secs = began.elapsed().as_secs_f64();
    let seen_whole = looks_since.elapsed() < CLIENT;
    // It ends by itself after its time.
    let last = rest.join().map_err(|_| "the client could not be read")?.unwrap_or(first);
    client.wait().map_err(|error| error.to_string())?;
    let roll_secs = rolled?;
    if !seen_whole {
        return Err(format!("the playbook took {secs:.0} s, longer than its client looked"));
    }
    for name in NAMES {
        let runs = bed.machines.says(name, "/usr/bin/etcd --version | head -n 1");
        if !runs.contains(TO) {
            return Err(format!("after the playbook {name} has `{runs}`"));
        }
    }
    let seen = document(&last)?["client"].clone();
    Ok(Took {
        secs,
        roll_secs,
        gap_ms: number(&seen, "write_gap_max_ms")?,
        lost: seen["writes_lost"].as_u64().ok_or("nobody knows how many writes were lost")?,
        ratio: f64::NAN,
    })
}

/// Runs a playbook, and gives the seconds of its roll alone.
fn timed(mut playbook: Command) -> Result<f64, String> {
    let child = playbook.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| error.to_string())?;
    let lines = BufReader::new(child.stdout.take().ok_or("the playbook has no output")?).lines();
    let (mut all, mut began, mut took) = (Vec::new(), None, None);
    for line in lines.map_while(Result::ok) {
        if line.starts_with(ROLL_BEGINS) {
            // With `serial: 1` it says so for each host.
            began = began.or_else(|| Some(Instant::now()));
        } else if line.starts_with(ROLL_ENDS) {
            took = began.map(|began| began.elapsed().as_secs_f64());
        }
        all.push(line);
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        let last: Vec<&str> =
            all.iter().map(String::as_str).chain(complaint.lines()).rev().take(12).collect();
        return Err(format!("the playbook failed: {}", last.join(" / ")));
    }
    took.ok_or_else(|| "the playbook has not rolled".to_owned())
}

fn release(release: &str) -> std::path::PathBuf {
    Path::new(artifacts()).join("etcd").join(release)
}
