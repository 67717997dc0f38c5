//! Breaks machines and their network on purpose, and mends what can be mended.

use super::{
    super::{Fault, LabError},
    Machine, boot, clock, disk, needs, net,
    net::{ALL, CONTROLLER, Rule},
    place::{self, State},
    up,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{collections::BTreeSet, fs, path::Path};

/// Does it to one machine, or to a set of hosts (`m1,m2`) of the lab's network, and says what was done.
pub(in crate::lab) async fn fault(
    dir: &Path,
    hosts: &str,
    fault: &Fault,
) -> Result<String, LabError> {
    needs::root()?;
    let mut state = place::state(dir)?;
    match fault {
        Fault::Cut { from } => {
            return network(dir, &mut state, hosts, from.as_deref(), ALL).await;
        }
        Fault::Drop { from, percent } => {
            return network(dir, &mut state, hosts, from.as_deref(), permille(*percent)?).await;
        }
        Fault::Heal => return heal(dir, &mut state, hosts).await,
        _ => {}
    }
    let machine = state.machine(hosts)?;
    one(dir, &state, machine, fault).await.map(|text| format!("{}: {text}", machine.name))
}

async fn one(
    dir: &Path,
    state: &State,
    machine: &Machine,
    fault: &Fault,
) -> Result<String, LabError> {
    let name = &machine.name;
    let group = boot::group(state, name)?;
    let text = match fault {
        Fault::Kill => {
            // First, or the kernel would close the connections of the dead politely.
            net::unplug(state, name).await?;
            group.kill().await?;
            "has lost its power".to_owned()
        }
        Fault::Stop => {
            boot::shut_down(state, name).await?;
            "is shut down".to_owned()
        }
        Fault::Start => {
            up::again(dir, state, machine).await?;
            format!("is up again at {}", machine.address)
        }
        Fault::Freeze => {
            group.freeze(true).await?;
            "is frozen".to_owned()
        }
        Fault::Thaw => {
            group.freeze(false).await?;
            "goes on".to_owned()
        }
        Fault::FillDisk => {
            disk::fill(dir, name)?;
            format!("its volume, {}, is full", machine.data.display())
        }
        Fault::FreeDisk => {
            disk::free(dir, name)?;
            format!("its volume, {}, has room again", machine.data.display())
        }
        Fault::HangSsh => sshd(&group, name, Signal::SIGSTOP, "accept and never answer")?,
        Fault::JumpClock { program, by_secs } => {
            let count = clock::jump(&group, program, *by_secs).await?;
            let off = if *by_secs == 0 {
                "is right again".to_owned()
            } else {
                format!("is off by {by_secs} s")
            };
            format!("the clock of {program} ({count} processes) {off}")
        }
        Fault::MendSsh => sshd(&group, name, Signal::SIGCONT, "go on")?,
        Fault::Cut { .. } | Fault::Drop { .. } | Fault::Heal | Fault::DamageArtifact { .. } => {
            return Err(LabError::Input(format!("this cannot be done to the machine {name}")));
        }
    };
    Ok(text)
}

/// Stops sshd and its sessions, not what runs in them: the kernel goes on accepting, and nobody answers.
fn sshd(
    group: &super::group::Group,
    machine: &str,
    signal: Signal,
    text: &str,
) -> Result<String, LabError> {
    let is_sshd = |pid: &i32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("sshd"))
    };
    let mut count = 0;
    for pid in group.processes().into_iter().filter(is_sshd) {
        // One that has just ended needs no signal.
        count += usize::from(kill(Pid::from_raw(pid), signal).is_ok());
    }
    if count == 0 {
        return Err(LabError::Input(format!("no sshd runs on {machine}")));
    }
    Ok(format!("{count} processes of sshd {text}"))
}

fn permille(percent: f64) -> Result<u32, LabError> {
    let refused = || {
        LabError::Input(format!("a share of packets is more than 0 and at most 100, not {percent}"))
    };
    if !(percent > 0.0 && percent <= 100.0) {
        return Err(refused());
    }
    // Rounded up: some packets are lost, however small the share. The range was just checked.
    let share = (percent * 10.0).ceil();
    (1..=ALL).find(|part| f64::from(*part) >= share).ok_or_else(refused)
}

async fn network(
    dir: &Path,
    state: &mut State,
    one: &str,
    other: Option<&str>,
    permille: u32,
) -> Result<String, LabError> {
    let one = set(state, one)?;
    let other = match other {
        Some(other) => set(state, other)?,
        None => everybody(state).difference(&one).cloned().collect(),
    };
    if let Some(both) = one.intersection(&other).next() {
        return Err(LabError::Input(format!("{both} cannot be cut off from itself")));
    }
    if other.is_empty() {
        return Err(LabError::Input("there is nobody on the other side".to_owned()));
    }
    let text = format!(
        "{} and {}: {} of their packets are lost",
        join(&one),
        join(&other),
        if permille == ALL {
            "all".to_owned()
        } else {
            format!("{} %", f64::from(permille) / 10.0)
        }
    );
    // A new order for the same two sides replaces the old one.
    state.rules.retain(|rule| {
        !(rule.one == one && rule.other == other || rule.one == other && rule.other == one)
    });
    state.rules.push(Rule { one, other, permille });
    net::enforce(state).await?;
    state.save(dir)?;
    Ok(text)
}

/// Mends every fault of the network that touches one of the hosts.
async fn heal(dir: &Path, state: &mut State, hosts: &str) -> Result<String, LabError> {
    let hosts = set(state, hosts)?;
    let before = state.rules.len();
    state.rules.retain(|rule| rule.one.is_disjoint(&hosts) && rule.other.is_disjoint(&hosts));
    net::enforce(state).await?;
    state.save(dir)?;
    Ok(format!("{}: {} faults of the network are mended", join(&hosts), before - state.rules.len()))
}

fn everybody(state: &State) -> BTreeSet<String> {
    let machines = state.machines.iter().map(|machine| machine.name.clone());
    machines.chain([CONTROLLER.to_owned()]).collect()
}

/// Reads `m1,m2`; `all` is every machine and this one.
fn set(state: &State, text: &str) -> Result<BTreeSet<String>, LabError> {
    if text == "all" {
        return Ok(everybody(state));
    }
    let mut hosts = BTreeSet::new();
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        if word != CONTROLLER {
            state.machine(word)?;
        }
        hosts.insert(word.to_owned());
    }
    if hosts.is_empty() {
        return Err(LabError::Input("which hosts was not said".to_owned()));
    }
    Ok(hosts)
}

fn join(hosts: &BTreeSet<String>) -> String {
    hosts.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_never_rounded_to_nothing() {
        for (percent, wanted) in [(100.0, 1000), (20.0, 200), (0.01, 1), (33.33, 334)] {
            assert_eq!(permille(percent).unwrap(), wanted, "{percent}");
        }
        for percent in [0.0, -1.0, 100.1, f64::NAN] {
            assert!(permille(percent).is_err(), "{percent}");
        }
    }
}
