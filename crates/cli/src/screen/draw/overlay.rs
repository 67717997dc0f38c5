//! What lies over the screen or under it: the keys, their help, and the question before a yes.

use super::{fit, palette, strong};
use crate::screen::keys::{Overlay, awaited, can_pause, can_resume};
use quorate_report::Report;
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Modifier, Style},
    text::{Line, Span},
    widgets::{Block, BorderType, Clear, Padding, Paragraph, Wrap},
};

/// The keys in one line; those that mean nothing now are faint.
pub(super) fn keys(frame: &mut Frame<'_>, area: Rect, report: &Report) {
    let keys = [
        ("p", "pause", can_pause(report)),
        ("r", "resume", can_resume(report)),
        ("a", "approve", awaited(report).is_some()),
        ("q", "leave", true),
        ("?", "help", true),
    ];
    let mut spans = vec![Span::raw(" ")];
    for (key, word, means) in keys {
        let style = if means { Style::new() } else { palette::faint() };
        let bold = if means { style.add_modifier(Modifier::BOLD) } else { style };
        spans.push(Span::styled(key, bold));
        spans.push(Span::styled(format!(" {word}   "), style));
    }
    frame.render_widget(Paragraph::new(Line::from(spans)), area);
}

/// Draws what lies over the screen.
pub(crate) fn draw_overlay(frame: &mut Frame<'_>, report: &Report, overlay: &Overlay) {
    match overlay {
        Overlay::Clear => {}
        Overlay::Help => window(frame, "Help", help(), 66),
        Overlay::Confirm(step) => {
            let title = report.step(step).map_or(step.as_str(), |step| step.title.as_str());
            let asked = report.approvals.iter().rev().find(|approval| approval.step == *step);
            let text = asked.and_then(|approval| approval.text.clone()).unwrap_or_default();
            let lines = vec![
                Line::from(strong(title.to_owned())),
                Line::raw(text),
                Line::raw(""),
                Line::from(vec![
                    strong("y"),
                    Span::raw(" yes, go on     "),
                    strong("n"),
                    Span::raw(" not yet"),
                ]),
            ];
            window(frame, "Say yes?", lines, 66);
        }
    }
}

fn help() -> Vec<Line<'static>> {
    let keys = [
        ("p", "pause at the next safe point"),
        ("r", "go on after a pause"),
        ("a", "say yes to the step that waits for it (asks again)"),
        ("q", "leave the screen"),
        ("Ctrl-C", "pause at the next safe point, then leave"),
        ("", ""),
        ("✓ ▸ ~", "a step is done, under way, waiting"),
        ("? ✗ -", "needs a yes or is unknown, failed, skipped"),
        ("★", "leads"),
        ("▾ x", "a gap above the baseline, failed requests"),
    ];
    let line = |(key, text): (&'static str, &'static str)| {
        Line::from(vec![strong(format!("{key:<8}")), Span::raw(text)])
    };
    keys.into_iter().map(line).collect()
}

fn window(frame: &mut Frame<'_>, title: &str, lines: Vec<Line<'_>>, width: u16) {
    let all = frame.area();
    let width = width.min(all.width);
    let inside = usize::from(width.saturating_sub(4)).max(1);
    let rows: usize = lines.iter().map(|line| line.width().div_ceil(inside).max(1)).sum();
    let height = u16::try_from(rows + 2).unwrap_or(u16::MAX).saturating_add(1).min(all.height);
    let area = centre(all, width, height);
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(palette::busy())
        .title(Line::styled(format!(" {} ", fit(title, inside)), palette::heading()))
        .padding(Padding::horizontal(1));
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }).block(block), area);
}

fn centre(all: Rect, width: u16, height: u16) -> Rect {
    let [_, middle, _] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(height), Constraint::Fill(1)])
            .areas(all);
    let [_, area, _] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(width), Constraint::Fill(1)])
            .areas(middle);
    area
}
