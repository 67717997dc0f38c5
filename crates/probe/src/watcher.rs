//! Watches the probe's keys through one endpoint, and goes on at another from where it was when that one fails.

use crate::{
    calls::{Event, Way, Words},
    ledger::Ledger,
    shared::Shared,
    sightings::{Sightings, Tells},
};
use futures::StreamExt;
use quorate_transport::http::documents;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};

/// A watch that tells nothing for this long is given up for another: while the probe writes, an event is due every few
/// milliseconds. When nothing is written either, a fresh watch from the same revision costs nothing.
const SILENCE: Duration = Duration::from_secs(1);

/// Watches in a row that went on from a known revision, at endpoints that served, and told nothing although writes were
/// acknowledged: that revision is gone from the product's history. An endpoint that does not serve says nothing of it: many
/// stop at once when clients move in waves, and their refusals take a few milliseconds each.
const FRUITLESS_MAX: u32 = 3;

/// From one question of a watch that polls to the next. Each answer holds every key: ten a second are cheap, and with a key
/// written anew every five seconds nothing is written twice in between.
const POLL_EVERY: Duration = Duration::from_millis(100);

/// Between two watches that could not be opened.
const REOPEN: Duration = Duration::from_millis(50);

/// Where a watch stands.
#[derive(Debug, Default)]
struct Place {
    /// The next revision that was not told yet; 0 before any event: from now on.
    next: u64,
    fruitless: u32,
    /// Acknowledged writes that waited for an event when the last watch ended.
    waiting: u64,
}

impl Place {
    /// Enters events into the account; gives how many they were.
    fn enter(
        &mut self,
        sightings: &mut Sightings,
        prefix: &str,
        events: Vec<Event>,
        tells: Tells,
    ) -> u64 {
        let mut told = 0;
        for Event { key, value, revision } in events {
            self.next = self.next.max(revision + 1);
            told += 1;
            if let (true, Ok(seq)) = (key.starts_with(prefix), value.parse()) {
                sightings.seen(&key, seq, tells);
            }
        }
        told
    }

    /// Whether the revision to go on from is gone, after a watch at an endpoint that served told this much.
    fn is_gone(&mut self, told: u64, waiting: u64) -> bool {
        let fruitless = told == 0 && self.next > 0 && waiting > 0 && waiting >= self.waiting;
        self.fruitless = if fruitless { self.fruitless + 1 } else { 0 };
        self.waiting = waiting;
        self.fruitless >= FRUITLESS_MAX
    }
}

/// Watches until told to stop. `stands` becomes true with the first watch.
pub(crate) async fn run(
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
    stands: watch::Sender<bool>,
) {
    let mut place = Place::default();
    let mut last = None;
    while !*stop.borrow() {
        let chosen = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            chosen = shared.choose(last) => chosen,
        };
        let Some((index, url)) = chosen else { return };
        last = Some(index);
        let way = shared.way();
        let told = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            told = async {
                match way.polls() {
                    true => ask_on(&shared, &way, &url, &mut place, &stands).await,
                    false => follow(&shared, &way, &url, &mut place, &stands).await,
                }
            } => told,
        };
        if told == 0 {
            // A watch that polls has judged its own answers.
            if !way.polls() && serves(&shared, &way, &url).await {
                give_up_revision(&shared, &mut place, told);
            }
            sleep(REOPEN).await;
        } else {
            place.fruitless = 0;
        }
    }
}

/// Asks one long question after the other at one endpoint, until it does not answer; gives the number of events.
async fn ask_on(
    shared: &Shared,
    way: &Way,
    url: &str,
    place: &mut Place,
    stands: &watch::Sender<bool>,
) -> u64 {
    let mut told = 0;
    loop {
        let (prefix, revision) = (&shared.prefix, place.next);
        let words = Words { endpoint: url, prefix, revision, ..Words::default() };
        let again = Instant::now() + POLL_EVERY;
        // What is begun from here on is in the next answer at the latest.
        let next = shared.book().ledger.begun() + 1;
        match way.poll(words, SILENCE).await {
            Ok(events) => {
                let new = take_in(shared, place, events, next, Tells::Newest);
                // Whoever answers knows of every write that was acknowledged before it was asked.
                give_up_revision(shared, place, new);
                told += new;
                stands.send_if_modified(|stands| !std::mem::replace(stands, true));
            }
            Err(because) => {
                tracing::debug!(url, because, "a question of the watch was not answered");
                return told;
            }
        }
        sleep_until(again).await;
    }
}

