//! The way back after completion: everything stops, the verified backup is restored with the older tool, everything starts.
//! A copy that goes onto one member only is put there, and the others join it.
//!
//! What would be lost is listed first, in the plan and in the question that a person must answer.

use super::{BackupAtHand, RollbackRequest, WayBack, applied, edge, no_way, old};
use crate::{
    backup::PlannedBackup,
    clients, dependants,
    hop::{HopPlan, seen_on_host},
    members::Member,
    order::order,
    packages,
    path::PathHop,
    plan::{Draft, assemble, cannot_build, refusal, refuse_if_any},
    put_back::{Chosen, asked_on_host, proofs, restore},
    template::{Extra, Known, Unrendered, Words},
    waves,
};
use quorate_model::{
    Action, BACKUP_WHOLE, Blocked, Door, HopKind, NotNow, Plan, PlanKind, Refusal, Release, Risk,
    Step, StepRole, Wave,
};
use quorate_packs::{BackupRecipe, CallTemplate, CompleteRollback, eval::Scope};

/// What makes one plan that puts data back another than the next.
pub(super) struct Purpose<'a> {
    pub(super) kind: PlanKind,
    pub(super) losses: Vec<String>,
    pub(super) chosen: Chosen<'a>,
}

/// Plans it.
pub(super) fn plan(
    request: &RollbackRequest<'_>,
    members: &[Member<'_>],
    way: &WayBack<'_>,
) -> Result<Plan, Refusal> {
    permitted(request, members, way)?;
    let (chosen, copy) = choose(request, way)?;
    let losses = losses(request, way, &chosen, copy);
    let kind = PlanKind::RollbackRestore;
    plan_for(request, members, way, &Purpose { kind, losses, chosen })
}

/// Whether data can be put back on these members at all.
pub(super) fn permitted(
    request: &RollbackRequest<'_>,
    members: &[Member<'_>],
    way: &WayBack<'_>,
) -> Result<(), Refusal> {
    if way.rule.complete == CompleteRollback::None {
        return Err(no_way(way.hop, way.rule.text.clone(), None));
    }
    let servers: Vec<&Member<'_>> = members.iter().filter(|member| !member.is_client()).collect();
    refuse_if_any(folders_unseen(request, &servers))
}

/// Plans putting one copy back on every member.
pub(super) fn plan_for(
    request: &RollbackRequest<'_>,
    members: &[Member<'_>],
    way: &WayBack<'_>,
    purpose: &Purpose<'_>,
) -> Result<Plan, Refusal> {
    let Some(safety) = &request.pack.safety else {
        return Err(no_way(way.hop, format!("pack {} has no `safety`", request.pack.pack), None));
    };
    let back = PathHop {
        from: way.hop.to.clone(),
        to: old(way.hop).clone(),
        kind: HopKind::FullStop,
        conversion: None,
        risk: Risk::High,
        one_way: Door::Now,
        rules: vec![applied(way.rule)],
        cures: Vec::new(),
        protocols: Vec::new(),
    };
    let scope = Scope::cluster(request.pack, request.observation, None, None);
    let words = Words {
        pack: request.pack,
        cluster: request.cluster,
        observation: request.observation,
        from: &back.from,
        to: &back.to,
        speaking: &back.to,
        before: Some(&request.plan.observed),
        renamed: false,
        known: Known::default(),
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
        config: &super::binaries::configuration_back(request, way),
        taken_names: &[],
        now: request.now,
        kind: HopKind::FullStop,
    };
    let waves = build_waves(&hop_plan, purpose).map_err(|fault| cannot_build(&fault.into()))?;
    let hop = quorate_model::Hop {
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
    let draft =
        Draft { kind: purpose.kind, from: back.from.clone(), to: back.to.clone(), hops: vec![hop] };
    let mut plan = assemble(request.cluster, request.pack, request.observation, draft);
    plan.losses.clone_from(&purpose.losses);
    Ok(plan)
}

/// A member may keep data in more folders than one: a restore that leaves one of them in its place restores nothing.
fn folders_unseen(request: &RollbackRequest<'_>, members: &[&Member<'_>]) -> Vec<NotNow> {
    let form = request.pack.detect.as_ref().map(|detect| &detect.process);
    if form.is_none_or(|form| form.more_data_settings.is_empty()) {
        return Vec::new();
    }
    let unseen =
        members.iter().filter(|member| member.seen.is_none_or(|seen| seen.place.is_none()));
    let block = |member: &&Member<'_>| {
        NotNow::Blocked(Blocked::ConditionUnseen {
            rule: "data-folders".into(),
            text: "every folder that holds data of a member must be known".into(),
            what: format!("what {} starts with cannot be read", member.name()),
        })
    };
    unseen.map(block).collect()
}

/// The newest verified copy that the release to go back to can take, in the pack's order of kinds. A damaged one is never
/// passed over in silence: what is older would lose more than the person was told before.
fn choose<'a>(
    request: &RollbackRequest<'a>,
    way: &WayBack<'_>,
) -> Result<(Chosen<'a>, &'a BackupAtHand), Refusal> {
    let onto = old(way.hop);
    let newest = |recipe: &'a BackupRecipe| {
        let restore = recipe.restore.as_ref()?;
        let of_kind = request.backups.iter().filter(|copy| copy.backup.kind == recipe.kind);
        let fits = of_kind.filter(|copy| {
            copy.verified && restorable(request, recipe, &copy.backup.release, onto)
        });
        let newest = fits.max_by_key(|copy| copy.taken_at)?;
        Some((Chosen { recipe, backup: &newest.backup, restore, taken: false }, newest))
    };
    let Some(chosen) = request.pack.recipes.backups.iter().find_map(newest) else {
        return Err(none_fits(request, way));
    };
    let (_, copy) = &chosen;
    if let Some(fault) = &copy.fault {
        return Err(refusal([NotNow::Blocked(Blocked::Condition {
            rule: BACKUP_WHOLE.into(),
            text: "the backup must be what was written down when it was taken".into(),
            because: fault.clone(),
            way_out: Some(format!(
                "bring {} back from where it was copied to, or choose another backup with `quorate restore {} FILE`",
                copy.backup.file, request.cluster.name
            )),
        })]));
    }
    Ok(chosen)
}

