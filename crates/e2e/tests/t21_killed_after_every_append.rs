//! T21: the controller is killed with SIGKILL after every single append to the journal. However often it dies, the run that
//! is taken up again repeats no step that is over and skips none.

use quorate_e2e::{
    Bed, CONSUL,
    lives::{Places, everywhere, lives},
};
use quorate_model::Recorded;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

const CRASHING: &str = env!("CARGO_BIN_EXE_crashing");

/// The first append of each life that moves the run on is its last: each such place is once the end of the journal.
fn at_every_place(_life: usize) -> String {
    "progress:1".to_owned()
}

#[test]
fn t21_every_append_that_moves_the_run_on_is_once_the_last_one() {
    let (places, journal) = chain("3.5.16", at_every_place);
    everywhere(&places, &journal);
}

#[test]
fn t21_lives_of_every_length() {
    // Lives of one append, of two, of three and so on: kills also between taking over, looking and going on.
    let (places, _) = chain("3.5.16", |life| format!("append:{}", 1 + life % 9));
    assert!(places.len() > 5, "the kills did not bite: {places:?}");
}

#[test]
fn t21_consul_servers_and_a_wave_of_clients() {
    let bed = Bed::of("consul", CONSUL, &["--clients", "2"]);
    bed.limit(&["soak_secs: 0", "good_looks: 1", "look_every_secs: 0.1", "client_wave: 2"]);
    let before = bed.live_pids();
    let plan: PathBuf = bed.scratch().join("plan.json");
    let words = ["plan", bed.name(), "--restart", "-o", &plan.display().to_string()];
    bed.quorate(&words).expect(0);
    let (places, journal) = lives(CRASHING, &bed, &plan, at_every_place);
    everywhere(&places, &journal);
    let after = bed.live_pids();
    assert_eq!(after.len(), 5);
    let moved: BTreeMap<_, _> =
        after.iter().filter(|(node, pid)| pid.is_some() && before[*node] != **pid).collect();
    assert_eq!(moved.len(), 5, "everybody was started anew: {before:?} {after:?}");
    let seen = bed.detect();
    let well = |node: &&serde_json::Value| node["healthy"] == true;
    let nodes = seen["nodes"].as_array().cloned().unwrap_or_default();
    assert_eq!(nodes.iter().filter(well).count(), 5, "{seen}");
}

/// An upgrade of etcd from one line to the next.
#[track_caller]
fn chain(to: &str, when: impl Fn(usize) -> String) -> (Places, Vec<Recorded>) {
    let bed = Bed::up("3.4.23", &[]);
    bed.limit(&["soak_secs: 0", "good_looks: 1", "look_every_secs: 0.1"]);
    for key in 0..5 {
        bed.put(&format!("key-{key}"), &format!("value-{key}"));
    }
    let file = bed.plan(to, &[]);
    let lived = lives(CRASHING, &bed, &file, when);
    each_member_moved_once(&bed, to);
    lived
}

/// Each member runs the new release, was started once since the lab was made, and holds the data.
#[track_caller]
fn each_member_moved_once(bed: &Bed, to: &str) {
    assert_eq!(bed.releases(), vec![Some(to.to_owned()); 3]);
    for number in 1..=3 {
        let node = bed.node(number);
        for key in 0..5 {
            assert_eq!(bed.get(&node, &format!("key-{key}")), format!("value-{key}"));
        }
        let log = std::fs::read_to_string(bed.dir().join("members").join(&node).join("etcd.log"))
            .unwrap();
        let starts = log
            .lines()
            .filter(|line| line.contains("\"starting an etcd server\"") && line.contains(to))
            .count();
        assert_eq!(starts, 1, "{node} was started {starts} times as {to}");
    }
    let seen = bed.detect();
    let hashes: BTreeSet<String> = seen["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["data_hash"].to_string())
        .collect();
    assert_eq!(hashes.len(), 1, "the data are equal: {hashes:?}");
}
