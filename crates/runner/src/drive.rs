//! Carries a run: joins the machine, the journal, the lease, the hands that touch the world, and what clients see.
//!
//! Invariant: a turn's events are durable before its effect is begun.
//! Invariant: the lease is checked before every act, and an act is not begun when it cannot be renewed.
//! One that ran out while this machine stood still (a disk that took half a minute for one write) is taken up again when nobody
//! else has taken it meanwhile: its generation is still the newest.

use crate::{clock::Clock, journal::Journal};
use async_trait::async_trait;
use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use jiff::Timestamp;
use quorate_engine::{Effect, Engine, Input, Look, Verdict};
use quorate_model::{Attempt, Outcome, RunEnd, RunEvent, Step, StepId};
use quorate_store::{Store, StoreError};
use std::{future::Future, pin::Pin, sync::Arc, time::Duration};
use tokio::sync::mpsc::UnboundedReceiver;

/// A lease lives this long without renewal: long enough to outlast a stalled disk, short enough that a dead controller's
/// cluster is free again before anybody loses patience.
pub const LEASE_TTL: Duration = Duration::from_secs(15);
/// Renewed at a third of its life, so that two renewals may fail.
const LEASE_EVERY: Duration = Duration::from_secs(5);
/// How often the journal is read for what people wrote. A person notices a fifth of a second only just.
const LISTEN_EVERY: Duration = Duration::from_millis(200);
/// Looks and acts in flight at the same time. Sixty-four wait for answers rather than work, as many as an observer asks at once;
/// a wave of a tenth of three hundred fits twice, and what a plan lets begin beyond that waits here, its intent not yet written.
const FLIGHTS_MAX: usize = 64;
/// Added to a step's own limit before the driver gives an act up: the act's own time-outs come first and say more.
const ACT_MARGIN: Duration = Duration::from_secs(2);

/// What touches the world.
#[async_trait]
pub trait Hands: Send + Sync {
    /// Looks, and says what was seen; `news` are events about what changed in the view of members.
    async fn look(&self, engine: &View, look: Look, now: Timestamp) -> Seen;
    /// Whether the cluster is still this controller's to change, as its hosts know it. Asked before each act, with its step, and
    /// before a temporary change is put back.
    async fn still_ours(&self, _step: Option<&Step>) -> Result<(), String> {
        Ok(())
    }
    /// Why the cluster is no longer this controller's to change, when a host said so in the middle of a step's act.
    fn lost(&self, _step: &Step) -> Option<String> {
        None
    }
    /// Carries out a step's action once.
    async fn act(&self, step: &Step, attempt: Attempt) -> Done;
    /// Puts a temporary change back.
    async fn put_back(&self, key: &str) -> Outcome;
}

/// What a client of the cluster sees beside the run.
#[async_trait]
pub trait Client: Send + Sync {
    /// How it fares at this moment.
    fn now(&self) -> ClientNow;
    /// Ends it and gives its account as events; nothing when it was given before.
    async fn account(&self) -> Vec<RunEvent>;
}

/// How a client fares at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClientNow {
    /// Time since its last acknowledged write: a gap that is not over yet.
    pub gap_ms: u64,
    /// Linearizable reads that did not show what had been acknowledged before.
    pub reads_stale: u64,
    /// Times that its lock was not exclusive.
    pub locks_broken: u64,
}

/// What hands may know of the machine.
#[derive(Debug, Clone)]
pub struct View {
    /// The step that is asked about.
    pub step: Option<Step>,
    /// Ids of finished steps, in order.
    pub finished: Vec<StepId>,
    /// Ids of steps that were at least begun.
    pub touched: Vec<StepId>,
}

/// What a look gave.
#[derive(Debug)]
pub struct Seen {
    /// The answer.
    pub verdict: Verdict,
    /// Changes in the view of members.
    pub news: Vec<RunEvent>,
}

/// What an act gave.
#[derive(Debug)]
pub struct Done {
    /// How it went.
    pub outcome: Outcome,
    /// Events that it produced.
    pub also: Vec<RunEvent>,
}

/// How a controller's work on a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// The run is over.
    Over(RunEnd),
    /// A person paused it.
    Resting,
}

/// Why a run could not be carried on by this controller.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The journal or the lease could not be written.
    #[error("the run stands still: its journal cannot be written")]
    Store(#[from] StoreError),
}

/// A run at work.
pub struct Driver {
    /// The machine.
    pub engine: Engine,
    /// The pen.
    pub journal: Journal,
    /// Where the lease lives.
    pub store: Arc<dyn Store>,
    /// The hands.
    pub hands: Arc<dyn Hands>,
    /// The run's time.
    pub clock: Clock,
    /// What clients see, as events; the sender may be gone.
    pub client: UnboundedReceiver<RunEvent>,
    /// The client itself, when there is one.
    pub view: Option<Arc<dyn Client>>,
    /// A person at this terminal asked for a pause (Ctrl-C) or approved something.
    pub person: UnboundedReceiver<RunEvent>,
}

