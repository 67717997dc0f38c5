//! The picture of a run: members, steps and the client above one time axis. Coordinates are computed here, text is escaped by the template.

use super::{
    axis::{Axis, Tick, round},
    lanes::{Lane, Passing, Span, drawn, lane, passings},
    latency::{ClientLane, client_lane},
};
use crate::{
    report::{Report, StepReport, StepState},
    words,
};
use jiff::Timestamp;
use quorate_model::StepRole;
use serde::Serialize;

/// One drawing of the timeline, for one width of page.
#[derive(Debug, Serialize)]
pub(super) struct Timeline {
    class: &'static str,
    width: f64,
    height: f64,
    left: f64,
    right: f64,
    lanes_top: f64,
    lanes_bottom: f64,
    axis_y: f64,
    label_above: bool,
    hops: Vec<Span>,
    ticks: Vec<Tick>,
    lanes: Vec<Lane>,
    passings: Vec<Passing>,
    steps_y: f64,
    steps: Vec<Span>,
    client: Option<ClientLane>,
    stills: Vec<Span>,
    flags: Vec<Flag>,
}

/// A moment of the whole run: halted, paused, taken up again, approved, noted.
#[derive(Debug, Serialize)]
struct Flag {
    x: f64,
    class: &'static str,
    title: String,
}

/// Measures of one drawing.
struct Frame {
    class: &'static str,
    width: f64,
    left: f64,
    right_pad: f64,
    /// From one lane to the next.
    lane_step: f64,
    client_height: f64,
    /// Labels stand above their lanes where there is no room beside them.
    label_above: bool,
}

const WIDE: Frame = Frame {
    class: "wide",
    width: 1120.0,
    left: 118.0,
    right_pad: 12.0,
    lane_step: 44.0,
    client_height: 118.0,
    label_above: false,
};

const NARROW: Frame = Frame {
    class: "narrow",
    width: 360.0,
    left: 2.0,
    right_pad: 4.0,
    lane_step: 54.0,
    client_height: 110.0,
    label_above: true,
};

/// Draws the timeline for wide and for narrow pages; nothing for a run that has not begun.
pub(super) fn timelines(report: &Report) -> Vec<Timeline> {
    let Some(began) = report.began_at else { return Vec::new() };
    let end = report.ended_at.unwrap_or(report.as_of);
    [WIDE, NARROW].iter().map(|frame| draw(report, frame, began, end)).collect()
}

fn draw(report: &Report, frame: &Frame, began: Timestamp, end: Timestamp) -> Timeline {
    let axis = Axis::new(began, end, frame.left, frame.width - frame.left - frame.right_pad);
    let above = if frame.label_above { 16.0 } else { 0.0 };
    let lanes_top = 34.0;
    let y_of = |index: usize| {
        let index = words::f64_of(u64::try_from(index).unwrap_or(0));
        lanes_top + 16.0 + above + index * frame.lane_step
    };
    let members = drawn(report);
    let lanes = members.iter().enumerate();
    let lanes = lanes.map(|(index, member)| lane(report, &axis, member, y_of(index), end));
    let steps_y = y_of(members.len());
    let client_y = steps_y + 34.0 + above * 2.2;
    let client = client_lane(report, &axis, client_y, frame.client_height);
    let lanes_bottom =
        if client.is_some() { client_y + frame.client_height } else { steps_y + 18.0 };
    Timeline {
        class: frame.class,
        width: frame.width,
        height: lanes_bottom + 28.0,
        left: frame.left,
        right: frame.width - frame.right_pad,
        lanes_top,
        lanes_bottom,
        axis_y: lanes_bottom + 18.0,
        label_above: frame.label_above,
        hops: hops(report, &axis, end),
        ticks: axis.ticks(),
        lanes: lanes.collect(),
        passings: passings(report, &axis, y_of),
        steps_y,
        steps: report.steps().filter_map(|step| block(&axis, step, end)).collect(),
        client,
        stills: stills(report, &axis, end),
        flags: flags(report, &axis),
    }
}

