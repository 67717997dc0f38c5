//! Joins the live screen to a run: the screen draws in a thread of its own, what a person asks goes to the run.

use super::{Key, Screen};
use jiff::Timestamp;
use quorate_model::RunEvent;
use quorate_report::Fold;
use quorate_runner::{
    drive::Ending,
    ops::run::Carried,
    problem::{BUG, Problem},
    setup::holder,
};
use std::time::Duration;

/// Ten pictures a second: smooth to a person, nothing to a processor.
const PICTURE_EVERY: Duration = Duration::from_millis(100);

/// Shows a run until it is over or the person leaves.
pub(crate) async fn follow(carried: Carried) -> Result<Ending, Problem> {
    let Carried { run, plan, events, person, work } = carried;
    let fold = Fold::new(&plan).of_run(run);
    let shown = tokio::task::spawn_blocking(move || {
        show(fold, events, &person, &work_is_over(&work)).map(|()| work)
    });
    let work = shown
        .await
        .map_err(|error| Problem::new(BUG, format!("the screen ended badly: {error}")))?
        .map_err(|error| {
            Problem::new(BUG, format!("the terminal cannot be drawn on: {error}"))
                .hint("try again with `--plain`")
        })?;
    work.await.map_err(|error| Problem::new(BUG, format!("the run's task ended badly: {error}")))?
}

/// Tells whether the run's work has ended, without taking it.
fn work_is_over<T>(work: &tokio::task::JoinHandle<T>) -> impl Fn() -> bool + use<T> {
    let handle = work.abort_handle();
    move || handle.is_finished()
}

fn show(
    fold: Fold,
    events: tokio::sync::mpsc::UnboundedReceiver<quorate_model::Recorded>,
    person: &tokio::sync::mpsc::UnboundedSender<RunEvent>,
    is_over: &dyn Fn() -> bool,
) -> std::io::Result<()> {
    let mut screen = Screen::open(fold, events)?;
    // Ends when the run's work ends; the screen itself waits no longer than a picture.
    while !is_over() {
        let pause =
            |reason: &str| RunEvent::PauseRequested { by: holder().who, reason: reason.into() };
        match screen.tick(Timestamp::now(), PICTURE_EVERY)? {
            Some(Key::Approve(step)) => {
                drop(person.send(RunEvent::Approved { step, by: holder().who }))
            }
            Some(Key::Pause) => drop(person.send(pause("asked on the live screen"))),
            Some(Key::Interrupt) => drop(person.send(pause("Ctrl-C"))),
            // Leaving closes the screen; the run goes on in this process, line by line.
            Some(Key::Leave) => return Ok(()),
            Some(Key::Resume) | None => {}
        }
    }
    // One last picture, so that the end is seen.
    screen.tick(Timestamp::now(), PICTURE_EVERY).map(drop)
}
