//! How far something has come that is asked of many: a bar on a terminal, lines elsewhere.

use crate::print;
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

/// Five seconds between lines where there is no terminal: a log shows that it goes on, and is not filled by it.
const LINES_APART: Duration = Duration::from_secs(5);

/// How far it has come.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    what: String,
    total: usize,
    ended: usize,
    said_at: Instant,
}

impl Progress {
    /// So many things to come, called so.
    pub(crate) fn of(total: usize, what: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {pos} of {len} {msg}, {elapsed}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            let length = u64::try_from(total).unwrap_or(u64::MAX);
            ProgressBar::new(length).with_style(style).with_message(what.to_owned())
        });
        Self { bar, what: what.to_owned(), total, ended: 0, said_at: Instant::now() }
    }

    /// One more has ended.
    pub(crate) fn one(&mut self) {
        self.ended += 1;
        match &self.bar {
            Some(bar) => bar.inc(1),
            None if self.said_at.elapsed() >= LINES_APART => {
                self.said_at = Instant::now();
                print::say(&format!("... {} of {} {}", self.ended, self.total, self.what));
            }
            None => {}
        }
    }

    /// Tells something of the one that has ended.
    pub(crate) fn tell(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => print::say(&format!("{} of {}: {text}", self.ended, self.total)),
        }
    }

    /// Takes the bar away: what follows is the answer.
    pub(crate) fn done(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
