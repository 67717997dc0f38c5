//! Turns acknowledgements into seconds and gaps: how long nothing was acknowledged, and how fast the rest was.
//!
//! Invariant: time comes in as the duration since the probe began, so that a test can tell any story.

use std::time::Duration;

/// Latencies kept for one second; a faster writer than this is no longer light.
const LATENCIES_MAX: usize = 4096;

/// One second, before it is given a wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Second {
    /// Writes acknowledged.
    pub acked: u64,
    /// Requests that failed after all retries.
    pub failed: u64,
    /// Median latency of its writes.
    pub p50: Duration,
    /// Worst latency of its writes.
    pub max: Duration,
    /// The longest time without an acknowledgement that ended in it.
    pub gap: Duration,
}

/// A time without an acknowledgement that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    /// When the write before it was acknowledged.
    pub began: Duration,
    /// Its length.
    pub length: Duration,
}

/// What was measured over a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stretch {
    /// Writes acknowledged.
    pub acked: u64,
    /// The longest gap that touched the stretch.
    pub gap_max: Duration,
    /// Median latency.
    pub p50: Duration,
    /// Worst latency.
    pub max: Duration,
}

/// The pulse of one writer.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    last_ack: Option<Duration>,
    began: Duration,
    second: Bucket,
    stretch: Option<Bucket>,
    gap_max: Duration,
    acked: u64,
    failed: u64,
    closed: bool,
}

#[derive(Debug, Default)]
struct Bucket {
    acked: u64,
    failed: u64,
    latencies: Vec<Duration>,
    gap: Duration,
}

impl Bucket {
    fn add(&mut self, latency: Duration, gap: Duration) {
        self.acked += 1;
        self.gap = self.gap.max(gap);
        if self.latencies.len() < LATENCIES_MAX {
            self.latencies.push(latency);
        } else if let Some(worst) = self.latencies.iter_mut().max() {
            // The worst one is never forgotten; the median of 4096 values hardly moves.
            *worst = (*worst).max(latency);
        }
    }
    fn figures(mut self) -> Second {
        self.latencies.sort_unstable();
        let p50 = self.latencies.get(self.latencies.len() / 2).copied().unwrap_or_default();
        let max = self.latencies.last().copied().unwrap_or_default();
        Second { acked: self.acked, failed: self.failed, p50, max, gap: self.gap }
    }
}

impl Pulse {
    /// Starts to count gaps now: what came before the first write is no gap.
    pub(crate) fn begin(&mut self, now: Duration) {
        self.began = now;
        self.last_ack = None;
    }

    /// A write was acknowledged. Gives the gap that ended with it.
    pub(crate) fn acked(&mut self, now: Duration, latency: Duration) -> Gap {
        let gap = Gap { began: self.since(), length: self.gap_now(now) };
        self.last_ack = Some(now.max(self.since()));
        self.gap_max = self.gap_max.max(gap.length);
        self.acked += 1;
        self.second.add(latency, gap.length);
        if let Some(stretch) = &mut self.stretch {
            stretch.add(latency, gap.length);
        }
        gap
    }

    /// A request failed after all retries.
    pub(crate) fn failed(&mut self) {
        self.failed += 1;
        self.second.failed += 1;
    }

    /// The writer stops on purpose: time from its last acknowledgement on is no gap.
    pub(crate) fn close(&mut self, now: Duration) {
        // A gap that was open when the writer was told to stop was real, as long as it had lasted by then.
        self.gap_max = self.gap_max.max(self.gap_now(now));
        self.closed = true;
    }

    fn since(&self) -> Duration {
        self.last_ack.unwrap_or(self.began)
    }

    /// Time since the last acknowledgement.
    pub(crate) fn gap_now(&self, now: Duration) -> Duration {
        if self.closed { Duration::ZERO } else { now.saturating_sub(self.since()) }
    }

    /// Ends a second.
    pub(crate) fn end_second(&mut self) -> Second {
        std::mem::take(&mut self.second).figures()
    }

    /// Begins to measure a stretch, the baseline.
    pub(crate) fn begin_stretch(&mut self) {
        self.stretch = Some(Bucket::default());
    }

    /// Ends it. A gap that is still open counts: it is at least as long as it is now.
    pub(crate) fn end_stretch(&mut self, now: Duration) -> Stretch {
        let figures = self.stretch.take().unwrap_or_default().figures();
        let Second { acked, failed: _, p50, max, gap } = figures;
        Stretch { acked, gap_max: gap.max(self.gap_now(now)), p50, max }
    }

    /// The longest gap so far, an open one included.
    pub(crate) fn gap_max(&self, now: Duration) -> Duration {
        self.gap_max.max(self.gap_now(now))
    }

    /// Writes acknowledged and requests failed so far.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.acked, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn beaten(at_ms: &[u64]) -> Pulse {
        let mut pulse = Pulse::default();
        pulse.begin(ms(100));
        for at in at_ms {
            pulse.acked(ms(*at), ms(2));
        }
        pulse
    }

    #[test]
    fn the_gap_is_the_longest_time_between_two_acknowledgements() {
        let pulse = beaten(&[110, 120, 180, 190]);
        assert_eq!(pulse.gap_max(ms(195)), ms(60));
        assert_eq!(pulse.gap_now(ms(195)), ms(5));
    }

    #[test]
    fn an_open_gap_counts() {
        assert_eq!(beaten(&[110]).gap_max(ms(1110)), ms(1000));
        assert_eq!(beaten(&[]).gap_max(ms(600)), ms(500), "not one write was acknowledged");
    }

    #[test]
    fn acknowledgements_out_of_order_make_no_negative_gap() {
        let mut pulse = beaten(&[150]);
        assert_eq!(pulse.acked(ms(149), ms(1)).length, Duration::ZERO);
        assert_eq!(pulse.gap_now(ms(160)), ms(10));
    }

    #[test]
    fn a_writer_that_stopped_on_purpose_makes_no_gap() {
        let mut pulse = beaten(&[110, 120]);
        pulse.close(ms(125));
        assert_eq!((pulse.gap_now(ms(900)), pulse.gap_max(ms(900))), (Duration::ZERO, ms(10)));
        let mut stuck = beaten(&[110]);
        stuck.close(ms(700));
        assert_eq!(stuck.gap_max(ms(900)), ms(590), "but what was open then was real");
    }

    #[test]
    fn a_second_is_counted_once() {
        let mut pulse = beaten(&[110, 130, 140]);
        pulse.failed();
        let second = pulse.end_second();
        assert_eq!((second.acked, second.failed, second.gap), (3, 1, ms(20)));
        assert_eq!(pulse.end_second(), Second::default());
    }

    #[test]
    fn a_stretch_sees_only_its_own_time() {
        let mut pulse = beaten(&[110, 500]);
        pulse.begin_stretch();
        pulse.acked(ms(520), ms(7));
        pulse.acked(ms(530), ms(3));
        let stretch = pulse.end_stretch(ms(535));
        assert_eq!((stretch.acked, stretch.gap_max, stretch.max), (2, ms(20), ms(7)));
    }
}
