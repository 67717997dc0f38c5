//! Data that change form on the way: where on the path, in which order, and how one goes back.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up shall fail")]

mod support;

use quorate_checker::{Invariant, check};
use quorate_model::{
    Action, Blocked, Dependant, Digest, HopKind, Host, HostAct, NotNow, Plan, PlanKind, Release,
    Runs, Step, StepId, StepRole,
};
use quorate_packs::{Pack, Packs};
use quorate_planner::{
    PathOutcome, PathRequest, PlanRequest, Planned, RollbackRequest, digest::plan_digest, path,
    plan, rollback,
};
use std::{collections::BTreeSet, sync::LazyLock, time::Duration};
use support::{World, now, release, world};

/// What the keeper would say of it: before 1.2 its tables become trees, and nothing of 1.0 can do that.
const RULE: &str = r#"rules:
  - id: K50
    from: "1.1.x"
    to: "1.2.x"
    verdict: condition
    condition: "!cluster.tables && !(has(cluster.needs) && 'tables' in cluster.needs)"
    risk: high
    text: 1.2 knows no tables
    because: they are gone
    way_out: plan with `--convert trees`
    sources: ["D:format"]
"#;
const CONVERSION: &str = r#"  conversions:
    trees:
      title: the tables become trees
      releases: ">=1.1 <1.3"
      before: ">=1.2"
      when: cluster.tables
      ends: [tables]
      gives: { tables: false }
      checks:
        - title: see that there is no tree
          call: { http: { method: GET, url: "{{ endpoints.client }}/trees" } }
          by_hand: keeperctl trees
          limit_secs: 10
          because: trees of the same name would be lost
      settled:
        title: see that nobody writes
        call: { http: { method: GET, url: "{{ endpoints.client }}/writes" } }
        by_hand: keeperctl writes
        limit_secs: 10
        because: a late write would be lost
      copy:
        kind: cold
        save: { command: { argv: [cp, "{{ node.data_dir }}", "{{ file }}"] } }
        by_hand: cp it
        limit_secs: 60
      converted:
        kind: grown
        releases: any
        save: { command: { argv: ["{artifact}/keeper", grow, "{{ source }}", "{{ file }}"] } }
        verify: { command: { argv: ["{artifact}/keeper", verify, "{{ file }}"] } }
        restore: { command: { argv: ["{artifact}/keeper", restore, "{{ file }}", "{{ node.name }}"] } }
        by_hand: keeper grow
        restore_by_hand: keeper restore
        limit_secs: 60
        sources: ["D:format"]
      back:
        kind: trees-since
        save: { command: { argv: [keeperctl, since, "{{ source }}", "{{ file }}"] } }
        put: { command: { argv: [keeperctl, put, "{{ file }}"] } }
        by_hand: keeperctl since
        put_by_hand: keeperctl put
        limit_secs: 60
      loses: [the order of rows]
      because: 1.2 reads trees alone
      sources: ["D:format"]
"#;

static PACKS: LazyLock<Packs> = LazyLock::new(|| {
    let text = include_str!("support/keeper.yaml")
        .replacen("rules:\n", RULE, 1)
        .replacen("assumptions:\n", "needs: { tables: its tables }\nassumptions:\n", 1)
        .replacen("  backups:\n", &format!("{CONVERSION}  backups:\n"), 1);
    Packs::load(&[("keeper.yaml".into(), text.clone())])
        .unwrap_or_else(|found| panic!("{}", quorate_syntax::render(&found, &text)))
});

fn pack() -> &'static Pack {
    PACKS.get(&"keeper".into()).unwrap()
}

fn with_tables(at: &str) -> World {
    let mut world = world(3, at);
    world.seen.facts.insert("tables".into(), true.into());
    world.cluster.policy.allow_outage = true;
    world
}

fn act(run: &str) -> HostAct {
    HostAct { run: run.into(), seen: format!("seen {run}"), limit: Duration::from_secs(20) }
}

fn application(switches: bool) -> Dependant {
    Dependant {
        name: "shop".into(),
        version: None,
        needs: vec!["tables".into()],
        works_with: None,
        requires: Vec::new(),
        runs: Some(Runs {
            hosts: vec![Host::Local],
            stop: act("stop it"),
            start: act("start it"),
            switch: switches.then(|| act("switch it")),
            switch_back: switches.then(|| act("switch it back")),
        }),
    }
}

