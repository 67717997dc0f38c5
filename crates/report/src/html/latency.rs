//! The client's lane: median and worst latency of each second on a logarithmic scale, and the gaps.

use super::axis::{Axis, round};
use crate::{report::Report, words};
use jiff::{SignedDuration, Timestamp};
use quorate_model::ClientSample;
use serde::Serialize;
use std::fmt::Write as _;

/// What the client's lane shows.
#[derive(Debug, Serialize)]
pub(super) struct ClientLane {
    y: f64,
    bottom: f64,
    grid: Vec<Grid>,
    /// The area between median and worst.
    band: String,
    /// The median.
    median: String,
    hovers: Vec<Hover>,
    gaps: Vec<GapBar>,
    failures: Vec<Hover>,
}

#[derive(Debug, Serialize)]
struct Grid {
    y: f64,
    label: String,
}

#[derive(Debug, Serialize)]
struct Hover {
    x: f64,
    w: f64,
    title: String,
}

#[derive(Debug, Serialize)]
struct GapBar {
    x: f64,
    w: f64,
    title: String,
    label: Option<String>,
}

/// Several seconds in one column of the picture.
struct Column {
    at: Timestamp,
    x: f64,
    p50_us: u64,
    max_us: u64,
    acked: u64,
    failed: u64,
}

/// A second without a sample after it means that nobody measured: the line breaks there.
const SILENCE: SignedDuration = SignedDuration::from_secs(3);

/// Labels of gaps that stand nearer than this would run into each other.
const LABEL_ROOM: f64 = 46.0;

pub(super) fn client_lane(report: &Report, axis: &Axis, y: f64, height: f64) -> Option<ClientLane> {
    if report.client.samples.is_empty() {
        return None;
    }
    let columns = columns(&report.client.samples, axis);
    let scale = Scale::over(&columns, y, height);
    let (band, median) = paths(&columns, &scale, axis);
    let failures = columns.iter().filter(|column| column.failed > 0).map(|column| Hover {
        x: column.x,
        w: 0.0,
        title: format!("{} requests failed, at {}", column.failed, axis.offset(column.at)),
    });
    Some(ClientLane {
        y,
        bottom: y + height,
        grid: scale.grid(),
        band,
        median,
        hovers: hovers(&columns, axis),
        gaps: gaps(report, axis),
        failures: failures.collect(),
    })
}

/// One column for two pixels at most: more could not be told apart.
fn columns(samples: &[ClientSample], axis: &Axis) -> Vec<Column> {
    let mut out: Vec<Column> = Vec::new();
    for sample in samples {
        // A sample tells of the second before it.
        let x = axis.x(sample.at - SignedDuration::from_millis(500));
        match out.last_mut() {
            Some(last) if x - last.x < 2.0 => {
                last.p50_us = last.p50_us.max(sample.p50_us);
                last.max_us = last.max_us.max(sample.max_us);
                last.acked += sample.acked;
                last.failed += sample.failed;
                last.at = sample.at;
            }
            _ => out.push(Column {
                at: sample.at,
                x,
                p50_us: sample.p50_us,
                max_us: sample.max_us,
                acked: sample.acked,
                failed: sample.failed,
            }),
        }
    }
    out
}

/// Decades of microseconds, bottom to top.
struct Scale {
    low: f64,
    high: f64,
    bottom: f64,
    height: f64,
}

impl Scale {
    fn over(columns: &[Column], y: f64, height: f64) -> Self {
        let log = |us: u64| words::f64_of(us.max(1)).log10();
        let low = columns.iter().map(|column| log(column.p50_us)).fold(f64::MAX, f64::min).floor();
        let high = columns.iter().map(|column| log(column.max_us)).fold(0.0, f64::max);
        // Half a decade of air above the worst, so that it does not touch the lane above.
        let high = (high * 2.0).ceil() / 2.0;
        let low = low.min(high - 1.0);
        Self { low, high, bottom: y + height, height }
    }

