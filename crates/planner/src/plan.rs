//! A whole plan: from what was seen to every wave of every hop, or the reasons why there is none.
//!
//! Invariant: all reasons of one stage are given at once, the gravest first, so that a person mends them in one go.
//! Read next: `start.rs` (where it begins), `path/` (which hops), `hop.rs` (what each hop is made of).

use crate::{
    config::{ConfigOutcome, ConfigRequest, Configuration},
    digest::{observation_digest, plan_digest},
    estimate::{Measured, expected},
    hop::{HopFault, HopPlan},
    members::{Member, Standing, members},
    order::order,
    packages,
    path::{PathAnswer, PathHop, PathOutcome, PathRequest, path, path_in},
    safety::{SafetyRequest, may_stop_in},
    satisfiable::{GateRequest, never_passing, overrides_without_gate},
    start::{Purpose, Start, stands_in_the_way, start},
    template::{Known, Words},
};
use jiff::Timestamp;
use quorate_model::{
    Action, ArtifactRef, Blocked, Cluster, Digest, Hop, HopKind, NotNow, Observation,
    ObservationRef, PLAN_SCHEMA, Plan, PlanKind, Reach, Refusal, Refused, Release, Step, StepRole,
    Unsafe, WaitingOn,
};
use quorate_packs::{Pack, eval::Scope};
use std::time::Duration;

/// What a plan is made from.
#[derive(Debug, Clone)]
pub struct PlanRequest<'a> {
    /// The cluster as declared, with its policy.
    pub cluster: &'a Cluster,
    /// Its product.
    pub pack: &'a Pack,
    /// A full look at it.
    pub observation: &'a Observation,
    /// The release that every member shall run.
    pub to: &'a Release,
    /// Releases at hand, the running one among them when it is known.
    pub artifacts: &'a [ArtifactRef],
    /// Seconds that steps took before.
    pub measured: &'a Measured,
    /// The time.
    pub now: Timestamp,
    /// The plan that this one continues.
    pub parent: Option<Digest>,
    /// Names of files in the state folder, relative to it: a new backup never takes the name of an old one.
    pub state_files: &'a [String],
    /// The change of the form of the data that the plan shall lead through, as the pack names it.
    pub convert: Option<&'a str>,
}

/// What came out.
#[derive(Debug, Clone, PartialEq)]
pub enum Planned {
    /// A plan, complete and with its digest.
    Ready(Box<Plan>),
    /// Every member already runs the release.
    NothingToDo {
        /// That release.
        release: Release,
        /// In a sentence.
        text: String,
    },
    /// No plan now, and why.
    NotNow(Refusal),
}

/// Plans an upgrade. Never fails: what cannot be planned comes back as reasons.
pub fn plan(request: &PlanRequest<'_>) -> Planned {
    match try_plan(request) {
        Ok(planned) => planned,
        Err(refusal) => Planned::NotNow(refusal),
    }
}

