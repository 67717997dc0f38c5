//! Plans the way back: binaries while members are mixed, a verified backup once the cluster has taken the release.
//!
//! Invariant: what would be lost is listed in the plan and asked about before anything stops.
//! Invariant: whether the cluster has taken the release is seen, not guessed; unseen counts as taken, the graver case.
//! One hop goes back at a time: the way back over several is several plans, each of which looks at the cluster afresh.

mod binaries;
mod recover;
mod restore;
mod unconvert;

pub use recover::{RecoverRequest, recover};
pub use unconvert::{Since, since};

use crate::{
    estimate::Measured,
    members::{Member, Part, Standing, members},
    packages,
    plan::{Planned, refusal, refuse_if_any},
    start::{Purpose, stands_in_the_way},
};
use jiff::Timestamp;
use quorate_model::{
    Action, ArtifactRef, Backup, Blocked, Cluster, Digest, Hop, NodeName, NodeObservation, NotNow,
    Observation, Plan, PlanKind, Refusal, Release, Risk, RuleApplied, RuleVerdict, StepId,
};
use quorate_packs::{CompleteRollback, Pack, RollbackRule};
use std::collections::BTreeSet;

/// What a way back is made from.
#[derive(Debug, Clone)]
pub struct RollbackRequest<'a> {
    /// The plan of the run that shall be reversed.
    pub plan: &'a Plan,
    /// The cluster as declared.
    pub cluster: &'a Cluster,
    /// Its product.
    pub pack: &'a Pack,
    /// A full look at it.
    pub observation: &'a Observation,
    /// Releases at hand; the old one must be among them.
    pub artifacts: &'a [ArtifactRef],
    /// Copies that the run has taken.
    pub backups: &'a [BackupAtHand],
    /// Steps that the run has begun; none where nobody wrote that down.
    pub begun: Option<&'a BTreeSet<StepId>>,
    /// What a member answered that was asked what was written since a conversion; none where nobody was asked.
    pub since: Option<&'a str>,
    /// Seconds that steps took before.
    pub measured: &'a Measured,
    /// The time.
    pub now: Timestamp,
}

/// A copy that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupAtHand {
    /// What was planned.
    pub backup: Backup,
    /// When it was taken: what was written later is not in it.
    pub taken_at: Timestamp,
    /// Whether it was restored into a scratch cluster and compared.
    pub verified: bool,
    /// The member that it was taken from, when that was written down.
    pub taken_from: Option<NodeName>,
    /// The other cluster that it is a copy of, for one that a person lets be put back all the same.
    pub other_cluster: Option<String>,
    /// Why it cannot be used: it is gone, or not what was written down.
    pub fault: Option<String>,
    /// What nobody wrote down of it, each in a clause.
    pub unknown: Vec<String>,
}

/// The hop to go back over, and what the pack says of that.
struct WayBack<'a> {
    hop: &'a Hop,
    rule: &'a RollbackRule,
    artifact: &'a ArtifactRef,
}

/// Plans the way back over the last hop that the run began. Never fails: what cannot be planned comes back as reasons.
pub fn rollback(request: &RollbackRequest<'_>) -> Planned {
    match try_rollback(request) {
        Ok(planned) => planned,
        Err(refusal) => Planned::NotNow(refusal),
    }
}

fn try_rollback(request: &RollbackRequest<'_>) -> Result<Planned, Refusal> {
    if request.plan.kind.puts_data_back() {
        return Err(half_restored(request));
    }
    if request.plan.kind == PlanKind::Restart {
        return Err(no_release_left(request));
    }
    let members = members(request.pack, request.cluster, request.observation);
    let purpose = Purpose::Rollback;
    refuse_if_any(stands_in_the_way(
        request.pack,
        request.cluster,
        request.observation,
        &members,
        purpose,
    ))?;
    let nothing = || {
        let release = request.plan.from.clone();
        let text = format!("every member of {} runs {release}", request.cluster.name);
        Ok(Planned::NothingToDo { release, text })
    };
    let Some(mut plan) = way_over(request, &members)? else { return nothing() };
    plan.parent = Some(request.plan.digest.clone()).filter(|parent| *parent != Digest::new(""));
    plan.digest = crate::digest::plan_digest(&plan);
    Ok(Planned::Ready(Box::new(plan)))
}

