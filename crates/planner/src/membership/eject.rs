//! Takes a member out: leadership handed over and the member stopped when it still serves, then the cluster is told, then the
//! list that clients get.

use super::{Asked, Change, Frame, Ground, blocked};
use crate::{
    estimate::Measured,
    hop::{HopPlan, seen_on_host},
    members::{Member, Standing},
    plan::{Planned, refusal},
    safety::{SafetyRequest, may_stop},
    template::Unrendered,
    waves,
};
use jiff::Timestamp;
use quorate_model::{
    ArtifactRef, ArtifactSource, Blocked, Cluster, Ejection, Facts, MAY_STOP, MemberChange,
    NodeName, NotNow, Observation, Plan, PlanKind, Refusal, Step, Unsafe,
};
use quorate_packs::{Pack, Recipe};

/// What taking a member out is planned from.
#[derive(Debug, Clone)]
pub struct EjectRequest<'a> {
    /// The cluster as declared, without nodes that are out already.
    pub cluster: &'a Cluster,
    /// Its product.
    pub pack: &'a Pack,
    /// A full look at it.
    pub observation: &'a Observation,
    /// The node that goes.
    pub node: &'a NodeName,
    /// Who takes it out.
    pub by: &'a str,
    /// Why.
    pub reason: &'a str,
    /// Seconds that steps took before.
    pub measured: &'a Measured,
    /// The time.
    pub now: Timestamp,
}

/// Plans it. Never fails: what cannot be planned comes back as reasons.
pub fn eject(request: &EjectRequest<'_>) -> Planned {
    match try_eject(request) {
        Ok(plan) => Planned::Ready(Box::new(plan)),
        Err(refusal) => Planned::NotNow(refusal),
    }
}

fn try_eject(request: &EjectRequest<'_>) -> Result<Plan, Refusal> {
    let EjectRequest { cluster, pack, observation, node, measured, now, .. } = *request;
    let ground = Ground::new(Asked { cluster, pack, observation, node, measured, now })?;
    let Some(member) = ground.listed()? else {
        let way_out = format!(
            "carry on with the run that took it out (`quorate run resume`), or take {node} out of the fleet file"
        );
        let text = format!("{node} must be a member of {}", cluster.name);
        let because = "the cluster does not list it as one".into();
        return Err(blocked("member", text, because, Some(way_out)));
    };
    may_leave(&ground)?;
    ground.others_are_well()?;
    let release = ground.lowest()?;
    let speaker = ground.speaker()?;
    let speaking = speaker.release().unwrap_or(&release).clone();
    let Some(recipe) = pack.recipes.eject.iter().find(|recipe| recipe.releases.contains(&speaking))
    else {
        let text = "the pack must say how a member is taken out".to_owned();
        return Err(blocked("eject", text, format!("it does not for {speaking}"), None));
    };
    let frame = Frame {
        kind: PlanKind::Eject,
        // Nothing is brought: everybody stays on the release that runs.
        artifact: ArtifactRef {
            pack: cluster.pack.clone(),
            release: release.clone(),
            source: ArtifactSource::Folder("".into()),
            files: Vec::new(),
        },
        release,
        speaking: &speaking,
        config: Default::default(),
        losses: vec![tolerance(&ground)],
        title: format!("{node}: taken out"),
    };
    let ejection =
        Ejection { by: request.by.to_owned(), reason: request.reason.to_owned(), member };
    ground.assembled(frame, |plan| steps(&ground, plan, recipe, speaker, ejection))
}

/// S1, for the cluster as it is and as it will be.
fn may_leave(ground: &Ground<'_>) -> Result<(), Refusal> {
    let (node, own) = (ground.name(), &ground.own);
    if !own.is_voter() {
        return Ok(());
    }
    let (after, well) = (ground.voters(), ground.well().count());
    let need = after.midpoint(1) + 1;
    if after < 2 {
        let text = format!("at least two other voters must remain when {node} goes");
        let way_out = "add members first, until there are three voters".to_owned();
        return Err(blocked("membership", text, format!("there would be {after}"), Some(way_out)));
    }
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    if well < need {
        let lost = Unsafe::QuorumLost { node, healthy_after: count(well), need: count(need) };
        return Err(refusal([NotNow::Unsafe(lost)]));
    }
    if own.standing() != Standing::Up {
        return Ok(());
    }
    if own.node.service.is_none() {
        let because =
            "it serves, and the fleet file does not say how its service is stopped".to_owned();
        return Err(refusal([NotNow::Blocked(Blocked::CannotAct { node, because })]));
    }
    let asked = SafetyRequest {
        pack: ground.asked.pack,
        observation: ground.asked.observation,
        from: None,
        to: None,
        max_unavailable: ground.asked.cluster.policy.max_unavailable,
        down_by_us: &[],
    };
    may_stop(&asked, &node).map_err(|reason| refusal([NotNow::Unsafe(reason)]))
}

/// What the cluster can bear afterwards, said before anybody agrees.
fn tolerance(ground: &Ground<'_>) -> String {
    let (after, well) = (ground.voters(), ground.well().count());
    let spare = well.saturating_sub(after / 2 + 1);
    let may = match spare {
        0 => "none of them may be lost".to_owned(),
        1 => "one of them may be lost".to_owned(),
        more => format!("{more} of them may be lost"),
    };
    let node = ground.own.name();
    format!(
        "tolerance, until {node} is back: {after} voters remain, {well} of them well, and {may}"
    )
}

fn steps(
    ground: &Ground<'_>,
    plan: &HopPlan<'_, '_>,
    recipe: &Recipe,
    speaker: &Member<'_>,
    ejection: Ejection,
) -> Result<Vec<Step>, Unrendered> {
    let own = &ground.own;
    let (name, up) = (own.name(), own.standing() == Standing::Up);
    let mut steps = Vec::new();
    if let (true, true, Some(recipe)) = (up, own.is_voter(), waves::handover_recipe(plan)) {
        let id = plan.id(name.as_str(), "handover");
        steps.push(waves::handover(plan, recipe, own, speaker, id)?);
    }
    // A host of which nothing was seen cannot be acted on: a member that has left the cluster counts for nothing there.
    if !matches!(own.standing(), Standing::Unreachable(_)) && own.node.service.is_some() {
        let mut stop = waves::stop(plan, own);
        stop.precheck = ground.still_well(true);
        if up {
            let text = format!("with {name} gone a quorum of healthy voters remains");
            stop.precheck.push(seen_on_host(MAY_STOP, text));
        }
        steps.push(stop);
    }
    let member: &Facts = &ejection.member;
    steps.push(ground.change(
        plan,
        Change {
            name: "leave",
            change: MemberChange::Leave,
            recipe,
            through: speaker,
            ejected: Some(member),
        },
    )?);
    steps.push(ground.list(plan, Some(ejection.clone())));
    Ok(steps)
}
