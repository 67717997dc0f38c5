//! How a run comes to rest or to its end: what people and clients say is honoured, what was set for a time is put back.
//!
//! Invariant: nothing is under way when a run rests or ends. Read next: `crew.rs`, which lets lanes begin.

use crate::{
    Effect,
    lane::Stage,
    machine::{Engine, Phase},
    steps::StepStatus,
};
use quorate_model::{Action, Hold, Outcome, RunEnd, RunEvent, Step, StepId, Unsafe};

/// What next after a halt for what clients saw.
const SEE_THE_CLIENT: &str = "see what clients saw, and in which step, in `quorate run report`";

fn hold(step: Option<StepId>, code: &str, text: String, hint: Option<&str>) -> Hold {
    Hold { step, code: code.to_owned(), text, hint: hint.map(str::to_owned) }
}

impl Engine {
    /// Whether somebody or something wants the run to stand still.
    pub(crate) fn is_asked_to_rest(&self) -> bool {
        self.hold.is_some()
            || self.abort_asked.is_some()
            || self.lost.is_some()
            || self.gap.is_some()
            || self.pause_asked.is_some()
    }

    /// Nothing is under way: the gravest wish counts. What clients saw ends a run as a person's word does.
    pub(crate) fn come_to_rest(&mut self) {
        if let Some(hold) = self.hold.take() {
            self.settle(RunEvent::Halted { hold });
        } else if let Some((by, reason)) = self.abort_asked.take() {
            self.settle(RunEvent::Aborted { by, reason });
        } else if let Some(text) = self.lost.take() {
            self.halt_now("client-lost", text, Some(SEE_THE_CLIENT));
        } else if let Some((gap_ms, max_ms)) = self.gap.take() {
            let text = format!(
                "clients went {gap_ms} ms without an acknowledged write, the policy allows {max_ms} ms"
            );
            self.halt_now("client-gap", text, Some(SEE_THE_CLIENT));
        } else if let Some(by) = self.pause_asked.take() {
            self.settle(RunEvent::Paused { by });
        }
    }

    /// Every step is over.
    pub(crate) fn at_the_end(&mut self) {
        if self.owed.is_empty() {
            self.phase = Phase::Accounting { asked: false };
            return;
        }
        let owed = self.owed.iter().cloned().collect::<Vec<_>>().join(", ");
        let text = format!("the plan ended with temporary changes not put back: {owed}");
        self.halt_now("invariant", text, None);
    }

    /// A run that lost what its client was promised did not succeed, whatever its gates saw.
    pub(crate) fn accounted(&mut self, wrong: Option<String>) {
        if self.phase != (Phase::Accounting { asked: true }) {
            return;
        }
        if let Some(wrong) = wrong {
            let text = format!("every step is done, and {wrong}");
            return self.halt_now("client-lost", text, Some(SEE_THE_CLIENT));
        }
        self.say(RunEvent::Succeeded);
        self.phase = Phase::Over(RunEnd::Succeeded);
    }

    /// A step failed. A node without a vote is left behind, as long as its group's budget lasts; else the run halts.
    pub(crate) fn fail(&mut self, lane: usize, code: &str, text: String, hint: Option<&str>) {
        let Some(at) = self.lanes.get(lane).map(|lane| lane.at) else { return };
        let step = self.step_of(lane).map(|step| (step.id.clone(), step.node.clone()));
        let Some((id, node)) = step else { return };
        let hold = hold(Some(id), code, text, hint);
        match (self.steps.limits(&self.plan, at).cloned(), node) {
            (Some(limits), Some(node)) => self.leave_behind(lane, &limits, node, hold),
            (None, _) | (_, None) => self.halt_lane(lane, hold),
        }
    }

    pub(crate) fn fail_ended(&mut self, lane: usize, because: String) {
        let hint = "mend the cause, start it as it is declared, then `quorate run resume`";
        self.fail(lane, "member-ended", because, Some(hint));
    }

    /// Something else than the lane's own node breaks: that is nobody's budget.
    pub(crate) fn halt_unsafe(&mut self, lane: usize, reason: &Unsafe) {
        let text = format!("going on would not be safe: {reason}");
        let hint = Some("mend the member that is named, then `quorate run resume`");
        let step = self.step_of(lane).map(|step| step.id.clone());
        self.halt_lane(lane, hold(step, "unsafe", text, hint));
    }

    /// The lane goes no further, and the run halts once the others stand where they may stand.
    fn halt_lane(&mut self, lane: usize, hold: Hold) {
        self.turn_to(lane, Stage::Left);
        self.hold.get_or_insert(hold);
    }

