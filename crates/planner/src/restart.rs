//! Members started anew on the release that runs: freshly installed, or with other settings.
//!
//! Invariant: a setting is changed only when the pack says when that is safe, and how it is seen to be in force.
//! Read next: `config/rewrite.rs`, where a setting is written, and `waves.rs`, how members move.

use crate::{
    config::NodeSettings,
    digest::plan_digest,
    estimate::Measured,
    hop::HopPlan,
    members::{Member, members},
    order::order,
    path::PathHop,
    plan::{
        Draft, Ground, Planned, artifact_of, assemble, cannot_build, kind_of, refusal,
        refuse_if_any, serves_before_outage, unsafe_now,
    },
    safety::{SafetyRequest, may_stop},
    start::{Purpose, stands_in_the_way, start},
    template::{Known, Words},
};
use jiff::Timestamp;
use quorate_model::{
    Action, ArtifactRef, Blocked, Cluster, ConfigChange, Door, HopKind, NodeName, NotNow,
    Observation, PlanKind, Refusal, Release, Risk, RuleApplied, RuleVerdict, Wave,
};
use quorate_packs::{
    Pack, Safety, SettingChange,
    eval::{Scope, Truth},
};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};

/// What a restart is planned from.
#[derive(Debug, Clone)]
pub struct RestartRequest<'a> {
    /// The cluster as declared, with its policy.
    pub cluster: &'a Cluster,
    /// Its product.
    pub pack: &'a Pack,
    /// A full look at it.
    pub observation: &'a Observation,
    /// Releases at hand, the running one among them.
    pub artifacts: &'a [ArtifactRef],
    /// Seconds that steps took before.
    pub measured: &'a Measured,
    /// The time.
    pub now: Timestamp,
    /// Names of files in the state folder: a new backup never takes the name of an old one.
    pub state_files: &'a [String],
    /// Settings that members shall run with, by their plain names. None, and none taken away: everybody is installed anew.
    pub set: &'a BTreeMap<String, String>,
    /// Settings that members shall not be given any more.
    pub unset: &'a [String],
}

/// Plans a restart. Never fails: what cannot be planned comes back as reasons.
pub fn restart(request: &RestartRequest<'_>) -> Planned {
    match try_restart(request) {
        Ok(planned) => planned,
        Err(refusal) => Planned::NotNow(refusal),
    }
}

fn try_restart(request: &RestartRequest<'_>) -> Result<Planned, Refusal> {
    let RestartRequest { cluster, pack, observation, .. } = *request;
    let members = members(pack, cluster, observation);
    let purpose = Purpose::Upgrade;
    refuse_if_any(stands_in_the_way(pack, cluster, observation, &members, purpose))?;
    let release = running(&members)?;
    let Some(safety) = &pack.safety else {
        return Err(unseen("safety", format!("pack {} has no `safety`", pack.pack)));
    };
    refuse_if_any(serves_before_outage(&members).err().map(NotNow::Unsafe).into_iter().collect())?;
    let scope = Scope::cluster(pack, observation, None, None);
    let changes = known_changes(request, &release)?;
    let config = configuration(request, &members, &changes)?;
    let moving = moving(request, &members, &changes, &config, &scope);
    if moving.is_empty() {
        let text = format!("every member of {} runs with these settings already", cluster.name);
        return Ok(Planned::NothingToDo { release, text });
    }
    proved(request, &changes, &scope)?;
    let hop = hop(&release, &changes);
    let kind = kind_of(&members, &hop);
    if kind != HopKind::Rolling && !cluster.policy.allow_outage {
        let voters = members.iter().filter(|member| member.is_voter()).count();
        let voters = u32::try_from(voters).unwrap_or(u32::MAX);
        return Err(refusal([NotNow::Blocked(Blocked::NeedsOutage { voters, outage_secs: 0 })]));
    }
    let ground = Ground { pack, cluster, observation };
    refuse_if_any(unsafe_now(&ground, &members, &hop, &scope))?;
    if kind == HopKind::Rolling {
        refuse_if_any(may_not_stop(request, &members, &moving))?;
    }
    build(request, safety, &members, &Frame { hop, kind, scope, config, moving })
}

/// What a plan is built from once nothing refuses.
struct Frame {
    hop: PathHop,
    kind: HopKind,
    scope: Scope,
    config: BTreeMap<NodeName, ConfigChange>,
    moving: BTreeSet<NodeName>,
}

