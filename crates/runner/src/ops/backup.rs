//! A backup on its own, proved by a restore; and putting one back.

use super::{
    artifacts::bring,
    plan::{Made, measured, not_now, settle, state_files},
    run::hands,
    see::observe,
};
use crate::{
    hands::BackupRecord,
    problem::{NO_BACKUP, Problem, UNSEEN},
    setup::Setup,
};
use jiff::Timestamp;
use quorate_hosts::artifacts::silent;
use quorate_model::{
    ArtifactRef, Backup, Call, CallKind, Cluster, Digest, Door, Edge, Facts, Hop, HopKind,
    Observation, ObservationRef, PLAN_SCHEMA, Plan, PlanKind, Release, Risk,
};
use quorate_planner::{
    PlanRequest, Planned, RollbackRequest,
    copies::copies,
    digest::observation_digest,
    rollback::{BackupAtHand, put_back},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// A backup that was taken and proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The pack's name for the way.
    pub kind: String,
    /// Where it is.
    pub file: PathBuf,
    /// Its digest.
    pub sha256: Digest,
    /// Its size.
    pub size_bytes: u64,
    /// How it was proved.
    pub verified: String,
}

/// Ten minutes for each half: a copy of eight gigabytes, etcd's own limit, on a slow disk.
const BACKUP_LIMIT: Duration = Duration::from_secs(600);

/// Takes every backup that the pack knows for the running release, and proves each by restoring it.
pub async fn take(
    setup: &Setup,
    cluster: &Cluster,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<Vec<Taken>, Problem> {
    let pack = setup.pack(cluster)?;
    let observation = observe(setup, cluster).await?;
    let release = running(cluster, &observation)?;
    let artifact = bring(setup, &pack, &release, &silent).await?;
    let request = PlanRequest {
        cluster,
        pack: &pack,
        observation: &observation,
        to: &release,
        artifacts: std::slice::from_ref(&artifact),
        measured: &measured(setup, cluster.pack.as_str())?,
        now: Timestamp::now(),
        parent: None,
        state_files: &state_files(&setup.state_dir),
    };
    let planned = copies(&request).map_err(|refusal| not_now(cluster, &refusal))?;
    if planned.is_empty() {
        return Err(Problem::new(
            NO_BACKUP,
            format!("pack {} knows no backup for {release}", cluster.pack),
        ));
    }
    let hands = hands(setup, cluster, Arc::new(standing(cluster, &observation, &artifact)))?;
    let mut taken = Vec::new();
    for backup in planned {
        tell(&format!("staging the tools of {release} for {}", backup.node));
        hands
            .stage_tools(&backup.node, &artifact)
            .await
            .map_err(|because| Problem::new(NO_BACKUP, because))?;
        tell(&format!("saving {} from {}", backup.kind, backup.node));
        hands
            .save_copy(&backup, &[&release], BACKUP_LIMIT)
            .await
            .map_err(|because| Problem::new(NO_BACKUP, because))?;
        tell("restoring it into a scratch member and comparing");
        let record = hands
            .prove_copy(&backup, &[&release], BACKUP_LIMIT)
            .await
            .map_err(|because| Problem::new(NO_BACKUP, because))?;
        let BackupRecord { kind, sha256, size_bytes, verified, .. } = record;
        taken.push(Taken {
            kind,
            file: setup.state_dir.join(&backup.file),
            sha256,
            size_bytes,
            verified: verified.unwrap_or_default(),
        });
    }
    Ok(taken)
}

/// Plans putting a backup back on every member: the whole cluster stops meanwhile.
pub async fn restore_plan(setup: &Setup, cluster: &Cluster, file: &Path) -> Result<Plan, Problem> {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let record = BackupRecord::read(&file).map_err(|because| {
        Problem::new(NO_BACKUP, because).hint(
            "give a file that `quorate backup` or a run has taken: what it is stands beside it",
        )
    })?;
    if !record.sha256_matches {
        return Err(Problem::new(
            NO_BACKUP,
            format!(
                "{} is not what was backed up: its digest differs; nothing was touched",
                file.display()
            ),
        ));
    }
    let pack = setup.pack(cluster)?;
    let observation = observe(setup, cluster).await?;
    let release = running(cluster, &observation)?;
    let artifact = bring(setup, &pack, &release, &silent).await?;
    let node = cluster.nodes.first().map(|node| node.name.clone()).unwrap_or_else(|| "-".into());
    let by_hand = Call {
        name: "by-hand".into(),
        node: node.clone(),
        call: CallKind::Native { action: "none".into(), args: Facts::new() },
        by_hand: String::new(),
        retry_on: Vec::new(),
    };
    let relative = file.strip_prefix(&setup.state_dir).map(Path::to_owned).map_err(|_| {
        Problem::new(
            NO_BACKUP,
            format!("{} is not in the state folder {}", file.display(), setup.state_dir.display()),
        )
        .hint("copy it, with the .json beside it, into `backups/` there")
    })?;
    let backup = Backup {
        kind: record.kind.clone(),
        node,
        release: release.clone(),
        file: relative.display().to_string(),
        save: by_hand.clone(),
        verify: by_hand,
    };
    let taken_at = record.taken_at.unwrap_or_else(Timestamp::now);
    let copies = [BackupAtHand { backup, taken_at, verified: record.verified.is_some() }];
    let request = RollbackRequest {
        plan: &standing(cluster, &observation, &artifact),
        cluster,
        pack: &pack,
        observation: &observation,
        artifacts: std::slice::from_ref(&artifact),
        backups: &copies,
        measured: &measured(setup, cluster.pack.as_str())?,
        now: Timestamp::now(),
    };
    let planned: Planned = put_back(&request);
    match settle(setup, planned, cluster)? {
        Made::Plan(plan) => Ok(*plan),
        Made::NothingToDo(text) => Err(Problem::new(NO_BACKUP, text)),
    }
}

fn running(cluster: &Cluster, observation: &Observation) -> Result<Release, Problem> {
    observation.nodes.iter().filter_map(|node| node.release.clone()).min().ok_or_else(|| {
        Problem::new(UNSEEN, format!("no member of {} says which release it runs", cluster.name))
    })
}

/// A plan that moves nothing: the ground for acts on the release that runs.
fn standing(cluster: &Cluster, observation: &Observation, artifact: &ArtifactRef) -> Plan {
    let release = artifact.release.clone();
    Plan {
        schema: PLAN_SCHEMA,
        digest: Digest::new(""),
        parent: None,
        cluster: cluster.name.clone(),
        pack: cluster.pack.clone(),
        pack_digest: Digest::new(""),
        kind: PlanKind::RollbackRestore,
        from: release.clone(),
        to: release.clone(),
        observation: ObservationRef {
            taken_at: observation.taken_at,
            digest: observation_digest(observation),
        },
        observed: observation.clone(),
        policy: cluster.policy.clone(),
        hops: vec![Hop {
            from: release.clone(),
            to: release,
            kind: HopKind::FullStop,
            risk: Risk::High,
            one_way: Door::Now,
            rules: Vec::new(),
            edge: Edge {
                permitted_by: Vec::new(),
                blocks: Vec::new(),
                excused: Vec::new(),
                never_land: Vec::new(),
            },
            artifact: artifact.clone(),
            waves: Vec::new(),
        }],
        refused: Vec::new(),
        config_findings: Vec::new(),
        losses: Vec::new(),
        estimate: Duration::ZERO,
        outage: Duration::ZERO,
    }
}
