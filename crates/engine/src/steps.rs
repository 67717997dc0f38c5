//! The steps of a plan in the order of their execution, and where each stands.

use quorate_model::{Attempt, Outcome, Plan, Step, StepId, StepRole};
use std::collections::HashMap;

/// Where a step stands, from the journal alone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum StepStatus {
    /// Not begun.
    Pending,
    /// Intent is journaled, the outcome is not.
    Begun(Attempt),
    /// The act happened; its gate has not been seen to hold.
    Acted(Attempt),
    /// The act failed or nobody knows; its own probe decides.
    Doubtful(Attempt),
    /// Over.
    Finished(Outcome),
}

/// Steps, flattened.
#[derive(Debug, Clone)]
pub(crate) struct Steps {
    places: Vec<(usize, usize, usize)>,
    by_id: HashMap<StepId, usize>,
    pub(crate) status: Vec<StepStatus>,
}

impl Steps {
    pub(crate) fn of(plan: &Plan) -> Self {
        let mut places = Vec::new();
        let mut by_id = HashMap::new();
        for (h, hop) in plan.hops.iter().enumerate() {
            for (w, wave) in hop.waves.iter().enumerate() {
                for (s, step) in wave.steps.iter().enumerate() {
                    by_id.insert(step.id.clone(), places.len());
                    places.push((h, w, s));
                }
            }
        }
        let status = vec![StepStatus::Pending; places.len()];
        Self { places, by_id, status }
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn get<'p>(&self, plan: &'p Plan, index: usize) -> Option<&'p Step> {
        let (h, w, s) = *self.places.get(index)?;
        plan.hops.get(h)?.waves.get(w)?.steps.get(s)
    }

    pub(crate) fn index(&self, id: &StepId) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// The first step that is not over.
    pub(crate) fn cursor(&self) -> usize {
        self.status
            .iter()
            .position(|status| !matches!(status, StepStatus::Finished(_)))
            .unwrap_or(self.status.len())
    }
}

/// Tries of one step before the run halts. Three: the first, one after a passing fault, one to be sure it was not passing.
pub(crate) const ATTEMPTS_MAX: u64 = 3;

/// Whether a plain failure may be tried again: only what leaves the member as it was.
pub(crate) fn may_retry(role: StepRole) -> bool {
    match role {
        StepRole::Handover
        | StepRole::Stage
        | StepRole::Backup
        | StepRole::Verify
        | StepRole::Cure
        | StepRole::TempSet
        | StepRole::TempPutBack
        | StepRole::Membership
        | StepRole::SetAside
        | StepRole::List
        | StepRole::Finalize => true,
        StepRole::Precheck
        | StepRole::Go
        | StepRole::Stop
        | StepRole::Swap
        | StepRole::Start
        | StepRole::Rejoin
        | StepRole::Soak
        | StepRole::HopComplete
        | StepRole::Restore => false,
    }
}
