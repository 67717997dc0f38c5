//! Answers the engine's looks from what the controller can see, with the very code that the runner answers them with.
//!
//! Equal questions over equal views have equal answers, so they are kept: a thousand runs a second ask few new ones.
//! Invariant: an answer is kept under everything that it depends on.

#[expect(unreachable_pub, reason = "the file is a public module of the runner")]
#[rustfmt::skip] // It is formatted where it lives.
#[path = "../../runner/src/verdict.rs"]
mod verdict;

use crate::{
    product::Product,
    world::{Print, Process, Whom, World},
};
use quorate_engine::{Engine, Look, Verdict};
use quorate_model::{
    ARTIFACT_WHOLE, Action, Condition, Hop, Plan, Role, Step, StepId, WaitingOn, Wave,
};
use std::{
    cell::RefCell,
    collections::HashMap,
    hash::{Hash, Hasher},
};
use verdict::Judged;

/// More kept answers than this mean that views differ in something that does not matter; then it is better to begin anew.
const KEPT_MAX: usize = 200_000;

#[derive(PartialEq, Eq, Hash)]
struct Asked {
    question: u64,
    print: Print,
}

thread_local! {
    static KEPT: RefCell<HashMap<Asked, Verdict>> = RefCell::new(HashMap::new());
}

/// The hop that a step belongs to.
pub(crate) fn hop_of<'p>(plan: &'p Plan, step: &StepId) -> Option<&'p Hop> {
    plan.hops
        .iter()
        .find(|hop| hop.waves.iter().flat_map(|wave| &wave.steps).any(|own| own.id == *step))
}

/// Answers a look.
pub(crate) fn judge(
    engine: &Engine,
    step: Option<&StepId>,
    look: Look,
    world: &mut World,
) -> Verdict {
    let plan = engine.plan().clone();
    let Some(step) = step.and_then(|id| engine.step(id)) else {
        let finished: Vec<_> = engine.finished().map(|(step, _)| step.id.clone()).collect();
        let touched: Vec<_> = engine.touched().cloned().collect();
        let differs = verdict::world(&plan, &finished, &touched, world.look().0);
        return if differs.is_empty() { Verdict::Holds } else { Verdict::Differs(differs) };
    };
    let Some(hop) = hop_of(&plan, &step.id) else { return Verdict::Unseen("no such step".into()) };
    if look == Look::Done && step.done.as_ref().is_some_and(|done| done.cel.is_empty()) {
        return on_host(step, hop, world);
    }
    if look == Look::Precheck
        && step.precheck.iter().any(|one| one.name == ARTIFACT_WHOLE)
        && let Some(refused) = artifact_refused(step, hop, world)
    {
        return refused;
    }
    let whom = whom(&plan, hop, step);
    let asked =
        Asked { question: question(&plan, hop, step, look, whom), print: world.print(whom) };
    if let Some(known) = KEPT.with_borrow(|kept| kept.get(&asked).cloned()) {
        return known;
    }
    let seen = world.look_at(whom);
    let judged = Judged { pack: Product::get().pack(), plan: &plan, hop, step, seen: &seen };
    let answer = match (look, &step.gate) {
        (Look::Gate | Look::GateOnTheWay, Some(gate)) => judged.gate(gate),
        _ => judged.conditions(conditions(step, look)),
    };
    KEPT.with_borrow_mut(|kept| {
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(asked, answer.clone());
    });
    answer
}

/// Whom the runner looks at: where nodes without a vote move beside each other, at the members, and in a lane at its own node.
fn whom<'p>(plan: &Plan, hop: &Hop, step: &'p Step) -> Whom<'p> {
    let in_lane =
        |wave: &Wave| wave.lanes.is_some() && wave.steps.iter().any(|own| own.id == step.id);
    match &step.node {
        Some(node) if hop.waves.iter().any(in_lane) => Whom::MembersAnd(node),
        // Such nodes are out of the picture for everybody else, moving or not.
        _ if plan.observed.nodes.iter().any(|node| node.role == Role::Client)
            || plan.hops.iter().any(|hop| hop.waves.iter().any(|wave| wave.lanes.is_some())) =>
        {
            Whom::Members
        }
        _ => Whom::Everybody,
    }
}

