//! T16: servers one by one, the leader last, then a hundred clients in waves within their share, never beside a server. A client
//! that fails is left behind and named; one more than the budget ends the run before the next wave; mended, it goes to its end.

use quorate_e2e::{
    Bed, CONSUL,
    ask::{hold, started},
    by_hand::{blocks, follow, script},
    waves::{most_on_their_way, node_of},
};
use quorate_model::{Recorded, RunEvent};
use std::{fs, path::PathBuf};

/// Ten waves, the last of one client. The first with one failure goes on, the second with another ends the run.
const CLIENTS: usize = 100;
/// Eleven in a hundred.
const WAVE: usize = 11;

fn client(bed: &Bed, number: usize) -> String {
    format!("{}-client-{number}", bed.name())
}

/// The journal's place of the first stop of a node.
fn stop_of(journal: &[Recorded], node: &str) -> Option<usize> {
    let stop = format!(".{node}.stop");
    journal.iter().position(|recorded| {
        matches!(&recorded.event, RunEvent::Started { step, .. } if step.as_str().ends_with(&stop))
    })
}

fn left_behind(journal: &[Recorded]) -> Vec<(usize, String)> {
    let left = journal.iter().enumerate().filter_map(|(at, recorded)| match &recorded.event {
        RunEvent::LeftBehind { node, .. } => Some((at, node.to_string())),
        _ => None,
    });
    left.collect()
}

/// Moves the last wave by hand, as the run book says: its one client, and nobody else.
fn last_wave_by_hand(bed: &Bed) {
    let book = bed.scratch().join("book.md");
    let words = ["plan", bed.name(), "--restart", "--runbook", &book.display().to_string()];
    bed.quorate(&words).expect(0);
    let text = fs::read_to_string(&book).expect("the run book");
    let part = |id: &str| {
        let own =
            text.split("\n### ").find(|part| part.lines().next().is_some_and(|l| l.ends_with(id)));
        blocks(own.unwrap_or_else(|| panic!("{id} is not in the book")))
    };
    let head = blocks(text.split("\n### ").next().unwrap_or_default());
    // The first wave says how; what it does is left out.
    let told = part("(h1.client-1)").into_iter().map(|block| block.replace("each h1", ": h1"));
    let all = [head, part("(h1.stage-client)"), told.collect(), part("(h1.client-10)")].concat();
    let before = bed.live_pids();
    let said = follow(bed.scratch(), &script(&all)).expect(0).out;
    let after = bed.live_pids();
    let moved: Vec<&String> = before.keys().filter(|node| before[*node] != after[*node]).collect();
    assert_eq!(moved, [&client(bed, CLIENTS)], "{said}");
    assert!(after.values().all(Option::is_some), "{after:?}");
}

#[test]
fn t16_clients_move_in_waves_after_the_servers_within_their_budget() {
    let bed = Bed::of("consul", CONSUL, &["--clients", &CLIENTS.to_string()]);
    bed.limit(&[
        "soak_secs: 0",
        "good_looks: 2",
        "baseline_secs: 1",
        "client_wave: 11%",
        "client_failure_budget: 1%",
    ]);
    let nodes = bed.detect()["nodes"].as_array().cloned().unwrap_or_default();
    let leader = nodes.iter().find(|node| node["role"] == "leader").expect("a leader");
    let leader = leader["name"].as_str().unwrap_or_default().to_owned();
    last_wave_by_hand(&bed);
    let before = bed.live_pids();
    // Their settings are broken: they serve until they are stopped, and do not start again.
    let ill = [client(&bed, 2), client(&bed, WAVE + 2)];
    let settings =
        |node: &str| -> PathBuf { bed.dir().join("members").join(node).join("settings.json") };
    let sound = ill.each_ref().map(|node| fs::read_to_string(settings(node)).expect("settings"));
    ill.iter().for_each(|node| fs::write(settings(node), "{ broken").expect("settings"));

    bed.quorate(&["upgrade", bed.name(), "--restart", "--yes"]).expect(4).says(&[&ill[0], &ill[1]]);
    let journal = bed.journal();
    assert_eq!(hold(&journal).map(|hold| hold.code).as_deref(), Some("failure-budget"));
    let order: Vec<String> = started(&journal)
        .iter()
        .filter(|step| step.ends_with(".stop"))
        .map(|step| node_of(step).to_owned())
        .collect();
    let (servers, clients) = order.split_at(3);
    assert!(servers.iter().all(|node| !node.contains("-client-")), "servers first: {order:?}");
    assert_eq!(servers.last(), Some(&leader), "the leader last: {order:?}");
    // Who was stopped and failed is still on its way: the second wave has a place less.
    assert!((WAVE + 2..=2 * WAVE).contains(&clients.len()), "two waves: {order:?}");
    assert_eq!(
        most_on_their_way(&journal, |node| node.contains("-client-")),
        WAVE,
        "the share, and no more"
    );
    let left = left_behind(&journal);
    let (at, first) = left.first().expect("a client was left behind");
    assert_eq!((left.len(), first), (2, &ill[0]), "{left:?}");
    let next = stop_of(&journal, &client(&bed, WAVE + 1));
    assert!(next.is_some_and(|next| next > *at), "within the budget the next wave begins");
    let report = bed.report();
    let told = report["report"]["left_behind"].as_array().cloned().unwrap_or_default();
    let told: Vec<_> = told.iter().filter_map(|one| one["node"].as_str()).collect();
    assert_eq!(told, ill, "the report lists them");
    assert_eq!(report["client"]["writes_lost"], 0, "{}", report["client"]);
    let halted = bed.live_pids();
    for number in 2 * WAVE + 1..=CLIENTS {
        let node = client(&bed, number);
        assert_eq!(halted[&node], before[&node], "{node} was not touched");
    }

    ill.iter()
        .zip(&sound)
        .for_each(|(node, text)| fs::write(settings(node), text).expect("settings"));
    bed.quorate(&["run", "resume"]).expect(0);
    let journal = bed.journal();
    assert_eq!(
        most_on_their_way(&journal, |node| node.contains("-client-")),
        WAVE,
        "the share, and no more"
    );
    let (after, report) = (bed.live_pids(), bed.report());
    for number in 1..=CLIENTS {
        let node = client(&bed, number);
        assert!(after[&node].is_some() && after[&node] != before[&node], "{node} has moved");
        if clients.contains(&node) && !ill.contains(&node) {
            assert_eq!(after[&node], halted[&node], "{node} was stopped once");
        }
    }
    let clients_view = &report["client"];
    assert_eq!(clients_view["writes_lost"], 0, "{clients_view}");
    assert!(clients_view["writes_acked"].as_u64() > Some(1000), "somebody wrote: {clients_view}");
}
