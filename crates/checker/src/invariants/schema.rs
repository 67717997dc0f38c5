//! The plan can be read: its schema is known, it has hops, and it speaks only of members that were observed.

use super::{Invariant, Violation};
use crate::walk::{acted_on, steps_of};
use quorate_model::{NodeName, PLAN_SCHEMA, Plan};

/// Looks at the plan's form before anything is read into it.
pub(crate) fn check(plan: &Plan) -> Vec<Violation> {
    let mut found = Vec::new();
    if plan.schema != PLAN_SCHEMA {
        let text = format!("the plan has schema {}, this program reads {PLAN_SCHEMA}", plan.schema);
        return vec![Violation::error(Invariant::Schema, None, text)];
    }
    if plan.hops.is_empty() {
        found.push(Violation::error(Invariant::Schema, None, "the plan has no hops"));
    }
    for (index, node) in plan.observed.nodes.iter().enumerate() {
        if plan.observed.nodes[..index].iter().any(|other| other.name == node.name) {
            let text = format!("the observation shows {} twice", node.name);
            found.push(Violation::error(Invariant::Schema, None, text));
        }
    }
    let known = |name: &NodeName| plan.observed.nodes.iter().any(|node| node.name == *name);
    for step in plan.hops.iter().flat_map(steps_of) {
        let acted = acted_on(&step.action);
        let mut named = acted.into_iter().chain(&step.node);
        if let Some(stranger) = named.find(|node| !known(node)) {
            let text = format!("{stranger} is no member of the observed cluster");
            found.push(Violation::error(Invariant::Schema, Some(step.id.clone()), text));
        }
    }
    found
}
