//! Reads keys back, linearizably, half a round after they were written: what was acknowledged must be there.

use crate::{calls::Words, endpoints::Reply, ledger::ReadTicket, shared::Shared, writer::pause};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, MissedTickBehavior, interval, timeout, timeout_at},
};

/// Reads until told to stop, then waits for what is under way.
pub(crate) async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut tick = interval(shared.options.read_every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let slots = Arc::new(Semaphore::new(shared.options.reads_in_flight_max()));
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            _ = tick.tick() => {}
        }
        let Ok(slot) = slots.clone().try_acquire_owned() else { continue };
        let Some(ticket) = shared.book().ledger.begin_read() else { continue };
        let shared = shared.clone();
        tokio::spawn(async move {
            read(&shared, ticket).await;
            drop(slot);
        });
    }
    let all = u32::try_from(shared.options.reads_in_flight_max()).unwrap_or(u32::MAX);
    let _ = timeout(shared.options.request_limit + Duration::from_secs(1), slots.acquire_many(all))
        .await;
}

async fn read(shared: &Shared, ticket: ReadTicket) {
    let deadline = Instant::now() + shared.options.request_limit;
    let count = shared.endpoints().all().len();
    let mut last = None;
    let mut tries = 0;
    while Instant::now() < deadline {
        let Ok(Some((index, url))) = timeout_at(deadline, shared.choose(last)).await else { break };
        let words = Words { endpoint: &url, key: &ticket.key, ..Words::default() };
        let limit =
            shared.options.try_limit.min(deadline.saturating_duration_since(Instant::now()));
        let sent = Instant::now();
        let seen = shared.way().read(words, limit).await;
        shared.judge(index, Reply::of(seen.is_ok(), sent.elapsed(), limit));
        match seen {
            Ok(text) => {
                let mut book = shared.book();
                let fine = book.ledger.end_read(&ticket, text.as_deref(), &url);
                book.reads_ok += 1;
                book.reads_stale += u64::from(!fine);
                return;
            }
            Err(because) => shared.book().last_complaint = Some(because),
        }
        last = Some(index);
        tries += 1;
        pause(tries, count).await;
    }
    let mut book = shared.book();
    book.pulse.failed();
    book.ledger.give_back(ticket);
}
