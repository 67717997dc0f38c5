//! Planning: look, plan, prove, keep.

use super::{
    artifacts::{bring, bring_way},
    run::steps,
    see::observe,
};
use crate::{
    problem::{BAD_PACK, BAD_PLAN, NOT_NOW, NOT_PROVED, Problem},
    setup::Setup,
};
use jiff::Timestamp;
use quorate_checker::{Violation, check};
use quorate_hosts::artifacts::OnProgress;
use quorate_model::{
    Action, CallKind, Cluster, Digest, NotNow, Observation, PLAN_SCHEMA, Plan, Policy, Refusal,
    Release,
};
use quorate_packs::is_native;
use quorate_planner::{Measured, PlanRequest, Planned, RestartRequest, plan, restart};
use std::{collections::BTreeMap, path::Path};

/// What a person may say in place of the policy.
pub struct PlanOptions<'a> {
    /// Changes to the cluster's policy.
    pub policy: Option<Policy>,
    /// The plan that this one continues.
    pub parent: Option<Digest>,
    /// Told while releases are fetched.
    pub progress: OnProgress<'a>,
    /// The change of the form of the data that the plan shall lead through, as the pack names it.
    pub convert: Option<String>,
}

/// What planning gave.
#[derive(Debug, Clone, PartialEq)]
pub enum Made {
    /// A plan that proves.
    Plan(Box<Plan>),
    /// Every member already runs the release.
    NothingToDo(String),
}

/// Plans an upgrade of a cluster from a fresh look, proves the plan and keeps it.
pub async fn make(
    setup: &Setup,
    cluster: &Cluster,
    to: &Release,
    options: PlanOptions<'_>,
) -> Result<Made, Problem> {
    let cluster = with_policy(cluster, options.policy);
    let pack = setup.pack(&cluster)?;
    let observation = observe(setup, &cluster).await?;
    if let Some(from) = observation.nodes.iter().filter_map(|node| node.release.as_ref()).min() {
        bring_way(setup, &cluster, &pack, from, to, options.progress).await?;
        if options.convert.is_some() {
            // Its tools convert. What cannot be had is left to the planner, which says what is missing.
            let _ = bring(setup, &cluster, &pack, from, options.progress).await;
        }
    }
    let artifacts = setup.artifacts_of(&cluster);
    let measured = measured(setup, cluster.pack.as_str())?;
    let state_files = state_files(&setup.state_dir);
    let request = PlanRequest {
        cluster: &cluster,
        pack: &pack,
        observation: &observation,
        to,
        artifacts: &artifacts,
        measured: &measured,
        now: Timestamp::now(),
        parent: options.parent,
        state_files: &state_files,
        convert: options.convert.as_deref(),
    };
    settle(setup, plan(&request), &cluster, Doing::Upgrade)
        .map_err(|problem| with_unanswered(problem, &observation))
}

fn with_policy(cluster: &Cluster, policy: Option<Policy>) -> Cluster {
    Cluster { policy: policy.unwrap_or_else(|| cluster.policy.clone()), ..cluster.clone() }
}

/// What members shall be started anew with; nothing means: freshly installed, as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Anew {
    /// Settings to give, by their plain names.
    pub set: BTreeMap<String, String>,
    /// Settings to take away.
    pub unset: Vec<String>,
}

/// Plans a restart of a cluster on the release that runs, proves the plan and keeps it.
pub async fn make_restart(
    setup: &Setup,
    cluster: &Cluster,
    anew: &Anew,
    options: PlanOptions<'_>,
) -> Result<Made, Problem> {
    let cluster = with_policy(cluster, options.policy);
    let pack = setup.pack(&cluster)?;
    let observation = observe(setup, &cluster).await?;
    let running = observation.nodes.iter().filter_map(|node| node.release.as_ref()).min();
    if let Some(release) = running {
        // What cannot be had is left to the planner, which says what is missing.
        let _ = bring(setup, &cluster, &pack, release, options.progress).await;
    }
    let request = RestartRequest {
        cluster: &cluster,
        pack: &pack,
        observation: &observation,
        artifacts: &setup.artifacts_of(&cluster),
        measured: &measured(setup, cluster.pack.as_str())?,
        now: Timestamp::now(),
        state_files: &state_files(&setup.state_dir),
        set: &anew.set,
        unset: &anew.unset,
    };
    settle(setup, restart(&request), &cluster, Doing::Restart)
        .map_err(|problem| with_unanswered(problem, &observation))
}

/// What a person wants of a cluster, for the title of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// Up to another release.
    Upgrade,
    /// Started anew on the release that runs.
    Restart,
    /// Back from a run.
    GoBack,
    /// A copy of the data.
    BackUp,
    /// A copy put back.
    Restore,
    /// A member taken out or brought back.
    ChangeMembers,
}

impl Doing {
    fn words(self) -> &'static str {
        match self {
            Self::Upgrade => "be upgraded",
            Self::Restart => "be restarted",
            Self::GoBack => "go back",
            Self::BackUp => "be backed up",
            Self::Restore => "get that backup",
            Self::ChangeMembers => "change its members",
        }
    }
}

/// Proves and keeps what the planner gave, or says why there is nothing.
pub fn settle(
    setup: &Setup,
    planned: Planned,
    cluster: &Cluster,
    doing: Doing,
) -> Result<Made, Problem> {
    match planned {
        Planned::Ready(plan) => {
            every_action_is_there(&plan)?;
            prove(&plan)?;
            setup.store.save_plan(&plan)?;
            Ok(Made::Plan(plan))
        }
        Planned::NothingToDo { text, .. } => Ok(Made::NothingToDo(text)),
        Planned::NotNow(refusal) => Err(not_now(cluster, &refusal, doing)),
    }
}