    fn y(&self, us: u64) -> f64 {
        let log = words::f64_of(us.max(1)).log10();
        let part = ((log - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        round(self.bottom - part * self.height)
    }

    fn grid(&self) -> Vec<Grid> {
        let decades = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];
        let inside = |us: &u64| {
            let log = words::f64_of(*us).log10();
            log >= self.low - 0.01 && log <= self.high + 0.01
        };
        let shown = decades.into_iter().filter(inside);
        shown.map(|us| Grid { y: self.y(us), label: decade(us) }).collect()
    }
}

fn decade(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{} ms", us / 1_000),
        _ => format!("{} s", us / 1_000_000),
    }
}

fn paths(columns: &[Column], scale: &Scale, axis: &Axis) -> (String, String) {
    let (mut band, mut median) = (String::new(), String::new());
    let silent = |pair: &[Column]| {
        pair[1].at.duration_since(pair[0].at) > SILENCE && pair[1].x - pair[0].x > 2.5
    };
    let mut start = 0;
    for end in 1..=columns.len() {
        let breaks = end == columns.len() || silent(&columns[end - 1..=end]);
        if breaks {
            stretch(&columns[start..end], scale, axis, &mut band, &mut median);
            start = end;
        }
    }
    (band, median)
}

/// Draws one stretch without a break: the worst forth, the median back, and the median alone.
fn stretch(columns: &[Column], scale: &Scale, axis: &Axis, band: &mut String, median: &mut String) {
    let Some(first) = columns.first() else { return };
    if let [only] = columns {
        // A lone second still is something that was measured: a short dash.
        let right = (only.x + 2.0).min(axis.left + axis.width);
        let y = scale.y(only.p50_us);
        let _ = write!(median, "M{} {y}H{right}", only.x);
        return;
    }
    let mut pen = 'M';
    for column in columns {
        let _ = write!(band, "{pen}{} {}", column.x, scale.y(column.max_us));
        let _ = write!(median, "{pen}{} {}", column.x, scale.y(column.p50_us));
        pen = 'L';
    }
    for column in columns.iter().rev() {
        let _ = write!(band, "L{} {}", column.x, scale.y(column.p50_us));
    }
    let _ = write!(band, "L{} {}Z", first.x, scale.y(first.max_us));
}

fn hovers(columns: &[Column], axis: &Axis) -> Vec<Hover> {
    let right = axis.left + axis.width;
    let ends = columns.iter().skip(1).map(|next| next.x).chain([right]);
    let hover = |(column, end): (&Column, f64)| Hover {
        x: column.x,
        w: round((end - column.x).clamp(0.5, 24.0)),
        title: format!(
            "{}: median {}, worst {}, {} writes acknowledged, {} failed",
            axis.offset(column.at),
            words::micros(column.p50_us),
            words::micros(column.max_us),
            column.acked,
            column.failed
        ),
    };
    columns.iter().zip(ends).map(hover).collect()
}

fn gaps(report: &Report, axis: &Axis) -> Vec<GapBar> {
    let gaps = &report.client.gaps;
    let mut by_length: Vec<usize> = (0..gaps.len()).collect();
    by_length.sort_by_key(|index| std::cmp::Reverse(gaps[*index].gap_ms));
    let mut labelled: Vec<f64> = Vec::new();
    let mut bars: Vec<Option<GapBar>> = gaps.iter().map(|_| None).collect();
    for index in by_length {
        let gap = &gaps[index];
        let end = gap.at + millis(gap.gap_ms);
        let x = axis.x(gap.at);
        let free = labelled.iter().all(|other| (other - x).abs() >= LABEL_ROOM);
        if free {
            labelled.push(x);
        }
        let cause = gap.step_title.as_deref().unwrap_or("no step was under way");
        bars[index] = Some(GapBar {
            x,
            w: round((axis.x(end) - x).max(2.0)),
            title: format!(
                "{} ms without an acknowledged write at {}, during: {cause}",
                gap.gap_ms,
                axis.offset(gap.at)
            ),
            label: free.then(|| format!("{} ms", gap.gap_ms)),
        });
    }
    bars.into_iter().flatten().collect()
}

/// Milliseconds from the wire, bounded to what a calendar can add.
fn millis(ms: u64) -> SignedDuration {
    // A day: no run's gap is longer, and a larger number is a broken journal.
    const MAX_MS: i64 = 86_400_000;
    SignedDuration::from_millis(i64::try_from(ms).unwrap_or(MAX_MS).min(MAX_MS))
}
