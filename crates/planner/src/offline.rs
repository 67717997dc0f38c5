//! A hop that changes the form of the data: applications stand still, everything stops, one member's data are copied, the copy is
//! converted and proved on this machine, and every member starts with what came out.
//!
//! Invariant: no member converts its own data. They all get the same ones, so they cannot differ.
//! Invariant: what a member held before lies beside its data folder until a person has said that it may go.

use crate::{
    backup::{PlannedBackup, file_name},
    dependants,
    hop::{HopFault, HopPlan},
    members::Member,
    put_back::{Chosen, asked_on_host, proofs, restore},
    template::{Extra, Unrendered},
    waves,
};
use quorate_model::{Action, Backup, Call, Door, Step, StepRole, Undo, Wave};
use quorate_packs::{Conversion, ConversionCopy, Recipe};
use std::time::Duration;

/// Ten minutes, for a recipe whose own limit is no number.
const COPY_LIMIT: Duration = Duration::from_secs(600);
/// Deleting a store of some gigabytes; a slow disk gets minutes.
const CLEAR_LIMIT: Duration = Duration::from_secs(300);

/// The waves of a conversion, all but its beginning.
pub(crate) fn waves(
    plan: &HopPlan<'_, '_>,
    (name, conversion): (&str, &Conversion),
) -> Result<Vec<Wave>, HopFault> {
    let members: Vec<&Member<'_>> = plan.servers().collect();
    // Whoever stops last has every write that anybody was told of.
    let Some(last) = members.last() else { return Ok(Vec::new()) };
    let wave =
        |name: &str, title: &str, steps: Vec<Step>| plan.wave(name, title.to_owned(), None, steps);
    let each = |make: fn(&HopPlan<'_, '_>, &Member<'_>) -> Step| -> Vec<Step> {
        members.iter().map(|member| asked_on_host(make(plan, member))).collect()
    };
    let mut waves = vec![wave(
        "asked",
        "what must be so before it is converted",
        asked(plan, "asked", &conversion.checks)?,
    )];
    waves.retain(|wave| !wave.steps.is_empty());
    let copies = plan.copies()?;
    if copies.is_empty() {
        return Err(HopFault::NoBackup { release: plan.hop.from.clone() });
    }
    let title = format!("back up {} before its data change form", plan.words.cluster.name);
    waves.push(plan.backup_wave(title, &copies));
    waves.push(go(plan, name, conversion));
    waves.extend(dependants::stop(plan));
    // A person may have taken a day to answer: what was asked first is asked again.
    let mut settled = asked(plan, "settled", std::slice::from_ref(&conversion.settled))?;
    settled.extend(
        asked(plan, "settled", &conversion.checks)?.into_iter().enumerate().map(|(nth, step)| {
            Step { id: plan.id("settled", &format!("again-{}", nth + 1)), ..step }
        }),
    );
    waves.push(wave("settled", "nobody writes any more", settled));
    let mut stops = each(waves::stop);
    for stop in &mut stops {
        stop.precheck.extend(dependants::stand_still(plan));
        stop.undo = Undo::ByPlan {
            text: "`quorate rollback` starts it again, its data are as they were".into(),
        };
    }
    waves.push(wave("stop", "everything stops", stops));
    let made = made(plan, conversion, last)?;
    waves.extend(convert(plan, conversion, &made));
    let Some(put) = &conversion.converted.restore else { return Ok(waves) };
    let chosen = Chosen {
        recipe: &conversion.converted,
        backup: &made.converted,
        restore: put,
        taken: true,
    };
    let restores: Result<Vec<Step>, Unrendered> =
        members.iter().map(|member| put_on(plan, member, &chosen)).collect();
    waves.push(wave("restore", "every member gets what came out", restores?));
    waves.push(wave("start", "everything starts", each(waves::start)));
    waves.push(wave("rejoin", "everybody is back", each(waves::rejoin)));
    let proofs = proofs(plan, &members, &chosen)?;
    waves.push(wave("proof", "every member holds what came out", proofs));
    waves.extend(dependants::switch(plan));
    waves.extend(dependants::start(plan));
    if let Some(soak) = waves::soak(plan, last) {
        waves.push(wave("soak", "healthy time", vec![soak]));
    }
    waves.push(plan.complete());
    waves.extend(clear(plan, &members));
    Ok(waves)
}

/// Questions, each as a step: nothing is changed by them.
fn asked(plan: &HopPlan<'_, '_>, wave: &str, recipes: &[Recipe]) -> Result<Vec<Step>, Unrendered> {
    let mut steps = Vec::new();
    for (nth, recipe) in recipes.iter().enumerate() {
        let name = format!("{wave}-{}", nth + 1);
        // Not tried again: the question waits by itself, and applications stand still meanwhile.
        steps.extend(plan.recipe_steps(wave, &name, recipe, StepRole::Precheck, None)?);
    }
    Ok(steps)
}

/// A person's explicit yes, with everything that it costs.
fn go(plan: &HopPlan<'_, '_>, name: &str, conversion: &Conversion) -> Wave {
    let mut go = plan.go();
    for step in &mut go.steps {
        step.title = format!("say yes to {name}");
        let text = format!(
            "{}. {}. The whole cluster stops meanwhile, and so do its applications. The way back is open until you say that the data of before may go.",
            sentence(&conversion.title),
            sentence(&conversion.loses.join("; "))
        );
        step.action = Action::Confirm { door: Door::Finalize, text };
    }
    go.title = format!("{name} on {}", plan.hop.to);
    go
}

