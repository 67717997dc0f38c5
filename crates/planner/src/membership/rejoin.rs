//! Brings a member back that was taken out: empty, on the lowest release of the others, as a learner first where the product
//! has them. What it held stays beside the new folder.

use super::{ASIDE_LIMIT, Asked, Change, Frame, Ground, blocked};
use crate::{
    config::NodeSettings,
    estimate::Measured,
    hop::{HopPlan, STAGE_LIMIT, seen_on_host},
    members::{Member, Standing},
    packages,
    plan::{Planned, artifact_of, refusal},
    template::{Extra, Known, Unrendered, Words},
    waves,
};
use jiff::Timestamp;
use quorate_model::{
    Action, ArtifactRef, Blocked, Cluster, ConfigChange, Ejected, MemberChange, NodeName, NotNow,
    Observation, Plan, PlanKind, Reach, Refusal, Release, Step, StepRole, Unsafe,
};
use quorate_packs::{Pack, RejoinRecipe};
use std::collections::BTreeMap;

/// What bringing a member back is planned from.
#[derive(Debug, Clone)]
pub struct RejoinRequest<'a> {
    /// The cluster as declared, with the node that comes back.
    pub cluster: &'a Cluster,
    /// Its product.
    pub pack: &'a Pack,
    /// A full look at it.
    pub observation: &'a Observation,
    /// The node, and as what it was known.
    pub ejected: &'a Ejected,
    /// Releases at hand.
    pub artifacts: &'a [ArtifactRef],
    /// Seconds that steps took before.
    pub measured: &'a Measured,
    /// The time.
    pub now: Timestamp,
}

/// Plans it. Never fails: what cannot be planned comes back as reasons.
pub fn rejoin(request: &RejoinRequest<'_>) -> Planned {
    match try_rejoin(request) {
        Ok(plan) => Planned::Ready(Box::new(plan)),
        Err(refusal) => Planned::NotNow(refusal),
    }
}

fn try_rejoin(request: &RejoinRequest<'_>) -> Result<Plan, Refusal> {
    let RejoinRequest { cluster, pack, observation, ejected, measured, now, .. } = *request;
    let node = &ejected.node;
    let ground = Ground::new(Asked { cluster, pack, observation, node, measured, now })?;
    let listed = ground.listed()?.is_some();
    others_are_whole(&ground)?;
    ground.others_are_well()?;
    let release = ground.lowest()?;
    let speaker = ground.speaker()?;
    let speaking = speaker.release().unwrap_or(&release).clone();
    let back = listed && ground.own.standing() == Standing::Up;
    if listed && !back {
        let text = format!("{node} must not be a member, so that its data may be moved aside");
        let because = "the cluster lists it again, and it does not serve".to_owned();
        let way_out = format!(
            "carry on with the run that added it (`quorate run resume`), or take it out first: `quorate eject {} {node} --reason WHY`",
            cluster.name
        );
        return Err(blocked("member", text, because, Some(way_out)));
    }
    can_act(&ground)?;
    let artifact = artifact_of(request.cluster, request.artifacts, &release)?.clone();
    let Some(recipe) = pack.recipes.rejoin.iter().find(|way| way.releases.contains(&release))
    else {
        let text = "the pack must say how a member comes back".to_owned();
        return Err(blocked("rejoin", text, format!("it does not for {release}"), None));
    };
    let config =
        if back { None } else { Some(settings(request, &ground, recipe, &speaking, &release)?) };
    let frame = Frame {
        kind: PlanKind::Rejoin,
        artifact,
        release,
        speaking: &speaking,
        config: config.into_iter().flatten().map(|change| (node.clone(), change)).collect(),
        losses: Vec::new(),
        title: format!("{node}: back"),
    };
    ground.assembled(frame, |plan| {
        if back {
            // Somebody has brought it back by hand: what is left is to see that it is well.
            return Ok(seen_back(&ground, plan, false));
        }
        steps(&ground, plan, recipe, speaker, request)
    })
}

/// A cluster with a member down is mended first: products refuse to add anybody to it, and a vote without data adds to the need.
fn others_are_whole(ground: &Ground<'_>) -> Result<(), Refusal> {
    let down =
        ground.others.iter().find(|other| other.is_voter() && other.standing() != Standing::Up);
    let Some(other) = down else { return Ok(()) };
    let because = match other.seen.map(|seen| &seen.reach) {
        Some(Reach::Unreachable(because)) => because.clone(),
        Some(Reach::Reachable) | None => "it does not serve".to_owned(),
    };
    let (node, other) = (ground.name(), other.name().clone());
    Err(refusal([NotNow::Unsafe(Unsafe::OtherUnhealthy { node, other, because })]))
}

fn can_act(ground: &Ground<'_>) -> Result<(), Refusal> {
    let node = ground.name();
    let because = if let Standing::Unreachable(because) = ground.own.standing() {
        because
    } else if ground.own.node.service.is_none() {
        "the fleet file does not say how its service is stopped and started".to_owned()
    } else if ground.own.node.data_dir.is_none() {
        "the fleet file does not say where its data are (`data_dir`)".to_owned()
    } else {
        return Ok(());
    };
    Err(refusal([NotNow::Blocked(Blocked::CannotAct { node, because })]))
}

