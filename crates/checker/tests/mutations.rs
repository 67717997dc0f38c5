//! One broken plan for each way to break an invariant; each is caught as exactly that invariant.

mod fixture;

use fixture::*;
use quorate_checker::{
    Invariant::{self, S1, S2, S3, S4, S5, S6, S7, S8, S9, Schema},
    check,
};
use quorate_model::{
    Action, Dependant, Digest, Door, Edge, Gate, HopKind, Plan, PlanKind, Reach, Role, RuleApplied,
    RuleVerdict, StepRole,
};
use std::time::Duration;

fn changed(size: usize, change: impl FnOnce(&mut Plan)) -> Plan {
    let mut plan = plan_of(size);
    change(&mut plan);
    plan
}

/// A plan that wants an outage and has everything that makes one legal.
fn outage() -> Plan {
    changed(1, |plan| {
        plan.policy.allow_outage = true;
        plan.outage = Duration::from_secs(5);
    })
}

#[test]
fn valid_plans_hold() {
    for size in [3, 4, 5, 7] {
        holds(plan_of(size));
    }
    holds(outage());
}

#[test]
fn s1_another_member_is_down() {
    let down = |index: usize| {
        changed(3, |plan| {
            let node = &mut plan.observed.nodes[index];
            node.reach = Reach::Unreachable("no answer".into());
            node.healthy = None;
            node.voter = None;
        })
    };
    breaks(down(1), S1, "with m1 stopped 1 healthy voters remain, 2 are needed");
    // The one that is down may itself be stopped and started first: with it gone nothing is lost.
    holds(down(0));
}

#[test]
fn s5_an_application_does_not_work_with_the_target() {
    let with = |yaml: serde_json::Value| {
        let one: Dependant = serde_json::from_value(yaml).expect("a dependant");
        changed(3, |plan| plan.dependants.push(one))
    };
    let works = |range: &str| with(serde_json::json!({"name": "kube", "works_with": range}));
    holds(works("<3.6"));
    breaks(works("<3.5"), S5, "kube does not work with 3.5.16");
    let at = |version: &str| {
        with(serde_json::json!({"name": "kube", "version": version,
            "requires": [{"cluster": ">=3.4", "version": ">=1.9"}]}))
    };
    holds(at("1.9.0"));
    breaks(at("1.8.4"), S5, "kube is not >=1.9, which 3.4.23 asks for");
}

#[test]
fn s1_outage_needs_policy_and_a_yes() {
    breaks(plan_of(1), S1, "the policy allows no outage");
    breaks(plan_of(2), S1, "the policy allows no outage");
    let mut unasked = outage();
    unasked.hops.iter_mut().for_each(|hop| hop.one_way = Door::None);
    for hop in ["h1", "h2"] {
        remove(&mut unasked, &format!("{hop}.go"));
    }
    breaks(unasked, S1, "nobody is asked before the outage");
    let mut unsaid = outage();
    unsaid.outage = Duration::ZERO;
    breaks(unsaid, S1, "does not say that it causes an outage");
}

#[test]
fn s1_full_stop_needs_the_policy() {
    breaks(
        changed(3, |plan| plan.hops[1].kind = HopKind::FullStop),
        S1,
        "the policy allows no outage",
    );
}

#[test]
fn s2_second_stop_before_the_first_start() {
    // Five members: with two down the quorum still holds, so only the order is wrong.
    let early = changed(5, |plan| move_before(plan, "h1.m2.stop", "h1.m1.swap"));
    breaks(early, S2, "m2 is stopped while m1 is still stopped");
}