fn sentence(text: &str) -> String {
    let mut letters = text.trim().trim_end_matches('.').chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The two copies of a conversion.
struct Made {
    taken: Backup,
    converted: Backup,
}

fn made(
    plan: &HopPlan<'_, '_>,
    conversion: &Conversion,
    member: &Member<'_>,
) -> Result<Made, Unrendered> {
    let ConversionCopy { kind, save, by_hand, limit_secs: _ } = &conversion.copy;
    let recipe = &conversion.converted;
    let request = plan.backup_request();
    let taken_file = file_name(&request, kind, None);
    let file = file_name(&request, &recipe.kind, recipe.extension.as_deref());
    let (source, path) = (format!("{{state}}/{taken_file}"), format!("{{state}}/{file}"));
    let call = |what: &str, template, by_hand: &str, extra| -> Result<Call, Unrendered> {
        plan.words.call(&format!("{kind}-{what}"), member, template, by_hand, extra)
    };
    let of_taken = Extra { file: Some(&source), ..Extra::default() };
    let extra = Extra { file: Some(&path), source: Some(&source), ..Extra::default() };
    let proof = recipe.verify_by_hand.clone().unwrap_or_else(|| {
        format!(
            "# restore {file} into a scratch cluster, and compare it with what {taken_file} holds"
        )
    });
    let verify = call("verify", &recipe.verify, &proof, extra)?;
    let backup = |kind: &str, file, save, made_of| Backup {
        kind: kind.to_owned(),
        node: member.name().clone(),
        release: plan.hop.from.clone(),
        file,
        save,
        // The one is proved with what is made of it.
        verify: verify.clone(),
        made_of,
        sha256: None,
    };
    let taken_save = call("save", save, by_hand, of_taken)?;
    let convert = call("convert", &recipe.save, &recipe.by_hand, extra)?;
    Ok(Made {
        taken: backup(kind, taken_file.clone(), taken_save, None),
        converted: backup(&recipe.kind, file, convert, Some(taken_file)),
    })
}

/// Copies, converts and proves, while everything stands still.
fn convert(plan: &HopPlan<'_, '_>, conversion: &Conversion, made: &Made) -> Vec<Wave> {
    let node = &made.taken.node;
    let limit = |secs| Duration::try_from_secs_f64(secs).unwrap_or(COPY_LIMIT);
    let kind = &made.taken.kind;
    let mut copy = plan.look(
        plan.id("convert", kind),
        format!("copy the data of {node}, which stands still"),
        StepRole::Backup,
    );
    copy.node = Some(node.clone());
    copy.action = Action::Backup { backup: made.taken.clone() };
    copy.limit = limit(conversion.copy.limit_secs);
    let planned = PlannedBackup { recipe: &conversion.converted, backup: made.converted.clone() };
    let mut wave = plan.backup_wave(format!("{}, on this machine", conversion.title), &[planned]);
    wave.id = plan.wave_id("convert");
    let kind = &made.converted.kind;
    let names = [
        (kind.clone(), "convert the copy"),
        (format!("verify-{kind}"), "prove what came out, key by key"),
    ];
    for (step, (id, title)) in wave.steps.iter_mut().zip(names) {
        step.id = plan.id("convert", &id);
        step.title = title.to_owned();
    }
    wave.steps.insert(0, copy);
    // Nobody serves: the copy is the same however often it is taken.
    wave.steps.iter_mut().for_each(|step| step.done = None);
    vec![wave]
}

/// What a member held stays beside: this is no way that closes.
fn put_on(
    plan: &HopPlan<'_, '_>,
    member: &Member<'_>,
    chosen: &Chosen<'_>,
) -> Result<Step, Unrendered> {
    let mut step = restore(plan, member, chosen)?;
    step.title = format!("give {} what came out", member.name());
    step.one_way = false;
    step.undo = Undo::ByPlan {
        text: "`quorate rollback` brings the data folder of before back, which is kept beside"
            .into(),
    };
    Ok(step)
}

/// What is kept of the data of before goes, once a person has said so.
fn clear(plan: &HopPlan<'_, '_>, members: &[&Member<'_>]) -> Vec<Wave> {
    let mut confirm = plan.look(
        plan.id("clear", "confirm"),
        "say yes to clearing the data of before".into(),
        StepRole::Go,
    );
    confirm.action = Action::Confirm {
        door: Door::Finalize,
        text: format!(
            "The data folders of before, which lie beside those of {}, are deleted. After that nothing leads back but the backup, and what was written since is lost with it.",
            members.iter().map(|member| member.name().as_str()).collect::<Vec<_>>().join(", ")
        ),
    };
    confirm.limit = crate::hop::CONFIRM_LIMIT;
    confirm.needs_approval = true;
    let each = members.iter().enumerate().map(|(nth, member)| {
        let name = member.name();
        let id = plan.id("clear", name.as_str());
        let title = format!("delete the data of before of {name}");
        let mut step = plan.look(id, title, StepRole::Finalize);
        step.node = Some(name.clone());
        step.action = Action::Clear { node: name.clone() };
        step.limit = CLEAR_LIMIT;
        step.one_way = nth == 0;
        step.undo = Undo::BackupOnly;
        step
    });
    let steps = std::iter::once(confirm).chain(each).collect();
    vec![plan.wave("clear", "the data of before go".into(), None, steps)]
}
