//! The fold over made-up journals: each story ends in the state that a person would expect.

use crate::{
    Fold, Report,
    report::{Health, StepState},
    sample::{self, Story},
};
use jiff::SignedDuration;
use quorate_model::{
    Attempt, ClientFigures, NodeName, Outcome, Recorded, Role, RunEvent, RunState, Seq, StepId,
    WaitingOn,
};
use std::time::Duration;

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

fn fold_of(events: &[RunEvent]) -> Report {
    let plan = sample::plan();
    let mut at = plan.observation.taken_at;
    let mut journal = Vec::new();
    for (index, event) in events.iter().enumerate() {
        at += SignedDuration::from_secs(1);
        let seq = Seq(u64::try_from(index).unwrap() + 1);
        journal.push(Recorded { seq, at, event: event.clone() });
    }
    Report::fold(&plan, &journal)
}

fn began() -> RunEvent {
    sample::journal(&sample::plan(), Story::Succeeded)[0].event.clone()
}

fn state(report: &Report, id: &str) -> StepState {
    report.step(&StepId::from(id)).unwrap().state.clone()
}

#[test]
fn answers_in_four_lines() {
    let answers = STORIES.map(|story| {
        let report = told(story);
        format!("{story:?}: {}\n{}\n", report.outcome(), report.answer())
    });
    insta::assert_snapshot!(answers.join("\n"));
}

#[test]
fn one_by_one_is_as_good_as_all_at_once() {
    let plan = sample::plan();
    for story in STORIES {
        let journal = sample::journal(&plan, story);
        let mut fold = Fold::new(&plan);
        for (index, recorded) in journal.iter().enumerate() {
            fold.apply(recorded);
            if index % 37 == 0 {
                assert_eq!(*fold.as_of_last_event(), Report::fold(&plan, &journal[..=index]));
            }
        }
        assert_eq!(fold.into_report(), Report::fold(&plan, &journal), "{story:?}");
    }
}

#[test]
fn success_finds_every_member_on_the_new_release() {
    let report = told(Story::Succeeded);
    assert_eq!(report.steps_over(), (47, 47));
    for member in &report.members {
        let now = member.now().unwrap();
        assert_eq!((now.release.as_ref(), now.health), (Some(&report.to), Health::Serving));
    }
    let leaders: Vec<_> =
        report.leader_changes.iter().map(|c| (c.to.as_str(), c.planned)).collect();
    assert_eq!(leaders, [("demo-1", true), ("demo-2", true)]);
    assert!(report.hops.iter().all(|hop| hop.progress == 1.0 && hop.ended_at.is_some()));
    let floor = Duration::from_millis(3 * 2_960);
    assert!(report.hops.iter().all(|hop| hop.floor == floor && hop.rolling < hop.wall));
    assert_eq!(report.remaining(), None);
}

#[test]
fn nothing_begun_says_so() {
    let report = Report::fold(&sample::plan(), &[]);
    assert_eq!(report.outcome(), "not-begun");
    assert!(report.needs_person());
    assert_eq!(report.answer().doing, "nothing yet: 47 steps are planned");
}

#[test]
fn a_halt_keeps_its_step_its_reason_and_its_hint() {
    let report = told(Story::Halted);
    let halt = &report.halts[0].hold;
    assert_eq!(halt.code, "gate-timeout");
    let id = halt.step.as_ref().unwrap().as_str();
    assert!(matches!(state(&report, id), StepState::Failed { .. }));
    assert_eq!(report.current().unwrap().id.as_str(), id);
    assert_eq!(
        report.owed().map(|entry| entry.key.as_str()).collect::<Vec<_>>(),
        ["defrag-paused"]
    );
    assert_eq!((report.notes.len(), report.overrides.len()), (1, 1));
}

#[test]
fn a_halt_without_a_finish_fails_the_step_under_way() {
    let step = StepId::from("h1.precheck");
    let hold = quorate_model::Hold {
        step: Some(step.clone()),
        code: "gate-timeout".into(),
        text: "no quorum".into(),
        hint: None,
    };
    let started = RunEvent::Started { step, attempt: Attempt(1) };
    let report = fold_of(&[began(), started, RunEvent::Halted { hold }]);
    assert_eq!(state(&report, "h1.precheck"), StepState::Failed { because: "no quorum".into() });
    assert!(report.answer().must_act.contains("quorate plan demo --to 3.5.16"));
}

#[test]
fn a_crash_leaves_its_step_unknown_until_the_probe_speaks() {
    let plan = sample::plan();
    let journal = sample::journal(&plan, Story::Resumed);
    let resumed = journal.iter().position(|r| matches!(r.event, RunEvent::Resumed { .. })).unwrap();
    let report = Report::fold(&plan, &journal[..=resumed]);
    assert!(matches!(state(&report, "h2.demo-3.start"), StepState::Unknown { .. }));
    assert!(report.answer().waits_for.contains("its own probe"));
    let report = Report::fold(&plan, &journal[..=resumed + 2]);
    assert_eq!(state(&report, "h2.demo-3.start"), StepState::Gating);
    let report = told(Story::Resumed);
    assert_eq!(report.outcome(), "succeeded");
    let holders: Vec<_> = report.controllers.iter().map(|c| c.holder.who.as_str()).collect();
    assert_eq!(holders, ["anna@control-1", "ben@control-2"]);
}