#[test]
fn s2_stopped_twice_and_never_started() {
    let twice = changed(3, |plan| {
        let mut again = at(plan, "h1.m1.stop").clone();
        again.id = "h1.m1.stop-again".into();
        insert_before(plan, "h1.m1.swap", again);
    });
    breaks(twice, S2, "m1 is stopped a second time");
    let left = changed(3, |plan| {
        // A member found down in the last hop may be skipped by others' proofs; this one was stopped by the plan itself.
        let mut stop = at(plan, "h2.m1.stop").clone();
        stop.id = "h2.m1.stop-for-good".into();
        plan.hops[1].waves.last_mut().unwrap().steps.push(stop);
        plan.hops[1].waves.last_mut().unwrap().steps.rotate_right(1);
        for hop in &mut plan.hops {
            hop.waves
                .iter_mut()
                .for_each(|wave| wave.steps.retain(|s| s.role != StepRole::Handover));
        }
    });
    breaks(left, S2, "m1 is not started again");
}

#[test]
fn s2_no_more_than_the_policy_allows() {
    let none = changed(3, |plan| plan.policy.max_unavailable = 0);
    breaks(none, S2, "would be number 1 of its group that is down, 0 may be");
}

#[test]
fn s3_leader_first() {
    let first = changed(3, |plan| plan.hops[0].waves.swap(1, 3));
    breaks(first, S3, "m3 leads when the hop begins and is not stopped last");
}

#[test]
fn s3_stop_before_handover() {
    let late = changed(3, |plan| {
        let handover = remove(plan, "h1.m3.handover");
        insert_before(plan, "h1.m3.rejoin", handover.clone());
        // The handover after the start would also pass an open gate: put it behind the gate.
        let handover = remove(plan, "h1.m3.handover");
        plan.hops[0].waves[3].steps.push(handover);
    });
    breaks(late, S3, "m3 may lead and is stopped without a handover");
}

#[test]
fn s3_handover_to_nobody() {
    let nobody = changed(3, |plan| {
        at(plan, "h1.m3.handover").done = Some(condition("leader", "cluster.leader != ''"))
    });
    breaks(nobody, S3, "does not say in a `leader` condition who leads");
    let learner = changed(3, |plan| {
        let mut node = plan.observed.nodes[1].clone();
        node.name = "l1".into();
        node.role = Role::Learner;
        node.voter = Some(false);
        node.release = Some(release("3.5.16"));
        plan.observed.nodes.push(node);
        plan.hops.remove(0);
        plan.from = release("3.4.23");
        plan.observed.nodes[..3].iter_mut().for_each(|node| node.release = Some(release("3.4.23")));
        plan.observed.nodes[0].role = Role::Leader;
        plan.observed.nodes[2].role = Role::Follower;
        at(plan, "h2.m1.handover").done = Some(condition("leader", "cluster.leader == 'l1'"));
    });
    breaks(learner, S3, "leadership goes to l1, which is no healthy voter");
}

#[test]
fn s3_no_leader_seen() {
    let unseen = changed(3, |plan| plan.observed.nodes[2].role = Role::Follower);
    breaks(unseen, S3, "no leader was seen");
}

/// Every voter hands over before it stops, as a plan does that cannot know who will lead by then.
fn everybody_hands_over() -> Plan {
    changed(3, |plan| {
        for (from, to) in [("m1", "m2"), ("m2", "m3")] {
            let mut handover = at(plan, "h1.m3.handover").clone();
            handover.id = format!("h1.{from}.handover").into();
            handover.node = Some(from.into());
            let Action::Call { call } = &mut handover.action else { panic!() };
            call.node = from.into();
            handover.done = Some(condition("leads-not", &format!("cluster.leader != '{from}'")));
            let gate = handover.gate.insert(gate(&[]));
            gate.conditions.push(condition("leader", &format!("cluster.leader == '{to}'")));
            insert_before(plan, &format!("h1.{from}.stop"), handover);
        }
    })
}

#[test]
fn s3_handover_from_a_follower_changes_nothing() {
    holds(everybody_hands_over());
    let mut first = everybody_hands_over();
    first.hops[0].waves.swap(1, 3);
    breaks(first, S3, "m3 leads when the hop begins and is not stopped last");
}

#[test]
fn s3_after_an_election_anybody_may_lead() {
    let mut plan = plan_of(3);
    remove(&mut plan, "h1.m3.handover");
    // The second hop hands over only from m1, but m2 may have been elected after m3 stopped.
    breaks(plan.clone(), S3, "m2 may lead and is stopped without a handover");
    remove(&mut plan, "h2.m1.handover");
    holds(plan);
}

