//! What people read: the run book, the summary, pictures and by-hand lines, and settings brought over in every place.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up shall fail")]

mod support;

use quorate_model::{Action, ConfigChange, Plan, ServiceSpec, Setting, SettingSource};
use quorate_planner::{
    PathRequest, Planned, digest, draw,
    explain::{self, RunBook},
    path,
};
use std::path::Path;
use support::{World, keeper, release, world};

fn planned(world: &World, to: &str) -> Plan {
    match world.plan(to) {
        Planned::Ready(plan) => *plan,
        other => panic!("no plan: {other:?}"),
    }
}

fn change(plan: &Plan, node: &str, to: &str) -> Option<ConfigChange> {
    let hop = plan.hops.iter().find(|hop| hop.to == release(to))?;
    hop.waves.iter().flat_map(|wave| &wave.steps).find_map(|step| match &step.action {
        Action::Swap { node: name, config, .. } if name.as_str() == node => config.clone(),
        _ => None,
    })
}

fn written(world: &World, plan: &Plan) -> String {
    let state_dir = Path::new("/srv/fleet/.quorate");
    explain::run_book(&RunBook { plan, pack: keeper(), cluster: &world.cluster, state_dir })
}

fn book() -> String {
    let mut world = world(3, "1.0.5");
    world.add_args("a", &["--verbose"]);
    world.cluster.policy.rewrite_config = true;
    written(&world, &planned(&world, "1.1.9"))
}

#[test]
fn the_run_book_is_made_of_commands_that_work_as_printed() {
    insta::assert_snapshot!("run_book", book());
}

#[test]
fn every_gate_of_the_plan_is_in_the_run_book() {
    let world = world(3, "1.0.5");
    let plan = planned(&world, "1.2.3");
    let book = written(&world, &plan);
    let gates = plan.hops.iter().flat_map(|hop| &hop.waves).flat_map(|wave| &wave.steps);
    let gates: Vec<_> = gates.filter_map(|step| step.gate.as_ref()).collect();
    for condition in gates.iter().flat_map(|gate| &gate.conditions) {
        let asked = format!("not_yet='{}'", condition.text.replace('\'', r"'\''"));
        assert!(book.contains(&asked), "{asked}");
    }
    assert_eq!(book.matches("gate after ").count(), gates.len(), "each gate is waited for");
}

#[test]
fn the_same_plan_reads_the_same() {
    assert_eq!(book(), book());
}

#[test]
fn a_flag_with_its_value_apart_is_renamed() {
    let mut world = world(3, "1.1.9");
    world.add_args("b", &["--journal", "/var/k", "--port", "1"]);
    world.cluster.policy.rewrite_config = true;
    let change = change(&planned(&world, "1.2.3"), "b", "1.2.3").unwrap();
    let Some(ServiceSpec::Process { argv, .. }) = change.service else { panic!("no service") };
    assert_eq!(argv, ["/opt/b/keeper", "--name", "b", "--port", "1", "--log=/var/k"]);
    assert_eq!(change.diff, ["- --journal /var/k", "+ --log=/var/k"]);
}

#[test]
fn a_variable_is_renamed_in_the_environment() {
    let mut world = world(3, "1.1.9");
    let Some(ServiceSpec::Process { env, .. }) = &mut world.cluster.nodes[0].service else {
        panic!("no service")
    };
    env.insert("KEEPER_JOURNAL".into(), "/var/j".into());
    env.insert("JOURNAL".into(), "of another program".into());
    world.cluster.policy.rewrite_config = true;
    let change = change(&planned(&world, "1.2.3"), "a", "1.2.3").unwrap();
    let Some(ServiceSpec::Process { env, .. }) = change.service else { panic!("no service") };
    assert_eq!(
        env.into_iter().collect::<Vec<_>>(),
        [
            ("JOURNAL".to_owned(), "of another program".to_owned()),
            ("KEEPER_LOG".to_owned(), "/var/j".to_owned())
        ]
    );
}

/// A member that reads its settings from a file whose content was seen.
fn with_file(text: Option<&str>) -> World {
    let mut world = world(3, "1.1.9");
    world.cluster.policy.rewrite_config = true;
    let node = world.node("a");
    node.settings = vec![Setting {
        source: SettingSource::File,
        key: "journal".into(),
        value: "/var/j".into(),
    }];
    node.facts.insert("config_file".into(), "/etc/keeper.yaml".into());
    if let Some(text) = text {
        node.facts.insert("config_text".into(), text.into());
    }
    world
}

#[test]
fn a_key_is_renamed_in_a_file_and_the_rest_stays_as_written() {
    let before = "# ours\njournal: /var/j\njournals:\n  - x\nname: a";
    let change = change(&planned(&with_file(Some(before)), "1.2.3"), "a", "1.2.3").unwrap();
    assert_eq!(change.service, None);
    let [file] = change.files.as_slice() else { panic!("{:?}", change.files) };
    assert_eq!(file.content, "# ours\njournals:\n  - x\nname: a\nlog: /var/j\n");
    assert_eq!(file.expect_sha256, digest::text_digest(before));
}

