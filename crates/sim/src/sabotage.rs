//! Deliberately broken variants of the driver and of plans, to show that the checkers bite.
//!
//! Invariant: nothing here is ever compiled into product code; a variant breaks the simulated driver, or a finished plan.

use quorate_engine::{Look, Verdict};
use quorate_model::{Action, NodeObservation, Plan, Role, Step, StepRole, Wave};
use quorate_planner::digest::plan_digest;
use serde::{Deserialize, Serialize};

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sabotage {
    /// The leader's wave is the first of each hop, without handover and unasked.
    LeaderFirst,
    /// Rejoin gates open without a look.
    GateSkipped,
    /// A stop is allowed with one voter fewer than a quorum.
    QuorumOffByOne,
    /// The act comes before its intent is in the journal.
    IntentAfterAct,
    /// The driver goes on although the store says that a newer lease exists.
    LeaseNotChecked,
    /// A step whose outcome is unknown is done again at once.
    StepRepeated,
    /// A staged file goes live whatever its digest.
    DigestNotChecked,
    /// Two members stop before the first one starts.
    TwoAtOnce,
    /// Backups are left out of the plan.
    NoBackup,
    /// All clients move at the same time.
    ShareIgnored,
    /// However many clients fail, the run goes on.
    BudgetIgnored,
    /// The last server moves beside the first clients.
    ServerAmongClients,
}

impl Sabotage {
    /// Every variant.
    pub const ALL: [Self; 12] = [
        Self::LeaderFirst,
        Self::GateSkipped,
        Self::QuorumOffByOne,
        Self::IntentAfterAct,
        Self::LeaseNotChecked,
        Self::StepRepeated,
        Self::DigestNotChecked,
        Self::TwoAtOnce,
        Self::NoBackup,
        Self::ShareIgnored,
        Self::BudgetIgnored,
        Self::ServerAmongClients,
    ];

    /// Breaks a plan; gives whether it was changed, so that its proof must be skipped.
    pub(crate) fn plan(self, plan: &mut Plan) -> bool {
        match self {
            Self::LeaderFirst => leader_first(plan),
            Self::TwoAtOnce => two_at_once(plan),
            Self::NoBackup => each_wave(plan, |wave| {
                wave.steps.retain(|step| !matches!(step.role, StepRole::Backup | StepRole::Verify));
            }),
            Self::ShareIgnored => all_clients_at_once(plan),
            Self::BudgetIgnored => each_wave(plan, |wave| {
                wave.lanes.iter_mut().for_each(|lanes| lanes.failures = u32::MAX);
            }),
            Self::ServerAmongClients => server_among_clients(plan),
            Self::GateSkipped
            | Self::QuorumOffByOne
            | Self::IntentAfterAct
            | Self::LeaseNotChecked
            | Self::StepRepeated
            | Self::DigestNotChecked => return false,
        }
        plan.digest = plan_digest(plan);
        true
    }

    /// Breaks the answer to a look.
    pub(crate) fn verdict(
        self,
        step: Option<&Step>,
        look: Look,
        seen: &[NodeObservation],
        told: Verdict,
    ) -> Verdict {
        let Some(step) = step else { return told };
        match (self, look, step.role) {
            (
                Self::GateSkipped,
                Look::Gate | Look::GateOnTheWay,
                StepRole::Rejoin | StepRole::Soak,
            ) => Verdict::Holds,
            (Self::QuorumOffByOne, Look::Precheck, StepRole::Stop)
                if matches!(told, Verdict::Unsafe(_)) =>
            {
                let voters = seen.iter().filter(|node| node.voter != Some(false)).count();
                let others = seen.iter().filter(|node| step.node.as_ref() != Some(&node.name));
                let left = others.filter(|node| node.is_voter() && node.is_healthy()).count();
                if left + 1 > voters / 2 { Verdict::Holds } else { told }
            }
            _ => told,
        }
    }
}

fn each_wave(plan: &mut Plan, mut change: impl FnMut(&mut Wave)) {
    plan.hops.iter_mut().flat_map(|hop| &mut hop.waves).for_each(&mut change);
}

fn leader_first(plan: &mut Plan) {
    let leader = plan
        .observed
        .nodes
        .iter()
        .find(|node| node.role == Role::Leader)
        .map(|node| node.name.clone());
    each_wave(plan, |wave| {
        wave.steps.retain(|step| step.role != StepRole::Handover);
        wave.steps
            .iter_mut()
            .filter(|step| step.role == StepRole::Stop)
            .for_each(|step| step.precheck.clear());
    });
    for hop in &mut plan.hops {
        let first = hop.waves.iter().position(|wave| wave.node.is_some());
        let leads = hop.waves.iter().position(|wave| wave.node.is_some() && wave.node == leader);
        if let (Some(first), Some(leads)) = (first, leads) {
            let wave = hop.waves.remove(leads);
            hop.waves.insert(first, wave);
        }
    }
}

/// The first wave of clients takes in the others.
fn all_clients_at_once(plan: &mut Plan) {
    for hop in &mut plan.hops {
        let mut first: Option<usize> = None;
        let mut at = 0;
        while at < hop.waves.len() {
            let moves = hop.waves[at].steps.iter().any(|step| step.role == StepRole::Stop);
            match first.filter(|_| moves && hop.waves[at].lanes.is_some()) {
                Some(first) => {
                    let more = hop.waves.remove(at).steps;
                    hop.waves[first].steps.extend(more);
                }
                None => {
                    if moves && hop.waves[at].lanes.is_some() {
                        first = Some(at);
                    }
                    at += 1;
                }
            }
        }
    }
    each_wave(plan, |wave| wave.lanes.iter_mut().for_each(|lanes| lanes.at_most = u32::MAX));
}

/// The last server's wave becomes a lane of the first wave of clients.
fn server_among_clients(plan: &mut Plan) {
    for hop in &mut plan.hops {
        let moves = |wave: &Wave| wave.steps.iter().any(|step| step.role == StepRole::Stop);
        let clients = hop.waves.iter().position(|wave| wave.lanes.is_some() && moves(wave));
        let server = hop.waves.iter().rposition(|wave| wave.node.is_some());
        if let (Some(clients), Some(server)) = (clients, server)
            && server < clients
        {
            let steps = std::mem::take(&mut hop.waves[server].steps);
            let wave = &mut hop.waves[clients];
            wave.steps.extend(steps);
            wave.lanes.iter_mut().for_each(|lanes| lanes.at_most += 1);
        }
    }
}

/// The second member's stop goes before the first member's swap, and nobody asks.
fn two_at_once(plan: &mut Plan) {
    each_wave(plan, |wave| wave.steps.iter_mut().for_each(|step| step.precheck.clear()));
    for hop in &mut plan.hops {
        let movers: Vec<usize> = hop
            .waves
            .iter()
            .enumerate()
            .filter(|(_, w)| w.node.is_some())
            .map(|(i, _)| i)
            .collect();
        let [first, second, ..] = movers.as_slice() else { continue };
        let stop =
            hop.waves[*second].steps.iter().position(|s| matches!(s.action, Action::Stop { .. }));
        let swap =
            hop.waves[*first].steps.iter().position(|s| matches!(s.action, Action::Swap { .. }));
        if let (Some(stop), Some(swap)) = (stop, swap) {
            let early = hop.waves[*second].steps.remove(stop);
            hop.waves[*first].steps.insert(swap, early);
        }
    }
}
