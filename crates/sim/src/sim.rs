//! The event loop: controllers, people, bad luck and the world share one virtual clock.
//!
//! Invariant: everything happens in the order of one queue, so a seed replays exactly.

use crate::{
    chance::Chance,
    checkers::{Act, Checks, Looked},
    clock::{Millis, millis, timestamp},
    controller::{Controller, Ending, LEASE_TTL, Life, RENEW_EVERY},
    judge::{hop_of, judge},
    operator::Session,
    outcome::{End, SimOutcome},
    product::{self, Product, SharedPlan},
    sabotage::Sabotage,
    scenario::{CrashPoint, Scenario, SecondOperator},
    world::{Hurt, Process, World},
};
use quorate_engine::{Effect, Input, Look, Phase, Turn};
use quorate_model::{Attempt, Cluster, Outcome, RunEnd, RunEvent, RunId, StepId};
use quorate_planner::Measured;
use quorate_store::{MemoryStore, Store, StoreError};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

/// After bad luck ended everything must be over within this: half an hour holds a dozen sessions that each wait for a stage and a rejoin in vain.
const CALM_MAX: Millis = 30 * 60 * 1000;
/// People try this often after bad luck ended; what still refuses then will refuse for ever.
const SESSIONS_MAX: u32 = 12;
/// Turns of one controller at one moment; more are a loop that never waits.
const TURNS_MAX: usize = 500;
/// A look takes this.
const LOOK_TAKES: Millis = 5;
/// A person needs this to say yes.
const YES_TAKES: Millis = 800;

/// What happens next.
#[derive(Debug, Clone, PartialEq)]
enum Event {
    /// A controller's timer.
    Wake(usize),
    /// A look ends.
    LookEnds(usize, Option<StepId>, Look),
    /// An answer arrives.
    Answer(usize, Input),
    /// A lease is to be renewed.
    Renew(usize),
    /// A person says yes.
    SayYes(usize, StepId),
    /// Bad luck, by its place in the scenario.
    Fault(usize),
    /// A controller's machine stands still.
    Stall(Millis),
    /// Somebody comes to a controller that died or halted.
    Return { break_held: bool },
    /// A second person comes.
    Second(SecondOperator, u32),
    /// All bad luck ends.
    Calm,
}

/// One run of the simulation.
pub struct Sim {
    pub(crate) world: World,
    pub(crate) store: MemoryStore,
    pub(crate) cluster: Cluster,
    pub(crate) measured: Measured,
    pub(crate) target: product::Rel,
    pub(crate) controllers: Vec<Controller>,
    pub(crate) plans: Vec<(RunId, SharedPlan)>,
    pub(crate) checks: Checks,
    pub(crate) sabotage: Option<Sabotage>,
    pub(crate) runs: u32,
    pub(crate) processes: u32,
    scenario: Scenario,
    chance: Chance,
    queue: BinaryHeap<Reverse<(Millis, u64)>>,
    events: BTreeMap<u64, Event>,
    next_event: u64,
    calm: bool,
    appends: u32,
    sessions: u32,
    last_hold: Option<(String, String)>,
    return_due: bool,
    /// A script decides who comes back and when.
    pub(crate) scripted: bool,
    /// What is done to the next act, for scripts.
    pub(crate) next_hurt: Option<Hurt>,
    /// Events that were written, for scripts.
    pub(crate) written: Vec<RunEvent>,
    pub(crate) acts: u32,
    remarks: Vec<String>,
    end: Option<End>,
    trace: Option<Vec<String>>,
}

