//! A member is taken out, and brought back: what is planned, what is refused, and that the proof finds each way to get it wrong.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up shall fail")]

mod support;

use jiff::Timestamp;
use quorate_checker::{
    Invariant::{self, S1, S2, S4, S5, S10},
    check,
};
use quorate_model::{
    Action, CallKind, Digest, Ejected, Ejection, Facts, MemberChange, NodeName, Plan, PlanKind,
    ProcessSpec, Reach, Role, ServiceSpec, Step, StepRole,
};
use quorate_packs::{Pack, Packs};
use quorate_planner::{
    EjectRequest, Planned, RejoinRequest,
    digest::{observation_digest, plan_digest},
    eject, rejoin,
};
use serde_json::{Value, json};
use support::{World, artifact, now, release, world};

fn etcd() -> &'static Pack {
    Packs::builtin().get(&"etcd".into()).unwrap()
}

fn member(name: &str) -> Value {
    json!({
        "name": name, "id": format!("id-{name}"), "learner": false,
        "peer_urls": [format!("http://{name}:2")], "client_urls": [format!("http://{name}:1")],
    })
}

/// An etcd cluster of voters `a`, `b`, `c` ...; the last one leads.
fn cluster(size: usize, at: &str) -> World {
    let mut world = world(size, at);
    world.cluster.pack = "etcd".into();
    world.seen.pack = "etcd".into();
    let names: Vec<&str> = world.cluster.nodes.iter().map(|node| node.name.as_str()).collect();
    let members: Vec<Value> = names.into_iter().map(member).collect();
    world.seen.facts.insert("members".into(), members.into());
    world.artifacts = ["3.3.25", "3.4.23", "3.5.16"].map(of_etcd).to_vec();
    for node in &mut world.cluster.nodes {
        let Some(ServiceSpec::Process(ProcessSpec { argv, .. })) = &mut node.service else {
            continue;
        };
        argv.push("--initial-cluster-state=new".into());
    }
    world
}

fn of_etcd(at: &str) -> quorate_model::ArtifactRef {
    let mut artifact = artifact(at);
    artifact.pack = "etcd".into();
    artifact.files[0].name = "etcd".into();
    artifact
}

fn out(world: &World, node: &str) -> Planned {
    eject(&EjectRequest {
        cluster: &world.cluster,
        pack: etcd(),
        observation: &world.seen,
        node: &node.into(),
        by: "anna@control-1",
        reason: "its disk died",
        measured: &world.measured,
        now: now(),
    })
}

/// The world after a node was taken out: down, no member, without a vote.
fn without(mut world: World, node: &str) -> World {
    let down = world.down(node);
    (down.voter, down.disk_release) = (Some(false), Some(release("3.3.25")));
    let list = world.seen.facts.get_mut("members").unwrap().as_array_mut().unwrap();
    list.retain(|member| member["name"] != node);
    world
}

fn back(world: &World, node: &str) -> Planned {
    let member: Facts = member(node).as_object().unwrap().clone().into_iter().collect();
    let ejection = Ejection { by: "anna".into(), reason: "its disk died".into(), member };
    rejoin(&RejoinRequest {
        cluster: &world.cluster,
        pack: etcd(),
        observation: &world.seen,
        ejected: &Ejected {
            cluster: "demo".into(),
            node: node.into(),
            at: Timestamp::UNIX_EPOCH,
            plan: Digest::new("d"),
            ejection,
        },
        artifacts: &world.artifacts,
        measured: &world.measured,
        now: now(),
    })
}

#[track_caller]
fn ready(planned: Planned) -> Plan {
    match planned {
        Planned::Ready(plan) => {
            assert_eq!(check(&plan), [], "the plan does not prove");
            *plan
        }
        other => panic!("no plan: {other:?}"),
    }
}

#[track_caller]
fn refused(planned: Planned, says: &str) {
    let Planned::NotNow(refusal) = planned else { panic!("planned, expected: {says}") };
    let reasons: Vec<String> = refusal.reasons.iter().map(ToString::to_string).collect();
    assert!(reasons.iter().any(|reason| reason.contains(says)), "`{says}` is not in {reasons:?}");
}

fn steps(plan: &Plan) -> impl Iterator<Item = &Step> {
    plan.hops.iter().flat_map(|hop| &hop.waves).flat_map(|wave| &wave.steps)
}

