//! Journals only grow, at the expected sequence, under the newest generation.

use super::{fixture::*, over_every_store};
use quorate_model::{Digest, RunEvent, RunState, Seq};
use quorate_store::{Store, StoreError, append_as_operator};
use std::sync::{Barrier, Mutex};

fn grows_at_the_expected_sequence(store: &dyn Store) {
    let lease = begun(store);
    let append = |expected, events: &[RunEvent]| {
        store.append(&run(), Some(&lease), Seq(expected), at(1), events)
    };
    assert_eq!(append(0, &[started("a"), started("b")]).unwrap(), Seq(2));
    assert_eq!(append(2, &[]).unwrap(), Seq(2));
    assert_eq!(append(2, &[started("c")]).unwrap(), Seq(3));
    for wrong in [0, 2, 4] {
        let error = append(wrong, &[started("x")]).unwrap_err();
        assert!(
            matches!(error, StoreError::Conflict { expected, actual: Seq(3), .. } if expected == Seq(wrong)),
            "{error}"
        );
    }
    assert_eq!(story(store), "1:a 2:b 3:c");
    let tail = store.journal(&run(), Seq(2)).unwrap();
    assert_eq!((tail.len(), tail[0].seq, tail[0].at), (1, Seq(3), at(1)));
    assert!(store.journal(&run(), Seq(9)).unwrap().is_empty());
}

fn an_older_generation_is_refused_even_at_the_right_sequence(store: &dyn Store) {
    let old = begun(store);
    let new = store.take_lease(&cluster(), &run(), &holder("ben"), at(1), TTL, true).unwrap();
    let error = store.append(&run(), Some(&old), Seq(0), at(2), &[started("a")]).unwrap_err();
    assert!(
        matches!(error, StoreError::Fenced { own, newest, .. } if own == old.generation && newest == new.generation)
    );
    let late = store.append(&run(), Some(&old), Seq(5), at(2), &[started("a")]).unwrap_err();
    assert!(
        matches!(late, StoreError::Fenced { .. }),
        "the fence comes before the sequence: {late}"
    );
    store.append(&run(), Some(&new), Seq(0), at(2), &[started("b")]).unwrap();
    assert_eq!(story(store), "1:b");
}

fn a_lease_given_back_or_of_another_run_writes_nothing(store: &dyn Store) {
    let lease = begun(store);
    store.create_run(&"r2".into(), &cluster(), &Digest::new("d2"), at(0)).unwrap();
    store.create_run(&"r3".into(), &"other".into(), &Digest::new("d3"), at(0)).unwrap();
    for other in ["r2", "r3"] {
        let error =
            store.append(&other.into(), Some(&lease), Seq(0), at(1), &[started("a")]).unwrap_err();
        assert!(matches!(error, StoreError::NotHeld { .. }), "{error}");
    }
    store.release_lease(&lease).unwrap();
    let error = store.append(&run(), Some(&lease), Seq(0), at(1), &[started("a")]).unwrap_err();
    assert!(matches!(error, StoreError::NotHeld { .. }), "{error}");
    assert_eq!(story(store), "");
}

fn an_expired_lease_that_nobody_took_still_writes(store: &dyn Store) {
    let lease = begun(store);
    store.append(&run(), Some(&lease), Seq(0), at(1000), &[started("a")]).unwrap();
    assert_eq!(story(store), "1:a");
}

