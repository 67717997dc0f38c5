//! The four answers: doing, waits for, must act, still. On a small screen the steps say the first.

use super::{fit, palette};
use quorate_report::Report;
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Modifier, Style},
    text::{Line, Span},
    widgets::{Paragraph, Wrap},
};

/// Room for the questions.
const LABEL: u16 = 11;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, report: &Report, full: bool) {
    let answer = report.answer();
    let urgent = report.needs_person();
    let act = if urgent { palette::warn().add_modifier(Modifier::BOLD) } else { Style::new() };
    let waits = if answer.waits_for == "nothing" { palette::faint() } else { palette::warn() };
    let rows = [
        ("doing", answer.doing, Style::new(), full),
        ("waits for", answer.waits_for, waits, true),
        ("must act", answer.must_act, act, true),
        ("still", answer.how_long, Style::new(), true),
    ];
    let rows: Vec<_> = rows.into_iter().filter(|(.., shown)| *shown).collect();
    // Only the full form has room to break lines, and then the longest answers get it.
    let width = area.width.saturating_sub(LABEL).max(1);
    let lines_of = |text: &str| {
        let cells = u16::try_from(Line::raw(text).width()).unwrap_or(u16::MAX);
        if full { cells.div_ceil(width).clamp(1, 3) } else { 1 }
    };
    let heights = rows.iter().map(|(_, text, ..)| Constraint::Length(lines_of(text)));
    let areas = Layout::vertical(heights).split(area);
    for ((label, text, style, _), area) in rows.iter().zip(areas.iter()) {
        let inset = u16::from(!full);
        let [_, left, right] = Layout::horizontal([
            Constraint::Length(inset),
            Constraint::Length(LABEL),
            Constraint::Fill(1),
        ])
        .areas(*area);
        frame.render_widget(Paragraph::new(Span::styled(*label, palette::faint())), left);
        let cells = usize::from(right.width) * usize::from(right.height.max(1));
        let text = fit(text, cells);
        let text = Paragraph::new(Span::styled(text, *style)).wrap(Wrap { trim: true });
        frame.render_widget(text, right);
    }
}
