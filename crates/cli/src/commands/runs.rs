//! `quorate run`: everything about runs, from any terminal.

use super::{carry, plan::write};
use crate::{
    args::{Artifacts, Global, Output, Report as ReportArgs, ReportForm, Resume, RunCommand},
    print,
    screen::live,
    site,
};
use quorate_model::{Lease, Plan, Recorded, RunEvent, RunId, RunState, Seq};
use quorate_report::{Fold, Report, words};
use quorate_runner::{
    ops::run::{header, named, resume, say},
    problem::{BUG, NOT_NOW, Problem},
    setup::{Setup, holder},
};
use serde_json::json;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::mpsc::unbounded_channel;

/// How often `watch` reads the journal: as often as the run itself listens.
const WATCH_EVERY: Duration = Duration::from_millis(200);

pub(crate) async fn run(global: &Global, command: RunCommand) -> Result<u8, Problem> {
    if let RunCommand::Resume(args) = command {
        return take_up(global, args).await;
    }
    let setup = site::setup(global, &Artifacts::default())?;
    match command {
        RunCommand::List => list(global, &setup),
        RunCommand::Show(args) => show(global, &setup, &named(&setup, args.run.as_deref())?),
        RunCommand::Watch(args) => {
            watch(global, &setup, &named(&setup, args.run.as_deref())?, args.plain).await
        }
        RunCommand::Pause(args) => {
            let run = named(&setup, args.run.as_deref())?;
            tell(
                &setup,
                &run,
                RunEvent::PauseRequested { by: holder().who, reason: args.reason },
                "it pauses at the next safe point",
            )
        }
        RunCommand::Abort(args) => {
            let run = named(&setup, args.run.as_deref())?;
            tell(
                &setup,
                &run,
                RunEvent::AbortRequested { by: holder().who, reason: args.reason },
                "it ends at the next safe point",
            )
        }
        RunCommand::Approve(args) => approve(&setup, &named(&setup, args.run.as_deref())?),
        RunCommand::Note(args) => {
            let run = named(&setup, Some(&args.run))?;
            tell(
                &setup,
                &run,
                RunEvent::Note { by: holder().who, text: args.text },
                "it is written down",
            )
        }
        RunCommand::Report(args) => report(global, &setup, &args),
        RunCommand::Resume(_) => Ok(0),
    }
}

async fn take_up(global: &Global, args: Resume) -> Result<u8, Problem> {
    let setup = site::setup(global, &args.artifacts)?;
    let run = named(&setup, args.run.as_deref())?;
    let carried = resume(&setup, &run, &carry::options(&args.carry)).await?;
    carry::show(global, &args.carry, carried).await
}

/// The plan, the journal and the report of a run, as they stand now.
pub(crate) fn fold(setup: &Setup, run: &RunId) -> Result<(Plan, Vec<Recorded>, Report), Problem> {
    let plan = setup.store.plan(header(setup, run)?.plan.as_str())?;
    let journal = setup.store.journal(run, Seq(0))?;
    let report = Report::fold(&plan, &journal).of_run(run.clone());
    Ok((plan, journal, report))
}

fn list(global: &Global, setup: &Setup) -> Result<u8, Problem> {
    let runs = setup.store.runs()?;
    if global.output == Output::Json {
        print::json(&json!({ "schema": 1, "runs": runs }));
        return Ok(0);
    }
    let rows: Vec<Vec<String>> = runs
        .iter()
        .map(|run| {
            let held = carrier(setup, &run.run).ok().flatten();
            let state = match (&run.state, &held) {
                (RunState::Running | RunState::AwaitingApproval { .. }, None) => {
                    "interrupted".to_owned()
                }
                (RunState::Running, Some(_)) => "running".to_owned(),
                (RunState::Paused { by }, _) => format!("paused by {by}"),
                (RunState::AwaitingApproval { step }, _) => format!("waits for approval of {step}"),
                (RunState::Ended { end }, _) => end_word(end),
            };
            let by = held.map_or_else(|| "-".to_owned(), |lease| lease.holder.who);
            vec![
                run.run.to_string(),
                run.cluster.to_string(),
                words::moment(run.began_at),
                state,
                by,
                run.plan.short().to_owned(),
            ]
        })
        .collect();
    print::data(&print::table(&["RUN", "CLUSTER", "BEGAN", "STATE", "HELD BY", "PLAN"], &rows));
    Ok(0)
}

/// Who carries a run now: its lease is held and has not ended.
fn carrier(setup: &Setup, run: &RunId) -> Result<Option<Lease>, Problem> {
    let cluster = header(setup, run)?.cluster;
    let lease = setup.store.lease(&cluster)?;
    Ok(lease.filter(|lease| lease.run == *run && lease.expires_at > jiff::Timestamp::now()))
}

fn end_word(end: &quorate_model::RunEnd) -> String {
    match end {
        quorate_model::RunEnd::Succeeded => "succeeded".into(),
        quorate_model::RunEnd::Halted { hold } => format!("halted ({})", hold.code),
        quorate_model::RunEnd::Aborted { by, .. } => format!("aborted by {by}"),
    }
}

