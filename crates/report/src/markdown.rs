//! The report as Markdown: for tickets, chats and repositories.

use crate::{
    crowd::alike,
    report::{HopReport, Report, StepReport},
    words,
};
use std::fmt::Write as _;

/// Draws the whole report as Markdown.
pub fn markdown(report: &Report) -> String {
    let mut out = Page::default();
    head(&mut out, report);
    client(&mut out, report);
    for hop in &report.hops {
        hop_part(&mut out, hop);
    }
    members(&mut out, report);
    keepsakes(&mut out, report);
    people(&mut out, report);
    origin(&mut out, report);
    out.0
}

/// Blocks in the making, an empty line between them.
#[derive(Default)]
struct Page(String);

impl Page {
    fn block(&mut self, text: impl AsRef<str>) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(text.as_ref().trim_end());
        self.0.push('\n');
    }

    /// A table; nothing at all when it would have no rows. Cells are escaped by the caller.
    fn table<const N: usize>(&mut self, heads: [&str; N], rows: &[[String; N]]) {
        if rows.is_empty() {
            return;
        }
        let mut text = format!("| {} |\n|{}\n", heads.join(" | "), " --- |".repeat(N));
        for row in rows {
            let _ = writeln!(text, "| {} |", row.join(" | "));
        }
        self.block(text);
    }
}

/// Plain text from the journal: nothing in it is markup, and it stays on its line.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' => {
                out.push('\\');
                out.push(letter);
            }
            _ => out.push(letter),
        }
    }
    out
}

/// A name or digest in a code span: only a backtick or a bar could leave it.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "'").replace('|', "\\|"))
}

fn head(out: &mut Page, report: &Report) {
    let path = report.path().iter().map(ToString::to_string).collect::<Vec<_>>().join(" → ");
    out.block(format!("# {}: {path}, {}", plain(report.cluster.as_str()), report.outcome()));
    let answer = report.answer();
    let rows = [
        ("doing", answer.doing),
        ("waits for", answer.waits_for),
        ("must act", answer.must_act),
        ("still", answer.how_long),
    ]
    .map(|(what, text)| format!("- **{what}**: {}", plain(&text)));
    out.block(rows.join("\n"));
    for halt in &report.halts {
        let mut text = format!(
            "> **Halted** at {} ({}): {}",
            words::moment(halt.at),
            code(&halt.hold.code),
            plain(&halt.hold.text)
        );
        if let Some(hint) = &halt.hold.hint {
            let _ = write!(text, "\n>\n> hint: {}", plain(hint));
        }
        out.block(text);
    }
    if !report.losses.is_empty() {
        let losses = report.losses.iter().map(|loss| format!("- {}", plain(loss)));
        out.block(format!("## Lost by this rollback\n\n{}", losses.collect::<Vec<_>>().join("\n")));
    }
}

fn client(out: &mut Page, report: &Report) {
    let client = &report.client;
    if !client.is_measured() {
        return;
    }
    out.block("## What clients saw");
    let best = client.best();
    let lost = match &client.figures {
        Some(figures) => words::count(figures.writes_lost),
        None => "not compared yet".to_owned(),
    };
    let rows = [
        ["writes acknowledged".to_owned(), words::count(best.writes_acked)],
        ["writes lost".to_owned(), lost],
        ["requests failed".to_owned(), words::count(best.requests_failed)],
        ["longest write gap".to_owned(), format!("{} ms", best.write_gap_max_ms)],
        ["longest gap before".to_owned(), format!("{} ms", best.baseline_gap_max_ms)],
    ];
    out.table(["figure", "value"], &rows);
    let beside: Vec<String> =
        words::beside_writes(best).iter().map(|line| format!("- {}", plain(line))).collect();
    if !beside.is_empty() {
        out.block(beside.join("\n"));
    }
    let gaps: Vec<[String; 3]> = client
        .gaps
        .iter()
        .map(|gap| {
            let cause = gap.step_title.as_deref().unwrap_or("no step was under way");
            [words::moment(gap.at), format!("{} ms", gap.gap_ms), plain(cause)]
        })
        .collect();
    out.table(["gap at", "length", "during"], &gaps);
}