#[test]
fn a_pause_ends_with_its_resuming() {
    let plan = sample::plan();
    let mut journal = sample::journal(&plan, Story::Paused);
    let report = Report::fold(&plan, &journal);
    assert_eq!(report.state, RunState::Paused { by: "anna@control-1".into() });
    assert!(report.needs_person() && report.standstills[0].until.is_none());
    let last = journal.last().unwrap().clone();
    let RunEvent::Began { holder, .. } = began() else { panic!("a journal starts with Began") };
    let at = last.at + SignedDuration::from_mins(5);
    let event = RunEvent::Resumed { holder, generation: quorate_model::Generation(2) };
    journal.push(Recorded { seq: last.seq.next(), at, event });
    let report = Report::fold(&plan, &journal);
    assert_eq!((report.state.clone(), report.standstills[0].until), (RunState::Running, Some(at)));
}

#[test]
fn a_yes_lets_the_run_go_on() {
    let plan = sample::plan();
    let mut journal = sample::journal(&plan, Story::AwaitingApproval);
    let report = Report::fold(&plan, &journal);
    let step = StepId::from("h2.go");
    assert_eq!(report.state, RunState::AwaitingApproval { step: step.clone() });
    assert_eq!(state(&report, "h2.go"), StepState::AwaitingApproval);
    let last = journal.last().unwrap().clone();
    let event = RunEvent::Approved { step, by: "ben@control-2".into() };
    journal.push(Recorded { seq: last.seq.next(), at: last.at, event });
    let report = Report::fold(&plan, &journal);
    assert_eq!((report.state.clone(), report.approvals.len()), (RunState::Running, 1));
    assert_eq!(report.approvals[0].by.as_deref(), Some("ben@control-2"));
}

#[test]
fn a_temporary_change_is_owed_until_put_back() {
    let set = RunEvent::TempSet { key: "flag".into() };
    let back = RunEvent::PutBack { key: "flag".into() };
    let owed = |events: &[RunEvent]| fold_of(events).owed().count();
    assert_eq!(owed(&[began(), set.clone()]), 1);
    assert_eq!(
        owed(&[began(), set.clone(), set.clone()]),
        1,
        "told twice after a crash is owed once"
    );
    assert_eq!(owed(&[began(), set.clone(), back.clone()]), 0);
    assert_eq!(owed(&[began(), set.clone(), back, set]), 1);
}

#[test]
fn a_leader_without_a_handover_is_a_surprise() {
    let seen = RunEvent::MemberSeen {
        node: NodeName::from("demo-1"),
        reachable: true,
        release: None,
        role: Role::Leader,
        healthy: None,
        lag: None,
    };
    let report = fold_of(&[began(), seen]);
    assert_eq!((report.leader_changes.len(), report.leader_changes[0].planned), (1, false));
    let now = report.members[0].now().unwrap();
    assert_eq!(now.health, Health::NotServing, "missing health is not health");
}

#[test]
fn a_silent_member_is_stopped_only_by_our_doing() {
    let silent = |node: &str| RunEvent::MemberSeen {
        node: NodeName::from(node),
        reachable: false,
        release: None,
        role: Role::Unknown,
        healthy: None,
        lag: None,
    };
    let stop = RunEvent::Started { step: StepId::from("h1.demo-1.stop"), attempt: Attempt(1) };
    let report = fold_of(&[began(), stop, silent("demo-1"), silent("demo-2"), silent("stranger")]);
    let health: Vec<_> = report.members.iter().map(|m| m.now().unwrap().health).collect();
    assert_eq!(health, [Health::Stopped, Health::Unseen, Health::Serving, Health::Unseen]);
    assert_eq!(report.members[0].now().unwrap().release, Some(report.from.clone()));
}

#[test]
fn lost_writes_are_unknown_until_compared() {
    let report = told(Story::Running);
    assert!(crate::json(&report, None)["client"]["writes_lost"].is_null());
    let figures = ClientFigures { writes_lost: 3, writes_acked: 10, ..ClientFigures::default() };
    let report = fold_of(&[began(), RunEvent::ClientFigures { figures }, RunEvent::Succeeded]);
    assert_eq!(crate::json(&report, None)["client"]["writes_lost"], 3);
}

#[test]
fn what_is_left_follows_the_runs_own_pace() {
    let plan = sample::plan();
    let journal = sample::journal(&plan, Story::Running);
    let report = Report::fold(&plan, &journal);
    let soon = report.remaining().unwrap();
    let later = report.clone().at(report.as_of + SignedDuration::from_secs(600));
    assert!(later.remaining().unwrap() < soon, "a step under way eats its own estimate");
    assert!(later.remaining().unwrap() > Duration::ZERO, "steps to come keep theirs");
    assert!(soon < report.estimate);
}

#[test]
fn events_of_an_unknown_step_change_nothing_and_break_nothing() {
    let step = StepId::from("h9.nobody.stop");
    let took = Duration::from_secs(1);
    let outcome = Outcome::Succeeded { note: None };
    let report = fold_of(&[
        began(),
        RunEvent::Started { step: step.clone(), attempt: Attempt(1) },
        RunEvent::Waiting { step: step.clone(), on: WaitingOn::Leader },
        RunEvent::Finished { step: step.clone(), outcome, took },
        RunEvent::AskedApproval { step, text: "?".into() },
    ]);
    assert_eq!(report.steps_over().0, 0);
    assert!(report.answer().doing.contains("h9.nobody.stop"));
}
