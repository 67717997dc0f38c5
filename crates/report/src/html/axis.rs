//! The time axis that every lane of the picture shares.

use crate::{report::since, words};
use jiff::Timestamp;
use serde::Serialize;
use std::time::Duration;

/// Maps moments to places.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    pub(super) start: Timestamp,
    pub(super) span: Duration,
    pub(super) left: f64,
    pub(super) width: f64,
}

/// A mark on the axis.
#[derive(Debug, Serialize)]
pub(super) struct Tick {
    pub(super) x: f64,
    pub(super) label: String,
}

/// Distances between marks that a person can count by, in seconds.
const STEPS: [u64; 16] =
    [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 86_400];

/// Pixels that a mark's label needs around it.
const TICK_ROOM: f64 = 64.0;

impl Axis {
    /// An axis over at least one second, so that a run that has only begun can be drawn.
    pub(super) fn new(start: Timestamp, end: Timestamp, left: f64, width: f64) -> Self {
        Self { start, span: since(start, end).max(Duration::from_secs(1)), left, width }
    }

    /// The place of a moment, inside the picture whatever the moment.
    pub(super) fn x(&self, at: Timestamp) -> f64 {
        self.x_of(since(self.start, at))
    }

    fn x_of(&self, offset: Duration) -> f64 {
        let part = (offset.as_secs_f64() / self.span.as_secs_f64()).clamp(0.0, 1.0);
        round(self.left + part * self.width)
    }

    /// A moment as the axis names it.
    pub(super) fn offset(&self, at: Timestamp) -> String {
        words::offset(since(self.start, at))
    }

    /// Marks at round distances, as many as fit.
    pub(super) fn ticks(&self) -> Vec<Tick> {
        let fits = |step: &&u64| {
            let marks = self.span.as_secs_f64() / words::f64_of(**step);
            marks * TICK_ROOM <= self.width
        };
        let step = STEPS.iter().find(fits).copied().unwrap_or(self.span.as_secs().max(1));
        // The search above bounds the marks: width over room of them at most.
        (0..=self.span.as_secs() / step)
            .map(|index| Duration::from_secs(index * step))
            .map(|offset| Tick { x: self.x_of(offset), label: words::offset(offset) })
            .collect()
    }
}

/// Tenths of a pixel: finer than any screen, short in the file.
pub(super) fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(secs: i64) -> Axis {
        let start = Timestamp::UNIX_EPOCH;
        Axis::new(start, start + jiff::SignedDuration::from_secs(secs), 100.0, 900.0)
    }

    #[test]
    fn marks_stand_at_round_distances_and_fit() {
        for secs in [0, 1, 42, 95, 700, 9_000, 400_000, 90_000_000] {
            let axis = axis(secs);
            let ticks = axis.ticks();
            assert!((1..=16).contains(&ticks.len()), "{secs}: {}", ticks.len());
            assert!(ticks.iter().all(|tick| (100.0..=1000.0).contains(&tick.x)), "{secs}");
        }
        let labels: Vec<_> = axis(95).ticks().into_iter().map(|tick| tick.label).collect();
        assert_eq!(labels.join(" "), "0:00 0:10 0:20 0:30 0:40 0:50 1:00 1:10 1:20 1:30");
    }

    #[test]
    fn a_moment_outside_stays_inside() {
        let axis = axis(10);
        assert_eq!(axis.x(axis.start - jiff::SignedDuration::from_secs(5)), 100.0);
        assert_eq!(axis.x(axis.start + jiff::SignedDuration::from_secs(50)), 1000.0);
    }
}