#[test]
fn found_half_way() {
    let half = |change: fn(&mut Plan)| {
        changed(3, |plan| {
            plan.hops.truncate(1);
            plan.to = release("3.4.23");
            // The leader was moved by somebody else; its steps find that they have already happened.
            plan.observed.nodes[2].release = Some(release("3.4.23"));
            remove(plan, "h1.m3.handover");
            for id in ["h1.m3.stop", "h1.m3.swap", "h1.m3.start"] {
                at(plan, id).done = Some(condition("already-moved", "node.release == '3.4.23'"));
            }
            if let Action::Swap { from, .. } = &mut at(plan, "h1.m3.swap").action {
                *from = release("3.4.23");
            }
            change(plan);
        })
    };
    holds(half(|_| ()));
    // With m3 moved already the door closes at m2.
    breaks(half(|plan| move_before(plan, "h1.go", "h1.m3.stop")), S6, "h1.m2.stop");
}

#[test]
fn s3_release_without_handover() {
    let without = changed(3, |plan| {
        remove(plan, "h1.m3.handover");
        plan.hops.truncate(1);
        plan.to = release("3.4.23");
    });
    holds(without);
}

#[test]
fn s4_gate_missing() {
    let next = changed(3, |plan| drop(remove(plan, "h1.m1.rejoin")));
    breaks(
        next,
        S4,
        "no gate has seen m1 back since its start: release, healthy, member, caught-up not looked at",
    );
    let last = changed(3, |plan| at(plan, "h2.m1.rejoin").gate = None);
    breaks(last, S4, "the hop to 3.5.16 ends although no gate has seen m1 back");
}

#[test]
fn s4_gate_asks_too_little() {
    for name in ["release", "healthy", "member", "caught-up"] {
        let less = changed(3, |plan| {
            at(plan, "h1.m2.rejoin").gate.as_mut().unwrap().conditions.retain(|c| c.name != name);
        });
        breaks(less, S4, &format!("seen m2 back since its start: {name} not looked at"));
    }
    let uncompared = changed(3, |plan| {
        at(plan, "h1.m2.rejoin")
            .gate
            .as_mut()
            .unwrap()
            .conditions
            .retain(|c| c.name != "data-equal");
    });
    breaks(uncompared.clone(), S4, "no gate compares those of m2");
    let mut unseen = uncompared;
    unseen.observed.nodes.iter_mut().for_each(|node| node.data_hash = None);
    holds(unseen);
}

#[test]
fn s4_gate_too_late() {
    let late = changed(3, |plan| move_before(plan, "h1.m2.stop", "h1.m1.rejoin"));
    let found = found(late);
    assert!(found.iter().any(|v| v.invariant == S4), "{found:#?}");
}

#[test]
fn s4_toothless_gates() {
    let with = |change: fn(&mut Gate)| {
        changed(3, |plan| change(at(plan, "h1.precheck").gate.as_mut().unwrap()))
    };
    breaks(with(|gate| gate.limit = Duration::ZERO), S4, "has no time limit");
    breaks(with(|gate| gate.good_looks = 0), S4, "without one good look");
    breaks(with(|gate| gate.conditions.clear()), S4, "asks nothing");
    breaks(with(|gate| gate.conditions[0].cel = "true".into()), S4, "looks at nothing");
}

#[test]
fn s4_hop_without_an_end() {
    breaks(
        changed(3, |plan| drop(remove(plan, "h1.complete"))),
        S4,
        "ends without a gate on the whole cluster",
    );
    let early = changed(3, |plan| move_before(plan, "h1.complete", "h1.m3.stop"));
    breaks(early, S4, "ends without a gate on the whole cluster");
}

#[test]
fn s5_chain_broken() {
    breaks(changed(3, |plan| plan.from = release("3.2.32")), S5, "the cluster is at 3.2.32");
    breaks(changed(3, |plan| plan.to = release("3.6.1")), S5, "the plan at 3.6.1");
}

