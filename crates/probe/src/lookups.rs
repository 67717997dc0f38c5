//! Looks a service of the product up, again and again, by every way that the pack knows: an answer is right when it names
//! somebody, and nobody who is not of the cluster.
//!
//! Who is of the cluster: the declared addresses, and what the first answers named, from before anything is changed.

use crate::{
    calls::{Way, Words},
    dns,
    endpoints::Reply,
    shared::{Shared, millis},
};
use quorate_model::LookupFigures;
use quorate_packs::LookupWay;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};

/// Between two questions of one way: a gap of a second is seen as one, and ten questions a second cost nothing.
const EVERY: Duration = Duration::from_millis(100);

/// The first answers of each way teach who is of the cluster: those of the first half second, when no baseline is over yet.
const LESSONS: u64 = 5;

/// The account of all ways.
#[derive(Debug, Default)]
pub(crate) struct Lookups {
    ways: Vec<Account>,
    known: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Account {
    figures: LookupFigures,
    last_right: Duration,
    gap_max: Duration,
}

impl Lookups {
    /// Addresses of the cluster as it is declared.
    pub(crate) fn declare(&mut self, addresses: impl IntoIterator<Item = String>) {
        self.known.extend(addresses);
    }

    /// A way begins; gives its place.
    pub(crate) fn begin(&mut self, name: &str, now: Duration) -> usize {
        let figures = LookupFigures { name: name.to_owned(), ..LookupFigures::default() };
        self.ways.push(Account { figures, last_right: now, gap_max: Duration::ZERO });
        self.ways.len() - 1
    }

    /// An answer came.
    pub(crate) fn answered(&mut self, way: usize, addresses: &[String], now: Duration) {
        let Some(own) = self.ways.get_mut(way) else { return };
        if own.figures.right + own.figures.wrong < LESSONS {
            self.known.extend(addresses.iter().cloned());
        }
        if addresses.is_empty() || !addresses.iter().all(|one| self.known.contains(one)) {
            own.figures.wrong += 1;
            return;
        }
        own.figures.right += 1;
        own.gap_max = own.gap_max.max(now.saturating_sub(own.last_right));
        own.last_right = now;
    }

    /// Nobody answered.
    pub(crate) fn failed(&mut self, way: usize) {
        if let Some(own) = self.ways.get_mut(way) {
            own.figures.failed += 1;
        }
    }

    /// Nothing is looked up from here on.
    pub(crate) fn close(&mut self, now: Duration) {
        for own in &mut self.ways {
            own.gap_max = own.gap_max.max(now.saturating_sub(own.last_right));
            own.last_right = Duration::MAX;
        }
    }

    /// The figures of every way.
    pub(crate) fn figures(&self, now: Duration) -> Vec<LookupFigures> {
        let figures = self.ways.iter().map(|own| LookupFigures {
            gap_max_ms: millis(own.gap_max.max(now.saturating_sub(own.last_right))),
            ..own.figures.clone()
        });
        figures.collect()
    }
}

/// Looks up by one way until told to stop.
pub(crate) async fn run(shared: Arc<Shared>, name: String, mut stop: watch::Receiver<bool>) {
    let now = shared.now();
    let place = shared.book().lookups.begin(&name, now);
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            _ = tick.tick() => {}
        }
        let way = shared.way();
        // Another release may know another way of this name, or none.
        let Some(lookup) = way.lookups().iter().find(|one| one.name == name) else { continue };
        let seen = look_up(&shared, &way, lookup).await;
        let now = shared.now();
        let mut book = shared.book();
        match seen {
            Some(addresses) => book.lookups.answered(place, &addresses, now),
            None => book.lookups.failed(place),
        }
    }
}

/// One question, as a good client asks it: elsewhere when there is no answer.
async fn look_up(shared: &Shared, way: &Way, lookup: &LookupWay) -> Option<Vec<String>> {
    let deadline = Instant::now() + shared.options.request_limit;
    let mut last = None;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        let limit = shared.options.try_limit.min(left);
        let (index, url) = timeout_at(deadline, shared.choose(last)).await.ok()??;
        let sent = Instant::now();
        let said = match (&lookup.ask, &lookup.dns) {
            (Some(ask), _) => {
                let words = Words { endpoint: &url, ..Words::default() };
                match way.asked(ask, words, limit).await {
                    Ok(answer) => way.addresses(lookup, &answer),
                    Err(because) => Err(because),
                }
            }
            (None, Some(question)) => match shared.dns_at(index) {
                Some(server) => dns::addresses(server, &question.name, limit).await,
                None => Err("it has no such endpoint".to_owned()),
            },
            (None, None) => return None,
        };
        match said {
            Ok(addresses) => return Some(addresses),
            Err(because) => {
                tracing::debug!(url, because, way = lookup.name, "a lookup was not answered");
                shared.judge(index, Reply::of(false, sent.elapsed(), limit));
            }
        }
        last = Some(index);
        // A refusal comes at once: a question every few milliseconds is enough to find who is back.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(all: &[&str]) -> Vec<String> {
        all.iter().map(|one| (*one).to_owned()).collect()
    }

    #[test]
    fn an_answer_names_members_and_nobody_else() {
        let at = Duration::from_millis;
        let mut lookups = Lookups::default();
        lookups.declare(texts(&["10.0.0.1"]));
        let way = lookups.begin("dns", at(0));
        for _ in 0..LESSONS {
            lookups.answered(way, &texts(&["10.0.0.1", "10.0.0.2"]), at(100));
        }
        lookups.answered(way, &texts(&["10.0.0.2"]), at(400));
        lookups.answered(way, &[], at(500));
        lookups.answered(way, &texts(&["10.0.0.1", "10.0.0.9"]), at(600));
        lookups.failed(way);
        lookups.answered(way, &texts(&["10.0.0.1"]), at(1000));
        lookups.close(at(1100));
        let figures = lookups.figures(at(9000));
        let wanted =
            LookupFigures { name: "dns".into(), right: 7, wrong: 2, failed: 1, gap_max_ms: 600 };
        assert_eq!(figures, [wanted]);
    }
}
