//! The machine, driven by hand: each test is one conversation.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up shall fail")]

mod support;

use jiff::{SignedDuration, Timestamp};
use quorate_engine::{Effect, Engine, Input, Look, Phase, Verdict};
use quorate_model::*;
use std::{sync::Arc, time::Duration};
use support::{began, gate, plan_of, step};

fn plan(steps: Vec<Step>) -> Arc<Plan> {
    let (id, title) = ("w".into(), "w".into());
    plan_of(vec![Wave { id, title, node: None, lanes: None, steps }])
}

/// A driver that keeps the journal and the time.
struct Driver {
    engine: Engine,
    journal: Vec<Recorded>,
    now: Timestamp,
    last: Option<Effect>,
}

impl Driver {
    fn new(plan: Arc<Plan>) -> Self {
        let now = Timestamp::UNIX_EPOCH;
        let mut driver =
            Self { engine: Engine::new(plan.clone(), now), journal: vec![], now, last: None };
        driver.record(began(&plan));
        driver.poll();
        driver
    }
    fn record(&mut self, event: RunEvent) {
        self.journal.push(Recorded {
            seq: Seq(self.journal.len() as u64 + 1),
            at: self.now,
            event,
        });
    }
    fn poll(&mut self) {
        while let Some(turn) = self.engine.poll_action(self.now) {
            for event in turn.journal {
                self.record(event);
            }
            if let Some(effect) = turn.effect {
                assert!(
                    self.last.is_none(),
                    "one effect at a time, had {:?}, got {effect:?}",
                    self.last
                );
                self.last = Some(effect);
            }
        }
    }
    fn tell(&mut self, input: Input) {
        self.engine.handle(input, self.now);
        self.poll();
    }
    fn looked(&mut self, verdict: Verdict) {
        let Some(Effect::Look { step, look }) = self.last.clone() else {
            panic!("no look asked: {:?}", self.last)
        };
        self.last = None;
        self.tell(Input::Looked { step, look, verdict });
    }
    fn acted(&mut self, outcome: Outcome) {
        let Some(Effect::Act { step, attempt }) = self.last.clone() else {
            panic!("no act asked: {:?}", self.last)
        };
        self.last = None;
        self.tell(Input::Acted { step, attempt, outcome, also: vec![] });
    }
    /// Time jumps to the next timeout.
    fn wait(&mut self) {
        let at = self.engine.poll_timeout().expect("something is waited for");
        self.now = at.max(self.now);
        self.tell(Input::Tick);
    }
    fn not_yet() -> Verdict {
        Verdict::NotYet(WaitingOn::Healthy { node: "n1".into() })
    }
    fn done() -> Outcome {
        Outcome::Succeeded { note: None }
    }
    fn accounted(&mut self, lost: u64) {
        assert_eq!(self.last, Some(Effect::Account), "the client is asked last");
        self.last = None;
        let wrong = format!("{lost} acknowledged writes of the client are not there");
        self.tell(Input::Accounted { wrong: (lost > 0).then_some(wrong) });
    }
    fn hold(&self) -> &Hold {
        match self.engine.phase() {
            Phase::Over(RunEnd::Halted { hold }) => hold,
            other => panic!("not halted: {other:?}"),
        }
    }
    fn count(&self, what: impl Fn(&RunEvent) -> bool) -> usize {
        self.journal.iter().filter(|one| what(&one.event)).count()
    }
}

fn stop() -> Step {
    step("stop", StepRole::Stop, Action::Stop { node: "n1".into() })
}
fn start() -> Step {
    step(
        "start",
        StepRole::Start,
        Action::Start { node: "n1".into(), expect: "3.4.23".parse().unwrap() },
    )
}
fn rejoin(soak: u64) -> Step {
    Step { gate: Some(gate(soak)), ..step("rejoin", StepRole::Rejoin, Action::Look) }
}

#[test]
fn a_run_goes_probe_act_gate_and_succeeds() {
    let mut run = Driver::new(plan(vec![stop(), start(), rejoin(0)]));
    assert_eq!(run.last, Some(Effect::Look { step: Some("stop".into()), look: Look::Done }));
    run.looked(Driver::not_yet());
    run.acted(Driver::done());
    run.looked(Driver::not_yet());
    run.acted(Driver::done());
    run.looked(Verdict::Holds);
    run.wait();
    run.looked(Verdict::Holds);
    run.accounted(0);
    assert_eq!(run.last, Some(Effect::End(RunEnd::Succeeded)));
}

