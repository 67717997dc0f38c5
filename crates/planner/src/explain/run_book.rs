//! The run book: the plan as Markdown that a person could follow by hand, with the same gates.

use super::{
    alike,
    by_hand::Hands,
    kind_name, names, only_looks,
    path_text::both_speak,
    remote::{Remote, seen_from_here},
    risk_name, shell, spoken, way,
};
use crate::path::clause;
use quorate_model::{
    Cluster, Condition, Gate, Hop, HopKind, Lanes, Plan, RuleVerdict, SshSpec, Step, Undo, Wave,
};
use quorate_packs::Pack;
use std::{fmt::Write, path::Path};

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
    let mut book = Book { out: String::new() };
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

struct Book {
    out: String,
}

impl Book {
    fn line(&mut self, text: &str) {
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
        let values = [
            format!("state={}", shell::word(&of.state_dir.display().to_string())),
            format!("all={}", shell::word(&all.join(" "))),
        ];
        self.block("", values.iter().map(String::as_str).chain(own.lines()));
    }

    fn block<'l>(&mut self, indent: &str, lines: impl IntoIterator<Item = &'l str>) {
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
        if hands.book.plan.kind.is_membership() {
            self.line("## Steps\n");
            self.tools(hands);
            for wave in &hop.waves {
                self.wave(hands, wave);
            }
            return;
        }
        self.line(&format!("## Hop {}: {} -> {}\n", index + 1, hop.from, hop.to));
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
            self.step(hands, index + 1, step);
        }
        self.line("");
    }

    /// Nodes that move beside each other: each thing is done on all of them before the next.
    fn beside(&mut self, hands: &Hands<'_>, wave: &Wave, lanes: &Lanes) {
        let places = wave.lane_places();
        let nodes: Vec<&str> = places
            .iter()
            .filter_map(|lane| wave.steps.get(*lane.first()?)?.node.as_ref())
            .map(|node| node.as_str())
            .collect();
        self.line(&format!(
            "On {} of {} at the same time, each step on all of them before the next: {}.\n",
            nodes.len(),
            lanes.group,
            nodes.join(", ")
        ));
        self.line(&format!(
            "A node that fails is left out of what follows; with more than {} of {} failed: stop.\n",
            lanes.failures, lanes.group
        ));
        let longest = places.iter().map(Vec::len).max().unwrap_or(0);
        for nth in 0..longest {
            let steps = places.iter().filter_map(|lane| wave.steps.get(*lane.get(nth)?));
            let steps: Vec<&Step> = steps.collect();
            if let [first, more @ ..] = steps.as_slice() {
                self.heading(nth + 1, first, more.len());
                self.asked(first);
                let by_hand: Vec<String> = steps.iter().flat_map(|step| hands.step(step)).collect();
                if !by_hand.is_empty() {
                    self.line("");
                    self.block("   ", by_hand.iter().flat_map(|text| text.lines()));
                }
                if let Some(gate) = &first.gate {
                    self.gate(gate);
                }
                self.undo(&first.undo);
            }
        }
        self.line("");
    }

    fn step(&mut self, hands: &Hands<'_>, number: usize, step: &Step) {
        self.heading(number, step, 0);
        self.asked(step);
        let by_hand = hands.step(step);
        if !by_hand.is_empty() {
            self.line("");
            self.block("   ", by_hand.iter().flat_map(|text| text.lines()));
        }
        if let Some(gate) = &step.gate {
            self.gate(gate);
        }
        self.undo(&step.undo);
    }

    /// What is done, and on how many nodes beside this one the same.
    fn heading(&mut self, number: usize, step: &Step, others: usize) {
        let door = if step.one_way { " **One-way door.**" } else { "" };
        let ask = if step.needs_approval { " **Ask first.**" } else { "" };
        let time = if only_looks(&step.action) && step.gate.is_none() {
            String::new()
        } else {
            format!(" (about {})", spoken(step.estimate))
        };
        let like =
            if others == 0 { String::new() } else { format!(", and the same for {others} others") };
        self.line(&format!(
            "{number}. [ ] {}{like}{time}{ask}{door} `{}`",
            capital(&step.title),
            step.id
        ));
    }

    fn asked(&mut self, step: &Step) {
        if let quorate_model::Action::Confirm { text, .. } = &step.action {
            self.line(&format!("   - {text}"));
        }
        for condition in &step.precheck {
            self.line(&format!("   - only if {}", shown(condition)));
        }
        if let Some(done) = &step.done {
            self.line(&format!("   - skip it if {}", shown(done)));
        }
    }

    fn undo(&mut self, undo: &Undo) {
        match undo {
            Undo::Nothing => {}
            Undo::ByPlan { text } => self.line(&format!("   - to undo: {text}")),
            Undo::Ledger => self.line("   - to undo: put the temporary change back"),
            Undo::BackupOnly => {
                self.line("   - cannot be undone; the verified backup is the way back")
            }
        }
    }

    fn gate(&mut self, gate: &Gate) {
        let soak = if gate.soak.is_zero() {
            String::new()
        } else {
            format!(", for {}", spoken(gate.soak))
        };
        self.line(&format!(
            "   - gate `{}`: {} good looks in a row, {} apart{soak}, within {}:",
            gate.name,
            gate.good_looks,
            spoken(gate.look_every),
            spoken(gate.limit)
        ));
        for condition in &gate.conditions {
            self.line(&format!("     - {}", shown(condition)));
        }
    }
}

fn shown(condition: &Condition) -> String {
    if condition.cel.is_empty() {
        return condition.text.clone();
    }
    let cel = condition.cel.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("{} <sub>`{cel}`</sub>", condition.text)
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
