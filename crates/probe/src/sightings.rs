//! Compares what a watch told with what was acknowledged: every acknowledged write must come as an event.
//!
//! A watch that streams tells every write. One that asks and asks again is told how things stand: of two writes to one key
//! between two answers only the younger one can be in the second, so the younger one vouches for both.
//!
//! Invariant: bounded. Numbers wait in one of two sets until their other half comes; the oldest are decided early when a
//! set is full.

use std::collections::{BTreeMap, BTreeSet};

/// Acknowledged numbers that wait for their event. At a write every 10 ms this is more than ten minutes of a watch
/// that says nothing; what is older than that has been missed.
const WAITING_MAX: usize = 65_536;

/// What the answers of a watch hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tells {
    /// Every write, in a stream.
    Every,
    /// The newest value of each key.
    Newest,
}

/// The account of one watch.
#[derive(Debug, Default)]
pub(crate) struct Sightings {
    /// Numbers from here on must be seen; none until a watch stands.
    armed_from: Option<u64>,
    /// With the key that each was written to.
    acked_unseen: BTreeMap<u64, String>,
    /// The same by key.
    unseen_of: BTreeMap<String, BTreeSet<u64>>,
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
    pub(crate) fn acked(&mut self, key: &str, seq: u64) {
        if self.armed_from.is_none_or(|from| seq < from) || self.seen_unacked.remove(&seq) {
            return;
        }
        self.acked_unseen.insert(seq, key.to_owned());
        self.unseen_of.entry(key.to_owned()).or_default().insert(seq);
        if self.acked_unseen.len() > WAITING_MAX {
            if let Some((oldest, _)) = self.acked_unseen.first_key_value() {
                self.settle(*oldest);
            }
            self.missed += 1;
        }
    }

    /// An event came.
    pub(crate) fn seen(&mut self, key: &str, seq: u64, tells: Tells) {
        self.events += 1;
        if tells == Tells::Newest {
            // Writes to one key follow each other and their numbers grow, so what is older was overwritten by this one.
            let of_key = self.unseen_of.get(key);
            let older: Vec<u64> =
                of_key.map(|all| all.range(..seq).copied().collect()).unwrap_or_default();
            for one in older {
                self.settle(one);
            }
        }
        if !self.settle(seq) {
            self.seen_unacked.insert(seq);
            if self.seen_unacked.len() > WAITING_MAX {
                // A write that failed for its client and happened nevertheless: nobody will acknowledge it now.
                self.seen_unacked.pop_first();
            }
        }
    }

    /// Waits for a number no more; false when nobody waited for it.
    fn settle(&mut self, seq: u64) -> bool {
        let Some(key) = self.acked_unseen.remove(&seq) else { return false };
        if let Some(all) = self.unseen_of.get_mut(&key) {
            all.remove(&seq);
            if all.is_empty() {
                self.unseen_of.remove(&key);
            }
        }
        true
    }

    /// The watch could not go on where it ended (the history was compacted): what it did not tell is missed, and a
    /// new account begins at `from`.
    pub(crate) fn broken(&mut self, from: u64) {
        self.missed += self.waiting();
        self.acked_unseen.clear();
        self.unseen_of.clear();
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
        sightings.acked("k", 1);
        sightings.arm(2);
        sightings.acked("k", 2);
        sightings.seen("k", 3, Tells::Every);
        sightings.acked("k", 3);
        assert_eq!(sightings.totals(), (1, 1), "2 has not come; 1 was before the watch stood");
        sightings.seen("k", 2, Tells::Every);
        assert_eq!(sightings.totals(), (2, 0));
    }

    #[test]
    fn an_event_may_come_twice() {
        let mut sightings = Sightings::default();
        sightings.arm(1);
        sightings.acked("k", 1);
        sightings.seen("k", 1, Tells::Every);
        sightings.seen("k", 1, Tells::Every);
        assert_eq!(sightings.totals(), (2, 0));
    }

    #[test]
    fn a_broken_history_is_missed_once() {
        let mut sightings = Sightings::default();
        sightings.arm(1);
        sightings.acked("k", 1);
        sightings.broken(5);
        sightings.acked("k", 4);
        sightings.acked("k", 5);
        sightings.seen("k", 5, Tells::Every);
        assert_eq!(sightings.totals(), (1, 1));
    }

    #[test]
    fn memory_is_bounded() {
        let mut sightings = Sightings::default();
        sightings.arm(0);
        for seq in 0..(WAITING_MAX as u64 + 10) {
            sightings.acked("k", seq);
        }
        assert_eq!(sightings.waiting(), WAITING_MAX as u64);
        assert_eq!(sightings.totals().1, WAITING_MAX as u64 + 10);
    }

    #[test]
    fn a_stream_tells_each_write_and_an_answer_only_how_things_stand() {
        for (tells, missed) in [(Tells::Every, 1), (Tells::Newest, 0)] {
            let mut sightings = Sightings::default();
            sightings.arm(1);
            (1..=3).for_each(|seq| sightings.acked(if seq == 2 { "other" } else { "k" }, seq));
            sightings.seen("other", 2, tells);
            sightings.seen("k", 3, tells);
            assert_eq!(sightings.totals(), (2, missed), "{tells:?}");
        }
    }

    #[test]
    fn only_a_younger_value_of_the_same_key_vouches_for_an_older_one() {
        let mut sightings = Sightings::default();
        sightings.arm(1);
        sightings.acked("k", 1);
        sightings.seen("other", 2, Tells::Newest);
        assert_eq!(sightings.totals().1, 1, "another key says nothing of this one");
        sightings.acked("k", 3);
        sightings.seen("k", 1, Tells::Newest);
        assert_eq!(sightings.totals().1, 1, "the newest value was never told");
        assert!(sightings.unseen_of.len() == 1 && sightings.acked_unseen.len() == 1);
    }
}
