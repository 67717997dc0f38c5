//! The way back of a run: planned from what is really there, and from the backups that the run took.

use super::{
    artifacts::bring,
    backup::at_hand,
    plan::{Doing, Made, measured, settle},
    run::{header, steps},
    see::observe,
};
use crate::{
    problem::{NOT_NOW, Problem},
    setup::Setup,
};
use jiff::Timestamp;
use quorate_hosts::artifacts::silent;
use quorate_model::{Action, NodeName, Plan, PlanKind, RunEvent, RunId, Seq};
use quorate_planner::{RollbackRequest, rollback, rollback::BackupAtHand};

/// Plans the way back over the last hop that a run began; nothing to do when it began none.
pub async fn make(setup: &Setup, run: &RunId) -> Result<Made, Problem> {
    let plan = setup.store.plan(header(setup, run)?.plan.as_str())?;
    if let Some(node) = plan.changed_member() {
        return Err(other_way(&plan, run, node));
    }
    let cluster = setup.cluster(plan.cluster.as_str())?;
    let pack = setup.pack(cluster)?;
    let observation = observe(setup, cluster).await?;
    for hop in &plan.hops {
        // What is not at hand any more is fetched again; what cannot be had is the planner's to say.
        let _ = bring(setup, cluster, &pack, &hop.from, &silent).await;
    }
    let backups = backups(setup, run, &plan)?;
    // Back to the settings of before this run, not to those that it left.
    let mut before = match setup.declared(plan.cluster.as_str()) {
        Some(declared) => setup.rewrites.before(declared, &plan.digest)?,
        None => cluster.clone(),
    };
    // A node that was taken out since has no way back in this.
    before.nodes.retain(|node| cluster.nodes.iter().any(|own| own.name == node.name));
    let request = RollbackRequest {
        plan: &plan,
        cluster: &before,
        pack: &pack,
        observation: &observation,
        artifacts: &setup.artifacts_of(cluster),
        backups: &backups,
        measured: &measured(setup, cluster.pack.as_str())?,
        now: Timestamp::now(),
    };
    settle(setup, rollback(&request), cluster, Doing::GoBack)
}

/// Who belongs to a cluster has no old release to go back to: the way back is the other command.
fn other_way(plan: &Plan, run: &RunId, node: &NodeName) -> Problem {
    let (did, hint) = match plan.kind {
        PlanKind::Eject => ("took", format!("quorate rejoin {} {node}", plan.cluster)),
        _ => ("brought back", format!("quorate eject {} {node} --reason WHY", plan.cluster)),
    };
    let what = if plan.kind == PlanKind::Eject { " out" } else { "" };
    Problem::new(
        NOT_NOW,
        format!("run {run} {did} {node}{what}: no release was left; nothing was touched"),
    )
    .hint(format!("its way back is `{hint}`"))
    .hint("to go back over an earlier run, name it: `quorate run list`")
}

/// The copies that a run has taken, from its journal, each read again: what is not whole any more must stop nobody.
pub fn backups(setup: &Setup, run: &RunId, plan: &Plan) -> Result<Vec<BackupAtHand>, Problem> {
    let mut found: Vec<BackupAtHand> = Vec::new();
    for recorded in setup.store.journal(run, Seq(0))? {
        let RunEvent::BackedUp { step, sha256, verified, .. } = recorded.event else { continue };
        let planned = steps(plan).find(|own| own.id == step).map(|own| &own.action);
        let Some(Action::Backup { backup } | Action::Verify { backup }) = planned else { continue };
        match found.iter_mut().find(|own| own.backup.file == backup.file) {
            Some(known) => known.verified |= verified.is_some(),
            None => {
                let mut backup = backup.clone();
                backup.sha256 = Some(sha256);
                let taken_from = Some(backup.node.clone());
                found.push(BackupAtHand {
                    taken_from,
                    verified: verified.is_some(),
                    ..at_hand(setup, backup, recorded.at)
                });
            }
        }
    }
    Ok(found)
}
