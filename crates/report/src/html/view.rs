//! The report's values as the page needs them: words instead of enums, offsets instead of moments.

use super::timeline::{Timeline, timelines};
use crate::{
    Answer,
    crowd::{Row, alike},
    report::{HopReport, Report, StepReport, StepState, WaveReport, since},
    words,
};
use jiff::Timestamp;
use quorate_model::{Risk, RuleApplied, RuleVerdict, RunEnd, RunState};
use serde::Serialize;
use std::{borrow::Cow, time::Duration};

/// Everything on the page.
#[derive(Debug, Serialize)]
pub(super) struct Page<'a> {
    report: &'a Report,
    title: String,
    kind: &'static str,
    path: Vec<Stop>,
    outcome: String,
    tone: &'static str,
    verdict: String,
    began: Option<String>,
    ended: Option<String>,
    taken: String,
    tiles: Vec<Tile>,
    /// Only while a run is open: an end answers for itself.
    answer: Vec<Reply>,
    halts: Vec<Halt<'a>>,
    timelines: Vec<Timeline>,
    hops: Vec<Hop<'a>>,
    members: Vec<Member>,
    gaps: Vec<Gap<'a>>,
    backups: Vec<Backup<'a>>,
    ledger: Vec<Ledger<'a>>,
    said: Vec<Said>,
    log: Vec<Line<'a>>,
    controllers: Vec<Said>,
}

#[derive(Debug, Serialize)]
struct Stop {
    release: String,
    class: String,
}

#[derive(Debug, Serialize)]
struct Tile {
    value: String,
    label: &'static str,
    note: String,
    class: &'static str,
}

/// A piece of a sentence; what stood between backticks is code.
#[derive(Debug, Serialize)]
struct Piece<'a> {
    text: Cow<'a, str>,
    code: bool,
}

#[derive(Debug, Serialize)]
struct Reply {
    question: &'static str,
    pieces: Vec<Piece<'static>>,
}

#[derive(Debug, Serialize)]
struct Halt<'a> {
    at: String,
    code: &'a str,
    text: Vec<Piece<'a>>,
    hint: Vec<Piece<'a>>,
}

#[derive(Debug, Serialize)]
struct Hop<'a> {
    title: String,
    kind: &'static str,
    risk: &'static str,
    door: &'static str,
    percent: String,
    wall: String,
    estimate: String,
    floor: String,
    outage: Option<String>,
    waves: Vec<Wave>,
    rules: Vec<Rule<'a>>,
}

#[derive(Debug, Serialize)]
struct Wave {
    title: String,
    steps: Vec<Step>,
}

#[derive(Debug, Serialize)]
struct Step {
    id: String,
    title: String,
    state: &'static str,
    class: &'static str,
    at: String,
    took: String,
    estimate: String,
    took_percent: f64,
    estimate_percent: f64,
    remark: Option<String>,
    one_way: bool,
    attempts: u64,
    gap_ms: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Rule<'a> {
    rule: &'a RuleApplied,
    verdict: &'static str,
    class: &'static str,
    risk: &'static str,
    sources: Vec<Source<'a>>,
}

#[derive(Debug, Serialize)]
struct Source<'a> {
    text: &'a str,
    link: bool,
}

#[derive(Debug, Serialize)]
struct Member {
    node: String,
    release: String,
    class: String,
    role: &'static str,
    health: &'static str,
    lag: String,
}

#[derive(Debug, Serialize)]
struct Gap<'a> {
    at: String,
    gap_ms: u64,
    over_ms: u64,
    cause: &'a str,
    percent: f64,
}

#[derive(Debug, Serialize)]
struct Backup<'a> {
    file: &'a str,
    size: String,
    sha256: &'a str,
    at: String,
    verified: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Ledger<'a> {
    key: &'a str,
    set: String,
    back: Option<String>,
}

#[derive(Debug, Serialize)]
struct Said {
    at: String,
    who: String,
    what: &'static str,
    text: String,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    at: String,
    text: &'a str,
    class: &'static str,
}

pub(super) fn page(report: &Report) -> Page<'_> {
    let path = report.path().into_iter().map(|release| Stop {
        release: release.to_string(),
        class: super::lanes::colour(report, Some(release)),
    });
    Page {
        report,
        title: format!("{} {} to {}", report.cluster, report.from, report.to),
        kind: words::plan_kind(report.kind),
        path: path.collect(),
        outcome: report.outcome().replace('-', " "),
        tone: tone(report),
        verdict: verdict(report),
        began: report.began_at.map(words::moment),
        ended: report.ended_at.map(words::moment),
        taken: words::moment(report.origin.observation.taken_at),
        tiles: tiles(report),
        answer: replies(report),
        halts: halts(report),
        timelines: timelines(report),
        hops: report.hops.iter().map(|hop| hop_view(report, hop)).collect(),
        members: members(report),
        gaps: gaps(report),
        backups: backups(report),
        ledger: ledger(report),
        said: said(report),
        log: log(report),
        controllers: controllers(report),
    }
}

