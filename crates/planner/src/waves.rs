//! How members move along a hop: one after another while the cluster serves, or all at once in an outage.
//!
//! Invariant: a member's wave is handover, stop, swap, start, rejoin, soak, in this order, whatever it is now; what has
//! already happened is skipped by the step's own probe.

use crate::{
    estimate::expected,
    hop::{HopPlan, START_LIMIT, STOP_MARGIN, SWAP_LIMIT, condition, named, quoted, seen_on_host},
    members::{Member, Part},
    packages,
    template::{Extra, Unrendered},
};
use quorate_model::{
    ARTIFACT_WHOLE, Action, Condition, Door, Gate, MAY_STOP, NodeName, REJOIN_GATE, ServiceSpec,
    Step, StepRole, Undo, Wave,
};
use quorate_packs::Recipe;
use std::time::Duration;

/// Plans a wave a member, with the go before the one that closes the door. Gives who leads afterwards.
pub(crate) fn rolling(
    plan: &HopPlan<'_, '_>,
    waves: &mut Vec<Wave>,
) -> Result<Option<usize>, Unrendered> {
    let last = last_to_move(plan);
    let servers = plan.order.iter().filter(|index| !plan.members[**index].is_client());
    for (place, index) in servers.enumerate() {
        if plan.hop.one_way == Door::LastMember && last == Some(*index) {
            waves.push(plan.go());
        }
        waves.push(member_wave(plan, place, last == Some(*index))?);
    }
    let leader_moves = plan.leader.is_some_and(|leader| !plan.moved(&plan.members[leader]));
    if !leader_moves {
        return Ok(plan.leader);
    }
    let place = plan.order.iter().position(|index| Some(*index) == plan.leader);
    // Without a handover the members elect somebody; the next hop then asks before every stop.
    Ok(place.and_then(|place| target(plan, place)).filter(|_| handover_recipe(plan).is_some()))
}

/// The last member that does not run the target yet: with it the way back closes.
fn last_to_move(plan: &HopPlan<'_, '_>) -> Option<usize> {
    let movers = plan.order.iter().rev().copied().filter(|at| !plan.members[*at].is_client());
    let last = movers.into_iter().find(|index| !plan.moved(&plan.members[*index]));
    // Of those that are down with the new files nobody knows which has run them: any of them may be the last.
    let down = |at: &usize| !plan.members[*at].is_client() && plan.down(&plan.members[*at]);
    last.or_else(|| plan.order.iter().copied().find(down))
}

fn member_wave(
    plan: &HopPlan<'_, '_>,
    place: usize,
    closes_door: bool,
) -> Result<Wave, Unrendered> {
    let member = &plan.members[plan.order[place]];
    let name = member.name();
    // Before the handover: a stop follows it at once, so that leadership has no time to come back.
    let mut steps: Vec<Step> = packages::hold_back(plan, member).into_iter().collect();
    let leads_never = plan.down(member) || plan.moved(member) || member.part() != Part::Voter;
    if let (false, Some(recipe), Some(target)) =
        (leads_never, handover_recipe(plan), target(plan, place))
    {
        let id = plan.id(name.as_str(), "handover");
        steps.push(handover(plan, recipe, member, &plan.members[target], id)?);
    }
    let mut stop = stop(plan, member);
    let can_hand_over = handover_recipe(plan).is_some() && target(plan, place).is_some();
    if can_hand_over && member.part() == Part::Voter && (plan.down(member) || !plan.moved(member)) {
        // Asked again: leadership may have come back while the run stood still, and a member that was down when the plan
        // was made may lead by now.
        stop.precheck.push(leads_not(name));
    }
    stop.precheck.push(seen_on_host(
        MAY_STOP,
        format!("with {name} gone a quorum of healthy voters remains"),
    ));
    stop.precheck.push(artifact_whole(plan, name));
    stop.precheck.extend(may_stop(plan, member));
    let mut moves = [stop, swap(plan, member), start(plan, member)];
    if plan.moved(member) && !plan.down(member) {
        moves.iter_mut().for_each(|step| step.estimate = Duration::ZERO);
    }
    steps.extend(moves);
    if closes_door && plan.hop.one_way == Door::LastMember {
        close_door(&mut steps);
    }
    if plan.hop.one_way == Door::Now && place == 0 {
        close_door(&mut steps);
    }
    steps.push(rejoin(plan, member));
    steps.extend(packages::let_go(plan, member));
    steps.extend(soak(plan, member));
    let title = if plan.moved(member) {
        format!("{name}: already at {}", plan.hop.to)
    } else if plan.down(member) {
        format!("{name}: down, brought back at {}", plan.hop.to)
    } else {
        format!("{name}: {} -> {}", plan.hop.from, plan.hop.to)
    };
    Ok(plan.wave(name.as_str(), title, Some(name.clone()), steps))
}

