//! How far something has come that is asked of many: a bar on a terminal, lines elsewhere.

use crate::print;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// How far it has come.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    total: usize,
    ended: usize,
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
        Self { bar, total, ended: 0 }
    }

    /// One more has ended.
    pub(crate) fn one(&mut self) {
        self.ended += 1;
        if let Some(bar) = &self.bar {
            bar.inc(1);
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
