//! How a run comes to rest or to its end: what people and clients say is honoured, what was set for a time is put back.
//!
//! Invariant: nothing is under way when a run rests or ends. Read next: `crew.rs`, which lets lanes begin.

use crate::{
    Effect,
    lane::{Stage, leaves_member_down},
    machine::{Engine, Phase},
    steps::StepStatus,
};
use quorate_model::{Action, Hold, Outcome, RunEnd, RunEvent, Step, StepId, StepRole, Unsafe};

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
            self.tell_of_owed();
            self.say(then);
            self.phase = Phase::Resting;
            return;
        }
        self.stuck.clear();
        self.let_stand_still(matches!(then, RunEvent::Aborted { .. }));
        self.phase = Phase::PuttingBack { asked: false, then: Box::new(then) };
    }

    /// A pause keeps applications standing still, which their users notice.
    fn tell_of_owed(&mut self) {
        let stand = self.plan.hops.iter().flat_map(|hop| &hop.waves).flat_map(|wave| &wave.steps);
        let stand = stand.filter_map(|step| match &step.action {
            Action::StandStill { key, .. } if self.owed.contains(key) => Some(key.clone()),
            _ => None,
        });
        for key in stand.collect::<Vec<_>>() {
            let text = format!("`{key}` while the run is paused");
            self.say(RunEvent::Note { by: "quorate".into(), text });
        }
    }

    /// An application is not started on data that are just being exchanged: from a member's stop until the data were compared it
    /// stands still, and people are told.
    fn let_stand_still(&mut self, ends: bool) {
        let kept: Vec<(String, String)> = (0..self.steps.len())
            .filter_map(|at| match &self.steps.get(&self.plan, at)?.action {
                Action::StandStill { key, host, start, .. } if self.owed.contains(key) => {
                    let unproved = self.stopped_after(at) && !self.proved_after(at);
                    let switch = self.switch_due(at, host).map(|run| format!("`{run}`, then "));
                    let line = format!("{}`{}` on {host}", switch.unwrap_or_default(), start.run);
                    unproved.then(|| (key.clone(), line))
                }
                _ => None,
            })
            .collect();
        for (key, line) in kept {
            let how = match ends {
                true => {
                    format!("this run ends, so start it yourself once you trust the data: {line}")
                }
                false => "the run starts it after the proof".to_owned(),
            };
            let text = format!(
                "`{key}`: members were stopped, and nobody has compared yet what they hold; {how}"
            );
            self.say(RunEvent::Note { by: "quorate".into(), text });
            self.stuck.insert(key);
        }
    }

    /// What an application on a host must still be told before its start, after a step.
    fn switch_due(&self, set: usize, own: &quorate_model::Host) -> Option<&str> {
        let open = self.after(set).filter(|(at, _)| !self.steps.is_over(*at));
        open.into_iter().find_map(|(_, step)| match &step.action {
            Action::Switch { host, act, .. } if host == own => Some(act.run.as_str()),
            _ => None,
        })
    }

    /// Whether a member was stopped in a step's hop, before the step or after it: a conversion copies what stands still.
    fn stopped_in_hop_of(&self, at: usize) -> bool {
        self.stopped_after(self.first_of_hop(at))
    }

    /// Whether a member was stopped after a step, in its hop.
    fn stopped_after(&self, set: usize) -> bool {
        self.after(set).any(|(at, step)| {
            matches!(step.action, Action::Stop { .. })
                && *self.steps.status(at) != StepStatus::Pending
        })
    }

    /// Whether all that compares data after the last restore of a step's hop is over, and all that tells applications where their
    /// data are.
    fn proved_after(&self, set: usize) -> bool {
        let restored = self.after(set).filter(|(_, step)| step.role == StepRole::Restore).last();
        let Some((restored, _)) = restored.filter(|(at, _)| self.steps.is_over(*at)) else {
            return false;
        };
        let until = |step: &Step| matches!(step.role, StepRole::Verify | StepRole::DependantSwitch);
        let mut proofs = self.after(restored).filter(|(_, step)| until(step));
        proofs.all(|(at, _)| self.steps.is_over(at))
    }

    /// The steps of a hop from one of its own on.
    fn after(&self, first: usize) -> impl Iterator<Item = (usize, &Step)> {
        let own = (first..self.steps.len())
            .take_while(move |at| self.steps.hop(*at) == self.steps.hop(first));
        own.filter_map(|at| Some((at, self.steps.get(&self.plan, at)?)))
    }

    /// What a run has copied, proved and asked before data are exchanged lacks what was written while it stood still: as long as
    /// nobody was stopped, whoever takes the run up does so once more.
    pub(crate) fn renew_copies(&mut self) {
        let exchanges = |at: usize| {
            let first = self.first_of_hop(at);
            self.after(first).any(|(_, step)| {
                matches!(step.action, Action::Restore { .. } | Action::BringBack { .. })
            })
        };
        let asks = |step: &Step| {
            matches!(step.action, Action::Backup { .. } | Action::Verify { .. })
                || step.role == StepRole::Precheck && matches!(step.action, Action::Call { .. })
        };
        let due: Vec<usize> = (0..self.steps.len())
            .filter(|at| self.steps.get(&self.plan, *at).is_some_and(asks))
            .filter(|at| exchanges(*at) && !self.stopped_in_hop_of(*at))
            .collect();
        due.into_iter().for_each(|at| self.steps.set(at, StepStatus::Pending));
    }

    fn first_of_hop(&self, at: usize) -> usize {
        (0..=at).find(|one| self.steps.hop(*one) == self.steps.hop(at)).unwrap_or(at)
    }

    /// Whether the cluster is down by intent before a step, so that nobody comes to rest there: a conversion copies, converts
    /// and proves in the middle of its outage.
    pub(crate) fn is_down_by_intent(&self, at: usize) -> bool {
        let Some(step) = self.steps.get(&self.plan, at) else { return false };
        let hop = self.plan.hops.get(self.steps.hop(at));
        leaves_member_down(step.role)
            || hop.is_some_and(|hop| hop.conversion.is_some())
                && matches!(step.role, StepRole::Stop | StepRole::Backup | StepRole::Verify)
                && self.stopped_in_hop_of(at)
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
        // An application that was started after the proof is not stopped again.
        let stands = |step: &Step| matches!(step.action, Action::StandStill { .. });
        let is_past =
            self.steps.get(&self.plan, set).is_some_and(stands) && self.stopped_after(set);
        if *self.steps.status(put) == StepStatus::Pending && !is_past {
            self.steps.set(set, StepStatus::Pending);
        }
    }
}