fn build(
    request: &RestartRequest<'_>,
    safety: &Safety,
    members: &[Member<'_>],
    frame: &Frame,
) -> Result<Planned, Refusal> {
    let RestartRequest { cluster, pack, observation, measured, now, .. } = *request;
    let Frame { hop, kind, scope, config, moving } = frame;
    let artifact = artifact_of(cluster, request.artifacts, &hop.to)?;
    let leader = members.iter().position(Member::is_leader);
    let mut order = order(members, leader.map(|index| members[index].name()), false);
    order.retain(|index| moving.contains(members[*index].name()));
    let words = Words {
        pack,
        cluster,
        observation,
        from: &hop.from,
        to: &hop.to,
        speaking: &hop.from,
        before: None,
        renamed: false,
        known: Known::default(),
    };
    let built = HopPlan {
        number: 1,
        pack,
        safety,
        policy: &cluster.policy,
        measured,
        words: &words,
        scope,
        members,
        hop,
        artifact,
        order: &order,
        leader,
        healed: false,
        config,
        taken_names: request.state_files,
        now,
        kind: *kind,
    }
    .build()
    .map_err(|fault| cannot_build(&fault))?;
    let (from, to) = (hop.from.clone(), hop.to.clone());
    let mut hops = vec![built.hop];
    hops.iter_mut().flat_map(|hop| &mut hop.waves).for_each(on_one_release);
    let draft = Draft { kind: PlanKind::Restart, from, to, hops };
    let mut plan = assemble(cluster, pack, observation, draft);
    plan.digest = plan_digest(&plan);
    Ok(Planned::Ready(Box::new(plan)))
}

/// Nobody leaves a release here: other files of the same one must not take the name of the planned ones when they are kept.
fn on_one_release(wave: &mut Wave) {
    for step in &mut wave.steps {
        let Action::Swap { node, from, to, config, packages } = &mut step.action else { continue };
        let release = to.release.clone();
        if let Ok(aside) = format!("{release}-before").parse() {
            *from = aside;
        }
        let with = if config.is_some() { " and its configuration" } else { "" };
        let what = if packages.is_empty() { "files" } else { "packages" };
        step.title = format!("make the planned {what} of {release} live on {node}{with}");
        if wave.lanes.is_none() {
            wave.title = format!("{node}: started anew on {release}");
        }
    }
}

fn running(members: &[Member<'_>]) -> Result<Release, Refusal> {
    match start(members).map_err(|reason| refusal([*reason]))? {
        Some(start) => match start.half_way {
            None => Ok(start.from),
            Some(half_way) => {
                let releases = vec![start.from, half_way];
                Err(refusal([NotNow::Blocked(Blocked::MixedReleases { releases })]))
            }
        },
        None => Err(unseen("release", "the cluster has no members".to_owned())),
    }
}

fn unseen(rule: &str, what: String) -> Refusal {
    let text = "what a plan stands on must be known".to_owned();
    refusal([NotNow::Blocked(Blocked::ConditionUnseen { rule: rule.to_owned(), text, what })])
}

/// What is asked for, in the pack's words; a setting that it does not speak of is refused.
fn known_changes<'a>(
    request: &RestartRequest<'a>,
    release: &Release,
) -> Result<Vec<&'a SettingChange>, Refusal> {
    let set = request.set.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let unset = request.unset.iter().map(|key| (key.as_str(), ""));
    let mut reasons = Vec::new();
    let mut changes = Vec::new();
    for (key, value) in set.chain(unset) {
        match change(request.pack, key, value, release) {
            Some(change) => changes.push(change),
            None => reasons.push(unknown(request.pack, key, value, release)),
        }
    }
    refuse_if_any(reasons)?;
    Ok(changes)
}

fn change<'a>(
    pack: &'a Pack,
    key: &str,
    value: &str,
    release: &Release,
) -> Option<&'a SettingChange> {
    // One that does not compile fits nothing: the linter has named it.
    let fits = |change: &SettingChange| {
        Regex::new(&format!("^(?:{})$", change.value)).is_ok_and(|regex| regex.is_match(value))
    };
    let mut own = pack.setting_changes.iter().filter(|change| change.key == key);
    own.find(|change| change.releases.contains(release) && fits(change))
}

fn unknown(pack: &Pack, key: &str, value: &str, release: &Release) -> NotNow {
    let own = pack.setting_changes.iter().filter(|change| change.key == key);
    let told: Vec<String> =
        own.map(|change| format!("`{}` on {}", change.value, change.releases)).collect();
    let because = match told.is_empty() {
        true => format!("pack {} does not speak of {key}", pack.pack),
        false => format!("of {key} the pack knows {}", told.join(", ")),
    };
    let said = if value.is_empty() { "not set".to_owned() } else { format!("`{value}`") };
    NotNow::Blocked(Blocked::Condition {
        rule: "setting".into(),
        text: format!("the pack must say when {key} may be {said} on {release}"),
        because,
        way_out: Some("describe it under `setting_changes` of the pack, or change it by hand, member by member".into()),
    })
}

