//! Members that differ get the data of one of them: the copy is taken and proved first, applications stand still meanwhile.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up shall fail")]

mod support;

use quorate_checker::{Invariant, check};
use quorate_model::{
    Action, Blocked, Dependant, Host, HostAct, NotNow, Plan, PlanKind, Runs, SshHost, Step,
    StepRole, Wave,
};
use quorate_planner::{
    Planned, RollbackRequest,
    digest::plan_digest,
    rollback::{RecoverRequest, recover},
};
use std::time::Duration;
use support::{World, keeper, now, release, world};

fn act(run: &str) -> HostAct {
    HostAct { run: run.into(), seen: format!("seen {run}"), limit: Duration::from_secs(20) }
}

fn application(name: &str, hosts: Vec<Host>) -> Dependant {
    let (stop, start) = (act("stop it"), act("start it"));
    let runs = Runs { hosts, stop, start, switch: None, switch_back: None };
    Dependant {
        name: name.into(),
        version: None,
        needs: Vec::new(),
        works_with: None,
        requires: Vec::new(),
        runs: Some(runs),
    }
}

fn with_applications() -> World {
    let mut world = world(3, "1.0.5");
    let far = |name: &str| Host::Ssh(SshHost::new(name));
    world.cluster.dependants = vec![
        application("shop", vec![far("s1"), far("s2")]),
        application("till", vec![Host::Local]),
    ];
    world
}

fn planned(world: &World, source: &str, kind: &str) -> Planned {
    let Planned::Ready(mut standing) = support::world(3, "1.0.5").plan("1.1.9") else {
        panic!("no plan")
    };
    let kept = standing.hops[0].edge.clone();
    standing.observed = world.seen.clone();
    standing.hops.truncate(1);
    (standing.hops[0].from, standing.hops[0].to) = (release("1.0.5"), release("1.0.5"));
    standing.hops[0].edge = kept;
    recover(&RecoverRequest {
        put_back: RollbackRequest {
            plan: &standing,
            cluster: &world.cluster,
            pack: keeper(),
            observation: &world.seen,
            artifacts: &world.artifacts,
            backups: &[],
            begun: None,
            since: None,
            measured: &world.measured,
            now: now(),
        },
        source: &source.into(),
        kind,
        losses: &["3 keys that b holds alone".to_owned()],
        state_files: &[],
    })
}

fn kind() -> String {
    let with_restore = |recipe: &&quorate_packs::BackupRecipe| recipe.restore.is_some();
    keeper().recipes.backups.iter().find(with_restore).unwrap().kind.clone()
}

fn plan(world: &World) -> Plan {
    match planned(world, "a", &kind()) {
        Planned::Ready(plan) => *plan,
        other => panic!("no plan: {other:?}"),
    }
}

fn steps(plan: &Plan) -> Vec<&Step> {
    plan.hops.iter().flat_map(|hop| &hop.waves).flat_map(|wave| &wave.steps).collect()
}

fn roles(plan: &Plan) -> Vec<StepRole> {
    let mut roles: Vec<StepRole> = steps(plan).iter().map(|step| step.role).collect();
    roles.dedup();
    roles
}

#[test]
fn everybody_gets_the_data_of_one_after_a_yes_and_a_proved_copy() {
    let plan = plan(&world(3, "1.0.5"));
    assert_eq!(plan.kind, PlanKind::Recover);
    assert_eq!(check(&plan), []);
    assert!(plan.losses[0].starts_with("3 keys") && plan.losses[1].contains("between the copy"));
    assert!(!plan.outage.is_zero());
    let [go, copy, proof, stop] =
        [StepRole::Go, StepRole::Backup, StepRole::Verify, StepRole::Stop]
            .map(|role| roles(&plan).iter().position(|one| *one == role).unwrap());
    assert!(go < copy && copy < proof && proof < stop, "{:?}", roles(&plan));
    let restored = steps(&plan).into_iter().filter(|step| step.role == StepRole::Restore);
    assert_eq!(restored.count(), 3, "the source's own data are restored like everybody's");
    let copies = steps(&plan).into_iter().filter_map(|step| match &step.action {
        Action::Backup { backup } => Some(backup.node.as_str()),
        _ => None,
    });
    assert_eq!(copies.collect::<Vec<_>>(), ["a"]);
}

