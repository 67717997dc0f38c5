//! The way back over a change of the form of the data: every member gets the folder back that was kept beside, and applications
//! are switched back.
//!
//! Invariant: each member gets its own data of before, to the byte, and nothing is deleted. What was written since in the new form
//! is asked for once applications stand still, and written again where the pack knows how.

use super::{RollbackRequest, WayBack, applied, edge};
use crate::{
    backup::file_name,
    dependants,
    hop::{HopPlan, named, seen_on_host},
    members::{Member, Standing, members},
    order::order,
    path::PathHop,
    plan::{Draft, assemble, cannot_build, refusal},
    put_back::asked_on_host,
    template::{Extra, Unrendered, Words},
    waves,
};
use quorate_model::{
    Action, Backup, Blocked, Call, Door, Hop, HopKind, NotNow, Plan, PlanKind, Refusal, Risk, Step,
    StepRole, Undo, Wave,
};
use quorate_packs::{Conversion, WriteBack, eval::Scope};
use std::time::Duration;

/// A rename on the same disk; a busy one gets a minute.
const BRING_BACK_LIMIT: Duration = Duration::from_secs(60);
/// Ten minutes, for a recipe whose own limit is no number.
const WRITE_LIMIT: Duration = Duration::from_secs(600);

/// Plans it; none when every member serves with the data of before.
pub(super) fn plan(
    request: &RollbackRequest<'_>,
    members: &[Member<'_>],
    way: &WayBack<'_>,
    (name, conversion): (&str, &Conversion),
) -> Result<Option<Plan>, Refusal> {
    let Some(safety) = &request.pack.safety else { return Err(refusal([])) };
    super::restore::permitted(request, members, way)?;
    if begun(request, way.hop, |step| matches!(step.action, Action::Clear { .. })) {
        return Err(cleared(request, name));
    }
    let release = &way.hop.from;
    let scope = Scope::cluster(request.pack, request.observation, Some(release), Some(release));
    let up = |member: &Member<'_>| member.is_client() || member.standing() == Standing::Up;
    if members.iter().all(up) && request.pack.holds(&conversion.when, &scope).is_true() {
        return Ok(None);
    }
    let back = PathHop {
        from: release.clone(),
        to: release.clone(),
        kind: HopKind::FullStop,
        conversion: None,
        risk: Risk::High,
        one_way: Door::Now,
        rules: vec![applied(way.rule)],
        cures: Vec::new(),
        protocols: Vec::new(),
    };
    let words = Words {
        before: Some(&request.plan.observed),
        ..Words::standing(request.pack, request.cluster, request.observation, release)
    };
    let leader = members.iter().position(Member::is_leader);
    let hop_plan = HopPlan {
        number: 1,
        pack: request.pack,
        safety,
        policy: &request.cluster.policy,
        measured: request.measured,
        words: &words,
        scope: &scope,
        members,
        hop: &back,
        artifact: way.artifact,
        order: &order(members, leader.map(|index| members[index].name()), false),
        leader,
        healed: false,
        config: &Default::default(),
        taken_names: &[],
        now: request.now,
        kind: HopKind::FullStop,
    };
    let since = match (wrote(request, way.hop), &conversion.back) {
        (Wrote::Nobody, _) | (_, None) => None,
        (Wrote::Since(_), Some(back)) => {
            let Some(member) = serving(members) else { return Err(nobody_serves(request, name)) };
            Some((back, member, made_by(way.hop)))
        }
    };
    let losses = losses(request, way.hop, conversion);
    let told = request.since.and_then(|said| said.split("; ").next());
    let asked = Asked { name, conversion, losses: &losses, told, since };
    let waves = build(&hop_plan, &asked).map_err(|fault| cannot_build(&fault.into()))?;
    let hop = Hop {
        from: back.from.clone(),
        to: back.to.clone(),
        kind: HopKind::FullStop,
        conversion: None,
        risk: back.risk,
        one_way: back.one_way,
        rules: back.rules.clone(),
        edge: edge(way.rule),
        artifact: way.artifact.clone(),
        waves,
    };
    let draft = Draft {
        kind: PlanKind::RollbackRestore,
        from: back.from.clone(),
        to: back.to.clone(),
        hops: vec![hop],
    };
    let mut plan = assemble(request.cluster, request.pack, request.observation, draft);
    plan.losses = losses;
    Ok(Some(plan))
}

/// What a way back is made of.
struct Asked<'a, 'm> {
    name: &'a str,
    conversion: &'a Conversion,
    losses: &'a [String],
    /// How much was written since.
    told: Option<&'a str>,
    /// How what was written since goes back, the member that tells it, and what the conversion made.
    since: Option<(&'a WriteBack, &'m Member<'a>, String)>,
}

fn build(plan: &HopPlan<'_, '_>, asked: &Asked<'_, '_>) -> Result<Vec<Wave>, Unrendered> {
    let Asked { name, conversion, losses, since, told } = asked;
    let members: Vec<&Member<'_>> = plan.servers().collect();
    let wave =
        |name: &str, title: &str, steps: Vec<Step>| plan.wave(name, title.to_owned(), None, steps);
    let each = |make: fn(&HopPlan<'_, '_>, &Member<'_>) -> Step| -> Vec<Step> {
        members.iter().map(|member| asked_on_host(make(plan, member))).collect()
    };
    let mut go = plan.go();
    for step in &mut go.steps {
        let lost = match losses.is_empty() {
            true => "Nothing is lost".to_owned(),
            false => format!("This will be lost: {}", losses.join("; ")),
        };
        let kept = told.map_or(String::new(), |told| format!(". {told}: that is written again"));
        let text = format!("{lost}{kept}. The whole cluster stops meanwhile.");
        step.action = Action::Confirm { door: Door::Now, text };
        step.title = format!("say yes to going back over {name}");
    }
    let mut stops = each(waves::stop);
    for stop in &mut stops {
        stop.precheck.extend(dependants::stand_still(plan));
    }
    let mut waves = vec![go];
    waves.extend(dependants::stop(plan));
    let kept = since.as_ref().map(|since| kept(plan, since)).transpose()?;
    waves.extend(
        kept.as_ref()
            .map(|(save, _)| wave("since", "what was written since is kept", vec![save.clone()])),
    );
    waves.push(wave("stop", "everything stops", stops));
    let brought = members.iter().map(|member| bring_back(plan, member)).collect();
    waves.push(wave("bring-back", "every member gets its data of before", brought));
    waves.push(wave("start", "everything starts", each(waves::start)));
    waves.push(wave("rejoin", "everybody is back", each(waves::rejoin)));
    waves.push(wave("proof", "the data of before run", vec![proof(plan, conversion)]));
    waves.extend(
        kept.map(|(_, put)| {
            wave("write-back", "what was written since is written again", vec![put])
        }),
    );
    waves.extend(dependants::switch_back(plan));
    waves.extend(dependants::start(plan));
    if let Some(soak) = members.last().and_then(|member| waves::soak(plan, member)) {
        waves.push(wave("soak", "healthy time", vec![soak]));
    }
    waves.push(plan.complete());
    plan.ask_for_approvals(&mut waves);
    Ok(waves)
}

/// The step that keeps what was written since, and the one that writes it again.
fn kept(
    plan: &HopPlan<'_, '_>,
    (back, member, source): &(&WriteBack, &Member<'_>, String),
) -> Result<(Step, Step), Unrendered> {
    let file = file_name(&plan.backup_request(), &back.kind, None);
    let (source, path) = (format!("{{state}}/{source}"), format!("{{state}}/{file}"));
    let extra = Extra { file: Some(&path), source: Some(&source), ..Extra::default() };
    let limit = Duration::try_from_secs_f64(back.limit_secs).unwrap_or(WRITE_LIMIT);
    let save = plan.words.call(&back.kind, member, &back.save, &back.by_hand, extra)?;
    let name = member.name();
    let mut keep = plan.look(
        plan.id("since", &back.kind),
        format!("ask {name} what was written since, and keep it"),
        StepRole::Backup,
    );
    keep.node = Some(name.clone());
    keep.action = Action::Backup {
        backup: Backup {
            kind: back.kind.clone(),
            node: name.clone(),
            release: plan.hop.from.clone(),
            file,
            // It is seen to be all when it was written again.
            verify: save.clone(),
            save,
            made_of: None,
            sha256: None,
        },
    };
    keep.limit = limit;
    let first = plan.servers().next().unwrap_or(member);
    let what = format!("{}-put", back.kind);
    let call = plan.words.call(&what, first, &back.put, &back.put_by_hand, extra)?;
    let title = format!("write what was written since again, through {}", first.name());
    let mut put = plan.look(plan.id("write-back", &back.kind), title, StepRole::Restore);
    put.node = Some(first.name().clone());
    put.action = Action::Call { call };
    put.limit = limit;
    Ok((keep, put))
}

fn bring_back(plan: &HopPlan<'_, '_>, member: &Member<'_>) -> Step {
    let name = member.name();
    let title = format!("bring the data of before of {name} back, which lie beside");
    let mut step = plan.look(plan.id(name.as_str(), "bring-back"), title, StepRole::Restore);
    step.node = Some(name.clone());
    step.action = Action::BringBack { node: name.clone() };
    step.done = Some(seen_on_host("brought-back", format!("nothing of {name} lies aside")));
    step.limit = BRING_BACK_LIMIT;
    step.undo = Undo::ByPlan {
        text: "what it held meanwhile is kept beside, under a name that ends in .left-".into(),
    };
    step
}

fn proof(plan: &HopPlan<'_, '_>, conversion: &Conversion) -> Step {
    let title = "see that the members run with the data of before".to_owned();
    let mut look = plan.look(plan.id("proof", "seen"), title, StepRole::Verify);
    let text = "the data are in the form of before".to_owned();
    let asked = vec![named("form-of-before", conversion.when.clone(), text)];
    look.gate = Some(plan.gate("form-of-before", asked, plan.policy.rejoin_limit));
    look
}

/// Whether a step of a kind was begun in the run.
fn begun(request: &RollbackRequest<'_>, hop: &Hop, what: impl Fn(&Step) -> bool) -> bool {
    let steps = hop.waves.iter().flat_map(|wave| &wave.steps);
    let named = |step: &&Step| request.begun.is_some_and(|begun| begun.contains(&step.id));
    steps.filter(|step| what(step)).any(|step| named(&step))
}

/// Whether anybody can have written in the new form.
enum Wrote {
    Nobody,
    /// Since when.
    Since(&'static str),
}

/// Nobody wrote before applications were started; where none is handled nobody knows from the moment on that members were seen to
/// be back. And what runs with the data of before has nothing to tell of a time since.
fn wrote(request: &RollbackRequest<'_>, hop: &Hop) -> Wrote {
    let before = request.plan.observed.cluster_id();
    if before.is_some() && request.observation.cluster_id() == before {
        return Wrote::Nobody;
    }
    let steps = || hop.waves.iter().flat_map(|wave| &wave.steps);
    let handles = steps().any(|step| step.role == StepRole::DependantStart);
    let role = if handles { StepRole::DependantStart } else { StepRole::Rejoin };
    match begun(request, hop, |step| step.role == role) {
        false => Wrote::Nobody,
        true if handles => Wrote::Since("applications were started"),
        true => Wrote::Since("members were back"),
    }
}

fn losses(request: &RollbackRequest<'_>, hop: &Hop, conversion: &Conversion) -> Vec<String> {
    let Wrote::Since(when) = wrote(request, hop) else { return Vec::new() };
    if conversion.back.is_none() {
        return vec![format!(
            "every write acknowledged since {when} with the new form of the data"
        )];
    }
    let said = request.since.map(|said| said.split("; ").skip(1).map(str::to_owned).collect());
    let mut losses: Vec<String> =
        said.unwrap_or_else(|| vec!["whatever of it the form of before cannot hold".to_owned()]);
    if request.cluster.dependants.iter().all(|one| one.runs.is_none()) {
        losses.push("what is written after it was asked for: no application is declared that could be stopped before".into());
    }
    losses
}

fn serving<'m, 'a>(members: &'m [Member<'a>]) -> Option<&'m Member<'a>> {
    let up = |member: &&Member<'_>| member.is_voter() && member.standing() == Standing::Up;
    members.iter().filter(up).max_by_key(|member| member.is_leader())
}

/// What the conversion made, relative to the state folder.
fn made_by(hop: &Hop) -> String {
    let steps = hop.waves.iter().flat_map(|wave| &wave.steps);
    let mut made = steps.rev().filter_map(|step| match &step.action {
        Action::Backup { backup } if backup.made_of.is_some() => Some(backup.file.clone()),
        _ => None,
    });
    made.next().unwrap_or_default()
}

/// The question for what was written since a conversion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Since {
    /// What is asked, of a member that serves.
    pub call: Call,
    /// The file that it writes, relative to the state folder.
    pub file: String,
    /// It is given up after that.
    pub limit: Duration,
}

/// What to ask before a way back is planned: none when nobody can have written since a conversion, or nobody serves.
pub fn since(request: &RollbackRequest<'_>, file: &str) -> Option<Since> {
    let members = members(request.pack, request.cluster, request.observation);
    let hop = &request.plan.hops[super::hop_begun(request, &members, request.plan.hops.len())?];
    let back = request.pack.recipes.conversions.get(hop.conversion.as_ref()?)?.back.as_ref()?;
    let (Wrote::Since(_), Some(member)) = (wrote(request, hop), serving(&members)) else {
        return None;
    };
    let (source, path) = (format!("{{state}}/{}", made_by(hop)), format!("{{state}}/{file}"));
    let extra = Extra { file: Some(&path), source: Some(&source), ..Extra::default() };
    let words = Words::standing(request.pack, request.cluster, request.observation, &hop.from);
    let call = words.call(&back.kind, member, &back.save, &back.by_hand, extra).ok()?;
    let limit = Duration::try_from_secs_f64(back.limit_secs).unwrap_or(WRITE_LIMIT);
    Some(Since { call, file: file.to_owned(), limit })
}

fn nobody_serves(request: &RollbackRequest<'_>, name: &str) -> Refusal {
    refusal([NotNow::Blocked(Blocked::Condition {
        rule: name.to_owned(),
        text: "a member must tell what was written since, so that it goes back, too".into(),
        because: format!("no member of {} serves", request.cluster.name),
        way_out: Some("start a quorum of members, then `quorate rollback` again".into()),
    })])
}

fn cleared(request: &RollbackRequest<'_>, name: &str) -> Refusal {
    let cluster = &request.cluster.name;
    refusal([NotNow::Blocked(Blocked::Condition {
        rule: name.to_owned(),
        text: "the data of before must lie beside those of the members".into(),
        because: "they were cleared, after a person said yes to that".into(),
        way_out: Some(format!(
            "put the backup of before back with `quorate restore {cluster} FILE`; what was written since is lost with that"
        )),
    })])
}
