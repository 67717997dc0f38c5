//! The steps around the one under way, with elapsed time and estimate.

use super::{column, fit, palette, section};
use quorate_report::{Report, StepReport, report::since, words};
use ratatui::{
    Frame,
    layout::Rect,
    style::{Modifier, Style},
    text::{Line, Span},
    widgets::Paragraph,
};

/// What a row shows.
enum Row<'a> {
    Wave(&'a str),
    Step(&'a StepReport),
}

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, report: &Report) {
    let (over, all) = report.steps_over();
    let title = Line::from(vec![
        Span::raw("Steps"),
        Span::styled(
            format!("  {over} of {all} done"),
            palette::faint().remove_modifier(Modifier::BOLD),
        ),
    ]);
    let inside = section(frame, area, title);
    let rows = rows(report);
    let start = first_row(report, &rows, usize::from(inside.height));
    let width = usize::from(inside.width);
    let lines: Vec<Line<'_>> = rows
        .iter()
        .skip(start)
        .take(usize::from(inside.height))
        .map(|row| match row {
            Row::Wave(title) => Line::styled(fit(title, width), palette::heading()),
            Row::Step(step) => line(report, step, width),
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), inside);
}

fn rows(report: &Report) -> Vec<Row<'_>> {
    let waves = report.hops.iter().flat_map(|hop| &hop.waves);
    waves
        .flat_map(|wave| {
            std::iter::once(Row::Wave(&wave.title)).chain(wave.steps.iter().map(Row::Step))
        })
        .collect()
}

/// The current step stands past the middle: what was done matters less than what comes, but tells where one is.
fn first_row(report: &Report, rows: &[Row<'_>], height: usize) -> usize {
    let last = rows.len().saturating_sub(height);
    let Some(current) = report.current() else { return last };
    let place = rows.iter().position(|row| matches!(row, Row::Step(step) if step.id == current.id));
    place.map_or(0, |place| place.saturating_sub(height / 2)).min(last)
}

fn line(report: &Report, step: &StepReport, width: usize) -> Line<'static> {
    let (mark, colour) = palette::step(&step.state);
    let times = times(report, step);
    let state = words::step_state(&step.state);
    let tail = format!("  {} {times:>18}", column(state, 11));
    let room = width.saturating_sub(tail.chars().count() + 4);
    let door = if step.one_way { " [one-way]" } else { "" };
    let title = format!("{}{door}", fit(&step.title, room.saturating_sub(door.len())));
    let active = step.state.is_active();
    let text = if active { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
    let text =
        if step.state == quorate_report::StepState::Pending { palette::faint() } else { text };
    Line::from(vec![
        Span::styled(format!("  {mark} "), colour),
        Span::styled(column(&title, room), text),
        Span::styled(tail, if active { colour } else { palette::faint() }),
    ])
}

fn times(report: &Report, step: &StepReport) -> String {
    let estimate = words::duration(step.estimate);
    let spent = match (step.took, step.started_at) {
        (Some(took), _) => Some(took),
        (None, Some(started)) if step.state.is_active() => Some(since(started, report.as_of)),
        _ => None,
    };
    match spent {
        Some(spent) => format!("{} of {estimate}", words::duration(spent)),
        None => format!("about {estimate}"),
    }
}
