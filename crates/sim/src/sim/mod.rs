//! The event loop: controllers, people, bad luck and the world share one virtual clock.
//!
//! Invariant: everything happens in the order of one queue, so a seed replays exactly.
//! Read next: `turns.rs` (what a controller does), `people.rs` (what happens when it is gone).

mod people;
mod turns;

use crate::{
    chance::Chance,
    checkers::{Checks, Looked},
    clock::{Millis, timestamp},
    controller::Controller,
    judge::{hop_of, judge},
    outcome::{End, SimOutcome},
    product::{self, SharedPlan},
    sabotage::Sabotage,
    scenario::{Scenario, SecondOperator},
    world::{Hurt, World},
};
use quorate_engine::{Input, Look};
use quorate_model::{Cluster, RunEvent, RunId, StepId};
use quorate_planner::Measured;
use quorate_store::MemoryStore;
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

/// Longer than any simulated member takes to boot and to catch up.
const SETTLE: Millis = 60_000;

impl Sim {
    /// Sets a scenario up.
    pub fn new(scenario: Scenario, seed: u64, sabotage: Option<Sabotage>) -> Self {
        let mut chance = Chance::new(seed);
        let names = product::names(scenario.size);
        let clients = product::client_names(scenario.clients);
        let world = World::new(&names, scenario.learners, scenario.from, chance.fork());
        let mut world = world.with_clients(&clients);
        world.trusts_digests = sabotage == Some(Sabotage::DigestNotChecked);
        Self {
            world,
            store: MemoryStore::new(),
            cluster: product::declared(&names, &clients, product::policy()),
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
                // A member that a late fault has hit may still be on its way back: no event of ours tells of that.
                self.world.advance(self.world.now + SETTLE);
                self.end = Some(self.verdict("nothing is left to happen"));
            } else if self.world.now > limit {
                self.end =
                    Some(End::Stuck { text: format!("time ran out: {}", self.what_is_up()) });
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
            Event::Wake(index)
            | Event::LookEnds(index, _, _)
            | Event::Answer(index, _)
            | Event::Renew(index) => *index,
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
        if let (Some(step), Some(hop)) =
            (whole, step.as_ref().and_then(|id| hop_of(&controller.plan, id)))
        {
            let looked = Looked { run: &controller.run, hop, step, look };
            self.checks.looked(&looked, &self.world);
        }
        self.hear(index, Input::Looked { step, look, verdict });
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        clock::length,
        controller::{LEASE_TTL, RENEW_EVERY},
    };
    use std::time::Duration;

    #[test]
    fn a_lease_outlives_two_missed_renewals() {
        assert!(length(LEASE_TTL) > 2 * RENEW_EVERY && length(Duration::from_secs(1)) == 1000);
    }
}