fn ids(plan: &Plan) -> Vec<&str> {
    steps(plan).map(|step| step.id.as_str().trim_start_matches("h1.")).collect()
}

fn body(plan: &Plan, id: &str) -> String {
    let step = steps(plan).find(|step| step.id.as_str() == id).unwrap();
    let Action::Membership { call, .. } = &step.action else { panic!("{id} changes nobody") };
    let CallKind::Http { method, url, body, .. } = &call.call else { panic!("{id} is no request") };
    format!("{method} {url} {}", body.as_deref().unwrap_or_default())
}

#[test]
fn one_that_is_down_is_stopped_for_good_and_leaves_through_the_leader() {
    let mut world = cluster(5, "3.4.23");
    world.down("b");
    let plan = ready(out(&world, "b"));
    assert_eq!((plan.kind, plan.changed_member().unwrap().as_str()), (PlanKind::Eject, "b"));
    assert_eq!(ids(&plan), ["begin.look", "b.stop", "b.leave", "b.list", "complete.look"]);
    assert_eq!(
        body(&plan, "h1.b.leave"),
        r#"POST http://e:1/v3/cluster/member/remove {"ID":"id-b"}"#
    );
    assert_eq!(
        plan.losses,
        [
            "tolerance, until b is back: 4 voters remain, 4 of them well, and one of them may be lost"
        ]
    );
    let book = world.book(etcd(), &plan);
    for part in
        ["member/remove", "`quorate rejoin demo b` brings it back", "take b out of balancers"]
    {
        assert!(book.contains(part), "the run book lacks `{part}`:\n{book}");
    }
}

#[test]
fn one_that_serves_hands_over_and_may_stop_before_it_leaves() {
    let world = cluster(3, "3.5.16");
    let plan = ready(out(&world, "c"));
    assert_eq!(
        ids(&plan),
        ["begin.look", "c.handover", "c.stop", "c.leave", "c.list", "complete.look"]
    );
    assert!(body(&plan, "h1.c.leave").contains("http://a:1/v3/"), "through who leads then");
    let stop = steps(&plan).find(|step| step.role == StepRole::Stop).unwrap();
    assert!(stop.precheck.iter().any(|condition| condition.name == "may-stop"));
    assert!(stop.precheck.iter().any(|condition| condition.name == "leads-not"));
    assert!(plan.losses[0].ends_with("none of them may be lost"), "{:?}", plan.losses);
}

#[test]
fn below_3_0_members_leave_and_join_through_the_v2_api() {
    let mut world = cluster(3, "2.3.8");
    world.down("a");
    let plan = ready(out(&world, "a"));
    assert_eq!(body(&plan, "h1.a.leave"), "DELETE http://c:1/v2/members/id-a ");
    let mut world = without(cluster(3, "2.3.8"), "a");
    // These give no hash of their data.
    world.seen.nodes.iter_mut().for_each(|node| node.data_hash = None);
    world.artifacts.push(of_etcd("2.3.8"));
    let plan = ready(back(&world, "a"));
    assert_eq!(
        body(&plan, "h1.a.join"),
        r#"POST http://c:1/v2/members {"peerURLs":["http://a:2"]}"#
    );
}

#[test]
fn nobody_leaves_when_too_few_would_remain() {
    refused(out(&cluster(2, "3.4.23"), "a"), "at least two other voters must remain when a goes");
    let mut three = cluster(3, "3.4.23");
    three.down("a");
    three.down("b");
    refused(out(&three, "a"), "without a only 1 healthy");
    let mut five = cluster(5, "3.4.23");
    five.down("a");
    five.down("b");
    ready(out(&five, "a"));
    refused(out(&five, "d"), "without d only 2 healthy");
    five.down("d");
    refused(out(&five, "a"), "without a only 2 healthy");
}

#[test]
fn nobody_leaves_a_cluster_that_is_not_well_or_not_seen() {
    let with = |change: fn(&mut World)| {
        let mut world = cluster(5, "3.4.23");
        world.down("b");
        change(&mut world);
        out(&world, "b")
    };
    refused(with(|world| world.node("e").role = Role::Follower), "no leader");
    refused(with(|world| world.node("a").alarms.push("CORRUPT".into())), "CORRUPT");
    refused(with(|world| world.node("a").data_hash = Some("other".into())), "different data");
    refused(with(|world| drop(world.seen.facts.remove("members"))), "list of members was not seen");
    let gone = without(cluster(5, "3.4.23"), "b");
    refused(out(&gone, "b"), "the cluster does not list it");
    refused(out(&gone, "z"), "no such node is declared");
    let mut unserved = cluster(3, "3.4.23");
    unserved.cluster.nodes[0].service = None;
    refused(out(&unserved, "a"), "does not say how its service is stopped");
}

