//! Data are put on stopped members from a copy: the steps that a way back and a conversion have in common.

use crate::{
    hop::{HopPlan, named, seen_on_host},
    members::Member,
    template::{Extra, Unrendered},
};
use quorate_model::{Action, Backup, Step, StepRole, Undo};
use quorate_packs::{BackupRecipe, CallTemplate};
use std::time::Duration;

/// The copy that is put on members, and how.
#[derive(Clone, Copy)]
pub(crate) struct Chosen<'a> {
    pub(crate) recipe: &'a BackupRecipe,
    pub(crate) backup: &'a Backup,
    pub(crate) restore: &'a CallTemplate,
    /// Waves that take and prove it, for one that is not at hand yet.
    pub(crate) taken: bool,
}

/// A member that runs the release already must stop too, for its data are put back: what it runs answers nothing here.
pub(crate) fn asked_on_host(mut step: Step) -> Step {
    let name = match step.role {
        StepRole::Stop => "stopped",
        StepRole::Swap => "swapped",
        StepRole::Start => "started",
        _ => return step,
    };
    step.done = Some(seen_on_host(name, step.title.clone()));
    step
}

/// Sees that the data really came back: by what the pack asks of the whole cluster, and by a comparison of one member with
/// the copy. That the others hold the same is what their rejoin gates have seen.
pub(crate) fn proofs(
    plan: &HopPlan<'_, '_>,
    members: &[&Member<'_>],
    chosen: &Chosen<'_>,
) -> Result<Vec<Step>, Unrendered> {
    let Some(first) = members.first() else { return Ok(Vec::new()) };
    let (recipe, backup) = (chosen.recipe, chosen.backup);
    let mut steps = Vec::new();
    let conditions = recipe.restored.iter().filter(|condition| {
        condition.releases.as_ref().is_none_or(|range| range.contains(&plan.hop.to))
    });
    let conditions = conditions
        .map(|asked| {
            let cel = plan.words.text(&asked.name, first, &asked.cel, Extra::default())?;
            Ok(named(&asked.name, cel, asked.text.clone()))
        })
        .collect::<Result<Vec<_>, Unrendered>>()?;
    if !conditions.is_empty() {
        let title = "see that the members run with the data that were put back".to_owned();
        let mut look = plan.look(plan.id("proof", "seen"), title, StepRole::Verify);
        look.gate = Some(plan.gate("restored", conditions, plan.policy.rejoin_limit));
        steps.push(look);
    }
    let path = format!("{{state}}/{}", backup.file);
    let extra = Extra { file: Some(&path), ..Extra::default() };
    let what = format!("{}-compare", recipe.kind);
    let template = recipe.verify_restored.as_ref().unwrap_or(&recipe.verify);
    let by_hand = recipe
        .verify_by_hand
        .clone()
        .unwrap_or_else(|| format!("# compare the data of {} with {}", first.name(), backup.file));
    let call = plan.words.call(&what, first, template, &by_hand, extra)?;
    let title = format!("compare {} with {}, which was put back", first.name(), backup.file);
    let mut compare = plan.look(plan.id("proof", "compare"), title, StepRole::Verify);
    compare.node = Some(first.name().clone());
    compare.action = Action::Call { call };
    compare.limit = Duration::try_from_secs_f64(recipe.limit_secs).unwrap_or(RESTORE_LIMIT);
    steps.push(compare);
    Ok(steps)
}

pub(crate) fn restore(
    plan: &HopPlan<'_, '_>,
    member: &Member<'_>,
    chosen: &Chosen<'_>,
) -> Result<Step, Unrendered> {
    let (name, backup) = (member.name(), chosen.backup);
    let path = format!("{{state}}/{}", backup.file);
    let extra = Extra { file: Some(&path), ..Extra::default() };
    let what = format!("{}-restore", chosen.recipe.kind);
    let recipe = chosen.recipe;
    let call = plan.words.call(&what, member, chosen.restore, &recipe.restore_by_hand, extra)?;
    let title = format!("restore {} on {name} with the tools of {}", backup.file, plan.hop.to);
    let mut step = plan.look(plan.id(name.as_str(), "restore"), title, StepRole::Restore);
    step.node = Some(name.clone());
    step.action =
        Action::Restore { node: name.clone(), backup: Box::new(backup.clone()), call, joins: None };
    step.done = Some(seen_on_host("restored", format!("{name} holds the data of {}", backup.file)));
    step.limit = Duration::try_from_secs_f64(recipe.limit_secs).unwrap_or(RESTORE_LIMIT);
    step.one_way = true;
    step.undo = Undo::BackupOnly;
    Ok(step)
}

/// Ten minutes, for a recipe whose own limit is no number.
const RESTORE_LIMIT: Duration = Duration::from_secs(600);