fn show(global: &Global, setup: &Setup, run: &RunId) -> Result<u8, Problem> {
    let (_, _, report) = fold(setup, run)?;
    let report = report.at(jiff::Timestamp::now());
    let mut answer = report.answer();
    let ended = matches!(report.state, RunState::Ended { .. } | RunState::Paused { .. });
    if !ended && carrier(setup, run)?.is_none() {
        answer.must_act =
            format!("you: nobody carries this run any more; `quorate run resume {run}` goes on");
    }
    if global.output == Output::Json {
        print::json(
            &json!({ "schema": 1, "run": run, "outcome": report.outcome(), "answer": answer }),
        );
    } else {
        print::data(&answer.to_string());
    }
    Ok(0)
}

async fn watch(global: &Global, setup: &Setup, run: &RunId, plain: bool) -> Result<u8, Problem> {
    let header = header(setup, run)?;
    let plan = setup.store.plan(header.plan.as_str())?;
    if !stands(&header.state) && carry::on_a_screen(global, plain) {
        return watch_live(setup, run, &plan).await;
    }
    let mut after = Seq(0);
    let mut tick = tokio::time::interval(WATCH_EVERY);
    loop {
        tick.tick().await;
        for recorded in setup.store.journal(run, after)? {
            after = recorded.seq;
            carry::line(global, &recorded, &plan);
        }
        if stands(&self::header(setup, run)?.state) {
            return Ok(0);
        }
    }
}

/// Nothing more happens until a person takes it up.
fn stands(state: &RunState) -> bool {
    matches!(state, RunState::Ended { .. } | RunState::Paused { .. })
}

async fn watch_live(setup: &Setup, run: &RunId, plan: &Plan) -> Result<u8, Problem> {
    let (sender, events) = unbounded_channel();
    let (said, mut asked) = unbounded_channel();
    let over = Arc::new(AtomicBool::new(false));
    let fold = Fold::new(plan).of_run(run.clone());
    let screen = live::watch(fold, events, over.clone(), move |event| drop(said.send(event)));
    tokio::pin!(screen);
    let mut after = Seq(0);
    let mut tick = tokio::time::interval(WATCH_EVERY);
    let mut read = || -> Result<(), Problem> {
        for recorded in setup.store.journal(run, after)? {
            after = recorded.seq;
            // A screen that was left needs no more events.
            let _ = sender.send(recorded);
        }
        if stands(&header(setup, run)?.state) {
            over.store(true, Ordering::SeqCst);
        }
        Ok(())
    };
    let fault = loop {
        let done = tokio::select! {
            shown = &mut screen => return shown.map(|()| 0),
            Some(event) = asked.recv() => say(setup, run, &event),
            _ = tick.tick() => read(),
        };
        if let Err(problem) = done {
            break problem;
        }
    };
    // The terminal is given back before anything is said on it.
    over.store(true, Ordering::SeqCst);
    screen.await?;
    Err(fault)
}

fn tell(setup: &Setup, run: &RunId, event: RunEvent, said: &str) -> Result<u8, Problem> {
    say(setup, run, &event)?;
    print::say(&format!("run {run}: {said}"));
    Ok(0)
}

fn approve(setup: &Setup, run: &RunId) -> Result<u8, Problem> {
    match header(setup, run)?.state {
        RunState::AwaitingApproval { step } => {
            if carrier(setup, run)?.is_none() {
                print::say(&format!(
                    "nobody carries this run any more: after the yes, `quorate run resume {run}` goes on"
                ));
            }
            tell(
                setup,
                run,
                RunEvent::Approved { step: step.clone(), by: holder().who },
                &format!("{step} is approved"),
            )
        }
        _ => Err(Problem::new(NOT_NOW, format!("run {run} waits for no approval"))
            .hint(format!("see `quorate run show {run}`"))),
    }
}

fn report(global: &Global, setup: &Setup, args: &ReportArgs) -> Result<u8, Problem> {
    let run = named(setup, args.run.as_deref())?;
    let (_, _, report) = fold(setup, &run)?;
    let form = args.format.unwrap_or(if global.output == Output::Json {
        ReportForm::Json
    } else {
        ReportForm::Text
    });
    let text = render(&report, form, None)?;
    match &args.out {
        Some(file) => {
            write(file, &text)?;
            print::say(&format!("report of run {run} is in {}", file.display()));
        }
        None => print::data(&text),
    }
    Ok(0)
}

/// Draws a report.
pub(crate) fn render(
    report: &Report,
    form: ReportForm,
    html: Option<&Path>,
) -> Result<String, Problem> {
    let fault = |error: quorate_report::RenderError| {
        Problem::new(BUG, format!("the report cannot be drawn: {error}"))
    };
    match form {
        ReportForm::Text => Ok(quorate_report::text(report)),
        ReportForm::Html => quorate_report::html(report).map_err(fault),
        ReportForm::Markdown => Ok(quorate_report::markdown(report)),
        ReportForm::Junit => quorate_report::junit(report).map_err(fault),
        ReportForm::Json => {
            let html = html.map(|path| path.display().to_string());
            Ok(quorate_report::json(report, html.as_deref()).to_string())
        }
    }
}
