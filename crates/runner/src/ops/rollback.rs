//! The way back of a run: planned from what is really there, and from the backups that the run took.

use super::{
    artifacts::bring,
    backup::at_hand,
    plan::{Doing, Made, measured, settle},
    run::{hands, header, steps},
    see::observe,
};
use crate::{
    problem::{NOT_NOW, Problem},
    setup::Setup,
};
use jiff::Timestamp;
use quorate_hosts::artifacts::silent;
use quorate_model::{
    Action, NodeName, Plan, PlanKind, RunEvent, RunId, Seq, Step, StepId, StepRole,
};
use quorate_planner::{
    RollbackRequest, rollback,
    rollback::{BackupAtHand, Since, since},
};
use std::{collections::BTreeSet, sync::Arc};

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
    let begun: BTreeSet<StepId> = setup
        .store
        .journal(run, Seq(0))?
        .into_iter()
        .filter_map(|recorded| match recorded.event {
            RunEvent::Started { step, .. } => Some(step),
            // An application that was started when the run halted runs as well.
            RunEvent::PutBack { key, .. } => starts(&plan, &key),
            _ => None,
        })
        .collect();
    // Back to the settings of before this run, not to those that it left.
    let mut before = match setup.declared(plan.cluster.as_str()) {
        Some(declared) => setup.rewrites.before(declared, &plan.digest)?,
        None => cluster.clone(),
    };
    // A node that was taken out since has no way back in this.
    before.nodes.retain(|node| cluster.nodes.iter().any(|own| own.name == node.name));
    let mut request = RollbackRequest {
        plan: &plan,
        cluster: &before,
        pack: &pack,
        observation: &observation,
        artifacts: &setup.artifacts_of(cluster),
        backups: &backups,
        begun: Some(&begun),
        since: None,
        measured: &measured(setup, cluster.pack.as_str())?,
        now: Timestamp::now(),
    };
    let said = written_since(setup, &request).await?;
    request.since = said.as_deref();
    settle(setup, rollback(&request), cluster, Doing::GoBack)
}

/// The step that starts an application, by the key of its standing still.
fn starts(plan: &Plan, key: &str) -> Option<StepId> {
    let puts = |step: &&Step| {
        step.role == StepRole::DependantStart
            && matches!(&step.action, Action::TempPutBack { key: own } if own == key)
    };
    steps(plan).find(puts).map(|step| step.id.clone())
}

/// What a member says of what was written since a conversion, so that what would be lost of it is told before anybody is asked.
async fn written_since(
    setup: &Setup,
    request: &RollbackRequest<'_>,
) -> Result<Option<String>, Problem> {
    let (cluster, plan) = (request.cluster, request.plan);
    let file = format!("since/{}/{}", cluster.name, request.now.strftime("%Y%m%dT%H%M%S"));
    let Some(Since { call, file, limit }) = since(request, &file) else { return Ok(None) };
    let hands = hands(setup, cluster, Arc::new(plan.clone()))?;
    let said = hands.say(&call, &[&plan.from], limit).await.into_result();
    // The plan's own step asks again: this was for the person who is asked.
    let _ = std::fs::remove_file(setup.state_dir.join(file));
    said.map(Some).map_err(|because| {
        let text = format!("nobody knows what was written since: {because}; nothing was touched");
        Problem::new(NOT_NOW, text).hint("see why that member does not tell, then go back again")
    })
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
