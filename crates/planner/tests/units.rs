//! Settings that a unit of systemd says: changed in the file that says them, or left to a person.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up shall fail")]

mod support;

use quorate_model::{
    Action, ConfigChange, ConfigFileSeen, FileForm, FileRewrite, Plan, ServiceSpec, Setting,
    SettingSource, SystemdSpec,
};
use quorate_packs::{
    config_text::{self, FileState},
    unit_text,
};
use quorate_planner::Planned;
use std::time::Duration;
use support::{World, release, world};

const DEFAULTS: &str = "/etc/default/keeper";
const UNIT: &str = "/etc/systemd/system/keeper.service";

/// Member `a` is a unit that reads this environment file; the rest of the world is as it was.
fn with_unit(at: &str, unit: &str, defaults: &str, running: &[(&str, &str)]) -> World {
    let mut world = world(3, at);
    world.cluster.policy.rewrite_config = true;
    world.cluster.nodes[0].service = Some(ServiceSpec::Systemd(SystemdSpec {
        unit: "keeper.service".into(),
        binary: "/usr/bin/keeper".into(),
        packages: Vec::new(),
        grace: Duration::from_secs(90),
    }));
    let says = unit_text::unit(&[unit]);
    let of_unit = says.said.into_iter().map(|(_, said)| said).collect();
    let node = world.node("a");
    node.unit_files = vec![
        seen(UNIT, FileForm::Unit, unit, of_unit),
        seen(
            DEFAULTS,
            FileForm::Environment,
            defaults,
            unit_text::environment(defaults, &says.expanded),
        ),
    ];
    let setting = |(key, value): &(&str, &str)| Setting {
        source: if key.starts_with('-') { SettingSource::Flag } else { SettingSource::Env },
        key: (*key).to_owned(),
        value: (*value).to_owned(),
    };
    node.settings = running.iter().map(setting).collect();
    world
}

fn seen(path: &str, form: FileForm, text: &str, said: Vec<unit_text::Said>) -> ConfigFileSeen {
    // As a look gives them: of what the pack speaks of alone.
    let own = said.into_iter().filter(|said| said.span.key != "TOKEN");
    let spans = own.map(|said| {
        let mut span = said.span;
        let bare = span.key.trim_start_matches('-').trim_start_matches("KEEPER_");
        span.key = bare.to_lowercase();
        span
    });
    ConfigFileSeen {
        path: path.into(),
        form,
        sha256: Some(config_text::sha256(text.as_bytes())),
        size_bytes: u64::try_from(text.len()).unwrap(),
        open_end: !text.ends_with('\n'),
        spans: spans.collect(),
        unread: None,
        by_hand: None,
    }
}

fn planned(world: &World, to: &str) -> Plan {
    match world.plan(to) {
        Planned::Ready(plan) => *plan,
        other => panic!("no plan: {other:?}"),
    }
}

fn change(plan: &Plan, to: &str) -> ConfigChange {
    let hop = plan.hops.iter().find(|hop| hop.to == release(to)).unwrap();
    let mut steps = hop.waves.iter().flat_map(|wave| &wave.steps);
    let change = steps.find_map(|step| match &step.action {
        Action::Swap { node, config, .. } if node.as_str() == "a" => config.clone(),
        _ => None,
    });
    change.unwrap()
}

/// A file after its rewrite; and back again, byte for byte.
fn written(change: &ConfigChange, path: &str, text: &str) -> String {
    let file = change.files.iter().find(|file| file.path == path).unwrap();
    let FileState::Before(after) = config_text::state(file, text.as_bytes()) else {
        panic!("not the file that was seen: {file:?}")
    };
    let back =
        FileRewrite { before: file.after.clone(), after: file.before.clone(), ..file.clone() };
    assert_eq!(config_text::state(&back, after.as_bytes()), FileState::Before(text.to_owned()));
    after
}

