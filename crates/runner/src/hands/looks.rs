//! Looks for one step: what to ask, what of it was just asked, and what the answer means.
//!
//! Invariant: a look answers for another question only while it is fresh, asked no less, and nothing was done since it began.
//! Invariant: every good look at a gate that asks for several is a look of its own.

use super::live::LiveHands;
use crate::{drive::Seen, verdict::Judged};
use jiff::{SignedDuration, Timestamp};
use quorate_engine::{Look, Verdict};
use quorate_hosts::{
    service::{self, ServiceState},
    swap::{self, StagedBinary},
};
use quorate_model::{
    ARTIFACT_WHOLE, Action, Condition, Facts, Hop, NodeName, Observation, Reach, RunEvent, Step,
    StepId, StepRole, WaitingOn,
};
use quorate_observe::Depth;
use quorate_transport::Answer;
use std::time::{Duration, Instant};

/// A look that ended longer ago is taken again: a tenth of a second adds nothing to what a person or a cluster could do in
/// between. Of its own length no more than as much counts: one that took seconds says too little of now for another question.
const FRESH: Duration = Duration::from_millis(100);

/// A short look this often at most beside a long one, however often the policy looks at gates.
const GUARD_EVERY: Duration = Duration::from_millis(500);

/// Looks whose costly answers take longer than this are first taken without them, until the rest holds: hashing gigabytes
/// of a member that is not even back helps nobody.
const COSTLY: Duration = Duration::from_millis(150);

/// The first look for the effect of a call that has not been answered yet comes so long after it was sent. Further ones
/// come a quarter of the time apart that has passed.
const EFFECT_FIRST: Duration = Duration::from_millis(2);

/// A member that does not answer is looked for among the processes from so long after its stop on: most starts are over by
/// then, and are not kept waiting by it.
const ENDED_AFTER: Duration = Duration::from_secs(2);

pub(super) fn after(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| at.checked_add(by).ok()).unwrap_or(at)
}

/// One look, and how it was taken.
#[derive(Debug, Clone)]
pub(super) struct Recent {
    pub(super) seen: Observation,
    pub(super) depth: Depth,
    pub(super) began: Instant,
    pub(super) took: Duration,
    pub(super) acts: u64,
}

/// A step's file was found whole, at that time and after so many acts.
#[derive(Debug, Clone)]
pub(super) struct WholeAhead {
    pub(super) step: StepId,
    pub(super) at: Instant,
    pub(super) acts: u64,
}

impl Recent {
    fn is_fresh(&self) -> bool {
        self.began.elapsed() <= self.took.min(FRESH) + FRESH
    }
}

impl LiveHands {
    pub(super) async fn look_at(&self, step: &Step, look: Look, now: Timestamp) -> Seen {
        let Some((at, hop)) = self.hop_of(step) else {
            let unseen = Verdict::Unseen(format!("step {} is not in the plan", step.id));
            return Seen { verdict: unseen, news: Vec::new() };
        };
        match look {
            Look::Done => match &step.done {
                Some(done) if done.cel.is_empty() => {
                    let verdict = self.typed_done(step, at, hop, &done.name).await;
                    Seen { verdict, news: Vec::new() }
                }
                done => self.conditions(step, hop, done.as_slice(), now).await,
            },
            Look::Precheck => {
                if let Some(refused) = self.dependants_refused(step).await {
                    return Seen { verdict: refused, news: Vec::new() };
                }
                if let Some(refused) = self.backup_refused(step).await {
                    return Seen { verdict: refused, news: Vec::new() };
                }
                // First the file: a busy dpkg may be waited for, and nobody may stop on a look from before that.
                match self.artifact_refused(step, at, hop).await {
                    Some(refused) => Seen { verdict: refused, news: Vec::new() },
                    None => self.conditions(step, hop, &step.precheck, Timestamp::now()).await,
                }
            }
            Look::Gate => self.gate(step, hop, true, now).await,
            Look::GateOnTheWay => self.gate(step, hop, false, now).await,
            Look::World => Seen { verdict: Verdict::Holds, news: Vec::new() },
        }
    }

    async fn conditions(
        &self,
        step: &Step,
        hop: &Hop,
        conditions: &[Condition],
        now: Timestamp,
    ) -> Seen {
        // A handover is often there already: then the stop after it need not ask again.
        let ahead = match step.role {
            StepRole::Handover => self.conditions_ahead(step),
            _ => Vec::new(),
        };
        let depth = self.depth(conditions.iter().chain(&ahead));
        let seen = match self.newest_look() {
            Some(recent) if recent.is_fresh() && recent.depth.covers(&depth) => recent.seen,
            _ => self.fresh_look(depth, step, now).await.0,
        };
        let verdict = self.judged(step, hop, &seen).conditions(conditions);
        Seen { verdict, news: self.news(&seen) }
    }

