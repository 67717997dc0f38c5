//! Nodes without a vote that move beside each other: several effects in flight, each answered by the id of its step.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up shall fail")]

mod support;

use jiff::{SignedDuration, Timestamp};
use quorate_engine::{Effect, Engine, Input, Look, Phase, Verdict};
use quorate_model::*;
use std::{collections::BTreeSet, sync::Arc};
use support::{began, gate, plan_of, step};

fn of(node: &str, what: &str, role: StepRole, action: Action) -> Step {
    Step { node: Some(node.into()), ..step(&format!("{node}.{what}"), role, action) }
}

/// Stop, start, rejoin of one client.
fn lane(node: &str) -> Vec<Step> {
    let expect = "3.4.23".parse().unwrap();
    vec![
        of(node, "stop", StepRole::Stop, Action::Stop { node: node.into() }),
        of(node, "start", StepRole::Start, Action::Start { node: node.into(), expect }),
        Step { gate: Some(gate(0)), ..of(node, "rejoin", StepRole::Rejoin, Action::Look) },
    ]
}

fn wave(id: &str, nodes: &[&str], at_most: u32, failures: u32) -> Wave {
    Wave {
        id: id.into(),
        title: id.into(),
        node: None,
        lanes: Some(Lanes { group: "client".into(), at_most, failures }),
        steps: nodes.iter().flat_map(|node| lane(node)).collect(),
    }
}

fn single(id: &str) -> Wave {
    let steps = vec![Step { node: None, ..step(id, StepRole::HopComplete, Action::Look) }];
    Wave { id: id.into(), title: id.into(), node: None, lanes: None, steps }
}

/// A driver that keeps every effect in flight until the test answers it.
struct Driver {
    engine: Engine,
    journal: Vec<Recorded>,
    now: Timestamp,
    flight: Vec<Effect>,
    most: usize,
}