/// A copy goes back onto the release line that it was taken on, and wherever the pack says so. The way back over a hop is
/// held to the very release that the run came from.
fn restorable(
    request: &RollbackRequest<'_>,
    recipe: &BackupRecipe,
    taken: &Release,
    onto: &Release,
) -> bool {
    if request.plan.kind != PlanKind::RollbackRestore {
        return taken == onto;
    }
    request.pack.line(taken) == request.pack.line(onto)
        || recipe.restores.iter().any(|hop| hop.taken.contains(taken) && hop.onto.contains(onto))
}

fn none_fits(request: &RollbackRequest<'_>, way: &WayBack<'_>) -> Refusal {
    let onto = old(way.hop);
    let by_hand = |copy: &BackupAtHand| {
        let mut recipes = request.pack.recipes.backups.iter();
        recipes.any(|recipe| recipe.kind == copy.backup.kind && recipe.restore.is_none())
    };
    if let Some(copy) = request.backups.first().filter(|copy| by_hand(copy)) {
        return refusal([NotNow::Blocked(Blocked::Condition {
            rule: "backup".into(),
            text: "a plan puts back only what goes onto stopped members".into(),
            because: format!("a {} goes into a cluster that serves", copy.backup.kind),
            way_out: Some(format!(
                "put {} back by hand, into a cluster of {} that serves: the operators' page of {} says how",
                copy.backup.file, copy.backup.release, request.pack.title
            )),
        })]);
    }
    if request.plan.kind == PlanKind::RollbackRestore
        && let Some(copy) = request.backups.first()
    {
        let because = if copy.verified {
            format!(
                "{} was taken on {}, and the members have {onto}: nothing says that {onto} can take such data",
                copy.backup.file, copy.backup.release
            )
        } else {
            format!("{} was never restored into a scratch member and compared", copy.backup.file)
        };
        let way_out = copy
            .verified
            .then(|| format!("bring the members to the line of {} first", copy.backup.release));
        return refusal([NotNow::Blocked(Blocked::Condition {
            rule: "backup".into(),
            text:
                "the backup must be proved, and the release of the members must be able to take it"
                    .into(),
            because,
            way_out,
        })]);
    }
    let because = format!(
        "{}; no verified backup made on {onto} is at hand, of {} in all",
        crate::path::clause(&way.rule.text),
        request.backups.len()
    );
    no_way(
        way.hop,
        because,
        Some("verify a backup, or stay on the new release and roll forward".into()),
    )
}

fn losses(
    request: &RollbackRequest<'_>,
    way: &WayBack<'_>,
    chosen: &Chosen<'_>,
    copy: &BackupAtHand,
) -> Vec<String> {
    let BackupAtHand { backup, taken_at, taken_from, other_cluster, unknown, .. } = copy;
    let age = request.now.duration_since(*taken_at).as_secs().max(0);
    let mut losses = Vec::new();
    if let Some(other) = other_cluster {
        losses.push(format!(
            "everything that {} holds: {} is a backup of {other}",
            request.cluster.name, backup.file
        ));
    }
    let from = taken_from.as_ref().map(|node| format!(" from {node}")).unwrap_or_default();
    losses.push(format!(
        "every write acknowledged since {taken_at} ({age} s ago), when {} was taken{from}",
        backup.file
    ));
    losses.push(format!("whatever only {} can hold", way.hop.to));
    losses.extend(
        chosen.recipe.lacks.iter().map(|lacks| format!("what the backup does not hold: {lacks}")),
    );
    losses.extend(
        unknown.iter().map(|what| format!("nobody can say, for it was not written down: {what}")),
    );
    losses
}

