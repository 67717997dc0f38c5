//! A unit of systemd as a service: systemd is asked what it knows, and told to stop and start.
//!
//! Invariant: a unit that systemd is about to start again by itself is neither stopped nor running; nobody acts on it.

use super::{How, ServiceState, Signal, Stopped};
use crate::shell;
use jiff::Timestamp;
use quorate_model::SystemdSpec;
use quorate_transport::{Answer, Command, Transport};
use std::{collections::BTreeMap, time::Duration};

/// systemd answers at once, unless the host is not well enough to act on.
const LOOK_LIMIT: Duration = Duration::from_secs(10);
/// A unit without a process after this long waits for something that is not the product: a mount, another unit.
const PROCESS_LIMIT: Duration = Duration::from_secs(15);
/// The way to the host, and systemd's own work, beside the waits.
const MARGIN: Duration = Duration::from_secs(10);
/// systemd reads all units of the host anew: hosts have hundreds, and each takes milliseconds.
const RELOAD_LIMIT: Duration = Duration::from_secs(60);
/// As many lines as a start that fails tells: the reason is among them, and a person still reads them all.
const LAST_LINES: &str = "5";

/// A script that acts on a unit and tells what systemd knew of it just before.
macro_rules! unit_script {
    ($own:literal) => {
        concat!(
            "look_at_unit() {\n",
            include_str!("unit.sh"),
            "}\n",
            include_str!("unit_seen.sh"),
            include_str!($own)
        )
    };
}

/// What systemd knows of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unit {
    values: BTreeMap<String, String>,
}

