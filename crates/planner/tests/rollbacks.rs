//! Ways back: from a mixed cluster, from one with a broken member, and from one that has taken the release.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up shall fail")]

mod support;

use quorate_model::{
    Action, BACKUP_WHOLE, Blocked, CallKind, Digest, NotNow, Place, Plan, PlanKind, ProcessSpec,
    Role, ServiceSpec, Step, StepRole,
};
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
        begun: None,
        since: None,
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
            let mut backup = backup.clone();
            backup.sha256 = Some(Digest::new("d".repeat(64)));
            Some(BackupAtHand {
                taken_from: Some(backup.node.clone()),
                backup,
                taken_at: now(),
                verified,
                other_cluster: None,
                fault: None,
                unknown: Vec::new(),
            })
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
    let Some(ServiceSpec::Process(ProcessSpec { argv, .. })) = config.service else {
        panic!("no service")
    };
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

/// A plan that puts this copy back on a cluster as it is.
fn put_back(world: &World, copy: &BackupAtHand, onto: &str) -> Planned {
    let mut standing = upgrade(&support::world(3, "1.0.5"), "1.1.9");
    standing.kind = PlanKind::RollbackRestore;
    standing.observed = world.seen.clone();
    standing.hops.truncate(1);
    (standing.hops[0].from, standing.hops[0].to) = (release(onto), release(onto));
    rollback::put_back(&RollbackRequest {
        plan: &standing,
        cluster: &world.cluster,
        pack: keeper(),
        observation: &world.seen,
        artifacts: &world.artifacts,
        backups: std::slice::from_ref(copy),
        begun: None,
        since: None,
        measured: &world.measured,
        now: now(),
    })
}

/// A copy that was taken on this release.
fn copy_of(at: &str) -> BackupAtHand {
    let plan = upgrade(&world(3, "1.0.5"), "1.1.9");
    let mut copy = taken(&plan, true).remove(0);
    copy.backup.release = release(at);
    copy
}

fn because(planned: Planned) -> String {
    match planned {
        Planned::NotNow(refusal) => {
            format!("{}; {}", refusal.reasons[0], refusal.ways_out.join("; "))
        }
        other => panic!("a plan came out: {other:?}"),
    }
}

#[test]
fn a_member_that_was_left_down_with_its_old_files_is_brought_back() {
    let mut world = world(3, "1.0.5");
    let plan = upgrade(&world, "1.1.9");
    world.down("b");
    let back = ready(back(&world, &plan, &[]));
    assert_eq!((back.kind, order(&back)[0]), (PlanKind::RollbackBinaries, "b"));
    assert_eq!(quorate_checker::check(&back), []);
}

#[test]
fn a_member_whose_new_files_did_not_start_goes_back() {
    let mut world = world(3, "1.0.5");
    let plan = upgrade(&world, "1.1.9");
    world.down("a").disk_release = Some(release("1.1.9"));
    let back = ready(back(&world, &plan, &[]));
    assert_eq!((back.kind, order(&back)[0]), (PlanKind::RollbackBinaries, "a"));
}

#[test]
fn a_member_left_down_in_the_second_hop_is_no_reason_to_go_back_over_the_first() {
    let mut world = world(3, "1.0.5");
    let plan = upgrade(&world, "1.2.3");
    for name in ["a", "b", "c"] {
        run(&mut world, name, "1.1.9");
    }
    world.down("b");
    let back = ready(back(&world, &plan, &[]));
    assert_eq!((&back.from, &back.to), (&release("1.2.3"), &release("1.1.9")));
}

#[test]
fn a_damaged_backup_refuses_the_way_back() {
    let mut world = world(3, "1.0.5");
    let plan = upgrade(&world, "1.1.9");
    for name in ["a", "b", "c"] {
        run(&mut world, name, "1.1.9");
    }
    world.seen.facts.insert("cluster_release".into(), "1.1.0".into());
    let mut copies = taken(&plan, true);
    copies[0].fault = Some("its digest is 123, 456 was written down".into());
    let said = because(back(&world, &plan, &copies));
    assert!(said.contains("its digest is 123") && said.contains("quorate restore"), "{said}");
}