impl Driver {
    fn new(plan: &Arc<Plan>) -> Self {
        let now = Timestamp::UNIX_EPOCH;
        let mut driver = Self::with(Engine::new(plan.clone(), now), Vec::new());
        driver.record(began(plan));
        driver.poll();
        driver
    }
    fn with(engine: Engine, journal: Vec<Recorded>) -> Self {
        Self { engine, journal, now: Timestamp::UNIX_EPOCH, flight: Vec::new(), most: 0 }
    }
    fn record(&mut self, event: RunEvent) {
        let seq = Seq(self.journal.len() as u64 + 1);
        self.journal.push(Recorded { seq, at: self.now, event });
    }
    fn poll(&mut self) {
        while let Some(turn) = self.engine.poll_action(self.now) {
            for event in turn.journal {
                self.record(event);
            }
            if let Some(effect) = turn.effect {
                if let Effect::Act { step, attempt } = &effect {
                    let intent = RunEvent::Started { step: step.clone(), attempt: *attempt };
                    assert!(
                        self.journal.iter().any(|one| one.event == intent),
                        "no intent: {step}"
                    );
                }
                self.flight.push(effect);
            }
        }
        self.most = self.most.max(self.clients_on_their_way());
    }
    fn clients_on_their_way(&self) -> usize {
        let nodes: BTreeSet<_> =
            self.engine.at_work().filter_map(|step| step.node.clone()).collect();
        nodes.len()
    }
    fn tell(&mut self, input: Input) {
        self.engine.handle(input, self.now);
        self.poll();
    }
    /// Takes the effect of a step out of those in flight.
    #[track_caller]
    fn take(&mut self, id: &str) -> Effect {
        let own = |effect: &Effect| match effect {
            Effect::Look { step, .. } => step.as_ref().is_some_and(|step| step.as_str() == id),
            Effect::Act { step, .. } => step.as_str() == id,
            _ => false,
        };
        let at = self.flight.iter().position(own);
        self.flight.remove(at.unwrap_or_else(|| panic!("{id} not in {:?}", self.flight)))
    }
    #[track_caller]
    fn looked(&mut self, id: &str, verdict: Verdict) {
        let Effect::Look { step, look } = self.take(id) else { panic!("{id} is no look") };
        self.tell(Input::Looked { step, look, verdict });
    }
    #[track_caller]
    fn acted(&mut self, id: &str, outcome: Outcome) {
        let Effect::Act { step, attempt } = self.take(id) else { panic!("{id} is no act") };
        self.tell(Input::Acted { step, attempt, outcome, also: vec![] });
    }
    /// Its stop's probe says no, then the stop is done.
    #[track_caller]
    fn stopped(&mut self, node: &str) {
        let id = format!("{node}.stop");
        self.looked(&id, not_yet(node));
        self.acted(&id, DONE);
    }
    /// What a resumed run asks first, answered with nothing new.
    #[track_caller]
    fn looked_at_the_world(&mut self) {
        let asked = self
            .flight
            .iter()
            .position(|effect| matches!(effect, Effect::Look { step: None, look: Look::World }));
        self.flight.remove(asked.expect("the world is looked at first"));
        self.tell(Input::Looked { step: None, look: Look::World, verdict: Verdict::Holds });
    }
    fn in_flight(&self) -> Vec<String> {
        let name = |effect: &Effect| match effect {
            Effect::Look { step, look } => {
                format!("{look:?} {}", step.as_ref().map_or("world", StepId::as_str))
            }
            Effect::Act { step, .. } => format!("Act {step}"),
            other => format!("{other:?}"),
        };
        self.flight.iter().map(name).collect()
    }
    /// Answers everything well until nothing is asked any more; acts of `bad` nodes fail.
    fn go_on(&mut self, bad: &[&str]) {
        for _ in 0..10_000 {
            let Some(effect) = self.flight.first().cloned() else {
                let Some(at) = self.engine.poll_timeout() else { return };
                self.now = self.now.max(at);
                self.tell(Input::Tick);
                continue;
            };
            self.flight.remove(0);
            match effect {
                Effect::Look { step, look } => {
                    let begun = |one: &Recorded| matches!(&one.event, RunEvent::Started { step: id, .. } if Some(id) == step.as_ref());
                    let begun = self.journal.iter().any(begun);
                    let verdict = match look {
                        Look::Done if !begun => not_yet("x"),
                        _ => Verdict::Holds,
                    };
                    self.tell(Input::Looked { step, look, verdict });
                }
                Effect::Act { step, attempt } => {
                    let node = step.as_str().split('.').next().unwrap();
                    let because = "it is ill".into();
                    let outcome =
                        if bad.contains(&node) { Outcome::Failed { because } } else { DONE };
                    self.tell(Input::Acted { step, attempt, outcome, also: vec![] });
                }
                Effect::Account => self.tell(Input::Accounted { wrong: None }),
                Effect::PutBack { key } => self.tell(Input::PutBack { key, outcome: DONE }),
                Effect::Rest | Effect::End(_) => return,
            }
        }
        panic!("it never ends: {:?}", self.in_flight());
    }
    #[track_caller]
    fn hold(&self) -> &Hold {
        match self.engine.phase() {
            Phase::Over(RunEnd::Halted { hold }) => hold,
            other => panic!("not halted: {other:?}"),
        }
    }
    fn started(&self, id: &str) -> usize {
        let own = |one: &&Recorded| matches!(&one.event, RunEvent::Started { step, .. } if step.as_str() == id);
        self.journal.iter().filter(own).count()
    }
    fn behind(&self) -> Vec<String> {
        let of = |one: &Recorded| match &one.event {
            RunEvent::LeftBehind { node, .. } => Some(node.to_string()),
            _ => None,
        };
        self.journal.iter().filter_map(of).collect()
    }
}

const DONE: Outcome = Outcome::Succeeded { note: None };

fn not_yet(node: &str) -> Verdict {
    Verdict::NotYet(WaitingOn::Healthy { node: node.into() })
}

