//! Virtual time: milliseconds since the simulation began.

use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// A moment, or a length of time, in milliseconds.
pub type Millis = u64;

/// The moment on the calendar. The simulation begins at the epoch.
pub fn timestamp(at: Millis) -> Timestamp {
    let at = SignedDuration::from_millis(i64::try_from(at).unwrap_or(i64::MAX));
    Timestamp::UNIX_EPOCH.checked_add(at).unwrap_or(Timestamp::MAX)
}

/// The moment in the simulation, rounded up so that a timer is never early.
pub fn millis(at: Timestamp) -> Millis {
    let since = at.duration_since(Timestamp::UNIX_EPOCH);
    let whole = u64::try_from(since.as_millis()).unwrap_or(0);
    whole + u64::from(since.subsec_nanos() % 1_000_000 > 0)
}

/// The length of time.
pub fn length(of: Duration) -> Millis {
    u64::try_from(of.as_millis()).unwrap_or(u64::MAX)
}
