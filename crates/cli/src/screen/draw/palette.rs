//! Colours by meaning, from the terminal's own sixteen, so that every theme of a terminal fits.

use quorate_model::Release;
use quorate_report::{Health, Report, StepState, Tone};
use ratatui::style::{Color, Modifier, Style};

/// What is there but not looked at first.
pub(super) fn faint() -> Style {
    Style::new().fg(Color::DarkGray)
}

/// A part's title.
pub(super) fn heading() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

pub(super) fn good() -> Style {
    Style::new().fg(Color::Green)
}

pub(super) fn warn() -> Style {
    Style::new().fg(Color::Yellow)
}

pub(super) fn bad() -> Style {
    Style::new().fg(Color::Red)
}

pub(super) fn busy() -> Style {
    Style::new().fg(Color::Cyan)
}

pub(super) fn tone(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Good => good(),
        Tone::Warn => warn(),
        Tone::Bad => bad(),
        Tone::Person => Style::new().fg(Color::Magenta),
    }
}

pub(super) fn health(health: Health) -> Style {
    match health {
        Health::Serving => good(),
        Health::Stopped => warn(),
        Health::NotServing => warn(),
        Health::Unseen => bad(),
    }
}

/// A step's mark and colour. The mark alone says enough where there is no colour.
pub(super) fn step(state: &StepState) -> (&'static str, Style) {
    match state {
        StepState::Pending => ("·", faint()),
        StepState::AwaitingApproval => ("?", warn().add_modifier(Modifier::BOLD)),
        StepState::Running | StepState::Gating => ("▸", busy().add_modifier(Modifier::BOLD)),
        StepState::Waiting { .. } => ("~", warn().add_modifier(Modifier::BOLD)),
        StepState::Done { .. } => ("✓", good()),
        StepState::Skipped { .. } => ("-", faint()),
        StepState::Failed { .. } => ("✗", bad().add_modifier(Modifier::BOLD)),
        StepState::Unknown { .. } => ("?", bad().add_modifier(Modifier::BOLD)),
    }
}

/// The colour of the run's own state.
pub(super) fn outcome(report: &Report) -> Style {
    match report.outcome() {
        "succeeded" => good(),
        "halted" => bad(),
        "running" => busy(),
        _ => warn(),
    }
}

/// The colour of a release: its place on the path.
pub(super) fn release(report: &Report, release: Option<&Release>) -> Style {
    let colours = [Color::Reset, Color::Blue, Color::Cyan, Color::Magenta, Color::Yellow];
    let place = release.and_then(|release| report.path().iter().position(|r| *r == release));
    place.map_or_else(faint, |place| Style::new().fg(colours[place % colours.len()]))
}
