//! `quorate demo`: the main job on this machine, nothing to configure.

use super::{carry, runs};
use crate::{
    args::{Artifacts, Carry, Demo, Global, Output, ReportForm},
    print, site,
};
use quorate_model::{Outcome, Release, RunId};
use quorate_packs::Packs;
use quorate_planner::explain;
use quorate_runner::{
    ops::{
        artifacts::from_debian,
        lab::{self, LabRequest, shared_cache},
        plan::{Made, PlanOptions, make},
        release::release,
        run::{begin, named, prepare},
    },
    problem::{BAD_STATE, BUG, FILE, Problem},
    setup::Setup,
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// The road of the demo: two hops, none of which may be skipped.
const ROAD: [&str; 3] = ["3.3.25", "3.4.23", "3.5.16"];

pub(crate) async fn run(global: &Global, args: Demo) -> Result<u8, Problem> {
    let folder = tempfile::Builder::new().prefix("quorate-demo-").tempdir().map_err(|error| {
        Problem::new(FILE, format!("no folder for the demo can be made: {error}"))
    })?;
    let artifacts = fetch(&args.artifacts).await?;
    print::say(&format!(
        "setting up a three-member etcd {} cluster in {}",
        ROAD[0],
        folder.path().display()
    ));
    let name = "demo".to_owned();
    let request = LabRequest {
        pack: "etcd".into(),
        release: release(ROAD[0])?,
        members: 3,
        name: name.clone(),
        dir: folder.path().join("lab"),
        tls: false,
        auth: false,
        clients: 0,
        v2_keys: 0,
        extra_args: Vec::new(),
        artifacts: artifacts.artifacts.clone(),
        cache: Some(shared_cache()),
    };
    let (made, fleet) = lab::up(&request, &print::progress).await?;
    let outcome = upgrade(global, &args, &artifacts, &fleet, &name).await;
    // Whatever became of it: nothing is left running.
    let down = lab::down(&made.dir.display().to_string()).await;
    let code = outcome?;
    down?;
    print::say("the demo's cluster is stopped and removed");
    Ok(code)
}

/// Makes the three releases be at hand; says what was tried when one cannot be had.
async fn fetch(given: &Artifacts) -> Result<Artifacts, Problem> {
    if !given.artifacts.is_empty() {
        return Ok(given.clone());
    }
    let packs = Packs::builtin();
    let pack = site::pack(packs, "etcd")?;
    let cache = quorate_runner::Cache::open(shared_cache())
        .map_err(|error| Problem::new(BAD_STATE, error.sentence()))?;
    for text in ROAD {
        let wanted: Release = release(text)?;
        if cache.known(&pack.pack, &wanted).is_none() {
            print::say(&format!("fetching etcd {text} through apt"));
        }
        from_debian(&cache, pack, &wanted, &print::progress).await?;
    }
    Ok(given.clone())
}

async fn upgrade(
    global: &Global,
    args: &Demo,
    artifacts: &Artifacts,
    fleet: &Path,
    name: &str,
) -> Result<u8, Problem> {
    // The journal and the backups that the report names outlive the cluster. Each demo has a place of its own for them.
    let out = std::path::absolute(&args.out).unwrap_or_else(|_| args.out.clone());
    let state = out.join(format!("state-{}", jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S")));
    let own = Global { fleet: Some(fleet.to_owned()), state: Some(state), ..global.clone() };
    let mut options = site::options(&own, artifacts);
    options.cache = Some(shared_cache());
    let setup = Setup::open(&options)?;
    let cluster = setup.cluster(name)?;
    let mut policy = cluster.policy.clone();
    policy.soak = Duration::try_from_secs_f64(args.soak).map_err(|_| {
        Problem::new(
            quorate_runner::problem::BAD_FLEET,
            format!("{} is no number of seconds to soak", args.soak),
        )
    })?;
    // A person watches: looks come fast, and the baseline is short.
    policy.look_every = Duration::from_millis(100);
    policy.baseline = Duration::from_secs(3);
    let to = release(ROAD[2])?;
    let made = make(
        &setup,
        cluster,
        &to,
        PlanOptions {
            policy: Some(policy),
            parent: None,
            convert: None,
            progress: &print::progress,
        },
    )
    .await?;
    let Made::Plan(plan) = made else {
        return Err(Problem::new(BUG, "a fresh 3.3 cluster needs no upgrade to 3.5?"));
    };
    print::say(&explain::summary(&plan));
    prepare(&setup, &plan, |step, outcome| {
        if matches!(outcome, Outcome::Succeeded { .. }) {
            print::say(&format!("staged: {}", step.title));
        }
    })
    .await?;
    let carry = Carry { yes: true, ..Carry::default() };
    let carried = begin(&setup, *plan, &carry::options(&carry)).await?;
    let run = carried.run.clone();
    // In JSON the demo prints one document at its end, and says the rest on stderr.
    let shown = Global { output: Output::Text, ..global.clone() };
    let ending = carry::show(&shown, &carry, carried).await;
    let html = write_report(&setup, &named(&setup, Some(run.as_str()))?, &args.out)?;
    let (_, _, report) = runs::fold(&setup, &run)?;
    if global.output == Output::Json {
        print::data(&runs::render(&report, ReportForm::Json, Some(&html))?);
    } else {
        print::data(&runs::render(&report, ReportForm::Text, None)?);
        print::say(&format!("the report is {}", html.display()));
    }
    if !args.no_open {
        open_in_browser(&html);
    }
    ending
}

fn write_report(setup: &Setup, run: &RunId, folder: &Path) -> Result<PathBuf, Problem> {
    std::fs::create_dir_all(folder).map_err(|error| {
        Problem::new(FILE, format!("cannot make {}", folder.display())).because(error.to_string())
    })?;
    let (_, _, report) = runs::fold(setup, run)?;
    let html = std::path::absolute(folder.join("report.html"))
        .unwrap_or_else(|_| folder.join("report.html"));
    super::plan::write(&html, &runs::render(&report, ReportForm::Html, None)?)?;
    super::plan::write(
        &folder.join("report.md"),
        &runs::render(&report, ReportForm::Markdown, None)?,
    )?;
    Ok(html)
}

/// Opens the page where there is a screen to show it on; nothing is said where there is none.
fn open_in_browser(file: &Path) {
    let has_screen =
        std::env::var_os("DISPLAY").is_some() || std::env::var_os("WAYLAND_DISPLAY").is_some();
    if has_screen {
        let opened = std::process::Command::new("xdg-open")
            .arg(file)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn();
        if let Err(error) = opened {
            tracing::info!(%error, "the report could not be opened in a browser");
        }
    }
}