/// A moment as an offset from the run's begin.
fn offset(report: &Report, at: Timestamp) -> String {
    report.began_at.map_or_else(|| words::clock(at), |began| words::offset(since(began, at)))
}

fn tone(report: &Report) -> &'static str {
    let lost = report.client.figures.as_ref().is_some_and(words::is_broken);
    match &report.state {
        _ if lost => "bad",
        RunState::Ended { end: RunEnd::Succeeded } => "good",
        RunState::Ended { end: RunEnd::Halted { .. } } => "bad",
        RunState::Ended { end: RunEnd::Aborted { .. } } => "warn",
        RunState::Paused { .. } | RunState::AwaitingApproval { .. } => "warn",
        RunState::Running => "plain",
    }
}

/// The run in one sentence.
fn verdict(report: &Report) -> String {
    match &report.state {
        RunState::Ended { end: RunEnd::Succeeded } => {
            let all = format!("Every member runs {}", report.to);
            match &report.client.figures {
                Some(figures) if figures.writes_lost == 0 => format!(
                    "{all}, and not one of {} acknowledged writes was lost.",
                    words::count(figures.writes_acked)
                ),
                Some(figures) => format!(
                    "{all}, but {} of {} acknowledged writes were lost.",
                    words::count(figures.writes_lost),
                    words::count(figures.writes_acked)
                ),
                None => format!("{all}. No client's account was made."),
            }
        }
        RunState::Ended { end: RunEnd::Halted { hold } } => {
            let step = hold.step.as_ref().and_then(|id| report.step(id));
            let at = step.map_or(String::new(), |step| format!(" at “{}”", step.title));
            format!("Halted{at}. Nothing further was touched.")
        }
        RunState::Ended { end: RunEnd::Aborted { by, .. } } => {
            format!("Ended by {by}. Nothing further was touched.")
        }
        RunState::Paused { .. } | RunState::AwaitingApproval { .. } | RunState::Running => {
            let doing = report.answer().doing;
            let mut letters = doing.chars();
            let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
            format!("{first}{}.", letters.as_str())
        }
    }
}

fn tiles(report: &Report) -> Vec<Tile> {
    let mut tiles = Vec::new();
    if report.client.is_measured() {
        let figures = report.client.best();
        let over = figures.write_gap_max_ms.saturating_sub(figures.baseline_gap_max_ms);
        let (lost, note, class) = match &report.client.figures {
            Some(figures) if figures.writes_lost == 0 => {
                ("0".to_owned(), "each one compared at the end", "good")
            }
            Some(figures) => (words::count(figures.writes_lost), "compared at the end", "bad"),
            None => ("–".to_owned(), "not compared yet", "plain"),
        };
        let acked = words::count(figures.writes_acked);
        let reads = format!("beside {} reads", words::count(figures.reads_ok));
        let reads = if figures.reads_ok > 0 { reads } else { "so far".to_owned() };
        let failed = words::count(figures.requests_failed);
        let class_failed = if figures.requests_failed == 0 { "good" } else { "bad" };
        let gap = format!("{over} ms above the {} ms before", figures.baseline_gap_max_ms);
        tiles.extend([
            tile(acked, "writes acknowledged", reads, "plain"),
            tile(lost, "writes lost", note.to_owned(), class),
            tile(
                failed,
                "requests failed",
                "after a good client's retries".to_owned(),
                class_failed,
            ),
            tile(format!("{} ms", figures.write_gap_max_ms), "longest write gap", gap, "plain"),
        ]);
        if let Some(lock) = &figures.lock {
            let note = format!("by two at once, of {} times taken", words::count(lock.taken));
            let class = if lock.broken == 0 { "good" } else { "bad" };
            tiles.push(tile(words::count(lock.broken), "a lock held twice", note, class));
        }
        for lookup in &figures.lookups {
            let (right, wrong) = (words::count(lookup.right), words::count(lookup.wrong));
            let (name, gap) = (&lookup.name, lookup.gap_max_ms);
            let note = format!("over {name}, {wrong} wrong, at worst {gap} ms apart");
            let class = if lookup.wrong == 0 { "good" } else { "bad" };
            tiles.push(tile(right, "right lookups", note, class));
        }
    }
    let planned = format!("about {} planned", words::duration(report.estimate));
    tiles.push(tile(words::duration(report.elapsed()), "wall time", planned, "plain"));
    let floor: Duration = report.hops.iter().map(|hop| hop.floor).sum();
    if !floor.is_zero() {
        let note = "the product's own restarts".to_owned();
        tiles.push(tile(words::duration(floor), "floor", note, "plain"));
    }
    tiles
}

