//! Ways back: from a mixed cluster, from one with a broken member, and from one that has taken the release.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up shall fail")]

mod support;

use quorate_model::{Action, Blocked, NotNow, Plan, PlanKind, Role, ServiceSpec};
use quorate_packs::Packs;
use quorate_planner::{Planned, RollbackRequest, rollback, rollback::BackupAtHand};
use support::{World, keeper, now, release, world};

/// The plan of the upgrade that is to be reversed.
fn upgrade(world: &World, to: &str) -> Plan {
    match world.plan(to) {
        Planned::Ready(plan) => *plan,
        other => panic!("no plan: {other:?}"),
    }
}

fn back(world: &World, plan: &Plan, backups: &[BackupAtHand]) -> Planned {
    rollback(&RollbackRequest {
        plan,
        cluster: &world.cluster,
        pack: keeper(),
        observation: &world.seen,
        artifacts: &world.artifacts,
        backups,
        measured: &world.measured,
        now: now(),
    })
}

fn ready(planned: Planned) -> Plan {
    match planned {
        Planned::Ready(plan) => *plan,
        other => panic!("no plan: {other:?}"),
    }
}

fn taken(plan: &Plan, verified: bool) -> Vec<BackupAtHand> {
    let steps = plan.hops.iter().flat_map(|hop| &hop.waves).flat_map(|wave| &wave.steps);
    let copies = steps.filter_map(|step| match &step.action {
        Action::Backup { backup } => {
            Some(BackupAtHand { backup: backup.clone(), taken_at: now(), verified })
        }
        _ => None,
    });
    copies.collect()
}

fn order(plan: &Plan) -> Vec<&str> {
    plan.hops
        .iter()
        .flat_map(|hop| &hop.waves)
        .filter_map(|wave| wave.node.as_ref())
        .map(|n| n.as_str())
        .collect()
}

fn run(world: &mut World, name: &str, at: &str) {
    let node = world.node(name);
    (node.release, node.disk_release) = (Some(release(at)), Some(release(at)));
}

#[test]
fn mixed_members_get_their_binaries_back_one_by_one() {
    let mut world = world(3, "1.0.5");
    let plan = upgrade(&world, "1.1.9");
    run(&mut world, "a", "1.1.9");
    run(&mut world, "b", "1.1.9");
    let back = ready(back(&world, &plan, &[]));
    assert_eq!(
        (back.kind, &back.from, &back.to),
        (PlanKind::RollbackBinaries, &plan.to, &plan.from)
    );
    assert_eq!(back.parent, Some(plan.digest));
    assert_eq!(order(&back), ["a", "b", "c"]);
    assert!(back.losses.is_empty() && back.outage.is_zero());
    assert_eq!(quorate_checker::check(&back), []);
}

#[test]
fn a_member_whose_new_binary_is_broken_goes_back_first() {
    let mut world = world(3, "1.0.5");
    let plan = upgrade(&world, "1.1.9");
    run(&mut world, "a", "1.1.9");
    world.down("b").disk_release = None;
    let back = ready(back(&world, &plan, &[]));
    assert_eq!(order(&back), ["b", "a", "c"]);
    assert_eq!(quorate_checker::check(&back), []);
}

#[test]
fn only_the_first_member_is_broken_and_nobody_runs_the_new_release() {
    let mut world = world(3, "1.0.5");
    let plan = upgrade(&world, "1.1.9");
    world.down("a").disk_release = None;
    let back = ready(back(&world, &plan, &[]));
    assert_eq!(back.kind, PlanKind::RollbackBinaries);
    assert_eq!(order(&back)[0], "a");
}

#[test]
fn nothing_moved_nothing_to_do() {
    let world = world(3, "1.0.5");
    let plan = upgrade(&world, "1.1.9");
    assert!(matches!(back(&world, &plan, &[]), Planned::NothingToDo { .. }));
}

