//! Judges a lock that several clients take in turn: never two at once, and a number that grows with each new holder.
//!
//! Invariant: a client believes in its lock no longer than its session lives without being renewed, and no longer than until it
//! begins to give it back.

use quorate_model::LockFigures;
use std::time::Duration;

/// The account of one lock.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    /// Whether there is a lock at all.
    known: bool,
    holder: Option<Holder>,
    /// The number of the newest holder, and its session.
    newest: Option<(u64, String)>,
    taken: u64,
    broken: u64,
    sessions_lost: u64,
    last_taken: Duration,
    wait_max: Duration,
}

/// Who believes to hold the lock.
#[derive(Debug)]
struct Holder {
    client: usize,
    until: Duration,
}

impl Locks {
    /// Clients begin to lock.
    pub(crate) fn begin(&mut self, now: Duration) {
        self.known = true;
        self.last_taken = now;
    }

    /// A client got the lock, for a session with this number, and believes in it until its session may have ended.
    pub(crate) fn taken(
        &mut self,
        client: usize,
        session: &str,
        number: u64,
        now: Duration,
        until: Duration,
    ) {
        if self.holder.as_ref().is_some_and(|other| other.client != client && other.until > now) {
            self.broken += 1;
        }
        let stale = self
            .newest
            .as_ref()
            .is_some_and(|(newest, own)| number < *newest || (number == *newest && own != session));
        self.broken += u64::from(stale);
        if !stale {
            self.newest = Some((number, session.to_owned()));
        }
        self.holder = Some(Holder { client, until });
        self.taken += 1;
        self.wait_max = self.wait_max.max(now.saturating_sub(self.last_taken));
        self.last_taken = now;
    }

    /// A client that believes in its lock sees that somebody else has it.
    pub(crate) fn contested(&mut self, client: usize, now: Duration) {
        let believes =
            self.holder.as_ref().is_some_and(|own| own.client == client && own.until > now);
        self.broken += u64::from(believes);
    }

    /// A client stops to believe, before it gives the lock back.
    pub(crate) fn let_go(&mut self, client: usize) {
        if self.holder.as_ref().is_some_and(|own| own.client == client) {
            self.holder = None;
        }
    }

    /// A session ended before its client ended it.
    pub(crate) fn session_lost(&mut self, client: usize) {
        self.let_go(client);
        self.sessions_lost += 1;
    }

    /// Times that it was not exclusive.
    pub(crate) fn broken(&self) -> u64 {
        self.broken
    }

    /// No client waits from here on.
    pub(crate) fn close(&mut self, now: Duration) {
        if self.known {
            self.wait_max = self.wait_max.max(now.saturating_sub(self.last_taken));
            self.last_taken = Duration::MAX;
        }
    }

    /// The figures; none where there is no lock.
    pub(crate) fn figures(&self, now: Duration) -> Option<LockFigures> {
        self.known.then(|| LockFigures {
            taken: self.taken,
            broken: self.broken,
            sessions_lost: self.sessions_lost,
            wait_max_ms: crate::shared::millis(
                self.wait_max.max(now.saturating_sub(self.last_taken)),
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn figures(locks: &Locks, now: u64) -> LockFigures {
        locks.figures(at(now)).unwrap_or_default()
    }

    #[test]
    fn clients_that_take_turns_break_nothing() {
        let mut locks = Locks::default();
        assert_eq!(locks.figures(at(1)), None, "no lock, no figures");
        locks.begin(at(0));
        locks.taken(0, "a", 1, at(10), at(100));
        locks.let_go(0);
        locks.taken(1, "b", 2, at(50), at(150));
        // The same session once more: the product need not count that.
        locks.taken(1, "b", 2, at(60), at(160));
        assert_eq!(
            figures(&locks, 60),
            LockFigures { taken: 3, wait_max_ms: 40, ..Default::default() }
        );
        assert_eq!(figures(&locks, 200).wait_max_ms, 140, "an open wait counts");
        locks.close(at(70));
        assert_eq!(figures(&locks, 5000).wait_max_ms, 40);
    }

    #[test]
    fn two_at_once_are_told() {
        let mut locks = Locks::default();
        locks.begin(at(0));
        locks.taken(0, "a", 1, at(10), at(100));
        locks.taken(1, "b", 2, at(50), at(150));
        assert_eq!(locks.broken(), 1);
        // Whoever's session may have ended does not believe any more.
        locks.taken(0, "a", 3, at(150), at(250));
        assert_eq!(locks.broken(), 1);
        locks.contested(0, at(160));
        assert_eq!(locks.broken(), 2, "its own look shows somebody else");
        locks.contested(0, at(260));
        locks.contested(1, at(160));
        assert_eq!(locks.broken(), 2, "nobody is surprised who believes nothing");
    }

    #[test]
    fn a_number_that_does_not_grow_is_told() {
        let mut locks = Locks::default();
        locks.begin(at(0));
        for (session, number, broken) in [("a", 5, 0), ("b", 5, 1), ("b", 4, 2), ("c", 6, 2)] {
            locks.taken(0, session, number, at(10), at(100));
            locks.let_go(0);
            assert_eq!(locks.broken(), broken, "{session} {number}");
        }
        locks.session_lost(0);
        assert_eq!(figures(&locks, 10).sessions_lost, 1);
    }
}