fn hop_part(out: &mut Page, hop: &HopReport) {
    out.block(format!("## {}", hop.title("→")));
    out.block(format!(
        "{}, risk {}, {}. {:.0} % done, {} of about {}, floor {}{}.",
        words::hop_kind(hop.kind),
        words::risk(hop.risk),
        words::door(hop.one_way),
        hop.progress * 100.0,
        words::duration(hop.wall),
        words::duration(hop.estimate),
        words::duration(hop.floor),
        crate::text::outage(hop)
    ));
    let rows = hop.waves.iter().flat_map(|wave| {
        let head = wave.tally().map(|tally| {
            let empty = String::new;
            [format!("**{}**", plain(&wave.title)), tally, empty(), empty(), empty()]
        });
        head.into_iter()
            .chain(wave.rows().iter().map(|row| step_row(&row.step)))
            .collect::<Vec<_>>()
    });
    let rows: Vec<[String; 5]> = rows.collect();
    out.table(["step", "state", "took", "planned", "remark"], &rows);
    let rules: Vec<[String; 4]> = hop
        .rules
        .iter()
        .map(|rule| {
            let sources: Vec<String> = rule.sources.iter().map(|source| plain(source)).collect();
            [code(&rule.id), plain(&rule.text), plain(&rule.because), sources.join("<br>")]
        })
        .collect();
    out.table(["rule", "asks", "because", "source"], &rules);
}

fn step_row(step: &StepReport) -> [String; 5] {
    let mut remark = words::step_remark(&step.state).as_deref().map(plain).unwrap_or_default();
    if step.one_way {
        remark = format!("one-way door {remark}").trim_end().to_owned();
    }
    [
        plain(&step.title),
        words::step_state(&step.state).to_owned(),
        step.took.map_or(String::new(), words::duration),
        words::duration(step.estimate),
        remark,
    ]
}

fn members(out: &mut Page, report: &Report) {
    out.block("## Members");
    let rows: Vec<[String; 5]> = alike(&report.members)
        .into_iter()
        .map(|member| {
            let now = member.first.now();
            let release = now.and_then(|seen| seen.release.as_ref());
            [
                plain(&member.name()),
                release.map_or("unknown".to_owned(), ToString::to_string),
                now.map_or("unknown", |seen| words::role(seen.role)).to_owned(),
                now.map_or("unseen", |seen| words::health(seen.health)).to_owned(),
                now.and_then(|seen| seen.lag).map_or("unknown".to_owned(), words::count),
            ]
        })
        .collect();
    out.table(["member", "release", "role", "health", "lag"], &rows);
}

fn keepsakes(out: &mut Page, report: &Report) {
    if !report.backups.is_empty() {
        out.block("## Backups");
    }
    let backups: Vec<[String; 4]> = report
        .backups
        .iter()
        .map(|backup| {
            let proof = backup.verified.as_deref().map_or("**not verified**".to_owned(), plain);
            let size = words::bytes(backup.size_bytes);
            [code(&backup.file), size, code(backup.sha256.as_str()), proof]
        })
        .collect();
    out.table(["file", "size", "sha256", "verified"], &backups);
    if !report.ledger.is_empty() {
        out.block("## Temporary changes");
    }
    let ledger: Vec<[String; 3]> = report
        .ledger
        .iter()
        .map(|entry| {
            let back = entry.put_back_at.map_or("**still owed**".to_owned(), words::moment);
            [code(&entry.key), words::moment(entry.set_at), back]
        })
        .collect();
    out.table(["change", "set", "put back"], &ledger);
}

fn people(out: &mut Page, report: &Report) {
    let mut lines = Vec::new();
    for approval in &report.approvals {
        let title = plain(&approval.title);
        lines.push(match (&approval.by, approval.approved_at) {
            (Some(by), Some(at)) => {
                format!("- {}: {} approved: {title}", words::moment(at), plain(by))
            }
            _ => format!("- nobody has approved yet: {title}"),
        });
    }
    for over in &report.overrides {
        lines.push(format!(
            "- {}: {} set gate {} aside on {} until {}: {}",
            words::moment(over.at),
            plain(&over.by),
            code(&over.over.gate),
            plain(over.over.node.as_str()),
            words::moment(over.over.expires),
            plain(&over.over.reason)
        ));
    }
    for note in &report.notes {
        let (at, by) = (words::moment(note.at), plain(&note.by));
        lines.push(format!("- {at}: {by}: {}", plain(&note.text)));
    }
    if !lines.is_empty() {
        out.block("## People");
        out.block(lines.join("\n"));
    }
}

fn origin(out: &mut Page, report: &Report) {
    let origin = &report.origin;
    out.block("## Made from");
    let mut lines = vec![
        format!("- plan {}", code(origin.plan.as_str())),
        format!(
            "- observation {} of {}",
            code(origin.observation.digest.as_str()),
            words::moment(origin.observation.taken_at)
        ),
        format!("- pack {} {}", plain(report.pack.as_str()), code(origin.pack.as_str())),
    ];
    for controller in &report.controllers {
        let (who, at) = (plain(&controller.holder.who), words::moment(controller.at));
        lines.push(format!("- {who}, lease generation {}, since {at}", controller.generation));
    }
    out.block(lines.join("\n"));
}
