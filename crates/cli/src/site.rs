//! From the command line to what a command stands on.

use crate::{
    args::{Artifacts, Global},
    print,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use quorate_packs::{Pack, Packs};
use quorate_runner::{
    problem::Problem,
    setup::{Setup, SetupOptions, find_fleet, packs_beside, unknown_pack},
    sources::HostsOptions,
};
use std::sync::Arc;

/// Opens the fleet and its state.
pub(crate) fn setup(global: &Global, artifacts: &Artifacts) -> Result<Setup, Problem> {
    open(&options(global, artifacts))
}

/// Opens the fleet and its state, and says what a person should know.
pub(crate) fn open(options: &SetupOptions) -> Result<Setup, Problem> {
    let setup = Setup::open(options)?;
    for note in &setup.notes {
        print::say(&format!("note: {note}"));
    }
    Ok(setup)
}

/// The same, for what holds a connection to each of thousands of hosts: most shells allow a process a thousand files.
/// What this process starts inherits it, so only commands that start nothing lasting come this way.
pub(crate) fn setup_for_many(global: &Global, artifacts: &Artifacts) -> Result<Setup, Problem> {
    // Where it is refused, the hosts past the limit say so themselves.
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    setup(global, artifacts)
}

pub(crate) fn options(global: &Global, artifacts: &Artifacts) -> SetupOptions {
    SetupOptions {
        fleet: global.fleet.clone(),
        state: global.state.clone(),
        artifacts: artifacts.artifacts.clone(),
        cache: None,
        hosts: HostsOptions { stale: global.stale_hosts, ..HostsOptions::default() },
    }
}

/// The packs: those beside the fleet file too, when there is one.
pub(crate) fn packs(global: &Global) -> Result<Arc<Packs>, Problem> {
    let fleet = find_fleet(global.fleet.as_deref());
    match (&global.fleet, fleet) {
        (Some(_), Err(problem)) => Err(problem),
        (_, fleet) => packs_beside(fleet.ok().as_deref()),
    }
}

/// A pack by name.
pub(crate) fn pack<'p>(packs: &'p Packs, name: &str) -> Result<&'p Pack, Problem> {
    packs.get(&name.into()).ok_or_else(|| unknown_pack(packs, name))
}