#[test]
fn intent_stands_in_the_journal_before_the_act_is_given_out() {
    let mut run = Driver::new(plan(vec![stop()]));
    run.looked(Driver::not_yet());
    assert!(matches!(run.last, Some(Effect::Act { .. })));
    assert!(matches!(run.journal.last().unwrap().event, RunEvent::Started { .. }));
}

#[test]
fn what_had_already_happened_is_not_done_again() {
    let mut run = Driver::new(plan(vec![stop()]));
    run.looked(Verdict::Holds);
    run.accounted(0);
    assert_eq!(run.last, Some(Effect::End(RunEnd::Succeeded)));
    assert_eq!(run.count(|event| matches!(event, RunEvent::Started { .. })), 0);
}

#[test]
fn a_failed_stop_halts_and_touches_nothing_more() {
    let mut run = Driver::new(plan(vec![stop(), start()]));
    run.looked(Driver::not_yet());
    run.acted(Outcome::Failed { because: "permission denied".into() });
    assert_eq!(run.hold().code, "act-failed");
    assert_eq!(run.count(|event| matches!(event, RunEvent::Started { .. })), 1);
}

#[test]
fn an_unknown_outcome_is_settled_by_the_steps_own_probe() {
    let mut run = Driver::new(plan(vec![stop(), rejoin(0)]));
    run.looked(Driver::not_yet());
    run.acted(Outcome::Unknown { because: "connection lost".into() });
    assert_eq!(run.last, Some(Effect::Look { step: Some("stop".into()), look: Look::Done }));
    run.looked(Verdict::Holds);
    assert_eq!(
        run.last,
        Some(Effect::Look { step: Some("rejoin".into()), look: Look::GateOnTheWay }),
        "the first of two good looks opens nothing"
    );
    assert_eq!(
        run.count(
            |event| matches!(event, RunEvent::Started { step, .. } if step.as_str() == "stop")
        ),
        1
    );
}

#[test]
fn a_gate_without_data_never_opens() {
    let mut run = Driver::new(plan(vec![rejoin(0)]));
    for _ in 0..200 {
        if !matches!(run.last, Some(Effect::Look { .. })) {
            break;
        }
        run.looked(Verdict::Unseen("no answer".into()));
        if run.engine.poll_timeout().is_some() {
            run.wait();
        }
    }
    assert_eq!(run.hold().code, "gate-timeout");
}

#[test]
fn good_looks_start_again_after_a_bad_one_and_the_soak_too() {
    let mut run = Driver::new(plan(vec![rejoin(5)]));
    let began = run.now;
    run.looked(Verdict::Holds);
    run.wait();
    run.looked(Driver::not_yet());
    run.wait();
    while let Some(Effect::Look { .. }) = run.last {
        run.looked(Verdict::Holds);
        if run.engine.poll_timeout().is_some() {
            run.wait();
        }
    }
    run.accounted(0);
    assert_eq!(run.last, Some(Effect::End(RunEnd::Succeeded)));
    // A second to the bad look, and five of soak after the first good one that follows.
    assert!(run.now.duration_since(began) >= SignedDuration::from_secs(6), "{}", run.now);
}

#[test]
fn another_member_breaking_halts_within_five_seconds() {
    let mut run = Driver::new(plan(vec![rejoin(0)]));
    let began = run.now;
    while let Some(Effect::Look { .. }) = run.last {
        run.looked(Verdict::Unsafe(Unsafe::NoLeader { node: "n1".into() }));
        if run.engine.poll_timeout().is_some() {
            run.wait();
        }
    }
    assert_eq!(run.hold().code, "unsafe");
    assert!(run.now.duration_since(began) <= SignedDuration::from_secs(5));
}

#[test]
fn nobody_pauses_while_a_member_is_down() {
    let mut run = Driver::new(plan(vec![stop(), start(), rejoin(0)]));
    run.looked(Driver::not_yet());
    run.tell(Input::Operator(RunEvent::PauseRequested {
        by: "anna".into(),
        reason: String::new(),
    }));
    run.acted(Driver::done());
    assert_eq!(
        run.last,
        Some(Effect::Look { step: Some("start".into()), look: Look::Done }),
        "goes on to start it"
    );
    run.looked(Driver::not_yet());
    run.acted(Driver::done());
    assert_eq!(run.last, Some(Effect::Rest));
}

