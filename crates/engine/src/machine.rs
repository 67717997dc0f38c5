//! The machine itself: one step at a time, from its probe through its act to its gate.

use crate::{
    Effect, Input, Look, Turn, Verdict,
    gate::{GateClock, GateSays, PRECHECK_PATIENCE, after, since},
    steps::{ATTEMPTS_MAX, StepStatus, Steps, may_retry},
};
use jiff::Timestamp;
use quorate_model::{
    Action, Attempt, Hold, Outcome, Override, Plan, REJOIN_GATE, RunEnd, RunEvent, Step, StepId,
    StepRole, WaitingOn,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

/// Where the machine stands between two inputs.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// At a safe point before the next step.
    Entering,
    /// Looking at the world after a resume.
    SeeingWorld {
        /// The look is in flight.
        asked: bool,
    },
    /// A person must say yes.
    AwaitingApproval,
    /// The step's own probe is asked; `after_act` when an act's outcome is in doubt.
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
    /// Temporary changes are put back before the run rests or ends.
    PuttingBack {
        /// One is in flight.
        asked: bool,
        /// What happens then.
        then: Box<RunEvent>,
    },
    /// Every step is done; the client says whether anything is lost.
    Accounting {
        /// The account is under way.
        asked: bool,
    },
    /// A person said wait; the lease is free.
    Resting,
    /// Over.
    Over(RunEnd),
}

/// A run's state machine.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) plan: Arc<Plan>,
    pub(crate) steps: Steps,
    pub(crate) phase: Phase,
    pub(crate) approved: BTreeMap<StepId, String>,
    /// Temporary changes that are set.
    pub(crate) owed: BTreeSet<String>,
    /// Those of them that could not be put back when the run was last settled: not asked a second time, still owed.
    pub(crate) stuck: BTreeSet<String>,
    pub(crate) pause_asked: Option<String>,
    pub(crate) abort_asked: Option<(String, String)>,
    pub(crate) step_began: Option<Timestamp>,
    /// Tries of the current step by this controller; a resume gives a step its tries back, a person has looked meanwhile.
    tries: u64,
    pub(crate) gate: Option<GateClock>,
    pub(crate) said: Option<WaitingOn>,
    pub(crate) gap: Option<(u64, u64)>,
    pub(crate) lost: Option<String>,
    out: VecDeque<RunEvent>,
    pub(crate) end_told: bool,
}

impl Engine {
    /// A machine at the beginning of a plan. The driver has journaled [`RunEvent::Began`].
    pub fn new(plan: Arc<Plan>, _now: Timestamp) -> Self {
        let steps = Steps::of(&plan);
        Self {
            plan,
            steps,
            phase: Phase::Entering,
            approved: BTreeMap::new(),
            owed: BTreeSet::new(),
            stuck: BTreeSet::new(),
            pause_asked: None,
            abort_asked: None,
            step_began: None,
            tries: 0,
            gate: None,
            said: None,
            gap: None,
            lost: None,
            out: VecDeque::new(),
            end_told: false,
        }
    }

