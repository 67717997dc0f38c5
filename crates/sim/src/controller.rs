//! One controller: an engine, its pen on the journal, and the lease it believes to hold. It lives, stalls and dies.

use crate::{
    clock::{Millis, timestamp},
    product::SharedPlan,
};
use quorate_engine::Engine;
use quorate_model::{Lease, RunEnd, RunEvent, RunId, Seq};
use quorate_store::{MemoryStore, Store, StoreError};
use std::time::Duration;

/// A lease without renewal lasts so long; the runner's own number.
pub(crate) const LEASE_TTL: Duration = Duration::from_secs(15);
/// It is renewed so often; the runner's own number.
pub(crate) const RENEW_EVERY: Millis = 5_000;
/// Appends that lose the race for a place are tried again this often.
const RACES_MAX: usize = 5;

/// Whether a controller is there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Life {
    /// At work.
    Working,
    /// Its process died.
    Dead,
    /// It left: the run is over, or it lost its lease.
    Left(Ending),
}

/// How a controller's work ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ending {
    Over(RunEnd),
    Resting,
    StoreGone(String),
}

/// One controller.
#[derive(Debug)]
pub(crate) struct Controller {
    pub(crate) run: RunId,
    pub(crate) plan: SharedPlan,
    pub(crate) engine: Engine,
    pub(crate) lease: Lease,
    pub(crate) seq: Seq,
    pub(crate) life: Life,
    /// Its machine stands still until then.
    pub(crate) stalled_until: Millis,
    /// The next wake-up that is already in the queue.
    pub(crate) wake_at: Option<Millis>,
}

impl Controller {
    pub(crate) fn is_working(&self) -> bool {
        self.life == Life::Working
    }

    /// Appends at the end of the journal. What others wrote meanwhile is given to the engine by the caller.
    pub(crate) fn append(
        &mut self,
        store: &MemoryStore,
        now: Millis,
        events: &[RunEvent],
    ) -> Result<Vec<RunEvent>, StoreError> {
        let mut foreign = Vec::new();
        for _ in 0..RACES_MAX {
            match store.append(&self.run, Some(&self.lease), self.seq, timestamp(now), events) {
                Ok(seq) => {
                    self.seq = seq;
                    return Ok(foreign);
                }
                Err(StoreError::Conflict { .. }) => {
                    for recorded in store.journal(&self.run, self.seq)? {
                        self.seq = recorded.seq;
                        foreign.push(recorded.event);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Conflict { run: self.run.clone(), expected: self.seq, actual: self.seq })
    }

    /// Whether the lease still runs, as far as this controller knows.
    pub(crate) fn holds_lease(&self, now: Millis) -> bool {
        self.lease.expires_at > timestamp(now)
    }
}
