//! Which lanes are at work: one step after another, or the lanes of one wave beside each other, within its limits.
//!
//! Invariant: lanes of two waves are never at work together, nor a lane beside a step that is not of its wave.
//! Invariant: no more nodes of a group are on their way than its limit says; one that was stopped and failed is on its way
//! until it is back.

use crate::{
    lane::{Lane, Stage},
    machine::{Behind, Engine, Phase},
    steps::StepStatus,
};
use jiff::Timestamp;
use quorate_model::{Attempt, Hold, LEFT_BEHIND, Lanes, NodeName, RunEvent, StepRole};

/// Nodes named one by one in a sentence; the journal and the report name all of them.
const NAMED_MAX: usize = 10;

impl Engine {
    /// Takes every lane as far as it goes without an answer, and lets new ones begin.
    pub(crate) fn work(&mut self, now: Timestamp) {
        // Each pass takes a lane out of `Entering`, ends one or opens some: a plan's steps bound their number.
        for _ in 0..=2 * self.steps.len() + 2 {
            self.lanes.retain(|lane| lane.stage != Stage::Left);
            if self.phase != Phase::Working {
                return;
            }
            let stops = self.is_asked_to_rest();
            if let Some(lane) = self.lanes.iter().position(|lane| lane.stage == Stage::Entering) {
                // Nobody stands still while a member is down by our doing.
                let down = self.lanes.get(lane).is_some_and(|lane| self.is_down_by_intent(lane.at));
                if stops && !down {
                    self.turn_to(lane, Stage::Left);
                } else {
                    self.enter_step(lane, now);
                }
            } else if stops {
                self.lanes.retain(|lane| !lane.only_waits());
                if !self.lanes.is_empty() {
                    return;
                }
                if !(self.hold.is_none() && self.next_brings_back() && self.open_lanes()) {
                    return self.come_to_rest();
                }
            } else if !self.open_lanes() {
                return;
            }
        }
    }

    /// The first step that is due: not over, and its node not left behind.
    pub(crate) fn next_due(&self) -> Option<usize> {
        self.steps.open().find(|at| !self.is_behind(*at))
    }

    /// Whether the next of the steps that are one after another is needed to bring back who is down by our doing.
    fn next_brings_back(&self) -> bool {
        self.next_due().is_some_and(|at| {
            self.steps.limits(&self.plan, at).is_none() && self.is_down_by_intent(at)
        })
    }

    fn is_behind(&self, at: usize) -> bool {
        if self.behind.is_empty() || self.steps.limits(&self.plan, at).is_none() {
            return false;
        }
        let node = self.steps.get(&self.plan, at).and_then(|step| step.node.as_ref());
        node.is_some_and(|node| self.behind.contains_key(node))
    }

    /// Lets the next lanes begin. False when nothing could begin now.
    fn open_lanes(&mut self) -> bool {
        let next = self.next_due();
        if self.lanes.is_empty() && self.reckons_with_the_left_behind(next) {
            return true;
        }
        let Some(at) = next else {
            if self.lanes.is_empty() {
                self.at_the_end();
            }
            return false;
        };
        let limits = self.steps.limits(&self.plan, at).cloned();
        match (self.lanes.first().map(|lane| lane.at), limits) {
            (None, None) => {
                if !self.waits_for_a_yes(std::iter::once(at)) {
                    self.lanes.push(Lane::new(at));
                }
                true
            }
            (None, Some(limits)) => {
                let wave: Vec<usize> = self.steps.wave(at).collect();
                if self.waits_for_a_yes(wave.into_iter()) {
                    return true;
                }
                let opened = self.open_beside(at, &limits);
                if !opened {
                    self.no_place_left(&limits);
                }
                true
            }
            (Some(own), Some(limits)) if self.steps.same_wave(own, at) => {
                self.open_beside(at, &limits)
            }
            (Some(_), _) => false,
        }
    }