fn a_person_writes_without_a_lease_and_only_a_persons_events(store: &dyn Store) {
    begun(store);
    let (by, reason) = (|| "anna".to_owned(), || "lunch".to_owned());
    let words = [
        RunEvent::PauseRequested { by: by(), reason: reason() },
        RunEvent::AbortRequested { by: by(), reason: reason() },
        RunEvent::Approved { step: "go".into(), by: by() },
        note("hm"),
    ];
    assert_eq!(store.append(&run(), None, Seq(0), at(1), &words).unwrap(), Seq(4));
    let error = store.append(&run(), None, Seq(4), at(1), &[note("x"), started("a")]).unwrap_err();
    assert!(matches!(error, StoreError::NeedsLease { event: "started", .. }), "{error}");
    let error = store.append(&run(), None, Seq(4), at(1), &[RunEvent::Succeeded]).unwrap_err();
    assert!(matches!(error, StoreError::NeedsLease { event: "succeeded", .. }), "{error}");
    assert_eq!(store.journal(&run(), Seq(0)).unwrap().len(), 4);
    assert_eq!(append_as_operator(store, &run(), at(2), &note("end")).unwrap(), Seq(5));
}

fn an_unknown_run_is_missing_and_a_known_one_is_not_made_twice(store: &dyn Store) {
    let missing = store.append(&run(), None, Seq(0), at(0), &[note("x")]).unwrap_err();
    assert_eq!(missing.to_string(), "there is no run `r1`");
    assert!(matches!(store.journal(&run(), Seq(0)), Err(StoreError::Missing { .. })));
    begun(store);
    let twice = store.create_run(&run(), &cluster(), &Digest::new("d9"), at(9)).unwrap_err();
    assert_eq!(twice.to_string(), "there is a run `r1` already");
    assert_eq!(store.runs().unwrap()[0].plan, Digest::new("d1"));
}

fn runs_are_listed_newest_first_with_their_state(store: &dyn Store) {
    let lease = begun(store);
    store.create_run(&"r0".into(), &"other".into(), &Digest::new("d0"), at(-5)).unwrap();
    store.create_run(&"r2".into(), &"other".into(), &Digest::new("d2"), at(0)).unwrap();
    let paused = RunEvent::Paused { by: "anna".into() };
    store.append(&run(), Some(&lease), Seq(0), at(1), &[started("a"), paused, note("x")]).unwrap();
    let runs = store.runs().unwrap();
    let names: Vec<&str> = runs.iter().map(|header| header.run.as_str()).collect();
    assert_eq!(names, ["r2", "r1", "r0"]);
    assert_eq!(runs[0].state, RunState::Running);
    assert_eq!(runs[1].state, RunState::Paused { by: "anna".into() });
    assert_eq!((runs[1].began_at, &runs[1].cluster), (at(0), &cluster()));
}

fn of_two_writers_one_wins_each_sequence(store: &dyn Store) {
    const EACH: usize = 25;
    begun(store);
    let wins = Mutex::new(Vec::new());
    let barrier = Barrier::new(2);
    std::thread::scope(|scope| {
        for writer in ["a", "b"] {
            let (wins, barrier) = (&wins, &barrier);
            scope.spawn(move || {
                barrier.wait();
                let mut end = Seq(0);
                let mut won = 0;
                while won < EACH {
                    let text = format!("{writer}{won}");
                    match store.append(&run(), None, end, at(1), &[note(&text)]) {
                        Ok(seq) => {
                            assert_eq!(seq, end.next());
                            wins.lock().unwrap().push((seq, text));
                            (end, won) = (seq, won + 1);
                        }
                        Err(StoreError::Conflict { actual, .. }) => end = actual,
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
    });
    let mut wins = wins.into_inner().unwrap();
    wins.sort();
    assert_eq!(wins.len(), 2 * EACH);
    let told = wins.iter().map(|(seq, text)| format!("{seq}:{text}")).collect::<Vec<_>>().join(" ");
    assert_eq!(story(store), told, "each winner stands where it was told that it stands");
}

over_every_store!(
    grows_at_the_expected_sequence,
    an_older_generation_is_refused_even_at_the_right_sequence,
    a_lease_given_back_or_of_another_run_writes_nothing,
    an_expired_lease_that_nobody_took_still_writes,
    a_person_writes_without_a_lease_and_only_a_persons_events,
    an_unknown_run_is_missing_and_a_known_one_is_not_made_twice,
    runs_are_listed_newest_first_with_their_state,
    of_two_writers_one_wins_each_sequence,
);