#[test]
fn only_the_last_hop_that_was_begun_goes_back() {
    let mut world = world(3, "1.0.5");
    let plan = upgrade(&world, "1.2.3");
    for name in ["a", "c"] {
        run(&mut world, name, "1.1.9");
    }
    run(&mut world, "b", "1.2.3");
    let back = ready(back(&world, &plan, &[]));
    assert_eq!((&back.from, &back.to), (&release("1.2.3"), &release("1.1.9")));
}

#[test]
fn a_cluster_that_has_taken_the_release_gets_its_backup_back_and_the_losses_are_listed() {
    let mut world = world(3, "1.0.5");
    let plan = upgrade(&world, "1.1.9");
    for name in ["a", "b", "c"] {
        run(&mut world, name, "1.1.9");
    }
    world.seen.facts.insert("cluster_release".into(), "1.1.0".into());
    let back = ready(back(&world, &plan, &taken(&plan, true)));
    assert_eq!(back.kind, PlanKind::RollbackRestore);
    assert!(back.losses[0].contains("every write acknowledged since"), "{:?}", back.losses);
    assert!(back.losses.iter().any(|loss| loss.contains("sessions")));
    assert!(!back.outage.is_zero());
    let steps: Vec<_> = back.hops[0].waves.iter().flat_map(|wave| &wave.steps).collect();
    let restores =
        steps.iter().filter(|step| matches!(step.action, Action::Restore { .. })).count();
    assert_eq!(restores, 3);
    let asked = steps.iter().position(|step| step.needs_approval).unwrap();
    let stopped = steps.iter().position(|step| matches!(step.action, Action::Stop { .. })).unwrap();
    assert!(asked < stopped);
    assert_eq!(quorate_checker::check(&back), []);
}

#[test]
fn all_moved_and_the_cluster_still_on_the_old_line_is_mixed() {
    let mut world = world(3, "1.0.5");
    let plan = upgrade(&world, "1.1.9");
    for name in ["a", "b", "c"] {
        run(&mut world, name, "1.1.9");
    }
    world.seen.facts.insert("cluster_release".into(), "1.0.0".into());
    assert_eq!(ready(back(&world, &plan, &[])).kind, PlanKind::RollbackBinaries);
}

#[test]
fn without_a_verified_backup_there_is_no_way_back() {
    let mut world = world(3, "1.0.5");
    let plan = upgrade(&world, "1.1.9");
    for name in ["a", "b", "c"] {
        run(&mut world, name, "1.1.9");
    }
    for backups in [Vec::new(), taken(&plan, false)] {
        let Planned::NotNow(refusal) = back(&world, &plan, &backups) else {
            panic!("a plan came out")
        };
        assert!(
            matches!(&refusal.reasons[0], NotNow::Blocked(Blocked::Downgrade { because, .. }) if because.contains("no verified backup"))
        );
    }
}

#[test]
fn the_pack_has_the_last_word() {
    let mut world = world(3, "1.3.1");
    world.cluster.policy.allow_outage = true;
    let plan = upgrade(&world, "2.0.0");
    run(&mut world, "a", "2.0.0");
    let Planned::NotNow(refusal) = back(&world, &plan, &[]) else { panic!("a plan came out") };
    assert!(
        matches!(&refusal.reasons[0], NotNow::Blocked(Blocked::Downgrade { because, .. }) if because == "2.0 never goes back")
    );
}

#[test]
fn settings_go_back_with_the_binaries() {
    let mut world = world(3, "1.0.5");
    world.add_args("a", &["--verbose"]);
    world.cluster.policy.rewrite_config = true;
    let plan = upgrade(&world, "1.1.9");
    run(&mut world, "a", "1.1.9");
    let back = ready(back(&world, &plan, &[]));
    let steps = back.hops[0].waves.iter().flat_map(|wave| &wave.steps);
    let mut config = steps.filter_map(|step| match &step.action {
        Action::Swap { node, config: Some(config), .. } if node.as_str() == "a" => {
            Some(config.clone())
        }
        _ => None,
    });
    let config = config.next_back().unwrap();
    let Some(ServiceSpec::Process { argv, .. }) = config.service else { panic!("no service") };
    assert_eq!(argv.last().map(String::as_str), Some("--verbose"));
    assert_eq!(config.diff, ["+ --verbose"]);
}

