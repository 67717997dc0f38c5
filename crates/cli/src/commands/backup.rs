//! `quorate backup` and `quorate restore`.

use super::{apply::agreed, carry};
use crate::{
    args::{Backup, Global, Output, Restore},
    print, site,
};
use quorate_planner::explain;
use quorate_runner::{
    ops::{backup as ops, run::begin},
    problem::Problem,
};
use serde_json::json;

pub(crate) async fn backup(global: &Global, args: Backup) -> Result<u8, Problem> {
    let setup = site::setup(global, &args.artifacts)?;
    let taken = ops::take(&setup, setup.cluster(&args.cluster)?, &|text| print::say(text)).await?;
    if global.output == Output::Json {
        let all: Vec<_> = taken
            .iter()
            .map(|one| json!({ "kind": one.kind, "file": one.file, "sha256": one.sha256, "size_bytes": one.size_bytes, "verified": one.verified }))
            .collect();
        print::json(&json!({ "schema": 1, "cluster": args.cluster, "backups": all }));
    } else {
        for one in taken {
            print::data(&format!(
                "{}\n  {} bytes, sha256 {}\n  {}",
                one.file.display(),
                one.size_bytes,
                one.sha256,
                one.verified
            ));
        }
    }
    Ok(0)
}

pub(crate) async fn restore(global: &Global, args: Restore) -> Result<u8, Problem> {
    let setup = site::setup(global, &args.artifacts)?;
    let plan = ops::restore_plan(&setup, setup.cluster(&args.cluster)?, &args.file).await?;
    print::say(&explain::summary(&plan));
    for loss in &plan.losses {
        print::say(&format!("would be lost: {loss}"));
    }
    agreed(&args.carry, "put this backup back on every member")?;
    let carried = begin(&setup, plan, &carry::options(&args.carry)).await?;
    carry::show(global, &args.carry, carried).await
}
