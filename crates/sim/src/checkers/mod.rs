//! Watches the world while controllers act on it, one file for each invariant.
//!
//! Invariant: a checker judges by what really is, never by what a controller believes or a plan promises.

mod apart;
mod artifact;
mod backup;
mod budget;
mod gate_held;
mod intent_first;
mod leader_last;
mod lease;
mod mixed;
mod once;
mod one_down;
mod quorum;
mod share;

use crate::{clock::Millis, world::World};
use quorate_engine::Look;
use quorate_model::{Attempt, Generation, Hop, NodeName, Plan, RunEvent, RunId, Step, StepId};
use serde::Serialize;
use std::fmt;

/// An invariant that was broken in the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Breach {
    /// The checker that saw it.
    pub check: &'static str,
    /// The invariant.
    pub invariant: &'static str,
    /// The step that was at work.
    pub step: Option<StepId>,
    /// When.
    pub at: Millis,
    /// Who, what, why.
    pub text: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { check, invariant, step, at, text } = self;
        let step = step.as_ref().map_or("-", StepId::as_str);
        write!(f, "{invariant} ({check}) at {at} ms, {step}: {text}")
    }
}

/// An act of a controller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Act<'a> {
    pub(crate) run: &'a RunId,
    /// The generation of the lease that the controller believes to hold.
    pub(crate) generation: Generation,
    pub(crate) plan: &'a Plan,
    pub(crate) hop: &'a Hop,
    pub(crate) step: &'a Step,
    pub(crate) attempt: Attempt,
}

impl Act<'_> {
    /// The node whose host carries the act out.
    pub(crate) fn node(&self) -> Option<&NodeName> {
        crate::world::node_of(&self.step.action)
    }
}

/// A look of a controller that was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Looked<'a> {
    pub(crate) run: &'a RunId,
    pub(crate) hop: &'a Hop,
    pub(crate) step: &'a Step,
    pub(crate) look: Look,
}

/// Watches one invariant.
pub(crate) trait Check {
    /// Its name and the invariant's.
    fn name(&self) -> (&'static str, &'static str);
    /// A controller took the lease.
    fn lease_taken(&mut self, _generation: Generation) {}
    /// Events are durable.
    fn appended(
        &mut self,
        _run: &RunId,
        _plan: &Plan,
        _events: &[RunEvent],
        _world: &World,
    ) -> Option<String> {
        None
    }
    /// A controller looked.
    fn looked(&mut self, _looked: &Looked<'_>, _world: &World) {}
    /// A controller is about to act.
    fn acting(&mut self, _act: &Act<'_>, _world: &World) -> Option<String> {
        None
    }
    /// It acted, and the world changed.
    fn acted(&mut self, _act: &Act<'_>, _world: &World) -> Option<String> {
        None
    }
}

/// All checkers of one run, and what they found.
pub(crate) struct Checks {
    checks: Vec<Box<dyn Check>>,
    pub(crate) breaches: Vec<Breach>,
}

/// After this many breaches a run has nothing more to teach.
const BREACHES_MAX: usize = 20;

impl Checks {
    pub(crate) fn new() -> Self {
        let checks: Vec<Box<dyn Check>> = vec![
            Box::new(quorum::Quorum),
            Box::new(one_down::OneDown),
            Box::new(share::ClientShare::default()),
            Box::new(apart::Apart::default()),
            Box::new(budget::Budget::default()),
            Box::new(leader_last::LeaderLast),
            Box::new(gate_held::GateHeld::default()),
            Box::new(mixed::Mixed),
            Box::new(backup::BackedUp::default()),
            Box::new(once::Once::default()),
            Box::new(intent_first::IntentFirst::default()),
            Box::new(lease::NewestLease::default()),
            Box::new(artifact::Planned),
        ];
        Self { checks, breaches: Vec::new() }
    }
    pub(crate) fn lease_taken(&mut self, generation: Generation) {
        self.checks.iter_mut().for_each(|check| check.lease_taken(generation));
    }
    pub(crate) fn appended(
        &mut self,
        run: &RunId,
        plan: &Plan,
        events: &[RunEvent],
        world: &World,
    ) {
        self.ask(None, world.now, |check| check.appended(run, plan, events, world));
    }
    pub(crate) fn looked(&mut self, looked: &Looked<'_>, world: &World) {
        self.checks.iter_mut().for_each(|check| check.looked(looked, world));
    }
    pub(crate) fn acting(&mut self, act: &Act<'_>, world: &World) {
        self.ask(Some(act.step), world.now, |check| check.acting(act, world));
    }
    pub(crate) fn acted(&mut self, act: &Act<'_>, world: &World) {
        self.ask(Some(act.step), world.now, |check| check.acted(act, world));
    }

    fn ask(
        &mut self,
        step: Option<&Step>,
        at: Millis,
        mut ask: impl FnMut(&mut dyn Check) -> Option<String>,
    ) {
        for check in &mut self.checks {
            let (name, invariant) = check.name();
            if let Some(text) = ask(check.as_mut())
                && self.breaches.len() < BREACHES_MAX
            {
                let step = step.map(|step| step.id.clone());
                self.breaches.push(Breach { check: name, invariant, step, at, text });
            }
        }
    }
}
