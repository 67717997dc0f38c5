//! The run book: the plan as Markdown that a person could follow by hand, with the same gates.

use super::{
    alike,
    beside::Treatment,
    by_hand::Hands,
    kind_name, names, notes,
    path_text::both_speak,
    remote::{Remote, seen_from_here},
    risk_name, shell, spoken,
    told::Told,
    way,
};
use crate::path::clause;
use quorate_model::{Cluster, Hop, HopKind, Plan, RuleVerdict, SshSpec, Wave};
use quorate_packs::Pack;
use std::{fmt::Write, path::Path, time::Duration};

/// What a run book is written from.
#[derive(Clone, Copy)]
pub struct RunBook<'a> {
    /// What is to be done.
    pub plan: &'a Plan,
    /// How a person says it to the product.
    pub pack: &'a Pack,
    /// The cluster as declared: how services are stopped and started.
    pub cluster: &'a Cluster,
    /// Where backups go.
    pub state_dir: &'a Path,
    /// How hosts are reached over SSH.
    pub ssh: &'a SshSpec,
}

/// Writes the run book.
pub fn run_book(of: &RunBook<'_>) -> String {
    let remote = Remote::of(of.cluster, of.ssh);
    let here = seen_from_here(of.cluster);
    let of = &RunBook { cluster: here.as_ref().unwrap_or(of.cluster), ..*of };
    let mut book = Book { out: String::new(), treatments: Vec::new() };
    let hops: Vec<Hands<'_>> =
        of.plan.hops.iter().enumerate().map(|(at, hop)| Hands::new(of, at, hop)).collect();
    book.head(of.plan);
    book.words(of, hops.first(), remote.as_ref());
    for (index, hands) in hops.iter().enumerate() {
        book.hop(index, hands);
    }
    if let Some(remote) = remote {
        book.line("## After the last step\n");
        book.block("", remote.tail().lines());
    }
    book.out
}

/// Words that every block uses, whatever the product.
const HANDS: &str = include_str!("hands.sh");

pub(super) struct Book {
    out: String,
    /// What nodes that move beside each other get, as told so far in this hop.
    pub(super) treatments: Vec<Treatment>,
}

impl Book {
    pub(super) fn line(&mut self, text: &str) {
        // Writing to a text cannot fail.
        let _ = writeln!(self.out, "{text}");
    }

    fn head(&mut self, plan: &Plan) {
        self.line(&format!(
            "# Run book: {} of {}, {}\n",
            kind_name(plan.kind),
            plan.cluster,
            way(plan)
        ));
        self.line(&format!("- Plan `{}`", plan.digest));
        if let Some(parent) = &plan.parent {
            self.line(&format!("- Continues or reverses plan `{parent}`"));
        }
        self.line(&format!(
            "- Made from what was seen at {} (`{}`)",
            plan.observation.taken_at,
            plan.observation.digest.short()
        ));
        self.line(&format!("- Expected time: about {}", spoken(plan.estimate)));
        if plan.outage.is_zero() {
            self.line(if plan.kind.is_membership() {
                "- Outage: none, everybody else stays as it is"
            } else {
                "- Outage: none, members move one at a time"
            });
        } else {
            self.line(&format!("- **Outage: about {}**", spoken(plan.outage)));
        }
        if !plan.kind.is_membership() {
            self.line("- Order: members that are down first, then learners, then followers, the leader last");
        }
        self.line(
            "- If a gate does not hold within its limit: stop, touch nothing more, look again.\n",
        );
        self.lists(plan);
    }

    /// What is pasted first.
    fn words(&mut self, of: &RunBook<'_>, first: Option<&Hands<'_>>, remote: Option<&Remote<'_>>) {
        self.line("## Before the first step\n");
        let who = match remote {
            Some(_) => "as a user who reaches the hosts over SSH",
            None => "as a user who may read and signal the members' processes",
        };
        self.line(&format!(
            "Follow the run book in one shell (`sh` or `bash`), {who}. Paste \
             each block whole and read what it says. A block that fails stops within itself: mend what it names, or go no \
             further. While somebody follows it by hand, no run of Quorate may be under way.\n",
        ));
        match remote {
            None => self.block("", HANDS.lines()),
            Some(remote) => {
                let keep = ["hands=$(mktemp) && cat >\"$hands\" <<'END_OF_HANDS'"];
                let read = ["END_OF_HANDS", ". \"$hands\""];
                self.block("", keep.into_iter().chain(HANDS.lines()).chain(read));
                self.block("", remote.head().lines());
            }
        }
        let purpose = of.pack.detect.as_ref().map(|detect| detect.endpoint.as_str());
        let urls = of.cluster.nodes.iter().filter_map(|node| node.endpoints.get(purpose?));
        let all: Vec<&str> = urls.map(|url| url.trim_end_matches('/')).collect();
        let own = first.and_then(Hands::shell).unwrap_or_default();
        let voting: Vec<&str> = first.map(|first| first.servers(purpose)).unwrap_or_default();
        let values = [
            format!("state={}", shell::word(&of.state_dir.display().to_string())),
            format!("all={}", shell::word(&all.join(" "))),
            format!("servers={}", shell::word(&voting.join(" "))),
        ];
        self.block("", values.iter().map(String::as_str).chain(own.lines()));
    }