/// A hop is over when the cluster has taken its release, not when the files say so: a member that is down with new files
/// holds the cluster back, and a next hop would start it two lines above the others.
fn begun_hop_is_open(
    request: &PlanRequest<'_>,
    members: &[Member<'_>],
    start: &Start,
    scope: &Scope,
) -> Vec<NotNow> {
    let Some(safety) = request.pack.safety.as_ref().filter(|_| start.half_way.is_none()) else {
        return Vec::new();
    };
    let scope = scope.with_releases(None, Some(&start.from));
    let here = safety
        .hop_complete
        .iter()
        .filter(|c| c.releases.as_ref().is_none_or(|range| range.contains(&start.from)));
    let open =
        here.filter(|condition| request.pack.holds(&condition.cel, &scope).is_false()).count() > 0;
    // A client that is down holds nothing back. With nothing else to do it is said all the same: no plan starts it.
    let counts = |member: &Member<'_>| !member.is_client() || start.from == *request.to;
    let is_down = |member: &&Member<'_>| counts(member) && member.standing() != Standing::Up;
    let down = members.iter().find(is_down);
    let seen = || {
        let said = request.observation.facts.get("cluster_release");
        said.and_then(|value| value.as_str()).map(str::to_owned)
    };
    match down {
        Some(member) if open || start.from == *request.to => {
            let (name, from) = (member.name(), &start.from);
            vec![NotNow::Blocked(Blocked::Condition {
                rule: "whole".into(),
                text: format!("every member must serve on {from} before anything else is planned"),
                because: format!("{name} does not serve, its files are those of {from}"),
                way_out: Some(format!(
                    "see why {name} does not serve and start it, then plan again"
                )),
            })]
        }
        None if open => vec![NotNow::WaitingOn(WaitingOn::HopComplete {
            seen: seen(),
            want: start.from.clone(),
        })],
        _ => Vec::new(),
    }
}

fn try_plan(request: &PlanRequest<'_>) -> Result<Planned, Refusal> {
    let members = members(request.pack, request.cluster, request.observation);
    let purpose = Purpose::Upgrade;
    let in_the_way =
        stands_in_the_way(request.pack, request.cluster, request.observation, &members, purpose);
    refuse_if_any(in_the_way)?;
    let began = start(&members).map_err(|reason| refusal([*reason]))?;
    let Some(start) = began else {
        let unseen = Blocked::ConditionUnseen {
            rule: "release".into(),
            text: "the running release must be known".into(),
            what: "the cluster has no members".into(),
        };
        return Err(refusal([NotNow::Blocked(unseen)]));
    };
    let scope = Scope::cluster(request.pack, request.observation, None, None);
    refuse_if_any(begun_hop_is_open(request, &members, &start, &scope))?;
    if start.half_way.is_none() && start.from == *request.to && request.convert.is_none() {
        let text = format!("every member of {} already runs {}", request.cluster.name, request.to);
        return Ok(Planned::NothingToDo { release: request.to.clone(), text });
    }
    if request.pack.safety.is_none() {
        let unseen = Blocked::ConditionUnseen {
            rule: "safety".into(),
            text: "the pack must say when a member may stop and when it is back".into(),
            what: format!("pack {} has no `safety`", request.pack.pack),
        };
        return Err(refusal([NotNow::Blocked(unseen)]));
    }
    // Without a quorum nothing can be asked of the cluster, and whatever a rule then misses is not the reason.
    refuse_if_any(serves_before_outage(&members).err().map(NotNow::Unsafe).into_iter().collect())?;
    let route = route(request, &start, &scope)?;
    packages::way_back_at_hand(request.cluster, request.artifacts, &start.from)?;
    outage_allowed(request, &members, &route)?;
    if let Some((hop, _)) = route.hops.first() {
        let ground = Ground {
            pack: request.pack,
            cluster: request.cluster,
            observation: request.observation,
        };
        refuse_if_any(unsafe_now(&ground, &members, hop, &scope))?;
    }
    refuse_if_any(gates_that_never_pass(request, &members, &route, &scope))?;
    let crossings = cross_configuration(request, &members, &route, &scope)?;
    let hops = build_hops(request, &members, &route, &scope, &crossings)
        .map_err(|fault| cannot_build(&fault))?;
    refuse_if_any(overrides_without_gate(&request.cluster.policy, &hops, request.now))?;
    let findings = crossings.into_iter().flat_map(|crossing| crossing.findings).collect();
    let draft = Draft { kind: PlanKind::Upgrade, from: start.from, to: request.to.clone(), hops };
    let mut plan = assemble(request.cluster, request.pack, request.observation, draft);
    plan.parent.clone_from(&request.parent);
    plan.refused = route.refused;
    plan.config_findings = findings;
    plan.digest = plan_digest(&plan);
    Ok(Planned::Ready(Box::new(plan)))
}

/// The hops of a plan, each with the artifact that it brings.
struct Route<'a> {
    hops: Vec<(PathHop, &'a ArtifactRef)>,
    refused: Vec<Refused>,
}

/// Finishes a hop that was left half done, then follows the path.
fn route<'a>(
    request: &PlanRequest<'a>,
    start: &Start,
    scope: &Scope,
) -> Result<Route<'a>, Refusal> {
    let mut hops = Vec::new();
    let mut from = &start.from;
    if let Some(half_way) = &start.half_way {
        if half_way > request.to {
            return Err(downgrade(request, half_way));
        }
        let ask = PathRequest {
            available: Some(&[]),
            observation: Some(request.observation),
            dependants: &request.cluster.dependants,
            rewrite: request.cluster.policy.rewrite_config,
            ..PathRequest::on_paper(from, half_way)
        };
        let answer = path_in(request.pack, &ask, Some(scope));
        if answer.outcome != PathOutcome::Path {
            let releases = vec![start.from.clone(), half_way.clone()];
            let mixed = NotNow::Blocked(Blocked::MixedReleases { releases });
            let back =
                format!("put {from} back on the members that run {half_way}, then plan again");
            return Err(Refusal { reasons: vec![mixed], ways_out: vec![back] });
        }
        hops.extend(answer.hops);
        from = half_way;
    }
    if request.to < from {
        return Err(downgrade(request, from));
    }
    let mut refused = Vec::new();
    if from != request.to || request.convert.is_some() {
        let answer = permitted_path(request, from, scope)?;
        refused = answer.refused;
        hops.extend(answer.hops);
    }
    let with_artifacts = hops.into_iter().map(|hop| {
        artifact_of(request.cluster, request.artifacts, &hop.to).map(|artifact| (hop, artifact))
    });
    Ok(Route { hops: with_artifacts.collect::<Result<_, _>>()?, refused })
}

