//! A backup on its own, proved by a restore; and putting one back.

use super::{
    artifacts::bring,
    plan::{Doing, Made, measured, not_now, settle, state_files},
    run::hands,
    see::observe,
};
use crate::{
    hands::{BackupRecord, copy_whole, put_back as put_back_by},
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
    let artifact = bring(setup, cluster, &pack, &release, &silent).await?;
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
        convert: None,
    };
    let planned = copies(&request).map_err(|refusal| not_now(cluster, &refusal, Doing::BackUp))?;
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

/// A backup that is to be put back.
#[derive(Debug, Clone, PartialEq)]
pub struct Restore {
    /// How.
    pub plan: Plan,
    /// The other cluster that it is a backup of, when it is.
    pub other_cluster: Option<String>,
}

/// Plans putting a backup back on every member, running or not: the whole cluster stops meanwhile. A backup of another
/// cluster is refused unless a person lets it be put back all the same.
pub async fn restore_plan(
    setup: &Setup,
    cluster: &Cluster,
    file: &Path,
    let_other_cluster: bool,
) -> Result<Restore, Problem> {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let record = BackupRecord::read(&file).map_err(|because| {
        Problem::new(NO_BACKUP, because).hint(
            "give a file that `quorate backup` or a run has taken: what it is stands beside it",
        )
    })?;
    record
        .whole(&file)
        .map_err(|because| Problem::new(NO_BACKUP, format!("{because}; nothing was touched")))?;
    let relative = file.strip_prefix(&setup.state_dir).map_err(|_| {
        Problem::new(
            NO_BACKUP,
            format!("{} is not in the state folder {}", file.display(), setup.state_dir.display()),
        )
        .hint("copy it, with the .json beside it, into `backups/` there")
    })?;
    let pack = setup.pack(cluster)?;
    let before = earlier_look(setup, cluster)?;
    let observation = observe(setup, cluster).await?;
    let other_cluster =
        other_cluster(setup, cluster, &[Some(&observation), before.as_ref()], &record)?;
    if let (Some(other), false) = (&other_cluster, let_other_cluster) {
        let text = format!("{} is a backup of {other}, not of {}", file.display(), cluster.name);
        return Err(Problem::new(NO_BACKUP, format!("{text}; nothing was touched"))
            .hint("name the cluster that it belongs to, or say why it shall be put back here all the same with `--other-cluster REASON`"));
    }
    let release = release_for(cluster, &observation, &record)?;
    let artifact = bring(setup, cluster, &pack, &release, &silent).await?;
    let copies =
        [of_record(setup, cluster, &observation, &record, relative, other_cluster.clone())];
    let look = before.as_ref().unwrap_or(&observation);
    let request = RollbackRequest {
        plan: &standing(cluster, look, &artifact),
        cluster,
        pack: &pack,
        observation: &observation,
        artifacts: std::slice::from_ref(&artifact),
        backups: &copies,
        begun: None,
        since: None,
        measured: &measured(setup, cluster.pack.as_str())?,
        now: Timestamp::now(),
    };
    let planned: Planned = put_back(&request);
    match settle(setup, planned, cluster, Doing::Restore)? {
        Made::Plan(plan) => Ok(Restore { plan: *plan, other_cluster }),
        Made::NothingToDo(text) => Err(Problem::new(NO_BACKUP, text)),
    }
}

/// The newest look that knows every declared node as a member, for what a cluster that does not answer cannot say.
fn earlier_look(setup: &Setup, cluster: &Cluster) -> Result<Option<Observation>, Problem> {
    let knows_all = |look: &Observation| {
        let known = |node: &quorate_model::Node| {
            let seen = look.nodes.iter().find(|seen| seen.name == node.name);
            seen.is_some_and(|seen| seen.member_id.is_some())
        };
        look.facts.contains_key("members") && cluster.nodes.iter().all(known)
    };
    let last = setup.store.last_observation(&cluster.name)?;
    if let Some(last) = last.filter(knows_all) {
        return Ok(Some(last));
    }
    // Looks at a cluster that is down push the older ones out; plans keep what they were made from.
    Ok(plans_of(setup, cluster)?.map(|plan| plan.observed).find(knows_all))
}

/// The plans of a cluster's runs, the newest first. A plan that cannot be read tells nothing.
fn plans_of<'a>(
    setup: &'a Setup,
    cluster: &Cluster,
) -> Result<impl Iterator<Item = Plan> + use<'a>, Problem> {
    let name = cluster.name.clone();
    let runs = setup.store.runs()?.into_iter().filter(move |run| run.cluster == name);
    Ok(runs.filter_map(|run| setup.store.plan(run.plan.as_str()).ok()))
}

/// The other cluster that a backup is of; none when it is of this one, as far as its record and the product say. A restore
/// gives a cluster a new id: every id that it had before is its own.
fn other_cluster(
    setup: &Setup,
    cluster: &Cluster,
    looks: &[Option<&Observation>],
    record: &BackupRecord,
) -> Result<Option<String>, Problem> {
    if let Some(pack) = record.pack.as_ref().filter(|pack| **pack != cluster.pack) {
        return Err(Problem::new(
            NO_BACKUP,
            format!("the backup is one of {pack}, {} runs {}", cluster.name, cluster.pack),
        ));
    }
    if let Some(name) = record.cluster.as_ref().filter(|name| **name != cluster.name) {
        return Ok(Some(format!("cluster {name}")));
    }
    let Some(taken) = &record.cluster_id else { return Ok(None) };
    let own = own_ids(setup, cluster, looks)?;
    match own.first() {
        Some(known) if !own.contains(taken) => {
            Ok(Some(format!("a cluster with id {taken} ({} has {known})", cluster.name)))
        }
        _ => Ok(None),
    }
}

