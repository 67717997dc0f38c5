//! A controller's turns: events first, then the effect, as the runner does it; and every way in which that is cut short.

use super::{Event, LOOK_TAKES, Sim, TURNS_MAX, YES_TAKES};
use crate::{
    checkers::Act,
    clock::{millis, timestamp},
    controller::{Ending, LEASE_TTL, Life, RENEW_EVERY},
    judge::hop_of,
    outcome::End,
    sabotage::Sabotage,
    scenario::CrashPoint,
    world::Hurt,
};
use quorate_engine::{Effect, Input, Phase, Turn};
use quorate_model::{Attempt, Lease, Outcome, RunEvent, StepId};
use quorate_store::{Store, StoreError};

impl Sim {
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

    pub(super) fn wake_later(&mut self, index: usize) {
        let Some(at) = self.controllers[index].engine.poll_timeout().map(millis) else { return };
        if self.controllers[index].wake_at.is_none_or(|known| at < known) {
            self.controllers[index].wake_at = Some(at);
            self.at(at, Event::Wake(index));
        }
    }

    pub(super) fn take_turn(&mut self, index: usize, turn: Turn) {
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

    pub(super) fn crash_point(&mut self, writes: bool) -> Option<CrashPoint> {
        if !writes {
            return None;
        }
        self.appends += 1;
        let appends = self.appends;
        let here = self.scenario.crashes.iter().find(|(at, _)| *at == appends && !self.calm);
        here.map(|(_, point)| *point)
    }

    /// Writes the turn's events. False when nothing may follow.
    pub(super) fn write(&mut self, index: usize, events: &[RunEvent]) -> bool {
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

    pub(super) fn ask_person(&mut self, index: usize) {
        let engine = &self.controllers[index].engine;
        if let Phase::AwaitingApproval { step } = engine.phase() {
            let step = step.clone();
            self.after(YES_TAKES, Event::SayYes(index, step));
        }
    }

    pub(super) fn say_yes(&mut self, index: usize, step: StepId) {
        let controller = &self.controllers[index];
        let waits = matches!(controller.engine.phase(), Phase::AwaitingApproval { step: awaited } if *awaited == step);
        if !controller.is_working() || !waits {
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
    pub(super) fn read_foreign(&mut self, index: usize) {
        let controller = &mut self.controllers[index];
        let news = self.store.journal(&controller.run, controller.seq).unwrap_or_default();
        for recorded in news {
            self.controllers[index].seq = recorded.seq;
            self.hear(index, Input::Operator(recorded.event));
        }
    }

    pub(super) fn effect(&mut self, index: usize, effect: Option<Effect>) {
        match effect {
            None => {}
            Some(Effect::Look { step, look }) => {
                self.after(LOOK_TAKES, Event::LookEnds(index, step, look))
            }
            Some(Effect::Act { step, attempt }) => {
                let checked = self.sabotage != Some(Sabotage::LeaseNotChecked);
                if checked && !self.still_holds_lease(index) {
                    return self.lose_lease(index, "the lease could not be renewed");
                }
                self.act(index, &step, attempt);
            }
            Some(Effect::PutBack { key }) => {
                self.world.temporary.retain(|set| *set != key);
                let outcome = Outcome::Succeeded { note: None };
                self.after(30, Event::Answer(index, Input::PutBack { key, outcome }));
            }
            // Clients lose nothing here: the checkers look at the members themselves.
            Some(Effect::Account) => {
                self.after(LOOK_TAKES, Event::Answer(index, Input::Accounted { wrong: None }));
            }
            Some(Effect::Rest) => self.leaves(index, Ending::Resting),
            Some(Effect::End(end)) => self.leaves(index, Ending::Over(end)),
        }
    }

    pub(super) fn act(&mut self, index: usize, id: &StepId, attempt: Attempt) {
        let hurt = self.draw_hurt();
        let controller = &self.controllers[index];
        let plan = controller.plan.clone();
        let (Some(step), Some(hop)) = (controller.engine.step(id), hop_of(&plan, id)) else {
            return;
        };
        let act = Act {
            run: &controller.run,
            generation: controller.lease.generation,
            plan: &plan,
            hop,
            step,
            attempt,
        };
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
        let input =
            Input::Acted { step: id.clone(), attempt, outcome: acted.outcome, also: acted.also };
        self.after(acted.after, Event::Answer(index, input));
    }

    pub(super) fn draw_hurt(&mut self) -> Hurt {
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

    /// Whether a controller may act: one whose lease ran out while it stood still tries once to renew it.
    fn still_holds_lease(&mut self, index: usize) -> bool {
        let now = self.world.now;
        if !self.controllers[index].holds_lease(now)
            && let Ok(lease) = self.renewed(index)
        {
            self.controllers[index].lease = lease;
        }
        self.controllers[index].holds_lease(now)
    }

    fn renewed(&self, index: usize) -> Result<Lease, StoreError> {
        let lease = &self.controllers[index].lease;
        self.store.renew_lease(lease, timestamp(self.world.now), LEASE_TTL)
    }

    pub(super) fn renew(&mut self, index: usize) {
        if !self.controllers[index].is_working() {
            return;
        }
        match self.renewed(index) {
            Ok(lease) => self.controllers[index].lease = lease,
            Err(_) if self.sabotage == Some(Sabotage::LeaseNotChecked) => {}
            Err(error) => return self.lose_lease(index, &error.to_string()),
        }
        self.renew_later(index);
    }

    pub(super) fn lose_lease(&mut self, index: usize, because: &str) {
        self.say(|_| format!("c{index} lost its lease: {because}"));
        let now = timestamp(self.world.now);
        self.controllers[index]
            .engine
            .handle(Input::LeaseLost { because: because.to_owned() }, now);
        self.drive(index);
    }
}