impl Sim {
    /// Sets a scenario up.
    pub fn new(scenario: Scenario, seed: u64, sabotage: Option<Sabotage>) -> Self {
        let mut chance = Chance::new(seed);
        let names = product::names(scenario.size);
        let mut world = World::new(&names, scenario.learners, scenario.from, chance.fork());
        world.trusts_digests = sabotage == Some(Sabotage::DigestNotChecked);
        Self {
            world,
            store: MemoryStore::new(),
            cluster: product::declared(&names, product::policy()),
            measured: Measured::new(),
            target: scenario.to,
            controllers: Vec::new(),
            plans: Vec::new(),
            checks: Checks::new(),
            sabotage,
            runs: 0,
            processes: 100,
            scenario,
            chance,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            next_event: 0,
            calm: false,
            appends: 0,
            sessions: 0,
            last_hold: None,
            return_due: false,
            scripted: false,
            next_hurt: None,
            written: Vec::new(),
            acts: 0,
            remarks: Vec::new(),
            end: None,
            trace: None,
        }
    }

    /// Keeps a line for everything that happens.
    pub fn tracing(mut self) -> Self {
        self.trace = Some(Vec::new());
        self
    }

    /// Lets everything happen; gives the outcome and, when asked for, the trace.
    pub fn run(mut self, seed: u64) -> (SimOutcome, Vec<String>) {
        self.schedule();
        let session = self.begin("anna", false);
        self.after_session(session);
        let limit = self.scenario.calm_from + CALM_MAX;
        while self.end.is_none() {
            if !self.next() {
                self.end = Some(self.verdict("nothing is left to happen"));
            } else if self.world.now > limit {
                self.end = Some(End::Stuck { text: format!("time ran out: {}", self.what_is_up()) });
            }
        }
        let outcome = SimOutcome {
            seed,
            end: self.end.unwrap_or(End::Stuck { text: "no end".into() }),
            breaches: self.checks.breaches,
            remarks: self.remarks,
            acts: self.acts,
            appends: self.appends,
            runs: self.runs,
            took_ms: self.world.now,
        };
        (outcome, self.trace.unwrap_or_default())
    }

    /// Lets the next thing happen; false when nothing is left.
    pub(crate) fn next(&mut self) -> bool {
        let Some(Reverse((at, id))) = self.queue.pop() else { return false };
        self.world.advance(at);
        if let Some(event) = self.events.remove(&id) {
            self.happens(event);
        }
        true
    }

    fn schedule(&mut self) {
        for index in 0..self.scenario.faults.len() {
            self.at(self.scenario.faults[index].0, Event::Fault(index));
        }
        for index in 0..self.scenario.stalls.len() {
            let (at, lasts) = self.scenario.stalls[index];
            self.at(at, Event::Stall(lasts));
        }
        if let Some(second) = self.scenario.second {
            self.at(second.at, Event::Second(second, 0));
        }
        self.at(self.scenario.calm_from, Event::Calm);
    }

    fn at(&mut self, at: Millis, event: Event) {
        self.next_event += 1;
        self.queue.push(Reverse((at.max(self.world.now), self.next_event)));
        self.events.insert(self.next_event, event);
    }

    fn after(&mut self, by: Millis, event: Event) {
        self.at(self.world.now + by, event);
    }

    /// Somebody comes back after a while; one who is on the way already is enough.
    fn return_after(&mut self, by: Millis, break_held: bool) {
        if !self.scripted && !std::mem::replace(&mut self.return_due, true) {
            self.after(by, Event::Return { break_held });
        }
    }

    pub(crate) fn say(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.trace.is_some() {
            let line = format!("{:>7} {}", self.world.now, line(self));
            if let Some(trace) = &mut self.trace {
                trace.push(line);
            }
        }
    }

