//! The machine itself: which steps are at work, what is asked of them next, and when a run comes to rest.
//!
//! Read next: `lane.rs`, one step from its probe through its act to its gate; `crew.rs`, which lanes are at work.

use crate::{
    Effect, Input, Look, Turn, Verdict,
    lane::{Lane, Stage},
    steps::Steps,
};
use jiff::Timestamp;
use quorate_model::{GroupName, Hold, NodeName, Outcome, Plan, RunEnd, RunEvent, Step, StepId};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

/// Where the run stands between two inputs.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// Steps are at work, or the next ones are about to begin.
    Working,
    /// Looking at the world after a resume.
    SeeingWorld {
        /// The look is in flight.
        asked: bool,
    },
    /// A person must say yes to this step, or to the whole wave that it begins.
    AwaitingApproval {
        /// The step.
        step: StepId,
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

/// A node that failed and was left behind.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Behind {
    /// At which step, and why.
    pub(crate) hold: Hold,
    /// The hop in which it failed.
    pub(crate) hop: usize,
    pub(crate) group: GroupName,
    /// It was stopped, or did not serve when the plan was made: it takes a place among those that may be down.
    pub(crate) stopped: bool,
    /// It failed under an earlier controller: somebody looked meanwhile, so it is tried once more.
    pub(crate) again: bool,
}