    /// Looks at a gate. A `whole` look may open it; on the way to that what is costly to see is left out.
    async fn gate(&self, step: &Step, hop: &Hop, whole: bool, now: Timestamp) -> Seen {
        let Some(gate) = &step.gate else {
            return Seen { verdict: Verdict::Holds, news: Vec::new() };
        };
        let is_cheap =
            |condition: &&Condition| self.depth(std::slice::from_ref(*condition)) == Depth::Gate;
        let cheap: Vec<Condition> = gate.conditions.iter().filter(is_cheap).cloned().collect();
        let all_cheap = cheap.len() == gate.conditions.len();
        // What comes next is asked in the same breath, so that the next step need not ask again.
        let ahead = self.conditions_ahead(step);
        let depth = self.depth(gate.conditions.iter().chain(&ahead));
        let was_costly = self.newest_whole_took().is_some_and(|took| took > COSTLY);
        let first = if all_cheap || (whole && !was_costly) { depth.clone() } else { Depth::Gate };
        let may_reuse =
            gate.good_looks <= 1 && gate.soak.is_zero() && step.role == StepRole::Handover;
        let recent = self
            .newest_look()
            .filter(|recent| may_reuse && recent.is_fresh() && recent.depth.covers(&first));
        let (mut seen, answered) = match recent {
            Some(recent) => (recent.seen, None),
            None => {
                // With the last look before the next member stops, its host is asked for the file that will run there.
                let opens = whole && gate.good_looks <= 1 && gate.soak.is_zero();
                let next = self.next_acting(step).filter(|_| opens);
                let look = self.guarded_look(first.clone(), step, hop, now);
                futures::future::join(look, self.artifact_ahead(next)).await.0
            }
        };
        let mut verdict = self.judged(step, hop, &seen).gate_on(&cheap);
        let mut news = self.news(&seen);
        if verdict == Verdict::Holds {
            // Members were asked at once: the last of them to answer completes the picture.
            news.extend(self.floor(step, after(now, answered.unwrap_or_default())));
        }
        if verdict == Verdict::Holds && whole && !all_cheap {
            if !first.covers(&depth) {
                seen = self.guarded_look(depth.clone(), step, hop, now).await.0;
            }
            verdict = self.judged(step, hop, &seen).gate(gate);
            // Members that are asked a moment apart may have no revision in common just then; the next moment they have.
            // Once: what does not hold twice does not hold.
            if matches!(verdict, Verdict::NotYet(_) | Verdict::Unseen(_)) {
                seen = self.guarded_look(depth, step, hop, now).await.0;
                verdict = self.judged(step, hop, &seen).gate(gate);
            }
            news.extend(self.news(&seen));
        }
        if matches!(verdict, Verdict::NotYet(_) | Verdict::Unseen(_)) {
            verdict = self.ended(step, &seen, now).await.map_or(verdict, Verdict::Ended);
        }
        Seen { verdict, news }
    }

    /// Why a member that a gate waits for will not come: it does not answer, and its process is gone.
    pub(super) async fn ended(
        &self,
        step: &Step,
        seen: &Observation,
        now: Timestamp,
    ) -> Option<String> {
        let node = step.node.as_ref()?;
        if !matches!(step.role, StepRole::Rejoin | StepRole::Soak) {
            return None;
        }
        let member = seen.nodes.iter().find(|seen| seen.name == *node)?;
        if matches!(member.reach, Reach::Reachable) {
            return None;
        }
        let stopped = self.stopped_at(node);
        if stopped.is_some_and(|at| now < after(at, ENDED_AFTER)) {
            return None;
        }
        let (at, _) = self.hop_of(step)?;
        let (spec, transport) = (self.service_at(node, at)?, self.transport(node)?);
        match service::state(transport.as_ref(), &spec).await {
            Answer::Done(ServiceState::Stopped) => {
                let said = service::last_words(transport.as_ref(), &spec).await;
                Some(format!("the process of {node} has ended; {said}"))
            }
            _ => None,
        }
    }

    async fn fresh_look(
        &self,
        depth: Depth,
        step: &Step,
        now: Timestamp,
    ) -> (Observation, Option<Duration>) {
        let (acts, began) = (self.acts(), Instant::now());
        let (seen, answered) =
            self.servers().look_timed(depth.clone(), step.node.as_ref(), now).await;
        self.keep_look(Recent { seen: seen.clone(), depth, began, took: began.elapsed(), acts });
        (seen, answered)
    }

    async fn guarded_look(
        &self,
        depth: Depth,
        step: &Step,
        hop: &Hop,
        now: Timestamp,
    ) -> (Observation, Option<Duration>) {
        tokio::select! {
            seen = self.fresh_look(depth, step, now) => seen,
            seen = self.somebody_breaks(step, hop, now) => (seen, None),
        }
    }