    fn happens(&mut self, event: Event) {
        if let Some(until) = self.stalled(&event) {
            return self.at(until, event);
        }
        match event {
            Event::Wake(index) => {
                self.controllers[index].wake_at = None;
                if self.controllers[index].is_working() {
                    let now = timestamp(self.world.now);
                    self.controllers[index].engine.handle(Input::Tick, now);
                    self.drive(index);
                }
            }
            Event::LookEnds(index, step, look) => self.look_ends(index, step, look),
            Event::Answer(index, input) => self.hear(index, input),
            Event::Renew(index) => self.renew(index),
            Event::SayYes(index, step) => self.say_yes(index, step),
            Event::Fault(index) => {
                let fault = self.scenario.faults[index].1;
                if !self.calm {
                    self.say(|_| format!("fault {fault:?}"));
                    self.world.fault(fault);
                }
            }
            Event::Stall(lasts) => {
                let until = self.world.now + lasts;
                self.say(|_| format!("the controller's machine stands still until {until}"));
                if let Some(working) = self.controllers.iter_mut().find(|c| c.is_working()) {
                    working.stalled_until = until;
                }
            }
            Event::Return { break_held } => self.someone_returns(break_held),
            Event::Second(second, tries) => self.second_comes(second, tries),
            Event::Calm => {
                self.calm = true;
                self.say(|_| "all bad luck ends".to_owned());
                self.world.heal();
                if !self.controllers.iter().any(Controller::is_working) {
                    self.return_after(1_000, false);
                }
            }
        }
    }

    /// When the event concerns a controller whose machine stands still.
    fn stalled(&self, event: &Event) -> Option<Millis> {
        let index = match event {
            Event::Wake(index) | Event::LookEnds(index, _, _) | Event::Answer(index, _) | Event::Renew(index) => *index,
            _ => return None,
        };
        let until = self.controllers.get(index)?.stalled_until;
        (until > self.world.now).then_some(until)
    }

    fn hear(&mut self, index: usize, input: Input) {
        if self.controllers[index].is_working() {
            self.say(|_| format!("c{index} hears {input:?}"));
            let now = timestamp(self.world.now);
            self.controllers[index].engine.handle(input, now);
            self.drive(index);
        }
    }

    fn look_ends(&mut self, index: usize, step: Option<StepId>, look: Look) {
        if !self.controllers[index].is_working() {
            return;
        }
        let controller = &self.controllers[index];
        let mut verdict = judge(&controller.engine, step.as_ref(), look, &mut self.world);
        let whole = step.as_ref().and_then(|id| controller.engine.step(id));
        if let Some(sabotage) = self.sabotage {
            verdict = sabotage.verdict(whole, look, &self.world.look().0.nodes, verdict);
        }
        if let (Some(step), Some(hop)) = (whole, step.as_ref().and_then(|id| hop_of(&controller.plan, id))) {
            let looked = Looked { run: &controller.run, hop, step, look };
            self.checks.looked(&looked, &self.world);
        }
        self.hear(index, Input::Looked { step, look, verdict });
    }

    /// Lets a controller take its turns until it waits.
    pub(crate) fn drive(&mut self, index: usize) {
        for _ in 0..TURNS_MAX {
            if !self.controllers[index].is_working() {
                return;
            }
            let now = timestamp(self.world.now);
            let Some(turn) = self.controllers[index].engine.poll_action(now) else {
                return self.wake_later(index);
            };
            self.take_turn(index, turn);
        }
        self.end = Some(End::Stuck { text: "a controller takes turns without end".into() });
    }

    fn wake_later(&mut self, index: usize) {
        let Some(at) = self.controllers[index].engine.poll_timeout().map(millis) else { return };
        if self.controllers[index].wake_at.is_none_or(|known| at < known) {
            self.controllers[index].wake_at = Some(at);
            self.at(at, Event::Wake(index));
        }
    }

    fn take_turn(&mut self, index: usize, turn: Turn) {
        let Turn { journal, effect } = turn;
        let act = matches!(effect, Some(Effect::Act { .. }));
        if act && self.sabotage == Some(Sabotage::IntentAfterAct) {
            self.effect(index, effect);
            self.write(index, &journal);
            return;
        }
        let crash = self.crash_point(!journal.is_empty());
        if crash == Some(CrashPoint::BeforeAppend) {
            return self.dies(index);
        }
        if !self.write(index, &journal) {
            return;
        }
        if crash == Some(CrashPoint::AfterAppend) {
            return self.dies(index);
        }
        self.effect(index, effect);
        if crash == Some(CrashPoint::AfterEffect) {
            self.dies(index);
        }
    }