    /// The plan that is carried out.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }
    /// Where the machine stands.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }
    /// The step that is at work or comes next.
    pub fn current(&self) -> Option<&Step> {
        self.steps.get(&self.plan, self.steps.cursor())
    }
    /// A step of the plan by its id.
    pub fn step(&self, id: &StepId) -> Option<&Step> {
        self.steps.index(id).and_then(|index| self.steps.get(&self.plan, index))
    }
    /// Steps that are over, in order, each with its outcome.
    pub fn finished(&self) -> impl Iterator<Item = (&Step, &Outcome)> {
        (0..self.steps.len()).filter_map(|index| match self.steps.status.get(index) {
            Some(StepStatus::Finished(outcome)) => {
                Some((self.steps.get(&self.plan, index)?, outcome))
            }
            _ => None,
        })
    }
    /// Ids of steps that were at least begun, finished ones included.
    pub fn touched(&self) -> impl Iterator<Item = &StepId> {
        (0..self.steps.len()).filter_map(|index| match self.steps.status.get(index) {
            None | Some(StepStatus::Pending) => None,
            Some(_) => self.steps.get(&self.plan, index).map(|step| &step.id),
        })
    }
    /// A person looked and resumes: tries count afresh.
    pub fn give_steps_their_tries_back(&mut self) {
        self.tries = 0;
    }
    /// Whether the run is over for good.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over(_))
    }

    /// When `handle(Input::Tick, now)` is due.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Prechecking { next, .. } | Phase::Gating { next } => *next,
            _ => None,
        }
    }

    /// Takes an input into account.
    pub fn handle(&mut self, input: Input, now: Timestamp) {
        match input {
            Input::Tick => {}
            Input::Looked { step, look, verdict } => {
                if step == self.current().map(|step| step.id.clone()) || look == Look::World {
                    self.looked(look, verdict, now);
                }
            }
            Input::Acted { step, attempt, outcome, also } => {
                self.acted(&step, attempt, outcome, also, now)
            }
            Input::PutBack { key, outcome } => self.put_back(&key, outcome),
            Input::Operator(event) => self.operator(&event, now),
            Input::LeaseLost { because } => {
                let hold = Hold {
                    step: self.current().map(|step| step.id.clone()),
                    code: "lease-lost".into(),
                    text: because,
                    hint: Some(
                        "another controller holds the cluster now; see `quorate run list`".into(),
                    ),
                };
                // Nothing is journaled: the journal belongs to the newer holder.
                self.out.clear();
                self.phase = Phase::Over(RunEnd::Halted { hold });
            }
            Input::ClientGap { gap_ms, max_ms } => self.gap = Some((gap_ms, max_ms)),
            Input::ClientLost { text } => self.lost = Some(text),
            Input::Accounted { lost } => self.accounted(lost),
        }
    }

    /// The next turn, or nothing until the next input or timeout.
    pub fn poll_action(&mut self, now: Timestamp) -> Option<Turn> {
        let effect = self.next_effect(now);
        let journal: Vec<RunEvent> = self.out.drain(..).collect();
        if journal.is_empty() && effect.is_none() {
            return None;
        }
        Some(Turn { journal, effect })
    }

    pub(crate) fn say(&mut self, event: RunEvent) {
        self.out.push_back(event);
    }

    fn next_effect(&mut self, now: Timestamp) -> Option<Effect> {
        // Each pass leaves `Entering` or ends; a plan's steps bound the number of passes.
        for _ in 0..=self.steps.len() {
            if !matches!(self.phase, Phase::Entering) {
                break;
            }
            self.enter(now);
        }
        let step = self.current().map(|step| step.id.clone());
        match &mut self.phase {
            Phase::SeeingWorld { asked: asked @ false } => {
                *asked = true;
                Some(Effect::Look { step: None, look: Look::World })
            }
            Phase::ProbingDone { asked: asked @ false, .. } => {
                *asked = true;
                Some(Effect::Look { step, look: Look::Done })
            }
            Phase::Prechecking { next, .. } if next.is_some_and(|at| at <= now) => {
                *next = None;
                Some(Effect::Look { step, look: Look::Precheck })
            }
            Phase::Gating { next } if next.is_some_and(|at| at <= now) => {
                *next = None;
                let mut look = Look::Gate;
                if let Some(gate) = self.gate.as_mut() {
                    gate.asked(now);
                    if !gate.may_open(now) {
                        look = Look::GateOnTheWay;
                    }
                }
                Some(Effect::Look { step, look })
            }
            Phase::Acting { attempt, asked: asked @ false } => {
                *asked = true;
                step.map(|step| Effect::Act { step, attempt: *attempt })
            }
            Phase::PuttingBack { asked: asked @ false, .. } => {
                let key = self.owed.iter().find(|key| !self.stuck.contains(*key)).cloned();
                *asked = key.is_some();
                match key {
                    Some(key) => Some(Effect::PutBack { key }),
                    None => self.close(),
                }
            }
            Phase::Accounting { asked: asked @ false } => {
                *asked = true;
                Some(Effect::Account)
            }
            Phase::Resting if !self.end_told => {
                self.end_told = true;
                Some(Effect::Rest)
            }
            Phase::Over(end) if !self.end_told => {
                self.end_told = true;
                Some(Effect::End(end.clone()))
            }
            _ => None,
        }
    }

    /// Nothing is in flight. Where no member is down by our doing it is a safe point, and requests are honoured.
    fn enter(&mut self, now: Timestamp) {
        let mid_change = self.current().is_some_and(|step| leaves_member_down(step.role));
        if !mid_change && self.honour_requests() {
            return;
        }
        self.enter_step(now);
    }

    fn enter_step(&mut self, now: Timestamp) {
        let cursor = self.steps.cursor();
        let Some(step) = self.steps.get(&self.plan, cursor) else {
            if self.owed.is_empty() {
                self.phase = Phase::Accounting { asked: false };
            } else {
                let owed = self.owed.iter().cloned().collect::<Vec<_>>().join(", ");
                self.halt(
                    "invariant",
                    format!("the plan ended with temporary changes not put back: {owed}"),
                    None,
                );
            }
            return;
        };
        let (id, needs_approval, has_done, title) =
            (step.id.clone(), step.needs_approval, step.done.is_some(), step.title.clone());
        match self.steps.status.get(cursor).cloned().unwrap_or(StepStatus::Pending) {
            StepStatus::Pending if needs_approval && !self.approved.contains_key(&id) => {
                self.say(RunEvent::AskedApproval { step: id, text: title });
                self.phase = Phase::AwaitingApproval;
            }
            StepStatus::Pending if has_done => {
                self.phase = Phase::ProbingDone { asked: false, doubt: None }
            }
            StepStatus::Pending => self.precheck(Attempt(1), now),
            StepStatus::Begun(attempt) => self.doubt(
                attempt,
                "the controller stopped before the outcome was known".into(),
                now,
            ),
            StepStatus::Doubtful(attempt) => {
                self.doubt(attempt, "the outcome of the last try was not known".into(), now)
            }
            StepStatus::Acted(_) => self.open_gate(now),
            StepStatus::Finished(_) => {}
        }
    }

    fn precheck(&mut self, attempt: Attempt, now: Timestamp) {
        let empty = self.current().is_none_or(|step| step.precheck.is_empty());
        if empty {
            self.begin(attempt, now);
        } else {
            self.phase = Phase::Prechecking { refused_since: None, next: Some(now), attempt };
        }
    }

    /// Intent, then the act.
    fn begin(&mut self, attempt: Attempt, now: Timestamp) {
        let Some((id, action)) = self.current().map(|step| (step.id.clone(), step.action.clone()))
        else {
            return;
        };
        let is_act = !matches!(action, Action::Look | Action::Confirm { .. });
        self.tries += 1;
        if self.step_began.is_none() {
            self.step_began = Some(now);
        }
        self.say(RunEvent::Started { step: id, attempt });
        self.mark(StepStatus::Begun(attempt));
        if let Action::TempSet { key, .. } = action {
            // Owed from the intent on: a crash between the act and its outcome must not forget it.
            self.owed.insert(key.clone());
            self.say(RunEvent::TempSet { key });
        }
        if is_act {
            self.phase = Phase::Acting { attempt, asked: false };
        } else {
            self.mark(StepStatus::Acted(attempt));
            self.open_gate(now);
        }
    }

    fn mark(&mut self, status: StepStatus) {
        let cursor = self.steps.cursor();
        if let Some(place) = self.steps.status.get_mut(cursor) {
            *place = status;
        }
    }

    fn doubt(&mut self, attempt: Attempt, because: String, now: Timestamp) {
        let Some((has_done, is_act)) = self.current().map(|step| {
            (step.done.is_some(), !matches!(step.action, Action::Look | Action::Confirm { .. }))
        }) else {
            return;
        };
        if !is_act {
            return self.open_gate(now);
        }
        if has_done {
            self.phase = Phase::ProbingDone { asked: false, doubt: Some((attempt, because)) };
        } else {
            self.halt(
                "unknown-outcome",
                format!("nobody knows whether this step happened: {because}, and it has no probe that could tell"),
                Some("look by hand, then make a new plan: the cluster is observed afresh"),
            );
        }
    }

    fn acted(
        &mut self,
        id: &StepId,
        attempt: Attempt,
        outcome: Outcome,
        also: Vec<RunEvent>,
        now: Timestamp,
    ) {
        let expected =
            matches!(self.phase, Phase::Acting { attempt: own, asked: true } if own == attempt);
        let Some(role) =
            self.current().filter(|step| expected && step.id == *id).map(|step| step.role)
        else {
            // A late answer of an earlier try: the step's own probe has decided meanwhile.
            return;
        };
        for event in also {
            self.say(event);
        }
        if let (
            Some(Action::TempPutBack { key }),
            Outcome::Succeeded { .. } | Outcome::Skipped { .. },
        ) = (self.current().map(|step| step.action.clone()), &outcome)
        {
            self.owed.remove(&key);
            self.say(RunEvent::PutBack { key });
        }
        self.say(RunEvent::Acted { step: id.clone(), attempt, outcome: outcome.clone() });
        match outcome {
            Outcome::Succeeded { .. } | Outcome::Skipped { .. } => {
                self.mark(StepStatus::Acted(attempt));
                self.open_gate(now);
            }
            Outcome::Unknown { because } => {
                self.mark(StepStatus::Doubtful(attempt));
                self.doubt(attempt, because, now);
            }
            Outcome::Failed { because } if may_retry(role) && self.tries < ATTEMPTS_MAX => {
                self.mark(StepStatus::Doubtful(attempt));
                self.retry(attempt, because, now);
            }
            Outcome::Failed { because } => {
                self.mark(StepStatus::Doubtful(attempt));
                self.halt(
                    "act-failed",
                    because,
                    Some("`quorate rollback` plans the way back; `quorate run resume` tries again"),
                );
            }
        }
    }

    fn retry(&mut self, attempt: Attempt, because: String, now: Timestamp) {
        if self.current().is_some_and(|step| step.done.is_some()) {
            self.phase = Phase::ProbingDone { asked: false, doubt: Some((attempt, because)) };
        } else {
            self.precheck(attempt.next(), now);
        }
    }

    fn looked(&mut self, look: Look, verdict: Verdict, now: Timestamp) {
        match (look, self.phase.clone()) {
            (Look::World, Phase::SeeingWorld { asked: true }) => self.world_seen(verdict),
            (Look::Done, Phase::ProbingDone { asked: true, doubt }) => {
                self.done_probed(verdict, doubt, now)
            }
            (Look::Precheck, Phase::Prechecking { refused_since, next: None, attempt }) => {
                self.prechecked(verdict, refused_since, attempt, now);
            }
            (Look::Gate | Look::GateOnTheWay, Phase::Gating { next: None }) => {
                self.gate_looked(look, verdict, now);
            }
            // An answer to a question that is no longer open.
            _ => {}
        }
    }

    fn world_seen(&mut self, verdict: Verdict) {
        let differs = match verdict {
            Verdict::Holds => Vec::new(),
            Verdict::Differs(differs) => differs,
            Verdict::NotYet(on) => vec![format!("not settled: {on}")],
            Verdict::Unsafe(reason) => vec![format!("not safe: {reason}")],
            Verdict::Unseen(what) => vec![format!("cannot be seen: {what}")],
            Verdict::Ended(because) => vec![because],
        };
        self.say(RunEvent::WorldSeen { differs: differs.clone() });
        if differs.is_empty() {
            self.phase = Phase::Entering;
        } else {
            self.halt(
                "world-differs",
                format!("the cluster is not what the journal implies: {}", differs.join("; ")),
                Some("make a new plan: it starts from what is really there"),
            );
        }
    }

    fn done_probed(&mut self, verdict: Verdict, doubt: Option<(Attempt, String)>, now: Timestamp) {
        let Some(id) = self.current().map(|step| step.id.clone()) else { return };
        match (verdict, doubt) {
            (Verdict::Holds, None) => {
                self.say(RunEvent::DoneProbed { step: id, done: true });
                self.finish(Outcome::Skipped { because: "it had already happened".into() }, now);
            }
            (Verdict::Holds, Some((attempt, _))) => {
                self.say(RunEvent::DoneProbed { step: id, done: true });
                self.mark(StepStatus::Acted(attempt));
                self.open_gate(now);
            }
            (Verdict::NotYet(_), None) => self.precheck(Attempt(1), now),
            (Verdict::NotYet(_), Some((attempt, because))) => {
                self.say(RunEvent::DoneProbed { step: id, done: false });
                if self.tries >= ATTEMPTS_MAX {
                    self.halt(
                        "act-failed",
                        format!("{ATTEMPTS_MAX} tries did not do it: {because}"),
                        None,
                    );
                } else {
                    self.precheck(attempt.next(), now);
                }
            }
            (Verdict::Unsafe(reason), _) => self.halt_unsafe(&reason),
            (Verdict::Unseen(what), _) => self.halt(
                "unknown-outcome",
                format!("cannot see whether this step has happened: {what}"),
                Some("mend the way to the host, then `quorate run resume`"),
            ),
            (Verdict::Differs(differs), _) => self.halt("world-differs", differs.join("; "), None),
            (Verdict::Ended(because), _) => self.halt_ended(because),
        }
    }

    fn prechecked(
        &mut self,
        verdict: Verdict,
        refused: Option<Timestamp>,
        attempt: Attempt,
        now: Timestamp,
    ) {
        let every = self.plan.policy.look_every;
        if verdict == Verdict::Holds {
            return self.begin(attempt, now);
        }
        let since_when = refused.unwrap_or(now);
        if since(since_when, now) >= PRECHECK_PATIENCE {
            return match verdict {
                Verdict::Unsafe(reason) => self.halt_unsafe(&reason),
                Verdict::NotYet(on) => self.halt("precheck", format!("not ready: {on}"), None),
                Verdict::Unseen(what) => {
                    self.halt("precheck", format!("cannot be seen: {what}"), None)
                }
                Verdict::Differs(differs) => self.halt("world-differs", differs.join("; "), None),
                Verdict::Ended(because) => self.halt_ended(because),
                Verdict::Holds => {}
            };
        }
        if let Verdict::NotYet(on) = verdict {
            self.tell_waiting(on);
        }
        self.phase = Phase::Prechecking {
            refused_since: Some(since_when),
            next: Some(after(now, every)),
            attempt,
        };
        self.leave_if_asked();
    }

    fn open_gate(&mut self, now: Timestamp) {
        let Some((gate, node)) = self.current().map(|step| (step.gate.clone(), step.node.clone()))
        else {
            return;
        };
        match gate {
            None => self.finish(Outcome::Succeeded { note: None }, now),
            Some(gate) => {
                self.gate = Some(GateClock::new(gate, node, now));
                self.phase = Phase::Gating { next: Some(now) };
            }
        }
    }

    fn gate_looked(&mut self, look: Look, verdict: Verdict, now: Timestamp) {
        let Some(clock) = self.gate.as_mut() else { return };
        let says = clock.look(look == Look::Gate, verdict, now);
        if let Some(over) = self.override_for(&says, now) {
            let step = self.current().map(|step| step.id.clone());
            if let Some(step) = step {
                self.say(RunEvent::Overridden { step, over, by: "policy".into() });
            }
            return self.finish(
                Outcome::Succeeded { note: Some("its gate was set aside by an override".into()) },
                now,
            );
        }
        match says {
            GateSays::Open => self.finish(Outcome::Succeeded { note: None }, now),
            GateSays::LookAt(at, waiting) => {
                if let Some(on) = waiting {
                    self.tell_waiting(on);
                }
                self.phase = Phase::Gating { next: Some(at) };
                self.leave_if_asked();
            }
            GateSays::TimedOut(last) => {
                let name =
                    self.gate.as_ref().map(|clock| clock.name().to_owned()).unwrap_or_default();
                let limit = self
                    .current()
                    .and_then(|step| step.gate.as_ref())
                    .map_or(Duration::ZERO, |gate| gate.limit);
                let text = format!(
                    "gate `{name}` has not held within {} s; last seen: {last}",
                    limit.as_secs_f64()
                );
                self.halt("gate-timeout", text, Some("see what it waited for in `quorate run show`; `quorate run resume` looks again"));
            }
            GateSays::Broken(reason) => self.halt_unsafe(&reason),
            GateSays::Ended(because) => self.halt_ended(because),
        }
    }

    /// A person's word that sets this gate aside, once its time is up. Before that the gate may still hold by itself, and
    /// what breaks elsewhere is nobody's to set aside.
    fn override_for(&self, says: &GateSays, now: Timestamp) -> Option<Override> {
        let step = self.current()?;
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
                let clock = self.gate.as_ref().filter(|clock| clock.holds_not())?;
                (since(clock.began(), now) >= gate.soak).then(|| find(REJOIN_GATE)).flatten()
            }
            (GateSays::Open | GateSays::LookAt(..) | GateSays::Broken(_), _) => None,
        }
    }

    fn tell_waiting(&mut self, on: WaitingOn) {
        if self.said.as_ref() == Some(&on) {
            return;
        }
        // A soak's seconds and a lag's entries change with every look: the kind is told once, not its number.
        let same_kind = self
            .said
            .as_ref()
            .is_some_and(|said| std::mem::discriminant(said) == std::mem::discriminant(&on));
        let counts = matches!(on, WaitingOn::Soak { .. } | WaitingOn::CatchUp { .. });
        if !(same_kind && counts)
            && let Some(step) = self.current().map(|step| step.id.clone())
        {
            self.say(RunEvent::Waiting { step, on: on.clone() });
        }
        self.said = Some(on);
    }

    fn finish(&mut self, outcome: Outcome, now: Timestamp) {
        let Some(id) = self.current().map(|step| step.id.clone()) else { return };
        let took = self.step_began.take().map_or(Duration::ZERO, |began| since(began, now));
        self.say(RunEvent::Finished { step: id, outcome: outcome.clone(), took });
        self.mark(StepStatus::Finished(outcome));
        self.tries = 0;
        self.gate = None;
        self.said = None;
        self.phase = Phase::Entering;
    }

    fn operator(&mut self, event: &RunEvent, now: Timestamp) {
        // The same fold as in replay: an event counts the same whoever reads it first.
        if self.fold(event, now).is_err() {
            return;
        }
        if let (RunEvent::Approved { step, .. }, Phase::AwaitingApproval) = (event, &self.phase)
            && self.current().is_some_and(|current| current.id == *step)
        {
            self.phase = Phase::Entering;
        }
        if matches!(self.phase, Phase::AwaitingApproval)
            && (self.abort_asked.is_some() || self.pause_asked.is_some())
        {
            self.leave_if_asked();
        }
    }
}

/// Before such a step a member is down by our doing: nobody pauses there.
fn leaves_member_down(role: StepRole) -> bool {
    matches!(
        role,
        StepRole::Swap
            | StepRole::Start
            | StepRole::Restore
            | StepRole::Membership
            | StepRole::SetAside
    )
}
