//! Every reason why there is no plan, each with one minimal test by its name.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up shall fail")]

mod support;

use quorate_model::{Blocked, NotNow, Override, Reach, Release, Role, Unsafe, WaitingOn};
use quorate_planner::{
    Planned,
    safety::{SafetyRequest, may_stop, safe_set},
};
use support::{World, keeper, now, release, world};

fn reasons(world: &World, to: &str) -> Vec<NotNow> {
    match world.plan(to) {
        Planned::NotNow(refusal) => refusal.reasons,
        other => panic!("a plan came out: {other:?}"),
    }
}

fn blocked(world: &World, to: &str) -> Blocked {
    match reasons(world, to).remove(0) {
        NotNow::Blocked(blocked) => blocked,
        other => panic!("not blocked: {other:?}"),
    }
}

fn unsafe_to_stop(world: &World, node: &str) -> Unsafe {
    may_stop(&asked(world, &[]), &node.into()).unwrap_err()
}

fn asked<'a>(world: &'a World, down_by_us: &'a [quorate_model::NodeName]) -> SafetyRequest<'a> {
    SafetyRequest {
        pack: keeper(),
        observation: &world.seen,
        from: None,
        to: None,
        max_unavailable: 1,
        down_by_us,
    }
}

#[test]
fn unsafe_quorum_lost() {
    let mut world = world(3, "1.0.5");
    world.down("a");
    let found = unsafe_to_stop(&world, "b");
    assert_eq!(found, Unsafe::QuorumLost { node: "b".into(), healthy_after: 1, need: 2 });
}

#[test]
fn a_voter_that_is_down_may_be_stopped_while_the_others_form_a_quorum() {
    let mut world = world(3, "1.0.5");
    world.down("a");
    let (safe, not) = safe_set(&asked(&world, &[]));
    assert_eq!(safe, ["a".into()]);
    assert_eq!(not.len(), 2);
    world.down("b");
    assert!(safe_set(&asked(&world, &[])).0.is_empty());
}

#[test]
fn unsafe_too_many_down() {
    let world = world(5, "1.0.5");
    let down = ["a".into()];
    let found = may_stop(&asked(&world, &down), &"b".into()).unwrap_err();
    assert_eq!(found, Unsafe::TooManyDown { node: "b".into(), down: down.to_vec(), max: 1 });
    assert_eq!(
        may_stop(&asked(&world, &down), &"a".into()),
        Ok(()),
        "the one that is down by our doing is no other"
    );
}

#[test]
fn unsafe_other_unhealthy() {
    let mut world = world(5, "1.0.5");
    world.node("a").healthy = None;
    assert!(
        matches!(unsafe_to_stop(&world, "b"), Unsafe::OtherUnhealthy { other, .. } if other.as_str() == "a")
    );
}

#[test]
fn unsafe_other_behind() {
    let mut world = world(3, "1.0.5");
    world.node("a").lag = Some(101);
    let found = unsafe_to_stop(&world, "b");
    assert_eq!(
        found,
        Unsafe::OtherBehind { node: "b".into(), other: "a".into(), lag: 101, max: 100 }
    );
    assert_eq!(
        may_stop(&asked(&world, &[]), &"a".into()),
        Ok(()),
        "the one that is behind holds nothing alone"
    );
}

#[test]
fn unsafe_no_leader() {
    let mut world = world(3, "1.0.5");
    world.node("c").role = Role::Candidate;
    assert_eq!(unsafe_to_stop(&world, "a"), Unsafe::NoLeader { node: "a".into() });
}

#[test]
fn unsafe_cannot_see() {
    let mut world = world(3, "1.0.5");
    world.node("a").lag = None;
    assert!(matches!(unsafe_to_stop(&world, "b"), Unsafe::CannotSee { .. }));
    assert!(matches!(unsafe_to_stop(&world, "nobody"), Unsafe::CannotSee { .. }));
}

#[test]
fn unsafe_alarm() {
    let mut world = world(3, "1.0.5");
    world.node("a").alarms.push("NOSPACE".into());
    assert!(
        matches!(unsafe_to_stop(&world, "b"), Unsafe::Alarm { alarm, .. } if alarm == "NOSPACE")
    );
}

#[test]
fn unsafe_data_differ() {
    let mut world = world(3, "1.0.5");
    world.node("a").data_hash = Some("other".into());
    assert_eq!(
        unsafe_to_stop(&world, "b"),
        Unsafe::DataDiffer { node: "b".into(), others: vec!["a".into()] }
    );
    world.node("a").hash_revision = Some(8);
    assert_eq!(
        may_stop(&asked(&world, &[]), &"b".into()),
        Ok(()),
        "hashes of two revisions say nothing"
    );
}

#[test]
fn unsafe_pack() {
    let mut world = world(3, "1.0.5");
    world.node("b").facts.insert("compacting".into(), true.into());
    assert!(
        matches!(unsafe_to_stop(&world, "b"), Unsafe::Pack { rule, .. } if rule == "no-compaction")
    );
    assert_eq!(may_stop(&asked(&world, &[]), &"a".into()), Ok(()));
}