/// Splits a sentence at its backticks. An odd one out stays as it is.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    if !text.matches('`').count().is_multiple_of(2) {
        return vec![Piece { text: text.into(), code: false }];
    }
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(index, text)| Piece { text: text.into(), code: index % 2 == 1 });
    parts.filter(|piece| !piece.text.is_empty()).collect()
}

fn replies(report: &Report) -> Vec<Reply> {
    let ended =
        matches!(report.state, RunState::Ended { end: RunEnd::Succeeded | RunEnd::Halted { .. } });
    if ended {
        return Vec::new();
    }
    let Answer { doing, waits_for, must_act, how_long } = report.answer();
    let reply = |question, text: String| {
        let own = pieces(&text)
            .into_iter()
            .map(|piece| Piece { text: piece.text.into_owned().into(), code: piece.code });
        Reply { question, pieces: own.collect() }
    };
    vec![
        reply("What is it doing", doing),
        reply("What does it wait for", waits_for),
        reply("Who must act", must_act),
        reply("How long still", how_long),
    ]
}

fn tile(value: String, label: &'static str, note: String, class: &'static str) -> Tile {
    Tile { value, label, note, class }
}

fn halts(report: &Report) -> Vec<Halt<'_>> {
    let view = report.halts.iter().map(|halt| Halt {
        at: offset(report, halt.at),
        code: &halt.hold.code,
        text: pieces(&halt.hold.text),
        hint: halt.hold.hint.as_deref().map(pieces).unwrap_or_default(),
    });
    view.collect()
}

fn hop_view<'a>(report: &'a Report, hop: &'a HopReport) -> Hop<'a> {
    let rows: Vec<_> = hop.waves.iter().map(WaveReport::rows).collect();
    let steps = rows.iter().flatten().map(|row| &row.step);
    let longest = steps.map(|step| step.estimate.max(step.took.unwrap_or_default())).max();
    let longest = longest.unwrap_or_default().as_secs_f64().max(0.001);
    let waves = hop.waves.iter().zip(&rows).map(|(wave, rows)| Wave {
        title: wave
            .tally()
            .map_or_else(|| wave.title.clone(), |tally| format!("{}, {tally}", wave.title)),
        steps: rows.iter().map(|row| step_view(report, row, longest)).collect(),
    });
    Hop {
        title: hop.title("→"),
        kind: words::hop_kind(hop.kind),
        risk: words::risk(hop.risk),
        door: words::door(hop.one_way),
        percent: format!("{:.0}", hop.progress * 100.0),
        wall: words::duration(hop.wall),
        estimate: words::duration(hop.estimate),
        floor: words::duration(hop.floor),
        outage: hop.outage.map(words::duration),
        waves: waves.collect(),
        rules: hop.rules.iter().map(rule_view).collect(),
    }
}

fn step_view(report: &Report, row: &Row<'_>, longest: f64) -> Step {
    let step: &StepReport = &row.step;
    let percent = |d: Duration| (d.as_secs_f64() / longest * 1000.0).round() / 10.0;
    let gaps = report
        .client
        .gaps
        .iter()
        .filter(|gap| gap.step.as_ref().is_some_and(|own| row.covers.contains(&own)));
    let class = match &step.state {
        StepState::Pending | StepState::Skipped { .. } => "muted",
        StepState::AwaitingApproval | StepState::Waiting { .. } => "warn",
        StepState::Running | StepState::Gating => "busy",
        StepState::Done { .. } => "good",
        StepState::Failed { .. } | StepState::Unknown { .. } => "bad",
    };
    Step {
        id: step.id.to_string(),
        title: step.title.clone(),
        state: words::step_state(&step.state),
        class,
        at: step.started_at.map_or(String::new(), |at| offset(report, at)),
        took: step.took.map_or(String::new(), words::duration),
        estimate: words::duration(step.estimate),
        took_percent: percent(step.took.unwrap_or_default()),
        estimate_percent: percent(step.estimate),
        remark: words::step_remark(&step.state).filter(|text| !text.is_empty()),
        one_way: step.one_way,
        attempts: step.attempts,
        gap_ms: gaps.map(|gap| gap.gap_ms).max(),
    }
}

