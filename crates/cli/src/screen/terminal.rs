//! Owns the terminal while the screen is open: alternate screen, raw keys, and everything put back at the end or on a panic.

use super::{
    draw,
    keys::{Key, Overlay, press},
};
use jiff::Timestamp;
use quorate_model::Recorded;
use quorate_report::Fold;
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event},
};
use std::{io, time::Duration};
use tokio::sync::mpsc::UnboundedReceiver;

/// Events taken in before the next picture: a long journal must not freeze the keys.
const EVENTS_PER_PICTURE: usize = 5_000;

/// The live screen. Dropping it gives the terminal back as it was.
pub(crate) struct Screen {
    terminal: DefaultTerminal,
    fold: Fold,
    events: UnboundedReceiver<Recorded>,
    overlay: Overlay,
}

impl Screen {
    /// Takes the terminal over. `fold` holds what happened so far, `events` brings the rest.
    pub(crate) fn open(fold: Fold, events: UnboundedReceiver<Recorded>) -> io::Result<Self> {
        // Also installs a panic hook that restores the terminal before the message is printed.
        let terminal = ratatui::try_init()?;
        Ok(Self { terminal, fold, events, overlay: Overlay::Clear })
    }

    /// Takes events in, draws, and waits up to `wait` for a key. Blocks: call it from a thread of its own.
    pub(crate) fn tick(&mut self, now: Timestamp, wait: Duration) -> io::Result<Option<Key>> {
        for _ in 0..EVENTS_PER_PICTURE {
            let Ok(recorded) = self.events.try_recv() else { break };
            self.fold.apply(&recorded);
        }
        let report = self.fold.report(now);
        let overlay = &self.overlay;
        self.terminal.draw(|frame| {
            draw::draw(frame, report, now);
            draw::draw_overlay(frame, report, overlay);
        })?;
        if !event::poll(wait)? {
            return Ok(None);
        }
        let Event::Key(key) = event::read()? else { return Ok(None) };
        let (overlay, asked) = press(&self.overlay, key, report);
        self.overlay = overlay;
        Ok(asked)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}