impl Unit {
    fn read(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        Self { values: pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect() }
    }
    fn get(&self, key: &str) -> &str {
        self.values.get(key).map_or("", String::as_str)
    }
    fn number(&self, key: &str) -> u64 {
        self.get(key).parse().unwrap_or(0)
    }
    fn pid(&self) -> Option<u32> {
        u32::try_from(self.number("MainPID")).ok().filter(|pid| *pid != 0)
    }
    fn started(&self) -> Timestamp {
        let millis =
            self.number("btime") * 1000 + self.number("ExecMainStartTimestampMonotonic") / 1000;
        Timestamp::from_millisecond(i64::try_from(millis).unwrap_or(0))
            .unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Whether it runs; the error is why nobody can say.
    fn state(&self, unit: &str, host: &str) -> Answer<ServiceState> {
        match self.get("LoadState") {
            "not-found" => {
                return Answer::Failed(format!(
                    "there is no unit {unit} on {host}: `systemctl list-units --all` there names those that are"
                ));
            }
            "bad-setting" | "error" => {
                return Answer::Failed(format!(
                    "systemd on {host} cannot read the unit {unit}: `systemctl status {unit}` there says why"
                ));
            }
            _ => {}
        }
        match (self.get("ActiveState"), self.pid()) {
            ("active" | "reloading" | "activating" | "deactivating", Some(pid)) => {
                Answer::Done(ServiceState::Running { pid, started: self.started() })
            }
            ("inactive" | "failed", _) => Answer::Done(ServiceState::Stopped),
            // Between two starts, or in the middle of one more: the moment of the look says nothing of the unit.
            ("activating", None)
                if self.get("SubState") == "auto-restart" || self.number("NRestarts") > 0 =>
            {
                Answer::Unknown(format!(
                    "the unit {unit} on {host} ends and is started again by systemd ({} times by now, last result `{}`): see `journalctl -u {unit}` there",
                    self.number("NRestarts"),
                    self.get("Result")
                ))
            }
            ("active", None) => Answer::Failed(format!(
                "the unit {unit} on {host} is active without a process of its own: name the unit that runs the product"
            )),
            (state, _) => Answer::Unknown(format!(
                "the unit {unit} on {host} is in the state `{state}` ({})",
                self.get("SubState")
            )),
        }
    }
}

async fn look(transport: &dyn Transport, spec: &SystemdSpec) -> Answer<Unit> {
    let command = shell::script(include_str!("unit.sh"), &[&spec.unit]);
    // Looking changes nothing, so nothing is uncertain about the host; what is unknown is the unit's state.
    shell::run(transport, "looking at the unit", &command, LOOK_LIMIT)
        .await
        .map(|text| Unit::read(&text))
}

pub(super) async fn state(transport: &dyn Transport, spec: &SystemdSpec) -> Answer<ServiceState> {
    let host = transport.name();
    look(transport, spec).await.and_then(|unit| unit.state(&spec.unit, &host))
}

pub(super) async fn start(transport: &dyn Transport, spec: &SystemdSpec) -> Answer<u32> {
    let (unit, host) = (&spec.unit, transport.name());
    let tenths = (PROCESS_LIMIT.as_millis() / 100).to_string();
    let command = shell::script(unit_script!("unit_start.sh"), &[unit, &tenths]);
    let said = shell::run(transport, "starting the unit", &command, PROCESS_LIMIT + MARGIN).await;
    let said = match said {
        Answer::Done(said) => said,
        Answer::Failed(because) => return Answer::Failed(because),
        Answer::Unknown(because) => return Answer::Unknown(because),
    };
    let (before, said) = said.split_once("\n\n").unwrap_or((&said, ""));
    match Unit::read(before).state(unit, &host) {
        Answer::Done(ServiceState::Stopped) => {}
        Answer::Done(ServiceState::Running { pid, .. }) => {
            return Answer::Failed(format!(
                "the unit {unit} runs already as process {pid} on {host}; it was not started a second time"
            ));
        }
        Answer::Failed(because) => return Answer::Failed(because),
        Answer::Unknown(because) => return Answer::Unknown(because),
    }
    match said.trim().split_once(' ') {
        Some(("started", pid)) => pid.parse().map_or_else(
            |_| {
                Answer::Unknown(format!(
                    "the start of {unit} on {host} answered with `{}`",
                    said.trim()
                ))
            },
            Answer::Done,
        ),
        Some(("failed", result)) => Answer::Failed(format!(
            "the unit {unit} ended at once on {host} (result `{result}`); {}",
            last_words(transport, spec).await
        )),
        Some(("waits", state)) => Answer::Unknown(format!(
            "the unit {unit} on {host} is `{state}` and has no process after {PROCESS_LIMIT:?}: something that it requires is not there (`systemctl list-dependencies {unit}`)"
        )),
        _ => Answer::Unknown(format!(
            "the start of {unit} on {host} answered with `{}`",
            said.trim()
        )),
    }
}

/// Lets systemd read its units anew: what a unit says counts from its next start on.
pub(super) async fn reload(transport: &dyn Transport) -> Answer<()> {
    let command = Command { clean_env: true, ..Command::new(["systemctl", "daemon-reload"]) };
    shell::run(transport, "reading the units anew", &command, RELOAD_LIMIT).await.map(drop)
}

pub(super) async fn stop(transport: &dyn Transport, spec: &SystemdSpec) -> Answer<Stopped> {
    let (unit, host) = (&spec.unit, transport.name());
    let command = shell::script(unit_script!("unit_stop.sh"), &[unit]);
    let said = shell::run(transport, "stopping the unit", &command, spec.grace + MARGIN).await;
    let said = match said {
        Answer::Done(said) => said,
        Answer::Failed(because) => return Answer::Failed(because),
        Answer::Unknown(because) => return Answer::Unknown(because),
    };
    let (before, after) = said.split_once("\n\n").unwrap_or((&said, ""));
    match Unit::read(before).state(unit, &host) {
        Answer::Done(ServiceState::Stopped) => return Answer::Done(Stopped { how: How::Already }),
        // One that ends again and again is stopped, too: that ends the circle.
        Answer::Done(ServiceState::Running { .. }) | Answer::Unknown(_) => {}
        Answer::Failed(because) => return Answer::Failed(because),
    }
    let after = Unit::read(after);
    match after.state(unit, &host) {
        Answer::Done(ServiceState::Stopped) => {
            let killed = after.get("Result") == "timeout";
            Answer::Done(Stopped { how: if killed { How::Killed } else { How::Polite } })
        }
        Answer::Done(ServiceState::Running { pid, .. }) => Answer::Failed(format!(
            "the unit {unit} on {host} was stopped and runs again as process {pid}: something starts it (a socket, a timer, another unit)"
        )),
        Answer::Failed(because) => Answer::Failed(because),
        Answer::Unknown(because) => Answer::Unknown(because),
    }
}

pub(super) async fn signal(
    transport: &dyn Transport,
    spec: &SystemdSpec,
    signal: Signal,
) -> Answer<u32> {
    let pid = match state(transport, spec).await {
        Answer::Done(ServiceState::Running { pid, .. }) => pid,
        Answer::Done(ServiceState::Stopped) => {
            return Answer::Failed(format!(
                "the unit {} does not run on {}",
                spec.unit,
                transport.name()
            ));
        }
        Answer::Failed(because) => return Answer::Failed(because),
        Answer::Unknown(because) => return Answer::Unknown(because),
    };
    let name = signal.as_str();
    let words = ["systemctl", "kill", "--kill-who=main", "--signal", name, "--", &spec.unit];
    let command = Command { clean_env: true, ..Command::new(words) };
    shell::run(transport, "signalling the unit", &command, LOOK_LIMIT).await.map(|_| pid)
}

pub(super) async fn last_words(transport: &dyn Transport, spec: &SystemdSpec) -> String {
    let words = ["journalctl", "--unit", &spec.unit, "-n", LAST_LINES, "--no-pager", "-o", "cat"];
    let command = Command { clean_env: true, ..Command::new(words) };
    let text = match transport.run(&command, LOOK_LIMIT).await {
        Answer::Done(output) if output.ok() => output.text(),
        Answer::Done(output) => {
            return format!("its journal could not be read: {}", output.complaint());
        }
        Answer::Failed(because) | Answer::Unknown(because) => {
            return format!("its journal could not be read: {because}");
        }
    };
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    match lines.is_empty() {
        true => format!("and the journal of {} says nothing", spec.unit),
        false => format!("last lines of its journal: {}", lines.join(" / ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(text: &str) -> Answer<ServiceState> {
        Unit::read(text).state("etcd.service", "db-1")
    }

    #[test]
    fn runs_and_stopped() {
        let text = "btime=1000\nLoadState=loaded\nActiveState=active\nSubState=running\nMainPID=47\nExecMainStartTimestampMonotonic=2500000\n";
        let started = Timestamp::from_millisecond(1_002_500).unwrap();
        assert_eq!(state(text), Answer::Done(ServiceState::Running { pid: 47, started }));
        // A product that tells systemd when it serves is `activating` until then, and runs.
        let text = text.replace("=active", "=activating");
        assert!(matches!(state(&text), Answer::Done(ServiceState::Running { .. })));
        for stopped in ["inactive", "failed"] {
            let text = format!("LoadState=loaded\nActiveState={stopped}\nMainPID=0\n");
            assert_eq!(state(&text), Answer::Done(ServiceState::Stopped));
        }
    }

    #[test]
    fn a_unit_that_flaps_is_neither() {
        let text = "LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nMainPID=0\nNRestarts=7\nResult=exit-code\n";
        for moment in ["auto-restart", "start-pre"] {
            match state(&text.replace("auto-restart", moment)) {
                Answer::Unknown(because) => assert!(because.contains("7 times"), "{because}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_unit_that_is_not_there_is_named() {
        let text = "LoadState=not-found\nActiveState=inactive\nMainPID=0\n";
        match state(text) {
            Answer::Failed(because) => {
                assert!(because.contains("no unit etcd.service on db-1"), "{because}")
            }
            other => panic!("{other:?}"),
        }
        let exited = "LoadState=loaded\nActiveState=active\nSubState=exited\nMainPID=0\n";
        assert!(matches!(state(exited), Answer::Failed(_)));
    }
}