#[test]
fn an_approval_is_waited_for() {
    let mut run = Driver::new(plan(vec![Step { needs_approval: true, ..stop() }]));
    assert_eq!(run.last, None);
    assert!(matches!(run.engine.phase(), Phase::AwaitingApproval { .. }));
    run.tell(Input::Operator(RunEvent::Approved { step: "stop".into(), by: "anna".into() }));
    assert_eq!(run.last, Some(Effect::Look { step: Some("stop".into()), look: Look::Done }));
}

fn call() -> Call {
    Call {
        name: "set".into(),
        node: "n1".into(),
        call: CallKind::Native { action: "x".into(), args: Facts::new() },
        by_hand: String::new(),
        retry_on: Vec::new(),
    }
}

#[test]
fn temporary_changes_are_put_back_when_a_run_halts() {
    let set = Action::TempSet { key: "noout".into(), call: call(), put_back: call() };
    let mut run = Driver::new(plan(vec![step("set", StepRole::TempSet, set), stop()]));
    run.looked(Driver::not_yet());
    assert_eq!(
        run.count(|event| matches!(event, RunEvent::TempSet { .. })),
        1,
        "owed from the intent on"
    );
    run.acted(Driver::done());
    run.looked(Driver::not_yet());
    run.acted(Outcome::Failed { because: "no".into() });
    assert_eq!(run.last, Some(Effect::PutBack { key: "noout".into() }));
    run.last = None;
    run.tell(Input::PutBack { key: "noout".into(), outcome: Driver::done() });
    assert_eq!(run.hold().code, "act-failed");
}

/// A copy, then a member's stop, while an application stands still.
fn while_an_application_stands_still() -> Arc<Plan> {
    exchanged(|copied, stop, restored| [copied, vec![stop], restored].concat())
}

/// The same as a conversion has it: the copy is of a member that is stopped, and the application is switched before it starts.
fn while_data_change_form() -> Arc<Plan> {
    exchanged(|mut copied, stop, mut restored| {
        copied.insert(1, stop);
        let act = HostAct { run: "x".into(), seen: "x".into(), limit: Duration::from_secs(5) };
        let action = Action::Switch { dependant: "shop".into(), host: Host::Local, act };
        let mut switch = step("switch", StepRole::DependantSwitch, action);
        switch.done = None;
        let last = restored.len() - 1;
        restored.insert(last, switch);
        [copied, restored].concat()
    })
}

fn exchanged(order: impl Fn(Vec<Step>, Step, Vec<Step>) -> Vec<Step>) -> Arc<Plan> {
    let act =
        |run: &str| HostAct { run: run.into(), seen: "true".into(), limit: Duration::from_secs(5) };
    let stand = Action::StandStill {
        key: "shop".into(),
        dependant: "shop".into(),
        host: Host::Local,
        stop: act("stop"),
        start: act("start"),
    };
    let backup = Backup {
        kind: "copy".into(),
        node: "n1".into(),
        release: "1.0.0".parse().unwrap(),
        file: "copy".into(),
        save: call(),
        verify: call(),
        made_of: None,
        sha256: None,
    };
    let without_probe = |id: &str, role, action| {
        let mut step = step(id, role, action);
        step.done = None;
        step
    };
    let put = Action::Restore {
        node: "n1".into(),
        backup: Box::new(backup.clone()),
        call: call(),
        joins: None,
    };
    let copy = Action::Backup { backup: backup.clone() };
    let proof = Action::Verify { backup };
    let back = Action::TempPutBack { key: "shop".into() };
    let copied = vec![
        without_probe("stand", StepRole::DependantStop, stand),
        without_probe("copy", StepRole::Backup, copy),
        without_probe("prove", StepRole::Verify, proof.clone()),
    ];
    let restored = vec![
        step("restore", StepRole::Restore, put),
        without_probe("compare", StepRole::Verify, proof),
        without_probe("back", StepRole::DependantStart, back),
    ];
    plan(order(copied, stop(), restored))
}

/// The steps that were begun, in order.
fn steps_begun(journal: &[Recorded]) -> Vec<&str> {
    let begun = journal.iter().filter_map(|recorded| match &recorded.event {
        RunEvent::Started { step, .. } => Some(step.as_str()),
        _ => None,
    });
    begun.collect()
}

