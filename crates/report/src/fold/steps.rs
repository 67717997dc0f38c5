//! What a step's events do to the step, to its hop and to the member that it acts on.

use super::Fold;
use crate::report::{Health, HopReport, Report, StepReport, StepState, WaveReport, since};
use jiff::Timestamp;
use quorate_model::{Hold, HopKind, Outcome, Release, RunEvent, StepId, StepRole};
use std::time::Duration;

impl Fold {
    pub(super) fn take_step(&mut self, at: Timestamp, event: &RunEvent) {
        match event {
            RunEvent::Started { step, attempt } => self.start(at, step, attempt.0),
            RunEvent::Acted { step, outcome, .. } => self.act(at, step, outcome),
            RunEvent::DoneProbed { step, done } => {
                if let Some(step) = self.step_mut(step).filter(|step| !step.state.is_over()) {
                    step.state = if *done { StepState::Gating } else { StepState::Pending };
                }
            }
            RunEvent::Waiting { step, on } => {
                if let Some(step) = self.step_mut(step).filter(|step| !step.state.is_over()) {
                    step.started_at.get_or_insert(at);
                    step.state = StepState::Waiting { on: on.clone() };
                }
            }
            RunEvent::Finished { step, outcome, took } => self.finish(at, step, outcome, *took),
            RunEvent::Floor { step, floor, .. } => {
                if let Some(step) = self.step_mut(step) {
                    step.floor = Some(*floor);
                }
            }
            _ => {}
        }
    }

    fn start(&mut self, at: Timestamp, id: &StepId, attempt: u64) {
        let Some(step) = self.step_mut(id) else { return };
        step.started_at.get_or_insert(at);
        step.ended_at = None;
        step.attempts = step.attempts.max(attempt);
        step.state = StepState::Running;
        let role = step.role;
        self.begun.insert(role, id.clone());
        if role == StepRole::Stop {
            self.step_changes_member(at, id, Health::Stopped, None);
        }
    }

    fn act(&mut self, at: Timestamp, id: &StepId, outcome: &Outcome) {
        let Some(step) = self.step_mut(id) else { return };
        step.state = match outcome {
            Outcome::Succeeded { .. } | Outcome::Skipped { .. } => StepState::Gating,
            Outcome::Failed { because } => StepState::Failed { because: because.clone() },
            Outcome::Unknown { because } => StepState::Unknown { because: because.clone() },
        };
        let happened = matches!(outcome, Outcome::Succeeded { .. });
        if happened && step.role == StepRole::Stop {
            self.step_changes_member(at, id, Health::Stopped, None);
        }
    }

    fn finish(&mut self, at: Timestamp, id: &StepId, outcome: &Outcome, took: Duration) {
        let Some(step) = self.step_mut(id) else { return };
        step.started_at.get_or_insert(at);
        step.ended_at = Some(at);
        step.took = Some(took);
        step.state = match outcome {
            Outcome::Succeeded { note } => StepState::Done { note: note.clone() },
            Outcome::Skipped { because } => StepState::Skipped { because: because.clone() },
            Outcome::Failed { because } => StepState::Failed { because: because.clone() },
            Outcome::Unknown { because } => StepState::Unknown { because: because.clone() },
        };
        let holds = step.state.is_over();
        let role = step.role;
        // A rejoin's gate is that the member serves on the new release: it held, so that was seen.
        if holds && role == StepRole::Rejoin {
            let release = self.places.get(id).and_then(|(hop, ..)| self.report.hops.get(*hop));
            let release = release.map(|hop| hop.to.clone());
            self.step_changes_member(at, id, Health::Serving, release);
        }
    }

    fn step_changes_member(
        &mut self,
        at: Timestamp,
        id: &StepId,
        health: Health,
        release: Option<Release>,
    ) {
        if let Some(node) = self.step(id).and_then(|step| step.node.clone()) {
            self.change_member(at, &node, health, release);
        }
    }

    /// The step at which the run halted did not happen as planned, unless its own end was already told.
    pub(super) fn fail_step_of(&mut self, at: Timestamp, hold: &Hold) {
        let Some(step) = hold.step.as_ref().and_then(|id| self.step_mut(id)) else { return };
        if step.state.is_active() {
            step.state = StepState::Failed { because: hold.text.clone() };
            step.ended_at = Some(at);
        }
    }
}

