//! Watches the probe's keys through one endpoint, and goes on at another from where it was when that one fails.

use crate::{
    calls::{Event, Way, Words},
    shared::Shared,
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

/// Watches in a row that went on from a known revision and told nothing although writes were acknowledged: that
/// revision is gone from the product's history.
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

/// Watches until told to stop. `stands` becomes true with the first watch.
pub(crate) async fn run(
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
    stands: watch::Sender<bool>,
) {
    let mut place = Place::default();
    let mut last = None;
    while !*stop.borrow() {
        let Some((index, url)) = shared.choose(last) else { return };
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
        give_up_revision(&shared, &mut place, told);
        if told == 0 {
            sleep(REOPEN).await;
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
                told += take_in(shared, place, events, next);
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

/// Enters events, and that a watch stands for whatever is numbered `next` or more; gives how many they were.
fn take_in(shared: &Shared, place: &mut Place, events: Vec<Event>, next: u64) -> u64 {
    let mut book = shared.book();
    book.sightings.arm(next);
    let mut told = 0;
    for event in events {
        place.next = place.next.max(event.revision + 1);
        told += 1;
        if let (true, Ok(seq)) = (event.key.starts_with(&shared.prefix), event.value.parse()) {
            book.sightings.seen(seq);
        }
    }
    told
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
        told += take_in(shared, place, events, next);
        stands.send_if_modified(|stands| !std::mem::replace(stands, true));
    }
    told
}

/// Notices that a revision cannot be had any more, and begins a new account from now on.
fn give_up_revision(shared: &Shared, place: &mut Place, told: u64) {
    let mut book = shared.book();
    let waiting = book.sightings.waiting();
    let fruitless = told == 0 && place.next > 0 && waiting > 0 && waiting >= place.waiting;
    place.fruitless = if fruitless { place.fruitless + 1 } else { 0 };
    place.waiting = waiting;
    if place.fruitless >= FRUITLESS_MAX {
        let next = book.ledger.begun() + 1;
        book.sightings.broken(next);
        *place = Place::default();
    }
}