#[test]
fn s5_edge_not_proved() {
    let edge = |change: fn(&mut Edge)| changed(3, |plan| change(&mut plan.hops[1].edge));
    breaks(
        edge(|e| e.permitted_by[0].1 = "3.3.x".parse().unwrap()),
        S5,
        "no rule permits 3.4.23 -> 3.5.16",
    );
    breaks(edge(|e| e.permitted_by.clear()), S5, "no rule permits");
    breaks(edge(|e| e.excused.clear()), S5, "rule E13 forbids");
    breaks(edge(|e| e.excused[0].1 = " ".into()), S5, "rule E13 forbids");
    breaks(edge(|e| e.never_land.push("3.5.16".parse().unwrap())), S5, "never to be landed on");
}

#[test]
fn s5_rules_not_proved() {
    let rule = |change: fn(&mut RuleApplied)| changed(3, |plan| change(&mut plan.hops[0].rules[1]));
    breaks(rule(|r| r.because.clear()), S5, "the condition of rule E15 has no evidence");
    breaks(rule(|r| r.verdict = RuleVerdict::Block), S5, "rule E15 forbids");
    breaks(rule(|r| r.cures.push("write-one-key".into())), S5, "needs a cure");
    breaks(rule(|r| r.rewrites.push("v2-on".into())), S5, "needs settings to be rewritten");
}

#[test]
fn s5_releases_too_far_apart() {
    let old = changed(3, |plan| plan.observed.nodes[1].release = Some(release("3.2.32")));
    let found = found(old);
    assert!(found.iter().all(|v| v.invariant == S5), "{found:#?}");
    assert!(found[0].text.contains("m2 runs 3.2.32, which lies outside the hop"), "{found:#?}");
}

#[test]
fn s5_member_left_behind() {
    let left = changed(3, |plan| drop(plan.hops[0].waves.remove(2)));
    breaks(left, S5, "m2 still at 3.3.25");
}

#[test]
fn s5_wrong_way() {
    let back = changed(3, |plan| plan.kind = PlanKind::RollbackBinaries);
    let found = found(back);
    assert!(found.iter().all(|v| v.invariant == S5), "{found:#?}");
}

#[test]
fn s5_start_of_another_release() {
    let other = changed(3, |plan| {
        let Action::Start { expect, .. } = &mut at(plan, "h1.m1.start").action else { panic!() };
        *expect = release("3.5.16");
    });
    let found = found(other);
    assert!(
        found.iter().any(|v| v.invariant == S5 && v.text.contains("started as 3.5.16")),
        "{found:#?}"
    );
}

#[test]
fn s6_no_way_back() {
    let none = changed(3, |plan| {
        remove(plan, "h2.backup");
        remove(plan, "h2.verify");
    });
    breaks(none, S6, "no backup was taken in this hop");
    breaks(changed(3, |plan| drop(remove(plan, "h1.verify"))), S6, "was never verified");
    breaks(changed(3, |plan| drop(remove(plan, "h1.go"))), S6, "nobody is asked first");
    breaks(
        changed(3, |plan| move_before(plan, "h1.go", "h1.m3.swap")),
        S6,
        "nobody is asked first",
    );
    let of_another = changed(3, |plan| {
        at(plan, "h1.verify").action = Action::Verify { backup: backup("h9", "m1", "3.3.25") };
    });
    breaks(of_another, S6, "was never verified");
}

#[test]
fn s6_every_door() {
    let without_go = |door| {
        changed(3, |plan| {
            plan.hops[0].one_way = door;
            move_before(plan, "h1.go", "h1.m2.stop");
        })
    };
    breaks(without_go(Door::Now), S6, "h1.m1.stop");
    holds(without_go(Door::LastMember));
    holds(without_go(Door::None));
    let marked = changed(3, |plan| {
        plan.hops[0].one_way = Door::None;
        move_before(plan, "h1.go", "h1.m2.stop");
        at(plan, "h1.m1.start").one_way = true;
    });
    breaks(marked, S6, "h1.m1.start");
}