#[test]
fn clients_move_beside_each_other_and_no_more_than_may() {
    let mut run = Driver::new(&plan_of(vec![wave("w1", &["c1", "c2", "c3"], 2, 0)]));
    assert_eq!(run.in_flight(), ["Done c1.stop", "Done c2.stop"]);
    run.looked("c2.stop", not_yet("c2"));
    run.looked("c1.stop", not_yet("c1"));
    assert_eq!(run.in_flight(), ["Act c2.stop", "Act c1.stop"], "answers come in any order");
    run.go_on(&[]);
    assert_eq!(run.engine.phase(), &Phase::Over(RunEnd::Succeeded));
    assert_eq!(run.most, 2);
}

#[test]
fn a_wave_ends_before_anything_else_begins() {
    let plan = plan_of(vec![wave("w1", &["c1", "c2"], 2, 0), single("complete")]);
    let mut run = Driver::new(&plan);
    run.stopped("c1");
    run.looked("c1.start", not_yet("c1"));
    run.acted("c1.start", DONE);
    while run.in_flight().iter().any(|one| one.contains("c1.rejoin")) {
        run.looked("c1.rejoin", Verdict::Holds);
        run.now = run.engine.poll_timeout().unwrap_or(run.now);
        run.tell(Input::Tick);
    }
    assert_eq!(run.in_flight(), ["Done c2.stop"], "c1 is back, c2 is not");
    assert_eq!(run.started("complete"), 0);
    run.go_on(&[]);
    assert_eq!(run.started("complete"), 1);
}

#[test]
fn a_client_that_fails_is_left_behind_and_the_others_go_on() {
    let plan = plan_of(vec![wave("w1", &["c1", "c2"], 2, 1), wave("w2", &["c3"], 2, 1)]);
    let mut run = Driver::new(&plan);
    run.go_on(&["c1"]);
    assert_eq!(run.behind(), ["c1"]);
    for node in ["c2", "c3"] {
        assert_eq!(run.started(&format!("{node}.start")), 1, "{node} has moved");
    }
    let hold = run.hold();
    assert_eq!(hold.code, LEFT_BEHIND);
    assert!(hold.text.contains("c1 (it is ill)"), "{hold:?}");
    assert!(!run.journal.iter().any(|one| one.event == RunEvent::Succeeded));
}

#[test]
fn past_its_budget_a_run_stops_nobody_more_and_starts_whom_it_stopped() {
    let plan = plan_of(vec![wave("w1", &["c1", "c2", "c3", "c4"], 3, 0)]);
    let mut run = Driver::new(&plan);
    run.stopped("c2");
    run.looked("c1.stop", not_yet("c1"));
    run.acted("c1.stop", Outcome::Failed { because: "no such unit".into() });
    // c2 is stopped and is started again; c3 was only looked at, and c4 never is.
    run.looked("c3.stop", not_yet("c3"));
    run.go_on(&[]);
    assert_eq!(run.hold().code, "failure-budget");
    assert!(run.hold().text.contains("no such unit"), "{:?}", run.hold());
    assert_eq!(run.started("c2.start"), 1);
    assert_eq!(run.started("c3.stop") + run.started("c4.stop"), 0);
    assert_eq!(run.started("c2.rejoin"), 0, "nothing is waited for any more");
}

#[test]
fn whoever_was_stopped_and_failed_takes_a_place_until_it_is_back() {
    let plan = plan_of(vec![wave("w1", &["c1", "c2"], 2, 5), wave("w2", &["c3", "c4"], 2, 5)]);
    let mut run = Driver::new(&plan);
    run.stopped("c1");
    run.looked("c1.start", not_yet("c1"));
    run.acted("c1.start", Outcome::Failed { because: "exec format error".into() });
    run.most = 0;
    run.go_on(&[]);
    assert_eq!(run.most, 1, "one place of two is taken by c1");
    assert_eq!(run.hold().code, LEFT_BEHIND);
    // With every place taken nobody else may stop.
    let plan = plan_of(vec![wave("w1", &["c1"], 1, 5), wave("w2", &["c2"], 1, 5)]);
    let mut run = Driver::new(&plan);
    run.stopped("c1");
    run.looked("c1.start", not_yet("c1"));
    run.acted("c1.start", Outcome::Failed { because: "exec format error".into() });
    run.go_on(&[]);
    assert_eq!(run.hold().code, "failure-budget");
    assert_eq!(run.started("c2.stop"), 0);
}