/// The way back over the last hop that was begun and not gone back over since; none when there is none.
fn way_over(
    request: &RollbackRequest<'_>,
    members: &[Member<'_>],
) -> Result<Option<Plan>, Refusal> {
    let conversions = &request.pack.recipes.conversions;
    let mut left = request.plan.hops.len();
    while let Some(at) = hop_begun(request, members, left) {
        let hop = &request.plan.hops[at];
        let way = way_back(request, hop)?;
        let conversion = hop.conversion.as_ref().and_then(|name| conversions.get_key_value(name));
        let plan = match conversion {
            Some((name, conversion)) => {
                unconvert::plan(request, members, &way, (name, conversion))?
            }
            None if taken(request, hop, members) => Some(restore::plan(request, members, &way)?),
            None => Some(binaries::plan(request, members, &way)?),
        };
        if plan.is_some() {
            return Ok(plan);
        }
        // Everybody serves with the data of before it: what came earlier is next.
        left = at;
    }
    Ok(None)
}

/// Plans putting a backup back on every member, on the release that runs: `plan` has one hop, from that release to itself.
pub fn put_back(request: &RollbackRequest<'_>) -> Planned {
    let planned = || -> Result<Plan, Refusal> {
        let members = members(request.pack, request.cluster, request.observation);
        let purpose = Purpose::Rollback;
        refuse_if_any(stands_in_the_way(
            request.pack,
            request.cluster,
            request.observation,
            &members,
            purpose,
        ))?;
        let Some(hop) = request.plan.hops.first() else { return Err(refusal([])) };
        let way = way_back(request, hop)?;
        let mut plan = restore::plan(request, &members, &way)?;
        plan.digest = crate::digest::plan_digest(&plan);
        Ok(plan)
    };
    planned().map_or_else(Planned::NotNow, |plan| Planned::Ready(Box::new(plan)))
}

/// A restart leaves no release: its way back are the settings of before, by another plan of the same kind.
fn no_release_left(request: &RollbackRequest<'_>) -> Refusal {
    let (cluster, release) = (&request.plan.cluster, &request.plan.to);
    let way = format!(
        "`quorate plan {cluster} --set KEY=VALUE`, or `--unset KEY`, brings the settings of before back, member by member"
    );
    Refusal {
        reasons: vec![NotNow::Blocked(Blocked::Condition {
            rule: "restart".into(),
            text: "a way back leads to another release".into(),
            because: format!("this run started members anew on {release}, and left no release"),
            way_out: Some(way.clone()),
        })],
        ways_out: vec![way],
    }
}

/// A restore is not gone back from by another rollback: what it moved aside is on the members' disks, and what it was to put
/// back is in a backup.
fn half_restored(request: &RollbackRequest<'_>) -> Refusal {
    let (plan, cluster) = (request.plan, &request.cluster.name);
    let folders = format!("the folders that end in .before-restore-{}", plan.digest.short());
    let condition = Blocked::Condition {
        rule: RULE_ID.into(),
        text: "a run that puts a backup back is carried on, or another backup is put back".into(),
        because: format!(
            "this run puts a backup back on {cluster}; nothing was deleted: {folders} hold the data of before, on each member that it had come to"
        ),
        way_out: Some("mend what halted it, then carry on with `quorate run resume`".into()),
    };
    let mut refusal = refusal([NotNow::Blocked(condition)]);
    refusal.ways_out.push(format!(
        "or put a backup back, also while every member is down: `quorate restore {cluster} FILE`"
    ));
    refusal.ways_out.push(format!(
        "or go back by hand, with every member stopped: move {folders} back to their own names, put {} back in the place of {}, start all members",
        plan.from, plan.to
    ));
    refusal
}

/// The last hop that was begun: some member runs its target or has it on its disk, or was left down on its way there.
fn hop_begun(request: &RollbackRequest<'_>, members: &[Member<'_>], below: usize) -> Option<usize> {
    let plan = request.plan;
    let at = |release: &Release| members.iter().any(|member| member.release() == Some(release));
    // Where members stand still by intent on the release that stays, their files do not tell in which hop that was.
    let converts = plan.hops.iter().any(|hop| hop.conversion.is_some());
    let stopped = |hop: &Hop| {
        let mut steps = hop.waves.iter().flat_map(|wave| &wave.steps);
        request.begun.filter(|_| converts).is_none_or(|begun| {
            steps.any(|step| matches!(step.action, Action::Stop { .. }) && begun.contains(&step.id))
        })
    };
    let begun = |hop: &&Hop| {
        stopped(hop)
            && (at(&hop.to) || members.iter().any(|member| left_on_its_way(plan, hop, member, &at)))
    };
    let broken = members.iter().any(|member| member.release().is_none());
    let hops = plan.hops.get(..below).unwrap_or_default();
    let last = hops.iter().rposition(|hop| begun(&hop));
    last.or_else(|| (broken && !hops.is_empty()).then_some(0))
}