    fn crash_point(&mut self, writes: bool) -> Option<CrashPoint> {
        if !writes {
            return None;
        }
        self.appends += 1;
        let appends = self.appends;
        let here = self.scenario.crashes.iter().find(|(at, _)| *at == appends && !self.calm);
        here.map(|(_, point)| *point)
    }

    /// Writes the turn's events. False when nothing may follow.
    fn write(&mut self, index: usize, events: &[RunEvent]) -> bool {
        if events.is_empty() {
            return true;
        }
        if self.trace.is_some() {
            for event in events {
                self.say(|_| format!("c{index} journals {event:?}"));
            }
        }
        let now = self.world.now;
        match self.controllers[index].append(&self.store, now, events) {
            Ok(foreign) => {
                for event in foreign {
                    self.controllers[index].engine.handle(Input::Operator(event), timestamp(now));
                }
                let controller = &self.controllers[index];
                self.checks.appended(&controller.run, &controller.plan, events, &self.world);
                if self.scripted {
                    self.written.extend_from_slice(events);
                }
                self.ask_person(index);
                true
            }
            Err(_) if self.sabotage == Some(Sabotage::LeaseNotChecked) => true,
            Err(StoreError::Fenced { .. } | StoreError::NotHeld { .. }) => {
                self.lose_lease(index, "a newer controller holds this cluster");
                false
            }
            Err(error) => {
                self.controllers[index].life = Life::Left(Ending::StoreGone(error.to_string()));
                false
            }
        }
    }

    fn ask_person(&mut self, index: usize) {
        let engine = &self.controllers[index].engine;
        if let (Phase::AwaitingApproval, Some(step)) = (engine.phase(), engine.current()) {
            let step = step.id.clone();
            self.after(YES_TAKES, Event::SayYes(index, step));
        }
    }

    fn say_yes(&mut self, index: usize, step: StepId) {
        let controller = &self.controllers[index];
        if !controller.is_working() || *controller.engine.phase() != Phase::AwaitingApproval {
            return;
        }
        let event = RunEvent::Approved { step, by: "anna".into() };
        let (run, plan) = (controller.run.clone(), controller.plan.clone());
        let now = timestamp(self.world.now);
        if let Err(error) = quorate_store::append_as_operator(&self.store, &run, now, &event) {
            self.end = Some(End::Stuck { text: format!("a yes cannot be written: {error}") });
            return;
        }
        self.checks.appended(&run, &plan, std::slice::from_ref(&event), &self.world);
        self.read_foreign(index);
    }

    /// What people wrote into the journal meanwhile.
    fn read_foreign(&mut self, index: usize) {
        let controller = &mut self.controllers[index];
        let news = self.store.journal(&controller.run, controller.seq).unwrap_or_default();
        for recorded in news {
            self.controllers[index].seq = recorded.seq;
            self.hear(index, Input::Operator(recorded.event));
        }
    }

    fn effect(&mut self, index: usize, effect: Option<Effect>) {
        match effect {
            None => {}
            Some(Effect::Look { step, look }) => self.after(LOOK_TAKES, Event::LookEnds(index, step, look)),
            Some(Effect::Act { step, attempt }) => {
                let checked = self.sabotage != Some(Sabotage::LeaseNotChecked);
                if checked && !self.controllers[index].holds_lease(self.world.now) {
                    return self.lose_lease(index, "the lease could not be renewed");
                }
                self.act(index, &step, attempt);
            }
            Some(Effect::PutBack { key }) => {
                self.world.temporary.retain(|set| *set != key);
                let outcome = Outcome::Succeeded { note: None };
                self.after(30, Event::Answer(index, Input::PutBack { key, outcome }));
            }
            Some(Effect::Rest) => self.leaves(index, Ending::Resting),
            Some(Effect::End(end)) => self.leaves(index, Ending::Over(end)),
        }
    }