fn rule_view(rule: &RuleApplied) -> Rule<'_> {
    let (verdict, class) = match rule.verdict {
        RuleVerdict::Allow => ("permits", "good"),
        RuleVerdict::Block => ("forbids", "bad"),
        RuleVerdict::Condition => ("condition met", "good"),
        RuleVerdict::NotApplicable => ("does not apply", "muted"),
    };
    // Anything else than a web address stays text: a source is written by whoever wrote the pack.
    let link = |text: &str| text.starts_with("https://") || text.starts_with("http://");
    let sources = rule.sources.iter().map(|text| Source { text, link: link(text) });
    let risk = match rule.risk {
        Risk::Low | Risk::Med | Risk::High => words::risk(rule.risk),
    };
    Rule { rule, verdict, class, risk, sources: sources.collect() }
}

fn members(report: &Report) -> Vec<Member> {
    let view = alike(&report.members).into_iter().map(|member| {
        let now = member.first.now();
        let release = now.and_then(|seen| seen.release.as_ref());
        Member {
            node: member.name(),
            release: release.map_or("unknown".to_owned(), ToString::to_string),
            class: super::lanes::colour(report, release),
            role: now.map_or("unknown", |seen| words::role(seen.role)),
            health: now.map_or("unseen", |seen| words::health(seen.health)),
            lag: now.and_then(|seen| seen.lag).map_or("unknown".to_owned(), words::count),
        }
    });
    view.collect()
}

fn gaps(report: &Report) -> Vec<Gap<'_>> {
    let longest = report.client.gaps.iter().map(|gap| gap.gap_ms).max().unwrap_or(1).max(1);
    let percent = |ms: u64| (words::f64_of(ms) / words::f64_of(longest) * 1000.0).round() / 10.0;
    let view = report.client.gaps.iter().map(|gap| Gap {
        at: offset(report, gap.at),
        gap_ms: gap.gap_ms,
        over_ms: gap.over_baseline_ms,
        cause: gap.step_title.as_deref().unwrap_or("no step was under way"),
        percent: percent(gap.gap_ms),
    });
    view.collect()
}

fn backups(report: &Report) -> Vec<Backup<'_>> {
    let view = report.backups.iter().map(|backup| Backup {
        file: &backup.file,
        size: words::bytes(backup.size_bytes),
        sha256: backup.sha256.as_str(),
        at: offset(report, backup.at),
        verified: backup.verified.as_deref(),
    });
    view.collect()
}

fn ledger(report: &Report) -> Vec<Ledger<'_>> {
    let view = report.ledger.iter().map(|entry| Ledger {
        key: &entry.key,
        set: offset(report, entry.set_at),
        back: entry.put_back_at.map(|at| offset(report, at)),
    });
    view.collect()
}

/// What people did, in order.
fn said(report: &Report) -> Vec<Said> {
    let mut said: Vec<(Timestamp, Said)> = Vec::new();
    let mut add = |at: Timestamp, who: &str, what: &'static str, text: String| {
        said.push((at, Said { at: offset(report, at), who: who.to_owned(), what, text }));
    };
    for approval in &report.approvals {
        let text = approval.text.as_deref().unwrap_or("");
        let text = format!("{}. {text}", approval.title);
        match (&approval.by, approval.approved_at, approval.asked_at) {
            (Some(by), Some(at), _) => add(at, by, "approved", text),
            (_, _, Some(at)) => add(at, "nobody yet", "asked", text),
            _ => {}
        }
    }
    for over in &report.overrides {
        let until = words::moment(over.over.expires);
        let text = format!(
            "gate {} on {} until {until}: {}",
            over.over.gate, over.over.node, over.over.reason
        );
        add(over.at, &over.by, "set aside", text);
    }
    for note in &report.notes {
        add(note.at, &note.by, "noted", note.text.clone());
    }
    for still in &report.standstills {
        let until = still.until.map_or("it still stands".to_owned(), |at| {
            format!("it stood for {}", words::duration(since(still.from, at)))
        });
        add(still.from, &still.by, "paused", until);
    }
    said.sort_by_key(|(at, _)| *at);
    said.into_iter().map(|(_, said)| said).collect()
}

fn log(report: &Report) -> Vec<Line<'_>> {
    let view = report.log.iter().map(|line| Line {
        at: offset(report, line.at),
        text: &line.text,
        class: match line.tone {
            crate::report::Tone::Plain => "plain",
            crate::report::Tone::Good => "good",
            crate::report::Tone::Warn => "warn",
            crate::report::Tone::Bad => "bad",
            crate::report::Tone::Person => "person",
        },
    });
    view.collect()
}

fn controllers(report: &Report) -> Vec<Said> {
    let view = report.controllers.iter().map(|controller| Said {
        at: offset(report, controller.at),
        who: controller.holder.who.clone(),
        what: "acts",
        text: format!(
            "process {}, lease generation {}",
            controller.holder.pid, controller.generation
        ),
    });
    view.collect()
}
