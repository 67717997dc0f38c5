//! Rebuilds the machine from a journal: the same events give the same machine, whoever died meanwhile.

use crate::{
    machine::{Engine, Phase},
    steps::StepStatus,
};
use jiff::Timestamp;
use quorate_model::{Outcome, Plan, Recorded, RunEnd, RunEvent, StepId};
use std::sync::Arc;

/// The journal does not belong to the plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// It is empty or begins with something else.
    #[error("the journal does not begin with the run's beginning")]
    NoBeginning,
    /// It was written for another plan.
    #[error("the journal belongs to plan {found}, not to plan {given}")]
    OtherPlan { found: String, given: String },
    /// It names a step that the plan has not.
    #[error("the journal names step `{0}`, which the plan does not have")]
    UnknownStep(StepId),
}

impl Engine {
    /// Rebuilds the machine of a run. It begins by looking at the world.
    pub fn replay(
        plan: Arc<Plan>,
        journal: &[Recorded],
        now: Timestamp,
    ) -> Result<Self, ReplayError> {
        match journal.first().map(|first| &first.event) {
            Some(RunEvent::Began { plan: found, .. }) if *found == plan.digest => {}
            Some(RunEvent::Began { plan: found, .. }) => {
                return Err(ReplayError::OtherPlan {
                    found: found.short().to_owned(),
                    given: plan.digest.short().to_owned(),
                });
            }
            _ => return Err(ReplayError::NoBeginning),
        }
        let mut engine = Self::new(plan, now);
        for recorded in journal {
            engine.fold(&recorded.event, recorded.at)?;
        }
        if !engine.is_over() {
            engine.phase = Phase::SeeingWorld { asked: false };
            engine.hold_to_budgets();
            engine.renew_copies();
        }
        // A halt or a pause is lifted by resuming; requests that led to them are settled.
        engine.pause_asked = None;
        Ok(engine)
    }

    /// Takes one journaled event into account.
    pub(crate) fn fold(&mut self, event: &RunEvent, at: Timestamp) -> Result<(), ReplayError> {
        match event {
            RunEvent::Started { step, attempt } => {
                let place = self.set(step, StepStatus::Begun(*attempt))?;
                self.began.insert(place, at);
            }
            RunEvent::Acted { step, attempt, outcome } => {
                let status = match outcome {
                    Outcome::Succeeded { .. } | Outcome::Skipped { .. } => {
                        StepStatus::Acted(*attempt)
                    }
                    Outcome::Failed { .. } | Outcome::Unknown { .. } => {
                        StepStatus::Doubtful(*attempt)
                    }
                };
                let _ = self.set(step, status)?;
            }
            RunEvent::Finished { step, outcome, .. } => {
                let place = self.set(step, StepStatus::Finished(outcome.clone()))?;
                self.began.remove(&place);
            }
            RunEvent::LeftBehind { node, hold } => {
                let step = hold.step.as_ref();
                let place = step.and_then(|step| self.steps.index(step)).ok_or_else(|| {
                    ReplayError::UnknownStep(step.cloned().unwrap_or_else(|| "".into()))
                })?;
                if let Some(limits) = self.steps.limits(&self.plan, place).cloned() {
                    self.note_behind(place, limits.group, node.clone(), hold.clone(), true);
                }
            }
            RunEvent::Retried { nodes } => {
                self.take_back(nodes);
            }
            // A person looks at a halt before the run goes on: what failed until then has had its consequence.
            RunEvent::Halted { .. } => self.failures.clear(),
            RunEvent::TempSet { key } => {
                self.owed.insert(key.clone());
            }
            RunEvent::PutBack { key } => {
                self.forget_temp(key);
            }
            RunEvent::Approved { step, by } => {
                self.approved.insert(step.clone(), by.clone());
            }
            RunEvent::AbortRequested { by, reason } => {
                self.abort_asked = Some((by.clone(), reason.clone()))
            }
            RunEvent::PauseRequested { by, .. } => self.pause_asked = Some(by.clone()),
            RunEvent::Aborted { by, reason } => {
                self.phase =
                    Phase::Over(RunEnd::Aborted { by: by.clone(), reason: reason.clone() });
            }
            // Whoever took it up then has done the same.
            RunEvent::Resumed { .. } => self.renew_copies(),
            RunEvent::Succeeded => self.phase = Phase::Over(RunEnd::Succeeded),
            RunEvent::Began { .. }
            | RunEvent::WorldSeen { .. }
            | RunEvent::DoneProbed { .. }
            | RunEvent::Waiting { .. }
            | RunEvent::Overridden { .. }
            | RunEvent::BackedUp { .. }
            | RunEvent::AskedApproval { .. }
            | RunEvent::Paused { .. }
            | RunEvent::Note { .. }
            | RunEvent::MemberSeen { .. }
            | RunEvent::Client { .. }
            | RunEvent::ClientGap { .. }
            | RunEvent::Baseline { .. }
            | RunEvent::ClientFigures { .. }
            | RunEvent::Floor { .. } => {}
        }
        Ok(())
    }

    fn set(&mut self, step: &StepId, status: StepStatus) -> Result<usize, ReplayError> {
        let at = self.steps.index(step).ok_or_else(|| ReplayError::UnknownStep(step.clone()))?;
        self.steps.set(at, status);
        Ok(at)
    }
}
