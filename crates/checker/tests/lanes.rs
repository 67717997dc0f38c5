//! Clients that move beside each other: one broken plan for each way in which they may not.

mod fixture;

use fixture::*;
use quorate_checker::Invariant::{S2, S4, S6};
use quorate_model::{Action, Plan, Role, Share};

/// Three servers and twenty clients: two at a time, none may fail.
fn crowd() -> Plan {
    with_clients(plan_of(3), 20)
}

fn changed(change: impl FnOnce(&mut Plan)) -> Plan {
    let mut plan = crowd();
    change(&mut plan);
    plan
}

#[test]
fn clients_after_their_servers_hold() {
    holds(crowd());
    for count in [1, 9, 300] {
        holds(with_clients(plan_of(3), count));
    }
}

#[test]
fn the_share_is_kept() {
    let wider = changed(|plan| wave(plan, "h1.client-1").lanes.as_mut().unwrap().at_most = 3);
    breaks(wider, S2, "2 of client move at the same time, limited to 3: 10% of 20 allows 2");
    let longer = changed(|plan| {
        let more = std::mem::take(&mut wave(plan, "h1.client-2").steps);
        wave(plan, "h1.client-1").steps.extend(more);
    });
    breaks(longer, S2, "4 of client move at the same time");
    // What the policy allows is fine.
    holds(changed(|plan| {
        plan.policy.client_wave = Share::Count(3);
        wave(plan, "h1.client-1").lanes.as_mut().unwrap().at_most = 3;
    }));
}

#[test]
fn the_budget_is_the_policys() {
    let wider = changed(|plan| wave(plan, "h1.client-3").lanes.as_mut().unwrap().failures = 1);
    breaks(wider, S2, "1 of client may fail, 1% of 20 allows 0");
    holds(changed(|plan| {
        plan.policy.client_failure_budget = Share::Count(1);
        wave(plan, "h1.client-3").lanes.as_mut().unwrap().failures = 1;
    }));
}

#[test]
fn a_server_shares_no_wave() {
    let among = changed(|plan| {
        let steps = std::mem::take(&mut wave(plan, "h1.m3").steps);
        let lane = steps.into_iter().skip(1);
        let clients = &mut wave(plan, "h1.client-1").steps;
        clients.truncate(4);
        clients.extend(lane);
    });
    let says: Vec<String> = found(among).iter().map(ToString::to_string).collect();
    let text = "S2 at h1.m3.stop: m3 moves beside others and is no node without a vote";
    assert!(says.iter().any(|line| line == text), "{says:#?}");
    let beside = changed(|plan| {
        let lane = std::mem::take(&mut wave(plan, "h1.client-10").steps);
        wave(plan, "h1.m3").steps.extend(lane);
    });
    breaks(beside, S2, "a server and a node without a vote stop in one wave");
    let declared = changed(|plan| {
        let client = plan.observed.nodes.iter_mut().find(|node| node.name.as_str() == "c1");
        let client = client.unwrap();
        (client.role, client.voter) = (Role::Learner, Some(false));
    });
    let says: Vec<String> = found(declared).iter().map(ToString::to_string).collect();
    assert!(says.iter().any(|line| line.contains("c1 moves beside others")), "{says:#?}");
}

#[test]
fn clients_come_after_all_servers() {
    let early = changed(|plan| {
        let waves = &mut plan.hops[0].waves;
        let at = |waves: &[quorate_model::Wave], id: &str| {
            waves.iter().position(|wave| wave.id == id).unwrap()
        };
        let clients = waves.remove(at(waves, "h1.client-1"));
        let place = at(waves, "h1.m3");
        waves.insert(place, clients);
    });
    breaks(early, S2, "a server moves after nodes without a vote have begun to");
}

#[test]
fn a_lane_is_one_nodes_and_in_order() {
    let order = changed(|plan| move_before(plan, "h1.c1.start", "h1.c1.swap"));
    let says: Vec<String> = found(order).iter().map(ToString::to_string).collect();
    let text = "the lane of c1 is not stop, swap, start, rejoin in this order";
    assert!(says.iter().any(|line| line.contains(text)), "{says:#?}");
    let blind = changed(|plan| drop(remove(plan, "h1.c1.rejoin")));
    let says: Vec<String> = found(blind).iter().map(ToString::to_string).collect();
    assert!(says.iter().any(|line| line.starts_with("S4") && line.contains(text)), "{says:#?}");
    let other = changed(|plan| {
        at(plan, "h1.c1.stop").action = Action::Stop { node: "c2".into() };
    });
    let says: Vec<String> = found(other).iter().map(ToString::to_string).collect();
    assert!(says.iter().any(|line| line.contains("the lane of c1 touches another")), "{says:#?}");
    let stranger = changed(|plan| {
        let look = at(plan, "h1.complete").clone();
        let look = quorate_model::Step { node: Some("c1".into()), id: "x".into(), ..look };
        insert_before(plan, "h1.c1.stop", look);
    });
    breaks(stranger, S4, "does what belongs to no lane");
    let nobodys = changed(|plan| {
        wave(plan, "h1.stage-client").steps[0].node = None;
    });
    breaks(nobodys, S2, "a lane names no node");
}

#[test]
fn a_client_stops_only_while_its_servers_are_well() {
    let blind = changed(|plan| at(plan, "h1.c2.stop").precheck.clear());
    breaks(blind, S4, "c2 stops without a look at the servers");
}

#[test]
fn a_client_is_seen_back() {
    let gateless = changed(|plan| at(plan, "h1.c2.rejoin").gate = None);
    breaks(gateless, S4, "nothing is asked of c2");
    let half = changed(|plan| {
        at(plan, "h1.c2.rejoin").gate = Some(gate(&[("release", "node.release == to")]));
    });
    breaks(half, S4, "no gate has seen c2 back since its start: healthy not looked at");
}

#[test]
fn the_door_is_the_servers() {
    let mut asked_late = crowd();
    let go = remove(&mut asked_late, "h1.go");
    insert_before(&mut asked_late, "h1.complete", go);
    breaks(asked_late, S6, "the way back to 3.3.25 closes here, and nobody is asked first");
}
