//! Waves of nodes that move beside each other: what all of them get is written once, with the list of those that it is for.
//!
//! Invariant: each step is done on every node of the list before the next, and the first failure ends the step.
//! Read next: `fold.rs`, how one text stands for all of them.

use super::{by_hand::Hands, fold::Fields, remote, run_book::Book, told::Told};
use quorate_model::{Lanes, Node, NodeName, Step, Wave};
use std::time::Duration;

/// What nodes get, told for all of them.
pub(super) struct Treatment {
    /// Its steps with marks in the place of what differs between nodes.
    marked: Vec<Told>,
    /// The words that a shell knows its steps by, for those where there is something to type.
    words: Vec<String>,
    /// The wave that tells it.
    wave: String,
}

/// Nodes of one wave that get the same.
struct Company<'p> {
    marked: Vec<Told>,
    estimates: Vec<Duration>,
    nodes: Vec<&'p NodeName>,
}

impl Book {
    pub(super) fn beside(&mut self, hands: &Hands<'_>, wave: &Wave, lanes: &Lanes) {
        let of_group = hands.book.cluster.nodes.iter().filter(|node| node.group == lanes.group);
        let fields = Fields::of(&of_group.collect::<Vec<&Node>>(), remote::away);
        let companies = companies(hands, wave, &fields);
        let count = wave.lane_places().len();
        self.line(&format!(
            "On {count} of {}, each step on all of them before the next.\n",
            lanes.group
        ));
        if self.treatments.is_empty() {
            self.line(&format!(
                "The first node that fails ends its step. Mend it and paste the block again: what was done on others is not \
                 done twice. Or leave it out: `without NODE`, then the block again; with more than {} of {} left out: stop.\n",
                lanes.failures, lanes.group
            ));
        }
        for company in &companies {
            let known = self.treatments.iter().find(|known| known.marked == company.marked);
            let known = known.map(|known| (known.words.clone(), known.wave.clone()));
            match (known, told(&fields, &company.marked)) {
                (Some((words, told_in)), _) => {
                    self.list(&fields, &company.nodes);
                    self.again(&words, &told_in);
                }
                (None, Some(told)) => {
                    self.list(&fields, &company.nodes);
                    self.first(hands, wave, lanes, company, told);
                }
                (None, None) => self.one_by_one(hands, wave, &company.nodes),
            }
        }
    }

    /// Who it is for.
    fn list(&mut self, fields: &Fields, nodes: &[&NodeName]) {
        let lines: Vec<String> = nodes.iter().map(|node| fields.line(node)).collect();
        let text = format!("fields='{}' nodes='\n{}\n'", fields.words(), lines.join("\n"));
        self.block("", text.lines());
    }

    /// Tells each step, names it for the shell, and does it.
    fn first(
        &mut self,
        hands: &Hands<'_>,
        wave: &Wave,
        lanes: &Lanes,
        company: &Company<'_>,
        told: Vec<Told>,
    ) {
        let mut words: Vec<String> = Vec::new();
        for (at, mut told) in told.into_iter().enumerate() {
            if !told.by_hand.is_empty() {
                let word = self.word(hands.at, lanes, &told.id, &words);
                told.by_hand = format!("{word}() {{\n{}\n}}\neach {word}", told.by_hand);
                words.push(word);
            }
            let estimate = company.estimates.get(at).copied().unwrap_or_default();
            self.tell(at + 1, &told, estimate);
        }
        self.line("");
        let (marked, wave) = (company.marked.clone(), wave.id.clone());
        self.treatments.push(Treatment { marked, words, wave });
    }

    /// `h1_client_stop`, with a number where that is taken.
    fn word(&self, hop: usize, lanes: &Lanes, id: &str, own: &[String]) -> String {
        let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
        let last = id.rsplit('.').next().unwrap_or(id);
        let what = last.split('$').next().unwrap_or(last).trim_end_matches('-');
        let name = format!("h{}_{}_{what}", hop + 1, lanes.group);
        let name: String = name.chars().map(letter).collect();
        let known = self.treatments.iter().flat_map(|treatment| &treatment.words);
        let taken: Vec<&String> = known.chain(own).collect();
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let mut free = std::iter::once(name.clone()).chain(numbered);
        free.find(|word| !taken.contains(&word)).unwrap_or(name)
    }

    fn again(&mut self, words: &[String], told_in: &str) {
        self.line(&format!("1. [ ] The same steps as in `{told_in}`\n"));
        let acts: Vec<String> = words.iter().map(|word| format!("each {word}")).collect();
        self.block("   ", acts.join(" &&\n").lines());
    }

    fn one_by_one(&mut self, hands: &Hands<'_>, wave: &Wave, nodes: &[&NodeName]) {
        let own = |step: &&Step| step.node.as_ref().is_some_and(|node| nodes.contains(&node));
        for (at, step) in wave.steps.iter().filter(own).enumerate() {
            self.tell(at + 1, &Told::of(hands, step), step.estimate);
        }
    }
}

/// The nodes of a wave by what they get, in order.
fn companies<'p>(hands: &Hands<'_>, wave: &'p Wave, fields: &Fields) -> Vec<Company<'p>> {
    let mut companies: Vec<Company<'p>> = Vec::new();
    for places in wave.lane_places() {
        let steps: Vec<&Step> = places.iter().filter_map(|at| wave.steps.get(*at)).collect();
        let Some(node) = steps.first().and_then(|step| step.node.as_ref()) else { continue };
        let mark = |text: &str| fields.mark(node, text);
        let marked =
            steps.iter().map(|step| Told::of(hands, step).map(mark, |text| Some(mark(text))));
        let Some(marked) = marked.collect::<Option<Vec<Told>>>() else { continue };
        let estimates = steps.iter().map(|step| step.estimate);
        match companies.iter_mut().find(|known| known.marked == marked) {
            Some(known) => {
                known.nodes.push(node);
                let all = known.estimates.iter_mut().zip(estimates);
                all.for_each(|(most, own)| *most = own.max(*most));
            }
            None => {
                let estimates = estimates.collect();
                companies.push(Company { marked, estimates, nodes: vec![node] });
            }
        }
    }
    companies
}

/// The marked steps with the words of the loop; none when one of them cannot be typed like that.
fn told(fields: &Fields, marked: &[Told]) -> Option<Vec<Told>> {
    let of = |told: &Told| told.map(|text| fields.for_people(text), |text| fields.for_shell(text));
    marked.iter().map(of).collect()
}