    /// The run halts once nothing is under way.
    pub(crate) fn halt(&mut self, code: &str, text: String, hint: Option<&str>) {
        let step = self.current().map(|step| step.id.clone());
        self.hold.get_or_insert(hold(step, code, text, hint));
    }

    /// The same, for what no single step is to blame for.
    pub(crate) fn halt_for_all(&mut self, code: &str, text: String, hint: Option<&str>) {
        self.hold.get_or_insert(hold(None, code, text, hint));
    }

    /// Nothing is under way, and the run halts.
    fn halt_now(&mut self, code: &str, text: String, hint: Option<&str>) {
        let step = self.current().map(|step| step.id.clone());
        self.settle(RunEvent::Halted { hold: hold(step, code, text, hint) });
    }

    /// Puts temporary changes back when the run ends, then writes `then` and stops. A pause keeps them: the run goes on.
    pub(crate) fn settle(&mut self, then: RunEvent) {
        self.lanes.clear();
        if matches!(then, RunEvent::Paused { .. }) {
            self.say(then);
            self.phase = Phase::Resting;
            return;
        }
        self.stuck.clear();
        self.let_stand_still();
        self.phase = Phase::PuttingBack { asked: false, then: Box::new(then) };
    }

    /// An application is not started on data that are just being exchanged: once a member was stopped it stands still until its
    /// own step starts it, which comes after the proof.
    fn let_stand_still(&mut self) {
        let stands = |at: &usize| {
            let step = self.steps.get(&self.plan, *at);
            step.is_some_and(|step| matches!(step.action, Action::StandStill { .. }))
        };
        let stopped_after = |set: usize| {
            (set..self.steps.len()).any(|at| {
                let step = self.steps.get(&self.plan, at);
                step.is_some_and(|step| matches!(step.action, Action::Stop { .. }))
                    && self.steps.hop(at) == self.steps.hop(set)
                    && *self.steps.status(at) != StepStatus::Pending
            })
        };
        let kept = (0..self.steps.len()).filter(stands).filter(|at| stopped_after(*at));
        let kept = kept.filter_map(|at| self.steps.get(&self.plan, at)?.action.owes());
        let kept: Vec<String> =
            kept.filter(|key| self.owed.contains(*key)).map(str::to_owned).collect();
        for key in kept {
            let text = format!(
                "`{key}` is not put back: members were stopped, and nobody has proved yet what they hold; the run's own step does it"
            );
            self.say(RunEvent::Note { by: "quorate".into(), text });
            self.stuck.insert(key);
        }
    }

    pub(crate) fn put_back(&mut self, key: &str, outcome: Outcome) {
        match outcome {
            Outcome::Succeeded { .. } | Outcome::Skipped { .. } => {
                self.forget_temp(key);
                self.say(RunEvent::PutBack { key: key.to_owned() });
            }
            Outcome::Failed { because } | Outcome::Unknown { because } => {
                // It stays owed, here and in the journal; a person and the next resume see it.
                self.stuck.insert(key.to_owned());
                let text = format!(
                    "temporary change `{key}` could not be put back: {because}; it is still owed"
                );
                self.say(RunEvent::Note { by: "quorate".into(), text });
            }
        }
        if let Phase::PuttingBack { asked, .. } = &mut self.phase {
            *asked = false;
        }
    }

    pub(crate) fn close(&mut self) -> Option<Effect> {
        let Phase::PuttingBack { then, .. } = std::mem::replace(&mut self.phase, Phase::Resting)
        else {
            return None;
        };
        let then = *then;
        self.say(then.clone());
        self.end_told = true;
        match then {
            RunEvent::Halted { hold } => {
                let end = RunEnd::Halted { hold };
                self.phase = Phase::Over(end.clone());
                Some(Effect::End(end))
            }
            RunEvent::Aborted { by, reason } => {
                let end = RunEnd::Aborted { by, reason };
                self.phase = Phase::Over(end.clone());
                Some(Effect::End(end))
            }
            _ => Some(Effect::Rest),
        }
    }

    /// A temporary change was put back. When the plan still counts on it, its step is due again.
    pub(crate) fn forget_temp(&mut self, key: &str) {
        self.owed.remove(key);
        let sets = |step: &Step| step.action.owes() == Some(key);
        let puts =
            |step: &Step| matches!(&step.action, Action::TempPutBack { key: own } if own == key);
        let find = |what: &dyn Fn(&Step) -> bool| {
            (0..self.steps.len()).find(|index| self.steps.get(&self.plan, *index).is_some_and(what))
        };
        let (Some(set), Some(put)) = (find(&sets), find(&puts)) else { return };
        if *self.steps.status(put) == StepStatus::Pending {
            self.steps.set(set, StepStatus::Pending);
        }
    }
}
