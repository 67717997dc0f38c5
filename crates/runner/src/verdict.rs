//! Turns a look into a verdict: conditions of a gate, of a precheck, and the guard over everybody else.
//!
//! Invariant: a condition that cannot be evaluated never holds.

use quorate_engine::Verdict;
use quorate_model::{
    ARTIFACT_WHOLE, Action, BACKUP_WHOLE, Condition, DEPENDANTS_STOPPED, Gate, Hop, HopKind,
    MAY_STOP, NEEDS, NodeName, NodeObservation, Observation, Plan, Reach, Release, Role,
    SERVERS_WELL, Step, StepId, StepRole, Unsafe, WaitingOn,
};
use quorate_packs::{
    Pack,
    eval::{Scope, Truth},
};
use quorate_planner::safety::{SafetyRequest, may_stop};
use serde_json::Value;
use std::{borrow::Cow, collections::BTreeSet};

/// What is judged.
pub struct Judged<'a> {
    /// The product.
    pub pack: &'a Pack,
    /// The plan.
    pub plan: &'a Plan,
    /// The hop that the step belongs to.
    pub hop: &'a Hop,
    /// The step.
    pub step: &'a Step,
    /// The fresh look.
    pub seen: &'a Observation,
}

impl Judged<'_> {
    /// Whether the step's gate holds, and whether anything else breaks meanwhile.
    pub fn gate(&self, gate: &Gate) -> Verdict {
        self.gate_on(&gate.conditions)
    }

    /// The same, on some of its conditions.
    pub fn gate_on(&self, conditions: &[Condition]) -> Verdict {
        // Whatever its own conditions say: a member that soaks well while another one dies is no reason to go on.
        match self.guard() {
            Some(broken) => Verdict::Unsafe(broken),
            None => self.conditions(conditions),
        }
    }

    /// Whether every condition holds; the first that does not is told.
    pub fn conditions(&self, conditions: &[Condition]) -> Verdict {
        let scope = self.scope();
        for condition in conditions {
            let verdict = match condition.name.as_str() {
                MAY_STOP if condition.cel.is_empty() => self.may_stop(),
                // No look at the cluster tells: the host was asked, or the copy itself was read.
                ARTIFACT_WHOLE | BACKUP_WHOLE | DEPENDANTS_STOPPED if condition.cel.is_empty() => {
                    continue;
                }
                SERVERS_WELL => match self.one(condition, &scope) {
                    Verdict::Holds => Verdict::Holds,
                    // Not the client's own fault: no budget pays for it.
                    ill => Verdict::Unsafe(self.servers_ill(condition, &ill)),
                },
                _ => self.one(condition, &scope),
            };
            if verdict != Verdict::Holds {
                return verdict;
            }
        }
        Verdict::Holds
    }

    fn scope(&self) -> Scope {
        let seen = self.without_ended_needs();
        let scope = Scope::cluster(self.pack, &seen, Some(&self.hop.from), Some(&self.hop.to));
        match &self.step.node {
            Some(node) => scope.with_node(node),
            None => scope,
        }
    }

    /// Applications that an earlier hop has switched were declared with what they needed before it.
    fn without_ended_needs(&self) -> Cow<'_, Observation> {
        let holds_step = |hop: &&Hop| {
            hop.waves.iter().flat_map(|wave| &wave.steps).any(|step| step.id == self.step.id)
        };
        let earlier = self.plan.hops.iter().take_while(|hop| !holds_step(hop));
        let conversions = earlier.filter_map(|hop| hop.conversion.as_ref());
        let known = &self.pack.recipes.conversions;
        let ends: Vec<&String> =
            conversions.filter_map(|name| known.get(name)).flat_map(|one| &one.ends).collect();
        if ends.is_empty() {
            return Cow::Borrowed(self.seen);
        }
        let mut seen = self.seen.clone();
        if let Some(Value::Array(needs)) = seen.facts.get_mut(NEEDS) {
            needs.retain(|need| !ends.iter().any(|end| need.as_str() == Some(end)));
        }
        Cow::Owned(seen)
    }

    fn one(&self, condition: &Condition, scope: &Scope) -> Verdict {
        match self.pack.holds(&condition.cel, scope) {
            Truth::True => Verdict::Holds,
            Truth::False => Verdict::NotYet(self.waiting_on(condition)),
            Truth::Unknown { what } => Verdict::Unseen(format!("{}: {what}", condition.text)),
        }
    }

    fn waiting_on(&self, condition: &Condition) -> WaitingOn {
        let node = self.step.node.clone();
        match (condition.name.as_str(), node) {
            ("caught-up", Some(node)) => {
                let lag = self.node(&node).and_then(|seen| seen.lag).unwrap_or(0);
                WaitingOn::CatchUp { node, lag }
            }
            ("healthy", Some(node)) => WaitingOn::Healthy { node },
            ("leader", _) => WaitingOn::Leader,
            ("hop-complete", _) => WaitingOn::HopComplete {
                seen: self
                    .seen
                    .facts
                    .get("cluster_release")
                    .and_then(|value| value.as_str())
                    .map(str::to_owned),
                want: self.hop.to.clone(),
            },
            (_, node) => WaitingOn::Condition {
                node,
                gate: condition.name.clone(),
                text: condition.text.clone(),
            },
        }
    }

    fn node(&self, name: &NodeName) -> Option<&NodeObservation> {
        self.seen.nodes.iter().find(|seen| seen.name == *name)
    }

    fn may_stop(&self) -> Verdict {
        let Some(node) = &self.step.node else {
            return Verdict::Unseen("the step names no node to stop".into());
        };
        let request = SafetyRequest {
            pack: self.pack,
            observation: self.seen,
            from: Some(&self.hop.from),
            to: Some(&self.hop.to),
            max_unavailable: self.plan.policy.max_unavailable,
            // Steps run one after another: when a stop is asked about, no other member is down by our doing.
            down_by_us: &[],
        };
        match may_stop(&request, node) {
            Ok(()) => Verdict::Holds,
            Err(reason) => Verdict::Unsafe(reason),
        }
    }

    fn servers_ill(&self, condition: &Condition, seen: &Verdict) -> Unsafe {
        let what = match seen {
            Verdict::Unseen(what) => what.clone(),
            _ => format!("it does not hold that {}", condition.text),
        };
        let node = self.step.node.clone().unwrap_or_else(|| "".into());
        self.guard().unwrap_or(Unsafe::CannotSee { node, what })
    }

    /// A voter other than the one at work that was well when the plan was made and is not well now.
    pub(crate) fn guard(&self) -> Option<Unsafe> {
        let node = self.step.node.as_ref()?;
        if self.hop.kind != HopKind::Rolling || self.plan.observed.nodes.len() < 2 {
            return None;
        }
        let was_well = |name: &NodeName| {
            self.plan
                .observed
                .nodes
                .iter()
                .any(|seen| seen.name == *name && seen.is_healthy() && seen.is_voter())
        };
        self.seen
            .nodes
            .iter()
            .find(|other| other.name != *node && was_well(&other.name) && !other.is_healthy())
            .map(|other| Unsafe::OtherUnhealthy {
                node: node.clone(),
                other: other.name.clone(),
                because: why_unhealthy(other),
            })
    }
}