fn build_waves(plan: &HopPlan<'_, '_>, purpose: &Purpose<'_>) -> Result<Vec<Wave>, Unrendered> {
    let Purpose { losses, chosen, .. } = purpose;
    let members: Vec<&Member<'_>> = plan.servers().collect();
    let wave =
        |name: &str, title: &str, steps: Vec<Step>| plan.wave(name, title.to_owned(), None, steps);
    let mut go = plan.go();
    for step in &mut go.steps {
        let text =
            format!("This will be lost: {}. The whole cluster stops meanwhile.", losses.join("; "));
        step.action = Action::Confirm { door: Door::Now, text };
    }
    let each = |make: fn(&HopPlan<'_, '_>, &Member<'_>) -> Step| {
        members.iter().map(|m| asked_on_host(make(plan, m))).collect()
    };
    let mut stops: Vec<Step> = each(waves::stop);
    // Clients go back before their servers. With the release as it is nothing of them changes.
    let moves = plan.hop.from != plan.hop.to;
    let mut clients = if moves { clients::waves(plan) } else { Vec::new() };
    let client_stops = clients.iter_mut().flat_map(|wave| &mut wave.steps);
    let client_stops = client_stops.filter(|step| step.role == StepRole::Stop);
    for stop in stops.iter_mut().chain(client_stops) {
        // A first stop may have happened already: each one asks, and what was just read whole is not read again.
        let text = format!("{} is what was written down when it was taken", chosen.backup.file);
        stop.precheck.push(seen_on_host(BACKUP_WHOLE, text));
        stop.precheck.extend(dependants::stand_still(plan));
    }
    let mut waves = vec![wave("begin", "the old files beside the live ones", plan.stages())];
    waves.extend(clients::staging(plan).into_iter().filter(|_| moves));
    waves.push(go);
    waves.extend(dependants::stop(plan));
    if chosen.taken {
        let copy = PlannedBackup { recipe: chosen.recipe, backup: chosen.backup.clone() };
        let title = format!("copy the data of {}, and prove the copy", chosen.backup.node);
        let mut taken = plan.backup_wave(title, &[copy]);
        // No probe: a copy of before a halt lacks what was written since, and another one is taken.
        taken.steps.iter_mut().for_each(|step| step.done = None);
        waves.push(taken);
    }
    waves.extend(clients);
    waves.extend(packages::hold_back_wave(plan, &members));
    waves.push(wave("stop", "everything stops", stops));
    waves.push(wave("swap", "the old files are put back", each(waves::swap)));
    waves.extend(match &chosen.recipe.join {
        Some(join) => joined(plan, &members, chosen, join)?,
        None => {
            let restores: Result<Vec<_>, _> =
                members.iter().map(|member| restore(plan, member, chosen)).collect();
            vec![
                wave("restore", "the backup is restored on every member", restores?),
                wave("start", "everything starts", each(waves::start)),
            ]
        }
    });
    waves.push(wave("rejoin", "everybody is back", each(waves::rejoin)));
    waves.extend(packages::let_go_wave(plan, &members));
    let proofs = proofs(plan, &members, chosen)?;
    waves.push(wave("proof", "the data that run are those of the backup", proofs));
    waves.extend(dependants::start(plan));
    if let Some(soak) = members.last().and_then(|member| waves::soak(plan, member)) {
        waves.push(wave("soak", "healthy time", vec![soak]));
    }
    waves.push(plan.complete());
    plan.ask_for_approvals(&mut waves);
    Ok(waves)
}

/// The copy goes onto one member, which starts alone; the others join it one by one. Whether they are back is looked at
/// when all are: until then nobody can be compared with anybody.
fn joined(
    plan: &HopPlan<'_, '_>,
    members: &[&Member<'_>],
    chosen: &Chosen<'_>,
    join: &CallTemplate,
) -> Result<Vec<Wave>, Unrendered> {
    let Some((seed, others)) = members.split_first() else { return Ok(Vec::new()) };
    let wave = |member: &Member<'_>, title: String, put: Step| {
        plan.wave(
            member.name().as_str(),
            title,
            None,
            vec![put, asked_on_host(waves::start(plan, member))],
        )
    };
    let title = format!("{} gets the backup and starts alone", seed.name());
    let mut waves = vec![wave(seed, title, restore(plan, seed, chosen)?)];
    for member in others {
        let (name, seed_name) = (member.name(), seed.name());
        let mut step = restore(plan, member, chosen)?;
        step.title = format!("empty {name} and let it join {seed_name}");
        let extra = Extra { target: Some(**seed), ..Extra::default() };
        let by_hand = chosen.recipe.join_by_hand.as_deref().unwrap_or_default();
        let what = format!("{}-join", chosen.recipe.kind);
        let call = plan.words.call(&what, member, join, by_hand, extra)?;
        let backup = Box::new(chosen.backup.clone());
        let (node, joins) = (name.clone(), Some(seed_name.clone()));
        step.action = Action::Restore { node, backup, call, joins };
        step.done = Some(seen_on_host(
            "restored",
            format!("{name} was emptied and has joined {seed_name}"),
        ));
        waves.push(wave(member, format!("{name} joins {seed_name}"), step));
    }
    Ok(waves)
}