fn permitted_path(
    request: &PlanRequest<'_>,
    from: &Release,
    scope: &Scope,
) -> Result<PathAnswer, Refusal> {
    let at_hand: Vec<Release> =
        request.artifacts.iter().map(|artifact| artifact.release.clone()).collect();
    let ask = PathRequest {
        available: Some(&at_hand),
        observation: Some(request.observation),
        dependants: &request.cluster.dependants,
        rewrite: request.cluster.policy.rewrite_config,
        convert: request.convert,
        ..PathRequest::on_paper(from, request.to)
    };
    let answer = path_in(request.pack, &ask, Some(scope));
    if answer.outcome == PathOutcome::Path {
        return Ok(answer);
    }
    let all = path_in(request.pack, &PathRequest { available: None, ..ask }, Some(scope));
    let missing = all.hops.iter().map(|hop| &hop.to).find(|to| !at_hand.contains(to));
    let blocked = match missing.filter(|_| all.outcome == PathOutcome::Path) {
        Some(release) => no_artifact(request.artifacts, release),
        None => blocked_path(request, &answer),
    };
    Err(Refusal { reasons: vec![NotNow::Blocked(blocked)], ways_out: answer.ways_out })
}

fn blocked_path(request: &PlanRequest<'_>, answer: &PathAnswer) -> Blocked {
    let grave =
        request.pack.known_issues.iter().find(|i| i.never_land && i.affects.contains(request.to));
    match grave {
        Some(issue) => Blocked::KnownIssue {
            release: request.to.clone(),
            issue: issue.id.clone(),
            text: format!("{} {}", issue.text, issue.advice),
        },
        None => Blocked::NoPath {
            from: answer.from.clone(),
            to: answer.to.clone(),
            refused: answer.refused.clone(),
            way_out: answer.ways_out.first().cloned(),
        },
    }
}

fn downgrade(request: &PlanRequest<'_>, from: &Release) -> Refusal {
    let answer = path(request.pack, &PathRequest::on_paper(from, request.to));
    let because = answer.refused.first().map(|refused| refused.because.clone()).unwrap_or_default();
    let way_out = answer.ways_out.first().cloned();
    let blocked =
        Blocked::Downgrade { from: from.clone(), to: request.to.clone(), because, way_out };
    Refusal { reasons: vec![NotNow::Blocked(blocked)], ways_out: answer.ways_out }
}

/// The release at hand, or that it is not.
pub(crate) fn artifact_of<'a>(
    cluster: &Cluster,
    artifacts: &'a [ArtifactRef],
    release: &Release,
) -> Result<&'a ArtifactRef, Refusal> {
    let found = artifacts.iter().find(|artifact| {
        artifact.release == *release && artifact.pack == cluster.pack && !artifact.files.is_empty()
    });
    let found = found.ok_or_else(|| refusal([NotNow::Blocked(no_artifact(artifacts, release))]))?;
    packages::at_hand(cluster, found)?;
    Ok(found)
}

