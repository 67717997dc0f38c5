//! Members that hold different data all get those of one of them, which a person has chosen.
//!
//! Invariant: what each of the others holds alone is listed in the plan and asked about before anything stops.
//! Invariant: the copy is taken and proved before anybody stops, and every member is restored from it, its source included.

use super::{
    RollbackRequest,
    restore::{self, Purpose},
    way_back,
};
use crate::{
    backup::{BackupRequest, from_member},
    digest::plan_digest,
    members::{Member, Standing, members},
    order::order,
    plan::{Planned, cannot_build, refusal, refuse_if_any},
    put_back::Chosen,
    start::{self, stands_in_the_way},
    template::Words,
};
use quorate_model::{Blocked, NodeName, NotNow, Plan, PlanKind, Refusal, Release, Role};
use quorate_packs::{BackupRecipe, eval::Scope};

/// What a recovery is made from.
#[derive(Debug, Clone)]
pub struct RecoverRequest<'a> {
    /// Everything that putting data back asks for: `plan` has one hop, from the release that runs to itself; no copy need be
    /// at hand.
    pub put_back: RollbackRequest<'a>,
    /// Whose data every member gets.
    pub source: &'a NodeName,
    /// The kind of copy, as the pack names it: the one whose contents were compared.
    pub kind: &'a str,
    /// What is lost with the data of the others, each in a clause.
    pub losses: &'a [String],
    /// Names of files in the state folder: a new copy never takes the name of an old one.
    pub state_files: &'a [String],
}

/// Plans it. Never fails: what cannot be planned comes back as reasons.
pub fn recover(request: &RecoverRequest<'_>) -> Planned {
    match try_recover(request) {
        Ok(plan) => Planned::Ready(Box::new(plan)),
        Err(refusal) => Planned::NotNow(refusal),
    }
}

fn try_recover(request: &RecoverRequest<'_>) -> Result<Plan, Refusal> {
    let base = &request.put_back;
    let (pack, cluster, observation) = (base.pack, base.cluster, base.observation);
    let members = members(pack, cluster, observation);
    let purpose = start::Purpose::Rollback;
    refuse_if_any(stands_in_the_way(pack, cluster, observation, &members, purpose))?;
    let Some(hop) = base.plan.hops.first() else { return Err(refusal([])) };
    let way = way_back(base, hop)?;
    one_release(&members)?;
    refuse_if_any(not_put_back(&members))?;
    restore::permitted(base, &members, &way)?;
    let source = source(request, &members)?;
    let recipe = recipe(request)?;
    let Some(restore) = &recipe.restore else { return Err(no_recipe(request)) };
    let release = &hop.to;
    let words = Words {
        before: Some(&base.plan.observed),
        ..Words::standing(pack, cluster, observation, release)
    };
    let leader = members.iter().position(Member::is_leader);
    let asked = BackupRequest {
        pack,
        words: &words,
        scope: &Scope::cluster(pack, observation, Some(release), Some(release)),
        members: &members,
        order: &order(&members, leader.map(|index| members[index].name()), false),
        leader,
        now: base.now,
        taken_names: request.state_files,
    };
    let copy = from_member(&asked, recipe, source).map_err(|fault| cannot_build(&fault.into()))?;
    let chosen = Chosen { recipe, backup: &copy.backup, restore, taken: true };
    let losses = losses(request, recipe);
    let purpose = Purpose { kind: PlanKind::Recover, losses, chosen };
    let mut plan = restore::plan_for(base, &members, &way, &purpose)?;
    plan.digest = plan_digest(&plan);
    Ok(plan)
}

/// What one release wrote another one may not read: a hop that somebody left half done comes to its end first.
fn one_release(members: &[Member<'_>]) -> Result<(), Refusal> {
    let servers = members.iter().filter(|member| !member.is_client());
    let mut releases: Vec<Release> = servers.filter_map(Member::release).cloned().collect();
    releases.sort();
    releases.dedup();
    match releases.len() {
        0 | 1 => Ok(()),
        _ => Err(refusal([NotNow::Blocked(Blocked::MixedReleases { releases })])),
    }
}

/// What a copy would carry to everybody, or could not carry at all.
fn not_put_back(members: &[Member<'_>]) -> Vec<NotNow> {
    let refused = |member: &Member<'_>| {
        let seen = member.seen?;
        let (because, way_out) = if let Some(alarm) = seen.alarms.first() {
            (
                format!(
                    "{alarm} is raised on {}, and a copy of the data holds the alarm as well",
                    seen.name
                ),
                "look why it was raised, and disarm it",
            )
        } else if seen.role == Role::Learner {
            (
                format!("{} is a learner, and whoever is restored has a vote", seen.name),
                "promote it or take it out",
            )
        } else {
            return None;
        };
        Some(NotNow::Blocked(Blocked::Condition {
            rule: "recover".into(),
            text: "every member must be an ordinary one, without alarms".into(),
            because,
            way_out: Some(format!("{way_out}, then `quorate recover` again")),
        }))
    };
    members.iter().filter_map(refused).collect()
}

/// The member whose data are taken must serve: a copy of one that does not cannot be proved against it.
fn source<'a>(request: &RecoverRequest<'_>, members: &[Member<'a>]) -> Result<Member<'a>, Refusal> {
    let name = request.source;
    let source = members.iter().find(|member| member.name() == name);
    match source.filter(|member| member.is_voter() && member.standing() == Standing::Up) {
        Some(member) => Ok(*member),
        None => Err(refusal([NotNow::Blocked(Blocked::Condition {
            rule: "source".into(),
            text: "the member whose data everybody gets must serve and have a vote".into(),
            because: format!("{name} does not"),
            way_out: Some("start it, or choose another one with `--source`".into()),
        })])),
    }
}

fn recipe<'a>(request: &RecoverRequest<'a>) -> Result<&'a BackupRecipe, Refusal> {
    let base = &request.put_back;
    let release = base.plan.hops.first().map(|hop| &hop.to);
    let fits = |recipe: &&BackupRecipe| {
        // What goes onto one member only is joined by the others through the cluster, which must be whole for that.
        recipe.kind == request.kind
            && recipe.join.is_none()
            && release.is_some_and(|release| recipe.releases.contains(release))
    };
    base.pack.recipes.backups.iter().find(fits).ok_or_else(|| no_recipe(request))
}

fn no_recipe(request: &RecoverRequest<'_>) -> Refusal {
    let pack = request.put_back.pack;
    refusal([NotNow::Blocked(Blocked::Condition {
        rule: "backup".into(),
        text: "the pack must know how a copy is put back on every member".into(),
        because: format!("pack {} has no `restore` for {}", pack.pack, request.kind),
        way_out: Some(format!("the operators' page of {} says how it is done by hand", pack.title)),
    })])
}

fn losses(request: &RecoverRequest<'_>, recipe: &BackupRecipe) -> Vec<String> {
    let mut losses = request.losses.to_vec();
    let cluster = request.put_back.cluster;
    let who = match cluster.dependants.iter().any(|one| one.runs.is_some()) {
        true => "those that are declared are, others should be",
        false => "they should be, and none is declared",
    };
    losses.push(format!(
        "every write that {} acknowledges between the copy and its stop, where applications are not stopped before: {who}",
        cluster.name
    ));
    losses.extend(recipe.lacks.iter().map(|lacks| format!("what the copy does not hold: {lacks}")));
    losses
}
