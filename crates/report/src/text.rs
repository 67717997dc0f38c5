//! The report for people at a terminal: plain text, no colour, 100 columns.

use crate::{
    crowd::{Alike, alike},
    report::{HopReport, Report, StepReport, StepState},
    words,
};

/// Draws the whole report as text.
pub fn text(report: &Report) -> String {
    let mut out = Page::default();
    head(&mut out, report);
    halts(&mut out, report);
    hops(&mut out, report);
    members(&mut out, report);
    client(&mut out, report);
    people(&mut out, report);
    keepsakes(&mut out, report);
    origin(&mut out, report);
    out.0
}

/// Lines in the making.
#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, text: impl AsRef<str>) {
        self.0.push_str(text.as_ref().trim_end());
        self.0.push('\n');
    }
    fn title(&mut self, text: &str) {
        self.0.push('\n');
        self.line(text);
    }
}

fn head(out: &mut Page, report: &Report) {
    let path = report.path().iter().map(ToString::to_string).collect::<Vec<_>>().join(" -> ");
    let run = report.run.as_ref().map_or(String::new(), |run| format!("run {run}  "));
    out.line(format!("{run}{} {} {path}  {}", report.cluster, report.pack, report.outcome()));
    out.line(report.answer().to_string());
}

fn halts(out: &mut Page, report: &Report) {
    for halt in &report.halts {
        out.title(&format!("Halted at {} ({})", words::clock(halt.at), halt.hold.code));
        out.line(format!("  {}", halt.hold.text));
        if let Some(hint) = &halt.hold.hint {
            out.line(format!("  hint: {hint}"));
        }
    }
}

/// How long nobody served, where that was the plan.
pub(crate) fn outage(hop: &HopReport) -> String {
    hop.outage.map_or(String::new(), |outage| format!(", outage {}", words::duration(outage)))
}

fn hops(out: &mut Page, report: &Report) {
    // The state column stands behind the longest title; past 60 letters a title may push it aside.
    let waves = report.hops.iter().flat_map(|hop| &hop.waves);
    let titles = waves.flat_map(|wave| wave.rows()).map(|row| row.step.title.chars().count());
    let width = titles.max().unwrap_or(0).min(60);
    for hop in &report.hops {
        out.title(&format!(
            "{}  {}, risk {}, {:.0} % done, {} of about {}, floor {}{}",
            hop.title("->"),
            words::hop_kind(hop.kind),
            words::risk(hop.risk),
            hop.progress * 100.0,
            words::duration(hop.wall),
            words::duration(hop.estimate),
            words::duration(hop.floor),
            outage(hop),
        ));
        for wave in &hop.waves {
            let tally = wave.tally().map_or(String::new(), |tally| format!("  {tally}"));
            out.line(format!("  {}{tally}", wave.title));
            for row in wave.rows() {
                out.line(format!("    {}", step_line(&row.step, width)));
            }
        }
    }
}

fn step_line(step: &StepReport, width: usize) -> String {
    let mark = match &step.state {
        StepState::Pending => " ",
        StepState::AwaitingApproval => "?",
        StepState::Running | StepState::Gating => ">",
        StepState::Waiting { .. } => "~",
        StepState::Done { .. } => "+",
        StepState::Skipped { .. } => "-",
        StepState::Failed { .. } => "!",
        StepState::Unknown { .. } => "?",
    };
    let took = step.took.map_or(String::new(), words::duration);
    let estimate = words::duration(step.estimate);
    let door = if step.one_way { "  [one-way door]" } else { "" };
    let remark = words::step_remark(&step.state).filter(|text| !text.is_empty());
    let remark = remark.map_or(String::new(), |text| format!("  {text}"));
    let state = words::step_state(&step.state);
    format!("{mark} {:<width$} {state:<11} {took:>9} of {estimate:<9}{door}{remark}", step.title)
}

fn members(out: &mut Page, report: &Report) {
    out.title("Members");
    for member in alike(&report.members) {
        out.line(format!("  {}", member_line(member)));
    }
    for change in &report.leader_changes {
        let from = change.from.as_ref().map_or("nobody".to_owned(), ToString::to_string);
        let how = if change.planned { "planned" } else { "not planned" };
        out.line(format!("  {}  {from} -> {} leads ({how})", words::clock(change.at), change.to));
    }
}