fn with_application(mut world: World, switches: bool) -> World {
    world.cluster.dependants = vec![application(switches)];
    world.seen.facts.insert("needs".into(), serde_json::json!(["tables"]));
    world
}

fn planned(world: &World, to: &str, convert: Option<&str>) -> Planned {
    plan(&PlanRequest {
        cluster: &world.cluster,
        pack: pack(),
        observation: &world.seen,
        to: &release(to),
        artifacts: &world.artifacts,
        measured: &world.measured,
        now: now(),
        parent: None,
        state_files: &[],
        convert,
    })
}

fn ready(planned: Planned) -> Plan {
    match planned {
        Planned::Ready(plan) => *plan,
        other => panic!("no plan: {other:?}"),
    }
}

#[track_caller]
fn refused(planned: Planned) -> String {
    let Planned::NotNow(refusal) = planned else { panic!("there is a plan") };
    format!("{refusal:?}")
}

fn hops(plan: &Plan) -> Vec<(String, String, HopKind)> {
    let of = |hop: &quorate_model::Hop| (hop.from.to_string(), hop.to.to_string(), hop.kind);
    plan.hops.iter().map(of).collect()
}

fn steps(plan: &Plan) -> Vec<&Step> {
    plan.hops.iter().flat_map(|hop| &hop.waves).flat_map(|wave| &wave.steps).collect()
}

fn kinds(of: &[(&str, &str, HopKind)]) -> Vec<(String, String, HopKind)> {
    of.iter().map(|(from, to, kind)| ((*from).into(), (*to).into(), *kind)).collect()
}

#[test]
fn a_path_leads_through_it_on_the_last_release_before_those_that_want_it() {
    let world = with_tables("1.0.5");
    let plan = ready(planned(&world, "1.3.1", Some("trees")));
    let [rolling, offline] = [HopKind::Rolling, HopKind::Offline];
    let wanted = [
        ("1.0.5", "1.1.9", rolling),
        ("1.1.9", "1.1.9", offline),
        ("1.1.9", "1.2.3", rolling),
        ("1.2.3", "1.3.1", rolling),
    ];
    assert_eq!(hops(&plan), kinds(&wanted));
    assert_eq!(check(&plan), []);
    assert!(!plan.outage.is_zero());
    // And at once where the releases that want it are reached already.
    let plan = ready(planned(&with_tables("1.2.3"), "1.3.1", Some("trees")));
    assert_eq!(hops(&plan)[0], ("1.2.3".into(), "1.2.3".into(), offline));
    // And alone, where no other release is asked for.
    let plan = ready(planned(&with_tables("1.1.9"), "1.1.9", Some("trees")));
    assert_eq!(hops(&plan), kinds(&[("1.1.9", "1.1.9", offline)]));
    assert_eq!(check(&plan), []);
}

#[test]
fn on_paper_the_hops_after_it_are_judged_by_what_it_leaves() {
    let (from, to): (Release, Release) = (release("1.0.5"), release("1.3.1"));
    let facts = [("tables", true), ("auth", false), ("old_format", false)];
    let facts = facts.map(|(name, value)| (name.to_owned(), value.into()));
    let ask = PathRequest { facts: facts.into(), ..PathRequest::on_paper(&from, &to) };
    let without = path(pack(), &ask);
    assert_eq!(without.outcome, PathOutcome::Blocked);
    assert!(without.ways_out.iter().any(|way| way.contains("--convert trees")), "{without:?}");
    let with = path(pack(), &PathRequest { convert: Some("trees"), ..ask });
    let kinds: Vec<_> = with.hops.iter().map(|hop| hop.kind).collect();
    let [rolling, offline] = [HopKind::Rolling, HopKind::Offline];
    assert_eq!(kinds, [rolling, offline, rolling, rolling]);
    assert_eq!(with.hops[1].conversion.as_deref(), Some("trees"));
}

