//! One lane: one step after the other, each from its probe through its act to its gate.
//!
//! A plan without nodes that move beside each other has one lane at a time. Read next: `gate.rs`, `crew.rs`.

use crate::{
    Effect, Look, Verdict,
    gate::{BESIDE_PATIENCE, GUARD_PATIENCE, GateClock, GateSays, PRECHECK_PATIENCE, after, since},
    machine::Engine,
    steps::{ATTEMPTS_MAX, StepStatus, may_retry},
};
use jiff::Timestamp;
use quorate_model::{
    Action, Attempt, Outcome, Override, REJOIN_GATE, RunEvent, Step, StepId, StepRole, WaitingOn,
};
use std::time::Duration;

/// Where the step of a lane stands between two inputs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stage {
    /// Before the step: nothing is in flight.
    Entering,
    /// The step's own probe is asked; with a doubt when an act's outcome is not known.
    ProbingDone {
        /// The look is in flight.
        asked: bool,
        /// An attempt whose outcome nobody knows.
        doubt: Option<(Attempt, String)>,
    },
    /// Whether the step may be done now.
    Prechecking {
        /// Since when it is refused.
        refused_since: Option<Timestamp>,
        /// When to look next; none while a look is in flight.
        next: Option<Timestamp>,
        /// The attempt that will follow.
        attempt: Attempt,
    },
    /// The act is in flight.
    Acting {
        /// Its number.
        attempt: Attempt,
        /// The effect was given out.
        asked: bool,
    },
    /// The gate is looked at.
    Gating {
        /// When to look next; none while a look is in flight.
        next: Option<Timestamp>,
    },
    /// The lane is at work no more: it ended, failed, or waits for a person.
    Left,
}

/// A lane at work.
#[derive(Debug, Clone)]
pub(crate) struct Lane {
    /// Its step.
    pub(crate) at: usize,
    pub(crate) stage: Stage,
    /// Tries of its step by this controller; a resume gives a step its tries back, a person has looked meanwhile.
    pub(crate) tries: u64,
    gate: Option<GateClock>,
    said: Option<WaitingOn>,
}

impl Lane {
    pub(crate) fn new(at: usize) -> Self {
        Self { at, stage: Stage::Entering, tries: 0, gate: None, said: None }
    }

    /// When it looks again.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        match &self.stage {
            Stage::Prechecking { next, .. } | Stage::Gating { next } => *next,
            _ => None,
        }
    }

    /// Whether it only waits to look again: nothing of it is in flight.
    pub(crate) fn only_waits(&self) -> bool {
        self.next().is_some()
    }

    /// The one thing to do for it now.
    pub(crate) fn effect(&mut self, step: StepId, now: Timestamp) -> Option<Effect> {
        match &mut self.stage {
            Stage::ProbingDone { asked: asked @ false, .. } => {
                *asked = true;
                Some(Effect::Look { step: Some(step), look: Look::Done })
            }
            Stage::Prechecking { next, .. } if next.is_some_and(|at| at <= now) => {
                *next = None;
                Some(Effect::Look { step: Some(step), look: Look::Precheck })
            }
            Stage::Gating { next } if next.is_some_and(|at| at <= now) => {
                *next = None;
                let mut look = Look::Gate;
                if let Some(gate) = self.gate.as_mut() {
                    gate.asked(now);
                    if !gate.may_open(now) {
                        look = Look::GateOnTheWay;
                    }
                }
                Some(Effect::Look { step: Some(step), look })
            }
            Stage::Acting { attempt, asked: asked @ false } => {
                *asked = true;
                Some(Effect::Act { step, attempt: *attempt })
            }
            _ => None,
        }
    }
}

/// Whether nobody needs to know what became of the last try: copying and comparing write the same files again, what is deleted
/// is gone, what was written since is written with the same values, and what stops, switches or starts an application may be said
/// twice.
fn harmless_to_repeat(step: &Step) -> bool {
    let asks_or_writes_again =
        matches!(step.role, StepRole::Verify | StepRole::Precheck | StepRole::Restore)
            && matches!(step.action, Action::Call { .. });
    asks_or_writes_again
        || matches!(
            step.action,
            Action::Backup { .. }
                | Action::Verify { .. }
                | Action::StandStill { .. }
                | Action::Switch { .. }
                | Action::Clear { .. }
                | Action::TempPutBack { .. }
        )
}

