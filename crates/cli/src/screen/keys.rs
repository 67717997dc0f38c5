//! What a pressed key means, given what is on the screen. Pure, so that it can be tested without a terminal.

use quorate_model::{RunEnd, RunState, StepId};
use quorate_report::Report;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What a person asks of the screen's caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// Pause at the next safe point.
    Pause,
    /// Go on after a pause.
    Resume,
    /// Say yes to the step that the run stands before; the screen has asked again already.
    Approve(StepId),
    /// Close the screen; the caller says what becomes of the run.
    Leave,
    /// Ctrl-C: pause at the next safe point, then leave.
    Interrupt,
}

/// What lies over the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Overlay {
    /// Nothing.
    Clear,
    /// The keys and marks explained.
    Help,
    /// Asks whether the yes is meant.
    Confirm(StepId),
}

/// Gives what the screen shows next, and what the caller is asked for.
pub(super) fn press(overlay: &Overlay, key: KeyEvent, report: &Report) -> (Overlay, Option<Key>) {
    if key.kind == KeyEventKind::Release {
        return (overlay.clone(), None);
    }
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    if control {
        let asked = (key.code == KeyCode::Char('c')).then_some(Key::Interrupt);
        return (overlay.clone(), asked);
    }
    match (overlay, key.code) {
        (Overlay::Confirm(step), KeyCode::Char('y')) => {
            // The run may have gone on meanwhile: a yes counts only for the step that was asked about.
            let still = awaited(report).filter(|awaited| awaited == step);
            (Overlay::Clear, still.map(Key::Approve))
        }
        (Overlay::Confirm(_), _) => (Overlay::Clear, None),
        (Overlay::Help, _) => (Overlay::Clear, None),
        (Overlay::Clear, code) => on_screen(code, report),
    }
}

fn on_screen(code: KeyCode, report: &Report) -> (Overlay, Option<Key>) {
    let stay = |key| (Overlay::Clear, key);
    match code {
        KeyCode::Char('?' | 'h') => (Overlay::Help, None),
        KeyCode::Char('q') | KeyCode::Esc => stay(Some(Key::Leave)),
        KeyCode::Char('p') => stay(can_pause(report).then_some(Key::Pause)),
        KeyCode::Char('r') => stay(can_resume(report).then_some(Key::Resume)),
        KeyCode::Char('a') => match awaited(report) {
            Some(step) => (Overlay::Confirm(step), None),
            None => stay(None),
        },
        _ => stay(None),
    }
}

/// Whether a pause means anything now.
pub(super) fn can_pause(report: &Report) -> bool {
    match &report.state {
        RunState::Running | RunState::AwaitingApproval { .. } => report.request.is_none(),
        RunState::Paused { .. } => false,
        RunState::Ended { end: RunEnd::Succeeded } => false,
        RunState::Ended { end: RunEnd::Halted { .. } | RunEnd::Aborted { .. } } => false,
    }
}

/// Whether there is a pause to end.
pub(super) fn can_resume(report: &Report) -> bool {
    matches!(report.state, RunState::Paused { .. })
}

/// The step that waits for a yes.
pub(super) fn awaited(report: &Report) -> Option<StepId> {
    match &report.state {
        RunState::AwaitingApproval { step } => Some(step.clone()),
        RunState::Running | RunState::Paused { .. } | RunState::Ended { .. } => None,
    }
}