#[test]
fn it_comes_back_empty_on_the_lowest_release_and_as_a_learner_where_that_is_safe() {
    let learner = without(cluster(5, "3.4.23"), "b");
    let plan = ready(back(&learner, "b"));
    assert_eq!(
        ids(&plan),
        [
            "begin.look",
            "b.stage",
            "b.stop",
            "b.set-aside",
            "b.swap",
            "b.join",
            "b.start",
            "b.catch-up",
            "b.promote",
            "b.rejoin",
            "b.list",
            "complete.look"
        ]
    );
    assert_eq!(
        body(&plan, "h1.b.join"),
        r#"POST http://e:1/v3/cluster/member/add {"peerURLs":["http://b:2"],"isLearner":true}"#
    );
    assert!(body(&plan, "h1.b.promote").contains(r#"{"ID":"{member}"}"#));
    let swap = steps(&plan).find_map(|step| match &step.action {
        Action::Swap { config, .. } => config.clone(),
        _ => None,
    });
    let Some(ServiceSpec::Process(ProcessSpec { argv, .. })) = swap.unwrap().service else {
        panic!("no service")
    };
    assert_eq!(
        argv[3..],
        [
            "--initial-cluster=a=http://a:2,c=http://c:2,d=http://d:2,e=http://e:2,b=http://b:2",
            "--initial-cluster-state=existing"
        ]
    );
    // A learner promoted by these is one again on 3.6.
    let voter = ready(back(&without(cluster(3, "3.5.16"), "a"), "a"));
    assert!(!ids(&voter).contains(&"a.promote"));
    let mut mixed = without(cluster(3, "3.4.23"), "a");
    mixed.node("b").release = Some(release("3.3.25"));
    let mixed = ready(back(&mixed, "a"));
    assert_eq!(mixed.to, release("3.3.25"));
    assert!(!ids(&mixed).contains(&"a.promote"), "3.3 knows no learners");
}

#[test]
fn one_that_somebody_brought_back_by_hand_is_only_looked_at() {
    let plan = ready(back(&cluster(3, "3.4.23"), "a"));
    assert_eq!(ids(&plan), ["begin.look", "a.rejoin", "a.list", "complete.look"]);
}

#[test]
fn nobody_comes_back_to_a_cluster_that_is_not_whole_or_with_data_at_stake() {
    let with = |change: fn(&mut World)| {
        let mut world = without(cluster(5, "3.4.23"), "b");
        change(&mut world);
        back(&world, "b")
    };
    refused(with(|world| world.down("c").voter = Some(true)), "c");
    refused(with(|world| world.artifacts.clear()), "3.4.23");
    refused(with(|world| world.cluster.nodes[1].data_dir = None), "where its data are");
    refused(with(|world| world.cluster.nodes[1].service = None), "stopped and started");
    let mut listed = cluster(5, "3.4.23");
    listed.down("b");
    refused(back(&listed, "b"), "the cluster lists it again, and it does not serve");
}

/// The plan with one change, its digests made right; it must be found to break this.
#[track_caller]
fn breaks(plan: &Plan, invariant: Invariant, says: &str, change: impl FnOnce(&mut Plan)) {
    let mut plan = plan.clone();
    change(&mut plan);
    plan.observation.digest = observation_digest(&plan.observed);
    plan.digest = plan_digest(&plan);
    let found = check(&plan);
    let hit = found.iter().any(|one| one.invariant == invariant && one.text.contains(says));
    assert!(hit, "nothing says `{says}` of {invariant}: {found:?}");
}

fn remove(plan: &mut Plan, id: &str) -> Step {
    for wave in &mut plan.hops[0].waves {
        if let Some(at) = wave.steps.iter().position(|step| step.id.as_str() == id) {
            return wave.steps.remove(at);
        }
    }
    panic!("no step {id}")
}

fn put_first(plan: &mut Plan, id: &str) {
    let step = remove(plan, id);
    plan.hops[0].waves[1].steps.insert(0, step);
}

fn action<'p>(plan: &'p mut Plan, id: &str) -> &'p mut Action {
    let steps = plan.hops[0].waves.iter_mut().flat_map(|wave| &mut wave.steps);
    &mut steps.into_iter().find(|step| step.id.as_str() == id).unwrap().action
}

