//! The screen as text, at two sizes, over the same made-up runs that the reports are tested with.

use super::{
    draw::{draw, draw_overlay},
    keys::{Key, Overlay, press},
};
use quorate_report::{Report, sample, sample::Story};
use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
};

const STORIES: [Story; 6] = [
    Story::Succeeded,
    Story::Running,
    Story::Halted,
    Story::Resumed,
    Story::Paused,
    Story::AwaitingApproval,
];

fn told(story: Story) -> Report {
    let plan = sample::plan();
    Report::fold(&plan, &sample::journal(&plan, story)).of_run("r7k2".into())
}

fn shown(report: &Report, overlay: &Overlay, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let now = report.as_of;
    terminal
        .draw(|frame| {
            draw(frame, report, now);
            draw_overlay(frame, report, overlay);
        })
        .unwrap();
    terminal.backend().to_string()
}

/// Names each snapshot itself: the screen is compiled into an example too, under another module path.
fn check(name: &str, shown: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/src/screen/snapshots"));
    settings.bind(|| insta::assert_snapshot!(name, shown));
}

#[test]
fn running_on_a_small_terminal() {
    check("running_80x24", &shown(&told(Story::Running), &Overlay::Clear, 80, 24));
}

#[test]
fn running_on_a_wide_terminal() {
    check("running_140x40", &shown(&told(Story::Running), &Overlay::Clear, 140, 40));
}

#[test]
fn awaiting_approval_on_a_small_terminal() {
    check("awaiting_80x24", &shown(&told(Story::AwaitingApproval), &Overlay::Clear, 80, 24));
}

#[test]
fn halted_on_a_wide_terminal() {
    check("halted_140x40", &shown(&told(Story::Halted), &Overlay::Clear, 140, 40));
}

#[test]
fn help_lies_over_the_screen() {
    check("help_80x24", &shown(&told(Story::Succeeded), &Overlay::Help, 80, 24));
}

#[test]
fn a_yes_is_asked_for_again() {
    let report = told(Story::AwaitingApproval);
    check("confirm_80x24", &shown(&report, &Overlay::Confirm("h2.go".into()), 80, 24));
}

#[test]
fn no_size_and_no_story_breaks_the_drawing() {
    let fresh = Report::fold(&sample::plan(), &[]);
    let reports: Vec<Report> = STORIES.map(told).into_iter().chain([fresh]).collect();
    for report in &reports {
        for (width, height) in
            [(1, 1), (20, 5), (49, 15), (50, 16), (80, 10), (119, 60), (120, 16), (300, 100)]
        {
            for overlay in [Overlay::Clear, Overlay::Help, Overlay::Confirm("h2.go".into())] {
                shown(report, &overlay, width, height);
            }
        }
    }
}

#[test]
fn the_current_step_and_who_must_act_are_always_in_sight() {
    for (width, height) in [(80, 24), (100, 30), (140, 40), (200, 60)] {
        let running = shown(&told(Story::Running), &Overlay::Clear, width, height);
        assert!(running.contains("~ wait until demo-3 is back"), "{width}x{height}\n{running}");
        let asked = shown(&told(Story::AwaitingApproval), &Overlay::Clear, width, height);
        assert!(asked.contains("quorate run approve r7k2"), "{width}x{height}\n{asked}");
    }
}

#[test]
fn more_members_than_rows_are_counted() {
    let mut report = told(Story::Running);
    let one = report.members[0].clone();
    report.members.extend(std::iter::repeat_n(one, 10));
    assert!(shown(&report, &Overlay::Clear, 80, 24).contains("more"));
}

fn pressed(story: Story, overlay: &Overlay, code: KeyCode) -> (Overlay, Option<Key>) {
    press(overlay, KeyEvent::new(code, KeyModifiers::NONE), &told(story))
}

#[test]
fn keys_mean_what_the_run_allows() {
    let on = |story, letter| pressed(story, &Overlay::Clear, KeyCode::Char(letter));
    let asks = |key| (Overlay::Clear, Some(key));
    let nothing = (Overlay::Clear, None);
    assert_eq!(on(Story::Running, 'p'), asks(Key::Pause));
    assert_eq!(on(Story::Paused, 'p'), nothing);
    assert_eq!(on(Story::Paused, 'r'), asks(Key::Resume));
    assert_eq!(on(Story::Running, 'r'), nothing);
    assert_eq!(on(Story::Running, 'a'), nothing);
    assert_eq!(on(Story::AwaitingApproval, 'a'), (Overlay::Confirm("h2.go".into()), None));
    assert_eq!(on(Story::Halted, 'q'), asks(Key::Leave));
    assert_eq!(on(Story::Running, '?'), (Overlay::Help, None));
    assert_eq!(pressed(Story::Running, &Overlay::Help, KeyCode::Esc), nothing);
}

#[test]
fn a_yes_counts_for_the_step_that_was_asked_about() {
    let confirm = |step: &str| Overlay::Confirm(step.into());
    let yes = KeyCode::Char('y');
    let approve = (Overlay::Clear, Some(Key::Approve("h2.go".into())));
    assert_eq!(pressed(Story::AwaitingApproval, &confirm("h2.go"), yes), approve);
    let nothing = (Overlay::Clear, None);
    assert_eq!(pressed(Story::AwaitingApproval, &confirm("h1.go"), yes), nothing);
    assert_eq!(pressed(Story::Running, &confirm("h2.go"), yes), nothing, "approved elsewhere");
    assert_eq!(pressed(Story::AwaitingApproval, &confirm("h2.go"), KeyCode::Char('n')), nothing);
    let key = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    let (overlay, asked) = press(&confirm("h2.go"), key, &told(Story::AwaitingApproval));
    assert_eq!((overlay, asked), (confirm("h2.go"), Some(Key::Interrupt)));
}
