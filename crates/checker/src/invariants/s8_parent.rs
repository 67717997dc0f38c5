//! S8: only the holder of the newest lease generation acts.
//!
//! Leases exist in runs, not in plans. What a plan can show is that it speaks of the world it was made from: the observation
//! inside is the one that it names, of this cluster and product, and its parent is another plan.

use super::{Invariant, Violation};
use crate::digest::{is_digest, observation_digest};
use quorate_model::Plan;

/// Compares the plan with what it names.
pub(crate) fn check(plan: &Plan) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut broken = |text| found.push(Violation::error(Invariant::S8, None, text));
    let seen = &plan.observed;
    if observation_digest(seen).as_ref() != Some(&plan.observation.digest) {
        broken("the observation inside is not the one that the plan names".to_owned());
    }
    if seen.taken_at != plan.observation.taken_at {
        let named = plan.observation.taken_at;
        broken(format!(
            "the observation inside was taken at {}, the plan names one of {named}",
            seen.taken_at
        ));
    }
    if seen.cluster != plan.cluster || seen.pack != plan.pack {
        broken(format!(
            "the observation shows {} {}, the plan is for {} {}",
            seen.pack, seen.cluster, plan.pack, plan.cluster
        ));
    }
    if let Some(parent) = &plan.parent
        && (*parent == plan.digest || !is_digest(parent))
    {
        broken(format!("`{parent}` cannot be the plan that this one continues"));
    }
    found
}
