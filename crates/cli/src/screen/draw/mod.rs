//! Draws a report on a terminal of any size. Pure: a report and a moment in, cells out.
//!
//! Invariant: no meaning by colour alone; every mark has a letter or a word too.

mod answer;
mod client;
mod head;
mod members;
mod overlay;
mod palette;
mod steps;

pub(super) use overlay::draw_overlay;

use jiff::Timestamp;
use quorate_report::{Report, words};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::Stylize,
    text::{Line, Span},
    widgets::{Block, Borders, Padding, Paragraph},
};

/// From this width on, two columns stand side by side: each is then as wide as the narrow screen needs.
const WIDE: u16 = 120;

/// Below this size only the four answers fit.
const SMALL: (u16, u16) = (50, 16);

/// Draws the whole screen.
pub(crate) fn draw(frame: &mut Frame<'_>, report: &Report, now: Timestamp) {
    let area = frame.area();
    let hops = head::height(report);
    let [top, hop_rows, body, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(hops),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area);
    head::title(frame, top, report, now);
    overlay::keys(frame, foot, report);
    if area.width < SMALL.0 || area.height < SMALL.1 {
        let [_, all] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)])
            .areas(hop_rows.union(body));
        answer::draw(frame, all, report, true);
        return;
    }
    head::hops(frame, hop_rows, report);
    if area.width >= WIDE {
        wide(frame, body, report, now);
    } else {
        narrow(frame, body, report, now);
    }
}

fn wide(frame: &mut Frame<'_>, area: Rect, report: &Report, now: Timestamp) {
    let [left, _, right] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(2), Constraint::Fill(1)])
            .areas(area);
    let [members_area, steps_area] = Layout::vertical([
        Constraint::Length(members::height(report, area.height / 3) + 1),
        Constraint::Fill(1),
    ])
    .areas(left);
    let inside = section(frame, members_area, "Members");
    members::draw(frame, inside, report);
    steps::draw(frame, steps_area, report);
    let client_rows = if report.client.is_measured() { (area.height / 4).max(5) } else { 0 };
    let [answer_area, client_area, log_area] = Layout::vertical([
        Constraint::Length(8),
        Constraint::Length(client_rows),
        Constraint::Fill(1),
    ])
    .areas(right);
    let inside = section(frame, answer_area, "Now");
    answer::draw(frame, inside, report, true);
    client::draw(frame, client_area, report);
    log(frame, log_area, report, now);
}

fn narrow(frame: &mut Frame<'_>, area: Rect, report: &Report, now: Timestamp) {
    let client_rows = if report.client.is_measured() { 4 } else { 0 };
    let member_rows = members::height(report, area.height / 4) + 1;
    // The steps get what is left, a long log only on a tall terminal.
    let log_rows = 3 + area.height.saturating_sub(26) / 3;
    let [members_area, steps_area, answer_area, client_area, log_area] = Layout::vertical([
        Constraint::Length(member_rows),
        Constraint::Fill(1),
        Constraint::Length(3),
        Constraint::Length(client_rows),
        Constraint::Length(log_rows),
    ])
    .areas(area);
    let inside = section(frame, members_area, "Members");
    members::draw(frame, inside, report);
    steps::draw(frame, steps_area, report);
    answer::draw(frame, answer_area, report, false);
    client::draw(frame, client_area, report);
    log(frame, log_area, report, now);
}

/// A titled part with a rule above it; gives the room inside.
fn section<'a>(frame: &mut Frame<'_>, area: Rect, title: impl Into<Line<'a>>) -> Rect {
    let mut line: Line<'_> = title.into();
    line.spans.insert(0, Span::raw(" "));
    line.spans.push(Span::raw(" "));
    let block = Block::new()
        .borders(Borders::TOP)
        .border_style(palette::faint())
        .title(line.style(palette::heading()))
        .padding(Padding::horizontal(1));
    let inside = block.inner(area);
    frame.render_widget(block, area);
    inside
}

/// The last events, the newest at the bottom, where the eye waits for it.
fn log(frame: &mut Frame<'_>, area: Rect, report: &Report, now: Timestamp) {
    let title = match report.log.last() {
        Some(last) if report.ended_at.is_none() => {
            let quiet = now.duration_since(last.at).as_secs().max(0).unsigned_abs();
            let ago = words::duration(std::time::Duration::from_secs(quiet));
            Line::from(vec![
                "Events".into(),
                Span::styled(format!("  newest {ago} ago"), palette::faint()),
            ])
        }
        _ => Line::from("Events"),
    };
    let inside = section(frame, area, title);
    let rows = usize::from(inside.height);
    let start = report.log.len().saturating_sub(rows);
    let lines: Vec<Line<'_>> = report.log[start..]
        .iter()
        .map(|line| {
            let clock = format!("{}  ", words::clock(line.at));
            let text = fit(&line.text, usize::from(inside.width).saturating_sub(clock.len()));
            Line::from(vec![
                Span::styled(clock, palette::faint()),
                Span::styled(text, palette::tone(line.tone)),
            ])
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), inside);
}

/// Cuts a text to a width in cells, an ellipsis at the cut.
fn fit(text: &str, width: usize) -> String {
    if Line::raw(text).width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    for letter in text.chars() {
        out.push(letter);
        if Line::raw(out.as_str()).width() >= width {
            out.pop();
            break;
        }
    }
    out.push('…');
    out
}

/// Fills a text up to a width in cells, or cuts it.
fn column(text: &str, width: usize) -> String {
    let mut out = fit(text, width);
    let room = width.saturating_sub(Line::raw(out.as_str()).width());
    out.extend(std::iter::repeat_n(' ', room));
    out
}

/// Bold text in the terminal's own colour.
fn strong(text: impl Into<String>) -> Span<'static> {
    Span::raw(text.into()).bold()
}
