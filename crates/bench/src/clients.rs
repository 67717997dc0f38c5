//! `roll_clients`: clients that move in waves beside each other, against the floor of their waves, and what the controller costs.
//!
//! Counted is a restart of three servers and many clients of Consul, agents of one lab, a tenth of the clients at a time: from the
//! first client's stop to the last one back, over the sum of each wave's slowest client from its stop to its being healthy and
//! alive in gossip. No soak. The policy is otherwise the default one, and the client's view runs beside it as in every run.
//! Peak memory and processor time are those of the program that people start, as the kernel counts them.

use crate::{
    Measured,
    bed::said,
    figure::{Figure, round},
    machine::{self, quorate},
};
use jiff::Timestamp;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const RELEASE: &str = "1.8.7";
const RATIO_BAR: f64 = 1.3;
/// What a small machine has to spare, whatever the number of clients.
const MEMORY_BAR_MB: f64 = 150.0;
/// Ten waves of thirty agents that share two cores take six minutes by themselves; twice that, and what is around them.
const RUN_LIMIT: Duration = Duration::from_secs(900);
const LOOK_EVERY: Duration = Duration::from_millis(250);

pub(crate) fn hundred() -> Measured {
    roll("roll_clients", 100)
}

pub(crate) fn three_hundred() -> Measured {
    roll("roll_clients_300", 300)
}

/// A cluster of Consul with clients, gone when it is dropped.
struct Lab {
    name: String,
    folder: tempfile::TempDir,
}

impl Lab {
    fn up(clients: u32) -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("quorate-bench-").tempdir().map_err(said)?;
        let lab = Self { name: format!("bench-{}", std::process::id()), folder };
        let (count, dir) = (clients.to_string(), lab.dir().display().to_string());
        let words = ["lab", "up", "consul", "--release", RELEASE, "--members", "3", "--clients"];
        output(
            Command::new(quorate()?).args(words).args([&count, "--name", &lab.name, "--dir", &dir]),
        )?;
        let policy =
            format!("    policy: {{ soak_secs: 0, client_wave: {} }}", clients.div_ceil(10));
        let file = fs::read_to_string(lab.fleet()).map_err(said)?;
        let file = file.replacen("    # policy:", &format!("{policy}\n    # policy:"), 1);
        fs::write(lab.fleet(), file).map_err(said)?;
        Ok(lab)
    }
    fn dir(&self) -> PathBuf {
        self.folder.path().join("lab")
    }
    fn fleet(&self) -> PathBuf {
        self.dir().join("fleet.yaml")
    }
    fn command(&self) -> Result<Command, String> {
        let mut command = Command::new(quorate()?);
        command.arg("--fleet").arg(self.fleet());
        command.arg("--state").arg(self.folder.path().join("state"));
        Ok(command)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let dir = self.dir().display().to_string();
        let down = quorate()
            .and_then(|program| output(Command::new(program).args(["lab", "down", "--yes", &dir])));
        if let Err(because) = down {
            eprintln!("warning: {} could not be taken down: {because}", self.name);
        }
    }
}

/// What a command printed; what it complained of when it failed.
fn output(command: &mut Command) -> Result<Vec<u8>, String> {
    let output = command.stdin(Stdio::null()).output().map_err(said)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("`quorate {}` failed: {complaint}", words.join(" ")))
}

fn roll(name: &str, clients: u32) -> Measured {
    let lab = Lab::up(clients)?;
    let (log, complaints) = (lab.folder.path().join("log"), lab.folder.path().join("complaints"));
    let file = |path: &Path| fs::File::create(path).map_err(said);
    let mut child = lab
        .command()?
        .args(["upgrade", &lab.name, "--restart", "--yes"])
        .stdin(Stdio::null())
        .stdout(file(&log)?)
        .stderr(file(&complaints)?)
        .spawn()
        .map_err(said)?;
    let cost = watch(&mut child)?;
    if !cost.well {
        let said = [&complaints, &log].map(|file| fs::read_to_string(file).unwrap_or_default());
        let last =
            |text: &String| text.trim_end().lines().rev().take(5).map(str::to_owned).collect();
        let last: Vec<Vec<String>> = said.iter().map(last).collect();
        return Err(format!("the run did not succeed: {}", last.concat().join(" / ")));
    }
    let report = output(lab.command()?.args(["run", "report", "--format", "json"]))?;
    let report: Value = serde_json::from_slice(&report).map_err(said)?;
    let waves = Waves::of(&report)?;
    let ratio = Figure::at_most(name, waves.wall / waves.floor, "times the floor", RATIO_BAR)
        .with("clients", clients)
        .with("waves", waves.count)
        .with("wall_secs", round(waves.wall))
        .with("floor_secs", round(waves.floor))
        .with("run_secs", round(cost.wall.as_secs_f64()))
        .with("controller_cpu_secs", round(cost.cpu.as_secs_f64()))
        .with("its_commands_cpu_secs", round(cost.children.as_secs_f64()))
        .with("write_gap_max_ms", report["client"]["write_gap_max_ms"].clone())
        .with("load", machine::load());
    let memory = Figure::at_most(&format!("{name}_memory"), cost.memory_mb, "MB", MEMORY_BAR_MB)
        .with("nodes", clients + 3);
    Ok(vec![ratio, memory])
}