/// All stop, all are exchanged, all start, and each must be back.
pub(crate) fn full_stop(plan: &HopPlan<'_, '_>, waves: &mut Vec<Wave>) -> Option<usize> {
    let members: Vec<&Member<'_>> = plan.servers().collect();
    let stops = members.iter().map(|member| {
        let mut stop = stop(plan, member);
        stop.precheck.push(artifact_whole(plan, member.name()));
        stop
    });
    packages::hold_back_wave(plan, &members).into_iter().for_each(|wave| waves.push(wave));
    let mut wave = |name: &str, title: &str, steps: Vec<Step>| {
        let title = format!("{title} ({} -> {})", plan.hop.from, plan.hop.to);
        waves.push(plan.wave(name, title, None, steps));
    };
    wave("stop", "everything stops", stops.collect());
    wave("swap", "files are exchanged", members.iter().map(|member| swap(plan, member)).collect());
    let mut starts: Vec<Step> = members.iter().map(|member| start(plan, member)).collect();
    if plan.hop.one_way != Door::None {
        close_door(&mut starts);
    }
    wave("start", "everything starts", starts);
    wave(
        "rejoin",
        "everybody is back",
        members.iter().map(|member| rejoin(plan, member)).collect(),
    );
    waves.extend(packages::let_go_wave(plan, &members));
    let last = members.last().and_then(|member| soak(plan, member));
    wave_if_any(waves, plan, last);
    // Who leads after an outage is for an election to say.
    None
}

fn wave_if_any(waves: &mut Vec<Wave>, plan: &HopPlan<'_, '_>, step: Option<Step>) {
    if let Some(step) = step {
        waves.push(plan.wave("soak", "healthy time".into(), None, vec![step]));
    }
}

/// Before a later hop leadership goes to the member that is last in its order, from wherever it is.
pub(crate) fn bring_leadership_home(plan: &HopPlan<'_, '_>) -> Result<Vec<Step>, Unrendered> {
    let (Some(home), Some(recipe)) = (plan.leader, handover_recipe(plan)) else {
        return Ok(Vec::new());
    };
    let home = &plan.members[home];
    let others =
        plan.members.iter().filter(|member| member.is_voter() && member.name() != home.name());
    others
        .map(|member| {
            let id = plan.id("begin", &format!("handover-{}", member.name()));
            handover(plan, recipe, member, home, id)
        })
        .collect()
}

/// A member is not stopped for files that could not take its place.
pub(crate) fn artifact_whole(plan: &HopPlan<'_, '_>, name: &NodeName) -> Condition {
    let text = format!("the staged files of {} on {name} have the planned digests", plan.hop.to);
    seen_on_host(ARTIFACT_WHOLE, text)
}

/// The way to move leadership on the release that leaders run before they move.
pub(crate) fn handover_recipe<'a>(plan: &HopPlan<'a, '_>) -> Option<&'a Recipe> {
    plan.pack.recipes.handover.iter().find(|recipe| recipe.releases.contains(&plan.hop.from))
}

/// Who leads after this member: the next voter that is up, and for the last one the first that has moved.
fn target(plan: &HopPlan<'_, '_>, place: usize) -> Option<usize> {
    let fit = |index: &&usize| plan.members[**index].is_voter();
    let up = |index: &&usize| !plan.down(&plan.members[**index]);
    let next = plan.order[place + 1..].iter().filter(fit).find(up);
    let before = || plan.order[..place].iter().filter(fit);
    next.or_else(|| before().find(up)).or_else(|| before().next()).copied()
}

pub(crate) fn handover(
    plan: &HopPlan<'_, '_>,
    recipe: &Recipe,
    member: &Member<'_>,
    target: &Member<'_>,
    id: quorate_model::StepId,
) -> Result<Step, Unrendered> {
    let (from, to) = (member.name(), target.name());
    let extra = Extra { target: Some(*target), ..Extra::default() };
    let call = plan.words.call("handover", member, &recipe.call, &recipe.by_hand, extra)?;
    let limit = Duration::try_from_secs_f64(recipe.limit_secs).unwrap_or(START_LIMIT);
    let leads = format!("cluster.leader == {}", quoted(to.as_str()));
    let mut conditions = vec![named("leader", leads, format!("{to} leads"))];
    conditions.extend(recipe.gate.iter().map(condition));
    let mut step =
        plan.look(id, format!("hand leadership from {from} to {to}"), StepRole::Handover);
    step.node = Some(from.clone());
    step.action = Action::Call { call };
    step.done = Some(leads_not(from));
    // Every further look would only leave time for leadership to move again before the stop.
    step.gate = Some(Gate { good_looks: 1, ..plan.gate("handover", conditions, limit) });
    step.limit = limit;
    Ok(step)
}

/// Somebody else leads. No leader at all is not somebody else: the member may be elected the next moment.
fn leads_not(name: &NodeName) -> Condition {
    let elsewhere =
        format!("cluster.leader != null && cluster.leader != {}", quoted(name.as_str()));
    named("leads-not", elsewhere, format!("another member than {name} leads"))
}

pub(crate) fn stop(plan: &HopPlan<'_, '_>, member: &Member<'_>) -> Step {
    let name = member.name();
    let mut step =
        plan.look(plan.id(name.as_str(), "stop"), format!("stop {name}"), StepRole::Stop);
    step.node = Some(name.clone());
    step.action = Action::Stop { node: name.clone() };
    step.done = Some(done(plan, member, "stopped", format!("{name} does not run")));
    step.limit = grace(member) + STOP_MARGIN;
    step.undo = Undo::ByPlan { text: format!("start {name} again") };
    step
}