    pub(super) fn depth<'c>(&self, conditions: impl IntoIterator<Item = &'c Condition>) -> Depth {
        match &self.parts.pack.detect {
            Some(detect) => Depth::for_conditions(
                detect,
                conditions.into_iter().map(|condition| condition.cel.as_str()),
            ),
            None => Depth::Gate,
        }
    }

    /// How long the newest look took, when it asked for more than gates always need.
    fn newest_whole_took(&self) -> Option<Duration> {
        self.newest_look().filter(|recent| recent.depth != Depth::Gate).map(|recent| recent.took)
    }

    /// What will be asked after this step's gate before anything is done: of the steps that follow at once, up to the
    /// first that acts.
    fn conditions_ahead(&self, step: &Step) -> Vec<Condition> {
        let steps = self.plan().hops.iter().flat_map(|hop| &hop.waves).flat_map(|wave| &wave.steps);
        let mut ahead = Vec::new();
        for next in steps.skip_while(|own| own.id != step.id).skip(1) {
            if next.gate.is_some() && matches!(next.action, Action::Look) {
                break;
            }
            ahead.extend(next.done.iter().chain(&next.precheck).cloned());
            // A handover is often there already; then the stop after it is what comes next.
            if !matches!(next.role, StepRole::Go | StepRole::Handover) {
                break;
            }
        }
        ahead
    }

    /// The next step that acts on a member: a handover is often there already, and the stop after it comes next.
    fn next_acting(&self, step: &Step) -> Option<&Step> {
        let steps = self.plan().hops.iter().flat_map(|hop| &hop.waves).flat_map(|wave| &wave.steps);
        let mut after = steps.skip_while(|own| own.id != step.id).skip(1);
        after.find(|next| !matches!(next.role, StepRole::Go | StepRole::Handover))
    }

    /// Keeps that the file which a step needs was whole just now.
    async fn artifact_ahead(&self, next: Option<&Step>) {
        let Some((next, (at, hop))) = next.and_then(|next| Some((next, self.hop_of(next)?))) else {
            return;
        };
        // Whether dpkg is free may take a minute to say, and a look must not wait for it.
        let by_dpkg = |node| self.paths(node, at).is_some_and(|paths| !paths.packages().is_empty());
        if next.node.as_ref().is_some_and(by_dpkg) {
            return;
        }
        let acts = self.acts();
        if self.artifact_asked(next, at, hop).await.is_none() {
            self.keep_whole_ahead(WholeAhead { step: next.id.clone(), at: Instant::now(), acts });
        }
    }

    fn judged<'a>(&'a self, step: &'a Step, hop: &'a Hop, seen: &'a Observation) -> Judged<'a> {
        Judged { pack: &self.parts.pack, plan: self.plan(), hop, step, seen }
    }

    /// The time from the stop to the first answer in which the member was back and caught up, as the product itself says.
    /// What is asked beyond that (equal data) is not in it.
    pub(super) fn floor(&self, step: &Step, now: Timestamp) -> Option<RunEvent> {
        let node = step.node.clone().filter(|_| step.role == StepRole::Rejoin)?;
        let began = self.stopped_at(&node)?;
        self.forget_stop(&node);
        let floor = Duration::try_from(now.duration_since(began)).ok()?;
        Some(RunEvent::Floor { step: step.id.clone(), node, floor })
    }

    /// A look at a gate may ask for a hash of all data, and a member that dies while it is asked keeps the look waiting for
    /// seconds. Meanwhile short looks go on; resolves with the first that sees another member break.
    async fn somebody_breaks(&self, step: &Step, hop: &Hop, now: Timestamp) -> Observation {
        loop {
            tokio::time::sleep(self.plan().policy.look_every.max(GUARD_EVERY)).await;
            let at_work = step.node.as_ref();
            let seen = self.parts.guard.look_timed(Depth::Gate, at_work, now).await.0;
            if self.judged(step, hop, &seen).guard().is_some() {
                return seen;
            }
        }
    }

    /// Why the member may not be stopped for what is staged on its host; none when nothing is asked or it is whole.
    pub(super) async fn artifact_refused(
        &self,
        step: &Step,
        at: usize,
        hop: &Hop,
    ) -> Option<Verdict> {
        if self.whole_ahead(&step.id).is_some_and(|at| at.elapsed() <= FRESH) {
            return None;
        }
        self.artifact_asked(step, at, hop).await
    }

    async fn artifact_asked(&self, step: &Step, at: usize, hop: &Hop) -> Option<Verdict> {
        step.precheck.iter().find(|one| one.cel.is_empty() && one.name == ARTIFACT_WHOLE)?;
        let node = step.node.as_ref()?;
        let (Some(paths), Some(transport)) = (self.paths(node, at), self.transport(node)) else {
            return Some(Verdict::Unseen(format!("{node} has no service with a staged binary")));
        };
        let release = &hop.artifact.release;
        let known = self.fingerprint(node, release);
        let found =
            swap::staged_binary(transport.as_ref(), &paths, &hop.artifact, known.as_ref()).await;
        let staged = paths.beside(release);
        let refused = match found {
            Answer::Done(StagedBinary::Whole(print)) => {
                self.keep_fingerprint(node, release, print);
                let files = swap::packages::files_of(&paths, &hop.artifact);
                if files.is_empty() {
                    return None;
                }
                let whole =
                    swap::packages::not_whole(transport.as_ref(), &paths, &hop.artifact, &files);
                match whole.await {
                    Answer::Done(None) => return None,
                    Answer::Done(Some(because)) => format!("{node}: {because}"),
                    Answer::Failed(because) | Answer::Unknown(because) => {
                        return Some(Verdict::Unseen(because));
                    }
                }
            }
            Answer::Done(StagedBinary::Damaged(digest)) => format!(
                "{} on {node} has digest {}, not the planned one: it was changed after it was staged",
                staged.display(),
                digest.short()
            ),
            Answer::Done(StagedBinary::Missing) => {
                format!("{} on {node} is missing: run `quorate prepare` again", staged.display())
            }
            Answer::Failed(because) | Answer::Unknown(because) => {
                return Some(Verdict::Unseen(because));
            }
        };
        Some(Verdict::NotYet(WaitingOn::Condition {
            node: Some(node.clone()),
            gate: ARTIFACT_WHOLE.to_owned(),
            text: refused,
        }))
    }

    /// Resolves when the step's own probe sees the effect of a call, and its gate holds: some products answer long after they
    /// have acted. Never resolves for a step whose probe is no expression.
    pub(super) async fn effect_seen(&self, step: &Step, hop: &Hop) {
        let Some(done) = step.done.as_ref().filter(|done| !done.cel.is_empty()) else {
            return std::future::pending().await;
        };
        // What the step's gate and the next step will ask is asked in the same breath.
        let gate = step.gate.iter().flat_map(|gate| &gate.conditions);
        let depth =
            self.depth(std::iter::once(done).chain(gate).chain(&self.conditions_ahead(step)));
        let began = Instant::now();
        loop {
            tokio::time::sleep(EFFECT_FIRST.max(began.elapsed() / 4)).await;
            if !self.may_have_happened(step, hop, done).await {
                continue;
            }
            let (now, look_began) = (Timestamp::now(), Instant::now());
            let at_work = step.node.as_ref();
            let seen = self.servers().look_timed(depth.clone(), at_work, now).await.0;
            let judged = self.judged(step, hop, &seen);
            let happened = judged.conditions(std::slice::from_ref(done)) == Verdict::Holds;
            let is_well = |gate| judged.gate(gate) == Verdict::Holds;
            if happened && step.gate.as_ref().is_none_or(is_well) {
                self.seen_in_act(Recent {
                    seen,
                    depth,
                    began: look_began,
                    took: look_began.elapsed(),
                    acts: 0,
                });
                return;
            }
        }
    }

    /// Asks the step's own node for nothing but the effect. A leader that hands over may lose what it is asked meanwhile: an
    /// etcd 3.4 that is asked for its health then answers a second later, and a whole look would wait for it.
    async fn may_have_happened(&self, step: &Step, hop: &Hop, done: &Condition) -> bool {
        let detect = self.parts.pack.detect.as_ref();
        let only = detect.and_then(|detect| Depth::only_for(detect, &done.cel));
        let (Some(only), Some(node)) = (only, &step.node) else { return true };
        let now = Timestamp::now();
        let Some(alone) = self.servers().look_node(node, only, now).await else { return true };
        let seen = Observation {
            cluster: self.plan().observed.cluster.clone(),
            pack: self.plan().observed.pack.clone(),
            taken_at: now,
            nodes: vec![alone],
            facts: Facts::new(),
            findings: Vec::new(),
        };
        self.judged(step, hop, &seen).conditions(std::slice::from_ref(done)) == Verdict::Holds
    }

    /// Whether a member answered a moment ago, and as which release; none when that was not looked at.
    pub(super) fn just_ran(&self, node: &NodeName) -> Option<(quorate_model::Release, bool)> {
        let recent = self.newest_look().filter(Recent::is_fresh)?;
        let seen = recent.seen.nodes.into_iter().find(|seen| seen.name == *node)?;
        let replaced = seen.process.as_ref().is_some_and(|process| process.binary_replaced);
        Some((seen.release?, replaced))
    }
}