#[test]
fn an_application_is_started_when_a_run_halts_before_a_member_was_stopped() {
    let mut run = Driver::new(while_an_application_stands_still());
    run.acted(Driver::done());
    run.tell(Input::Operator(RunEvent::AbortRequested { by: "anna".into(), reason: "no".into() }));
    while run.last != Some(Effect::PutBack { key: "shop".into() }) {
        run.acted(Driver::done());
    }
    assert_eq!(run.count(|event| matches!(event, RunEvent::Note { .. })), 0);
}

#[test]
fn an_application_is_not_started_on_data_that_are_being_exchanged() {
    let mut run = Driver::new(while_an_application_stands_still());
    (0..3).for_each(|_| run.acted(Driver::done()));
    run.looked(Driver::not_yet());
    run.acted(Outcome::Failed { because: "no".into() });
    assert_eq!(run.hold().code, "act-failed");
    let told = |event: &RunEvent| matches!(event, RunEvent::Note { text, .. } if text.contains("nobody has compared yet"));
    assert_eq!(run.count(told), 1);
    assert_eq!(run.count(|event| matches!(event, RunEvent::PutBack { .. })), 0, "still owed");
}

/// What was written between a halt and the resume is in no copy of before.
#[test]
fn whoever_takes_a_run_up_before_anybody_stopped_takes_another_copy() {
    let mut run = Driver::new(while_an_application_stands_still());
    (0..3).for_each(|_| run.acted(Driver::done()));
    let mut again = resumed(&run.journal);
    drive(&mut again);
    let begun = steps_begun(&again.journal[run.journal.len()..]);
    assert_eq!(begun, ["copy", "prove", "stop", "restore", "compare", "back"]);
    // Once a member was stopped its data are those of the copy.
    let restores = |one: &Recorded| matches!(&one.event, RunEvent::Started { step, .. } if step.as_str() == "restore");
    let cut = again.journal.iter().position(restores).unwrap();
    let mut late = resumed(&again.journal[..cut]);
    drive(&mut late);
    assert_eq!(steps_begun(&late.journal[cut..]), ["restore", "compare", "back"]);
}

/// The start of an application may be said twice, so its outcome need not be known.
#[test]
fn an_application_is_started_whatever_became_of_the_first_try() {
    let whole = {
        let mut run = Driver::new(while_an_application_stands_still());
        drive(&mut run);
        run.journal
    };
    for cut in 1..=whole.len() {
        let mut run = resumed(&whole[..cut]);
        drive(&mut run);
        assert!(
            matches!(run.engine.phase(), Phase::Over(RunEnd::Succeeded)),
            "cut after {cut}: {:?}",
            run.engine.phase()
        );
        let put = run.count(|event| matches!(event, RunEvent::PutBack { .. }));
        assert!(put >= 1, "cut after {cut}: the application was never started");
    }
}

/// What stands still is the same however often it is copied; once a member has other data, its copy would be another.
#[test]
fn a_copy_of_what_stands_still_is_not_taken_anew() {
    let mut run = Driver::new(while_data_change_form());
    drive(&mut run);
    assert_eq!(
        steps_begun(&run.journal),
        ["stand", "stop", "copy", "prove", "restore", "compare", "switch", "back"]
    );
    let restores = |one: &Recorded| matches!(&one.event, RunEvent::Started { step, .. } if step.as_str() == "restore");
    let cut = run.journal.iter().position(restores).unwrap();
    let mut late = resumed_with(while_data_change_form(), &run.journal[..cut]);
    drive(&mut late);
    assert_eq!(steps_begun(&late.journal[cut..]), ["restore", "compare", "switch", "back"]);
}

/// An application that was not told where its data are is not started by whoever ends the run.
#[test]
fn an_application_is_not_started_before_it_was_switched() {
    let mut run = Driver::new(while_data_change_form());
    drive(&mut run);
    let switches = |one: &Recorded| matches!(&one.event, RunEvent::Started { step, .. } if step.as_str() == "switch");
    let cut = run.journal.iter().position(switches).unwrap();
    let mut late = resumed_with(while_data_change_form(), &run.journal[..cut]);
    while !matches!(late.engine.phase(), Phase::Over(_)) {
        match late.last.clone() {
            Some(Effect::Act { .. }) => late.acted(Outcome::Failed { because: "no".into() }),
            Some(Effect::Look { .. }) => late.looked(Verdict::Holds),
            _ => late.wait(),
        }
    }
    assert_eq!(late.count(|event| matches!(event, RunEvent::PutBack { .. })), 0, "still owed");
    assert_eq!(late.hold().code, "act-failed");
}

fn resumed(journal: &[Recorded]) -> Driver {
    resumed_with(while_an_application_stands_still(), journal)
}