#[test]
fn s7_repeats() {
    for id in ["h1.m1.stop", "h1.m1.swap", "h1.m1.start", "h1.m3.handover"] {
        let blind = changed(3, |plan| {
            let step = at(plan, id);
            if let Some(done) = step.done.take() {
                step.gate = (step.role == StepRole::Handover).then(|| {
                    let mut gate = gate(&[]);
                    gate.conditions.push(done);
                    gate
                });
            }
        });
        breaks(blind, S7, "has no probe");
    }
    let on_host =
        |name: &str| changed(3, |plan| at(plan, "h1.m1.stop").done = Some(condition(name, "")));
    holds(on_host("stopped"));
    breaks(on_host("swapped"), S7, "has no probe");
    breaks(
        changed(3, |plan| at(plan, "h2.go").id = "h1.go".into()),
        S7,
        "two steps are named h1.go",
    );
}

#[test]
fn s8_another_observation() {
    let mut other = plan_of(3);
    other.observed.nodes[0].lag = Some(1);
    other.digest = quorate_checker::digest::plan_digest(&other).unwrap();
    let found = check(&other);
    assert!(found.len() == 1 && found[0].invariant == S8, "{found:#?}");
    breaks(
        changed(3, |plan| plan.observed.cluster = "other".into()),
        S8,
        "the plan is for etcd demo",
    );
    breaks(
        changed(3, |plan| plan.parent = Some(Digest::new("my plan"))),
        S8,
        "cannot be the plan that this one continues",
    );
    breaks(
        changed(3, |plan| plan.observation.taken_at += Duration::from_secs(1)),
        S8,
        "was taken at",
    );
}

#[test]
fn s9_artifacts() {
    let sha = |sha: &str| {
        changed(3, |plan| {
            let mut text = serde_json::to_string(plan).unwrap();
            text = text.replace(&"a".repeat(64), sha);
            *plan = serde_json::from_str(&text).unwrap();
        })
    };
    breaks(sha(""), S9, "has no SHA-256");
    breaks(sha("A7"), S9, "has no SHA-256");
    holds(sha(&"d".repeat(64)));
    let other = |id: &'static str| {
        changed(3, |plan| match &mut at(plan, id).action {
            Action::Stage { artifact, .. } | Action::Swap { to: artifact, .. } => {
                artifact.files[0].sha256 = Digest::new("e".repeat(64));
            }
            _ => panic!("no artifact"),
        })
    };
    breaks(other("h1.m1.swap"), S9, "which is not the hop's artifact");
    breaks(other("h1.m1.stage"), S9, "which is not the hop's artifact");
}

#[test]
fn s9_order_of_stage_stop_swap_start() {
    breaks(changed(3, |plan| drop(remove(plan, "h1.m2.stage"))), S9, "staged on m2");
    breaks(changed(3, |plan| move_before(plan, "h1.m2.stage", "h1.m2.stop")), S9, "staged on m2");
    breaks(
        changed(3, |plan| move_before(plan, "h1.m1.swap", "h1.m1.stop")),
        S9,
        "while it is not stopped",
    );
    breaks(changed(3, |plan| drop(remove(plan, "h2.m2.swap"))), S9, "its live files are 3.4.23");
}

#[test]
fn s9_data_go_back_only_on_a_stopped_member() {
    let restore = |before: &str| {
        changed(3, |plan| {
            let Action::Call { call } = at(plan, "h1.m3.handover").action.clone() else { panic!() };
            let action = Action::Restore {
                node: "m1".into(),
                backup: Box::new(backup("h1", "m1", "3.3.25")),
                call,
                joins: None,
            };
            let mut restore = step("h1.m1.restore", StepRole::Restore, Some("m1"), action);
            restore.done = Some(condition("restored", ""));
            insert_before(plan, before, restore);
        })
    };
    holds(restore("h1.m1.start"));
    breaks(restore("h1.m1.stop"), S9, "puts data back on m1 while it is not stopped");
}