#[test]
fn a_member_that_breaks_halts_the_run_and_costs_no_budget() {
    let mut run = Driver::new(&plan_of(vec![wave("w1", &["c1", "c2"], 2, 2)]));
    run.stopped("c1");
    run.looked("c1.start", not_yet("c1"));
    run.acted("c1.start", DONE);
    run.looked("c2.stop", Verdict::Unsafe(Unsafe::NoLeader { node: "c2".into() }));
    run.go_on(&[]);
    assert_eq!(run.hold().code, "unsafe");
    assert_eq!(run.behind(), Vec::<String>::new());
}

/// c1 waits at its gate while servers answer late, for so many seconds; then they are well again.
fn servers_that_answer_late(secs: i64) -> Driver {
    let mut run = Driver::new(&plan_of(vec![wave("w1", &["c1", "c2"], 1, 2)]));
    run.stopped("c1");
    run.looked("c1.start", not_yet("c1"));
    run.acted("c1.start", DONE);
    let well_at = run.now + SignedDuration::from_secs(secs);
    let waits = |run: &Driver| run.in_flight().iter().any(|look| look.ends_with("c1.rejoin"));
    while run.now < well_at && waits(&run) {
        run.looked("c1.rejoin", Verdict::Unsafe(Unsafe::NoLeader { node: "c1".into() }));
        let Some(next) = run.engine.poll_timeout() else { break };
        run.now = next;
        run.tell(Input::Tick);
    }
    assert_eq!(run.started("c2.stop"), 0, "nobody is stopped meanwhile");
    run.go_on(&[]);
    run
}

#[test]
fn a_wave_waits_for_servers_that_answer_late_and_halts_when_they_stay_ill() {
    let run = servers_that_answer_late(15);
    assert_eq!(run.engine.phase(), &Phase::Over(RunEnd::Succeeded));
    let run = servers_that_answer_late(25);
    assert_eq!(run.hold().code, "unsafe");
    assert_eq!(run.started("c2.stop"), 0);
}

#[test]
fn a_pause_lets_running_steps_end_and_begins_no_new_ones() {
    let mut run = Driver::new(&plan_of(vec![wave("w1", &["c1", "c2", "c3"], 2, 0)]));
    run.stopped("c1");
    let reason = String::new();
    run.tell(Input::Operator(RunEvent::PauseRequested { by: "anna".into(), reason }));
    run.looked("c2.stop", not_yet("c2"));
    run.go_on(&[]);
    assert_eq!(run.engine.phase(), &Phase::Resting);
    assert_eq!(run.started("c1.start"), 1, "whoever was stopped does not stay down");
    assert_eq!(run.started("c2.stop") + run.started("c3.stop"), 0, "nobody else stops");
}

#[test]
fn a_wave_is_approved_as_a_whole() {
    let mut whole = wave("w1", &["c1", "c2"], 2, 0);
    whole.steps[0].needs_approval = true;
    let mut run = Driver::new(&plan_of(vec![whole]));
    assert_eq!(run.in_flight(), Vec::<String>::new(), "nobody moves before the yes");
    run.tell(Input::Operator(RunEvent::Approved { step: "c1.stop".into(), by: "anna".into() }));
    assert_eq!(run.in_flight(), ["Done c1.stop", "Done c2.stop"]);
}