fn resumed_with(plan: Arc<Plan>, journal: &[Recorded]) -> Driver {
    let engine = Engine::replay(plan, journal, Timestamp::UNIX_EPOCH).unwrap();
    let journal = journal.to_vec();
    let mut run = Driver { engine, journal, now: Timestamp::UNIX_EPOCH, last: None };
    run.poll();
    run
}

#[test]
fn a_run_resumed_after_any_event_repeats_no_finished_step() {
    let steps = || plan(vec![stop(), start(), rejoin(0)]);
    let whole = {
        let mut run = Driver::new(steps());
        drive(&mut run);
        run.journal
    };
    for cut in 1..=whole.len() {
        let journal = whole[..cut].to_vec();
        let engine = Engine::replay(steps(), &journal, Timestamp::UNIX_EPOCH).unwrap();
        let mut run = Driver { engine, journal, now: Timestamp::UNIX_EPOCH, last: None };
        run.poll();
        drive(&mut run);
        assert!(
            matches!(run.engine.phase(), Phase::Over(RunEnd::Succeeded)),
            "cut after {cut}: {:?}",
            run.engine.phase()
        );
        for id in ["stop", "start"] {
            let acted = run.count(
                |event| matches!(event, RunEvent::Acted { step, .. } if step.as_str() == id),
            );
            let probed = run.count(|event| matches!(event, RunEvent::DoneProbed { step, done: true } if step.as_str() == id));
            assert!(acted <= 1 && acted + probed >= 1, "cut after {cut}: {id} acted {acted} times");
        }
    }
}

#[test]
fn a_run_whose_client_lost_writes_did_not_succeed() {
    let mut run = Driver::new(plan(vec![stop()]));
    run.looked(Verdict::Holds);
    run.accounted(3);
    assert_eq!(run.hold().code, "client-lost");
    assert!(run.hold().text.contains("3 acknowledged writes"));
    assert_eq!(run.count(|event| matches!(event, RunEvent::Succeeded)), 0);
}

#[test]
fn what_clients_see_ends_a_run_while_it_waits_at_a_gate() {
    for (input, code) in [
        (Input::ClientGap { gap_ms: 4000, max_ms: 3000 }, "client-gap"),
        (Input::ClientLost { text: "2 reads were stale".into() }, "client-lost"),
    ] {
        let mut run = Driver::new(plan(vec![rejoin(60)]));
        run.tell(input);
        run.looked(Driver::not_yet());
        assert_eq!(run.hold().code, code);
    }
}

#[test]
fn a_gate_opens_only_on_a_look_that_saw_everything() {
    let mut run = Driver::new(plan(vec![rejoin(3)]));
    let mut looks = Vec::new();
    while let Some(Effect::Look { look, .. }) = run.last {
        looks.push(look);
        run.looked(Verdict::Holds);
        if run.engine.poll_timeout().is_some() {
            run.wait();
        }
    }
    let (last, before) = looks.split_last().unwrap();
    assert_eq!(*last, Look::Gate);
    assert!(before.iter().all(|look| *look == Look::GateOnTheWay), "{looks:?}");
    assert_eq!(run.last, Some(Effect::Account));
}

#[test]
fn first_looks_come_close_and_later_ones_at_the_policys_pace() {
    let mut run = Driver::new(plan(vec![rejoin(0)]));
    let mut pauses = Vec::new();
    for _ in 0..22 {
        let before = run.now;
        run.looked(Driver::not_yet());
        run.wait();
        pauses.push(run.now.duration_since(before));
    }
    assert!(pauses[0] <= SignedDuration::from_millis(50), "{pauses:?}");
    assert!(pauses.is_sorted(), "{pauses:?}");
    assert_eq!(*pauses.last().unwrap(), SignedDuration::from_secs(1));
}

fn with_override(gate: &str) -> Policy {
    let over = Override {
        gate: gate.into(),
        node: "n1".into(),
        reason: "a slow disk".into(),
        expires: Timestamp::MAX,
    };
    Policy { look_every: Duration::from_secs(1), overrides: vec![over], ..Policy::default() }
}