    /// A person must say yes first.
    fn waits_for_a_yes(&mut self, mut steps: impl Iterator<Item = usize>) -> bool {
        let asked = steps.find_map(|at| {
            let step = self.steps.get(&self.plan, at).filter(|step| step.needs_approval)?;
            let pending = *self.steps.status(at) == StepStatus::Pending;
            (pending && !self.approved.contains_key(&step.id))
                .then(|| (step.id.clone(), step.title.clone()))
        });
        let Some((step, text)) = asked else { return false };
        self.say(RunEvent::AskedApproval { step: step.clone(), text });
        self.phase = Phase::AwaitingApproval { step };
        true
    }

    /// Opens lanes of a step's wave as far as its limit goes: those first that were under way when a controller died.
    fn open_beside(&mut self, at: usize, limits: &Lanes) -> bool {
        let mut due: Vec<usize> = Vec::new();
        for other in self.steps.wave(at) {
            let first = self.steps.next_in_lane(other) == Some(other);
            let at_work = || self.lanes.iter().any(|lane| lane.at == other);
            if first && !self.is_behind(other) && !at_work() {
                due.push(other);
            }
        }
        let (begun, fresh): (Vec<usize>, Vec<usize>) =
            due.into_iter().partition(|other| self.steps.lane_begun(*other));
        let down = self.behind.values().filter(|one| one.stopped && one.group == limits.group);
        let taken = self.lanes.len() + begun.len() + down.count();
        let most = usize::try_from(limits.at_most).unwrap_or(usize::MAX).max(1);
        let places = most.saturating_sub(taken);
        let before = self.lanes.len();
        self.lanes.extend(begun.into_iter().chain(fresh.into_iter().take(places)).map(Lane::new));
        self.lanes.len() > before
    }

    /// Those that were stopped and failed take every place. Under a new controller they are tried first, else the run halts.
    fn no_place_left(&mut self, limits: &Lanes) {
        let again: Vec<NodeName> = self
            .behind
            .iter()
            .filter(|(_, one)| one.again && one.stopped && one.group == limits.group)
            .map(|(node, _)| node.clone())
            .collect();
        if !again.is_empty() {
            return self.try_again(again);
        }
        let text = format!(
            "{} of {} may be on their way at the same time, and as many were stopped and are not back: {}",
            limits.at_most,
            limits.group,
            self.names_behind()
        );
        self.halt("failure-budget", text, Some(AFTER_FAILURES));
    }

    /// One more node of a group is left behind; past the budget the run halts.
    pub(crate) fn leave_behind(&mut self, lane: usize, limits: &Lanes, node: NodeName, hold: Hold) {
        let Some(at) = self.lanes.get(lane).map(|lane| lane.at) else { return };
        self.say(RunEvent::LeftBehind { node: node.clone(), hold: hold.clone() });
        self.turn_to(lane, Stage::Left);
        self.note_behind(at, limits.group.clone(), node, hold, false);
        self.hold_to_budget(limits);
    }

    /// Halts the run when more nodes of a group failed than may.
    fn hold_to_budget(&mut self, limits: &Lanes) {
        let Lanes { group, failures: may, at_most: _ } = limits;
        let failed = self.failures.get(group).copied().unwrap_or(0);
        if failed > *may {
            let names = self.names_behind();
            let text = format!("{failed} of {group} failed, the policy allows {may}: {names}");
            self.halt_for_all("failure-budget", text, Some(AFTER_FAILURES));
        }
    }

    /// A controller may have died between the failure that was one too many and the halt.
    pub(crate) fn hold_to_budgets(&mut self) {
        let plan = self.plan.clone();
        let waves = plan.hops.iter().flat_map(|hop| &hop.waves);
        waves.filter_map(|wave| wave.lanes.as_ref()).for_each(|limits| self.hold_to_budget(limits));
    }