fn no_artifact(artifacts: &[ArtifactRef], release: &Release) -> Blocked {
    let tried = artifacts.iter().map(|artifact| format!("at hand: {}", artifact.release));
    Blocked::NoArtifact { release: release.clone(), tried: tried.collect() }
}

/// One or two voters cannot spare a member; some hops stop everything whatever the size.
pub(crate) fn kind_of(members: &[Member<'_>], hop: &PathHop) -> HopKind {
    let voters = members.iter().filter(|member| member.is_voter()).count();
    match hop.kind {
        HopKind::Rolling if voters <= 2 => HopKind::FullStop,
        kind => kind,
    }
}

fn outage_allowed(
    request: &PlanRequest<'_>,
    members: &[Member<'_>],
    route: &Route<'_>,
) -> Result<(), Refusal> {
    let stops =
        route.hops.iter().filter(|(hop, _)| kind_of(members, hop) != HopKind::Rolling).count();
    if stops == 0 || request.cluster.policy.allow_outage {
        return Ok(());
    }
    let roles = [StepRole::Stop, StepRole::Swap, StepRole::Start, StepRole::Rejoin];
    let one: Duration =
        roles.into_iter().map(|role| expected(role, request.pack, request.measured)).sum();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let servers = members.iter().filter(|member| !member.is_client()).count();
    let outage = one.saturating_mul(count(servers)).saturating_mul(count(stops));
    let voters = count(members.iter().filter(|member| member.is_voter()).count());
    // Where data change form, more members help nothing.
    let converts = route.hops.iter().any(|(hop, _)| hop.conversion.is_some());
    let ways_out = (!converts)
        .then(|| "add members until there are three voters, then it can be rolled".to_owned());
    let blocked = Blocked::NeedsOutage { voters, outage_secs: outage.as_secs_f64().ceil() as u64 };
    Err(Refusal {
        reasons: vec![NotNow::Blocked(blocked)],
        ways_out: ways_out
            .into_iter()
            .chain(["set `allow_outage: true` in the cluster's policy and choose the time".into()])
            .collect(),
    })
}

/// The cluster that a plan stands on.
pub(crate) struct Ground<'a> {
    pub(crate) pack: &'a Pack,
    pub(crate) cluster: &'a Cluster,
    pub(crate) observation: &'a Observation,
}

/// Asks for every member that will move whether it could be stopped, once the members found down are back.
pub(crate) fn unsafe_now(
    ground: &Ground<'_>,
    members: &[Member<'_>],
    hop: &PathHop,
    scope: &Scope,
) -> Vec<NotNow> {
    if hop.conversion.is_some() {
        return everybody_serves(members).into_iter().collect();
    }
    if kind_of(members, hop) != HopKind::Rolling {
        return serves_before_outage(members).err().map(NotNow::Unsafe).into_iter().collect();
    }
    // Nodes without a vote are asked in their own lanes: one that is ill costs its group's budget, not the plan.
    let members = || members.iter().filter(|member| !member.is_client());
    let down: Vec<_> = members().filter(|member| member.standing() != Standing::Up).collect();
    // A leader that does not serve is about to be none: nobody can say who goes last until there is another.
    if let Some(leader) = down.iter().find(|member| member.is_leader()) {
        return vec![NotNow::Unsafe(Unsafe::NoLeader { node: leader.name().clone() })];
    }
    // Nor while none is seen at all, also when only a member that is down has to move.
    if let (Some(first), false) = (down.first(), members().any(Member::is_leader)) {
        return vec![NotNow::Unsafe(Unsafe::NoLeader { node: first.name().clone() })];
    }
    let safety = |observation, node| {
        let (from, to) = (Some(&hop.from), Some(&hop.to));
        let max_unavailable = ground.cluster.policy.max_unavailable;
        let asked = SafetyRequest {
            pack: ground.pack,
            observation,
            from,
            to,
            max_unavailable,
            down_by_us: &[],
        };
        may_stop_in(&asked, scope, node)
    };
    for member in &down {
        if let Err(why) = safety(ground.observation, member.name()) {
            return vec![NotNow::Unsafe(why)];
        }
    }
    let healed = (!down.is_empty()).then(|| as_if_healed(ground.observation, &down));
    let observation = healed.as_ref().unwrap_or(ground.observation);
    let moving = members().filter(|m| m.standing() == Standing::Up && m.release() != Some(&hop.to));
    let refused = moving.filter_map(|member| safety(observation, member.name()).err()).next();
    refused.map(NotNow::Unsafe).into_iter().collect()
}

/// Where data change form every member gets them anew: one that is down now would keep its own.
fn everybody_serves(members: &[Member<'_>]) -> Option<NotNow> {
    let servers = || members.iter().filter(|member| !member.is_client());
    let down = servers().find(|member| member.standing() != Standing::Up)?;
    Some(NotNow::Blocked(Blocked::Condition {
        rule: "whole".into(),
        text: "every member must serve before data change form".into(),
        because: format!("{} does not", down.name()),
        way_out: Some(format!(
            "see why {} does not serve and start it, or take it out with `quorate eject`",
            down.name()
        )),
    }))
}

/// An outage by plan begins on a cluster that serves: what is to be copied before it must be there to copy.
pub(crate) fn serves_before_outage(members: &[Member<'_>]) -> Result<(), Unsafe> {
    let voters = || members.iter().filter(|member| member.is_voter());
    let healthy = voters().filter(|member| member.standing() == Standing::Up).count();
    let need = voters().count() / 2 + 1;
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    match voters().find(|member| member.standing() != Standing::Up) {
        Some(down) if healthy < need => {
            let node = down.name().clone();
            Err(Unsafe::QuorumLost { node, healthy_after: count(healthy), need: count(need) })
        }
        _ => Ok(()),
    }
}

/// The same look, with members that the plan brings back first counted as back.
fn as_if_healed(observation: &Observation, down: &[&Member<'_>]) -> Observation {
    let mut healed = observation.clone();
    for node in healed.nodes.iter_mut().filter(|node| down.iter().any(|m| *m.name() == node.name)) {
        node.reach = Reach::Reachable;
        node.healthy = Some(true);
        node.lag = Some(0);
        node.alarms.clear();
    }
    healed
}

fn gates_that_never_pass(
    request: &PlanRequest<'_>,
    members: &[Member<'_>],
    route: &Route<'_>,
    scope: &Scope,
) -> Vec<NotNow> {
    let Some((hop, _)) = route.hops.first() else { return Vec::new() };
    let policy = &request.cluster.policy;
    never_passing(&GateRequest {
        pack: request.pack,
        policy,
        scope,
        members,
        to: &hop.to,
        now: request.now,
    })
}

fn cross_configuration(
    request: &PlanRequest<'_>,
    members: &[Member<'_>],
    route: &Route<'_>,
    scope: &Scope,
) -> Result<Vec<ConfigOutcome>, Refusal> {
    let mut configuration = Configuration::new(request.pack, request.cluster, members);
    let policy = &request.cluster.policy;
    let cross = |(hop, _): &(PathHop, _)| {
        let (from, to) = (&hop.from, &hop.to);
        let (pack, cluster) = (request.pack, request.cluster);
        let asked = ConfigRequest { pack, cluster, policy, scope, from, to };
        let mut outcome = configuration.cross(&asked);
        if hop.rules.iter().any(|applied| !applied.rewrites.is_empty()) {
            let after = configuration.as_if_started(request.observation);
            outcome.blocked.extend(unmet_by_rewrite(request.pack, hop, &after));
        }
        outcome
    };
    let mut crossings: Vec<ConfigOutcome> = route.hops.iter().map(cross).collect();
    let blocked: Vec<Blocked> =
        crossings.iter_mut().flat_map(|c| std::mem::take(&mut c.blocked)).collect();
    if blocked.is_empty() {
        return Ok(crossings);
    }
    let known = blocked.iter().any(|b| matches!(b, Blocked::Config { rewrite: Some(_), .. }));
    let mut ways_out = Vec::new();
    if blocked.iter().any(|b| matches!(b, Blocked::ConditionUnseen { .. })) {
        ways_out.push("see that the file is there, well-formed, and readable from here".into());
    }
    if known && !policy.rewrite_config {
        ways_out.push(
            "set `rewrite_config: true` in the cluster's policy: the plan then carries the rewrite"
                .into(),
        );
    }
    ways_out
        .push("change the settings by hand, restart the members one by one, and plan again".into());
    Err(Refusal { reasons: blocked.into_iter().map(NotNow::Blocked).collect(), ways_out })
}

/// Rules that the rewrite of this hop was to meet, and that do not hold with the settings that it leads to.
fn unmet_by_rewrite(pack: &Pack, hop: &PathHop, after: &Observation) -> Vec<Blocked> {
    let rewritten = hop.rules.iter().filter(|applied| !applied.rewrites.is_empty());
    let scope = Scope::cluster(pack, after, Some(&hop.from), Some(&hop.to));
    let rule = |id: &str| pack.rules.iter().find(|rule| rule.id == id);
    let unmet = rewritten.filter_map(|applied| rule(&applied.id)).filter(|rule| {
        !rule.condition.as_ref().is_some_and(|cel| pack.holds(cel, &scope).is_true())
    });
    unmet
        .map(|rule| Blocked::Condition {
            rule: rule.id.clone(),
            text: rule.text.clone(),
            because: format!(
                "the rewrite {} does not make it so on every member: one of them says otherwise itself, or reads a file that cannot be edited by lines; {}",
                rule.rewrites.join(", "),
                crate::path::clause(&rule.because)
            ),
            way_out: rule.way_out.clone(),
        })
        .collect()
}

fn build_hops(
    request: &PlanRequest<'_>,
    members: &[Member<'_>],
    route: &Route<'_>,
    scope: &Scope,
    crossings: &[ConfigOutcome],
) -> Result<Vec<Hop>, HopFault> {
    let Some(safety) = &request.pack.safety else { return Ok(Vec::new()) };
    let mut leader = members.iter().position(Member::is_leader);
    let (mut hops, known): (Vec<Hop>, _) = (Vec::new(), Known::default());
    // Two hops may start from the same release: the second one's copy is not the first one's.
    let mut taken = request.state_files.to_vec();
    for (index, ((hop, artifact), crossing)) in route.hops.iter().zip(crossings).enumerate() {
        let healed = index > 0;
        let leads = leader.map(|index| members[index].name());
        let renamed = hops.iter().any(|hop| hop.conversion.is_some());
        let words = Words {
            pack: request.pack,
            cluster: request.cluster,
            observation: request.observation,
            from: &hop.from,
            to: &hop.to,
            speaking: &hop.from,
            before: None,
            // Whoever got its data from a copy is another member to the cluster.
            renamed,
            // And what was put together with the ids of before is not theirs.
            known: if renamed { Known::default() } else { known.clone() },
        };
        let built = HopPlan {
            number: index + 1,
            pack: request.pack,
            safety,
            policy: &request.cluster.policy,
            measured: request.measured,
            words: &words,
            scope,
            members,
            hop,
            artifact,
            order: &order(members, leads, healed),
            leader,
            healed,
            config: &crossing.changes,
            taken_names: &taken,
            now: request.now,
            kind: kind_of(members, hop),
        }
        .build()?;
        leader = built.leader;
        let steps = built.hop.waves.iter().flat_map(|wave| &wave.steps);
        taken.extend(steps.filter_map(|step| match &step.action {
            Action::Backup { backup } => Some(backup.file.clone()),
            _ => None,
        }));
        hops.push(built.hop);
    }
    Ok(hops)
}

/// What a plan is put together from.
pub(crate) struct Draft {
    pub(crate) kind: PlanKind,
    pub(crate) from: Release,
    pub(crate) to: Release,
    pub(crate) hops: Vec<Hop>,
}

/// Puts a plan together, all but its digest.
pub(crate) fn assemble(
    cluster: &Cluster,
    pack: &Pack,
    observation: &Observation,
    draft: Draft,
) -> Plan {
    let Draft { kind, from, to, hops } = draft;
    let observed =
        ObservationRef { taken_at: observation.taken_at, digest: observation_digest(observation) };
    Plan {
        schema: PLAN_SCHEMA,
        digest: Digest::new(""),
        parent: None,
        cluster: cluster.name.clone(),
        pack: cluster.pack.clone(),
        pack_digest: pack.digest().clone(),
        kind,
        from,
        to,
        observation: observed,
        observed: observation.clone(),
        policy: cluster.policy.clone(),
        refused: Vec::new(),
        config_findings: Vec::new(),
        dependants: cluster.dependants.clone(),
        losses: Vec::new(),
        estimate: hops.iter().flat_map(|hop| &hop.waves).map(quorate_model::Wave::estimate).sum(),
        outage: hops.iter().map(|hop| outage(hop, kind)).sum(),
        hops,
    }
}

/// From the first stop to the last member back, when everything stops at once.
fn outage(hop: &Hop, kind: PlanKind) -> Duration {
    if hop.kind == HopKind::Rolling && !kind.puts_data_back() {
        return Duration::ZERO;
    }
    let steps = || hop.waves.iter().flat_map(|wave| &wave.steps);
    if hop.conversion.is_some() {
        // For those who count on the cluster it begins with their own stop, and ends with their own start.
        let stops =
            |step: &&Step| !matches!(step.action, Action::StandStill { .. } | Action::Stop { .. });
        let begun = steps().skip_while(stops);
        let over = |step: &&Step| !matches!(step.role, StepRole::Soak | StepRole::HopComplete);
        return begun.take_while(over).map(|step| step.estimate).sum();
    }
    let from_stop = steps().skip_while(|step| !matches!(step.action, Action::Stop { .. }));
    let until_back = from_stop.take_while(|s| {
        !matches!(s.role, StepRole::Verify | StepRole::Soak | StepRole::HopComplete)
    });
    // A plan never says "no outage" of an outage, whatever was estimated for its steps.
    until_back.map(|step| step.estimate).sum::<Duration>().max(Duration::from_secs(1))
}

pub(crate) fn refusal(reasons: impl IntoIterator<Item = NotNow>) -> Refusal {
    let mut reasons: Vec<NotNow> = reasons.into_iter().collect();
    reasons.sort_by_key(gravity);
    let ways_out = reasons.iter().filter_map(way_out).collect();
    Refusal { reasons, ways_out }
}

pub(crate) fn refuse_if_any(reasons: Vec<NotNow>) -> Result<(), Refusal> {
    if reasons.is_empty() { Ok(()) } else { Err(refusal(reasons)) }
}

/// The gravest first: what would break, what needs a person, what clears by itself.
fn gravity(reason: &NotNow) -> u8 {
    match reason {
        NotNow::Unsafe(_) => 0,
        NotNow::Blocked(_) => 1,
        NotNow::WaitingOn(_) => 2,
    }
}

fn way_out(reason: &NotNow) -> Option<String> {
    let NotNow::Blocked(blocked) = reason else { return None };
    match blocked {
        Blocked::NeverPasses { way_out, .. } => Some(way_out.clone()),
        Blocked::Condition { way_out, .. } => way_out.clone(),
        Blocked::CannotAct { node, .. } => {
            Some(format!("give {node} a `service` in the fleet file"))
        }
        Blocked::Unreachable { node, .. } => {
            Some(format!("bring {node} back, or take it out of the cluster and the fleet file"))
        }
        Blocked::NoArtifact { release, .. } => {
            Some(format!("get {release} and name its folder with --artifacts"))
        }
        Blocked::MixedReleases { .. } => {
            Some("bring all members to one release first, by hand".into())
        }
        Blocked::NoPath { way_out, .. } | Blocked::Downgrade { way_out, .. } => way_out.clone(),
        Blocked::ConditionUnseen { .. }
        | Blocked::Config { .. }
        | Blocked::NeedsOutage { .. }
        | Blocked::OtherCluster { .. }
        | Blocked::KnownIssue { .. }
        | Blocked::Frozen { .. } => None,
    }
}

/// A hop that cannot be complete: its template needs what was not seen, or nothing could be copied before its door.
pub(crate) fn cannot_build(fault: &HopFault) -> Refusal {
    let blocked = match fault {
        HopFault::Unrendered(unrendered) => Blocked::ConditionUnseen {
            rule: unrendered.what.clone(),
            text: "every request and command of a plan must be complete".into(),
            what: fault.to_string(),
        },
        HopFault::NoBackup { release } => Blocked::Condition {
            rule: "backup".into(),
            text: format!(
                "before the way back to {release} closes there must be a verified backup"
            ),
            because: fault.to_string(),
            way_out: None,
        },
    };
    refusal([NotNow::Blocked(blocked)])
}