    fn act(&mut self, index: usize, id: &StepId, attempt: Attempt) {
        let hurt = self.draw_hurt();
        let controller = &self.controllers[index];
        let plan = controller.plan.clone();
        let (Some(step), Some(hop)) = (controller.engine.step(id), hop_of(&plan, id)) else { return };
        let act =
            Act { run: &controller.run, generation: controller.lease.generation, plan: &plan, hop, step, attempt };
        self.acts += 1;
        self.checks.acting(&act, &self.world);
        let mut acted = self.world.act(step, hurt);
        if acted.happened {
            self.checks.acted(&act, &self.world);
        }
        let blind = matches!(acted.outcome, Outcome::Unknown { .. });
        if blind && self.sabotage == Some(Sabotage::StepRepeated) {
            self.checks.acting(&act, &self.world);
            acted = self.world.act(step, Hurt::None);
        }
        self.say(|_| format!("c{index} acts {id} try {attempt} ({hurt:?}): {:?}", acted.outcome));
        let input = Input::Acted { step: id.clone(), attempt, outcome: acted.outcome, also: acted.also };
        self.after(acted.after, Event::Answer(index, input));
    }

    fn draw_hurt(&mut self) -> Hurt {
        if let Some(hurt) = self.next_hurt.take() {
            return hurt;
        }
        if self.calm || !self.chance.percent(self.scenario.hurt_percent) {
            return Hurt::None;
        }
        match self.chance.place(3) {
            0 => Hurt::RequestLost,
            1 => Hurt::ReplyLost,
            _ => Hurt::Refused,
        }
    }

    pub(crate) fn renew_later(&mut self, index: usize) {
        self.after(RENEW_EVERY, Event::Renew(index));
    }

    fn renew(&mut self, index: usize) {
        if !self.controllers[index].is_working() {
            return;
        }
        let renewed = self.store.renew_lease(&self.controllers[index].lease, timestamp(self.world.now), LEASE_TTL);
        match renewed {
            Ok(lease) => self.controllers[index].lease = lease,
            Err(_) if self.sabotage == Some(Sabotage::LeaseNotChecked) => {}
            Err(error) => return self.lose_lease(index, &error.to_string()),
        }
        self.renew_later(index);
    }

    fn lose_lease(&mut self, index: usize, because: &str) {
        self.say(|_| format!("c{index} lost its lease: {because}"));
        let now = timestamp(self.world.now);
        self.controllers[index].engine.handle(Input::LeaseLost { because: because.to_owned() }, now);
        self.drive(index);
    }

    fn dies(&mut self, index: usize) {
        self.say(|_| format!("c{index} dies"));
        self.controllers[index].life = Life::Dead;
        let after = self.chance.between(500, 20_000);
        let break_held = self.chance.percent(50);
        self.return_after(after, break_held);
    }

    fn leaves(&mut self, index: usize, ending: Ending) {
        self.say(|_| format!("c{index} leaves: {ending:?}"));
        let _ = self.store.release_lease(&self.controllers[index].lease);
        if let Ending::Over(RunEnd::Halted { hold }) = &ending {
            self.last_hold = Some((hold.code.clone(), hold.text.clone()));
            if hold.text.trim().is_empty() {
                self.end = Some(End::Stuck { text: format!("a run halted ({}) without a reason", hold.code) });
            }
        }
        self.controllers[index].life = Life::Left(ending);
        let after = self.chance.between(1_000, 8_000);
        self.return_after(after, false);
    }