/// Whether a member that was well when the plan was made does not serve now, and its files are still those of the hop's
/// start. One whose files tell nothing counts where another one is.
fn left_on_its_way(
    plan: &Plan,
    hop: &Hop,
    member: &Member<'_>,
    at: &impl Fn(&Release) -> bool,
) -> bool {
    let was = plan.observed.nodes.iter().find(|seen| seen.name == *member.name());
    let was_well = was.is_some_and(NodeObservation::is_healthy);
    let here = member.release().map_or_else(|| at(&hop.from), |release| *release == hop.from);
    member.part() != Part::Client && was_well && member.standing() == Standing::Down && here
}

/// Whether the cluster as a whole has taken the hop's target, so that the old binaries would refuse to run.
fn taken(request: &RollbackRequest<'_>, hop: &Hop, members: &[Member<'_>]) -> bool {
    let (old, new) = (request.pack.line(&hop.from), request.pack.line(&hop.to));
    if old == new {
        return false;
    }
    let servers = || members.iter().filter(|member| member.part() != Part::Client);
    // While one member serves with the old release, the cluster cannot have left it.
    let old_serves = servers()
        .any(|m| m.seen.is_some_and(|s| s.is_healthy() && s.release.as_ref() == Some(&hop.from)));
    if old_serves {
        return false;
    }
    let said = request.observation.facts.get("cluster_release").and_then(|value| value.as_str());
    let line = said
        .and_then(|text| request.pack.upstream(text))
        .map(|release| request.pack.line(&release));
    line.is_none_or(|line| line != old)
}

fn way_back<'a>(request: &RollbackRequest<'a>, hop: &'a Hop) -> Result<WayBack<'a>, Refusal> {
    let rules = &request.pack.recipes.rollback;
    let Some(rule) =
        rules.iter().find(|rule| rule.from.contains(&hop.to) && rule.to.contains(&hop.from))
    else {
        let because = format!("pack {} knows no way back between them", request.pack.pack);
        return Err(no_way(hop, because, None));
    };
    let artifact = request.artifacts.iter().find(|artifact| {
        artifact.release == hop.from
            && artifact.pack == request.cluster.pack
            && !artifact.files.is_empty()
    });
    let Some(artifact) = artifact else {
        let tried = request
            .artifacts
            .iter()
            .map(|artifact| format!("at hand: {}", artifact.release))
            .collect();
        return Err(refusal([NotNow::Blocked(Blocked::NoArtifact {
            release: hop.from.clone(),
            tried,
        })]));
    };
    packages::at_hand(request.cluster, artifact)?;
    Ok(WayBack { hop, rule, artifact })
}

fn no_way(hop: &Hop, because: String, way_out: Option<String>) -> Refusal {
    let (from, to) = (hop.to.clone(), hop.from.clone());
    if from <= to {
        let text = format!("the pack must know how data are put back on {to}");
        let rule = RULE_ID.to_owned();
        return refusal([NotNow::Blocked(Blocked::Condition { rule, text, because, way_out })]);
    }
    refusal([NotNow::Blocked(Blocked::Downgrade { from, to, because, way_out })])
}

/// The pack's rule as the plan shows and the proof reads it: its id begins with `rollback`.
fn applied(rule: &RollbackRule) -> RuleApplied {
    let risk = match rule.complete {
        CompleteRollback::None => Risk::Med,
        CompleteRollback::Restore => Risk::High,
    };
    RuleApplied {
        id: RULE_ID.to_owned(),
        verdict: RuleVerdict::Allow,
        text: rule.text.clone(),
        because: format!("the pack permits {} back to {}", rule.from.as_str(), rule.to.as_str()),
        risk,
        sources: rule.sources.clone(),
        cures: Vec::new(),
        rewrites: Vec::new(),
    }
}

/// The evidence that the way back is permitted.
fn edge(rule: &RollbackRule) -> quorate_model::Edge {
    quorate_model::Edge {
        permitted_by: vec![(RULE_ID.to_owned(), rule.from.clone(), rule.to.clone())],
        blocks: Vec::new(),
        excused: Vec::new(),
        never_land: Vec::new(),
        protocols: Vec::new(),
    }
}

const RULE_ID: &str = "rollback";

/// The lower end of the hop, for texts.
fn old(hop: &Hop) -> &Release {
    &hop.from
}