#[test]
fn a_file_that_was_not_seen_is_not_rewritten_blindly() {
    assert!(matches!(with_file(None).plan("1.2.3"), Planned::NotNow(_)));
}

#[test]
fn a_rewrite_of_one_hop_is_where_the_next_one_starts() {
    let mut world = world(3, "1.0.5");
    world.add_args("a", &["--verbose", "--journal=/var/j"]);
    world.cluster.policy.rewrite_config = true;
    let plan = planned(&world, "1.2.3");
    let Some(ServiceSpec::Process { argv, .. }) = change(&plan, "a", "1.2.3").unwrap().service
    else {
        panic!()
    };
    assert_eq!(argv, ["/opt/a/keeper", "--name", "a", "--log=/var/j"]);
    assert_eq!(change(&plan, "b", "1.2.3"), None);
}

#[test]
fn a_setting_that_only_the_running_process_has_harms_nothing() {
    let mut world = world(3, "1.0.5");
    world.node("a").settings = vec![Setting {
        source: SettingSource::Flag,
        key: "--verbose".into(),
        value: String::new(),
    }];
    let plan = planned(&world, "1.1.9");
    assert!(plan.config_findings.iter().any(|found| found.setting == "--verbose" && !found.fatal));
}

#[test]
fn who_is_proved_to_rely_on_an_old_default_gets_it_written_down() {
    let mut world = world(3, "1.0.5");
    world.cluster.policy.rewrite_config = true;
    assert_eq!(
        change(&planned(&world, "1.1.9"), "a", "1.1.9"),
        None,
        "it was not seen who relies on it"
    );
    world.seen.facts.insert("loose".into(), true.into());
    let change = change(&planned(&world, "1.1.9"), "a", "1.1.9").unwrap();
    assert_eq!(change.diff, ["+ --strict=false"]);
}

#[test]
fn a_backup_never_takes_the_name_of_an_older_one() {
    let world = world(3, "1.0.5");
    let to = release("1.1.9");
    let taken = ["backups/demo/20260102T030405-1.0.5-dump.dump".to_owned()];
    let planned = quorate_planner::plan(&quorate_planner::PlanRequest {
        cluster: &world.cluster,
        pack: keeper(),
        observation: &world.seen,
        to: &to,
        artifacts: &world.artifacts,
        measured: &world.measured,
        now: support::now(),
        parent: None,
        state_files: &taken,
    });
    let Planned::Ready(plan) = planned else { panic!("no plan") };
    let steps = plan.hops.iter().flat_map(|hop| &hop.waves).flat_map(|wave| &wave.steps);
    let file = steps.into_iter().find_map(|step| match &step.action {
        Action::Backup { backup } => Some(backup.file.clone()),
        _ => None,
    });
    assert_eq!(file.as_deref(), Some("backups/demo/20260102T030405-1.0.5-dump-2.dump"));
}

#[test]
fn what_was_measured_goes_before_what_the_pack_expects() {
    let mut world = world(3, "1.2.0");
    let expected = planned(&world, "1.2.3").estimate;
    world.measured.insert("rejoin".into(), 33.0);
    assert_eq!(planned(&world, "1.2.3").estimate, expected + std::time::Duration::from_secs(90));
    world.measured.insert("rejoin".into(), f64::NAN);
    assert!(
        planned(&world, "1.2.3").estimate > expected,
        "what is no number is left to the default"
    );
}

#[test]
fn a_plan_is_named_by_what_it_holds() {
    let mut plan = planned(&world(3, "1.0.5"), "1.1.9");
    assert_eq!(digest::plan_digest(&plan), plan.digest);
    let read_again: Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
    assert_eq!(digest::plan_digest(&read_again), plan.digest);
    plan.hops[0].waves[0].steps[0].title.push('!');
    assert_ne!(digest::plan_digest(&plan), plan.digest);
}

#[test]
fn the_pictures_show_the_way_and_what_was_refused() {
    let (from, to) = (release("1.0.5"), release("1.2.3"));
    let answer = path(keeper(), &PathRequest::on_paper(&from, &to));
    insta::assert_snapshot!("dot", draw::dot(keeper(), &answer));
    insta::assert_snapshot!("mermaid", draw::mermaid(keeper(), &answer));
    insta::assert_snapshot!("svg", draw::svg(keeper(), &answer));
}

#[test]
fn the_path_is_written_as_others_read_it() {
    let (from, to) = (release("1.1.9"), release("1.2.3"));
    let answer = path(keeper(), &PathRequest::on_paper(&from, &to));
    let json = serde_json::to_value(&answer).unwrap();
    assert_eq!(json["schema"], 1);
    assert_eq!(json["outcome"], "path");
    assert_eq!(json["hops"][0]["kind"], "rolling");
    assert_eq!(json["hops"][0]["risk"], "high");
    assert_eq!(json["hops"][0]["one_way"], "last-member");
    assert_eq!(json["hops"][0]["rules"][1]["verdict"], "condition");
    for field in ["id", "verdict", "text", "because"] {
        assert!(json["hops"][0]["rules"][0][field].is_string(), "{field}");
    }
}