/// Brings every hop's times and progress up to the report's moment.
pub(super) fn measure_hops(report: &mut Report) {
    let now = report.ended_at.unwrap_or(report.as_of);
    for hop in &mut report.hops {
        measure(hop, now);
    }
}

fn measure(hop: &mut HopReport, now: Timestamp) {
    let steps = || hop.waves.iter().flat_map(|wave| &wave.steps);
    let is_over = steps().all(|step| step.state.is_over());
    let started_at = steps().filter_map(|step| step.started_at).min();
    let ended_at = if is_over { steps().filter_map(|step| step.ended_at).max() } else { None };
    let wall = started_at.map_or(Duration::ZERO, |from| since(from, ended_at.unwrap_or(now)));
    let floor = hop.waves.iter().map(floor).sum();
    let soak = steps().filter(|s| s.role == StepRole::Soak).filter_map(|step| step.took).sum();
    let rolling = rolling(steps(), now);
    let progress = progress(steps());
    hop.outage = (hop.kind != HopKind::Rolling).then(|| outage(steps(), now)).flatten();
    hop.started_at = started_at;
    hop.ended_at = ended_at;
    hop.wall = wall;
    hop.floor = floor;
    hop.soak = soak;
    hop.rolling = rolling;
    hop.progress = progress;
}

/// What no orchestrator is faster than: one node after another, or, where nodes move beside each other, the slowest of them.
fn floor(wave: &WaveReport) -> Duration {
    let floors = wave.steps.iter().filter_map(|step| step.floor);
    if wave.lanes.is_some() { floors.max().unwrap_or_default() } else { floors.sum() }
}

/// From the first handover or stop to the last member's soak, or to now before that.
fn rolling<'a>(steps: impl Iterator<Item = &'a StepReport> + Clone, now: Timestamp) -> Duration {
    let moves = steps.filter(|step| {
        matches!(
            step.role,
            StepRole::Handover
                | StepRole::Stop
                | StepRole::Swap
                | StepRole::Start
                | StepRole::Rejoin
                | StepRole::Soak
        )
    });
    let from = moves.clone().filter_map(|step| step.started_at).min();
    let all_over = moves.clone().all(|step| step.state.is_over());
    let until = if all_over { moves.filter_map(|step| step.ended_at).max() } else { Some(now) };
    match (from, until) {
        (Some(from), Some(until)) => since(from, until),
        _ => Duration::ZERO,
    }
}

/// How long nobody served: it begins with whoever is stopped first, and ends with the last one back, or the last application that
/// counts on them.
fn outage<'a>(
    steps: impl Iterator<Item = &'a StepReport> + Clone,
    now: Timestamp,
) -> Option<Duration> {
    let begins = |step: &&StepReport| matches!(step.role, StepRole::DependantStop | StepRole::Stop);
    let ends =
        |step: &&StepReport| matches!(step.role, StepRole::Rejoin | StepRole::DependantStart);
    let from = steps.clone().filter(begins).filter_map(|step| step.started_at).min()?;
    let all_back = steps.clone().filter(ends).all(|step| step.state.is_over());
    let until =
        if all_back { steps.filter(ends).filter_map(|step| step.ended_at).max() } else { None };
    Some(since(from, until.unwrap_or(now)))
}

/// Part done by estimate; by count when the plan estimates nothing.
fn progress<'a>(steps: impl Iterator<Item = &'a StepReport> + Clone) -> f64 {
    let over = || steps.clone().filter(|step| step.state.is_over());
    let all: Duration = steps.clone().map(|step| step.estimate).sum();
    let done: Duration = over().map(|step| step.estimate).sum();
    if all.is_zero() {
        let count = |n: usize| crate::words::f64_of(u64::try_from(n).unwrap_or(u64::MAX));
        let all = steps.clone().count();
        return if all == 0 { 0.0 } else { count(over().count()) / count(all) };
    }
    done.as_secs_f64() / all.as_secs_f64()
}