#[test]
fn several_open_intents_are_each_settled_by_their_own_probe() {
    let plan = plan_of(vec![wave("w1", &["c1", "c2", "c3"], 3, 0)]);
    let mut run = Driver::new(&plan);
    for node in ["c1", "c2", "c3"] {
        run.looked(&format!("{node}.stop"), not_yet(node));
    }
    run.acted("c3.stop", DONE);
    // The controller dies with two stops under way and a third one done.
    let engine = Engine::replay(plan, &run.journal, run.now).unwrap();
    let mut again = Driver::with(engine, run.journal);
    again.poll();
    assert_eq!(again.in_flight(), ["World world"]);
    again.flight.clear();
    let (step, look, verdict) = (None, Look::World, Verdict::Holds);
    again.tell(Input::Looked { step, look, verdict });
    assert_eq!(again.in_flight(), ["Done c1.stop", "Done c2.stop", "Done c3.start"]);
    again.looked("c1.stop", Verdict::Holds);
    again.looked("c2.stop", not_yet("c2"));
    assert_eq!(again.in_flight(), ["Done c3.start", "Done c1.start", "Act c2.stop"]);
    assert_eq!(again.started("c1.stop"), 1, "it had happened");
    assert_eq!(again.started("c2.stop"), 2, "it had not");
}

#[test]
fn a_run_resumed_after_any_event_repeats_no_finished_step() {
    let plan = || {
        plan_of(vec![
            wave("w1", &["c1", "c2", "c3"], 2, 2),
            wave("w2", &["c4", "c5"], 2, 2),
            single("complete"),
        ])
    };
    let whole = {
        let mut run = Driver::new(&plan());
        run.go_on(&[]);
        assert_eq!(run.engine.phase(), &Phase::Over(RunEnd::Succeeded));
        run.journal
    };
    for cut in 1..=whole.len() {
        let journal = whole[..cut].to_vec();
        let engine = Engine::replay(plan(), &journal, Timestamp::UNIX_EPOCH).unwrap();
        let mut run = Driver::with(engine, journal);
        run.poll();
        run.go_on(&[]);
        assert_eq!(run.engine.phase(), &Phase::Over(RunEnd::Succeeded), "cut after {cut}");
        assert!(run.most <= 2, "cut after {cut}: {} beside each other", run.most);
        for node in ["c1", "c2", "c3", "c4", "c5"] {
            for what in ["stop", "start"] {
                let id = format!("{node}.{what}");
                let acted = |one: &&Recorded| matches!(&one.event, RunEvent::Acted { step, .. } if step.as_str() == id);
                let acted = run.journal.iter().filter(acted).count();
                assert!(acted <= 1, "cut after {cut}: {id} acted {acted} times");
            }
        }
    }
}

#[test]
fn a_controller_that_dies_before_the_halt_does_not_renew_the_budget() {
    let plan = plan_of(vec![wave("w1", &["c1", "c2", "c3"], 2, 0)]);
    let mut run = Driver::new(&plan);
    run.looked("c1.stop", not_yet("c1"));
    run.acted("c1.stop", Outcome::Failed { because: "no such unit".into() });
    assert!(matches!(run.journal.last().unwrap().event, RunEvent::LeftBehind { .. }));
    let engine = Engine::replay(plan.clone(), &run.journal, run.now).unwrap();
    let mut again = Driver::with(engine, run.journal);
    again.poll();
    again.go_on(&[]);
    assert_eq!(again.hold().code, "failure-budget");
    assert_eq!(again.started("c2.stop"), 0);
    // The halt was seen by a person, who resumes.
    let engine = Engine::replay(plan, &again.journal, again.now).unwrap();
    let mut last = Driver::with(engine, again.journal);
    last.poll();
    last.go_on(&[]);
    assert_eq!(last.engine.phase(), &Phase::Over(RunEnd::Succeeded));
}

#[test]
fn with_every_place_taken_those_that_failed_are_tried_first() {
    let plan = plan_of(vec![wave("w1", &["c1"], 1, 1), wave("w2", &["c2"], 1, 1)]);
    let mut run = Driver::new(&plan);
    run.stopped("c1");
    run.looked("c1.start", not_yet("c1"));
    run.acted("c1.start", Outcome::Failed { because: "exec format error".into() });
    run.go_on(&[]);
    assert_eq!(run.hold().code, "failure-budget", "no place is left");
    let engine = Engine::replay(plan, &run.journal, run.now).unwrap();
    let mut again = Driver::with(engine, run.journal);
    again.poll();
    again.go_on(&[]);
    assert_eq!(again.engine.phase(), &Phase::Over(RunEnd::Succeeded));
    assert_eq!(again.most, 1);
}

