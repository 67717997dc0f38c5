//! Decides: which hops lead to a release, in which order members move, what each step is and what must be seen after it.
//!
//! Invariant: pure. The same input gives the same answer, byte for byte; time comes in as an argument.
//! Invariant: missing data refuses. What could not be seen counts as not healthy (S11).
//! Absent on purpose: acting, waiting and retrying. A plan leaves no meaningful choice to whoever carries it out.
//! Read next: `path/` (the hops), `plan.rs` (the whole plan), `waves.rs` (one hop), `safety.rs` (may this member stop).

pub mod backup;
mod clients;
pub mod config;
pub mod contents;
pub mod copies;
mod dependants;
pub mod digest;
pub mod draw;
pub mod estimate;
pub mod explain;
pub mod golden;
mod hop;
mod members;
pub mod membership;
mod offline;
pub mod order;
mod packages;
pub mod path;
pub mod plan;
mod put_back;
mod restart;
pub mod rollback;
pub mod safety;
mod satisfiable;
mod start;
mod template;
mod waves;

pub use estimate::Measured;
pub use membership::{EjectRequest, RejoinRequest, eject, rejoin};
pub use path::{PathAnswer, PathHop, PathOutcome, PathRequest, path};
pub use plan::{PlanRequest, Planned, plan};
pub use restart::{RestartRequest, restart};
pub use rollback::{RollbackRequest, rollback};