fn member_line(member: Alike<'_>) -> String {
    let Some(now) = member.first.now() else { return member.name() };
    let release = now.release.as_ref().map_or("unknown".to_owned(), ToString::to_string);
    let lag = now.lag.map_or("lag unknown".to_owned(), |lag| format!("lag {}", words::count(lag)));
    let role = words::role(now.role);
    format!(
        "{:<16} {release:<12} {role:<10} {:<12} {lag}",
        member.name(),
        words::health(now.health)
    )
}

fn client(out: &mut Page, report: &Report) {
    let client = &report.client;
    if !client.is_measured() {
        return;
    }
    out.title("Client");
    let figures = client.best();
    let lost = match &client.figures {
        Some(figures) => format!("{} lost", words::count(figures.writes_lost)),
        None => "lost: not compared yet".to_owned(),
    };
    out.line(format!(
        "  {} writes acknowledged, {lost}, {} requests failed",
        words::count(figures.writes_acked),
        words::count(figures.requests_failed)
    ));
    out.line(format!(
        "  longest gap {} ms, baseline {} ms",
        figures.write_gap_max_ms, figures.baseline_gap_max_ms
    ));
    words::beside_writes(figures).into_iter().for_each(|line| out.line(format!("  {line}")));
    for gap in &client.gaps {
        let cause = gap.step_title.as_deref().unwrap_or("no step was under way");
        out.line(format!("  {}  {:>6} ms  {cause}", words::clock(gap.at), gap.gap_ms));
    }
}

fn people(out: &mut Page, report: &Report) {
    let said = report.approvals.len() + report.notes.len() + report.overrides.len();
    if said == 0 {
        return;
    }
    out.title("People");
    for approval in &report.approvals {
        match (&approval.by, approval.approved_at) {
            (Some(by), Some(at)) => {
                out.line(format!("  {}  {by} approved: {}", words::clock(at), approval.title));
            }
            _ => out.line(format!("  nobody has approved yet: {}", approval.title)),
        }
    }
    for over in &report.overrides {
        let (at, gate, node) = (words::clock(over.at), &over.over.gate, &over.over.node);
        out.line(format!(
            "  {at}  {} set gate `{gate}` aside on {node}: {}",
            over.by, over.over.reason
        ));
    }
    for note in &report.notes {
        out.line(format!("  {}  {}: {}", words::clock(note.at), note.by, note.text));
    }
}

fn keepsakes(out: &mut Page, report: &Report) {
    if !report.backups.is_empty() {
        out.title("Backups");
    }
    for backup in &report.backups {
        let proof = backup.verified.as_deref().unwrap_or("NOT VERIFIED");
        let size = words::bytes(backup.size_bytes);
        out.line(format!("  {}  {size}  sha256 {}  {proof}", backup.file, backup.sha256.short()));
    }
    if !report.ledger.is_empty() {
        out.title("Temporary changes");
    }
    for entry in &report.ledger {
        let back = entry
            .put_back_at
            .map_or("STILL OWED".to_owned(), |at| format!("put back at {}", words::clock(at)));
        out.line(format!("  {}  set at {}, {back}", entry.key, words::clock(entry.set_at)));
    }
    if !report.losses.is_empty() {
        out.title("Lost by this rollback");
    }
    for loss in &report.losses {
        out.line(format!("  {loss}"));
    }
}

fn origin(out: &mut Page, report: &Report) {
    let origin = &report.origin;
    out.title("Made from");
    out.line(format!("  plan         {}", origin.plan));
    let taken = words::moment(origin.observation.taken_at);
    out.line(format!("  observation  {} of {taken}", origin.observation.digest));
    out.line(format!("  pack         {}", origin.pack));
    for controller in &report.controllers {
        let (holder, at) = (&controller.holder, words::moment(controller.at));
        let generation = controller.generation;
        out.line(format!(
            "  controller   {} (process {}), generation {generation}, since {at}",
            holder.who, holder.pid
        ));
    }
}