fn concerns(changes: &[&SettingChange], member: &Member<'_>) -> bool {
    let group = member.node.group.as_str();
    let takes = |change: &&SettingChange| {
        change.groups.is_empty() || change.groups.iter().any(|own| own == group)
    };
    changes.is_empty() || changes.iter().any(takes)
}

/// What each member's service becomes.
fn configuration(
    request: &RestartRequest<'_>,
    members: &[Member<'_>],
    changes: &[&SettingChange],
) -> Result<BTreeMap<NodeName, ConfigChange>, Refusal> {
    let (mut config, mut reasons) = (BTreeMap::new(), Vec::new());
    for member in members.iter().filter(|member| concerns(changes, member)) {
        let settings = NodeSettings::new(request.pack, request.cluster, member);
        let rewritten = settings.changed(request.set, request.unset);
        if let Some(because) = rewritten.because() {
            reasons.push(NotNow::Blocked(Blocked::Condition {
                rule: "settings".into(),
                text: format!("the settings of {} must be changed", member.name()),
                because: because.to_owned(),
                way_out: Some("write them into that file by hand, then plan again".into()),
            }));
        } else if !rewritten.is_empty() {
            config.insert(member.name().clone(), rewritten.change);
        }
    }
    refuse_if_any(reasons)?;
    Ok(config)
}

/// Members that are not yet seen to run with what is asked for; everybody when nothing is.
fn moving(
    request: &RestartRequest<'_>,
    members: &[Member<'_>],
    changes: &[&SettingChange],
    config: &BTreeMap<NodeName, ConfigChange>,
    scope: &Scope,
) -> BTreeSet<NodeName> {
    let needs = |member: &&Member<'_>| {
        let scope = scope.with_node(member.name());
        let seen = |change: &&SettingChange| request.pack.holds(&change.seen, &scope).is_true();
        changes.is_empty() || config.contains_key(member.name()) || !changes.iter().all(seen)
    };
    let concerned = members.iter().filter(|member| concerns(changes, member));
    concerned.filter(needs).map(|member| member.name().clone()).collect()
}

/// The pack's own conditions, each seen to hold.
fn proved(
    request: &RestartRequest<'_>,
    changes: &[&SettingChange],
    scope: &Scope,
) -> Result<(), Refusal> {
    let refused = changes.iter().filter_map(|change| {
        let cel = change.condition.as_ref()?;
        let (rule, text) = (change.id.clone(), change.text.clone());
        match request.pack.holds(cel, scope) {
            Truth::True => None,
            Truth::False => Some(NotNow::Blocked(Blocked::Condition {
                rule,
                text,
                because: change.because.clone(),
                way_out: change.way_out.clone(),
            })),
            Truth::Unknown { what } => {
                Some(NotNow::Blocked(Blocked::ConditionUnseen { rule, text, what }))
            }
        }
    });
    refuse_if_any(refused.collect())
}

fn hop(release: &Release, changes: &[&SettingChange]) -> PathHop {
    let rules = changes.iter().map(|change| RuleApplied {
        id: change.id.clone(),
        verdict: RuleVerdict::Condition,
        text: change.text.clone(),
        because: change.because.clone(),
        risk: change.risk,
        sources: change.sources.clone(),
        cures: Vec::new(),
        rewrites: Vec::new(),
    });
    let mut doors = changes.iter().filter_map(|change| change.one_way);
    PathHop {
        from: release.clone(),
        to: release.clone(),
        kind: HopKind::Rolling,
        conversion: None,
        risk: changes.iter().map(|change| change.risk).max().unwrap_or(Risk::Low),
        one_way: doors.find(|door| *door != Door::None).unwrap_or(Door::None),
        rules: rules.collect(),
        cures: Vec::new(),
        protocols: Vec::new(),
    }
}

/// Asks for every member that will be stopped whether it could be now.
fn may_not_stop(
    request: &RestartRequest<'_>,
    members: &[Member<'_>],
    moving: &BTreeSet<NodeName>,
) -> Vec<NotNow> {
    let asked = SafetyRequest {
        pack: request.pack,
        observation: request.observation,
        from: None,
        to: None,
        max_unavailable: request.cluster.policy.max_unavailable,
        down_by_us: &[],
    };
    let servers = members.iter().filter(|member| !member.is_client());
    let those = servers.map(Member::name).filter(|name| moving.contains(*name));
    those.filter_map(|name| may_stop(&asked, name).err()).take(1).map(NotNow::Unsafe).collect()
}
