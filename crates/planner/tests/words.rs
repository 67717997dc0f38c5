//! What people read: the run book, the summary, pictures and by-hand lines, and settings brought over in every place.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up shall fail")]

mod support;

use quorate_model::{
    Action, ConfigChange, ConfigFileSeen, ConfigSpan, FileForm, FileRewrite, Plan, ProcessSpec,
    ServiceSpec, Setting, SettingSource,
};
use quorate_packs::config_text::{self, FileState};
use quorate_planner::{PathRequest, Planned, digest, draw, path};
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

fn book() -> String {
    let mut world = world(3, "1.0.5");
    world.add_args("a", &["--verbose"]);
    world.cluster.policy.rewrite_config = true;
    world.book(keeper(), &planned(&world, "1.1.9"))
}

#[test]
fn the_run_book_is_made_of_commands_that_work_as_printed() {
    insta::assert_snapshot!("run_book", book());
}

#[test]
fn every_gate_of_the_plan_is_in_the_run_book() {
    let world = world(3, "1.0.5");
    let plan = planned(&world, "1.2.3");
    let book = world.book(keeper(), &plan);
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
    let Some(ServiceSpec::Process(ProcessSpec { argv, .. })) = change.service else {
        panic!("no service")
    };
    assert_eq!(argv, ["/opt/b/keeper", "--name", "b", "--port", "1", "--log=/var/k"]);
    assert_eq!(change.diff, ["- --journal /var/k", "+ --log=/var/k"]);
}

#[test]
fn a_variable_is_renamed_in_the_environment() {
    let mut world = world(3, "1.1.9");
    let Some(ServiceSpec::Process(ProcessSpec { env, .. })) = &mut world.cluster.nodes[0].service
    else {
        panic!("no service")
    };
    env.insert("KEEPER_JOURNAL".into(), "/var/j".into());
    env.insert("JOURNAL".into(), "of another program".into());
    world.cluster.policy.rewrite_config = true;
    let change = change(&planned(&world, "1.2.3"), "a", "1.2.3").unwrap();
    let Some(ServiceSpec::Process(ProcessSpec { env, .. })) = change.service else {
        panic!("no service")
    };
    assert_eq!(
        env.into_iter().collect::<Vec<_>>(),
        [
            ("JOURNAL".to_owned(), "of another program".to_owned()),
            ("KEEPER_LOG".to_owned(), "/var/j".to_owned())
        ]
    );
}

/// Member `a` reads its settings from this file, and the rest of the world is as it was.
fn with_file(at: &str, text: &str, by_hand: Option<&str>) -> World {
    let mut world = world(3, at);
    world.cluster.policy.rewrite_config = true;
    world.add_args("a", &["--config=/etc/keeper.yaml"]);
    let keys = ["journal", "log", "verbose", "strict"].into();
    let setting = |span: &ConfigSpan| Setting {
        source: SettingSource::File,
        key: span.key.clone(),
        value: span.text.split_once(':').unwrap().1.trim().to_owned(),
    };
    let spans = config_text::spans(text, &keys);
    let node = world.node("a");
    node.settings = spans.iter().map(setting).collect();
    node.config_file = Some(ConfigFileSeen {
        path: "/etc/keeper.yaml".into(),
        form: FileForm::Yaml,
        sha256: Some(config_text::sha256(text.as_bytes())),
        size_bytes: u64::try_from(text.len()).unwrap(),
        open_end: !text.ends_with('\n'),
        unread: None,
        spans: if by_hand.is_some() { Vec::new() } else { spans },
        by_hand: by_hand.map(str::to_owned),
    });
    world
}

/// The file after the plan's rewrite up to a release, and back again.
fn written(plan: &Plan, to: &str, text: &str) -> String {
    let change = change(plan, "a", to).unwrap();
    assert_eq!(change.service, None);
    let [file] = change.files.as_slice() else { panic!("{:?}", change.files) };
    let FileState::Before(after) = config_text::state(file, text.as_bytes()) else {
        panic!("not the file that was seen: {file:?}")
    };
    let back =
        FileRewrite { before: file.after.clone(), after: file.before.clone(), ..file.clone() };
    assert_eq!(
        config_text::state(&back, after.as_bytes()),
        FileState::Before(text.to_owned()),
        "the way back gives the old file again, byte for byte"
    );
    after
}