/// Whether an endpoint answers a client's read, which says that it could have told a watch something, too.
async fn serves(shared: &Shared, way: &Way, url: &str) -> bool {
    let key = format!("{}{}", shared.prefix, Ledger::value(0));
    let words = Words { endpoint: url, key: &key, ..Words::default() };
    way.read(words, SILENCE).await.is_ok()
}

/// Enters events, and that a watch stands for whatever is numbered `next` or more; gives how many they were.
fn take_in(shared: &Shared, place: &mut Place, events: Vec<Event>, next: u64, tells: Tells) -> u64 {
    let mut book = shared.book();
    book.sightings.arm(next);
    place.enter(&mut book.sightings, &shared.prefix, events, tells)
}

/// Follows one watch to its end and gives the number of events that it told.
async fn follow(
    shared: &Shared,
    way: &Way,
    url: &str,
    place: &mut Place,
    stands: &watch::Sender<bool>,
) -> u64 {
    let words =
        Words { endpoint: url, prefix: &shared.prefix, revision: place.next, ..Words::default() };
    let (request, http) = match way.watch(words) {
        Ok(request) => request,
        Err(because) => {
            shared.book().last_complaint = Some(because);
            return 0;
        }
    };
    let mut stream = documents(http.stream(&request, SILENCE));
    let mut told = 0;
    while let Ok(Some(document)) = timeout(SILENCE, stream.next()).await {
        let events = match document.and_then(|document| way.events(&document)) {
            Ok(events) => events,
            Err(because) => {
                tracing::debug!(url, because, "watch ended");
                break;
            }
        };
        let next = shared.book().ledger.begun() + 1;
        told += take_in(shared, place, events, next, Tells::Every);
        stands.send_if_modified(|stands| !std::mem::replace(stands, true));
    }
    told
}

/// Notices that a revision cannot be had any more, and begins a new account from now on.
fn give_up_revision(shared: &Shared, place: &mut Place, told: u64) {
    let mut book = shared.book();
    if place.is_gone(told, book.sightings.waiting()) {
        let next = book.ledger.begun() + 1;
        book.sightings.broken(next);
        *place = Place::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "quorate-probe/x/";

    /// Events as the answers of blocking queries held them: keys by their place, numbers and revisions.
    fn answer(kept: &[(u32, u64, u64)]) -> Vec<Event> {
        let event = |(register, seq, revision): &(u32, u64, u64)| {
            let key = format!("{PREFIX}{register:04}-0");
            Event { key, value: Ledger::value(*seq), revision: *revision }
        };
        kept.iter().map(event).collect()
    }

    fn key(register: u32) -> String {
        format!("{PREFIX}{register:04}-0")
    }

    #[test]
    fn a_value_that_was_overwritten_between_two_answers_was_not_missed() {
        let (mut place, mut sightings) = (Place::default(), Sightings::default());
        sightings.arm(1);
        sightings.acked(&key(1), 1);
        sightings.acked(&key(2), 2);
        place.enter(&mut sightings, PREFIX, answer(&[(1, 1, 40), (2, 2, 41)]), Tells::Newest);
        // Nobody answers for a round of the registers: 3 is overwritten by 5 before the next answer.
        [(1, 3), (2, 4), (1, 5)].iter().for_each(|(at, seq)| sightings.acked(&key(*at), *seq));
        place.enter(&mut sightings, PREFIX, answer(&[(1, 5, 44), (2, 4, 43)]), Tells::Newest);
        assert_eq!((sightings.totals(), place.next), ((4, 0), 45));
    }

    #[test]
    fn a_write_that_no_answer_holds_was_missed() {
        let (mut place, mut sightings) = (Place::default(), Sightings::default());
        sightings.arm(1);
        (1..=3).for_each(|seq| sightings.acked(&key(u32::try_from(seq).unwrap()), seq));
        place.enter(&mut sightings, PREFIX, answer(&[(1, 1, 40), (3, 3, 42)]), Tells::Newest);
        assert_eq!(sightings.totals(), (2, 1), "2 was acknowledged and is in no answer");
    }

    #[test]
    fn a_revision_is_gone_once_those_who_serve_tell_nothing_of_what_waits() {
        let mut place = Place { next: 7, ..Place::default() };
        assert!(!place.is_gone(0, 3) && !place.is_gone(0, 5));
        assert!(!place.is_gone(2, 4), "one that tells something begins the count anew");
        assert!(!place.is_gone(0, 4) && !place.is_gone(0, 4));
        assert!(place.is_gone(0, 6));
        let mut quiet = Place { next: 7, ..Place::default() };
        assert!((0..9).all(|_| !quiet.is_gone(0, 0)), "nothing is due while nothing is written");
    }
}
