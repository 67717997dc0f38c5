//! Members started anew on their release: with other settings, or as they are. Each plan is proved as an upgrade is.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod support;

use quorate_model::{Action, Plan, PlanKind, ServiceSpec, Setting, SettingSource, StepRole};
use quorate_packs::{Pack, Packs};
use quorate_planner::{Planned, RestartRequest, restart};
use std::{collections::BTreeMap, sync::Arc};
use support::{World, now, release, world};

const CHANGES: &str = r#"
setting_changes:
  - id: to-wire-2
    key: wire
    value: "2"
    releases: "1.x"
    groups: [server]
    condition: cluster.voters >= 3
    seen: "'wire' in node.settings && node.settings['wire'] == '2'"
    risk: high
    one_way: last-member
    text: three voters or more go to wire 2
    because: fewer elect nobody
    way_out: add voters
    sources: ["D:wire"]
"#;

fn pack() -> Arc<Pack> {
    let text = format!("{}{CHANGES}", include_str!("support/keeper.yaml"));
    let packs = Packs::load(&[("keeper.yaml".to_owned(), text)]).unwrap();
    packs.shared(&"keeper".into()).unwrap()
}

fn planned(world: &World, set: &[(&str, &str)]) -> Planned {
    let set: BTreeMap<String, String> =
        set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    restart(&RestartRequest {
        cluster: &world.cluster,
        pack: &pack(),
        observation: &world.seen,
        artifacts: &world.artifacts,
        measured: &world.measured,
        now: now(),
        state_files: &[],
        set: &set,
        unset: &[],
    })
}

/// The plan, which proves, and the members in the order in which they stop.
fn ready(world: &World, set: &[(&str, &str)]) -> (Plan, Vec<String>) {
    let Planned::Ready(plan) = planned(world, set) else { panic!("{:?}", planned(world, set)) };
    assert_eq!(quorate_checker::check(&plan), Vec::new());
    let steps = plan.hops.iter().flat_map(|hop| &hop.waves).flat_map(|wave| &wave.steps);
    let order = steps.filter_map(|step| match &step.action {
        Action::Stop { node } => Some(node.to_string()),
        _ => None,
    });
    let order = order.collect();
    (*plan, order)
}

fn refused(world: &World, set: &[(&str, &str)], says: &str) {
    let Planned::NotNow(refusal) = planned(world, set) else { panic!("{says}: it is planned") };
    let all: Vec<String> = refusal.reasons.iter().map(ToString::to_string).collect();
    assert!(all.iter().any(|reason| reason.contains(says)), "{says}: {all:?}");
}

#[test]
fn a_setting_goes_to_every_member_behind_a_copy_and_a_yes() {
    let (plan, order) = ready(&world(3, "1.1.9"), &[("wire", "2")]);
    assert_eq!(
        (plan.kind, &plan.from, &plan.to),
        (PlanKind::Restart, &release("1.1.9"), &plan.from)
    );
    assert_eq!(order, ["a", "b", "c"], "the leader goes last");
    let steps: Vec<_> =
        plan.hops.iter().flat_map(|hop| &hop.waves).flat_map(|wave| &wave.steps).collect();
    let has = |role| steps.iter().any(|step| step.role == role);
    assert!(has(StepRole::Backup) && has(StepRole::Verify) && has(StepRole::Go));
    for step in steps.iter().filter(|step| step.role == StepRole::Swap) {
        let Action::Swap { config: Some(config), .. } = &step.action else { panic!("{step:?}") };
        assert_eq!(config.diff, ["+ --wire=2"]);
    }
    for step in steps.iter().filter(|step| step.role == StepRole::Rejoin) {
        let gate = step.gate.as_ref().unwrap();
        assert!(gate.conditions.iter().any(|one| one.name == "to-wire-2"), "it is seen: {gate:?}");
    }
}

#[test]
fn who_runs_with_it_already_is_left_alone() {
    let mut world = world(3, "1.1.9");
    let flag = "--wire=2".to_owned();
    for node in world.cluster.nodes.iter_mut().filter(|node| node.name.as_str() != "b") {
        let Some(ServiceSpec::Process(service)) = &mut node.service else { panic!("a process") };
        service.argv.push(flag.clone());
    }
    for name in ["a", "c"] {
        let setting =
            Setting { source: SettingSource::Flag, key: "--wire".into(), value: "2".into() };
        world.node(name).settings = vec![setting];
    }
    assert_eq!(ready(&world, &[("wire", "2")]).1, ["b"]);
    // Told to its service, and not yet started with it.
    world.node("a").settings.clear();
    assert_eq!(ready(&world, &[("wire", "2")]).1, ["a", "b"]);
}

#[test]
fn what_the_pack_does_not_speak_of_is_refused() {
    let three = world(3, "1.1.9");
    refused(&three, &[("wire", "3")], "of wire the pack knows `2` on 1.x");
    refused(&three, &[("cache", "1")], "does not speak of cache");
    refused(&world(3, "2.0.0"), &[("wire", "2")], "may be `2` on 2.0.0");
    refused(&world(1, "1.1.9"), &[("wire", "2")], "three voters or more");
    let mut mixed = three;
    mixed.node("a").release = Some(release("1.2.3"));
    refused(&mixed, &[("wire", "2")], "1.2.3");
}

#[test]
fn everybody_is_installed_anew_where_nothing_is_set() {
    let (plan, order) = ready(&world(3, "1.1.9"), &[]);
    assert_eq!((order.len(), plan.hops[0].rules.len()), (3, 0));
    let mut away = plan;
    away.hops[0].to = release("1.2.3");
    let found = quorate_checker::check(&away);
    assert!(found.iter().any(|one| one.to_string().contains("stays on its release")), "{found:?}");
}
