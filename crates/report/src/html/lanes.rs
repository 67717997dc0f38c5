//! A lane for each member: its release as colour, its stops as holes, its leadership as a line above.

use super::axis::{Axis, round};
use crate::{
    crowd::alike,
    report::{Health, MemberReport, MemberSeen, Report},
    words,
};
use jiff::Timestamp;
use quorate_model::{NodeName, Release, Role, StepRole};
use serde::Serialize;

/// Height of a lane's bar.
const BAR: f64 = 22.0;

/// One member's lane.
#[derive(Debug, Serialize)]
pub(super) struct Lane {
    label: String,
    y: f64,
    middle: f64,
    segments: Vec<Span>,
    leads: Vec<Span>,
    marks: Vec<Mark>,
}

/// A stretch of time in a lane.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Span {
    pub(super) x: f64,
    pub(super) w: f64,
    pub(super) class: String,
    pub(super) title: String,
    /// Text inside, where there is room for it.
    pub(super) label: Option<String>,
}

/// A point in time in a lane.
#[derive(Debug, Serialize)]
pub(super) struct Mark {
    pub(super) x: f64,
    pub(super) class: &'static str,
    pub(super) title: String,
}

/// Leadership going from lane to lane.
#[derive(Debug, Serialize)]
pub(super) struct Passing {
    x: f64,
    from_y: f64,
    to_y: f64,
    class: &'static str,
    title: String,
}

/// Colours at hand; a path of more releases begins again with the first.
const COLOURS: usize = 6;

/// The colour of a release: its place on the path.
pub(super) fn colour(report: &Report, release: Option<&Release>) -> String {
    let place = release.and_then(|release| report.path().iter().position(|r| *r == release));
    place.map_or_else(|| "rx".to_owned(), |place| format!("r{}", place % COLOURS))
}

/// Members that have a lane. A crowd that came through has none: a line a node under its wave says when it moved.
pub(super) fn drawn(report: &Report) -> Vec<&MemberReport> {
    let one_by_one = alike(&report.members).into_iter().filter(|alike| alike.count == 1);
    one_by_one.map(|alike| alike.first).collect()
}

pub(super) fn lane(
    report: &Report,
    axis: &Axis,
    member: &MemberReport,
    y: f64,
    end: Timestamp,
) -> Lane {
    let stretches = stretches(member, end);
    let segments = stretches.iter().map(|stretch| segment(report, axis, member, stretch));
    Lane {
        label: member.node.to_string(),
        y,
        middle: y + BAR / 2.0,
        segments: merge(segments.collect()),
        leads: merge(stretches.iter().filter_map(|stretch| lead(axis, member, stretch)).collect()),
        marks: marks(report, axis, member),
    }
}

/// What was seen, and until when it was the last thing seen.
type Stretch<'a> = (&'a MemberSeen, Timestamp);

fn stretches(member: &MemberReport, end: Timestamp) -> Vec<Stretch<'_>> {
    let ends = member.history.iter().skip(1).map(|next| next.at).chain([end]);
    member.history.iter().zip(ends).collect()
}

fn segment(
    report: &Report,
    axis: &Axis,
    member: &MemberReport,
    (seen, until): &Stretch<'_>,
) -> Span {
    let release = seen.release.as_ref().map_or("unknown release".to_owned(), ToString::to_string);
    let class = match seen.health {
        Health::Serving => colour(report, seen.release.as_ref()),
        Health::NotServing => format!("{} weak", colour(report, seen.release.as_ref())),
        Health::Stopped => "stopped".to_owned(),
        Health::Unseen => "unseen".to_owned(),
    };
    let (x, to) = (axis.x(seen.at), axis.x(*until));
    let health = words::health(seen.health);
    let title = match seen.health {
        Health::Stopped | Health::Unseen => format!("{} {health}", member.node),
        Health::Serving | Health::NotServing => format!("{} {health} on {release}", member.node),
    };
    let label = matches!(seen.health, Health::Serving).then_some(release);
    let title = format!("{title}, from {}", axis.offset(seen.at));
    Span { x, w: round(to - x), class, title, label }
}

fn lead(axis: &Axis, member: &MemberReport, (seen, until): &Stretch<'_>) -> Option<Span> {
    if seen.role != Role::Leader {
        return None;
    }
    let (x, to) = (axis.x(seen.at), axis.x(*until));
    let title = format!("{} leads, from {}", member.node, axis.offset(seen.at));
    Some(Span { x, w: round(to - x), class: "lead".to_owned(), title, label: None })
}

/// Joins neighbours that look alike: a change of lag or role does not cut a bar. Drops what is too short to be seen.
fn merge(spans: Vec<Span>) -> Vec<Span> {
    let mut out: Vec<Span> = Vec::new();
    for span in spans {
        match out.last_mut() {
            Some(last) if last.class == span.class && (last.x + last.w - span.x).abs() < 0.25 => {
                last.w = round(span.x + span.w - last.x);
            }
            _ => out.push(span),
        }
    }
    out.retain(|span| span.w > 0.0);
    for span in &mut out {
        let room =
            |text: &String| words::f64_of(u64::try_from(text.len()).unwrap_or(0)) * 7.2 + 12.0;
        span.label = span.label.take().filter(|text| room(text) <= span.w);
    }
    out
}

fn marks(report: &Report, axis: &Axis, member: &MemberReport) -> Vec<Mark> {
    let mine = report.steps().filter(|step| step.node.as_ref() == Some(&member.node));
    mine.filter_map(|step| {
        let class = match step.role {
            StepRole::Stop => "stop",
            StepRole::Start => "start",
            _ => return None,
        };
        let at = step.started_at?;
        let title = format!("{}, at {}", step.title, axis.offset(at));
        Some(Mark { x: axis.x(at), class, title })
    })
    .collect()
}

/// Draws each change of leader from the old lane to the new one.
pub(super) fn passings(report: &Report, axis: &Axis, y_of: impl Fn(usize) -> f64) -> Vec<Passing> {
    let drawn = drawn(report);
    let place = |node: &NodeName| drawn.iter().position(|member| member.node == *node);
    let changes = report.leader_changes.iter();
    changes
        .filter_map(|change| {
            let to = place(&change.to)?;
            let from = change.from.as_ref().and_then(place).unwrap_or(to);
            let how = if change.planned { "planned" } else { "not planned" };
            let after = change.from.as_ref().map_or(String::new(), |from| format!(" after {from}"));
            Some(Passing {
                x: axis.x(change.at),
                from_y: y_of(from) - 4.5,
                to_y: y_of(to) - 4.5,
                class: if change.planned { "planned" } else { "unplanned" },
                title: format!("{} leads{after}, {how}, at {}", change.to, axis.offset(change.at)),
            })
        })
        .collect()
}
