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
    let cluster = setup.cluster(&args.cluster)?;
    let ops::Restore { plan, other_cluster } =
        ops::restore_plan(&setup, cluster, &args.file, args.other_cluster.is_some()).await?;
    print::say(&explain::summary(&plan));
    for loss in &plan.losses {
        print::say(&format!("would be lost: {loss}"));
    }
    agreed(&args.carry, "put this backup back on every member")?;
    let mut options = carry::options(&args.carry);
    if let (Some(other), Some(reason)) = (other_cluster, &args.other_cluster) {
        options.said.push(format!("a backup of {other} is put back on {}: {reason}", args.cluster));
    }
    let carried = begin(&setup, plan, &options).await?;
    carry::show(global, &args.carry, carried).await
}