#[test]
fn an_unsafe_cluster_gets_no_plan() {
    let mut world = world(3, "1.0.5");
    world.node("a").alarms.push("NOSPACE".into());
    assert!(matches!(
        reasons(&world, "1.1.9").as_slice(),
        [NotNow::Unsafe(Unsafe::Alarm { .. }), ..]
    ));
}

#[test]
fn waiting_on_catch_up() {
    let mut world = world(3, "1.0.5");
    world.node("c").lag = Some(500);
    world.node("c").role = Role::Learner;
    world.node("c").voter = Some(false);
    world.node("b").role = Role::Leader;
    world.cluster.policy.allow_outage = true;
    let found = reasons(&world, "1.1.9");
    assert_eq!(found, [NotNow::WaitingOn(WaitingOn::CatchUp { node: "c".into(), lag: 500 })]);
}

#[test]
fn waiting_on_hop_complete() {
    let mut world = world(3, "1.1.9");
    world.seen.facts.insert("cluster_release".into(), "1.0.0".into());
    let found = reasons(&world, "1.2.3").remove(0);
    let want = WaitingOn::HopComplete { seen: Some("1.0.0".into()), want: release("1.1.9") };
    assert_eq!(found, NotNow::WaitingOn(want));
}

#[test]
fn a_member_that_is_down_with_the_new_files_leaves_the_cluster_neither_done_nor_ready_for_the_next_hop()
 {
    let mut world = world(3, "1.1.9");
    world.down("a");
    for to in ["1.1.9", "1.2.3"] {
        world.seen.facts.insert("cluster_release".into(), "1.0.0".into());
        let Blocked::Condition { rule, because, .. } = blocked(&world, to) else {
            panic!("not a condition")
        };
        assert_eq!(rule, "whole");
        assert!(because.starts_with("a does not serve"), "{because}");
    }
}

#[test]
fn blocked_never_passes() {
    let mut world = world(3, "1.0.5");
    world.node("a").member_id = None;
    assert!(
        matches!(blocked(&world, "1.1.9"), Blocked::NeverPasses { gate, .. } if gate == "member")
    );
}

#[test]
fn a_gate_set_aside_for_a_member_is_no_reason_until_the_override_ends() {
    let mut world = world(3, "1.0.0");
    world.node("a").member_id = None;
    let over = |gate: &str, expires: &str| Override {
        gate: gate.into(),
        node: "a".into(),
        reason: "it has no name yet".into(),
        expires: expires.parse().unwrap(),
    };
    world.cluster.policy.overrides = vec![over("rejoin", "2026-01-01T00:00:00Z")];
    assert!(matches!(blocked(&world, "1.1.9"), Blocked::NeverPasses { .. }));
    world.cluster.policy.overrides = vec![over("rejoin", "2026-01-03T00:00:00Z")];
    assert!(matches!(world.plan("1.1.9"), Planned::Ready(_)));
    world.node("a").member_id = Some("a".into());
    world.cluster.policy.overrides = vec![over("member", "2026-01-03T00:00:00Z")];
    let Blocked::Condition { because, way_out, .. } = blocked(&world, "1.1.9") else {
        panic!("an override that sets nothing aside is an error of whoever wrote it")
    };
    assert!(because.contains("no gate `member` is asked of a"), "{because}");
    assert!(way_out.is_some_and(|text| text.contains("rejoin")));
}

#[test]
fn blocked_no_path() {
    let mut world = world(3, "1.1.9");
    world.seen.facts.insert("auth".into(), true.into());
    let Blocked::NoPath { refused, way_out, .. } = blocked(&world, "1.2.3") else {
        panic!("another reason")
    };
    assert_eq!(refused[0].rule, "K04");
    assert_eq!(way_out.as_deref(), Some("turn users off for the hop"));
}

#[test]
fn what_was_not_seen_on_a_cluster_refuses() {
    let mut world = world(3, "1.1.9");
    world.seen.facts.remove("auth");
    let Blocked::NoPath { refused, .. } = blocked(&world, "1.2.3") else {
        panic!("another reason")
    };
    assert!(refused[0].because.contains("could not be looked at"), "{}", refused[0].because);
}

#[test]
fn blocked_downgrade() {
    let world = world(3, "1.1.9");
    assert!(matches!(blocked(&world, "1.0.5"), Blocked::Downgrade { .. }));
}

#[test]
fn blocked_no_artifact() {
    let mut world = world(3, "1.0.5");
    world.artifacts.retain(|artifact| artifact.release != release("1.1.9"));
    let Blocked::NoArtifact { release: missing, tried } = blocked(&world, "1.2.3") else {
        panic!("another reason")
    };
    assert_eq!(missing, release("1.1.9"));
    assert!(tried.contains(&"at hand: 1.2.3".to_owned()));
}

#[test]
fn blocked_no_artifact_for_the_target_itself() {
    let mut world = world(3, "1.0.5");
    world.artifacts.clear();
    assert!(matches!(blocked(&world, "1.1.9"), Blocked::NoArtifact { .. }));
}

