//! The members: release, role, health, lag.

use super::{column, palette, strong};
use quorate_model::Role;
use quorate_report::{MemberReport, Report, words};
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
    widgets::Paragraph,
};

/// Rows that the members need, at most `most` but never fewer than three.
pub(super) fn height(report: &Report, most: u16) -> u16 {
    u16::try_from(report.members.len()).unwrap_or(u16::MAX).min(most.max(3))
}

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, report: &Report) {
    let rows = usize::from(area.height);
    let all = report.members.len();
    // The last row tells of those that found no room: nobody is dropped in silence.
    let shown = if all > rows { rows.saturating_sub(1) } else { all };
    let name_width = report.members.iter().map(|m| m.node.as_str().chars().count()).max();
    let name_width = name_width.unwrap_or(0).clamp(8, 24);
    let members = report.members.iter().take(shown);
    let mut lines: Vec<Line<'_>> = members.map(|member| line(report, member, name_width)).collect();
    if all > shown {
        lines.push(Line::styled(format!("and {} more", all - shown), palette::faint()));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn line(report: &Report, member: &MemberReport, name_width: usize) -> Line<'static> {
    let name = column(member.node.as_str(), name_width);
    let Some(now) = member.now() else { return Line::from(name) };
    let release = now.release.as_ref().map_or("unknown".to_owned(), ToString::to_string);
    let lag = match now.lag {
        Some(0) => Span::styled("caught up", palette::faint()),
        Some(lag) => Span::styled(format!("{} behind", words::count(lag)), palette::warn()),
        None => Span::styled("lag unknown", palette::faint()),
    };
    let leads = now.role == Role::Leader;
    let role = column(&format!("{}{}", if leads { "★ " } else { "  " }, words::role(now.role)), 12);
    Line::from(vec![
        Span::raw(name),
        Span::raw("  "),
        Span::styled(column(&release, 10), palette::release(report, now.release.as_ref())),
        if leads { strong(role) } else { Span::raw(role) },
        Span::raw("  "),
        Span::styled(column(words::health(now.health), 13), palette::health(now.health)),
        lag,
    ])
}
