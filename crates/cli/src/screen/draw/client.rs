//! The client's latency second by second, the gaps marked above the second in which they ended.

use super::{fit, palette, section};
use quorate_report::{Report, words};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    text::{Line, Span},
    widgets::{Paragraph, Sparkline, SparklineBar},
};

/// One column.
#[derive(Debug, Clone, Copy, Default)]
struct Column {
    max_us: u64,
    gap: bool,
    failed: bool,
}

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, report: &Report) {
    if area.height < 3 {
        return;
    }
    let inside = section(frame, area, title(report, usize::from(area.width)));
    let [marks_area, bars_area] =
        Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(inside);
    let columns = columns(report, usize::from(inside.width));
    let marks: Line<'_> = columns.iter().map(|column| mark(*column)).collect();
    frame.render_widget(Paragraph::new(marks), marks_area);
    // The quietest second stands one eighth of a row high: what is above it is what matters.
    let low = columns.iter().map(|column| height(column.max_us)).min().unwrap_or(0);
    let high = columns.iter().map(|column| height(column.max_us) - low + 1).max().unwrap_or(1);
    let bars: Vec<SparklineBar> = columns.iter().map(|column| bar(*column, low)).collect();
    let sparkline = Sparkline::default().data(bars).max(high).style(palette::busy());
    frame.render_widget(sparkline, bars_area);
}

fn title(report: &Report, width: usize) -> Line<'static> {
    let figures = report.client.best();
    let median = report
        .client
        .samples
        .last()
        .map_or(String::new(), |sample| format!("{} median, ", words::micros(sample.p50_us)));
    let lost = report.client.figures.as_ref().map(|figures| figures.writes_lost);
    let lost = lost.map_or(String::new(), |lost| format!(", {} lost", words::count(lost)));
    let text = format!(
        "  {} acked{lost}, {} failed, {median}gap {} ms ({} before)",
        words::count(figures.writes_acked),
        words::count(figures.requests_failed),
        figures.write_gap_max_ms,
        figures.baseline_gap_max_ms
    );
    let bad = figures.requests_failed > 0 || words::is_broken(figures);
    let style = if bad { palette::bad() } else { palette::faint() };
    // The rule's ends and the word before take ten cells.
    let text = fit(&text, width.saturating_sub(10));
    Line::from(vec![Span::raw("Client"), Span::styled(text, style)])
}

/// The newest seconds that fit, oldest first.
fn columns(report: &Report, width: usize) -> Vec<Column> {
    let samples = &report.client.samples;
    let start = samples.len().saturating_sub(width);
    let noise = report.client.so_far.baseline_gap_max_ms;
    let measured = report.client.baseline.is_some();
    samples[start..]
        .iter()
        .map(|sample| Column {
            max_us: sample.max_us,
            gap: measured && sample.gap_ms > noise,
            failed: sample.failed > 0,
        })
        .collect()
}

fn mark(column: Column) -> Span<'static> {
    match column {
        Column { failed: true, .. } => Span::styled("x", palette::bad()),
        Column { gap: true, .. } => Span::styled("▾", palette::warn()),
        Column { .. } => Span::raw(" "),
    }
}

fn bar(column: Column, low: u64) -> SparklineBar {
    let style = match column {
        Column { failed: true, .. } => palette::bad(),
        Column { gap: true, .. } => palette::warn(),
        Column { .. } => palette::busy(),
    };
    SparklineBar::from(height(column.max_us) - low + 1).style(style)
}

/// Thrice the doublings above an eighth of a millisecond: a gap of a hundred times the median must not flatten the rest.
fn height(us: u64) -> u64 {
    let eighths = us / 125;
    let doublings = u64::from(eighths.max(1).ilog2());
    let next = eighths.max(1) - (1 << doublings);
    // The part of the next doubling, in thirds.
    doublings * 3 + next * 3 / (1 << doublings) + 1
}
