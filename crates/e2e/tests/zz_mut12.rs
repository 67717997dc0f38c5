//! T12, without SSH: three servers go 3.3 -> 3.4, each with its own yes, a line at its start and finish, the old binary
//! kept, healthy time between members, the leader last.

use quorate_e2e::{Bed, ask::started, finish};
use quorate_model::{Recorded, RunEvent, RunState};
use std::{
    process::Command,
    time::{Duration, Instant},
};

/// What is asked for; the policy of a hurried person.
const SOAK: Duration = Duration::from_secs(3);

#[test]
fn t12_server_by_server_the_leader_last() {
    let bed = Bed::up("3.3.25", &[]);
    bed.limit(&["soak_secs: 0.2", "good_looks: 2", "look_every_secs: 0.2", "approve: each"]);
    let leader = leader(&bed);
    let plan = bed.plan("3.4.23", &[]).display().to_string();
    let run = bed.spawn(&["apply", &plan, "--no-probe"]);
    let mut run = Some(run);
    let began = Instant::now();
    let mut approvals = 0;
    // Another terminal says yes whenever it is asked to.
    while run.as_mut().unwrap().try_wait().unwrap().is_none() {
        assert!(began.elapsed() < Duration::from_secs(200), "the run does not end");
        if matches!(
            bed.runs().first().map(|run| run.state.clone()),
            Some(RunState::AwaitingApproval { .. })
        ) && bed.quorate(&["run", "approve"]).code == 0
        {
            approvals += 1;
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
    let said = finish(run.take().unwrap()).expect(0);
    assert!(approvals >= 3, "each server asks for its own yes: {approvals}");
    let journal = bed.journal();
    let order: Vec<String> = started(&journal)
        .iter()
        .filter(|step| step.ends_with(".stop"))
        .map(|step| node_of(step))
        .collect();
    assert_eq!(order.len(), 3);
    assert_eq!(order.last(), Some(&leader), "the leader is last: {order:?}");
    for node in &order {
        for line in [format!("stop {node}: begins"), format!("start {node}")] {
            assert!(said.err.contains(&line), "no line `{line}`:\n{}", said.err);
        }
        assert!(
            said.err.lines().any(|line| line.contains(node.as_str()) && line.contains("done in")),
            "no finish line of {node}"
        );
        let kept = bed.dir().join("members").join(node).join("bin/etcd_3.3.25");
        let version = Command::new(&kept)
            .arg("--version")
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", kept.display()));
        assert!(
            String::from_utf8_lossy(&version.stdout).contains("3.3.25"),
            "{} is not the old binary",
            kept.display()
        );
    }
    assert_each_had_its_yes(&journal, &order);
    assert_soaked(&journal, &order);
    assert_eq!(bed.releases(), vec![Some("3.4.23".to_owned()); 3]);
}

fn leader(bed: &Bed) -> String {
    let seen = bed.detect();
    let node = seen["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|node| node["role"] == "leader")
        .expect("a leader");
    node["name"].as_str().unwrap().to_owned()
}

fn node_of(step: &str) -> String {
    step.split('.').nth(1).unwrap_or_default().to_owned()
}

fn place(journal: &[Recorded], what: &str, holds: impl Fn(&RunEvent) -> bool) -> usize {
    journal
        .iter()
        .position(|recorded| holds(&recorded.event))
        .unwrap_or_else(|| panic!("the journal lacks: {what}"))
}

/// Between a member's stop and that of the one before, somebody said yes to the member's own step.
fn assert_each_had_its_yes(journal: &[Recorded], order: &[String]) {
    for node in order {
        let yes = place(
            journal,
            node,
            |event| matches!(event, RunEvent::Approved { step, .. } if node_of(step.as_str()) == *node),
        );
        let stop = place(
            journal,
            node,
            |event| matches!(event, RunEvent::Started { step, .. } if step.as_str() == format!("h1.{node}.stop")),
        );
        let asked = place(
            journal,
            node,
            |event| matches!(event, RunEvent::AskedApproval { step, .. } if node_of(step.as_str()) == *node),
        );
        assert!(asked < yes && yes < stop, "{node}: asked {asked}, yes {yes}, stop {stop}");
    }
}

/// From a member being back to the next one being touched at least the asked time passed.
fn assert_soaked(journal: &[Recorded], order: &[String]) {
    for pair in order.windows(2) {
        let back = place(
            journal,
            "rejoin",
            |event| matches!(event, RunEvent::Finished { step, .. } if step.as_str() == format!("h1.{}.rejoin", pair[0])),
        );
        let next = place(
            journal,
            "stop",
            |event| matches!(event, RunEvent::Started { step, .. } if step.as_str() == format!("h1.{}.stop", pair[1])),
        );
        let waited = Duration::try_from(journal[next].at.duration_since(journal[back].at))
            .expect("time goes on");
        assert!(waited >= SOAK, "only {waited:?} between {} and {}", pair[0], pair[1]);
    }
}