fn conditions(step: &Step, look: Look) -> &[Condition] {
    match look {
        Look::Done => step.done.as_slice(),
        Look::Precheck => &step.precheck,
        Look::Gate | Look::GateOnTheWay | Look::World => &[],
    }
}

/// A quick hash, the same in every process: the questions are our own, so nobody tries to make two collide.
#[derive(Default)]
struct Quick(u64);

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let word = chunk.iter().fold(0_u64, |word, byte| (word << 8) | u64::from(*byte));
            self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }
}

/// Everything but the view that an answer depends on.
fn question(plan: &Plan, hop: &Hop, step: &Step, look: Look, whom: Whom<'_>) -> u64 {
    let mut hash = Quick::default();
    whom.hash(&mut hash);
    // In a simulation nothing is costly to see: both looks at a gate ask the same.
    let look = if look == Look::GateOnTheWay { Look::Gate } else { look };
    let gate = step.gate.iter().filter(|_| look == Look::Gate).flat_map(|gate| &gate.conditions);
    for condition in conditions(step, look).iter().chain(gate) {
        (&condition.name, &condition.cel).hash(&mut hash);
    }
    (&hop.from, &hop.to, step.node.as_ref(), plan.policy.max_unavailable).hash(&mut hash);
    std::mem::discriminant(&look).hash(&mut hash);
    std::mem::discriminant(&hop.kind).hash(&mut hash);
    // The guard speaks of members only: clients that were or were not well make no other question.
    (plan.observed.nodes.len() < 2).hash(&mut hash);
    for node in plan.observed.nodes.iter().filter(|node| node.is_voter()) {
        (&node.name, node.is_healthy()).hash(&mut hash);
    }
    hash.finish()
}

/// Why the member may not be stopped for what is staged on its host; none when it is whole.
fn artifact_refused(step: &Step, hop: &Hop, world: &World) -> Option<Verdict> {
    let release = Product::get().rel(&hop.artifact.release)?;
    let index = world.place(step.node.as_ref()?)?;
    if world.members[index].cut {
        return Some(Verdict::Unseen("no answer".into()));
    }
    if world.takes_staged(index, release) {
        return None;
    }
    Some(Verdict::NotYet(WaitingOn::Condition {
        node: step.node.clone(),
        gate: ARTIFACT_WHOLE.into(),
        text: "the staged file has another digest".into(),
    }))
}

/// The step's own look at the host: what this very action leaves there.
fn on_host(step: &Step, hop: &Hop, world: &World) -> Verdict {
    let product = Product::get();
    let node = crate::world::node_of(&step.action);
    let Some(member) =
        node.and_then(|node| world.place(node)).and_then(|index| world.members.get(index))
    else {
        return Verdict::Unseen("no such member".into());
    };
    if member.cut {
        return Verdict::Unseen("no answer".into());
    }
    let done = match &step.action {
        Action::Stage { artifact, .. } => {
            product.rel(&artifact.release).is_some_and(|release| member.holds_staged(release))
        }
        Action::Stop { .. } => {
            // Already past it: it runs the hop's artifact.
            let moved = member.process == Process::Up
                && member.runs == member.live
                && product.rel(&hop.to) == Some(member.live);
            member.process == Process::Down || moved
        }
        Action::Swap { to, .. } => {
            product.rel(&to.release) == Some(member.live) && !member.live_damaged
        }
        Action::Start { .. } => match member.process {
            Process::Down => false,
            Process::Starting { .. } => true,
            Process::Up => member.runs == member.live,
        },
        Action::Backup { backup } => world.copies.iter().any(|copy| copy.file == backup.file),
        Action::Look
        | Action::Confirm { .. }
        | Action::Verify { .. }
        | Action::Call { .. }
        | Action::TempSet { .. }
        | Action::TempPutBack { .. }
        | Action::Restore { .. }
        | Action::Membership { .. }
        | Action::SetAside { .. }
        | Action::List { .. }
        | Action::BringBack { .. }
        | Action::Clear { .. }
        | Action::StandStill { .. }
        | Action::Switch { .. } => false,
    };
    if done {
        return Verdict::Holds;
    }
    Verdict::NotYet(WaitingOn::Condition {
        node: node.cloned(),
        gate: "done".into(),
        text: step.title.clone(),
    })
}
