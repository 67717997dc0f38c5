//! A made-up plan and journals of made-up runs: for tests, examples and pictures of the documentation.
//!
//! Invariant: the same story is the same journal, byte by byte.

mod plan;
mod teller;

pub use plan::{plan, plan_with_nodes};

use quorate_model::{
    Generation, Hold, Holder, Outcome, Override, Plan, Recorded, RunEvent, StepId, StepRole,
    WaitingOn,
};
use teller::Teller;

/// What becomes of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Story {
    /// Everything goes well.
    Succeeded,
    /// In the second hop, a member is catching up.
    Running,
    /// The second member of the second hop does not catch up in time.
    Halted,
    /// The controller dies between a start's intent and its outcome; another one goes on to the end.
    Resumed,
    /// A person paused it after the first member.
    Paused,
    /// It stands before the one-way door of the second hop.
    AwaitingApproval,
}

/// Tells a story of a plan.
pub fn journal(plan: &Plan, story: Story) -> Vec<Recorded> {
    let mut teller = Teller::new(plan);
    teller.begin();
    let steps = plan.hops.iter().flat_map(|hop| &hop.waves).flat_map(|wave| &wave.steps);
    for step in steps {
        match (story, step.id.as_str()) {
            (Story::Running, id) if id == turning_point(plan, 1, 2, StepRole::Rejoin) => {
                teller.catch_up(step);
                return teller.events;
            }
            (Story::Halted, id) if id == turning_point(plan, 1, 2, StepRole::Rejoin) => {
                halt(&mut teller, step);
                return teller.events;
            }
            (Story::Resumed, id) if id == turning_point(plan, 1, 2, StepRole::Start) => {
                crash(&mut teller, &step.id);
                teller.finish(step);
                continue;
            }
            (Story::Paused, id) if id == turning_point(plan, 0, 2, StepRole::Stop) => {
                pause(&mut teller);
                return teller.events;
            }
            (Story::AwaitingApproval, _) if step.role == StepRole::Go => {
                teller.ask(step);
                teller.advance(7_400);
                return teller.events;
            }
            _ => teller.tell(step),
        }
    }
    teller.end();
    teller.events
}

/// The step of this role in this hop and wave: where a story takes its turn.
fn turning_point(plan: &Plan, hop: usize, wave: usize, role: StepRole) -> &str {
    let wave = plan.hops.get(hop).and_then(|hop| hop.waves.get(wave));
    let step = wave.and_then(|wave| wave.steps.iter().find(|step| step.role == role));
    step.map_or("", |step| step.id.as_str())
}

fn halt(teller: &mut Teller<'_>, step: &quorate_model::Step) {
    teller.catch_up(step);
    teller.advance(11_000);
    let node = step.node.clone();
    let because = "the gate `rejoined` did not hold within 10 s: 4,120 entries behind".to_owned();
    teller.say(RunEvent::Note {
        by: "anna@control-1".into(),
        text: "the disk of this host is slow since this morning, ticket 4711".into(),
    });
    if let Some(node) = node {
        let over = Override {
            gate: "data-equal".into(),
            node,
            reason: "hash not comparable while it catches up".into(),
            expires: teller.at + jiff::SignedDuration::from_hours(1),
        };
        let step = step.id.clone();
        teller.say(RunEvent::Overridden { step, over, by: "anna@control-1".into() });
    }
    teller.say(RunEvent::TempSet { key: "defrag-paused".into() });
    let took = std::time::Duration::from_millis(13_200);
    let outcome = Outcome::Failed { because: because.clone() };
    teller.say(RunEvent::Finished { step: step.id.clone(), outcome, took });
    teller.say(RunEvent::Halted {
        hold: Hold {
            step: Some(step.id.clone()),
            code: "gate-timeout".into(),
            text: because,
            hint: Some("look at the disk of its host, then `quorate apply PLAN --resume`".into()),
        },
    });
}

fn crash(teller: &mut Teller<'_>, step: &StepId) {
    teller.say(RunEvent::Started { step: step.clone(), attempt: quorate_model::Attempt(1) });
    // The controller is dead: no events, no client.
    teller.silence(9_000);
    let holder = Holder { who: "ben@control-2".into(), pid: 812 };
    teller.say(RunEvent::Resumed { holder, generation: Generation(2) });
    teller.say(RunEvent::WorldSeen { differs: Vec::new() });
    teller.say(RunEvent::DoneProbed { step: step.clone(), done: true });
}

fn pause(teller: &mut Teller<'_>) {
    let by = "anna@control-1".to_owned();
    teller.say(RunEvent::PauseRequested { by: by.clone(), reason: "lunch".into() });
    teller.advance(300);
    teller.say(RunEvent::Paused { by });
}

/// What a member waits for while it catches up.
fn behind(node: &quorate_model::NodeName, lag: u64) -> WaitingOn {
    WaitingOn::CatchUp { node: node.clone(), lag }
}
