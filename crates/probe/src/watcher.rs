//! Watches the probe's keys through one endpoint, and goes on at another from where it was when that one fails.

use crate::{
    calls::{Way, Words},
    shared::Shared,
};
use futures::StreamExt;
use quorate_transport::http::documents;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

/// A watch that tells nothing for this long is given up for another: while the probe writes, an event is due every few
/// milliseconds. When nothing is written either, a fresh watch from the same revision costs nothing.
const SILENCE: Duration = Duration::from_secs(1);

/// Watches in a row that went on from a known revision and told nothing although writes were acknowledged: that
/// revision is gone from the product's history.
const FRUITLESS_MAX: u32 = 3;

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
            told = follow(&shared, &way, &url, &mut place, &stands) => told,
        };
        give_up_revision(&shared, &mut place, told);
        if told == 0 {
            sleep(REOPEN).await;
        }
    }
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
        let mut book = shared.book();
        let next = book.ledger.begun() + 1;
        book.sightings.arm(next);
        for event in events {
            place.next = place.next.max(event.revision + 1);
            told += 1;
            if let (true, Ok(seq)) = (event.key.starts_with(&shared.prefix), event.value.parse()) {
                book.sightings.seen(seq);
            }
        }
        drop(book);
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
