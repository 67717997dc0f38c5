//! The run's state machine: what is done next, decided from the plan and the journal alone.
//!
//! Inputs: [`Engine::handle`] takes an [`Input`] and the time. Outputs: [`Engine::poll_action`] gives a [`Turn`]: events
//! to append durably, and only then one effect to carry out. Timer: [`Engine::poll_timeout`] says when to call
//! `handle(Input::Tick, now)`. Replay: [`Engine::replay`] rebuilds the machine from the journal of a run that stopped.
//! Call order for a driver: `handle` -> `poll_action` until `None` -> wait for an effect's answer or the timeout. Several
//! effects may be in flight, each answered by the id of its step: nodes without a vote move beside each other.
//!
//! Invariant: intent is in a `Turn`'s events whenever its effect is an act; an act is never given out without it.
//! Invariant: between two steps of a lane nothing of it is in flight: those are the safe points for pause, abort and death.
//! Invariant: members with a vote have one lane, one step at a time.
//! Absent on purpose: clocks, hosts, conditions. The driver looks and answers with a [`Verdict`].

mod crew;
mod ending;
mod gate;
mod input;
mod lane;
mod machine;
mod replay;
mod steps;

pub use input::{Effect, Input, Look, Turn, Verdict};
pub use machine::{Engine, Phase};
pub use replay::ReplayError;