#[test]
fn it_is_refused_where_it_has_no_point_or_no_way() {
    let nothing = world(3, "1.1.9");
    let mut nothing = World { cluster: with_tables("1.1.9").cluster, ..nothing };
    nothing.seen.facts.insert("tables".into(), false.into());
    assert!(refused(planned(&nothing, "1.2.3", Some("trees"))).contains("nothing left"));
    let some = with_tables("1.1.9");
    assert!(refused(planned(&some, "1.2.3", Some("bushes"))).contains("it knows trees"));
    assert!(refused(planned(&some, "1.2.3", None)).contains("--convert trees"));
    let early = with_tables("1.0.0");
    assert!(refused(planned(&early, "1.0.5", Some("trees"))).contains("no release of the way"));
    let mut down = with_tables("1.1.9");
    down.down("b");
    assert!(refused(planned(&down, "1.1.9", Some("trees"))).contains("b does not"));
    let mut no_outage = with_tables("1.1.9");
    no_outage.cluster.policy.allow_outage = false;
    let said = refused(planned(&no_outage, "1.1.9", Some("trees")));
    assert!(said.contains("allow_outage") && !said.contains("add members"), "{said}");
    let unswitched = with_application(with_tables("1.1.9"), false);
    let said = refused(planned(&unswitched, "1.2.3", Some("trees")));
    assert!(said.contains("shop needs tables") && said.contains("runs.switch"), "{said}");
}

#[test]
fn everything_stands_still_while_one_copy_is_converted_for_all() {
    let world = with_application(with_tables("1.1.9"), true);
    let plan = ready(planned(&world, "1.2.3", Some("trees")));
    assert_eq!(check(&plan), []);
    let mut roles: Vec<StepRole> =
        plan.hops[0].waves.iter().flat_map(|wave| &wave.steps).map(|step| step.role).collect();
    roles.dedup();
    use StepRole::*;
    let wanted = [
        Precheck,
        Stage,
        Precheck,
        Backup,
        Verify,
        Go,
        DependantStop,
        Precheck,
        Stop,
        Backup,
        Verify,
        Restore,
        Start,
        Rejoin,
        Verify,
        DependantSwitch,
        DependantStart,
        HopComplete,
        Go,
        Finalize,
    ];
    assert_eq!(roles, wanted);
    // Whoever stops last is copied, and what comes out goes onto everybody.
    let stops: Vec<_> = steps(&plan).into_iter().filter(|step| step.role == Stop).collect();
    let copies: Vec<_> = steps(&plan)
        .into_iter()
        .filter_map(|step| match &step.action {
            Action::Backup { backup } if backup.kind != "dump" => Some(backup),
            _ => None,
        })
        .collect();
    assert_eq!(copies[0].node, *stops[2].node.as_ref().unwrap());
    assert_eq!(copies[1].made_of.as_ref(), Some(&copies[0].file));
    assert_eq!(steps(&plan).iter().filter(|step| step.role == Restore).count(), 3);
    // The question names what it costs, and the data of before go only after another one.
    let texts: Vec<_> = steps(&plan)
        .into_iter()
        .filter_map(|step| match &step.action {
            Action::Confirm { text, .. } => Some(text.clone()),
            _ => None,
        })
        .collect();
    assert!(texts[0].contains("The order of rows"), "{texts:?}");
    assert!(texts[1].contains("are deleted"), "{texts:?}");
}

/// A member that got its data from a copy is another one to the cluster: its id is asked for when it is said.
#[test]
fn later_hops_ask_for_the_ids_that_members_have_by_then() {
    let plan = ready(planned(&with_tables("1.1.9"), "1.2.3", Some("trees")));
    let bodies: Vec<String> = steps(&plan)
        .into_iter()
        .filter(|step| step.role == StepRole::Handover)
        .filter_map(|step| match &step.action {
            Action::Call { call } => serde_json::to_string(&call.call).ok(),
            _ => None,
        })
        .collect();
    assert!(!bodies.is_empty());
    assert!(bodies.iter().all(|body| body.contains("{member:")), "{bodies:?}");
    let before = ready(planned(&with_tables("1.0.5"), "1.1.9", None));
    assert!(!format!("{before:?}").contains("{member:"));
}

