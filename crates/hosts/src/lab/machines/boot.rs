//! Boots a machine and ends it.

use super::{
    LabError,
    group::Group,
    place::{self, State},
    script,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{path::Path, time::Duration};

/// systemd gives each service 90 s to end; a machine that needs longer hangs.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(100);

/// The control group of one machine.
pub(super) fn group(state: &State, machine: &str) -> Result<Group, LabError> {
    Group::new(&state.group(), Some(machine))
}

/// Starts a machine whose disks and network are there. It outlives this program.
pub(super) async fn start(dir: &Path, state: &State, machine: &str) -> Result<(), LabError> {
    let group = group(state, machine)?;
    if group.lives() {
        return Err(LabError::Input(format!("{machine} is already running")));
    }
    // What a machine that was killed left there would be taken for a live one's.
    group.remove()?;
    let home = place::home(dir, machine);
    let words = [
        &*group.path().to_string_lossy(),
        &*home.to_string_lossy(),
        &*state.space(machine),
        &*state.link(machine),
    ];
    script("booting a machine", include_str!("boot.sh"), &words).await.map(drop)
}

/// Shuts a machine down politely.
pub(super) async fn shut_down(state: &State, machine: &str) -> Result<(), LabError> {
    let group = group(state, machine)?;
    let boot = Group::new(&state.group(), Some(&format!("{machine}/boot/supervisor")))?;
    for pid in boot.processes() {
        // systemd-nspawn passes it on as the order to power off. One that has just ended needs no signal.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    group.ended(SHUTDOWN_LIMIT).await
}