#[test]
fn a_member_whose_process_has_ended_is_not_waited_for() {
    let mut run = Driver::new(plan(vec![rejoin(0)]));
    run.looked(Driver::not_yet());
    run.wait();
    run.looked(Verdict::Ended("the process of n1 has ended; panic".into()));
    let hold = run.hold();
    assert_eq!(hold.code, "member-ended");
    assert!(hold.text.contains("panic"), "{hold:?}");
    // Somebody has said in time that this gate may be set aside.
    let mut whole = (*plan(vec![rejoin(0)])).clone();
    whole.policy = with_override("rejoin");
    let mut run = Driver::new(Arc::new(whole));
    run.looked(Verdict::Ended("the process of n1 has ended".into()));
    assert_eq!(run.last, Some(Effect::Account));
    assert_eq!(run.count(|event| matches!(event, RunEvent::Overridden { .. })), 1);
}

/// Looks that never see the gate hold, until the run stops asking; gives how long that took.
fn never_holds(policy: Policy, steps: Vec<Step>) -> (Driver, SignedDuration) {
    let mut whole = (*plan(steps)).clone();
    whole.policy = policy;
    let mut run = Driver::new(Arc::new(whole));
    let began = run.now;
    while let Some(Effect::Look { .. }) = run.last {
        run.looked(Driver::not_yet());
        if run.engine.poll_timeout().is_some() {
            run.wait();
        }
    }
    let took = run.now.duration_since(began);
    (run, took)
}

#[test]
fn an_override_sets_a_gate_aside_when_its_time_is_up_and_not_before() {
    let (run, took) = never_holds(with_override("rejoin"), vec![rejoin(0)]);
    assert_eq!(run.last, Some(Effect::Account));
    assert!(took >= SignedDuration::from_secs(30), "the gate's limit: {took}");
    assert_eq!(run.count(|event| matches!(event, RunEvent::Overridden { .. })), 1);
    let (run, _) = never_holds(with_override("other"), vec![rejoin(0)]);
    assert_eq!(run.hold().code, "gate-timeout");
}

#[test]
fn who_set_the_rejoin_gate_aside_waits_for_the_healthy_time_alone() {
    let soak = Step {
        gate: Some(Gate { name: "soak".into(), ..gate(7) }),
        ..step("soak", StepRole::Soak, Action::Look)
    };
    let (run, took) = never_holds(with_override("rejoin"), vec![soak]);
    assert_eq!(run.last, Some(Effect::Account));
    assert!(took >= SignedDuration::from_secs(7) && took < SignedDuration::from_secs(10), "{took}");
}

#[test]
fn a_change_that_could_not_be_put_back_stays_owed() {
    let set = Action::TempSet { key: "noout".into(), call: call(), put_back: call() };
    let steps = || plan(vec![step("set", StepRole::TempSet, set.clone()), stop()]);
    let mut run = Driver::new(steps());
    run.looked(Driver::not_yet());
    run.acted(Driver::done());
    run.looked(Driver::not_yet());
    run.acted(Outcome::Failed { because: "no".into() });
    run.last = None;
    let outcome = Outcome::Failed { because: "unreachable".into() };
    run.tell(Input::PutBack { key: "noout".into(), outcome });
    assert_eq!(run.hold().code, "act-failed", "asked once, then the run ends all the same");
    assert_eq!(run.count(|event| matches!(event, RunEvent::PutBack { .. })), 0);
    let mut again = Engine::replay(steps(), &run.journal, run.now).unwrap();
    let ask = again.poll_action(run.now).unwrap().effect;
    assert_eq!(ask, Some(Effect::Look { step: None, look: Look::World }));
    again.handle(
        Input::Looked {
            step: None,
            look: Look::World,
            verdict: Verdict::Differs(vec!["x".into()]),
        },
        run.now,
    );
    let put = again.poll_action(run.now).unwrap().effect;
    assert_eq!(put, Some(Effect::PutBack { key: "noout".into() }), "the next end tries again");
}

/// Answers like a world in which every act happens at once; what was acted in the journal probes as done.
fn drive(run: &mut Driver) {
    for _ in 0..100 {
        match run.last.clone() {
            Some(Effect::Look { look: Look::Done, step }) => {
                let begun = run.count(|event| matches!(event, RunEvent::Started { step: id, .. } if Some(id) == step.as_ref()));
                run.looked(if begun > 0 { Verdict::Holds } else { Driver::not_yet() });
            }
            Some(Effect::Look { .. }) => run.looked(Verdict::Holds),
            Some(Effect::Act { .. }) => run.acted(Driver::done()),
            Some(Effect::Account) => run.accounted(0),
            Some(_) => return,
            None if run.engine.poll_timeout().is_some() => run.wait(),
            None => return,
        }
    }
}
