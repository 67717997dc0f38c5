//! `quorate eject` and `rejoin`: a member is taken out of its cluster, and brought back.

use super::{apply::agreed, carry, plan};
use crate::{
    args::{Change, Eject, Global, Output, Rejoin},
    print, site,
};
use quorate_model::Plan;
use quorate_planner::explain;
use quorate_runner::{
    ops::{membership, run::begin},
    problem::{BAD_PLAN, Problem},
    setup::Setup,
};

pub(crate) async fn eject(global: &Global, args: Eject) -> Result<u8, Problem> {
    let setup = site::setup(global, &Default::default())?;
    let plan = membership::eject(&setup, &args.cluster, &args.node, &args.reason).await?;
    carried(global, &setup, plan, &args.change, &format!("take {} out", args.node)).await
}

pub(crate) async fn rejoin(global: &Global, args: Rejoin) -> Result<u8, Problem> {
    let setup = site::setup(global, &args.artifacts)?;
    let plan = membership::rejoin(&setup, &args.cluster, &args.node, &print::progress).await?;
    carried(global, &setup, plan, &args.change, &format!("bring {} back", args.node)).await
}

async fn carried(
    global: &Global,
    setup: &Setup,
    plan: Plan,
    change: &Change,
    what: &str,
) -> Result<u8, Problem> {
    if let Some(file) = &change.runbook {
        plan::write_run_book(setup, &plan, file)?;
    }
    if let Some(file) = &change.plan_only {
        let text = serde_json::to_string_pretty(&plan).map_err(|error| {
            Problem::new(BAD_PLAN, format!("the plan cannot be written: {error}"))
        })?;
        plan::write(file, &text)?;
        if global.output == Output::Json {
            print::json(&plan);
        } else {
            print::data(&explain::summary(&plan));
        }
        return Ok(0);
    }
    print::say(&explain::summary(&plan));
    agreed(&change.carry, what)?;
    let carried = begin(setup, plan, &carry::options(&change.carry)).await?;
    carry::show(global, &change.carry, carried).await
}
