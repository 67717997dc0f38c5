//! `quorate plan` and `quorate check`.

use crate::{
    args::{Aim, Approve, Check, Global, Limits, Output, PlanArgs},
    print, site,
};
use quorate_checker::check as prove;
use quorate_model::{Cluster, Plan, Policy, Release};
use quorate_planner::explain::{self, RunBook};
use quorate_runner::{
    ops::{
        plan::{Anew, Made, PlanOptions, make, make_restart, read},
        release::release_of,
    },
    problem::{BAD_SETTING, FILE, Problem},
    setup::Setup,
};
use std::{path::Path, time::Duration};

pub(crate) async fn run(global: &Global, args: PlanArgs) -> Result<u8, Problem> {
    let setup = site::setup(global, &args.artifacts)?;
    let Some(plan) = planned(&setup, &args).await? else { return Ok(0) };
    write_files(&setup, &plan, &args)?;
    if global.output == Output::Json {
        print::json(&plan);
    } else {
        print::data(&explain::summary(&plan));
        print::say(&format!(
            "plan {} is kept; carry it out with `quorate apply {}`",
            plan.digest.short(),
            plan.digest.short()
        ));
    }
    Ok(0)
}

/// Makes the plan, or says that there is nothing to do.
pub(crate) async fn planned(setup: &Setup, args: &PlanArgs) -> Result<Option<Plan>, Problem> {
    let cluster = setup.cluster(&args.cluster)?;
    let pack = setup.pack(cluster)?;
    let options = PlanOptions {
        policy: Some(policy(cluster, &args.limits)?),
        parent: None,
        progress: &print::progress,
        convert: args.aim.convert.clone(),
    };
    let made = match &args.aim.to {
        Some(to) => {
            let at_hand: Vec<Release> = setup
                .artifacts(&cluster.pack)
                .into_iter()
                .map(|artifact| artifact.release)
                .collect();
            make(setup, cluster, &release_of(&pack, to, &at_hand)?, options).await?
        }
        None => make_restart(setup, cluster, &anew(&args.aim)?, options).await?,
    };
    match made {
        Made::Plan(plan) => Ok(Some(*plan)),
        Made::NothingToDo(text) => {
            print::say(&text);
            Ok(None)
        }
    }
}

/// The settings of the command line, by their plain names: `raft_protocol` and `raft-protocol` are one.
fn anew(aim: &Aim) -> Result<Anew, Problem> {
    let plain = |key: &str| key.trim_start_matches('-').replace('_', "-");
    let mut anew = Anew::default();
    for word in &aim.set {
        let (key, value) =
            word.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
                Problem::new(BAD_SETTING, format!("`{word}` is no setting"))
                    .hint("write KEY=VALUE, like `raft-protocol=3`; `--unset KEY` takes one away")
            })?;
        anew.set.insert(plain(key), value.to_owned());
    }
    anew.unset = aim.unset.iter().map(|key| plain(key)).collect();
    if let Some(key) = anew.unset.iter().find(|key| anew.set.contains_key(*key)) {
        return Err(Problem::new(
            BAD_SETTING,
            format!("{key} cannot be set and taken away at once"),
        ));
    }
    Ok(anew)
}

pub(crate) fn write_files(setup: &Setup, plan: &Plan, args: &PlanArgs) -> Result<(), Problem> {
    if let Some(file) = &args.out {
        let text = serde_json::to_string_pretty(plan)
            .map_err(|error| Problem::new(FILE, format!("the plan cannot be written: {error}")))?;
        write(file, &text)?;
    }
    if let Some(file) = &args.runbook {
        write_run_book(setup, plan, file)?;
    }
    Ok(())
}

pub(crate) fn write_run_book(setup: &Setup, plan: &Plan, file: &Path) -> Result<(), Problem> {
    let cluster = setup.cluster(plan.cluster.as_str())?;
    let pack = setup.pack(cluster)?;
    let state_dir = std::path::absolute(&setup.state_dir).unwrap_or(setup.state_dir.clone());
    let ssh = &setup.declared.ssh;
    let book = RunBook { plan, pack: &pack, cluster, state_dir: &state_dir, ssh };
    write(file, &explain::run_book(&book))
}

pub(crate) fn write(file: &Path, text: &str) -> Result<(), Problem> {
    std::fs::write(file, text).map_err(|error| {
        Problem::new(FILE, format!("cannot write {}", file.display())).because(error.to_string())
    })
}

/// The cluster's policy with what was said on the command line.
pub(crate) fn policy(cluster: &Cluster, limits: &Limits) -> Result<Policy, Problem> {
    let mut policy = cluster.policy.clone();
    if let Some(secs) = limits.soak {
        policy.soak = Duration::try_from_secs_f64(secs).map_err(|_| {
            Problem::new(
                quorate_runner::problem::BAD_FLEET,
                format!("{secs} is no number of seconds to soak"),
            )
        })?;
    }
    if let Some(approve) = limits.approve {
        policy.approve = match approve {
            Approve::Each => quorate_model::Approve::Each,
            Approve::Wave => quorate_model::Approve::Wave,
            Approve::None => quorate_model::Approve::None,
        };
    }
    policy.rewrite_config |= limits.rewrite_config;
    policy.allow_outage |= limits.allow_outage;
    Ok(policy)
}

pub(crate) fn check(global: &Global, args: &Check) -> Result<u8, Problem> {
    let path = Path::new(&args.plan);
    // A file needs no state; a digest is looked up in it.
    let plan = if path.is_file() {
        read(path)?
    } else {
        site::setup(global, &Default::default())?.store.plan(&args.plan)?
    };
    let violations = prove(&plan);
    if global.output == Output::Json {
        let found: Vec<_> = violations.iter().map(|one| serde_json::json!(one)).collect();
        print::json(
            &serde_json::json!({ "schema": 1, "plan": plan.digest, "proved": found.is_empty(), "violations": found, "notes": explain::notes(&plan) }),
        );
    } else if violations.is_empty() {
        print::data(&format!("plan {} proves: S1 to S12 hold", plan.digest.short()));
    } else {
        for violation in &violations {
            print::data(&violation.to_string());
        }
    }
    if global.output != Output::Json {
        for note in explain::notes(&plan) {
            print::say(&format!("note: {note}"));
        }
    }
    Ok(if violations.is_empty() { 0 } else { 3 })
}
