//! The run's time: the wall clock at the start plus what a steady clock says has passed, so that a jump of the wall clock
//! neither opens nor closes a gate.

use jiff::{SignedDuration, Timestamp};
use std::time::{Duration, Instant};

/// A clock that never jumps.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall: Timestamp,
    steady: Instant,
}

impl Clock {
    /// Starts now.
    pub fn start() -> Self {
        Self { wall: Timestamp::now(), steady: Instant::now() }
    }
    /// The time.
    pub fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.steady.elapsed()).unwrap_or(SignedDuration::MAX);
        self.wall.checked_add(passed).unwrap_or(Timestamp::MAX)
    }
    /// How long until then.
    pub fn until(&self, at: Timestamp) -> Duration {
        Duration::try_from(at.duration_since(self.now())).unwrap_or(Duration::ZERO)
    }
}