/// What a pack asks for that this program cannot do must not be found missing in the middle of a run.
fn every_action_is_there(plan: &Plan) -> Result<(), Problem> {
    let calls = steps(plan).flat_map(|step| match &step.action {
        Action::Backup { backup } | Action::Verify { backup } => vec![&backup.save, &backup.verify],
        Action::Call { call } | Action::Restore { call, .. } | Action::Membership { call, .. } => {
            vec![call]
        }
        Action::TempSet { call, put_back, .. } => vec![call, put_back],
        Action::Look
        | Action::Confirm { .. }
        | Action::Stage { .. }
        | Action::TempPutBack { .. }
        | Action::Stop { .. }
        | Action::Swap { .. }
        | Action::Start { .. }
        | Action::SetAside { .. }
        | Action::List { .. }
        | Action::BringBack { .. }
        | Action::Clear { .. }
        | Action::StandStill { .. }
        | Action::Switch { .. } => Vec::new(),
    });
    let missing = calls.filter_map(|call| match &call.call {
        CallKind::Native { action, .. } if !is_native(action) => Some((call, action)),
        _ => None,
    });
    match missing.map(|(call, action)| (call.name.as_str(), action.as_str())).next() {
        None => Ok(()),
        Some((name, action)) => Err(Problem::new(
            BAD_PACK,
            format!("pack {} needs the action `{action}` for {name}, which this program does not have; nothing was touched", plan.pack),
        )
        .hint("use the Quorate that the pack was written for; `quorate pack lint` names what is missing")),
    }
}

/// Adds why members could not be seen: a reason that says `unhealthy` of a member that refused our password is no help.
fn with_unanswered(mut problem: Problem, observation: &Observation) -> Problem {
    if problem.code == NOT_NOW {
        for node in observation.nodes.iter().filter(|node| node.healthy.is_none()) {
            let unanswered = node.findings.iter().find(|finding| finding.code == "unanswered");
            problem.causes.extend(unanswered.map(|finding| finding.text.clone()));
        }
    }
    problem
}

/// The independent proof; anything found refuses.
pub fn prove(plan: &Plan) -> Result<(), Problem> {
    let found: Vec<Violation> = check(plan);
    if found.is_empty() {
        return Ok(());
    }
    let mut problem =
        Problem::new(NOT_PROVED, format!("plan {} does not prove", plan.digest.short())).hint(
            "this plan must not be carried out; if Quorate made it, please report it as a bug",
        );
    for violation in found {
        problem = problem.because(violation.to_string());
    }
    Err(problem)
}

/// A plan from a file, or one that was kept.
pub fn load(setup: &Setup, name: &str) -> Result<Plan, Problem> {
    let path = Path::new(name);
    if path.is_file() { read(path) } else { Ok(setup.store.plan(name)?) }
}

/// Reads a plan file and checks that nobody edited it.
pub fn read(path: &Path) -> Result<Plan, Problem> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Problem::new(BAD_PLAN, format!("cannot read plan {}", path.display()))
            .because(error.to_string())
    })?;
    let schema = serde_json::from_str::<serde_json::Value>(&text)
        .ok()
        .and_then(|value| value.get("schema").and_then(serde_json::Value::as_u64));
    if schema.is_some_and(|schema| schema > u64::from(PLAN_SCHEMA)) {
        return Err(Problem::new(
            BAD_PLAN,
            format!("plan {} was written by a newer Quorate", path.display()),
        )
        .hint("use that program, or make the plan again"));
    }
    let plan: Plan = serde_json::from_str(&text).map_err(|error| {
        Problem::new(BAD_PLAN, format!("{} is no plan", path.display()))
            .because(format!("line {}, column {}: {error}", error.line(), error.column()))
            .hint("make it again with `quorate plan CLUSTER --to RELEASE -o FILE`")
    })?;
    if quorate_planner::digest::plan_digest(&plan) != plan.digest {
        return Err(Problem::new(
            BAD_PLAN,
            format!(
                "plan {} was changed after it was made: its digest does not fit",
                path.display()
            ),
        )
        .hint("a plan is never edited: change the fleet file or the policy, and plan again"));
    }
    Ok(plan)
}

/// Median of what was measured, by role.
pub fn measured(setup: &Setup, pack: &str) -> Result<Measured, Problem> {
    let mut measured = Measured::new();
    for role in [
        "stage", "backup", "verify", "handover", "stop", "swap", "start", "rejoin", "complete",
        "restore",
    ] {
        let mut secs = setup.store.measured(pack, role)?;
        secs.sort_by(f64::total_cmp);
        if let Some(median) = secs.get(secs.len() / 2) {
            measured.insert(role.to_owned(), *median);
        }
    }
    Ok(measured)
}

/// Files of the state folder's backups, so that a new backup never takes the name of an old one.
pub fn state_files(state_dir: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut open = vec![state_dir.join("backups")];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if let Ok(relative) = path.strip_prefix(state_dir) {
                files.push(relative.display().to_string());
            }
            if path.is_dir() {
                open.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Why there is no plan, as a person is told.
pub fn not_now(cluster: &Cluster, refusal: &Refusal, doing: Doing) -> Problem {
    let (name, doing) = (&cluster.name, doing.words());
    let text = format!("cluster {name} cannot {doing} now; nothing was touched");
    let mut problem = Problem::new(NOT_NOW, text);
    for reason in &refusal.reasons {
        problem = problem.because(reason.to_string());
    }
    for way in &refusal.ways_out {
        problem = problem.hint(way.clone());
    }
    if refusal.reasons.iter().all(|reason| matches!(reason, NotNow::WaitingOn(_))) {
        problem = problem.hint("this clears by itself: try again in a moment");
    }
    problem
}