fn acts(action: &Action) -> bool {
    !matches!(action, Action::Look | Action::Confirm { .. })
}

impl Engine {
    pub(crate) fn step_of(&self, lane: usize) -> Option<&Step> {
        self.steps.get(&self.plan, self.lanes.get(lane)?.at)
    }

    /// Whether its node moves beside others.
    fn is_beside(&self, lane: usize) -> bool {
        let at = self.lanes.get(lane).map(|lane| lane.at);
        at.is_some_and(|at| self.steps.limits(&self.plan, at).is_some())
    }

    pub(crate) fn turn_to(&mut self, lane: usize, stage: Stage) {
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.stage = stage;
        }
    }

    fn mark(&mut self, lane: usize, status: StepStatus) {
        if let Some(at) = self.lanes.get(lane).map(|lane| lane.at) {
            self.steps.set(at, status);
        }
    }

    /// Goes on with a step from where the journal says that it stands.
    pub(crate) fn enter_step(&mut self, lane: usize, now: Timestamp) {
        let Some(at) = self.lanes.get(lane).map(|lane| lane.at) else { return };
        let has_done = self.step_of(lane).is_some_and(|step| step.done.is_some());
        match self.steps.status(at).clone() {
            StepStatus::Pending if has_done => {
                self.turn_to(lane, Stage::ProbingDone { asked: false, doubt: None });
            }
            StepStatus::Pending => self.precheck(lane, Attempt(1), now),
            StepStatus::Begun(attempt) => self.doubt(
                lane,
                attempt,
                "the controller stopped before the outcome was known".into(),
                now,
            ),
            StepStatus::Doubtful(attempt) => {
                self.doubt(lane, attempt, "the outcome of the last try was not known".into(), now);
            }
            StepStatus::Acted(_) => self.open_gate(lane, now),
            StepStatus::Finished(_) => self.next_step(lane),
        }
    }

    fn precheck(&mut self, lane: usize, attempt: Attempt, now: Timestamp) {
        let empty = self.step_of(lane).is_none_or(|step| step.precheck.is_empty());
        if empty {
            self.begin(lane, attempt, now);
        } else {
            let next = Some(now);
            self.turn_to(lane, Stage::Prechecking { refused_since: None, next, attempt });
        }
    }

    /// Intent, then the act.
    fn begin(&mut self, lane: usize, attempt: Attempt, now: Timestamp) {
        let Some(at) = self.lanes.get(lane).map(|lane| lane.at) else { return };
        let Some((id, action)) =
            self.step_of(lane).map(|step| (step.id.clone(), step.action.clone()))
        else {
            return;
        };
        let brings_back = self.lanes.get(lane).is_some_and(|lane| self.is_down_by_intent(lane.at));
        if self.is_asked_to_rest() && !brings_back {
            // Asked while the step was looked at: it has not begun, and does not.
            return self.turn_to(lane, Stage::Entering);
        }
        self.lanes[lane].tries += 1;
        self.began.entry(at).or_insert(now);
        self.say(RunEvent::Started { step: id, attempt });
        self.mark(lane, StepStatus::Begun(attempt));
        let is_act = acts(&action);
        if let Some(key) = action.owes().map(str::to_owned) {
            // Owed from the intent on: a crash between the act and its outcome must not forget it.
            self.owed.insert(key.clone());
            self.say(RunEvent::TempSet { key });
        }
        if is_act {
            self.turn_to(lane, Stage::Acting { attempt, asked: false });
        } else {
            self.mark(lane, StepStatus::Acted(attempt));
            self.open_gate(lane, now);
        }
    }

    fn doubt(&mut self, lane: usize, attempt: Attempt, because: String, now: Timestamp) {
        let Some((has_done, is_act)) =
            self.step_of(lane).map(|step| (step.done.is_some(), acts(&step.action)))
        else {
            return;
        };
        if !is_act {
            return self.open_gate(lane, now);
        }
        let again = self.step_of(lane).is_some_and(harmless_to_repeat);
        if has_done {
            let doubt = Some((attempt, because));
            self.turn_to(lane, Stage::ProbingDone { asked: false, doubt });
        } else if again && self.lanes[lane].tries < ATTEMPTS_MAX {
            self.precheck(lane, attempt.next(), now);
        } else {
            self.fail(
                lane,
                "unknown-outcome",
                format!("nobody knows whether this step happened: {because}, and it has no probe that could tell"),
                Some("look by hand, then make a new plan: the cluster is observed afresh"),
            );
        }
    }

    pub(crate) fn acted(
        &mut self,
        lane: usize,
        attempt: Attempt,
        outcome: Outcome,
        also: Vec<RunEvent>,
        now: Timestamp,
    ) {
        if self.lanes[lane].stage != (Stage::Acting { attempt, asked: true }) {
            // A late answer of an earlier try: the step's own probe has decided meanwhile.
            return;
        }
        let Some((id, role, action)) =
            self.step_of(lane).map(|step| (step.id.clone(), step.role, step.action.clone()))
        else {
            return;
        };
        for event in also {
            self.say(event);
        }
        if let (Action::TempPutBack { key }, Outcome::Succeeded { .. } | Outcome::Skipped { .. }) =
            (action, &outcome)
        {
            self.owed.remove(&key);
            self.say(RunEvent::PutBack { key });
        }
        self.say(RunEvent::Acted { step: id, attempt, outcome: outcome.clone() });
        match outcome {
            Outcome::Succeeded { .. } | Outcome::Skipped { .. } => {
                self.mark(lane, StepStatus::Acted(attempt));
                self.open_gate(lane, now);
            }
            Outcome::Unknown { because } => {
                self.mark(lane, StepStatus::Doubtful(attempt));
                self.doubt(lane, attempt, because, now);
            }
            Outcome::Failed { because }
                if may_retry(role) && self.lanes[lane].tries < ATTEMPTS_MAX =>
            {
                self.mark(lane, StepStatus::Doubtful(attempt));
                self.retry(lane, attempt, because, now);
            }
            Outcome::Failed { because } => {
                self.mark(lane, StepStatus::Doubtful(attempt));
                self.fail(
                    lane,
                    "act-failed",
                    because,
                    Some("`quorate rollback` plans the way back; `quorate run resume` tries again"),
                );
            }
        }
    }

    fn retry(&mut self, lane: usize, attempt: Attempt, because: String, now: Timestamp) {
        if self.step_of(lane).is_some_and(|step| step.done.is_some()) {
            let doubt = Some((attempt, because));
            self.turn_to(lane, Stage::ProbingDone { asked: false, doubt });
        } else {
            self.precheck(lane, attempt.next(), now);
        }
    }

    pub(crate) fn looked(&mut self, lane: usize, look: Look, verdict: Verdict, now: Timestamp) {
        match (look, self.lanes[lane].stage.clone()) {
            (Look::Done, Stage::ProbingDone { asked: true, doubt }) => {
                self.done_probed(lane, verdict, doubt, now);
            }
            (Look::Precheck, Stage::Prechecking { refused_since, next: None, attempt }) => {
                self.prechecked(lane, verdict, refused_since, attempt, now);
            }
            (Look::Gate | Look::GateOnTheWay, Stage::Gating { next: None }) => {
                self.gate_looked(lane, look, verdict, now);
            }
            // An answer to a question that is no longer open.
            _ => {}
        }
    }

    fn done_probed(
        &mut self,
        lane: usize,
        verdict: Verdict,
        doubt: Option<(Attempt, String)>,
        now: Timestamp,
    ) {
        let Some(id) = self.step_of(lane).map(|step| step.id.clone()) else { return };
        match (verdict, doubt) {
            (Verdict::Holds, None) => {
                self.say(RunEvent::DoneProbed { step: id, done: true });
                let because = "it had already happened".into();
                self.finish(lane, Outcome::Skipped { because }, now);
            }
            (Verdict::Holds, Some((attempt, _))) => {
                self.say(RunEvent::DoneProbed { step: id, done: true });
                self.mark(lane, StepStatus::Acted(attempt));
                self.open_gate(lane, now);
            }
            (Verdict::NotYet(_), None) => self.precheck(lane, Attempt(1), now),
            (Verdict::NotYet(_), Some((attempt, because))) => {
                self.say(RunEvent::DoneProbed { step: id, done: false });
                if self.lanes[lane].tries >= ATTEMPTS_MAX {
                    let text = format!("{ATTEMPTS_MAX} tries did not do it: {because}");
                    self.fail(lane, "act-failed", text, None);
                } else {
                    self.precheck(lane, attempt.next(), now);
                }
            }
            (Verdict::Unsafe(reason), _) => self.halt_unsafe(lane, &reason),
            (Verdict::Unseen(what), _) => self.fail(
                lane,
                "unknown-outcome",
                format!("cannot see whether this step has happened: {what}"),
                Some("mend the way to the host, then `quorate run resume`"),
            ),
            (Verdict::Differs(differs), _) => {
                self.fail(lane, "world-differs", differs.join("; "), None);
            }
            (Verdict::Ended(because), _) => self.fail_ended(lane, because),
        }
    }

    fn prechecked(
        &mut self,
        lane: usize,
        verdict: Verdict,
        refused: Option<Timestamp>,
        attempt: Attempt,
        now: Timestamp,
    ) {
        let every = self.plan.policy.look_every;
        if verdict == Verdict::Holds {
            return self.begin(lane, attempt, now);
        }
        let since_when = refused.unwrap_or(now);
        let patience = if self.is_beside(lane) { BESIDE_PATIENCE } else { PRECHECK_PATIENCE };
        if since(since_when, now) >= patience {
            return match verdict {
                Verdict::Unsafe(reason) => self.halt_unsafe(lane, &reason),
                Verdict::NotYet(on) => {
                    self.fail(lane, "precheck", format!("not ready: {on}"), None);
                }
                Verdict::Unseen(what) => {
                    self.fail(lane, "precheck", format!("cannot be seen: {what}"), None);
                }
                Verdict::Differs(differs) => {
                    self.fail(lane, "world-differs", differs.join("; "), None);
                }
                Verdict::Ended(because) => self.fail_ended(lane, because),
                Verdict::Holds => {}
            };
        }
        if let Verdict::NotYet(on) = verdict {
            self.tell_waiting(lane, on);
        }
        let (refused_since, next) = (Some(since_when), Some(after(now, every)));
        self.turn_to(lane, Stage::Prechecking { refused_since, next, attempt });
    }

    fn open_gate(&mut self, lane: usize, now: Timestamp) {
        let Some((gate, node)) =
            self.step_of(lane).map(|step| (step.gate.clone(), step.node.clone()))
        else {
            return;
        };
        match gate {
            None => self.finish(lane, Outcome::Succeeded { note: None }, now),
            Some(gate) => {
                let patience = if self.is_beside(lane) { BESIDE_PATIENCE } else { GUARD_PATIENCE };
                self.lanes[lane].gate = Some(GateClock::new(gate, node, patience, now));
                self.turn_to(lane, Stage::Gating { next: Some(now) });
            }
        }
    }

    fn gate_looked(&mut self, lane: usize, look: Look, verdict: Verdict, now: Timestamp) {
        let Some(clock) = self.lanes[lane].gate.as_mut() else { return };
        let says = clock.look(look == Look::Gate, verdict, now);
        if let Some(over) = self.override_for(lane, &says, now) {
            let step = self.step_of(lane).map(|step| step.id.clone());
            if let Some(step) = step {
                self.say(RunEvent::Overridden { step, over, by: "policy".into() });
            }
            let note = Some("its gate was set aside by an override".into());
            return self.finish(lane, Outcome::Succeeded { note }, now);
        }
        match says {
            GateSays::Open => self.finish(lane, Outcome::Succeeded { note: None }, now),
            GateSays::LookAt(at, waiting) => {
                if let Some(on) = waiting {
                    self.tell_waiting(lane, on);
                }
                self.turn_to(lane, Stage::Gating { next: Some(at) });
            }
            GateSays::TimedOut(last) => {
                let gate = self.step_of(lane).and_then(|step| step.gate.as_ref());
                let limit = gate.map_or(Duration::ZERO, |gate| gate.limit);
                let name = gate.map(|gate| gate.name.clone()).unwrap_or_default();
                let text = format!(
                    "gate `{name}` has not held within {} s; last seen: {last}",
                    limit.as_secs_f64()
                );
                self.fail(lane, "gate-timeout", text, Some("see what it waited for in `quorate run show`; `quorate run resume` looks again"));
            }
            GateSays::Broken(reason) => self.halt_unsafe(lane, &reason),
            GateSays::Ended(because) => self.fail_ended(lane, because),
        }
    }

    /// A person's word that sets this gate aside, once its time is up. Before that the gate may still hold by itself, and
    /// what breaks elsewhere is nobody's to set aside.
    fn override_for(&self, lane: usize, says: &GateSays, now: Timestamp) -> Option<Override> {
        let step = self.step_of(lane)?;
        let (gate, node) = (step.gate.as_ref()?, step.node.as_ref()?);
        let find = |name: &str| {
            let valid =
                |over: &&Override| over.gate == name && over.node == *node && over.expires > now;
            self.plan.policy.overrides.iter().find(valid).cloned()
        };
        match (says, step.role) {
            (GateSays::TimedOut(_) | GateSays::Ended(_), _) => find(&gate.name),
            // The soak asks what the rejoin gate asked: whoever set that aside does not wait for it a second time, only
            // for the healthy time, in which everybody else is watched.
            (GateSays::LookAt(..), StepRole::Soak) => {
                let clock = self.lanes.get(lane)?.gate.as_ref().filter(|c| c.holds_not())?;
                (since(clock.began(), now) >= gate.soak).then(|| find(REJOIN_GATE)).flatten()
            }
            (GateSays::Open | GateSays::LookAt(..) | GateSays::Broken(_), _) => None,
        }
    }

    fn tell_waiting(&mut self, lane: usize, on: WaitingOn) {
        let said = self.lanes[lane].said.as_ref();
        if said == Some(&on) {
            return;
        }
        // A soak's seconds and a lag's entries change with every look: the kind is told once, not its number.
        let same_kind =
            said.is_some_and(|said| std::mem::discriminant(said) == std::mem::discriminant(&on));
        let counts = matches!(on, WaitingOn::Soak { .. } | WaitingOn::CatchUp { .. });
        if !(same_kind && counts)
            && let Some(step) = self.step_of(lane).map(|step| step.id.clone())
        {
            self.say(RunEvent::Waiting { step, on: on.clone() });
        }
        self.lanes[lane].said = Some(on);
    }

    fn finish(&mut self, lane: usize, outcome: Outcome, now: Timestamp) {
        let Some(id) = self.step_of(lane).map(|step| step.id.clone()) else { return };
        let began = self.lanes.get(lane).and_then(|lane| self.began.remove(&lane.at));
        let took = began.map_or(Duration::ZERO, |began| since(began, now));
        self.say(RunEvent::Finished { step: id, outcome: outcome.clone(), took });
        self.mark(lane, StepStatus::Finished(outcome));
        self.next_step(lane);
    }

    /// To the lane's next step. Steps that are not beside others are taken up one by one.
    fn next_step(&mut self, lane: usize) {
        let Some(at) = self.lanes.get(lane).map(|lane| lane.at) else { return };
        let beside = self.is_beside(lane);
        match self.steps.next_in_lane(at).filter(|_| beside) {
            Some(next) => self.lanes[lane] = Lane::new(next),
            None => self.turn_to(lane, Stage::Left),
        }
    }
}

/// Before such a step a member is down by our doing: nobody pauses there.
pub(crate) fn leaves_member_down(role: StepRole) -> bool {
    matches!(
        role,
        StepRole::Swap
            | StepRole::Start
            | StepRole::Restore
            | StepRole::Membership
            | StepRole::SetAside
    )
}
