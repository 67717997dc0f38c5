//! Plays a made-up run on the live screen, to look at it: `cargo run --example screen [succeeded|halted|resumed|paused|awaiting] [SPEED]`.

#[path = "../src/screen/mod.rs"]
#[allow(
    dead_code,
    reason = "the example plays a journal; the parts that follow a real run stay unused here"
)]
mod screen;

use jiff::{SignedDuration, Timestamp};
use quorate_model::Recorded;
use quorate_report::{Fold, sample, sample::Story};
use screen::{Key, Screen};
use std::time::Duration;

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let story = match args.next().as_deref() {
        Some("halted") => Story::Halted,
        Some("resumed") => Story::Resumed,
        Some("paused") => Story::Paused,
        Some("awaiting") => Story::AwaitingApproval,
        Some("running") => Story::Running,
        _ => Story::Succeeded,
    };
    let speed: i32 = args.next().and_then(|text| text.parse().ok()).unwrap_or(1);
    let plan = sample::plan();
    let mut journal = sample::journal(&plan, story).into_iter().peekable();
    let began = journal.peek().map_or(Timestamp::UNIX_EPOCH, |first| first.at);
    let (send, events) = tokio::sync::mpsc::unbounded_channel::<Recorded>();
    let mut screen = Screen::open(Fold::new(&plan).of_run("r7k2".into()), events)?;
    let opened = Timestamp::now();
    let mut asked: Vec<Key> = Vec::new();
    loop {
        let now = began + (Timestamp::now().duration_since(opened) * speed);
        while let Some(next) = journal.next_if(|next| next.at <= now) {
            // The screen holds the other end for as long as this loop lasts.
            let _ = send.send(next);
        }
        match screen.tick(now, Duration::from_millis(100))? {
            Some(key @ (Key::Leave | Key::Interrupt)) => {
                asked.push(key);
                break;
            }
            Some(key) => asked.push(key),
            None => {}
        }
        let late = now.duration_since(began) > SignedDuration::from_mins(10);
        // A picture left open forgets itself after a while.
        if late {
            break;
        }
    }
    drop(screen);
    println!("asked: {asked:?}");
    Ok(())
}