#[test]
fn flags_of_the_command_line_are_changed_word_by_word() {
    let unit = "[Service]\nExecStart=/usr/bin/keeper --name=a \\\n  --verbose \\\n  --journal /var/j\nRestart=always\n";
    let running = [("--name", "a"), ("--verbose", ""), ("--journal", "/var/j")];
    let plan = planned(&with_unit("1.0.5", unit, "", &running), "1.2.3");
    let first = change(&plan, "1.1.9");
    let after = written(&first, UNIT, unit);
    assert_eq!(first.diff, ["- --verbose"]);
    assert_eq!(after, unit.replace(" \\\n  --verbose", ""));
    let second = change(&plan, "1.2.3");
    assert_eq!(second.diff, ["- --journal /var/j", "+ --log=/var/j"]);
    assert_eq!(written(&second, UNIT, &after), after.replace("--journal /var/j", "--log=/var/j"));
    assert_eq!(quorate_checker::check(&plan), Vec::new());
}

#[test]
fn variables_and_expanded_flags_are_changed_in_the_environment_file() {
    let unit =
        "[Service]\nEnvironmentFile=-/etc/default/keeper\nExecStart=/usr/bin/keeper $KEEPER_ARGS\n";
    let defaults =
        "# ours\nKEEPER_JOURNAL=/var/j\nKEEPER_ARGS=\"--verbose --port=1\"\nTOKEN=s3cret\n";
    let running = [("--verbose", ""), ("--port", "1"), ("KEEPER_JOURNAL", "/var/j")];
    let plan = planned(&with_unit("1.0.5", unit, defaults, &running), "1.2.3");
    let after = written(&change(&plan, "1.1.9"), DEFAULTS, defaults);
    assert_eq!(after, defaults.replace("--verbose", ""));
    let change = change(&plan, "1.2.3");
    assert_eq!(change.diff, ["- KEEPER_JOURNAL=/var/j", "+ KEEPER_LOG=/var/j"]);
    assert_eq!(written(&change, DEFAULTS, &after), after.replace("KEEPER_JOURNAL", "KEEPER_LOG"));
    assert!(!serde_json::to_string(&plan).unwrap().contains("s3cret"));
}

#[test]
fn a_default_is_pinned_where_the_unit_says_its_other_settings() {
    let unit = "[Service]\nExecStart=/usr/bin/keeper --name=a\n[Install]\nWantedBy=x.target\n";
    let mut world = with_unit("1.0.5", unit, "", &[("--name", "a")]);
    world.seen.facts.insert("loose".into(), true.into());
    let after = written(&change(&planned(&world, "1.1.9"), "1.1.9"), UNIT, unit);
    assert_eq!(after, unit.replace("--name=a", "--name=a --strict=false"));
    let mut by_variables = with_unit("1.0.5", "", "KEEPER_NAME=a", &[("KEEPER_NAME", "a")]);
    by_variables.seen.facts.insert("loose".into(), true.into());
    let after =
        written(&change(&planned(&by_variables, "1.1.9"), "1.1.9"), DEFAULTS, "KEEPER_NAME=a");
    assert_eq!(after, "KEEPER_NAME=a\nKEEPER_STRICT=false\n");
}

#[test]
fn what_no_file_says_plainly_refuses_the_hop_and_names_the_unit() {
    let world = with_unit("1.1.9", "", "", &[("--journal", "/var/j")]);
    let Planned::NotNow(refusal) = world.plan("1.2.3") else { panic!("planned") };
    let said = refusal.reasons[0].to_string();
    assert!(said.contains("by hand") && said.contains("systemctl cat keeper.service"), "{said}");
    // A unit that its package replaces.
    let unit = "[Service]\nExecStart=/usr/bin/keeper --journal=/var/j\n";
    let mut world = with_unit("1.1.9", unit, "", &[("--journal", "/var/j")]);
    world.node("a").unit_files[0].by_hand = Some("it came with a package".into());
    let Planned::NotNow(refusal) = world.plan("1.2.3") else { panic!("planned") };
    let said = refusal.reasons[0].to_string();
    assert!(said.contains("keeper.service: it came with a package"), "{said}");
}