#[test]
fn a_key_is_renamed_in_a_file_and_the_rest_stays_as_written() {
    let text = "# ours\njournal: \"/var/j\"   # for audits\njournals:\n  - x\nname: a";
    let plan = planned(&with_file("1.1.9", text, None), "1.2.3");
    assert_eq!(
        written(&plan, "1.2.3", text),
        text.replace("journal: \"/var/j\"", "log: \"/var/j\""),
    );
    assert_eq!(
        change(&plan, "a", "1.2.3").unwrap().diff,
        ["- journal: \"/var/j\"", "+ log: \"/var/j\""]
    );
}

#[test]
fn a_plan_holds_nothing_of_a_file_but_the_lines_that_it_changes() {
    let text = "token: s3cret # s3cret\njournal: /j\n";
    let plan = planned(&with_file("1.1.9", text, None), "1.2.3");
    assert!(change(&plan, "a", "1.2.3").is_some());
    assert!(!serde_json::to_string(&plan).unwrap().contains("s3cret"));
}

#[test]
fn every_hop_starts_from_the_file_that_the_one_before_has_written() {
    let text = "verbose: true\njournal: /j\nport: 1";
    let mut world = with_file("1.0.5", text, None);
    world.seen.facts.insert("loose".into(), true.into());
    let plan = planned(&world, "1.2.3");
    let first = written(&plan, "1.1.9", text);
    assert_eq!(
        first, "journal: /j\nport: 1\nstrict: false\n",
        "added to the file, not to the flags"
    );
    assert_eq!(written(&plan, "1.2.3", &first), "log: /j\nport: 1\nstrict: false\n");
}

#[test]
fn a_flag_beside_a_file_is_taken_out_and_nothing_is_added_that_would_not_be_read() {
    let mut world = with_file("1.1.9", "port: 1\n", None);
    world.add_args("a", &["--journal=/var/j"]);
    let change = change(&planned(&world, "1.2.3"), "a", "1.2.3").unwrap();
    assert_eq!((change.diff, change.files), (vec!["- --journal=/var/j".to_owned()], Vec::new()));
}

#[test]
fn a_file_that_is_not_edited_by_lines_is_not_rewritten_blindly() {
    let world = with_file("1.1.9", "journal: /j\n", Some("its lines cannot be told apart"));
    let Planned::NotNow(refusal) = world.plan("1.2.3") else { panic!("planned") };
    let said = refusal.reasons[0].to_string();
    assert!(said.contains("by hand") && said.contains("/etc/keeper.yaml: its lines"), "{said}");
}

#[test]
fn a_file_that_nobody_could_read_refuses_the_hop_that_may_stumble_over_it() {
    let mut world = with_file("1.1.9", "", None);
    let file = world.node("a").config_file.as_mut().unwrap();
    (file.sha256, file.unread) = (None, Some("permission denied".into()));
    let Planned::NotNow(refusal) = world.plan("1.2.3") else { panic!("planned") };
    let said = refusal.reasons[0].to_string();
    assert!(said.contains("/etc/keeper.yaml: permission denied"), "{said}");
    assert!(refusal.ways_out[0].contains("readable"), "{:?}", refusal.ways_out);
    // The service names another file by now than the one that the process has read.
    world.node("a").config_file.as_mut().unwrap().path = "/etc/other.yaml".into();
    assert!(matches!(world.plan("1.2.3"), Planned::NotNow(_)));
}

#[test]
fn a_rewrite_of_one_hop_is_where_the_next_one_starts() {
    let mut world = world(3, "1.0.5");
    world.add_args("a", &["--verbose", "--journal=/var/j"]);
    world.cluster.policy.rewrite_config = true;
    let plan = planned(&world, "1.2.3");
    let Some(ServiceSpec::Process(ProcessSpec { argv, .. })) =
        change(&plan, "a", "1.2.3").unwrap().service
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
        convert: None,
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

#[test]
fn clients_that_move_beside_each_other_are_one_block_of_the_run_book() {
    let mut world = support::with_clients(world(3, "1.0.5"), 3);
    world.cluster.policy.client_wave = "2".parse().unwrap();
    let book = world.book(keeper(), &planned(&world, "1.1.9"));
    let own = book.split("### ").find(|part| part.starts_with("client 1 to 2")).unwrap();
    insta::assert_snapshot!(own);
}