/// The settings that it must start with, brought into its service.
fn settings(
    request: &RejoinRequest<'_>,
    ground: &Ground<'_>,
    recipe: &RejoinRecipe,
    speaking: &Release,
    release: &Release,
) -> Result<Option<ConfigChange>, Refusal> {
    let words = Words {
        pack: request.pack,
        cluster: request.cluster,
        observation: request.observation,
        from: release,
        to: release,
        speaking,
        before: None,
        renamed: false,
        known: Known::default(),
    };
    let member = Some(&request.ejected.ejection.member);
    let extra = Extra { target: Some(ground.own), member, ..Extra::default() };
    let filled = recipe
        .settings
        .iter()
        .map(|(key, template)| Ok((key.clone(), words.text(key, &ground.own, template, extra)?)));
    let filled: BTreeMap<String, String> = filled
        .collect::<Result<_, Unrendered>>()
        .map_err(|fault| crate::plan::cannot_build(&fault.into()))?;
    let rewritten = NodeSettings::new(request.pack, request.cluster, &ground.own).with(&filled);
    if let Some(because) = rewritten.because().map(str::to_owned) {
        let text = format!("{} must start with {}", ground.own.name(), shown(&filled));
        let way_out = "write them into that file by hand, then try again".to_owned();
        return Err(blocked("settings", text, because, Some(way_out)));
    }
    Ok((!rewritten.is_empty()).then_some(rewritten.change))
}

fn shown(settings: &BTreeMap<String, String>) -> String {
    let words: Vec<String> = settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
    words.join(" ")
}

fn steps(
    ground: &Ground<'_>,
    plan: &HopPlan<'_, '_>,
    recipe: &RejoinRecipe,
    speaker: &Member<'_>,
    request: &RejoinRequest<'_>,
) -> Result<Vec<Step>, Unrendered> {
    let own = &ground.own;
    let through = |name, change, recipe| Change {
        name,
        change,
        recipe,
        through: speaker,
        ejected: Some(&request.ejected.ejection.member),
    };
    let (join, promote) = match &recipe.promote {
        None => (MemberChange::Join, None),
        Some(promote) => (MemberChange::JoinAsLearner, Some(promote)),
    };
    let mut stop = waves::stop(plan, own);
    stop.precheck = ground.still_well(true);
    let mut steps = vec![stage(plan, own)];
    steps.extend(packages::hold_back(plan, own));
    steps.extend([
        stop,
        set_aside(ground, plan),
        swap(plan, own),
        ground.change(plan, through("join", join, &recipe.add))?,
        waves::start(plan, own),
    ]);
    if let Some(recipe) = promote {
        let mut look = waves::rejoin(plan, own);
        look.id = plan.id(own.name().as_str(), "catch-up");
        look.title = format!("wait until {} has caught up as a learner", own.name());
        steps.push(look);
        steps.push(ground.change(plan, through("promote", MemberChange::Promote, recipe))?);
    }
    steps.extend(seen_back(ground, plan, true));
    Ok(steps)
}

/// A member again, caught up, with the same data, for a while; then clients get it back.
fn seen_back(ground: &Ground<'_>, plan: &HopPlan<'_, '_>, joins: bool) -> Vec<Step> {
    let mut steps = vec![waves::rejoin(plan, &ground.own)];
    if joins {
        steps.extend(packages::let_go(plan, &ground.own));
    }
    steps.extend(waves::soak(plan, &ground.own));
    steps.push(ground.list(plan, None));
    for step in steps.iter_mut().filter_map(|step| step.gate.as_mut()) {
        let votes = "node.role == 'leader' || node.role == 'follower'";
        let text = "it has its vote again".to_owned();
        step.conditions.push(crate::hop::named("votes", votes.into(), text));
    }
    steps
}

fn stage(plan: &HopPlan<'_, '_>, own: &Member<'_>) -> Step {
    let (name, to) = (own.name(), &plan.hop.to);
    let title = format!("put {to} beside the live files of {name}");
    let mut stage = plan.look(plan.id(name.as_str(), "stage"), title, StepRole::Stage);
    stage.node = Some(name.clone());
    stage.action = Action::Stage { node: name.clone(), artifact: plan.artifact.clone() };
    stage.done = Some(seen_on_host("staged", format!("{name} holds the files of {to}")));
    stage.limit = STAGE_LIMIT;
    stage
}

fn set_aside(ground: &Ground<'_>, plan: &HopPlan<'_, '_>) -> Step {
    let name: NodeName = ground.name();
    let title = format!("move the data of {name} aside: it gets them anew from the others");
    let mut step = plan.look(plan.id(name.as_str(), "set-aside"), title, StepRole::SetAside);
    step.node = Some(name.clone());
    step.action = Action::SetAside { node: name.clone() };
    step.done = Some(seen_on_host("set-aside", format!("the data of {name} lie aside")));
    step.limit = ASIDE_LIMIT;
    let text = format!("move the folder that lies beside it back, while {name} is stopped");
    step.undo = quorate_model::Undo::ByPlan { text };
    step
}

/// A damaged binary of the same release must not take the name of the whole one when it is kept.
fn swap(plan: &HopPlan<'_, '_>, own: &Member<'_>) -> Step {
    let mut step = waves::swap(plan, own);
    if let Action::Swap { from, to, .. } = &mut step.action
        && *from == to.release
        && let Ok(aside) = format!("{from}-ejected").parse()
    {
        *from = aside;
    }
    let name = own.name();
    step.title = format!("make the whole files of {} live on {name}", plan.hop.to);
    step
}