#[test]
fn blocked_config() {
    let mut world = world(3, "1.0.5");
    world.add_args("b", &["--verbose=very"]);
    let Blocked::Config { node, settings, rewrite, .. } = blocked(&world, "1.1.9") else {
        panic!("another reason")
    };
    assert_eq!(node.as_str(), "b");
    assert_eq!(settings, ["--verbose=very (removed since 1.1.0)"]);
    assert_eq!(rewrite.as_deref(), Some("- --verbose=very"));
}

#[test]
fn blocked_needs_outage() {
    assert!(matches!(
        blocked(&world(2, "1.0.5"), "1.1.9"),
        Blocked::NeedsOutage { voters: 2, outage_secs: 11 }
    ));
}

#[test]
fn blocked_mixed_releases() {
    let mut world = world(3, "1.0.5");
    world.node("a").release = Some(release("1.2.3"));
    let mixed = |text: [&str; 2]| text.map(release).to_vec();
    assert_eq!(
        blocked(&world, "1.2.3"),
        Blocked::MixedReleases { releases: mixed(["1.0.5", "1.2.3"]) }
    );
}

#[test]
fn blocked_cannot_act() {
    let mut world = world(3, "1.0.5");
    world.cluster.nodes[0].service = None;
    assert!(
        matches!(blocked(&world, "1.1.9"), Blocked::CannotAct { node, .. } if node.as_str() == "a")
    );
}

#[test]
fn blocked_unreachable() {
    let mut world = world(3, "1.0.5");
    let node = world.node("a");
    node.reach = Reach::Unreachable("no route to host".into());
    (node.os, node.disk_release) = (None, None);
    assert!(matches!(blocked(&world, "1.1.9"), Blocked::Unreachable { .. }));
    world.seen.nodes.remove(0);
    assert!(
        matches!(blocked(&world, "1.1.9"), Blocked::Unreachable { .. }),
        "a node that was not looked at"
    );
}

#[test]
fn blocked_condition_unseen() {
    let mut world = world(3, "1.0.5");
    world.down("a").disk_release = None;
    assert!(
        matches!(blocked(&world, "1.1.9"), Blocked::ConditionUnseen { rule, .. } if rule == "release")
    );
}

#[test]
fn blocked_condition() {
    let mut world = world(3, "1.0.5");
    world.seen.findings.push(quorate_model::Finding {
        severity: quorate_model::Severity::Error,
        code: "member-not-declared".into(),
        text: "z is a member and not declared".into(),
        hint: Some("declare it".into()),
    });
    assert!(
        matches!(blocked(&world, "1.1.9"), Blocked::Condition { rule, .. } if rule == "member-not-declared")
    );
    world.seen.findings[0].severity = quorate_model::Severity::Warning;
    assert!(matches!(world.plan("1.1.9"), Planned::Ready(_)));
}

#[test]
fn blocked_other_cluster() {
    let mut world = world(3, "1.0.5");
    world.seen.cluster = "another".into();
    assert!(matches!(blocked(&world, "1.1.9"), Blocked::OtherCluster { .. }));
}

#[test]
fn blocked_known_issue() {
    let mut world = world(3, "1.0.5");
    world.artifacts.push(support::artifact("1.1.4"));
    assert!(
        matches!(blocked(&world, "1.1.4"), Blocked::KnownIssue { issue, .. } if issue == "K-loses")
    );
}

#[test]
fn a_fault_that_is_left_by_moving_does_not_hold_the_cluster_there() {
    let mut world = world(3, "1.1.4");
    let fault = quorate_model::Finding {
        severity: quorate_model::Severity::Error,
        code: "K-loses".into(),
        text: "a runs 1.1.4: it loses writes".into(),
        hint: None,
    };
    world.node("a").findings.push(fault);
    let Planned::Ready(plan) = world.plan("1.1.9") else { panic!("no plan") };
    assert_eq!(
        plan.hops.iter().map(|hop| hop.to.clone()).collect::<Vec<Release>>(),
        [release("1.1.9")]
    );
}

#[test]
fn all_reasons_come_at_once() {
    let mut world = world(3, "1.0.5");
    world.cluster.nodes[0].service = None;
    world.cluster.nodes[1].service = None;
    assert_eq!(reasons(&world, "1.1.9").len(), 2);
    assert_eq!(world.seen.taken_at, now());
}

#[test]
fn members_that_share_a_binary_are_planned_neither_up_nor_back() {
    let mut world = world(3, "1.1.9");
    world.seen.findings.push(quorate_model::Finding {
        severity: quorate_model::Severity::Error,
        code: "binary-shared".into(),
        text: "a, b are started from one file".into(),
        hint: Some("give each a copy".into()),
    });
    let Blocked::Condition { rule, way_out, .. } = blocked(&world, "1.2.3") else {
        panic!("not blocked")
    };
    assert_eq!((rule.as_str(), way_out.as_deref()), ("binary-shared", Some("give each a copy")));
}
