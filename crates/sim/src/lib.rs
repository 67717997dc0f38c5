//! Simulates whole upgrades: the real planner, checker, engine and store over a cluster, a network and a clock that are not real.
//!
//! A seed decides everything: the cluster, the upgrade, crashes of the controller, lost replies, members that die or fall
//! behind, full disks, a second person. First bad luck happens (nothing may be broken, ever), then it ends, and the cluster
//! must arrive or say why not. Invariant: the same seed gives the same run.
//! Read next: `scenario.rs` (what a seed means), `sim.rs` (the loop), `checkers/` (what must hold), `sabotage.rs`.

pub mod chance;
pub mod checkers;
pub mod clock;
mod controller;
mod judge;
mod operator;
pub mod outcome;
pub mod product;
pub mod sabotage;
pub mod scenario;
pub mod script;
pub mod sim;
pub mod world;

pub use checkers::Breach;
pub use outcome::{End, SimOutcome};
pub use sabotage::Sabotage;
pub use scenario::Scenario;
pub use sim::Sim;

use chance::Chance;

/// Simulates one seed.
pub fn run_seed(seed: u64) -> SimOutcome {
    run_seed_with(seed, None)
}

/// Simulates one seed with something broken on purpose.
pub fn run_seed_with(seed: u64, sabotage: Option<Sabotage>) -> SimOutcome {
    prepared(seed, sabotage).run(seed).0
}

/// Simulates one seed and keeps a line for everything that happened.
pub fn trace_seed(seed: u64, sabotage: Option<Sabotage>) -> (SimOutcome, Vec<String>) {
    prepared(seed, sabotage).tracing().run(seed)
}

fn prepared(seed: u64, sabotage: Option<Sabotage>) -> Sim {
    let mut chance = Chance::new(seed);
    let scenario = Scenario::draw(&mut chance);
    Sim::new(scenario, chance.fork(), sabotage)
}

/// The first seed from `from` on, of `count`, at which a checker sees the sabotage; with what it saw.
pub fn catch(sabotage: Sabotage, from: u64, count: u64) -> Option<SimOutcome> {
    (from..from + count)
        .map(|seed| run_seed_with(seed, Some(sabotage)))
        .find(|outcome| !outcome.breaches.is_empty())
}
