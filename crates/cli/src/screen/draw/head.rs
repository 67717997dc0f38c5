//! The top of the screen: which run, where it stands, and one bar for each hop.

use super::{column, fit, palette, strong};
use jiff::Timestamp;
use quorate_report::{HopReport, Report, words};
use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::Paragraph,
};

/// Hops shown at once; a longer path shows those around the current one.
const HOPS_MAX: usize = 4;

/// Rows that the hops need.
pub(super) fn height(report: &Report) -> u16 {
    u16::try_from(report.hops.len().min(HOPS_MAX)).unwrap_or(1)
}

/// Turns while the run is alive, so that a frozen screen can be told from a waiting run.
const TURNS: [&str; 4] = ["◐", "◓", "◑", "◒"];

pub(super) fn title(frame: &mut Frame<'_>, area: Rect, report: &Report, now: Timestamp) {
    let turn = usize::try_from(now.as_second().rem_euclid(4)).unwrap_or(0);
    let turn = if report.outcome() == "running" { TURNS[turn] } else { "●" };
    let run = report.run.as_ref().map_or(String::new(), |run| format!("  {run}"));
    let right = Line::from(vec![
        Span::styled(
            format!("{turn} {}", report.outcome().replace('-', " ")),
            palette::outcome(report),
        ),
        Span::raw(format!("  {} ", words::offset(report.elapsed()))),
    ]);
    let room = usize::from(area.width).saturating_sub(right.width() + 2);
    let name = fit(report.cluster.as_str(), room / 2);
    let rest = format!("  {}  {} -> {}{run}", report.pack, report.from, report.to);
    let rest = fit(&rest, room.saturating_sub(name.chars().count() + 1));
    let left = Line::from(vec![Span::raw(" "), strong(name), Span::styled(rest, palette::faint())]);
    frame.render_widget(Paragraph::new(left), area);
    frame.render_widget(Paragraph::new(right.right_aligned()), area);
}

pub(super) fn hops(frame: &mut Frame<'_>, area: Rect, report: &Report) {
    let current = report.current_hop().unwrap_or(report.hops.len().saturating_sub(1));
    let rows = usize::from(area.height);
    let start = current.saturating_sub(rows / 2).min(report.hops.len().saturating_sub(rows));
    let shown = report.hops.iter().skip(start).take(rows);
    let lines: Vec<Line<'_>> =
        shown.map(|hop| line(report, hop, usize::from(area.width))).collect();
    frame.render_widget(Paragraph::new(lines), area);
}

fn line(report: &Report, hop: &HopReport, width: usize) -> Line<'static> {
    let name = column(&format!(" {}", hop.title("->")), 22);
    let times = if hop.started_at.is_some() {
        format!("{} of {}", words::duration(hop.wall), words::duration(hop.estimate))
    } else {
        format!("about {}", words::duration(hop.estimate))
    };
    let figures = format!(" {:>3.0} %  {times:>22} ", hop.progress * 100.0);
    let room = width.saturating_sub(name.chars().count() + figures.chars().count());
    let done = (0..room).take_while(|cell| part(*cell, room) < hop.progress).count();
    let colour = palette::release(report, Some(&hop.to));
    Line::from(vec![
        Span::raw(name),
        Span::styled("━".repeat(done), colour),
        Span::styled("─".repeat(room - done), palette::faint()),
        Span::styled(figures, Style::new()),
    ])
}

/// The part of a bar that a cell begins at.
fn part(cell: usize, room: usize) -> f64 {
    let number = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    number(cell) / number(room.max(1))
}