/// Two hops start from one release: the copy of the first one is not that of the second.
#[test]
fn no_copy_has_the_name_of_another() {
    let plan = ready(planned(&with_tables("1.1.9"), "1.2.3", Some("trees")));
    let files = |plan: &Plan| -> Vec<String> {
        let steps = steps(plan).into_iter();
        let files = steps.filter_map(|step| match &step.action {
            Action::Backup { backup } => Some(backup.file.clone()),
            _ => None,
        });
        files.collect()
    };
    let all = files(&plan);
    assert!(all.len() >= 4, "{all:?}");
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{all:?}");
    let mut twice = plan.clone();
    for step in
        twice.hops.iter_mut().flat_map(|hop| &mut hop.waves).flat_map(|wave| &mut wave.steps)
    {
        if let Action::Backup { backup } | Action::Verify { backup } = &mut step.action {
            backup.file.clone_from(&all[0]);
        }
    }
    twice.digest = plan_digest(&twice);
    assert!(check(&twice).iter().any(|one| one.text.contains("another copy is kept as")));
}

#[test]
fn the_proof_misses_nothing_of_it() {
    let world = with_application(with_tables("1.1.9"), true);
    let plan = ready(planned(&world, "1.1.9", Some("trees")));
    let broken = |change: &dyn Fn(&mut Plan)| {
        let mut plan = plan.clone();
        change(&mut plan);
        plan.digest = plan_digest(&plan);
        let found: Vec<_> = check(&plan).into_iter().map(|one| one.invariant).collect();
        found
    };
    let without = |role: StepRole| {
        broken(&|plan: &mut Plan| {
            for wave in plan.hops.iter_mut().flat_map(|hop| &mut hop.waves) {
                wave.steps.retain(|step| step.role != role);
            }
        })
    };
    assert!(without(StepRole::DependantSwitch).contains(&Invariant::S12), "not told where");
    assert!(without(StepRole::DependantStop).contains(&Invariant::S12), "runs on");
    assert!(without(StepRole::Restore).contains(&Invariant::S9), "keeps its own data");
    assert!(without(StepRole::Backup).contains(&Invariant::S6), "no copy");
    assert!(without(StepRole::Go).contains(&Invariant::S1), "nobody was asked");
    let unproved = broken(&|plan: &mut Plan| {
        for wave in plan.hops.iter_mut().flat_map(|hop| &mut hop.waves) {
            wave.steps.retain(|step| !step.id.as_str().contains("proof"));
        }
    });
    assert!(unproved.contains(&Invariant::S12) && unproved.contains(&Invariant::S4));
    let uncleared = broken(&|plan: &mut Plan| {
        for wave in plan.hops.iter_mut().flat_map(|hop| &mut hop.waves) {
            wave.steps.retain(|step| !step.id.as_str().ends_with("clear.confirm"));
        }
    });
    assert!(uncleared.contains(&Invariant::S10), "nobody said that they may go");
    let elsewhere = broken(&|plan: &mut Plan| plan.hops[0].to = release("1.2.3"));
    assert!(elsewhere.contains(&Invariant::S5));
}

fn back(world: &World, plan: &Plan, begun: &BTreeSet<StepId>, since: Option<&str>) -> Planned {
    rollback(&RollbackRequest {
        plan,
        cluster: &world.cluster,
        pack: pack(),
        observation: &world.seen,
        artifacts: &world.artifacts,
        backups: &[],
        begun: Some(begun),
        since,
        measured: &world.measured,
        now: now(),
    })
}

fn until(plan: &Plan, role: StepRole) -> BTreeSet<StepId> {
    let own: Vec<&Step> = plan.hops[0].waves.iter().flat_map(|wave| &wave.steps).collect();
    let last = own.iter().rposition(|step| step.role == role).unwrap();
    own[..=last].iter().map(|step| step.id.clone()).collect()
}