#[test]
fn the_leader_goes_back_last() {
    let mut world = world(3, "1.0.5");
    let plan = upgrade(&world, "1.1.9");
    run(&mut world, "a", "1.1.9");
    run(&mut world, "b", "1.1.9");
    world.node("c").role = Role::Follower;
    world.node("a").role = Role::Leader;
    let back = ready(back(&world, &plan, &[]));
    assert_eq!(order(&back).last(), Some(&"a"));
    assert_eq!(quorate_checker::check(&back), []);
}

/// The way back of a pack whose copy goes onto one member.
fn joined() -> Plan {
    const BY_HAND: &str = "      restore_by_hand: keeper restore {{ file }}\n";
    const JOIN: &str = "      join: { command: { argv: [keeper, join, \"{{ target.name }}\", \"{{ node.name }}\"] } }\n      join_by_hand: keeper join {{ target.name }}\n";
    let text = include_str!("support/keeper.yaml");
    let text = text.replacen(BY_HAND, &format!("{BY_HAND}{JOIN}"), 1);
    let packs = Packs::load(&[("keeper.yaml".into(), text.clone())])
        .unwrap_or_else(|found| panic!("{}", quorate_syntax::render(&found, &text)));
    let mut world = world(3, "1.0.5");
    let plan = upgrade(&world, "1.1.9");
    let backups = taken(&plan, true);
    for name in ["a", "b", "c"] {
        run(&mut world, name, "1.1.9");
    }
    world.seen.facts.insert("cluster_release".into(), "1.1.9".into());
    ready(rollback(&RollbackRequest {
        plan: &plan,
        cluster: &world.cluster,
        pack: packs.get(&"keeper".into()).unwrap(),
        observation: &world.seen,
        artifacts: &world.artifacts,
        backups: &backups,
        measured: &world.measured,
        now: now(),
    }))
}

#[test]
fn a_copy_that_goes_onto_one_member_is_joined_by_the_others_one_by_one() {
    let plan = joined();
    let steps = plan.hops[0].waves.iter().flat_map(|wave| &wave.steps);
    let puts: Vec<String> = steps
        .filter_map(|step| match &step.action {
            Action::Restore { node, joins, call, .. } => {
                Some(format!("{node} {} {}", joins.as_ref().map_or("-", |n| n.as_str()), call.name))
            }
            Action::Start { node, .. } => Some(format!("start {node}")),
            _ => None,
        })
        .collect();
    assert_eq!(
        puts,
        ["a - dump-restore", "start a", "b a dump-join", "start b", "c a dump-join", "start c"]
    );
    assert_eq!(quorate_checker::check(&plan), []);
    let book = world(3, "1.0.5").book(keeper(), &plan);
    assert!(book.contains("keeper join a"), "{book}");
}

#[test]
fn the_proof_sees_who_was_left_out_of_a_restore() {
    let found = |change: fn(&mut Plan)| {
        let mut plan = joined();
        change(&mut plan);
        plan.digest = quorate_planner::digest::plan_digest(&plan);
        let found = quorate_checker::check(&plan);
        found.into_iter().map(|violation| violation.text).collect::<Vec<_>>().join("\n")
    };
    let left_out = found(|plan| {
        let b = plan.hops[0].waves.iter().position(|wave| wave.id == "h1.b").unwrap();
        plan.hops[0].waves[b].steps.remove(0);
    });
    assert!(left_out.contains("b is started with the data of before"), "{left_out}");
    let too_early = found(|plan| {
        let waves = &mut plan.hops[0].waves;
        let a = waves.iter().position(|wave| wave.id == "h1.a").unwrap();
        waves.swap(a, a + 1);
    });
    assert!(too_early.contains("lets b join a, which does not run with the copy"), "{too_early}");
}
