//! A run that is carried through by many controllers, each of which is killed with SIGKILL right after an append to the journal.

use crate::{
    Bed,
    ask::{crash, finished, started},
};
use quorate_model::{Outcome, Plan, Recorded, RunEvent};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// More lives than this mean that the run does not move on any more.
const LIVES_MAX: usize = 400;

/// Which event of which step was among the last things that a killed controller wrote.
pub type Places = BTreeSet<(&'static str, String)>;

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

/// Carries one run of a plan through as many lives as it needs; gives the places where they ended, and the journal. Each step was
/// over once, no act succeeded twice, and nobody's stop, swap or start was skipped.
#[track_caller]
pub fn lives(
    crashing: &str,
    bed: &Bed,
    plan: &Path,
    when: impl Fn(usize) -> String,
) -> (Places, Vec<Recorded>) {
    assert_eq!(crash(crashing, bed, "begin", &plan.display().to_string(), "append:1"), None);
    let run = bed.runs()[0].run.to_string();
    let mut lives = 1;
    let mut places = Places::new();
    loop {
        places.extend(last_append(&bed.journal()));
        lives += 1;
        assert!(lives < LIVES_MAX, "the run does not come to an end:\n{}", tail(&bed.journal()));
        match crash(crashing, bed, "resume", &run, &when(lives)) {
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
    let plan = serde_json::from_str(&fs::read_to_string(plan).expect("a plan")).expect("a plan");
    each_step_once(&plan, &bed.journal());
    (places, bed.journal())
}

/// Insists that every append that moves a run on was once the last one of a life.
#[track_caller]
pub fn everywhere(places: &Places, journal: &[Recorded]) {
    for recorded in journal {
        let again = matches!(&recorded.event, RunEvent::Started { attempt, .. } if attempt.0 > 1);
        let done = matches!(&recorded.event, RunEvent::DoneProbed { done: false, .. });
        if let (Some(place), false) = (place(&recorded.event), again || done) {
            assert!(places.contains(&place), "nobody was killed right after {place:?}");
        }
    }
}

/// The journal has no hole, every step is over exactly once, and no act succeeded twice.
#[track_caller]
fn each_step_once(plan: &Plan, journal: &[Recorded]) {
    let places: Vec<u64> = journal.iter().map(|recorded| recorded.seq.0).collect();
    let whole: Vec<u64> = (1..=u64::try_from(journal.len()).expect("a length")).collect();
    assert_eq!(places, whole, "the journal has a hole");
    assert_eq!(
        journal.iter().filter(|recorded| matches!(recorded.event, RunEvent::Succeeded)).count(),
        1,
        "{}",
        tail(journal)
    );
    let waves = || plan.hops.iter().flat_map(|hop| &hop.waves);
    let mut steps: Vec<String> =
        waves().flat_map(|wave| &wave.steps).map(|step| step.id.as_str().to_owned()).collect();
    let mut over: Vec<String> = finished(journal).into_iter().map(|(step, _)| step).collect();
    if waves().any(|wave| wave.lanes.is_some()) {
        // Nodes beside each other end in any order.
        steps.sort();
        over.sort();
    }
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
    // Where the release stays, its files lie there already.
    let roles: &[_] =
        if plan.from == plan.to { &[".stop", ".start"] } else { &[".stop", ".swap", ".start"] };
    for role in roles {
        for step in steps.iter().filter(|step| step.ends_with(*role)) {
            assert!(begun.contains(step), "{step} was skipped");
        }
    }
}

fn tail(journal: &[Recorded]) -> String {
    let from = journal.len().saturating_sub(30);
    journal
        .iter()
        .skip(from)
        .map(|recorded| format!("{} {:?}\n", recorded.seq.0, recorded.event))
        .collect()
}