    pub(super) fn block<'l>(&mut self, indent: &str, lines: impl IntoIterator<Item = &'l str>) {
        self.line(&format!("{indent}```sh"));
        for line in lines {
            self.line(format!("{indent}{line}").trim_end());
        }
        self.line(&format!("{indent}```\n"));
    }

    fn lists(&mut self, plan: &Plan) {
        if !plan.losses.is_empty() {
            self.line("## What will be lost\n");
            for loss in &plan.losses {
                self.line(&format!("- {loss}"));
            }
            self.line("");
        }
        let notes = notes(plan);
        if !notes.is_empty() {
            self.line("## To know before\n");
            for note in notes {
                self.line(&format!("- {note}"));
            }
            self.line("");
        }
        if !plan.config_findings.is_empty() {
            self.line("## Settings that coming releases change\n");
            self.line("| member | release | setting | change | starts | what to do |");
            self.line("|---|---|---|---|---|---|");
            for (f, nodes) in alike(&plan.config_findings) {
                let starts = if f.fatal { "**no**" } else { "yes" };
                let cure = match f.rewrite.as_deref() {
                    Some("") => format!("{} (leave it out)", f.text),
                    Some(rewrite) => format!("{} (`{rewrite}`)", f.text),
                    None => f.text.clone(),
                };
                self.line(&format!(
                    "| {} | {} | `{}` | {} | {starts} | {} |",
                    names(&nodes),
                    f.release,
                    f.setting,
                    f.change,
                    cell(&cure)
                ));
            }
            self.line("");
        }
        if !plan.refused.is_empty() {
            self.line("## Hops that were not taken\n");
            for refused in &plan.refused {
                self.line(&format!(
                    "- {} -> {}: {}: {}",
                    refused.from, refused.to, refused.rule, refused.because
                ));
            }
            self.line("");
        }
    }

    fn hop(&mut self, index: usize, hands: &Hands<'_>) {
        let hop: &Hop = hands.hop;
        self.treatments.clear();
        if hands.book.plan.kind.is_membership() {
            self.line("## Steps\n");
            self.tools(hands);
            for wave in &hop.waves {
                self.wave(hands, wave);
            }
            return;
        }
        self.line(&format!("## Hop {}: {}\n", index + 1, hop.title()));
        let kind = match hop.kind {
            HopKind::Rolling => "members move one at a time, the cluster serves throughout",
            HopKind::FullStop => "everything stops, moves and starts: an outage",
            HopKind::Offline => "everything stops while data change form: an outage",
        };
        self.line(&format!("Risk {}: {kind}.\n", risk_name(hop.risk)));
        if !hop.edge.protocols.is_empty() {
            self.line(&format!("The two speak {}.\n", both_speak(&hop.edge.protocols)));
        }
        for rule in hop.rules.iter().filter(|rule| rule.verdict != RuleVerdict::NotApplicable) {
            let sources = rule.sources.join(", ");
            self.line(&format!(
                "- {} ({}): {}, because {} [{sources}]",
                rule.id,
                risk_name(rule.risk),
                clause(&rule.text),
                clause(&rule.because)
            ));
        }
        self.line("");
        self.tools(hands);
        for wave in &hop.waves {
            self.wave(hands, wave);
        }
    }

    fn tools(&mut self, hands: &Hands<'_>) {
        self.line(&format!("The tools of {}, with which it is looked at:\n", hands.hop.to));
        let tools = hands.tools().join(" &&\n");
        self.block("", tools.lines());
    }

    fn wave(&mut self, hands: &Hands<'_>, wave: &Wave) {
        self.line(&format!("### {} ({})\n", wave.title, wave.id));
        if let Some(lanes) = &wave.lanes {
            return self.beside(hands, wave, lanes);
        }
        for (index, step) in wave.steps.iter().enumerate() {
            self.tell(index + 1, &Told::of(hands, step), step.estimate);
        }
        self.line("");
    }

    /// A step: what is done, when it is left out, what to type, and what must be seen afterwards.
    pub(super) fn tell(&mut self, number: usize, told: &Told, estimate: Duration) {
        let door = if told.one_way { " **One-way door.**" } else { "" };
        let ask = if told.needs_approval { " **Ask first.**" } else { "" };
        let time =
            if told.takes_time { format!(" (about {})", spoken(estimate)) } else { String::new() };
        let Told { title, id, .. } = told;
        self.line(&format!("{number}. [ ] {title}{time}{ask}{door} `{id}`"));
        told.asked.iter().for_each(|asked| self.line(&format!("   - {asked}")));
        if !told.by_hand.is_empty() {
            self.line("");
            self.block("   ", told.by_hand.lines());
        }
        told.after.iter().for_each(|after| self.line(&format!("   {after}")));
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
