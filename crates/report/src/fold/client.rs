//! What clients saw, second by second and in sum.

use super::Fold;
use crate::report::{Baseline, GapReport};
use quorate_model::RunEvent;

impl Fold {
    pub(super) fn take_client(&mut self, event: &RunEvent) {
        match event {
            RunEvent::Client { sample } => {
                let client = &mut self.report.client;
                client.so_far.writes_acked += sample.acked;
                client.so_far.requests_failed += sample.failed;
                let worst = client.so_far.write_gap_max_ms.max(sample.gap_ms);
                client.so_far.write_gap_max_ms = worst;
                client.samples.push(sample.clone());
            }
            RunEvent::ClientGap { gap } => {
                let title = gap.step.as_ref().and_then(|id| self.step(id));
                let step_title = title.map(|step| step.title.clone());
                let client = &mut self.report.client;
                let noise = client.so_far.baseline_gap_max_ms;
                client.so_far.write_gap_max_ms = client.so_far.write_gap_max_ms.max(gap.gap_ms);
                client.gaps.push(GapReport {
                    at: gap.at,
                    gap_ms: gap.gap_ms,
                    over_baseline_ms: gap.gap_ms.saturating_sub(noise),
                    step: gap.step.clone(),
                    step_title,
                });
            }
            RunEvent::Baseline { gap_max_ms, p50_us, max_us, measured } => {
                let client = &mut self.report.client;
                client.so_far.baseline_gap_max_ms = *gap_max_ms;
                client.baseline = Some(Baseline {
                    gap_max_ms: *gap_max_ms,
                    p50_us: *p50_us,
                    max_us: *max_us,
                    measured: *measured,
                });
            }
            RunEvent::ClientFigures { figures } => {
                self.report.client.figures = Some(figures.clone());
            }
            _ => {}
        }
    }
}
