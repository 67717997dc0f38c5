//! One step of a run book as it is told: words, what to type, and what must be seen.

use super::{by_hand::Hands, only_looks, spoken};
use quorate_model::{Action, Condition, Gate, Step, Undo};

/// A step in words. How long it takes is not in it: nodes that get the same treatment may differ in that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) title: String,
    pub(super) id: String,
    pub(super) one_way: bool,
    pub(super) needs_approval: bool,
    /// Whether more happens than one look.
    pub(super) takes_time: bool,
    /// What must hold before, and what makes it needless.
    pub(super) asked: Vec<String>,
    /// What to type.
    pub(super) by_hand: String,
    /// The gate, and how it is undone.
    pub(super) after: Vec<String>,
}

impl Told {
    pub(super) fn of(hands: &Hands<'_>, step: &Step) -> Self {
        let mut asked = Vec::new();
        if let Action::Confirm { text, .. } = &step.action {
            asked.push(text.clone());
        }
        asked.extend(step.precheck.iter().map(|one| format!("only if {}", shown(one))));
        asked.extend(step.done.iter().map(|done| format!("skip it if {}", shown(done))));
        let mut after = step.gate.as_ref().map(gate).unwrap_or_default();
        after.extend(undo(&step.undo));
        Self {
            title: capital(&step.title),
            id: step.id.to_string(),
            one_way: step.one_way,
            needs_approval: step.needs_approval,
            takes_time: !only_looks(&step.action) || step.gate.is_some(),
            asked,
            by_hand: hands.step(step).join("\n"),
            after,
        }
    }

    /// The same with every text changed: those for people one way, what to type another.
    pub(super) fn map(
        &self,
        people: impl Fn(&str) -> String,
        shell: impl Fn(&str) -> Option<String>,
    ) -> Option<Self> {
        let all = |texts: &[String]| texts.iter().map(|text| people(text)).collect();
        Some(Self {
            title: people(&self.title),
            id: people(&self.id),
            asked: all(&self.asked),
            by_hand: shell(&self.by_hand)?,
            after: all(&self.after),
            ..self.clone()
        })
    }
}

fn undo(undo: &Undo) -> Option<String> {
    match undo {
        Undo::Nothing => None,
        Undo::ByPlan { text } => Some(format!("- to undo: {text}")),
        Undo::Ledger => Some("- to undo: put the temporary change back".to_owned()),
        Undo::BackupOnly => {
            Some("- cannot be undone; the verified backup is the way back".to_owned())
        }
    }
}

fn gate(gate: &Gate) -> Vec<String> {
    let soak =
        if gate.soak.is_zero() { String::new() } else { format!(", for {}", spoken(gate.soak)) };
    let head = format!(
        "- gate `{}`: {} good looks in a row, {} apart{soak}, within {}:",
        gate.name,
        gate.good_looks,
        spoken(gate.look_every),
        spoken(gate.limit)
    );
    let conditions = gate.conditions.iter().map(|one| format!("  - {}", shown(one)));
    std::iter::once(head).chain(conditions).collect()
}

pub(super) fn shown(condition: &Condition) -> String {
    if condition.cel.is_empty() {
        return condition.text.clone();
    }
    let cel = condition.cel.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("{} <sub>`{cel}`</sub>", condition.text)
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