#[test]
fn the_way_back_brings_everybodys_own_data_back() {
    use StepRole::*;
    let mut world = with_application(with_tables("1.1.9"), true);
    let plan = ready(planned(&world, "1.2.3", Some("trees")));
    // Halted while members stood still.
    for name in ["a", "b", "c"] {
        world.down(name).disk_release = Some(release("1.1.9"));
    }
    let early = ready(back(&world, &plan, &until(&plan, Restore), None));
    assert_eq!(check(&early), []);
    assert_eq!(
        (early.kind, early.parent.as_ref()),
        (PlanKind::RollbackRestore, Some(&plan.digest))
    );
    assert_eq!(early.losses, Vec::<String>::new(), "nobody wrote meanwhile");
    let mut roles: Vec<_> = steps(&early).into_iter().map(|step| step.role).collect();
    roles.dedup();
    let wanted = [
        Go,
        DependantStop,
        Stop,
        Restore,
        Start,
        Rejoin,
        Verify,
        DependantSwitch,
        DependantStart,
        HopComplete,
    ];
    assert_eq!(roles, wanted);
    let brought = |step: &&&Step| matches!(step.action, Action::BringBack { .. });
    assert_eq!(steps(&early).iter().filter(brought).count(), 3);
    let switch = steps(&early).into_iter().find_map(|step| match &step.action {
        Action::Switch { act, .. } => Some(act.run.clone()),
        _ => None,
    });
    assert_eq!(switch.as_deref(), Some("switch it back"));
}

#[test]
fn what_was_written_since_is_named_and_what_was_cleared_does_not_come_back() {
    let mut world = with_application(with_tables("1.1.9"), true);
    let plan = ready(planned(&world, "1.2.3", Some("trees")));
    world.seen.facts.insert("tables".into(), false.into());
    let begun = until(&plan, StepRole::DependantStart);
    let said = "2 written, 1 deleted since; 1 key that no row can hold (x)";
    let late = ready(back(&world, &plan, &begun, Some(said)));
    assert_eq!(late.losses, ["1 key that no row can hold (x)"]);
    assert_eq!(check(&late), []);
    // It is read once applications stand still, and written once the members are back.
    let place =
        |part: &str| steps(&late).iter().position(|step| step.id.as_str().contains(part)).unwrap();
    let order = [
        "applications-stop",
        "since.",
        ".stop",
        ".bring-back",
        "proof.",
        "write-back.",
        "applications-start",
    ];
    assert!(order.map(place).is_sorted());
    assert!(
        matches!(&steps(&late)[place("since.")].action, Action::Backup { backup } if backup.kind == "trees-since")
    );
    // Where nobody serves nobody can tell what was written.
    let mut silent = world.clone();
    for name in ["a", "b", "c"] {
        silent.down(name).disk_release = Some(release("1.1.9"));
    }
    let said = refused(back(&silent, &plan, &begun, None));
    assert!(said.contains("written since"), "{said}");
    let cleared = back(&world, &plan, &until(&plan, StepRole::Finalize), None);
    let Planned::NotNow(refusal) = cleared else { panic!("there is nothing to bring back") };
    let NotNow::Blocked(Blocked::Condition { because, .. }) = &refusal.reasons[0] else { panic!() };
    assert!(because.contains("cleared"));
    // Everybody serves with the data of before: there is nothing to go back from.
    world.seen.facts.insert("tables".into(), true.into());
    let nothing = back(&world, &plan, &until(&plan, StepRole::Stop), None);
    assert!(matches!(nothing, Planned::NothingToDo { .. }), "{nothing:?}");
    let _ = Digest::new("");
}

/// Whatever the first run wrote down: members that run with the data of before hold nothing of a time since, and all that the
/// conversion listed would be taken for deleted.
#[test]
fn nothing_is_asked_of_members_that_have_gone_back_already() {
    let mut world = with_application(with_tables("1.1.9"), true);
    world.seen.facts.insert("cluster_id".into(), "before".into());
    let plan = ready(planned(&world, "1.2.3", Some("trees")));
    let begun = until(&plan, StepRole::DependantStart);
    world.down("b").disk_release = Some(release("1.1.9"));
    let again = ready(back(&world, &plan, &begun, None));
    assert!(!steps(&again).iter().any(|step| step.id.as_str().contains("write-back")));
    world.seen.facts.insert("cluster_id".into(), "converted".into());
    world.seen.facts.insert("tables".into(), false.into());
    let first = ready(back(&world, &plan, &begun, Some("1 written, 2 deleted since")));
    let told = steps(&first).into_iter().find_map(|step| match &step.action {
        Action::Confirm { text, .. } => Some(text.clone()),
        _ => None,
    });
    assert!(told.unwrap().contains("1 written, 2 deleted since: that is written again"));
}
