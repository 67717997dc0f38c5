//! Compares what a watch told with what was acknowledged: every acknowledged write must come as an event.
//!
//! Invariant: bounded. Numbers wait in one of two sets until their other half comes; the oldest are decided early when a
//! set is full.

use std::collections::BTreeSet;

/// Acknowledged numbers that wait for their event. At a write every 10 ms this is more than ten minutes of a watch
/// that says nothing; what is older than that has been missed.
const WAITING_MAX: usize = 65_536;

/// The account of one watch.
#[derive(Debug, Default)]
pub(crate) struct Sightings {
    /// Numbers from here on must be seen; none until a watch stands.
    armed_from: Option<u64>,
    acked_unseen: BTreeSet<u64>,
    seen_unacked: BTreeSet<u64>,
    events: u64,
    missed: u64,
}

impl Sightings {
    /// A watch stands: writes numbered `from` or more must be seen by it. Does nothing when one stood before, for then
    /// the new watch goes on where the old one ended.
    pub(crate) fn arm(&mut self, from: u64) {
        self.armed_from.get_or_insert(from);
    }

    /// A write was acknowledged.
    pub(crate) fn acked(&mut self, seq: u64) {
        if self.armed_from.is_none_or(|from| seq < from) || self.seen_unacked.remove(&seq) {
            return;
        }
        self.acked_unseen.insert(seq);
        if self.acked_unseen.len() > WAITING_MAX {
            self.acked_unseen.pop_first();
            self.missed += 1;
        }
    }

    /// An event came.
    pub(crate) fn seen(&mut self, seq: u64) {
        self.events += 1;
        if !self.acked_unseen.remove(&seq) {
            self.seen_unacked.insert(seq);
            if self.seen_unacked.len() > WAITING_MAX {
                // A write that failed for its client and happened nevertheless: nobody will acknowledge it now.
                self.seen_unacked.pop_first();
            }
        }
    }

    /// The watch could not go on where it ended (the history was compacted): what it did not tell is missed, and a
    /// new account begins at `from`.
    pub(crate) fn broken(&mut self, from: u64) {
        self.missed += self.waiting();
        self.acked_unseen.clear();
        self.armed_from = Some(from);
    }

    /// Acknowledged writes whose event has not come yet.
    pub(crate) fn waiting(&self) -> u64 {
        u64::try_from(self.acked_unseen.len()).unwrap_or(u64::MAX)
    }

    /// Events received, and events that never came when nothing more is waited for.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.events, self.missed + self.waiting())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_acknowledged_write_must_be_seen_in_either_order() {
        let mut sightings = Sightings::default();
        sightings.acked(1);
        sightings.arm(2);
        sightings.acked(2);
        sightings.seen(3);
        sightings.acked(3);
        assert_eq!(sightings.totals(), (1, 1), "2 has not come; 1 was before the watch stood");
        sightings.seen(2);
        assert_eq!(sightings.totals(), (2, 0));
    }

    #[test]
    fn an_event_may_come_twice() {
        let mut sightings = Sightings::default();
        sightings.arm(1);
        sightings.acked(1);
        sightings.seen(1);
        sightings.seen(1);
        assert_eq!(sightings.totals(), (2, 0));
    }

    #[test]
    fn a_broken_history_is_missed_once() {
        let mut sightings = Sightings::default();
        sightings.arm(1);
        sightings.acked(1);
        sightings.broken(5);
        sightings.acked(4);
        sightings.acked(5);
        sightings.seen(5);
        assert_eq!(sightings.totals(), (1, 1));
    }

    #[test]
    fn memory_is_bounded() {
        let mut sightings = Sightings::default();
        sightings.arm(0);
        for seq in 0..(WAITING_MAX as u64 + 10) {
            sightings.acked(seq);
        }
        assert_eq!(sightings.waiting(), WAITING_MAX as u64);
        assert_eq!(sightings.totals().1, WAITING_MAX as u64 + 10);
    }
}
