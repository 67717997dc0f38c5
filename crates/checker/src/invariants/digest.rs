//! The plan is what its digest names: nobody edited it after it was made.

use super::{Invariant, Violation};
use crate::digest::plan_digest;
use quorate_model::Plan;

/// Computes the digest again and compares.
pub(crate) fn check(plan: &Plan) -> Vec<Violation> {
    let own = plan_digest(plan);
    if own.as_ref() == Some(&plan.digest) {
        return Vec::new();
    }
    let own = own.map_or("nothing".to_owned(), |digest| digest.short().to_owned());
    let text = format!(
        "the plan says that it is {}, its content gives {own}: it was changed after it was made",
        plan.digest.short()
    );
    vec![Violation::error(Invariant::Digest, None, text)]
}
