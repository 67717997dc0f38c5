//! Joins the live screen to a run: the screen draws in a thread of its own, what a person asks goes to the run.

use super::{Key, Screen};
use jiff::Timestamp;
use quorate_model::{Recorded, RunEvent};
use quorate_report::Fold;
use quorate_runner::{
    drive::Ending,
    ops::run::Carried,
    problem::{BUG, Problem},
    setup::holder,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::mpsc::UnboundedReceiver;

/// Ten pictures a second: smooth to a person, nothing to a processor.
const PICTURE_EVERY: Duration = Duration::from_millis(100);

/// Shows a run until it is over or the person leaves.
pub(crate) async fn follow(carried: Carried) -> Result<Ending, Problem> {
    let Carried { run, plan, events, person, work } = carried;
    let fold = Fold::new(&plan).of_run(run);
    let shown = tokio::task::spawn_blocking(move || {
        let over = work_is_over(&work);
        let mut say = |event| drop(person.send(event));
        show(fold, events, &mut say, &over, Interrupt::Pauses).map(|()| work)
    });
    let work = drawn(shown.await)?;
    work.await.map_err(|error| Problem::new(BUG, format!("the run's task ended badly: {error}")))?
}

/// Shows a run that another process carries, until it is over or the person leaves. What a person asks goes to `say`.
pub(crate) async fn watch(
    fold: Fold,
    events: UnboundedReceiver<Recorded>,
    is_over: Arc<AtomicBool>,
    mut say: impl FnMut(RunEvent) + Send + 'static,
) -> Result<(), Problem> {
    let over = move || is_over.load(Ordering::SeqCst);
    let shown =
        tokio::task::spawn_blocking(move || show(fold, events, &mut say, &over, Interrupt::Leaves));
    drawn(shown.await)
}

fn drawn<T>(shown: Result<std::io::Result<T>, tokio::task::JoinError>) -> Result<T, Problem> {
    shown.map_err(|error| Problem::new(BUG, format!("the screen ended badly: {error}")))?.map_err(
        |error| {
            Problem::new(BUG, format!("the terminal cannot be drawn on: {error}"))
                .hint("try again with `--plain`")
        },
    )
}

/// What Ctrl-C means: who carries the run pauses it, who only watches goes away.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Interrupt {
    Pauses,
    Leaves,
}

/// Tells whether the run's work has ended, without taking it.
fn work_is_over<T>(work: &tokio::task::JoinHandle<T>) -> impl Fn() -> bool + use<T> {
    let handle = work.abort_handle();
    move || handle.is_finished()
}

fn show(
    fold: Fold,
    events: UnboundedReceiver<Recorded>,
    say: &mut dyn FnMut(RunEvent),
    is_over: &dyn Fn() -> bool,
    interrupt: Interrupt,
) -> std::io::Result<()> {
    let mut screen = Screen::open(fold, events)?;
    // Ends when the run's work ends; the screen itself waits no longer than a picture.
    while !is_over() {
        let pause =
            |reason: &str| RunEvent::PauseRequested { by: holder().who, reason: reason.into() };
        match screen.tick(Timestamp::now(), PICTURE_EVERY)? {
            Some(Key::Approve(step)) => say(RunEvent::Approved { step, by: holder().who }),
            Some(Key::Pause) => say(pause("asked on the live screen")),
            Some(Key::Interrupt) if interrupt == Interrupt::Pauses => say(pause("Ctrl-C")),
            // Leaving closes the screen; the run goes on where it is carried, line by line.
            Some(Key::Leave | Key::Interrupt) => return Ok(()),
            Some(Key::Resume) | None => {}
        }
    }
    // One last picture, so that the end is seen.
    screen.tick(Timestamp::now(), PICTURE_EVERY).map(drop)
}
