//! A controller killed in the middle of its appends leaves a journal that is whole up to its last acknowledged event.

use quorate_model::{Digest, RunEvent, RunId, Seq};
use quorate_store::{SqliteStore, Store};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

/// Set for the child: the file that it appends to until it is killed.
const CHILD: &str = "QUORATE_TEST_APPEND";
/// Events that the child appends at once: all of them or none must be there.
const BATCH: usize = 3;
/// An end for a child that nobody kills.
const BATCHES_MAX: u64 = 200_000;

fn run() -> RunId {
    "r1".into()
}

/// Does nothing unless it runs as the child of the test below.
#[test]
fn child_appends_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let store = SqliteStore::open(Path::new(&path)).unwrap();
    let mut end = store.journal(&run(), Seq(0)).unwrap().last().map_or(Seq(0), |last| last.seq);
    for batch in 0..BATCHES_MAX {
        let text = "x".repeat(usize::try_from(batch % 50).unwrap() * 100);
        let note = RunEvent::Note { by: "child".into(), text };
        let events = vec![note; BATCH];
        end = store.append(&run(), None, end, jiff::Timestamp::UNIX_EPOCH, &events).unwrap();
        println!("acked {end}");
    }
}

#[test]
fn a_killed_controller_leaves_a_contiguous_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    SqliteStore::open(&path)
        .unwrap()
        .create_run(&run(), &"demo".into(), &Digest::new("d"), jiff::Timestamp::UNIX_EPOCH)
        .unwrap();
    // Early, late and many times: the same file goes on through every crash.
    for acks_before_kill in [1, 2, 5, 13, 40, 120, 7, 1] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_appends_until_it_is_killed", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let acked = |line: &str| {
            line.split("acked ").nth(1).and_then(|number| number.trim().parse::<usize>().ok())
        };
        let mut last = 0;
        for _ in 0..acks_before_kill {
            last = lines
                .by_ref()
                .map(Result::unwrap)
                .find_map(|line| acked(&line))
                .expect("the child appends");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What the child acknowledged between the last line read and its end.
        last = lines.map_while(Result::ok).filter_map(|line| acked(&line)).last().unwrap_or(last);

        let journal = SqliteStore::open(&path).unwrap().journal(&run(), Seq(0)).unwrap();
        let places: Vec<usize> =
            journal.iter().map(|recorded| usize::try_from(recorded.seq.0).unwrap()).collect();
        assert_eq!(
            places,
            (1..=journal.len()).collect::<Vec<_>>(),
            "contiguous from the beginning"
        );
        assert!(journal.len() >= last, "{} events, but {last} were acknowledged", journal.len());
        assert_eq!(journal.len() % BATCH, 0, "a batch is there as a whole or not at all");
    }
}