#[test]
fn s9_temporary_changes() {
    let set = |plan: &mut Plan| {
        let Action::Call { call } = at(plan, "h1.m3.handover").action.clone() else { panic!() };
        let action = Action::TempSet { key: "alarm".into(), call: call.clone(), put_back: call };
        let set = step("h1.set", StepRole::TempSet, None, action);
        insert_before(plan, "h1.m1.stop", set);
    };
    let put_back = || {
        step("h1.back", StepRole::TempPutBack, None, Action::TempPutBack { key: "alarm".into() })
    };
    breaks(changed(3, set), S9, "`alarm` is set for a time and never put back");
    breaks(changed(3, |plan| insert_before(plan, "h1.complete", put_back())), S9, "was never set");
    holds(changed(3, |plan| {
        set(plan);
        insert_before(plan, "h1.complete", put_back());
    }));
}

#[test]
fn s9_packages_start_nothing_while_a_member_is_on_its_way() {
    let good = || packaged(plan_of(3));
    holds(good());
    let with = |change: &dyn Fn(&mut Plan)| {
        let mut plan = good();
        change(&mut plan);
        plan
    };
    breaks(
        with(&|plan| {
            drop(remove(plan, "h1.m1.hold-back"));
            drop(remove(plan, "h1.m1.let-go"));
        }),
        S9,
        "m1 stops for packages before its host keeps them from starting services",
    );
    breaks(
        with(&|plan| move_before(plan, "h1.m1.hold-back", "h1.m1.swap")),
        S9,
        "m1 stops for packages before its host keeps them from starting services",
    );
    breaks(
        with(&|plan| move_before(plan, "h1.m1.let-go", "h1.m1.swap")),
        S9,
        "installs packages on m1 while nothing keeps them from starting services there",
    );
    breaks(
        with(&|plan| move_before(plan, "h1.m1.let-go", "h1.m1.start")),
        S9,
        "before the member is seen to be back",
    );
    breaks(with(&|plan| drop(remove(plan, "h1.m1.let-go"))), S9, "never put back");
    breaks(
        with(&|plan| {
            // Held back on another host.
            let Action::TempSet { call, put_back, .. } = &mut at(plan, "h1.m1.hold-back").action
            else {
                panic!()
            };
            call.node = "m2".into();
            put_back.node = "m2".into();
        }),
        S9,
        "m1 stops for packages before its host",
    );
    breaks(
        with(&|plan| {
            let Action::Swap { packages, .. } = &mut at(plan, "h1.m1.swap").action else {
                panic!()
            };
            packages.push("etcd-client_3.4.23-4_amd64.deb".into());
        }),
        S9,
        "which is no package of the artifact",
    );
    breaks(with(&|plan| at(plan, "h1.m1.hold-back").done = None), S7, "no probe");
}

#[test]
fn edited_by_hand() {
    let mut plan = plan_of(3);
    plan.policy.soak = Duration::ZERO;
    let found = check(&plan);
    assert!(found.len() == 1 && found[0].invariant == Invariant::Digest, "{found:#?}");
    assert!(found[0].text.contains("changed after it was made"));
}

#[test]
fn unreadable() {
    breaks(changed(3, |plan| plan.schema += 1), Schema, "has schema 2");
    breaks(changed(3, |plan| plan.hops.clear()), Schema, "no hops");
    breaks(changed(3, |plan| drop(plan.observed.nodes.pop())), Schema, "m3 is no member");
    breaks(changed(3, |plan| plan.observed.nodes[0].name = "m2".into()), Schema, "shows m2 twice");
}

#[test]
fn digest_survives_a_file() {
    let plan = plan_of(3);
    let text = serde_json::to_string_pretty(&plan).unwrap();
    let read: Plan = serde_json::from_str(&text).unwrap();
    assert_eq!(check(&read), Vec::new());
    let mut empty = plan.clone();
    empty.digest = Digest::new("");
    assert_eq!(quorate_checker::digest::plan_digest(&empty), Some(plan.digest));
}