    /// Writes down who failed.
    pub(crate) fn note_behind(
        &mut self,
        at: usize,
        group: quorate_model::GroupName,
        node: NodeName,
        hold: Hold,
        again: bool,
    ) {
        let seen = self.plan.observed.nodes.iter().find(|seen| seen.name == node);
        let was_down = seen.is_some_and(|seen| !seen.is_healthy());
        let (hop, stopped) =
            (self.steps.hop(at), was_down || self.steps.lane_stopped(&self.plan, at));
        let behind = Behind { hold, hop, group: group.clone(), stopped, again };
        self.behind.insert(node, behind);
        *self.failures.entry(group).or_default() += 1;
    }

    fn try_again(&mut self, nodes: Vec<NodeName>) {
        self.take_back(&nodes);
        self.say(RunEvent::Retried { nodes });
    }

    /// Nodes are tried once more: their earlier failure counts no longer.
    pub(crate) fn take_back(&mut self, nodes: &[NodeName]) {
        for node in nodes {
            let Some(behind) = self.behind.remove(node) else { continue };
            if let Some(failed) = self.failures.get_mut(&behind.group) {
                *failed = failed.saturating_sub(1);
            }
            self.doubt_its_start(&behind);
        }
    }

    /// A node that was started and did not come back may have ended since: whether it runs is asked before it is waited for once
    /// more, and who mended it need not start it by hand.
    fn doubt_its_start(&mut self, behind: &Behind) {
        let failed_at = behind.hold.step.as_ref().and_then(|step| self.steps.index(step));
        let Some(failed_at) = failed_at else { return };
        let role = |at: usize| self.steps.get(&self.plan, at).map(|step| step.role);
        let before = self.steps.lane(failed_at).iter().take_while(|at| **at != failed_at);
        let start = before.copied().find(|at| role(*at) == Some(StepRole::Start));
        if let Some(start) = start.filter(|at| self.steps.is_over(*at)) {
            self.steps.set(start, StepStatus::Doubtful(Attempt(1)));
        }
    }

    /// A hop that left nodes behind is not complete: nothing follows it. Those that failed under an earlier controller are
    /// tried once more, because somebody has looked since then. True when it did something.
    fn reckons_with_the_left_behind(&mut self, next: Option<usize>) -> bool {
        let Some(hop) = self.behind.values().map(|behind| behind.hop).min() else { return false };
        let goes_on = next.is_some_and(|at| {
            let role = self.steps.get(&self.plan, at).map(|step| step.role);
            self.steps.hop(at) == hop && role != Some(StepRole::Finalize)
        });
        if goes_on {
            return false;
        }
        let again: Vec<NodeName> = self
            .behind
            .iter()
            .filter(|(_, behind)| behind.again)
            .map(|(node, _)| node.clone())
            .collect();
        if !again.is_empty() {
            self.try_again(again);
            return true;
        }
        let what = match next {
            None => "everything else is done".to_owned(),
            Some(_) => {
                let to = self.plan.hops.get(hop).map(|hop| hop.to.to_string());
                format!("the hop to {} waits for nodes of its own", to.unwrap_or_default())
            }
        };
        let count = self.behind.len();
        let were = if count == 1 { "was" } else { "were" };
        let text = format!("{what}; {count} {were} left behind: {}", self.names_behind());
        self.halt(LEFT_BEHIND, text, Some(AFTER_FAILURES));
        true
    }

    fn names_behind(&self) -> String {
        let named = self.behind.iter().take(NAMED_MAX);
        let mut names: Vec<String> =
            named.map(|(node, behind)| format!("{node} ({})", behind.hold.text)).collect();
        if self.behind.len() > NAMED_MAX {
            names.push(format!("and {} more", self.behind.len() - NAMED_MAX));
        }
        names.join("; ")
    }
}

/// What next after nodes failed.
const AFTER_FAILURES: &str = "mend them, then `quorate run resume` tries them once more; `quorate rollback` plans the way back";
