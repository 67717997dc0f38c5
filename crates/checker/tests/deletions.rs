//! Whatever is deleted from a valid plan or put in another order is caught, or carrying it out does no harm.

mod fixture;

use fixture::*;
use proptest::prelude::*;
use quorate_model::{Action, Plan, Step, StepRole};
use std::collections::{BTreeMap, BTreeSet};

/// Carries a plan out in the plainest way and says what harm it does. Knows nothing of the checker's own model.
fn harm(plan: &Plan) -> Option<String> {
    let names: Vec<String> = plan.observed.nodes.iter().map(|node| node.name.0.clone()).collect();
    let mut runs: BTreeMap<&str, String> =
        names.iter().map(|n| (n.as_str(), "3.3.25".to_owned())).collect();
    let mut disk = runs.clone();
    let (mut down, mut unproved) = (BTreeSet::new(), BTreeSet::new());
    for hop in &plan.hops {
        let (mut verified, mut asked, mut moved) = (false, false, 0);
        for step in hop.waves.iter().flat_map(|wave| &wave.steps) {
            match &step.action {
                Action::Verify { .. } => verified = true,
                Action::Confirm { .. } => asked = true,
                Action::Stop { node } => {
                    down.insert(node.as_str());
                    if !unproved.is_empty() || (names.len() - down.len()) * 2 <= names.len() {
                        return Some(format!("{}: too few serve", step.id));
                    }
                    if down.len() > 1 {
                        return Some(format!("{}: two are down", step.id));
                    }
                    moved += 1;
                    if moved == names.len() && !(verified && asked) {
                        return Some(format!("{}: no way back", step.id));
                    }
                }
                Action::Swap { node, from, .. } if runs[node.as_str()] != from.to_string() => {
                    return Some(format!("{node} skips a release"));
                }
                Action::Swap { node, to, .. } if down.contains(node.as_str()) => {
                    disk.insert(node.as_str(), to.release.to_string());
                }
                Action::Swap { node, .. } => return Some(format!("{node} swapped while it runs")),
                Action::Start { node, expect } => {
                    if disk[node.as_str()] != expect.to_string() {
                        return Some(format!("{node} starts another release"));
                    }
                    down.remove(node.as_str());
                    unproved.insert(node.as_str());
                    runs.insert(node.as_str(), disk[node.as_str()].clone());
                }
                _ => {}
            }
            if step.role == StepRole::Rejoin
                && let Some(node) = &step.node
            {
                unproved.remove(node.as_str());
            }
        }
        if !down.is_empty() || !unproved.is_empty() {
            return Some("somebody is left down".to_owned());
        }
        if let Some((name, runs)) = runs.iter().find(|(_, runs)| **runs != hop.to.to_string()) {
            return Some(format!("{name} is left at {runs}"));
        }
    }
    None
}

fn all_steps(plan: &mut Plan) -> Vec<&mut Vec<Step>> {
    plan.hops.iter_mut().flat_map(|hop| &mut hop.waves).map(|wave| &mut wave.steps).collect()
}

fn caught_or_harmless(plan: Plan) -> Result<(), TestCaseError> {
    if found(plan.clone()).is_empty() {
        prop_assert_eq!(harm(&plan), None);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn deletions(victims in prop::collection::vec(any::<prop::sample::Index>(), 1..4)) {
        let mut plan = plan_of(3);
        for victim in victims {
            let mut waves = all_steps(&mut plan);
            let count: usize = waves.iter().map(|steps| steps.len()).sum();
            let mut place = victim.index(count);
            for steps in &mut waves {
                if place < steps.len() {
                    steps.remove(place);
                    break;
                }
                place -= steps.len();
            }
        }
        caught_or_harmless(plan)?;
    }

    #[test]
    fn steps_in_another_order(hop in 0usize..2, from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()) {
        let mut plan = plan_of(3);
        let waves = &mut plan.hops[hop].waves;
        let mut steps: Vec<Step> = waves.iter_mut().flat_map(|wave| wave.steps.drain(..)).collect();
        let step = steps.remove(from.index(steps.len()));
        steps.insert(to.index(steps.len() + 1), step);
        waves[0].steps = steps;
        caught_or_harmless(plan)?;
    }

    #[test]
    fn waves_in_another_order(hop in 0usize..2, a in 0usize..5, b in 0usize..5) {
        let mut plan = plan_of(3);
        plan.hops[hop].waves.swap(a, b);
        caught_or_harmless(plan)?;
    }
}

#[test]
fn the_judge_itself_bites() {
    assert_eq!(harm(&plan_of(3)), None);
    let mut plan = plan_of(3);
    remove(&mut plan, "h1.m1.start");
    assert!(harm(&plan).is_some());
    let mut plan = plan_of(3);
    plan.hops.swap(0, 1);
    assert!(harm(&plan).is_some());
}