/// The ids by which the product has called a cluster, as far as this state folder knows: the newest first.
fn own_ids(
    setup: &Setup,
    cluster: &Cluster,
    looks: &[Option<&Observation>],
) -> Result<Vec<String>, Problem> {
    let mut own: Vec<String> =
        looks.iter().flatten().filter_map(|look| look.cluster_id()).collect();
    for plan in plans_of(setup, cluster)? {
        own.extend(plan.observed.cluster_id());
        // A cluster that was down when a copy was put back told no id. What the copy was of, it was itself.
        for backup in put_back_by(&plan) {
            let record = BackupRecord::read(&setup.state_dir.join(&backup.file)).ok();
            let record = record.filter(|record| Some(&record.sha256) == backup.sha256.as_ref());
            own.extend(record.and_then(|record| record.cluster_id));
        }
    }
    Ok(own)
}

/// The release that the data are put back on: what the copy was taken on, when a member has it, else the lowest.
fn release_for(
    cluster: &Cluster,
    observation: &Observation,
    record: &BackupRecord,
) -> Result<Release, Problem> {
    let nodes = observation.nodes.iter();
    let at_hand: Vec<&Release> =
        nodes.filter_map(|node| node.release.as_ref().or(node.disk_release.as_ref())).collect();
    let same = at_hand.iter().find(|release| ***release == record.release);
    same.or_else(|| at_hand.iter().min()).map(|release| (*release).clone()).ok_or_else(|| {
        Problem::new(
            UNSEEN,
            format!(
                "no member of {} says which release it runs, and no binary on their disks does",
                cluster.name
            ),
        )
        .hint("give the nodes a `service` in the fleet file whose first word is the binary")
    })
}

/// A backup by what stands beside it.
fn of_record(
    setup: &Setup,
    cluster: &Cluster,
    observation: &Observation,
    record: &BackupRecord,
    file: &Path,
    other_cluster: Option<String>,
) -> BackupAtHand {
    let node = record.node.clone().unwrap_or_else(|| UNNAMED.into());
    let nothing = Call {
        name: "by-hand".into(),
        node: node.clone(),
        call: CallKind::Native { action: "none".into(), args: Facts::new() },
        by_hand: String::new(),
        retry_on: Vec::new(),
    };
    let backup = Backup {
        kind: record.kind.clone(),
        node,
        release: record.release.clone(),
        file: file.display().to_string(),
        save: nothing.clone(),
        verify: nothing,
        made_of: None,
        sha256: Some(record.sha256.clone()),
    };
    let mut unknown = Vec::new();
    if record.cluster.is_none() {
        unknown.push(format!("whether it is a backup of {} at all", cluster.name));
    } else if record.cluster_id.is_none() || observation.cluster_id().is_none() {
        unknown.push(format!("whether the cluster was this {}, by its id", cluster.name));
    }
    if record.node.is_none() {
        unknown.push("from which member it was taken".to_owned());
    }
    let taken_at = record.taken_at.unwrap_or(Timestamp::UNIX_EPOCH);
    if record.taken_at.is_none() {
        unknown.push("when it was taken".to_owned());
    }
    BackupAtHand {
        taken_from: record.node.clone(),
        verified: record.verified.is_some(),
        other_cluster,
        unknown,
        ..at_hand(setup, backup, taken_at)
    }
}

/// Stands where a plan needs a name and nobody wrote one down.
const UNNAMED: &str = "-";

/// A copy with its file read again.
pub(super) fn at_hand(setup: &Setup, backup: Backup, taken_at: Timestamp) -> BackupAtHand {
    let fault = copy_whole(&setup.state_dir, &backup).err();
    BackupAtHand {
        backup,
        taken_at,
        verified: false,
        taken_from: None,
        other_cluster: None,
        fault,
        unknown: Vec::new(),
    }
}

pub(super) fn running(cluster: &Cluster, observation: &Observation) -> Result<Release, Problem> {
    observation.nodes.iter().filter_map(|node| node.release.clone()).min().ok_or_else(|| {
        Problem::new(UNSEEN, format!("no member of {} says which release it runs", cluster.name))
    })
}

/// A plan that moves nothing: the ground for acts on the release that runs.
pub(super) fn standing(
    cluster: &Cluster,
    observation: &Observation,
    artifact: &ArtifactRef,
) -> Plan {
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
            conversion: None,
            risk: Risk::High,
            one_way: Door::Now,
            rules: Vec::new(),
            edge: Edge {
                permitted_by: Vec::new(),
                blocks: Vec::new(),
                excused: Vec::new(),
                never_land: Vec::new(),
                protocols: Vec::new(),
            },
            artifact: artifact.clone(),
            waves: Vec::new(),
        }],
        refused: Vec::new(),
        config_findings: Vec::new(),
        dependants: cluster.dependants.clone(),
        losses: Vec::new(),
        estimate: Duration::ZERO,
        outage: Duration::ZERO,
    }
}
