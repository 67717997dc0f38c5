//! The steps of a plan in the order of their execution, which of them are one lane, and where each stands.

use quorate_model::{Attempt, Lanes, Outcome, Plan, Step, StepId, StepRole, Wave};
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

/// Where a step is in its plan.
#[derive(Debug, Clone, Copy)]
struct Place {
    hop: usize,
    wave: usize,
    step: usize,
    /// Its lane, counted over the whole plan.
    lane: usize,
}

/// Steps, flattened.
#[derive(Debug, Clone)]
pub(crate) struct Steps {
    places: Vec<Place>,
    by_id: HashMap<StepId, usize>,
    /// Every lane of the plan: the steps that are one after another.
    lanes: Vec<Vec<usize>>,
    status: Vec<StepStatus>,
    /// Every step before this one is over.
    over_before: usize,
}

impl Steps {
    pub(crate) fn of(plan: &Plan) -> Self {
        let mut steps = Self {
            places: Vec::new(),
            by_id: HashMap::new(),
            lanes: Vec::new(),
            status: Vec::new(),
            over_before: 0,
        };
        for (h, hop) in plan.hops.iter().enumerate() {
            for (w, wave) in hop.waves.iter().enumerate() {
                steps.add(h, w, wave);
            }
        }
        steps.status = vec![StepStatus::Pending; steps.places.len()];
        steps
    }

    fn add(&mut self, hop: usize, nth: usize, wave: &Wave) {
        let first = self.places.len();
        for (s, step) in wave.steps.iter().enumerate() {
            self.by_id.insert(step.id.clone(), self.places.len());
            self.places.push(Place { hop, wave: nth, step: s, lane: 0 });
        }
        for lane in wave.lane_places() {
            for place in &lane {
                self.places[first + place].lane = self.lanes.len();
            }
            self.lanes.push(lane.into_iter().map(|place| first + place).collect());
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn get<'p>(&self, plan: &'p Plan, at: usize) -> Option<&'p Step> {
        let place = self.places.get(at)?;
        plan.hops.get(place.hop)?.waves.get(place.wave)?.steps.get(place.step)
    }

    pub(crate) fn index(&self, id: &StepId) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// The hop of a step, counted from 0.
    pub(crate) fn hop(&self, at: usize) -> usize {
        self.places.get(at).map_or(usize::MAX, |place| place.hop)
    }

    /// The limits of the lanes that a step belongs to; none where all steps are one after another.
    pub(crate) fn limits<'p>(&self, plan: &'p Plan, at: usize) -> Option<&'p Lanes> {
        let place = self.places.get(at)?;
        plan.hops.get(place.hop)?.waves.get(place.wave)?.lanes.as_ref()
    }

    /// Whether two steps belong to one wave.
    pub(crate) fn same_wave(&self, one: usize, other: usize) -> bool {
        match (self.places.get(one), self.places.get(other)) {
            (Some(a), Some(b)) => (a.hop, a.wave) == (b.hop, b.wave),
            _ => false,
        }
    }

    /// The steps of a step's wave, in order.
    pub(crate) fn wave(&self, at: usize) -> impl Iterator<Item = usize> {
        let own = self.places.get(at).map(|place| (place.hop, place.wave));
        let first = self.places.get(at).map_or(0, |place| at.saturating_sub(place.step));
        (first..self.places.len()).take_while(move |other| {
            self.places.get(*other).map(|place| (place.hop, place.wave)) == own
        })
    }

    /// The steps of a step's lane, in order.
    pub(crate) fn lane(&self, at: usize) -> &[usize] {
        let lane = self.places.get(at).and_then(|place| self.lanes.get(place.lane));
        lane.map_or(&[], Vec::as_slice)
    }

    /// The first step of a step's lane that is not over.
    pub(crate) fn next_in_lane(&self, at: usize) -> Option<usize> {
        self.lane(at).iter().copied().find(|other| !self.is_over(*other))
    }

    pub(crate) fn status(&self, at: usize) -> &StepStatus {
        self.status.get(at).unwrap_or(&StepStatus::Pending)
    }

    pub(crate) fn is_over(&self, at: usize) -> bool {
        matches!(self.status(at), StepStatus::Finished(_))
    }

    pub(crate) fn set(&mut self, at: usize, status: StepStatus) {
        if let Some(place) = self.status.get_mut(at) {
            *place = status;
        }
        // A step that is due again, for a temporary change that was put back, lies before where the run stands.
        self.over_before = self.over_before.min(at);
        while self.over_before < self.len() && self.is_over(self.over_before) {
            self.over_before += 1;
        }
    }

    /// Steps that are not over, in order.
    pub(crate) fn open(&self) -> impl Iterator<Item = usize> {
        (self.over_before..self.len()).filter(|at| !self.is_over(*at))
    }

    /// Whether a lane's stop was begun.
    pub(crate) fn lane_stopped(&self, plan: &Plan, at: usize) -> bool {
        self.lane(at).iter().any(|other| {
            let stops = self.get(plan, *other).is_some_and(|step| step.role == StepRole::Stop);
            stops && *self.status(*other) != StepStatus::Pending
        })
    }

    /// Whether anything of a lane was begun.
    pub(crate) fn lane_begun(&self, at: usize) -> bool {
        self.lane(at).iter().any(|other| *self.status(*other) != StepStatus::Pending)
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
        // Their lines may be said again, and are seen before that.
        | StepRole::DependantStop
        | StepRole::DependantSwitch
        | StepRole::DependantStart
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
