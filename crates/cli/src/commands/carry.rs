//! Shows a run while it is carried: the live screen, lines, or JSON events; asks for approvals; Ctrl-C pauses.

use crate::{
    args::{Carry, Global, Output},
    print, screen,
};
use quorate_model::{Recorded, RunEvent};
use quorate_report::lines;
use quorate_runner::{
    ops::run::{Carried, CarryOptions, verdict},
    problem::{BUG, Problem},
    setup::holder,
};
use std::io::IsTerminal;

pub(crate) fn options(carry: &Carry) -> CarryOptions {
    CarryOptions {
        yes: carry.yes,
        no_probe: carry.no_probe,
        break_lease: carry.break_lease.clone(),
        override_freeze: carry.override_freeze.clone(),
        said: Vec::new(),
    }
}

/// Carries a run to its end and shows it.
pub(crate) async fn show(global: &Global, carry: &Carry, carried: Carried) -> Result<u8, Problem> {
    let run = carried.run.clone();
    let ending = if on_a_screen(global, carry.plain) {
        screen::live::follow(carried).await?
    } else {
        follow(global, carried).await?
    };
    verdict(&run, ending)?;
    Ok(0)
}

/// Whether a run is shown on the live screen.
pub(crate) fn on_a_screen(global: &Global, plain: bool) -> bool {
    global.output == Output::Text
        && !plain
        && std::io::stderr().is_terminal()
        && std::io::stdin().is_terminal()
}

async fn follow(
    global: &Global,
    mut carried: Carried,
) -> Result<quorate_runner::drive::Ending, Problem> {
    loop {
        tokio::select! {
            event = carried.events.recv() => match event {
                Some(recorded) => tell(global, &recorded, &carried),
                None => break,
            },
            _ = tokio::signal::ctrl_c() => {
                print::say("pausing at the next safe point; press Ctrl-C again to leave the run to itself");
                let request = RunEvent::PauseRequested { by: holder().who, reason: "Ctrl-C".into() };
                // A run that is over needs no pause.
                let _ = carried.person.send(request);
                tokio::select! {
                    outcome = &mut carried.work => return settle(outcome),
                    _ = tokio::signal::ctrl_c() => {
                        return Err(Problem::new(quorate_runner::problem::PAUSED, format!("left run {} before it paused", carried.run))
                            .hint(format!("its state is safe in the journal: `quorate run resume {}` goes on", carried.run)));
                    }
                    () = drain(global, &mut carried.events, &carried.plan) => {}
                }
                break;
            }
        }
    }
    settle(carried.work.await)
}

async fn drain(
    global: &Global,
    events: &mut tokio::sync::mpsc::UnboundedReceiver<Recorded>,
    plan: &quorate_model::Plan,
) {
    while let Some(recorded) = events.recv().await {
        line(global, &recorded, plan);
    }
}

fn settle(
    outcome: Result<Result<quorate_runner::drive::Ending, Problem>, tokio::task::JoinError>,
) -> Result<quorate_runner::drive::Ending, Problem> {
    outcome.map_err(|error| Problem::new(BUG, format!("the run's task ended badly: {error}")))?
}

fn tell(global: &Global, recorded: &Recorded, carried: &Carried) {
    line(global, recorded, &carried.plan);
    if let RunEvent::AskedApproval { step, text } = &recorded.event {
        if global.output == Output::Text && std::io::stdin().is_terminal() {
            if ask(&format!("{text}? [y/N] ")) {
                let _ = carried
                    .person
                    .send(RunEvent::Approved { step: step.clone(), by: holder().who });
            } else {
                let _ = carried.person.send(RunEvent::PauseRequested {
                    by: holder().who,
                    reason: "not approved".into(),
                });
            }
        } else {
            print::say(&format!("waiting for `quorate run approve {}`", carried.run));
        }
    }
}

pub(crate) fn line(global: &Global, recorded: &Recorded, plan: &quorate_model::Plan) {
    match global.output {
        Output::Json => print::json(recorded),
        Output::Text | Output::Csv => {
            if let Some(line) = lines::describe(recorded, plan) {
                print::say(&line);
            }
        }
    }
}

/// Asks a person; anything but yes is no.
pub(crate) fn ask(question: &str) -> bool {
    use std::io::Write;
    let mut err = std::io::stderr().lock();
    let _ = write!(err, "{question}");
    let _ = err.flush();
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}