    /// Somebody comes back to a cluster that nobody works on: takes the run up, or plans anew.
    fn someone_returns(&mut self, break_held: bool) {
        self.return_due = false;
        if self.controllers.iter().any(Controller::is_working) || self.end.is_some() {
            return;
        }
        if self.world.all_at(self.target) && !self.newest_run_is_open() {
            self.end = Some(End::Converged);
            return;
        }
        self.sessions += u32::from(self.calm);
        if self.sessions > SESSIONS_MAX {
            self.end = Some(self.verdict("people gave up"));
            return;
        }
        let died = self.controllers.last().is_some_and(|c| c.life == Life::Dead);
        let take_up = died || self.chance.percent(50);
        self.say(|_| format!("somebody returns to {}", if take_up { "resume" } else { "plan anew" }));
        let session =
            if take_up { self.resume("anna", break_held) } else { self.begin("anna", break_held) };
        self.after_session(session);
    }

    fn second_comes(&mut self, second: SecondOperator, tries: u32) {
        if self.end.is_some() {
            return;
        }
        self.say(|_| format!("a second person comes: {second:?}"));
        let session = if second.own_plan {
            self.begin("bert", second.breaks_lease)
        } else {
            self.resume("bert", second.breaks_lease)
        };
        match session {
            Session::Held if tries < 20 => self.after(3_000, Event::Second(second, tries + 1)),
            Session::Held | Session::NotNow { .. } | Session::NothingToDo | Session::Working => {}
            Session::Broken(text) => self.end = Some(End::Stuck { text }),
        }
    }

    fn after_session(&mut self, session: Session) {
        if !matches!(session, Session::Working) {
            self.say(|_| format!("no run: {session:?}"));
        }
        match session {
            Session::Working => {}
            Session::Held => self.return_after(3_000, false),
            Session::Broken(text) => self.end = Some(End::Stuck { text }),
            Session::NothingToDo if self.world.all_at(self.target) => self.end = Some(End::Converged),
            Session::NothingToDo if self.sessions >= SESSIONS_MAX => {
                let text = format!("there is nothing to do, they say, but {}", self.what_is_up());
                self.end = Some(End::Stuck { text });
            }
            Session::NothingToDo => {
                if self.somebody_lies_down() {
                    let text = format!("nothing is to be done, the planner says, but {}", self.what_is_up());
                    self.remarks.push(text);
                }
                self.return_after(5_000, false);
            }
            Session::NotNow { text, .. } if self.calm && self.sessions >= SESSIONS_MAX => {
                self.end = Some(End::Refused { text });
            }
            Session::NotNow { .. } => self.return_after(10_000, false),
        }
    }

    /// A member that the controller can reach is plainly not running.
    fn somebody_lies_down(&self) -> bool {
        self.world.members.iter().any(|member| !member.cut && member.process == Process::Down)
    }

    /// What is said when nothing more will happen.
    fn verdict(&self, because: &str) -> End {
        if self.world.all_at(self.target) {
            return End::Converged;
        }
        match &self.last_hold {
            Some((code, text)) => End::Halted { code: code.clone(), text: text.clone() },
            None => End::Stuck { text: format!("{because}: {}", self.what_is_up()) },
        }
    }

    fn what_is_up(&self) -> String {
        let members = self.world.members.iter().map(|member| {
            let release = Product::get().releases.get(member.runs).map(ToString::to_string).unwrap_or_default();
            format!("{} {release} {:?} lag {}", member.name, member.process, member.lag())
        });
        let phase = self.controllers.iter().rev().find(|c| c.is_working()).map(|c| {
            let step = c.engine.current().map(|step| step.id.to_string()).unwrap_or_default();
            format!("{step} {:?}", c.engine.phase())
        });
        format!("{}; {}", members.collect::<Vec<_>>().join(", "), phase.unwrap_or_else(|| "nobody works".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::length;
    use std::time::Duration;

    #[test]
    fn a_lease_outlives_two_missed_renewals() {
        assert!(length(LEASE_TTL) > 2 * RENEW_EVERY && length(Duration::from_secs(1)) == 1000);
    }
}
