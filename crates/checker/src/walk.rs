//! Goes through the plan step by step: first every watcher looks at the step, then the world changes as the step says.

use crate::invariants::{
    Violation, membership::Membership, s1_quorum::Quorum, s2_lanes::Lanes,
    s2_one_at_a_time::OneAtATime, s3_leader_last::LeaderLast, s4_gates::Gates, s5_hops::Hops,
    s6_one_way::OneWay, s7_repeat::Repeat, s9_artifact::Artifacts, s10_cleared::Cleared,
    s12_dependants::Dependants,
};
use crate::world::World;
use quorate_model::{Action, Hop, HopKind, NodeName, Plan, Step, StepId};

/// A step with its place in the plan.
pub(crate) struct Visit<'p> {
    pub(crate) plan: &'p Plan,
    pub(crate) hop: &'p Hop,
    pub(crate) step: &'p Step,
}

impl<'p> Visit<'p> {
    /// The node that the step acts on or looks at.
    pub(crate) fn node(&self) -> Option<&'p NodeName> {
        acted_on(&self.step.action).or(self.step.node.as_ref())
    }
    /// The step's id, for a violation.
    pub(crate) fn id(&self) -> Option<StepId> {
        Some(self.step.id.clone())
    }
    /// Whether the hop stops the whole cluster by intent.
    pub(crate) fn is_outage(&self) -> bool {
        is_outage(self.plan, self.hop)
    }
    /// Whether every member gets its data from a copy in this hop.
    pub(crate) fn exchanges_data(&self) -> bool {
        exchanges_data(self.plan, self.hop)
    }
}

/// Whether the hop stops the whole cluster by intent.
pub(crate) fn is_outage(plan: &Plan, hop: &Hop) -> bool {
    hop.kind != HopKind::Rolling || plan.kind.puts_data_back()
}

/// Whether every member gets its data from a copy in this hop.
pub(crate) fn exchanges_data(plan: &Plan, hop: &Hop) -> bool {
    hop.conversion.is_some() || plan.kind.puts_data_back()
}

/// The node that an action changes.
pub(crate) fn acted_on(action: &Action) -> Option<&NodeName> {
    match action {
        Action::Stage { node, .. }
        | Action::Stop { node }
        | Action::Swap { node, .. }
        | Action::Start { node, .. }
        | Action::Restore { node, .. }
        | Action::Membership { node, .. }
        | Action::SetAside { node }
        | Action::BringBack { node }
        | Action::Clear { node }
        | Action::List { node, .. } => Some(node),
        Action::Backup { backup } | Action::Verify { backup } => Some(&backup.node),
        Action::Call { call } | Action::TempSet { call, .. } => Some(&call.node),
        Action::Look
        | Action::Confirm { .. }
        | Action::TempPutBack { .. }
        | Action::StandStill { .. }
        | Action::Switch { .. } => None,
    }
}

/// Whether the action changes anything at all.
pub(crate) fn acts(action: &Action) -> bool {
    !matches!(action, Action::Look | Action::Confirm { .. })
}

/// The steps of a hop in order.
pub(crate) fn steps_of(hop: &Hop) -> impl DoubleEndedIterator<Item = &Step> {
    hop.waves.iter().flat_map(|wave| &wave.steps)
}

/// Looks on while the plan is executed in the mind.
pub(crate) trait Watch<'p> {
    /// A hop begins.
    fn hop_begins(
        &mut self,
        _plan: &'p Plan,
        _index: usize,
        _world: &World<'p>,
        _found: &mut Vec<Violation>,
    ) {
    }
    /// A step is about to happen.
    fn step(&mut self, at: &Visit<'p>, world: &World<'p>, found: &mut Vec<Violation>);
    /// A hop is over.
    fn hop_ends(
        &mut self,
        _plan: &'p Plan,
        _index: usize,
        _world: &World<'p>,
        _found: &mut Vec<Violation>,
    ) {
    }
}

/// Executes the plan in the mind and collects what the watchers found.
pub(crate) fn walk(plan: &Plan) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut world = World::observed(plan);
    let mut repeat = Repeat::default();
    let watchers: &mut [&mut dyn Watch<'_>] = &mut [
        &mut Quorum,
        &mut OneAtATime,
        &mut Lanes,
        &mut LeaderLast::default(),
        &mut Gates::default(),
        &mut Hops,
        &mut OneWay::default(),
        &mut Artifacts,
        &mut Membership::default(),
        &mut Dependants::default(),
        &mut Cleared::default(),
    ];
    for (hop_index, hop) in plan.hops.iter().enumerate() {
        world.hop_begins();
        for watcher in watchers.iter_mut() {
            watcher.hop_begins(plan, hop_index, &world, &mut found);
        }
        for step in steps_of(hop) {
            let at = Visit { plan, hop, step };
            repeat.step(&at, &world, &mut found);
            if world.has_happened(step) {
                continue;
            }
            for watcher in watchers.iter_mut() {
                watcher.step(&at, &world, &mut found);
            }
            world.apply(&at);
        }
        for watcher in watchers.iter_mut() {
            watcher.hop_ends(plan, hop_index, &world, &mut found);
        }
    }
    found
}