type Flights = FuturesUnordered<InFlight>;
type InFlight = Pin<Box<dyn Future<Output = (Input, Vec<RunEvent>)> + Send>>;

impl Driver {
    /// Carries the run on until it is over or rests. The lease is still held: whoever called gives it back.
    pub async fn drive(mut self) -> Result<(Ending, Journal), DriveError> {
        let mut in_flight = Flights::new();
        let mut renew = tokio::time::interval(LEASE_EVERY);
        let mut listen = tokio::time::interval(LISTEN_EVERY);
        listen.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        renew.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            if let Some(ending) = self.turn(&mut in_flight)? {
                return Ok((ending, self.journal));
            }
            let due = self
                .engine
                .poll_timeout()
                .map_or(Duration::from_secs(3600), |at| self.clock.until(at));
            tokio::select! {
                biased;
                Some(answer) = in_flight.next(), if !in_flight.is_empty() => {
                    let mut answers = vec![answer];
                    // Lanes that answer in the same moment share one write.
                    while let Some(Some(answer)) = in_flight.next().now_or_never() {
                        answers.push(answer);
                    }
                    self.take_in(answers)?;
                }
                Some(event) = self.person.recv() => {
                    self.journal.append(self.clock.now(), std::slice::from_ref(&event))?;
                    self.engine.handle(Input::Operator(event), self.clock.now());
                }
                Some(event) = self.client.recv() => self.client_event(event)?,
                _ = renew.tick() => self.renew_lease(),
                _ = listen.tick() => {
                    self.hear_people()?;
                    self.ask_client();
                }
                () = tokio::time::sleep(due) => self.engine.handle(Input::Tick, self.clock.now()),
            }
        }
    }

    fn take_in(&mut self, answers: Vec<(Input, Vec<RunEvent>)>) -> Result<(), DriveError> {
        let news: Vec<RunEvent> = answers.iter().flat_map(|(_, news)| news.clone()).collect();
        self.journal.append(self.clock.now(), &news)?;
        for (input, _) in answers {
            self.engine.handle(input, self.clock.now());
        }
        Ok(())
    }

    /// Takes turns until the machine waits; gives the ending when there is one. The events of turns that are due at the same
    /// moment are written at once, before any of their effects is begun.
    fn turn(&mut self, in_flight: &mut Flights) -> Result<Option<Ending>, DriveError> {
        loop {
            let (events, effects) = self.due(in_flight.len());
            if events.is_empty() && effects.is_empty() {
                return Ok(None);
            }
            match self.journal.append(self.clock.now(), &events) {
                Ok(()) => {}
                Err(StoreError::Fenced { .. }) => {
                    self.lose_lease("a newer controller holds this cluster");
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            for effect in effects {
                match effect {
                    Effect::Rest => return Ok(Some(Ending::Resting)),
                    Effect::End(end) => return Ok(Some(Ending::Over(end))),
                    Effect::Act { .. } if !self.still_holds_lease() => {
                        self.lose_lease(
                            "the lease could not be renewed, so nothing more is touched",
                        );
                        break;
                    }
                    effect => in_flight.extend(self.begin(effect)),
                }
            }
        }
    }

    /// The turns that are due now, as many as may be in flight.
    fn due(&mut self, in_flight: usize) -> (Vec<RunEvent>, Vec<Effect>) {
        let (mut events, mut effects) = (Vec::new(), Vec::new());
        // A run that is over is told so however much is still in flight.
        while in_flight + effects.len() < FLIGHTS_MAX || self.engine.is_over() {
            let Some(turn) = self.engine.poll_action(self.clock.now()) else { break };
            events.extend(turn.journal);
            let last = matches!(turn.effect, Some(Effect::Rest | Effect::End(_)));
            effects.extend(turn.effect);
            if last {
                break;
            }
        }
        (events, effects)
    }

    fn lose_lease(&mut self, because: &str) {
        self.engine.handle(Input::LeaseLost { because: because.into() }, self.clock.now());
    }

    fn begin(&self, effect: Effect) -> Option<InFlight> {
        let hands = self.hands.clone();
        match effect {
            Effect::Look { step, look } => {
                let view = self.view_of(step.as_ref(), look);
                let clock = self.clock;
                Some(Box::pin(async move {
                    let seen = hands.look(&view, look, clock.now()).await;
                    (Input::Looked { step, look, verdict: seen.verdict }, seen.news)
                }))
            }
            Effect::Act { step, attempt } => {
                let whole = self.engine.step(&step)?.clone();
                Some(Box::pin(async move {
                    if let Err(because) = hands.still_ours(Some(&whole)).await {
                        return (Input::LeaseLost { because }, Vec::new());
                    }
                    let limit = whole.limit + ACT_MARGIN;
                    let done = match tokio::time::timeout(limit, hands.act(&whole, attempt)).await {
                        Ok(done) => done,
                        Err(_) => Done {
                            outcome: Outcome::Unknown {
                                because: format!("no answer within {} s", limit.as_secs()),
                            },
                            also: Vec::new(),
                        },
                    };
                    // How far the act came, whoever goes on will see.
                    if let Some(because) = hands.lost(&whole) {
                        return (Input::LeaseLost { because }, done.also);
                    }
                    (
                        Input::Acted { step, attempt, outcome: done.outcome, also: done.also },
                        Vec::new(),
                    )
                }))
            }
            Effect::PutBack { key } => Some(Box::pin(async move {
                if let Err(because) = hands.still_ours(None).await {
                    return (Input::LeaseLost { because }, Vec::new());
                }
                let outcome = hands.put_back(&key).await;
                (Input::PutBack { key, outcome }, Vec::new())
            })),
            Effect::Account => {
                let view = self.view.clone();
                Some(Box::pin(async move {
                    let news = match view {
                        Some(view) => view.account().await,
                        None => Vec::new(),
                    };
                    (Input::Accounted { wrong: wrong(&news) }, news)
                }))
            }
            Effect::Rest | Effect::End(_) => None,
        }
    }

    /// What hands may know for a look. Only one at the world asks for more than its own step.
    fn view_of(&self, step: Option<&StepId>, look: Look) -> View {
        let world = look == Look::World;
        let finished = self.engine.finished().filter(|_| world);
        let touched = self.engine.touched().filter(|_| world);
        View {
            step: step.and_then(|step| self.engine.step(step)).cloned(),
            finished: finished.map(|(step, _)| step.id.clone()).collect(),
            touched: touched.cloned().collect(),
        }
    }

    /// A gap that is not over yet counts: clients wait in it now.
    fn ask_client(&mut self) {
        let Some(view) = &self.view else { return };
        let ClientNow { gap_ms, reads_stale, locks_broken } = view.now();
        let now = self.clock.now();
        let plan = self.engine.plan();
        // An outage that the plan announced is no gap.
        let planned = u64::try_from(plan.outage.as_millis()).unwrap_or(u64::MAX);
        let max = plan.policy.client_gap_max_ms.map(|max| max.saturating_add(planned));
        if let Some(max_ms) = max.filter(|max| gap_ms > *max) {
            self.engine.handle(Input::ClientGap { gap_ms, max_ms }, now);
        }
        if reads_stale > 0 {
            let text = format!(
                "{reads_stale} reads of the client did not show what had been acknowledged to it before"
            );
            self.engine.handle(Input::ClientLost { text }, now);
        }
        if locks_broken > 0 {
            let text = format!("{locks_broken} times {TWO_HOLDERS}");
            self.engine.handle(Input::ClientLost { text }, now);
        }
    }

    fn client_event(&mut self, event: RunEvent) -> Result<(), DriveError> {
        let now = self.clock.now();
        let max_ms = self.engine.plan().policy.client_gap_max_ms;
        let event = match event {
            RunEvent::ClientGap { mut gap } => {
                gap.step = self.engine.current().map(|step| step.id.clone());
                if let Some(max_ms) = max_ms.filter(|max| gap.gap_ms > *max) {
                    self.engine.handle(Input::ClientGap { gap_ms: gap.gap_ms, max_ms }, now);
                }
                RunEvent::ClientGap { gap }
            }
            other => other,
        };
        self.journal.append(now, &[event])?;
        Ok(())
    }

    fn hear_people(&mut self) -> Result<(), DriveError> {
        for recorded in self.journal.take_foreign()? {
            self.engine.handle(Input::Operator(recorded.event), self.clock.now());
        }
        Ok(())
    }

    /// The same, after one more try to renew a lease that ran out.
    fn still_holds_lease(&mut self) -> bool {
        if !self.holds_lease() {
            self.renew_lease();
        }
        self.holds_lease()
    }

    fn holds_lease(&self) -> bool {
        self.journal.lease().is_some_and(|lease| lease.expires_at > self.clock.now())
    }

    fn renew_lease(&mut self) {
        let Some(lease) = self.journal.lease().cloned() else { return };
        match self.store.renew_lease(&lease, self.clock.now(), LEASE_TTL) {
            Ok(lease) => self.journal.set_lease(lease),
            Err(error @ (StoreError::Fenced { .. } | StoreError::Held(_))) => {
                self.engine
                    .handle(Input::LeaseLost { because: error.to_string() }, self.clock.now());
            }
            // A passing fault: the lease still runs, and `holds_lease` stops the run when it no longer does.
            Err(error) => tracing::warn!(%error, "the lease could not be renewed"),
        }
    }
}

/// What a lock must never be.
const TWO_HOLDERS: &str = "the client's lock had two holders at once";

/// What an account says that clients were promised and did not get.
fn wrong(account: &[RunEvent]) -> Option<String> {
    let figures = account.iter().rev().find_map(|event| match event {
        RunEvent::ClientFigures { figures } => Some(figures),
        _ => None,
    })?;
    let broken = figures.lock.as_ref().map_or(0, |lock| lock.broken);
    match (figures.writes_lost, broken) {
        (0, 0) => None,
        (0, broken) => Some(format!("{broken} times {TWO_HOLDERS}")),
        (lost, _) => Some(format!("{lost} acknowledged writes of the client are not there")),
    }
}
