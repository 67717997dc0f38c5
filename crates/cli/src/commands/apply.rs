//! `quorate prepare`, `apply`, `upgrade` and `rollback`.

use super::{carry, plan};
use crate::{
    args::{Apply, Global, Output, PlanFile, Rollback, Upgrade},
    print, site,
};
use quorate_model::{Outcome, Plan};
use quorate_planner::explain;
use quorate_runner::{
    ops::{
        calendar::may_begin,
        plan::{Made, load},
        rollback,
        run::{begin, named, prepare as stage, resume},
    },
    problem::{BAD_PLAN, NOT_NOW, Problem},
    setup::Setup,
};
use std::io::IsTerminal;

pub(crate) async fn prepare(global: &Global, args: PlanFile) -> Result<u8, Problem> {
    let setup = site::setup(global, &args.artifacts)?;
    let plan = load(&setup, &args.plan)?;
    stage_all(global, &setup, &plan).await?;
    if global.output == Output::Json {
        print::json(&serde_json::json!({ "schema": 1, "plan": plan.digest, "staged": true }));
    }
    Ok(0)
}

async fn stage_all(global: &Global, setup: &Setup, plan: &Plan) -> Result<(), Problem> {
    stage(setup, plan, |step, outcome| {
        if global.output == Output::Text {
            let said = match outcome {
                Outcome::Succeeded { note: Some(note) } => note.clone(),
                Outcome::Succeeded { note: None } => "done".into(),
                Outcome::Skipped { because }
                | Outcome::Failed { because }
                | Outcome::Unknown { because } => because.clone(),
            };
            print::say(&format!("{}: {said}", step.title));
        }
    })
    .await
}

pub(crate) async fn run(global: &Global, args: Apply) -> Result<u8, Problem> {
    let setup = site::setup(global, &args.artifacts)?;
    let options = carry::options(&args.carry);
    let carried = match (&args.plan, &args.resume) {
        (_, Some(run)) => resume(&setup, &named(&setup, Some(run))?, &options).await?,
        (Some(name), None) => {
            let plan = load(&setup, name)?;
            begin(&setup, plan, &options).await?
        }
        (None, None) => return Err(Problem::new(BAD_PLAN, "neither a plan nor a run was named")),
    };
    carry::show(global, &args.carry, carried).await
}

pub(crate) async fn upgrade(global: &Global, args: Upgrade) -> Result<u8, Problem> {
    let setup = site::setup(global, &args.plan.artifacts)?;
    let Some(plan) = plan::planned(&setup, &args.plan).await? else { return Ok(0) };
    plan::write_files(&setup, &plan, &args.plan)?;
    print::say(&explain::summary(&plan));
    agreed(&args.carry, "carry this plan out")?;
    let options = carry::options(&args.carry);
    // Asked again when the run begins; asked here so that nothing is staged into a freeze window.
    may_begin(&plan, &options, jiff::Timestamp::now())?;
    stage_all(global, &setup, &plan).await?;
    let carried = begin(&setup, plan, &options).await?;
    carry::show(global, &args.carry, carried).await
}

/// A destructive act asks; `--yes` answers; without a terminal nobody can.
pub(crate) fn agreed(carry: &crate::args::Carry, what: &str) -> Result<(), Problem> {
    agreed_to(carry.yes, what)
}

/// The same for a command that carries no run.
pub(crate) fn agreed_to(yes: bool, what: &str) -> Result<(), Problem> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Problem::new(NOT_NOW, format!("nobody is there to say yes to: {what}"))
            .hint("answer beforehand with `--yes`"));
    }
    if carry::ask(&format!("{what}? [y/N] ")) {
        Ok(())
    } else {
        Err(Problem::new(NOT_NOW, "not carried out: you did not say yes"))
    }
}

pub(crate) async fn rollback(global: &Global, args: Rollback) -> Result<u8, Problem> {
    let setup = site::setup(global, &args.artifacts)?;
    let run = named(&setup, args.run.as_deref())?;
    let plan = match rollback::make(&setup, &run).await? {
        Made::Plan(plan) => *plan,
        Made::NothingToDo(text) => {
            print::say(&format!("nothing to go back from: {text}"));
            return Ok(0);
        }
    };
    if let Some(file) = &args.plan_only {
        let text = serde_json::to_string_pretty(&plan).map_err(|error| {
            Problem::new(BAD_PLAN, format!("the plan cannot be written: {error}"))
        })?;
        plan::write(file, &text)?;
        print::data(&explain::summary(&plan));
        return Ok(0);
    }
    print::say(&explain::summary(&plan));
    for loss in &plan.losses {
        print::say(&format!("would be lost: {loss}"));
    }
    agreed(&args.carry, "go back as shown")?;
    let carried = begin(&setup, plan, &carry::options(&args.carry)).await?;
    carry::show(global, &args.carry, carried).await
}