fn hops(report: &Report, axis: &Axis, end: Timestamp) -> Vec<Span> {
    let started = report.hops.iter().filter_map(|hop| Some((hop, hop.started_at?)));
    started
        .map(|(hop, started)| {
            let (x, to) = (axis.x(started), axis.x(hop.ended_at.unwrap_or(end)));
            let text = hop.title("→");
            let title = format!(
                "{text}: {} of about {}",
                words::duration(hop.wall),
                words::duration(hop.estimate)
            );
            let label = (to - x > 110.0).then_some(text);
            Span { x, w: round(to - x), class: "hop".to_owned(), title, label }
        })
        .collect()
}

fn block(axis: &Axis, step: &StepReport, end: Timestamp) -> Option<Span> {
    let started = step.started_at?;
    let (x, to) = (axis.x(started), axis.x(step.ended_at.unwrap_or(end)));
    let class = match (&step.state, step.role) {
        (StepState::Failed { .. } | StepState::Unknown { .. }, _) => "bad",
        (_, StepRole::Stop | StepRole::Swap | StepRole::Start | StepRole::Restore) => "act",
        (_, StepRole::Handover | StepRole::Cure | StepRole::Finalize) => "act",
        (_, StepRole::TempSet | StepRole::TempPutBack) => "act",
        (_, StepRole::Membership | StepRole::SetAside | StepRole::List) => "act",
        (_, StepRole::DependantStop | StepRole::DependantSwitch | StepRole::DependantStart) => {
            "act"
        }
        (_, StepRole::Stage | StepRole::Backup | StepRole::Verify | StepRole::Go) => "ready",
        (_, StepRole::Precheck | StepRole::Rejoin | StepRole::Soak | StepRole::HopComplete) => {
            "look"
        }
    };
    let took = step.took.map_or(String::new(), |took| format!(", {}", words::duration(took)));
    let state = words::step_state(&step.state);
    let title = format!("{}: {state}{took}, at {}", step.title, axis.offset(started));
    // A hair of space between neighbours, so that short steps can be told apart.
    let w = round((to - x - 0.8).max(1.0));
    Some(Span { x, w, class: class.to_owned(), title, label: None })
}

fn stills(report: &Report, axis: &Axis, end: Timestamp) -> Vec<Span> {
    let standstills = report.standstills.iter().map(|still| {
        let title = format!("paused by {}", still.by);
        (still.from, still.until.unwrap_or(end), title)
    });
    let approvals = report.approvals.iter().filter_map(|approval| {
        let until = approval.approved_at.unwrap_or(end);
        Some((approval.asked_at?, until, format!("waits for a yes: {}", approval.title)))
    });
    let spans = standstills.chain(approvals).map(|(from, until, title)| {
        let (x, to) = (axis.x(from), axis.x(until));
        Span { x, w: round((to - x).max(1.0)), class: "still".to_owned(), title, label: None }
    });
    spans.collect()
}

fn flags(report: &Report, axis: &Axis) -> Vec<Flag> {
    let flag = |at, class, title: String| Flag {
        x: axis.x(at),
        class,
        title: format!("{title}, at {}", axis.offset(at)),
    };
    let halts = report
        .halts
        .iter()
        .map(|halt| flag(halt.at, "halt", format!("halted: {}", halt.hold.text)));
    let takers = report.controllers.iter().skip(1);
    let takers = takers.map(|c| flag(c.at, "resume", format!("taken up by {}", c.holder.who)));
    let pauses =
        report.standstills.iter().map(|s| flag(s.from, "pause", format!("paused by {}", s.by)));
    let approvals = report.approvals.iter().filter_map(|approval| {
        let by = approval.by.as_deref()?;
        Some(flag(approval.approved_at?, "yes", format!("{by} approved: {}", approval.title)))
    });
    let notes =
        report.notes.iter().map(|n| flag(n.at, "note", format!("{} notes: {}", n.by, n.text)));
    // The gravest last: what is drawn later lies on top.
    notes.chain(approvals).chain(pauses).chain(takers).chain(halts).collect()
}
