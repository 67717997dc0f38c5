//! Joins everything: the only home of tasks and timers.
//!
//! Read next: `drive.rs` (how a run is carried), `hands/` (what touches the world), `ops/` (what commands call).

pub mod clock;
pub mod drive;
pub mod fanout;
pub mod hands;
pub mod journal;
pub mod ops;
pub mod problem;
pub mod rewrites;
pub mod setup;
pub mod sources;
mod state_name;
pub mod verdict;
pub mod watch;

pub use quorate_hosts::artifacts::{Cache, Progress};
