//! T13: the second server's new binary is damaged after it was staged, or it does not start: the run stops there, the third
//! server is never touched. A damaged one is found while its server still serves. T14: from the state of a server that did
//! not start the way back puts it into place again, the same member with the same data.

use quorate_e2e::{Bed, Said, Squatter, ask::started, finish};
use quorate_model::{RunEvent, RunState};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// T14's own limit.
const BACK_WITHIN: Duration = Duration::from_secs(30);

struct Halted {
    bed: Bed,
    /// In the order of the plan.
    order: Vec<String>,
    ids: BTreeMap<String, String>,
    /// Process ids before the second server's turn.
    pids: Vec<Option<i32>>,
    said: Said,
}

/// What happens to the second server between the check of what is staged and its turn.
#[derive(Clone, Copy, PartialEq)]
enum Mishap {
    /// Its staged binary is damaged.
    Damage,
    /// Another program takes its port when it stops.
    PortTaken,
}

fn member_ids(bed: &Bed) -> BTreeMap<String, String> {
    let seen = bed.detect();
    let nodes = seen["nodes"].as_array().unwrap();
    nodes
        .iter()
        .filter_map(|node| {
            Some((node["name"].as_str()?.to_owned(), node["member_id"].as_str()?.to_owned()))
        })
        .collect()
}

fn wait_for_question(bed: &Bed, before: &str) {
    quorate_e2e::until(
        Duration::from_secs(120),
        &format!("the question before {before}"),
        || matches!(bed.runs().first().map(|run| run.state.clone()), Some(RunState::AwaitingApproval { step }) if step.as_str().contains(before)),
    );
}

fn endpoint(bed: &Bed, node: &str) -> String {
    let argv = bed.live_argv(node);
    let url = argv.iter().find_map(|word| word.strip_prefix("--listen-client-urls="));
    url.unwrap_or_else(|| panic!("{node} listens nowhere: {argv:?}")).to_owned()
}

/// Brings a cluster into the state that T13 asks for, and checks T13's own criteria on the way.
fn halted(mishap: Mishap) -> Halted {
    let bed = Bed::up("3.3.25", &[]);
    bed.limit(&["soak_secs: 0.2", "good_looks: 2", "look_every_secs: 0.2", "approve: each"]);
    bed.ctl(&bed.node(1), &["put", "k", "before"]);
    let ids = member_ids(&bed);
    assert_eq!(ids.len(), 3);
    let file = bed.plan("3.4.23", &[]);
    let plan: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let waves = plan["hops"][0]["waves"].as_array().unwrap();
    let order: Vec<String> =
        waves.iter().filter_map(|wave| wave["node"].as_str().map(str::to_owned)).collect();
    let third = bed.live_pid(&order[2]);
    bed.quorate(&["prepare", &file.display().to_string()]).expect(0);
    let run = bed.spawn(&["apply", &file.display().to_string(), "--no-probe"]);
    wait_for_question(&bed, &order[0]);
    bed.quorate(&["run", "approve"]).expect(0);
    wait_for_question(&bed, &order[1]);
    let pids = order.iter().map(|node| bed.live_pid(node)).collect();
    // The run has staged and checked everything by now: damage comes between that check and the swap.
    let squatter = match mishap {
        Mishap::Damage => {
            bed.fault(&order[1], "damage-artifact", &["--release", "3.4.23"]);
            None
        }
        Mishap::PortTaken => Some(Squatter::waits_for(&endpoint(&bed, &order[1]))),
    };
    bed.quorate(&["run", "approve"]).expect(0);
    let said = finish(run).expect(4).says(&[
        "Q0012",
        &order[1],
        "quorate rollback",
        "nothing further was touched",
    ]);
    drop(squatter);
    assert!(!said.err.contains(&format!("stop {}: begins", order[2])));
    assert_eq!(bed.live_pid(&order[2]), third, "the third server was touched");
    let touched: Vec<String> = started(&bed.journal())
        .into_iter()
        .filter(|step| step.contains(&format!(".{}.", order[2])) && !step.ends_with(".stage"))
        .collect();
    assert!(touched.is_empty(), "{touched:?}");
    Halted { bed, order, ids, pids, said }
}

#[test]
fn t13_a_damaged_binary_is_found_before_its_server_stops() {
    let Halted { bed, order, pids, said, .. } = halted(Mishap::Damage);
    said.says(&["digest", "changed after it was staged"]);
    let stop = format!("h1.{}.stop", order[1]);
    assert!(!started(&bed.journal()).contains(&stop), "its stop was begun");
    let now: Vec<Option<i32>> = order.iter().map(|node| bed.live_pid(node)).collect();
    assert_eq!(now, pids, "all three run as they ran before");
    // Staged again it goes on from where it stood.
    bed.quorate(&["prepare", &bed.scratch().join("plan-3.4.23.json").display().to_string()])
        .expect(0);
    finish(bed.spawn(&["run", "resume", "--yes", "--no-probe"])).expect(0);
    assert_eq!(bed.releases(), vec![Some("3.4.23".to_owned()); 3]);
}

#[test]
fn t13_a_server_that_does_not_start_stops_the_run_and_the_cluster_serves() {
    let Halted { bed, order, said, .. } = halted(Mishap::PortTaken);
    said.says(&["address already in use"]);
    assert_eq!(bed.live_pid(&order[1]), None, "the second server is down");
    // A quorum is left: clients write and read.
    bed.ctl(&order[0], &["put", "k", "after"]);
    assert_eq!(bed.get(&order[2], "k"), "after");
    let report = bed.quorate(&["run", "report"]).expect(0).out;
    for word in ["halted", order[1].as_str(), "address already in use"] {
        assert!(report.contains(word), "the report lacks `{word}`:\n{report}");
    }
    let shown = bed.quorate(&["run", "show"]).expect(0).out;
    assert!(shown.contains("halted"), "{shown}");
}

#[test]
fn t14_the_way_back_restores_the_same_member() {
    let Halted { bed, order, ids, .. } = halted(Mishap::PortTaken);
    bed.ctl(&order[2], &["put", "k", "after"]);
    let began = Instant::now();
    let way_back = bed.spawn(&["rollback", "--yes", "--no-probe"]);
    quorate_e2e::until(BACK_WITHIN, "the member is healthy again", || {
        bed.live_pid(&order[1]).is_some()
            && bed.detect()["nodes"]
                .as_array()
                .is_some_and(|nodes| nodes.iter().all(|node| node["healthy"] == true))
    });
    let took = began.elapsed();
    assert!(took < BACK_WITHIN, "{took:?}");
    finish(way_back).expect(0);
    assert_eq!(bed.releases(), vec![Some("3.3.25".to_owned()); 3]);
    assert_eq!(member_ids(&bed), ids, "the same members as before");
    for node in bed.nodes() {
        assert_eq!(bed.get(&node, "k"), "after", "{node} lost a write");
    }
    let moved = bed.journal().iter().any(|recorded| matches!(&recorded.event, RunEvent::Finished { step, .. } if step.as_str().contains(&order[1])));
    assert!(moved, "the way back is a run of its own, with a journal");
}