#[test]
fn those_left_behind_are_tried_once_more_after_a_person_has_looked() {
    let plan = plan_of(vec![wave("w1", &["c1", "c2"], 2, 1), single("complete")]);
    let mut run = Driver::new(&plan);
    run.go_on(&["c1"]);
    assert_eq!(run.hold().code, LEFT_BEHIND);
    let engine = Engine::replay(plan.clone(), &run.journal, run.now).unwrap();
    let mut again = Driver::with(engine, run.journal);
    again.poll();
    again.go_on(&["c1"]);
    assert_eq!(again.hold().code, LEFT_BEHIND, "still ill");
    assert_eq!(again.behind(), ["c1", "c1"]);
    let engine = Engine::replay(plan, &again.journal, again.now).unwrap();
    let mut last = Driver::with(engine, again.journal);
    last.poll();
    last.go_on(&[]);
    assert_eq!(last.engine.phase(), &Phase::Over(RunEnd::Succeeded));
    assert_eq!(last.started("complete"), 1, "what was done stays done");
}

/// A client that was started and did not come back is left behind; then its controller is gone. Gives the run that resumes, asked
/// whether the client runs.
fn resumed_with_one_started_and_gone() -> Driver {
    let plan = plan_of(vec![wave("w1", &["c1", "c2"], 2, 1), single("complete")]);
    let mut run = Driver::new(&plan);
    run.stopped("c1");
    run.looked("c1.start", not_yet("c1"));
    run.acted("c1.start", DONE);
    run.looked("c1.rejoin", Verdict::Ended("its process is gone".into()));
    run.go_on(&[]);
    assert_eq!((run.hold().code.as_str(), run.behind()), (LEFT_BEHIND, vec!["c1".to_owned()]));
    let engine = Engine::replay(plan, &run.journal, run.now).unwrap();
    let mut again = Driver::with(engine, run.journal);
    again.poll();
    again.looked_at_the_world();
    assert_eq!(again.in_flight(), ["Done c1.start"], "whether it runs is asked, and nothing else");
    again
}

#[test]
fn a_client_left_behind_that_ended_is_started_by_whoever_resumes() {
    let mut run = resumed_with_one_started_and_gone();
    run.looked("c1.start", not_yet("c1"));
    assert_eq!(run.in_flight(), ["Act c1.start"]);
    run.go_on(&[]);
    assert_eq!(run.engine.phase(), &Phase::Over(RunEnd::Succeeded));
    assert_eq!((run.started("c1.stop"), run.started("c1.start")), (1, 2), "stopped once");
    assert_eq!(
        (run.started("c2.stop"), run.started("c2.start")),
        (1, 1),
        "the other is left alone"
    );
}

#[test]
fn a_client_left_behind_that_runs_is_not_started_again() {
    let mut run = resumed_with_one_started_and_gone();
    run.looked("c1.start", Verdict::Holds);
    run.go_on(&[]);
    assert_eq!(run.engine.phase(), &Phase::Over(RunEnd::Succeeded));
    assert_eq!((run.started("c1.stop"), run.started("c1.start")), (1, 1));
}

#[test]
fn the_next_hop_waits_for_those_left_behind() {
    let mut plan = (*plan_of(vec![wave("w1", &["c1", "c2"], 2, 1)])).clone();
    let mut next = plan.hops[0].clone();
    next.waves = vec![single("h2")];
    plan.hops.push(next);
    let mut run = Driver::new(&Arc::new(plan));
    run.go_on(&["c1"]);
    assert_eq!(run.hold().code, LEFT_BEHIND);
    assert_eq!(run.started("h2"), 0);
}