pub(crate) fn swap(plan: &HopPlan<'_, '_>, member: &Member<'_>) -> Step {
    let name = member.name();
    let (from, to) = (runs(plan, member), &plan.hop.to);
    let config = plan.config.get(name).cloned();
    let with = if config.is_some() { " and its configuration" } else { "" };
    let title = format!("exchange the files of {name}{with}: {from} -> {to}");
    let mut step = plan.look(plan.id(name.as_str(), "swap"), title, StepRole::Swap);
    step.node = Some(name.clone());
    step.action = Action::Swap {
        node: name.clone(),
        from: from.clone(),
        to: plan.artifact.clone(),
        config,
        packages: packages::files(plan, member),
    };
    step.done =
        Some(done(plan, member, "swapped", format!("the live files of {name} are those of {to}")));
    step.limit = SWAP_LIMIT;
    step.undo = Undo::ByPlan { text: format!("put the kept files of {from} back on {name}") };
    packages::as_packages(member, from, to, &mut step);
    step
}

pub(crate) fn start(plan: &HopPlan<'_, '_>, member: &Member<'_>) -> Step {
    let name = member.name();
    let (from, to) = (runs(plan, member), &plan.hop.to);
    let mut step = plan.look(
        plan.id(name.as_str(), "start"),
        format!("start {name} as {to}"),
        StepRole::Start,
    );
    step.node = Some(name.clone());
    step.action = Action::Start { node: name.clone(), expect: to.clone() };
    step.done = Some(done(plan, member, "started", format!("{name} runs {to}")));
    step.limit = START_LIMIT;
    step.undo = Undo::ByPlan { text: format!("stop {name}, put {from} back, start it") };
    step
}

/// What the member runs before the swap; one whose release nobody saw runs what its files say.
fn runs<'w>(plan: &'w HopPlan<'_, '_>, member: &'w Member<'_>) -> &'w quorate_model::Release {
    let own = member.release().filter(|_| !plan.healed);
    own.unwrap_or(&plan.hop.from)
}

fn done(plan: &HopPlan<'_, '_>, member: &Member<'_>, name: &str, text: String) -> Condition {
    if plan.moved(member) && !plan.down(member) {
        let cel = format!("node.release == '{}'", plan.hop.to);
        return named(
            "already-moved",
            cel,
            format!("{} already runs {}", member.name(), plan.hop.to),
        );
    }
    seen_on_host(name, text)
}

pub(crate) fn may_stop(plan: &HopPlan<'_, '_>, member: &Member<'_>) -> Vec<Condition> {
    let release = runs(plan, member);
    let here = plan.safety.may_stop.iter().filter(|c| c.is_for(&member.node.group));
    here.filter(|c| c.releases.as_ref().is_none_or(|range| range.contains(release)))
        .map(condition)
        .collect()
}

fn grace(member: &Member<'_>) -> Duration {
    member.node.service.as_ref().map_or(Duration::ZERO, ServiceSpec::grace)
}

pub(crate) fn rejoin(plan: &HopPlan<'_, '_>, member: &Member<'_>) -> Step {
    let name = member.name();
    let title = format!("wait until {name} is a member again, caught up, its data equal");
    let mut step = plan.look(plan.id(name.as_str(), "rejoin"), title, StepRole::Rejoin);
    step.node = Some(name.clone());
    let gate = plan.gate(REJOIN_GATE, plan.rejoined(member), plan.policy.rejoin_limit);
    // The soak asks the same, with all the good looks: to ask for them twice would only take time.
    let good_looks = if plan.soak(member).is_zero() { gate.good_looks } else { 1 };
    step.gate = Some(Gate { good_looks, ..gate });
    step
}

/// Healthy time, none when neither policy nor pack asks for any. It may start over as often as fits into the rejoin limit.
pub(crate) fn soak(plan: &HopPlan<'_, '_>, member: &Member<'_>) -> Option<Step> {
    let (policy, soak) = (plan.policy, plan.soak(member));
    if soak.is_zero() {
        return None;
    }
    let name = member.name();
    let title = format!("let {} s of healthy time pass on {name}", soak.as_secs_f64());
    let mut step = plan.look(plan.id(name.as_str(), "soak"), title, StepRole::Soak);
    step.node = Some(name.clone());
    let mut gate = plan.gate("soak", plan.rejoined(member), soak + policy.rejoin_limit);
    gate.soak = soak;
    step.gate = Some(gate);
    step.estimate = soak + expected(StepRole::Soak, plan.pack, plan.measured);
    Some(step)
}

/// Marks where the way back closes: with the start of the new release.
pub(crate) fn close_door(steps: &mut [Step]) {
    if let Some(start) = steps.iter_mut().find(|step| step.role == StepRole::Start) {
        start.one_way = true;
        start.undo = Undo::BackupOnly;
    }
}
