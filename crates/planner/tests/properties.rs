//! Properties over many clusters: the same input gives the same plan, and following a plan never breaks the quorum.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up shall fail")]

mod support;

use proptest::{prelude::*, strategy::ValueTree as _};
use quorate_model::{Action, HopKind, Plan, Role, StepRole};
use quorate_planner::{PathOutcome, PathRequest, Planned, path};
use support::{World, keeper, release, world};

const RELEASES: [&str; 5] = ["1.0.5", "1.1.9", "1.2.0", "1.2.3", "1.3.1"];

/// A cluster with some members down, behind, moved or without a vote, and any of them leading.
fn any_world() -> impl Strategy<Value = World> {
    let flaw = prop_oneof![6 => Just(0_u8), 1 => Just(1), 1 => Just(2), 1 => Just(3), 1 => Just(4), 1 => Just(5)];
    (1_usize..=7, 0_usize..5, 0_usize..7, prop::collection::vec(flaw, 7), any::<bool>()).prop_map(
        |(size, at, leader, flaws, allow_outage)| {
            let mut world = world(size, RELEASES[at]);
            world.cluster.policy.allow_outage = allow_outage;
            for (index, node) in world.seen.nodes.iter_mut().enumerate() {
                node.role = if index == leader % size { Role::Leader } else { Role::Follower };
            }
            for (index, flaw) in flaws.iter().take(size).enumerate() {
                let name = world.seen.nodes[index].name.to_string();
                match flaw {
                    1 => drop(world.down(&name)),
                    2 => world.node(&name).lag = Some(1_000),
                    3 if index != leader % size => {
                        (world.node(&name).role, world.node(&name).voter) =
                            (Role::Learner, Some(false));
                    }
                    4 => world.node(&name).release = RELEASES.get(at + 1).map(|next| release(next)),
                    5 => world.node(&name).healthy = None,
                    _ => {}
                }
            }
            world
        },
    )
}

/// Carries the plan out in the mind: who serves after each step.
fn serving_never_below_quorum(world: &World, plan: &Plan) -> Result<(), TestCaseError> {
    let learner = |name: &str| {
        world.seen.nodes.iter().any(|n| n.name.as_str() == name && n.role == Role::Learner)
    };
    let voters: Vec<&str> =
        world.cluster.nodes.iter().map(|n| n.name.as_str()).filter(|name| !learner(name)).collect();
    let mut serving: Vec<&str> =
        world.seen.nodes.iter().filter(|n| n.is_healthy()).map(|n| n.name.as_str()).collect();
    let quorum = voters.len() / 2 + 1;
    for hop in plan.hops.iter().filter(|hop| hop.kind == HopKind::Rolling) {
        for step in hop.waves.iter().flat_map(|wave| &wave.steps) {
            match (&step.action, step.role, &step.node) {
                (Action::Stop { node }, _, _) => serving.retain(|name| *name != node.as_str()),
                (_, StepRole::Rejoin, Some(node)) => serving.push(node.as_str()),
                _ => {}
            }
            let well = voters.iter().filter(|voter| serving.contains(voter)).count();
            prop_assert!(well >= quorum, "{} of {quorum} serve after {}", well, step.id);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_input_gives_the_same_plan(world in any_world(), to in 0_usize..5) {
        prop_assert_eq!(world.plan(RELEASES[to]), world.plan(RELEASES[to]));
    }

    #[test]
    fn following_a_plan_never_breaks_the_quorum(world in any_world(), to in 0_usize..5) {
        if let Planned::Ready(plan) = world.plan(RELEASES[to]) {
            serving_never_below_quorum(&world, &plan)?;
            prop_assert_eq!(quorate_checker::check(&plan), Vec::new());
        }
    }

    #[test]
    fn every_member_runs_the_target_at_the_end(world in any_world(), to in 0_usize..5) {
        if let Planned::Ready(plan) = world.plan(RELEASES[to]) {
            let last = plan.hops.last().unwrap();
            let started = last.waves.iter().flat_map(|wave| &wave.steps).filter_map(|step| match &step.action {
                Action::Start { node, expect } if *expect == release(RELEASES[to]) => Some(node),
                _ => None,
            });
            prop_assert_eq!(started.count(), world.cluster.nodes.len());
        }
    }

    #[test]
    fn every_refusal_says_why(world in any_world(), to in 0_usize..5) {
        if let Planned::NotNow(refusal) = world.plan(RELEASES[to]) {
            prop_assert!(!refusal.reasons.is_empty());
        }
    }

    #[test]
    fn paths_rise_hop_by_hop_and_depend_on_no_order(
        mut available in prop::collection::vec(prop::sample::select(vec!["1.0.0", "1.0.5", "1.1.0", "1.1.4", "1.1.9", "1.2.0", "1.2.3", "1.3.1"]), 0..8),
        from in 0_usize..5,
        to in 0_usize..5,
    ) {
        let (from, to) = (release(RELEASES[from]), release(RELEASES[to]));
        let ask = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| release(name)).collect();
            path(keeper(), &PathRequest { available: Some(&names), ..PathRequest::on_paper(&from, &to) })
        };
        let answer = ask(&available);
        available.reverse();
        prop_assert_eq!(&answer, &ask(&available));
        if answer.outcome == PathOutcome::Path {
            let mut at = &from;
            for hop in &answer.hops {
                prop_assert!(hop.from == *at && hop.from < hop.to && hop.to != release("1.1.4"));
                at = &hop.to;
            }
            prop_assert_eq!(at, &to);
        }
    }
}

#[test]
fn most_worlds_of_the_properties_get_a_plan() {
    // Were nearly all of them refused, the properties above would hold for want of plans.
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let planned = (0..200).filter(|_| {
        let world = any_world().new_tree(&mut runner).unwrap().current();
        matches!(world.plan("1.3.1"), Planned::Ready(_))
    });
    assert!(planned.count() > 20);
}
