//! The client's view of a cluster while somebody works on it: writes, linearizable reads and a watch through every
//! endpoint, and an account of every acknowledged write.
//!
//! It behaves like a good client with several workers: a write begins every few milliseconds whatever became of the one
//! before, each goes to the next endpoint in turn, a refused connection is tried elsewhere at once and a silent one after
//! a short limit. So a gap says that the cluster acknowledged nothing, not that one worker hung on one member.
//!
//! Invariant: the probe has a thread and a runtime of its own, so that nothing its owner does can make a gap.
//! Invariant: memory is bounded, every wait has an end, and its keys are removed at the end.
//! Read next: `ledger.rs` (what is proved, and how), `probe.rs` (the handle), `writer.rs`, `reader.rs`, `watcher.rs`.

mod account;
mod calls;
mod dns;
mod endpoints;
mod ledger;
mod locker;
mod locks;
mod lookups;
mod options;
mod probe;
mod pulse;
mod reader;
mod remains;
mod shared;
mod sightings;
mod watcher;
mod writer;

pub use account::ClientAccount;
pub use ledger::LostWrite;
pub use options::{ProbeOptions, Tunnels};
pub use probe::{Baseline, ClientEvent, ClientProbe, ProbeError};
pub use remains::Remains;
