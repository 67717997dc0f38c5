//! Proves a plan again from its invariants, so that a mistake of the planner is found before anything is touched.
//!
//! The plan is executed in the mind ([`world`]) over the observation that it carries, and one watcher for each invariant
//! looks on. Invariant: no code is shared with the planner; that is why the proof can be trusted.
//! Absent on purpose: CEL. Whether a gate's expression is true is seen by the run; here it counts that the gate is there.
//! Read next: `world.rs`, then `invariants/`.

pub mod digest;
mod invariants;
mod walk;
mod world;

pub use invariants::{Invariant, Violation, unwanted};

use quorate_model::Plan;

/// Proves the plan; an empty answer means that every invariant holds.
pub fn check(plan: &Plan) -> Vec<Violation> {
    let schema = invariants::schema::check(plan);
    // A plan of another schema, or one that names members nobody saw, cannot be executed in the mind at all.
    if !schema.is_empty() {
        return schema;
    }
    let mut found = invariants::digest::check(plan);
    found.extend(invariants::s8_parent::check(plan));
    found.extend(walk::walk(plan));
    found
}