fn as_other(plan: &mut Plan, id: &str) {
    if let Action::Membership { node, .. } = action(plan, id) {
        *node = NodeName::new("d");
    }
}

#[test]
fn the_proof_finds_each_way_to_take_a_member_out_wrongly() {
    let serving = ready(out(&cluster(5, "3.4.23"), "b"));
    let leave = "h1.b.leave";
    breaks(&serving, S1, "b leaves while it serves", |plan| drop(remove(plan, "h1.b.stop")));
    breaks(&serving, S1, "b leaves while it serves", |plan| put_first(plan, leave));
    breaks(&serving, S4, "clients lose b before it has left", |plan| put_first(plan, "h1.b.list"));
    breaks(&serving, S4, "the list that clients get is left", |plan| {
        drop(remove(plan, "h1.b.list"))
    });
    breaks(&serving, S2, "the second member of this plan", |plan| as_other(plan, leave));
    breaks(&serving, S2, "in a plan that is not for it", |plan| {
        plan.kind = PlanKind::RollbackBinaries
    });
    breaks(&serving, S2, "is not what this plan is for", |plan| plan.kind = PlanKind::Rejoin);
    breaks(&serving, S5, "nobody changes the release here", |plan| {
        plan.hops[0].to = release("3.5.16");
    });
    breaks(&serving, S1, "3 are needed", |plan| {
        for name in ["c", "d"] {
            let seen = plan.observed.nodes.iter_mut().find(|n| n.name.as_str() == name).unwrap();
            (seen.reach, seen.healthy) = (Reach::Unreachable("gone".into()), None);
        }
    });
    breaks(&serving, S1, "which is no other healthy voter", |plan| {
        if let Action::Membership { call, .. } = action(plan, leave) {
            call.node = NodeName::new("b");
        }
    });
    let mut three = cluster(3, "3.4.23");
    three.down("b");
    breaks(&ready(out(&three, "b")), S1, "2 must remain", |plan| {
        plan.observed.nodes.retain(|node| node.name.as_str() != "a");
    });
}

#[test]
fn the_proof_finds_each_way_to_bring_a_member_back_wrongly() {
    let plan = ready(back(&without(cluster(5, "3.4.23"), "b"), "b"));
    let (join, promote) = ("h1.b.join", "h1.b.promote");
    breaks(&plan, S10, "joins with the data that it had", |plan| {
        drop(remove(plan, "h1.b.set-aside"))
    });
    breaks(&plan, S4, "before the cluster was told of it", |plan| drop(remove(plan, join)));
    breaks(&plan, S4, "before it was seen caught up", |plan| drop(remove(plan, "h1.b.catch-up")));
    breaks(&plan, S4, "before it was seen back with its vote", |plan| drop(remove(plan, promote)));
    breaks(&plan, S4, "before it was seen back", |plan| put_first(plan, "h1.b.list"));
    breaks(&plan, S2, "the second member of this plan", |plan| as_other(plan, promote));
    breaks(&plan, S10, "while it is a member", |plan| {
        let seen = plan.observed.nodes.iter_mut().find(|n| n.name.as_str() == "b").unwrap();
        seen.voter = Some(true);
    });
    breaks(&plan, S5, "is not the lowest release that runs", |plan| {
        let seen = plan.observed.nodes.iter_mut().find(|n| n.name.as_str() == "c").unwrap();
        seen.release = Some(release("3.3.25"));
    });
    // Of three voters one is down: a fourth that has no data yet asks for three of them.
    let three = ready(back(&without(cluster(4, "3.5.16"), "b"), "b"));
    breaks(&three, S1, "3 are needed", |plan| {
        let seen = plan.observed.nodes.iter_mut().find(|n| n.name.as_str() == "c").unwrap();
        (seen.reach, seen.healthy) = (Reach::Unreachable("gone".into()), None);
    });
    let joins = steps(&three)
        .any(|step| matches!(step.action, Action::Membership { change: MemberChange::Join, .. }));
    assert!(joins, "3.5.16 adds a voter at once");
}