#[test]
fn applications_stand_still_from_before_the_copy_until_after_the_proof() {
    let plan = plan(&with_applications());
    assert_eq!(check(&plan), []);
    let acts = |role: StepRole| -> Vec<String> {
        let own = steps(&plan).into_iter().filter(|step| step.role == role);
        own.map(|step| step.title.clone()).collect()
    };
    assert_eq!(
        acts(StepRole::DependantStop),
        ["stop till on this machine", "stop shop on s2", "stop shop on s1"]
    );
    assert_eq!(
        acts(StepRole::DependantStart),
        ["start shop on s1", "start shop on s2", "start till on this machine"]
    );
}

fn broken(change: impl FnOnce(&mut Vec<Wave>)) -> Vec<Invariant> {
    let mut plan = plan(&with_applications());
    change(&mut plan.hops[0].waves);
    plan.digest = plan_digest(&plan);
    let mut found: Vec<Invariant> = check(&plan).into_iter().map(|one| one.invariant).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn place(waves: &[Wave], ending: &str) -> usize {
    waves.iter().position(|wave| wave.id.ends_with(ending)).unwrap()
}

#[test]
fn a_plan_that_forgets_an_application_does_not_prove() {
    assert_eq!(broken(|_| ()), []);
    let without = |ending: &'static str| {
        broken(move |waves| {
            let at = place(waves, ending);
            waves.remove(at);
        })
    };
    assert_eq!(without("applications-stop"), [Invariant::S9, Invariant::S12]);
    assert_eq!(without("applications-start"), [Invariant::S9], "what is owed is put back");
    // Stopped only after the copy was taken; started before the data were compared.
    let swapped = |one: &'static str, other: &'static str| {
        broken(move |waves| {
            let (one, other) = (place(waves, one), place(waves, other));
            waves.swap(one, other);
        })
    };
    assert_eq!(swapped("applications-stop", "backup"), [Invariant::S12]);
    assert_eq!(swapped("applications-start", "proof"), [Invariant::S12]);
    // Nobody looks whether it came back.
    let blind = broken(|waves| {
        let steps = waves.iter_mut().flat_map(|wave| &mut wave.steps);
        steps.for_each(|step| step.precheck.retain(|one| one.name != "dependants-stopped"));
    });
    assert_eq!(blind, [Invariant::S12]);
}

#[test]
fn a_plan_whose_copy_nobody_proved_does_not_prove() {
    let found = broken(|waves| {
        let at = place(waves, "backup");
        waves[at].steps.retain(|step| step.role != StepRole::Verify);
    });
    assert_eq!(found, [Invariant::S6]);
}

fn refusal(planned: Planned) -> String {
    match planned {
        Planned::NotNow(refusal) => match &refusal.reasons[0] {
            NotNow::Blocked(Blocked::Condition { because, .. }) => because.clone(),
            other => format!("{other:?}"),
        },
        other => panic!("a plan came out: {other:?}"),
    }
}

#[test]
fn what_cannot_be_recovered_is_refused() {
    let mut one_down = world(3, "1.0.5");
    one_down.down("a");
    assert_eq!(refusal(planned(&one_down, "a", &kind())), "a does not");
    assert!(refusal(planned(&world(3, "1.0.5"), "a", "no-such-copy")).contains("no-such-copy"));
    let mut alarmed = world(3, "1.0.5");
    alarmed.node("c").alarms = vec!["CORRUPT".into()];
    assert!(refusal(planned(&alarmed, "a", &kind())).contains("CORRUPT is raised on c"));
    let mut learning = world(3, "1.0.5");
    learning.node("b").role = quorate_model::Role::Learner;
    assert!(refusal(planned(&learning, "a", &kind())).contains("b is a learner"));
    let mut mixed = world(3, "1.0.5");
    mixed.node("b").release = Some(release("1.1.9"));
    assert!(refusal(planned(&mixed, "a", &kind())).contains("MixedReleases"));
}
