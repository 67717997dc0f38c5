//! How a run comes to rest or to its end: what people and clients say is honoured, what was set for a time is put back.
//!
//! Invariant: nothing is under way when a run rests or ends. Read next: `machine.rs`, which takes the steps.

use crate::{
    Effect,
    machine::{Engine, Phase},
    steps::StepStatus,
};
use quorate_model::{Action, Hold, Outcome, RunEnd, RunEvent, Step, Unsafe};

/// What next after a halt for what clients saw.
const SEE_THE_CLIENT: &str = "see what clients saw, and in which step, in `quorate run report`";

impl Engine {
    pub(crate) fn honour_requests(&mut self) -> bool {
        if let Some((by, reason)) = self.abort_asked.take() {
            self.settle(RunEvent::Aborted { by, reason });
            return true;
        }
        if self.honour_clients() {
            return true;
        }
        if let Some(by) = self.pause_asked.take() {
            self.settle(RunEvent::Paused { by });
            return true;
        }
        false
    }

    /// What clients saw ends a run as a person's word does: at the next point where nothing is under way.
    pub(crate) fn honour_clients(&mut self) -> bool {
        if let Some(text) = self.lost.take() {
            self.halt("client-lost", text, Some(SEE_THE_CLIENT));
            return true;
        }
        let Some((gap_ms, max_ms)) = self.gap.take() else { return false };
        let text = format!(
            "clients went {gap_ms} ms without an acknowledged write, the policy allows {max_ms} ms"
        );
        self.halt("client-gap", text, Some(SEE_THE_CLIENT));
        true
    }

    /// A run that lost what its client was promised did not succeed, whatever its gates saw.
    pub(crate) fn accounted(&mut self, lost: u64) {
        if self.phase != (Phase::Accounting { asked: true }) {
            return;
        }
        if lost > 0 {
            let text = format!(
                "every step is done, and {lost} acknowledged writes of the client are not there"
            );
            return self.halt("client-lost", text, Some(SEE_THE_CLIENT));
        }
        self.say(RunEvent::Succeeded);
        self.phase = Phase::Over(RunEnd::Succeeded);
    }

    /// A gate is a safe point for a person: its step is done, only looking goes on.
    pub(crate) fn leave_if_asked(&mut self) {
        if let Some((by, reason)) = self.abort_asked.take() {
            self.settle(RunEvent::Aborted { by, reason });
        } else if self.honour_clients() {
            // The halt is under way.
        } else if let Some(by) = self.pause_asked.take() {
            self.settle(RunEvent::Paused { by });
        }
    }

    pub(crate) fn halt_unsafe(&mut self, reason: &Unsafe) {
        let text = format!("going on would not be safe: {reason}");
        self.halt("unsafe", text, Some("mend the member that is named, then `quorate run resume`"));
    }

    pub(crate) fn halt_ended(&mut self, because: String) {
        let hint = "mend the cause, start it as it is declared, then `quorate run resume`";
        self.halt("member-ended", because, Some(hint));
    }

    pub(crate) fn halt(&mut self, code: &str, text: String, hint: Option<&str>) {
        let hold = Hold {
            step: self.current().map(|step| step.id.clone()),
            code: code.to_owned(),
            text,
            hint: hint.map(str::to_owned),
        };
        self.settle(RunEvent::Halted { hold });
    }

    /// Puts temporary changes back when the run ends, then writes `then` and stops. A pause keeps them: the run goes on.
    pub(crate) fn settle(&mut self, then: RunEvent) {
        self.gate = None;
        if matches!(then, RunEvent::Paused { .. }) {
            self.said = None;
            self.say(then);
            self.phase = Phase::Resting;
            return;
        }
        self.stuck.clear();
        self.phase = Phase::PuttingBack { asked: false, then: Box::new(then) };
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
        let sets =
            |step: &Step| matches!(&step.action, Action::TempSet { key: own, .. } if own == key);
        let puts =
            |step: &Step| matches!(&step.action, Action::TempPutBack { key: own } if own == key);
        let find = |what: &dyn Fn(&Step) -> bool| {
            (0..self.steps.len()).find(|index| self.steps.get(&self.plan, *index).is_some_and(what))
        };
        let (Some(set), Some(put)) = (find(&sets), find(&puts)) else { return };
        if self.steps.status.get(put) == Some(&StepStatus::Pending)
            && let Some(status) = self.steps.status.get_mut(set)
        {
            *status = StepStatus::Pending;
        }
    }
}