fn why_unhealthy(node: &NodeObservation) -> String {
    match (&node.reach, node.healthy) {
        (Reach::Unreachable(because), _) => because.clone(),
        (Reach::Reachable, Some(false)) => "it says that it is not healthy".into(),
        (Reach::Reachable, _) => "its health could not be seen".into(),
    }
}

/// Whether the world is what the journal implies: every member that was finished runs its new release, every other its
/// old one. A member in the middle of its way may be anything: its steps' own probes decide.
pub fn world(
    plan: &Plan,
    finished: &[StepId],
    touched: &[StepId],
    seen: &Observation,
) -> Vec<String> {
    let mut differs = Vec::new();
    // Whether a client is as the journal implies is for its own lane to see: one that is not costs its group's budget.
    let beside = beside(plan);
    for node in plan.observed.nodes.iter().filter(|node| !beside.contains(&node.name)) {
        let want = match implied(plan, finished, touched, &node.name) {
            Implied::Moving => continue,
            Implied::Runs(release) => Some(release),
            Implied::Untouched => node.release.clone(),
        };
        let Some(want) = want else { continue };
        let Some(now) = seen.nodes.iter().find(|one| one.name == node.name) else {
            differs.push(format!("{} was not seen", node.name));
            continue;
        };
        match (&now.release, &now.reach) {
            (Some(release), _) if want != *release => {
                differs.push(format!("{} runs {release}, the journal implies {want}", node.name));
            }
            (None, Reach::Unreachable(because)) => differs.push(format!(
                "{} cannot be reached ({because}), the journal implies that it runs {want}",
                node.name
            )),
            _ => {}
        }
    }
    differs
}

/// Nodes without a vote: those that move beside each other, and those that have no way to go. Nothing else waits for them.
pub fn beside(plan: &Plan) -> BTreeSet<&NodeName> {
    let waves = plan.hops.iter().flat_map(|hop| &hop.waves);
    let lanes = waves.filter(|wave| wave.lanes.is_some()).flat_map(|wave| &wave.steps);
    let clients = plan.observed.nodes.iter().filter(|node| node.role == Role::Client);
    lanes.filter_map(|step| step.node.as_ref()).chain(clients.map(|node| &node.name)).collect()
}

enum Implied {
    Untouched,
    Moving,
    Runs(Release),
}

fn implied(plan: &Plan, finished: &[StepId], touched: &[StepId], node: &NodeName) -> Implied {
    let mut implied = Implied::Untouched;
    for hop in &plan.hops {
        let own = || {
            hop.waves
                .iter()
                .flat_map(|wave| &wave.steps)
                .filter(|step| step.node.as_ref() == Some(node))
        };
        let moves = |role| {
            matches!(role, StepRole::Stop | StepRole::Swap | StepRole::Start | StepRole::Restore)
        };
        let touched_here = own().any(|step| moves(step.role) && touched.contains(&step.id));
        let back = own().any(|step| step.role == StepRole::Rejoin && finished.contains(&step.id));
        if back {
            let expect = own().find_map(|step| match &step.action {
                Action::Start { expect, .. } => Some(expect.clone()),
                _ => None,
            });
            implied = expect.map_or(implied, Implied::Runs);
        } else if touched_here {
            return Implied::Moving;
        }
    }
    implied
}
