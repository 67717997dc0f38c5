//! A rule that a rewrite of settings meets: refused while settings are people's, met by the plan where the policy allows it.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up shall fail")]

mod support;

use quorate_model::{
    Action, Blocked, ConfigChange, NotNow, Plan, ProcessSpec, ServiceSpec, Setting, SettingSource,
};
use quorate_packs::Packs;
use quorate_planner::{PlanRequest, Planned, plan};
use support::{World, release, world};

/// The pack of the other tests with a rule more: whoever is loose must go on being so.
fn planned(world: &World, to: &str) -> Planned {
    const RULE: &str = "  - id: K77
    from: 1.0.x
    to: 1.1.x
    verdict: condition
    condition: >-
      !has(cluster.loose) || !cluster.loose
      || nodes.all(n, 'strict' in n.settings && n.settings['strict'] == 'false')
    rewrites: [C4]
    risk: med
    text: strict must be off on every member
    because: loose clients are turned away
    way_out: set strict=false
    sources: [\"D:settings\"]
";
    let text = include_str!("support/keeper.yaml");
    let text = text.replacen("  - id: K02\n", &format!("{RULE}  - id: K02\n"), 1);
    let packs = Packs::load(&[("keeper.yaml".into(), text.clone())])
        .unwrap_or_else(|found| panic!("{}", quorate_syntax::render(&found, &text)));
    plan(&PlanRequest {
        cluster: &world.cluster,
        pack: packs.get(&"keeper".into()).unwrap(),
        observation: &world.seen,
        to: &release(to),
        artifacts: &world.artifacts,
        measured: &world.measured,
        now: support::now(),
        parent: None,
        state_files: &[],
        convert: None,
    })
}

fn loose(rewrite: bool) -> World {
    let mut world = world(3, "1.0.5");
    world.seen.facts.insert("loose".into(), true.into());
    world.cluster.policy.rewrite_config = rewrite;
    world
}

#[track_caller]
fn ready(planned: Planned) -> Plan {
    match planned {
        Planned::Ready(plan) => *plan,
        other => panic!("no plan: {other:?}"),
    }
}

fn changes(plan: &Plan) -> Vec<ConfigChange> {
    let steps = plan.hops.iter().flat_map(|hop| &hop.waves).flat_map(|wave| &wave.steps);
    steps
        .filter_map(|step| match &step.action {
            Action::Swap { config, .. } => config.clone(),
            _ => None,
        })
        .collect()
}

#[test]
fn refused_while_settings_are_peoples_and_the_way_out_says_how() {
    let Planned::NotNow(refusal) = planned(&loose(false), "1.1.9") else { panic!("planned") };
    let NotNow::Blocked(Blocked::NoPath { way_out, .. }) = &refusal.reasons[0] else {
        panic!("{refusal:?}")
    };
    let way_out = way_out.as_ref().unwrap();
    assert!(way_out.contains("--rewrite-config") && way_out.contains("strict=false"), "{way_out}");
}

#[test]
fn met_by_the_plan_where_it_may_rewrite_and_looked_at_when_all_have_moved() {
    let plan = ready(planned(&loose(true), "1.2.3"));
    let rule = plan.hops[0].rules.iter().find(|rule| rule.id == "K77").unwrap();
    assert_eq!(rule.rewrites, ["C4"]);
    let changes = changes(&plan);
    assert_eq!(changes.len(), 3, "every member of the first hop, nobody twice");
    assert!(changes.iter().all(|change| change.diff == ["+ --strict=false"]));
    let gates: Vec<&str> = plan.hops[0]
        .waves
        .iter()
        .flat_map(|wave| &wave.steps)
        .filter(|step| {
            let gate = step.gate.iter().flat_map(|gate| &gate.conditions);
            gate.into_iter().any(|condition| condition.name == "K77")
        })
        .map(|step| step.id.as_str())
        .collect();
    assert_eq!(gates, ["h1.complete.look"], "before that no member has the setting yet");
    assert_eq!(quorate_checker::check(&plan), Vec::new());
}

#[test]
fn added_where_the_member_takes_its_settings_from() {
    let mut world = loose(true);
    for node in &mut world.cluster.nodes {
        let Some(ServiceSpec::Process(ProcessSpec { argv, env, .. })) = &mut node.service else {
            panic!()
        };
        argv.truncate(1);
        env.insert("KEEPER_NAME".into(), node.name.to_string());
    }
    let changes = changes(&ready(planned(&world, "1.1.9")));
    assert!(changes.iter().all(|change| change.diff == ["+ KEEPER_STRICT=false"]), "{changes:?}");
    assert_eq!(changes.len(), 3);
}

#[test]
fn a_member_that_says_otherwise_itself_is_not_overruled() {
    let mut world = loose(true);
    world.add_args("b", &["--strict=true"]);
    world.node("b").settings =
        vec![Setting { source: SettingSource::Flag, key: "--strict".into(), value: "true".into() }];
    let Planned::NotNow(refusal) = planned(&world, "1.1.9") else { panic!("planned") };
    assert!(
        matches!(&refusal.reasons[0], NotNow::Blocked(Blocked::Condition { rule, .. }) if rule == "K77"),
        "{refusal:?}"
    );
}
