//! T21: the controller is killed with SIGKILL after every single append to the journal. However often it dies, the run that
//! is taken up again repeats no step that is over and skips none.

use quorate_e2e::{
    Bed,
    ask::{crash, finished, started},
};
use quorate_model::{Outcome, Plan, Recorded, RunEvent};
use std::collections::{BTreeMap, BTreeSet};

/// More lives than this mean that the run does not move on any more.
const LIVES_MAX: usize = 400;

const CRASHING: &str = env!("CARGO_BIN_EXE_crashing");

/// Which event of which step was among the last things that a killed controller wrote.
type Places = BTreeSet<(&'static str, String)>;

#[test]
fn t21_every_append_that_moves_the_run_on_is_once_the_last_one() {
    // The first append of each life that moves the run on is its last: each such place is once the end of the journal.
    let (places, journal) = chain("3.5.16", |_| "progress:1".to_owned());
    for recorded in &journal {
        let again = matches!(&recorded.event, RunEvent::Started { attempt, .. } if attempt.0 > 1);
        let done = matches!(&recorded.event, RunEvent::DoneProbed { done: false, .. });
        if let (Some(place), false) = (place(&recorded.event), again || done) {
            assert!(places.contains(&place), "nobody was killed right after {place:?}");
        }
    }
}

#[test]
fn t21_lives_of_every_length() {
    // Lives of one append, of two, of three and so on: kills also between taking over, looking and going on.
    let (places, _) = chain("3.5.16", |life| format!("append:{}", 1 + life % 9));
    assert!(places.len() > 5, "the kills did not bite: {places:?}");
}

fn place(event: &RunEvent) -> Option<(&'static str, String)> {
    let (name, step) = match event {
        RunEvent::Started { step, .. } => ("started", step),
        RunEvent::Acted { step, .. } => ("acted", step),
        RunEvent::Finished { step, .. } => ("finished", step),
        RunEvent::BackedUp { step, .. } => ("backed-up", step),
        _ => return None,
    };
    Some((name, step.as_str().to_owned()))
}

/// The events of the journal's last append: they were written at one time.
fn last_append(journal: &[Recorded]) -> Places {
    let at = journal.last().map(|last| last.at);
    journal
        .iter()
        .rev()
        .take_while(|recorded| Some(recorded.at) == at)
        .filter_map(|recorded| place(&recorded.event))
        .collect()
}

/// Carries one run through as many lives as it needs; gives the places where they ended, and the journal.
#[track_caller]
fn chain(to: &str, when: impl Fn(usize) -> String) -> (Places, Vec<Recorded>) {
    let bed = Bed::up("3.4.23", &[]);
    bed.limit(&["soak_secs: 0", "good_looks: 1", "look_every_secs: 0.1"]);
    for key in 0..5 {
        bed.put(&format!("key-{key}"), &format!("value-{key}"));
    }
    let file = bed.plan(to, &[]);
    let plan: Plan = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(crash(CRASHING, &bed, "begin", &file.display().to_string(), "append:1"), None);
    let run = bed.runs()[0].run.to_string();
    let mut lives = 1;
    let mut places = Places::new();
    loop {
        places.extend(last_append(&bed.journal()));
        lives += 1;
        assert!(lives < LIVES_MAX, "the run does not come to an end:\n{}", tail(&bed.journal()));
        match crash(CRASHING, &bed, "resume", &run, &when(lives)) {
            // Killed right after the very last append: the run is over, only its killer's word is missing.
            None if matches!(
                bed.journal().last().map(|last| &last.event),
                Some(RunEvent::Succeeded)
            ) =>
            {
                places.extend(last_append(&bed.journal()));
                break;
            }
            None => {}
            Some(_) => break,
        }
    }
    assert_eq!(bed.runs().len(), 1);
    each_step_once(&plan, &bed.journal());
    each_member_moved_once(&bed, to);
    (places, bed.journal())
}

/// The journal has no hole, every step is over exactly once, and no act succeeded twice.
#[track_caller]
fn each_step_once(plan: &Plan, journal: &[Recorded]) {
    let places: Vec<u64> = journal.iter().map(|recorded| recorded.seq.0).collect();
    assert_eq!(
        places,
        (1..=u64::try_from(journal.len()).unwrap()).collect::<Vec<_>>(),
        "the journal has a hole"
    );
    assert_eq!(
        journal.iter().filter(|recorded| matches!(recorded.event, RunEvent::Succeeded)).count(),
        1,
        "{}",
        tail(journal)
    );
    let steps: Vec<String> = plan
        .hops
        .iter()
        .flat_map(|hop| &hop.waves)
        .flat_map(|wave| &wave.steps)
        .map(|step| step.id.as_str().to_owned())
        .collect();
    let over: Vec<String> = finished(journal).into_iter().map(|(step, _)| step).collect();
    assert_eq!(over, steps, "every step is over once, in the plan's order");
    let mut succeeded: BTreeMap<String, u32> = BTreeMap::new();
    for recorded in journal {
        if let RunEvent::Acted { step, outcome: Outcome::Succeeded { .. }, .. } = &recorded.event {
            *succeeded.entry(step.as_str().to_owned()).or_default() += 1;
        }
    }
    assert!(succeeded.values().all(|count| *count == 1), "an act succeeded twice: {succeeded:?}");
    // A member's own acts were never skipped as if somebody else had done them.
    let begun: BTreeSet<String> = started(journal).into_iter().collect();
    for role in [".stop", ".swap", ".start"] {
        for step in steps.iter().filter(|step| step.ends_with(role)) {
            assert!(begun.contains(step), "{step} was skipped");
        }
    }
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

fn tail(journal: &[Recorded]) -> String {
    let from = journal.len().saturating_sub(30);
    journal
        .iter()
        .skip(from)
        .map(|recorded| format!("{} {:?}\n", recorded.seq.0, recorded.event))
        .collect()
}