/// What the program cost from its start to its end.
struct Cost {
    well: bool,
    wall: Duration,
    cpu: Duration,
    children: Duration,
    memory_mb: f64,
}

/// Looks at the kernel's own counts until the program ends: they only grow, so what was seen last is the whole but for a moment.
fn watch(child: &mut Child) -> Result<Cost, String> {
    let (pid, began) = (child.id(), Instant::now());
    let (mut cpu, mut children, mut memory_mb) = (Duration::ZERO, Duration::ZERO, 0.0);
    while began.elapsed() < RUN_LIMIT {
        cpu = machine::cpu(pid).unwrap_or(cpu).max(cpu);
        children = machine::cpu_of_children(pid).unwrap_or(children).max(children);
        memory_mb = machine::memory_peak_mb(pid).unwrap_or(memory_mb).max(memory_mb);
        if let Some(status) = child.try_wait().map_err(said)? {
            let (well, wall) = (status.success(), began.elapsed());
            return Ok(Cost { well, wall, cpu, children, memory_mb });
        }
        std::thread::sleep(LOOK_EVERY);
    }
    // Only this child, by its own handle.
    child.kill().and_then(|()| child.wait()).map_err(said)?;
    Err(format!("the run took longer than {} s", RUN_LIMIT.as_secs()))
}

/// The clients' waves of a report.
struct Waves {
    count: usize,
    wall: f64,
    floor: f64,
}

impl Waves {
    fn of(report: &Value) -> Result<Self, String> {
        let all =
            report["report"]["hops"][0]["waves"].as_array().ok_or("the report has no waves")?;
        let moves =
            |wave: &&Value| wave["id"].as_str().is_some_and(|id| id.starts_with("h1.client-"));
        let steps = |wave: &Value| wave["steps"].as_array().cloned().unwrap_or_default();
        let waves: Vec<Vec<Value>> = all.iter().filter(moves).map(steps).collect();
        let moment = |step: &Value, key: &str| step[key].as_str()?.parse::<Timestamp>().ok();
        let began = waves.iter().flatten().filter_map(|step| moment(step, "started_at")).min();
        let ended = waves.iter().flatten().filter_map(|step| moment(step, "ended_at")).max();
        let (began, ended) = began.zip(ended).ok_or("no client has moved")?;
        let slowest = |steps: &Vec<Value>| {
            let floors = steps.iter().filter_map(|step| step["floor_secs"].as_f64());
            floors.reduce(f64::max).ok_or("a wave has no floor")
        };
        let floor = waves.iter().map(slowest).sum::<Result<f64, _>>()?;
        Ok(Self { count: waves.len(), wall: ended.duration_since(began).as_secs_f64(), floor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_floor_is_the_slowest_client_of_each_wave() {
        let step = |from: &str, to: &str, floor: Value| json!({ "started_at": from, "ended_at": to, "floor_secs": floor });
        let wave = |id: &str, steps: Vec<Value>| json!({ "id": id, "steps": steps });
        let day = |time: &str| format!("2026-01-02T00:00:{time}Z");
        let waves = vec![
            wave("h1.stage-client", vec![step(&day("00"), &day("01"), Value::Null)]),
            wave(
                "h1.client-1",
                vec![
                    step(&day("10"), &day("14"), json!(4.0)),
                    step(&day("10"), &day("13"), json!(3.0)),
                ],
            ),
            wave("h1.client-2", vec![step(&day("15"), &day("20"), json!(5.0))]),
        ];
        let waves =
            Waves::of(&json!({ "report": { "hops": [{ "waves": waves }] } })).expect("waves");
        assert_eq!(waves.count, 2);
        assert!((waves.wall - 10.0).abs() < 1e-9 && (waves.floor - 9.0).abs() < 1e-9);
        assert!(Waves::of(&json!({})).is_err());
    }
}