#[test]
fn nobody_stops_before_the_copy_was_read_and_the_data_are_compared_afterwards() {
    let mut world = world(3, "1.0.5");
    world.seen.facts.insert("cluster_id".into(), "old-id".into());
    let plan = ready(put_back(&world, &copy_of("1.0.5"), "1.0.5"));
    let steps: Vec<_> = plan.hops[0].waves.iter().flat_map(|wave| &wave.steps).collect();
    for stop in steps.iter().filter(|step| matches!(step.action, Action::Stop { .. })) {
        assert!(stop.precheck.iter().any(|one| one.name == BACKUP_WHOLE), "{}", stop.id);
    }
    let place = |role| steps.iter().rposition(|step| step.role == role).unwrap();
    assert!(place(StepRole::Verify) > place(StepRole::Rejoin));
    let seen =
        steps.iter().find_map(|step| step.gate.as_ref().filter(|gate| gate.name == "restored"));
    assert!(seen.unwrap().conditions[0].cel.contains("'old-id'"));
    assert_eq!(quorate_checker::check(&plan), []);
    let broken = |change: fn(&mut Step)| {
        let mut plan = plan.clone();
        let steps = plan.hops[0].waves.iter_mut().flat_map(|wave| &mut wave.steps);
        steps.for_each(change);
        let found = quorate_checker::check(&plan);
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let said = broken(|step| step.precheck.clear());
    assert!(said.contains("stops before anybody has read the copy"), "{said}");
    let said = broken(|step| {
        if let Action::Restore { backup, .. } = &mut step.action {
            backup.sha256 = None;
        }
    });
    assert!(said.contains("the plan does not say what"), "{said}");
    let said = broken(|step| {
        if step.role == StepRole::Verify {
            step.role = StepRole::Precheck;
        }
    });
    assert!(said.contains("nothing looks whether those that run are the backup's"), "{said}");
}

#[test]
fn a_copy_goes_onto_its_own_line_or_where_the_pack_says() {
    let mut world = world(3, "1.1.9");
    ready(put_back(&world, &copy_of("1.1.4"), "1.1.9"));
    ready(put_back(&world, &copy_of("1.0.5"), "1.1.9"));
    let said = because(put_back(&world, &copy_of("1.2.3"), "1.1.9"));
    assert!(said.contains("was taken on 1.2.3") && !said.contains("is older"), "{said}");
    for name in ["a", "b", "c"] {
        run(&mut world, name, "1.2.3");
    }
    let said = because(put_back(&world, &copy_of("1.0.5"), "1.2.3"));
    assert!(said.contains("nothing says that 1.2.3 can take such data"), "{said}");
}

#[test]
fn data_go_back_although_nobody_runs() {
    let mut world = world(3, "1.0.5");
    world.seen.facts.clear();
    for name in ["a", "b", "c"] {
        let node = world.down(name);
        node.role = Role::Unknown;
        node.place = Some(Place {
            name: Some(format!("{name}-inside")),
            peer_urls: vec![format!("http://{name}:1")],
            folders: [("log-dir".to_owned(), format!("/log/{name}").into())].into(),
        });
    }
    let plan = ready(put_back(&world, &copy_of("1.0.5"), "1.0.5"));
    assert_eq!(quorate_checker::check(&plan), []);
    let words: Vec<String> = plan.hops[0]
        .waves
        .iter()
        .flat_map(|wave| &wave.steps)
        .filter_map(|step| match &step.action {
            Action::Restore { call, .. } => match &call.call {
                CallKind::Command { argv, .. } => Some(argv.join(" ")),
                _ => None,
            },
            _ => None,
        })
        .collect();
    assert_eq!(words.len(), 3);
    assert!(words.iter().all(|line| line.contains(" 3 ")), "all members are named: {words:?}");
    assert!(words.iter().any(|line| line.ends_with("--log=/log/a")), "{words:?}");
}

#[test]
fn a_plan_says_of_a_copy_only_what_was_written_down() {
    let world = world(3, "1.0.5");
    let mut copy = copy_of("1.0.5");
    let taken_from = copy.taken_from.clone().unwrap();
    let losses = |copy: &BackupAtHand| ready(put_back(&world, copy, "1.0.5")).losses.join("; ");
    assert!(losses(&copy).contains(&format!("was taken from {taken_from}")));
    copy.taken_from = None;
    copy.unknown = vec!["from which member it was taken".into()];
    copy.other_cluster = Some("cluster other".into());
    let said = losses(&copy);
    assert!(
        !said.contains("was taken from") && said.contains("is a backup of cluster other"),
        "{said}"
    );
    assert!(said.contains("not written down: from which member"), "{said}");
}

#[test]
fn a_half_done_restore_is_carried_on_and_not_called_a_downgrade() {
    let world = world(3, "1.0.5");
    let restore = ready(put_back(&world, &copy_of("1.0.5"), "1.0.5"));
    let said = because(back(&world, &restore, &[]));
    assert!(said.contains("quorate run resume") && said.contains("quorate restore"), "{said}");
    assert!(said.contains(&format!(".before-restore-{}", restore.digest.short())), "{said}");
    assert!(!said.contains("is older than"), "{said}");
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
        begun: None,
        since: None,
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
