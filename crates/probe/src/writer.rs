//! Begins a write every few milliseconds and carries each through: another endpoint at once when one refuses, another
//! after a short limit when one is silent.

use crate::{
    calls::{Tried, Words},
    endpoints::Reply,
    ledger::{Ledger, Ticket, WriteEnd},
    shared::Shared,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at},
};

/// After every endpoint was tried once, wait this long, and longer after each further round: an outage must not become
/// a storm of connections.
const ROUND_PAUSE: Duration = Duration::from_millis(10);

/// The longest of these pauses; with many writes under way one of them still tries every few milliseconds.
const ROUND_PAUSE_MAX: Duration = Duration::from_millis(100);

/// Writes until told to stop, then waits for what is under way.
pub(crate) async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut tick = interval(shared.options.write_every);
    // A writer that was kept from running does not make up for it in a burst.
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let slots = Arc::new(Semaphore::new(shared.options.in_flight_max));
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            _ = tick.tick() => {}
        }
        let Ok(slot) = slots.clone().try_acquire_owned() else { continue };
        let Some(ticket) = shared.book().ledger.begin_write() else { continue };
        let shared = shared.clone();
        tokio::spawn(async move {
            write(&shared, &ticket).await;
            drop(slot);
        });
    }
    let all = u32::try_from(shared.options.in_flight_max).unwrap_or(u32::MAX);
    // A write ends within its own limit; the second on top is for the scheduler.
    let _ = timeout(shared.options.request_limit + Duration::from_secs(1), slots.acquire_many(all))
        .await;
}

/// Carries one write through and enters its end.
async fn write(shared: &Shared, ticket: &Ticket) {
    let began = shared.now();
    let end = attempt(shared, ticket).await;
    let now = shared.now();
    let gap = {
        let mut book = shared.book();
        book.ledger.end_write(ticket, end);
        if end.acked {
            book.sightings.acked(&ticket.key, ticket.seq);
            Some(book.pulse.acked(now, now.saturating_sub(began)))
        } else {
            book.pulse.failed();
            None
        }
    };
    if let Some(gap) = gap {
        shared.tell_gap(gap);
    }
}

async fn attempt(shared: &Shared, ticket: &Ticket) -> WriteEnd {
    let deadline = Instant::now() + shared.options.request_limit;
    let value = Ledger::value(ticket.seq);
    let count = shared.endpoints().all().len();
    let mut strays = false;
    let mut last = None;
    let mut tries = 0;
    while Instant::now() < deadline {
        let Ok(Some((index, url))) = timeout_at(deadline, shared.choose(last)).await else { break };
        let words = Words { endpoint: &url, key: &ticket.key, value: &value, ..Words::default() };
        let limit =
            shared.options.try_limit.min(deadline.saturating_duration_since(Instant::now()));
        let (way, sent) = (shared.way(), Instant::now());
        let tried = way.write(words, limit).await;
        let served = matches!(tried, Tried::Done(()));
        shared.judge(index, Reply::of(served, sent.elapsed(), limit));
        match tried {
            Tried::Done(()) => return WriteEnd { acked: true, strays },
            Tried::Not(because) => shared.book().last_complaint = Some(because),
            Tried::Unclear(because) => {
                strays = true;
                shared.book().last_complaint = Some(because);
            }
        }
        last = Some(index);
        tries += 1;
        pause(tries, count).await;
    }
    WriteEnd { acked: false, strays }
}

/// Rests between rounds over all endpoints.
pub(crate) async fn pause(tries: usize, endpoints: usize) {
    if endpoints > 0 && tries.is_multiple_of(endpoints) {
        let round = u32::try_from(tries / endpoints).unwrap_or(u32::MAX);
        sleep(ROUND_PAUSE.saturating_mul(round).min(ROUND_PAUSE_MAX)).await;
    }
}