/// A run's state machine.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) plan: Arc<Plan>,
    pub(crate) steps: Steps,
    pub(crate) phase: Phase,
    /// What is at work: one lane, or several of one wave.
    pub(crate) lanes: Vec<Lane>,
    /// Nodes without a vote that failed in this run and were left as they are.
    pub(crate) behind: BTreeMap<NodeName, Behind>,
    /// Failures of each group since the run last halted: a person has looked at the earlier ones.
    pub(crate) failures: BTreeMap<GroupName, u32>,
    pub(crate) approved: BTreeMap<StepId, String>,
    /// Temporary changes that are set.
    pub(crate) owed: BTreeSet<String>,
    /// Those of them that could not be put back when the run was last settled: not asked a second time, still owed.
    pub(crate) stuck: BTreeSet<String>,
    pub(crate) pause_asked: Option<String>,
    pub(crate) abort_asked: Option<(String, String)>,
    /// What halts the run as soon as nothing is under way.
    pub(crate) hold: Option<Hold>,
    /// When each step at work began.
    pub(crate) began: BTreeMap<usize, Timestamp>,
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
            phase: Phase::Working,
            lanes: Vec::new(),
            behind: BTreeMap::new(),
            failures: BTreeMap::new(),
            approved: BTreeMap::new(),
            owed: BTreeSet::new(),
            stuck: BTreeSet::new(),
            pause_asked: None,
            abort_asked: None,
            hold: None,
            began: BTreeMap::new(),
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
    /// Where the run stands.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }
    /// The steps that are at work; several where nodes without a vote move beside each other.
    pub fn at_work(&self) -> impl Iterator<Item = &Step> {
        self.lanes.iter().filter_map(|lane| self.steps.get(&self.plan, lane.at))
    }
    /// The first step that is at work, or the one that comes next.
    pub fn current(&self) -> Option<&Step> {
        let at = self.lanes.first().map(|lane| lane.at).or_else(|| self.next_due())?;
        self.steps.get(&self.plan, at)
    }
    /// A step of the plan by its id.
    pub fn step(&self, id: &StepId) -> Option<&Step> {
        self.steps.index(id).and_then(|at| self.steps.get(&self.plan, at))
    }
    /// Steps that are over, in order, each with its outcome.
    pub fn finished(&self) -> impl Iterator<Item = (&Step, &Outcome)> {
        (0..self.steps.len()).filter_map(|at| match self.steps.status(at) {
            crate::steps::StepStatus::Finished(outcome) => {
                Some((self.steps.get(&self.plan, at)?, outcome))
            }
            _ => None,
        })
    }
    /// Ids of steps that were at least begun, finished ones included.
    pub fn touched(&self) -> impl Iterator<Item = &StepId> {
        (0..self.steps.len()).filter_map(|at| match self.steps.status(at) {
            crate::steps::StepStatus::Pending => None,
            _ => self.steps.get(&self.plan, at).map(|step| &step.id),
        })
    }
    /// Nodes that failed and were left behind, each with where and why.
    pub fn left_behind(&self) -> impl Iterator<Item = (&NodeName, &Hold)> {
        self.behind.iter().map(|(node, behind)| (node, &behind.hold))
    }
    /// A person looked and resumes: tries count afresh.
    pub fn give_steps_their_tries_back(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.tries = 0);
    }
    /// Whether the run is over for good.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over(_))
    }

    /// When `handle(Input::Tick, now)` is due.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        if self.phase != Phase::Working {
            return None;
        }
        self.lanes.iter().filter_map(Lane::next).min()
    }

    /// Takes an input into account.
    pub fn handle(&mut self, input: Input, now: Timestamp) {
        match input {
            Input::Tick => {}
            Input::Looked { look: Look::World, verdict, .. } => self.world_seen(verdict),
            Input::Looked { step, look, verdict } => {
                if let Some(lane) = step.and_then(|step| self.lane_at(&step)) {
                    self.looked(lane, look, verdict, now);
                }
            }
            Input::Acted { step, attempt, outcome, also } => {
                // A late answer of an earlier try has no lane: the step's own probe has decided meanwhile.
                if let Some(lane) = self.lane_at(&step) {
                    self.acted(lane, attempt, outcome, also, now);
                }
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
                self.lanes.clear();
                self.phase = Phase::Over(RunEnd::Halted { hold });
            }
            Input::ClientGap { gap_ms, max_ms } => self.gap = Some((gap_ms, max_ms)),
            Input::ClientLost { text } => self.lost = Some(text),
            Input::Accounted { wrong } => self.accounted(wrong),
        }
        self.lanes.retain(|lane| lane.stage != Stage::Left);
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

    fn lane_at(&self, id: &StepId) -> Option<usize> {
        let at = self.steps.index(id)?;
        self.lanes.iter().position(|lane| lane.at == at)
    }

    fn next_effect(&mut self, now: Timestamp) -> Option<Effect> {
        if self.phase == Phase::Working {
            self.work(now);
        }
        match &mut self.phase {
            Phase::Working => self.lane_effect(now),
            Phase::SeeingWorld { asked: asked @ false } => {
                *asked = true;
                Some(Effect::Look { step: None, look: Look::World })
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

    fn lane_effect(&mut self, now: Timestamp) -> Option<Effect> {
        let (plan, steps) = (&self.plan, &self.steps);
        self.lanes.iter_mut().find_map(|lane| {
            let step = steps.get(plan, lane.at)?.id.clone();
            lane.effect(step, now)
        })
    }

    fn world_seen(&mut self, verdict: Verdict) {
        if self.phase != (Phase::SeeingWorld { asked: true }) {
            return;
        }
        let differs = match verdict {
            Verdict::Holds => Vec::new(),
            Verdict::Differs(differs) => differs,
            Verdict::NotYet(on) => vec![format!("not settled: {on}")],
            Verdict::Unsafe(reason) => vec![format!("not safe: {reason}")],
            Verdict::Unseen(what) => vec![format!("cannot be seen: {what}")],
            Verdict::Ended(because) => vec![because],
        };
        self.say(RunEvent::WorldSeen { differs: differs.clone() });
        self.phase = Phase::Working;
        if !differs.is_empty() {
            self.halt(
                "world-differs",
                format!("the cluster is not what the journal implies: {}", differs.join("; ")),
                Some("make a new plan: it starts from what is really there"),
            );
        }
    }

    fn operator(&mut self, event: &RunEvent, now: Timestamp) {
        // The same fold as in replay: an event counts the same whoever reads it first.
        if self.fold(event, now).is_err() {
            return;
        }
        let Phase::AwaitingApproval { step: awaited } = &self.phase else { return };
        match event {
            RunEvent::Approved { step, .. } if step == awaited => self.phase = Phase::Working,
            _ if self.abort_asked.is_some() || self.pause_asked.is_some() => self.come_to_rest(),
            _ => {}
        }
    }
}
