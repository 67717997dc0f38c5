//! What the tasks of one probe share: the account, the pulse, the endpoints and the way to speak.
//!
//! Invariant: every lock is held for a few lines, never across a wait.

use crate::{
    calls::Way,
    endpoints::{Endpoints, Reply},
    ledger::Ledger,
    locks::Locks,
    lookups::Lookups,
    options::ProbeOptions,
    probe::ClientEvent,
    pulse::{Gap, Pulse},
    remains::{Keeper, Remains},
    sightings::Sightings,
};
use jiff::Timestamp;
use quorate_model::{ClientFigures, ClientGap, ClientSample, StepId};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{sync::broadcast, time::sleep};

/// A gap shorter than this many writes is the rhythm itself, not worth naming.
const GAP_WORTH_NAMING: u32 = 5;

/// Between two looks for an endpoint that may be asked again: as often as requests begin.
const FULL: Duration = Duration::from_millis(10);

/// What a probe counts.
pub(crate) struct Book {
    pub(crate) ledger: Ledger,
    pub(crate) pulse: Pulse,
    pub(crate) sightings: Sightings,
    pub(crate) locks: Locks,
    pub(crate) lookups: Lookups,
    pub(crate) reads_ok: u64,
    pub(crate) reads_stale: u64,
    pub(crate) baseline_gap: Duration,
    pub(crate) step: Option<StepId>,
    pub(crate) last_complaint: Option<String>,
}

impl Book {
    /// The figures so far. What is lost or missed only the account at the end can say.
    pub(crate) fn figures(&self, now: Duration) -> ClientFigures {
        let (writes_acked, requests_failed) = self.pulse.totals();
        let (watch_events, _) = self.sightings.totals();
        ClientFigures {
            writes_acked,
            writes_lost: 0,
            requests_failed,
            reads_ok: self.reads_ok,
            reads_stale: self.reads_stale,
            watch_events,
            watch_missed: 0,
            write_gap_max_ms: millis(self.pulse.gap_max(now)),
            baseline_gap_max_ms: millis(self.baseline_gap),
            lock: self.locks.figures(now),
            lookups: self.lookups.figures(now),
        }
    }
}

/// What the tasks share.
pub(crate) struct Shared {
    pub(crate) options: ProbeOptions,
    pub(crate) prefix: String,
    pub(crate) keeper: Option<Arc<Keeper>>,
    began: Instant,
    began_at: Timestamp,
    way: Mutex<Arc<Way>>,
    endpoints: Mutex<Endpoints>,
    book: Mutex<Book>,
    events: broadcast::Sender<ClientEvent>,
}

fn open<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The counts of a task that panicked are whole up to that point; the rest of the probe goes on.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(
        options: ProbeOptions,
        prefix: String,
        way: Way,
        endpoints: Endpoints,
        events: broadcast::Sender<ClientEvent>,
    ) -> Self {
        let book = Book {
            ledger: Ledger::new(prefix.clone(), options.registers, crate::ledger::RETIRED_MAX),
            pulse: Pulse::default(),
            sightings: Sightings::default(),
            locks: Locks::default(),
            lookups: Lookups::default(),
            reads_ok: 0,
            reads_stale: 0,
            baseline_gap: Duration::ZERO,
            step: None,
            last_complaint: None,
        };
        Self {
            keeper: options.remains.clone().map(|file| Arc::new(Keeper::new(file))),
            options,
            prefix,
            began: Instant::now(),
            began_at: Timestamp::now(),
            way: Mutex::new(Arc::new(way)),
            endpoints: Mutex::new(endpoints),
            book: Mutex::new(book),
            events,
        }
    }

    /// Time since the probe began.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }
    /// The wall clock of a moment of the probe.
    pub(crate) fn at(&self, moment: Duration) -> Timestamp {
        self.began_at.checked_add(moment).unwrap_or(Timestamp::MAX)
    }
    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        open(&self.book)
    }
    pub(crate) fn endpoints(&self) -> MutexGuard<'_, Endpoints> {
        open(&self.endpoints)
    }
    pub(crate) fn way(&self) -> Arc<Way> {
        open(&self.way).clone()
    }
    pub(crate) fn set_way(&self, way: Way) {
        let mut held = open(&self.way);
        if !held.same_as(&way) {
            *held = Arc::new(way);
        }
    }

    /// Chooses an endpoint: its place and its address. Waits while each of them holds as many requests as it may, which is never
    /// longer than it takes one to be asked again; none where there are no endpoints.
    pub(crate) async fn choose(&self, not: Option<usize>) -> Option<(usize, String)> {
        loop {
            {
                let mut endpoints = self.endpoints();
                if endpoints.all().is_empty() {
                    return None;
                }
                if let Some(index) = endpoints.next(self.now(), not) {
                    return Some((index, endpoints.get(index)?.url.clone()));
                }
            }
            sleep(FULL).await;
        }
    }

    /// Where the member of an endpoint answers over DNS.
    pub(crate) fn dns_at(&self, index: usize) -> Option<SocketAddr> {
        self.endpoints().get(index)?.dns
    }

    /// Remembers what came back of a try at an endpoint.
    pub(crate) fn judge(&self, index: usize, reply: Reply) {
        let now = self.now();
        self.endpoints().judge(index, reply, now);
    }

    pub(crate) fn tell(&self, event: ClientEvent) {
        // Nobody needs to listen.
        let _ = self.events.send(event);
    }

    /// Tells of a gap that ended, when it is worth naming: longer than the baseline's worst and than the rhythm.
    pub(crate) fn tell_gap(&self, gap: Gap) {
        let (least, step) = {
            let book = self.book();
            (book.baseline_gap.max(self.options.write_every * GAP_WORTH_NAMING), book.step.clone())
        };
        if gap.length > least {
            let gap = ClientGap { at: self.at(gap.began), gap_ms: millis(gap.length), step };
            self.tell(ClientEvent::Gap(gap));
        }
    }

    /// Keeps what must be there if this process dies now. Nobody waits for the disk.
    pub(crate) fn keep_remains(&self) {
        let Some(keeper) = self.keeper.clone() else { return };
        let now = self.now();
        let (holds, figures) = {
            let book = self.book();
            (book.ledger.holds(), book.figures(now))
        };
        let remains = Remains { prefix: self.prefix.clone(), holds, figures };
        tokio::task::spawn_blocking(move || keeper.keep(&remains));
    }

    /// Ends a second and tells it.
    pub(crate) fn tell_second(&self) {
        let second = self.book().pulse.end_second();
        let sample = ClientSample {
            at: self.at(self.now()),
            acked: second.acked,
            failed: second.failed,
            p50_us: micros(second.p50),
            max_us: micros(second.max),
            gap_ms: millis(second.gap),
        };
        self.tell(ClientEvent::Sample(sample));
    }
}

/// Whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Whole microseconds.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
