//! One cluster of the real world, held by one controller: how it is looked at, and what is remembered between looks.

use super::call::outcome;
use crate::{
    drive::{Done, Hands, Seen, View},
    rewrites::Rewrites,
    verdict::{Judged, world},
};
use async_trait::async_trait;
use jiff::Timestamp;
use quorate_engine::{Look, Verdict};
use quorate_hosts::artifacts::Cache;
use quorate_model::{
    Action, Attempt, Call, Cluster, Condition, ConfigChange, Hop, Node, NodeName, NodeObservation,
    Observation, Outcome, Plan, Reach, Release, RunEvent, ServiceSpec, Step, StepRole,
};
use quorate_observe::{Clients, Depth, Observer};
use quorate_packs::Pack;
use quorate_store::Store;
use quorate_transport::{Command, Transport, http::HttpClient, secret};
use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

/// What the hands are made of.
pub struct LiveParts {
    /// The product.
    pub pack: Arc<Pack>,
    /// The cluster, with settings that runs have rewritten.
    pub cluster: Cluster,
    /// The cluster as the fleet file declares it.
    pub declared: Cluster,
    /// Settings that runs have rewritten.
    pub rewrites: Rewrites,
    /// The plan that is carried out.
    pub plan: Arc<Plan>,
    /// Looks.
    pub observer: Observer,
    /// Looks at everybody else while a long look of the other one is under way.
    pub guard: Observer,
    /// HTTP clients by release.
    pub clients: Clients,
    /// Ways to hosts, by node.
    pub transports: BTreeMap<NodeName, Arc<dyn Transport>>,
    /// Artifacts by digest.
    pub cache: Cache,
    /// Where backups and scratch clusters live.
    pub state_dir: PathBuf,
    /// Who is out is kept here.
    pub store: Arc<dyn Store>,
}

/// The hands.
pub struct LiveHands {
    pub(crate) parts: LiveParts,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    /// What was last told of each member.
    told: HashMap<NodeName, Told>,
    /// When each member's stop began, until it was seen to be back.
    stopped_at: HashMap<NodeName, Timestamp>,
}

/// What the timeline knows of a member.
type Told = (bool, Option<Release>, quorate_model::Role, Option<bool>, bool);

impl LiveHands {
    /// Makes the hands.
    pub fn new(parts: LiveParts) -> Self {
        Self { parts, memory: Mutex::default() }
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.parts.plan
    }
    pub(crate) fn node(&self, name: &NodeName) -> Option<&Node> {
        self.parts.cluster.nodes.iter().find(|node| node.name == *name)
    }
    pub(crate) fn transport(&self, name: &NodeName) -> Option<&Arc<dyn Transport>> {
        self.parts.transports.get(name)
    }
    pub(crate) fn http(&self, release: Option<&Release>) -> &HttpClient {
        self.parts.clients.for_release(release)
    }

    /// The hop that a step belongs to.
    pub(crate) fn hop_of(&self, step: &Step) -> Option<(usize, &Hop)> {
        let holds = |hop: &&Hop| {
            hop.waves.iter().any(|wave| wave.steps.iter().any(|own| own.id == step.id))
        };
        self.plan()
            .hops
            .iter()
            .position(|hop| holds(&hop))
            .and_then(|at| Some((at, self.plan().hops.get(at)?)))
    }

    /// The service of a node as it shall be at a hop: as declared, or as the last rewrite up to there says.
    pub(crate) fn service_at(&self, name: &NodeName, hop: usize) -> Option<ServiceSpec> {
        let rewritten = self
            .plan()
            .hops
            .iter()
            .take(hop + 1)
            .flat_map(|hop| &hop.waves)
            .flat_map(|wave| &wave.steps);
        let last = rewritten
            .filter_map(|step| match &step.action {
                Action::Swap { node, config: Some(config), .. } if node == name => {
                    config.service.clone()
                }
                _ => None,
            })
            .next_back();
        last.or_else(|| self.node(name)?.service.clone())
    }

    /// The rewrite that a hop brings for a node.
    pub(crate) fn config_at(&self, name: &NodeName, hop: usize) -> Option<&ConfigChange> {
        let steps = self.plan().hops.get(hop)?.waves.iter().flat_map(|wave| &wave.steps);
        steps.into_iter().find_map(|step| match &step.action {
            Action::Swap { node, config, .. } if node == name => config.as_ref(),
            _ => None,
        })
    }

    /// Adds the user to a command's environment, for tools that read it there. Never in the words: those show in `ps`.
    pub(crate) fn with_login(&self, command: Command) -> Result<Command, String> {
        let Some(auth) = &self.parts.cluster.auth else { return Ok(command) };
        let Some(variable) =
            self.parts.pack.detect.as_ref().and_then(|detect| detect.tool_user_env.clone())
        else {
            return Ok(command);
        };
        let password = secret::read(&auth.password).map_err(|error| error.to_string())?;
        Ok(command.env(variable, format!("{}:{}", auth.user, password.expose())))
    }

    /// The release that a member was last seen to run.
    pub(crate) fn running(&self, node: &NodeName) -> Option<Release> {
        self.lock().told.get(node).and_then(|told| told.1.clone())
    }

    pub(crate) fn remember_stop(&self, node: &NodeName, at: Timestamp) {
        self.lock().stopped_at.insert(node.clone(), at);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events about members whose view changed since they were last told of.
    fn news(&self, seen: &Observation) -> Vec<RunEvent> {
        let mut memory = self.lock();
        let mut news = Vec::new();
        for node in &seen.nodes {
            let NodeObservation { name, reach, release, role, healthy, lag, .. } = node;
            let reachable = *reach == Reach::Reachable;
            // A lag that moves is not told entry by entry: only whether there is one.
            let told =
                (reachable, release.clone(), *role, *healthy, lag.is_some_and(|lag| lag > 0));
            if memory.told.get(name) == Some(&told) {
                continue;
            }
            memory.told.insert(name.clone(), told);
            news.push(RunEvent::MemberSeen {
                node: name.clone(),
                reachable,
                release: release.clone(),
                role: *role,
                healthy: *healthy,
                lag: *lag,
            });
        }
        news
    }

    /// The time from the stop to the first look in which the member was back and caught up.
    fn floor(&self, step: &Step, verdict: &Verdict, now: Timestamp) -> Option<RunEvent> {
        let node = step
            .node
            .clone()
            .filter(|_| step.role == StepRole::Rejoin && *verdict == Verdict::Holds)?;
        let began = self.lock().stopped_at.remove(&node)?;
        let floor = std::time::Duration::try_from(now.duration_since(began)).ok()?;
        Some(RunEvent::Floor { step: step.id.clone(), node, floor })
    }

    async fn look_at(&self, step: &Step, look: Look, now: Timestamp) -> Seen {
        let conditions: Vec<&Condition> = match look {
            Look::Precheck => step.precheck.iter().collect(),
            Look::Done => step.done.iter().collect(),
            Look::Gate => step.gate.iter().flat_map(|gate| &gate.conditions).collect(),
            Look::World => Vec::new(),
        };
        let Some((at, hop)) = self.hop_of(step) else {
            return Seen {
                verdict: Verdict::Unseen(format!("step {} is not in the plan", step.id)),
                news: Vec::new(),
            };
        };
        if look == Look::Done
            && let Some(done) = step.done.as_ref().filter(|done| done.cel.is_empty())
        {
            return Seen {
                verdict: self.typed_done(step, at, hop, &done.name).await,
                news: Vec::new(),
            };
        }
        let depth = match &self.parts.pack.detect {
            Some(detect) => Depth::for_conditions(
                detect,
                conditions.iter().map(|condition| condition.cel.as_str()),
            ),
            None => Depth::Gate,
        };
        let guarded = (look == Look::Gate).then_some(hop);
        let seen = tokio::select! {
            seen = self.parts.observer.look(depth, now) => seen,
            seen = self.somebody_breaks(step, guarded, now) => seen,
        };
        let judged = self.judged(step, hop, &seen);
        let verdict = match (look, &step.gate) {
            (Look::Gate, Some(gate)) => judged.gate(gate),
            _ => judged.conditions(&conditions.into_iter().cloned().collect::<Vec<_>>()),
        };
        let mut news = self.news(&seen);
        news.extend(self.floor(step, &verdict, now));
        Seen { verdict, news }
    }

    fn judged<'a>(&'a self, step: &'a Step, hop: &'a Hop, seen: &'a Observation) -> Judged<'a> {
        Judged { pack: &self.parts.pack, plan: self.plan(), hop, step, seen }
    }

    /// A look at a gate may ask for a hash of all data, and a member that dies while it is asked keeps the look waiting for
    /// seconds. Meanwhile short looks go on; resolves with the first that sees another member break.
    async fn somebody_breaks(&self, step: &Step, hop: Option<&Hop>, now: Timestamp) -> Observation {
        let Some(hop) = hop else { return std::future::pending().await };
        loop {
            tokio::time::sleep(self.plan().policy.look_every.max(GUARD_EVERY)).await;
            let seen = self.parts.guard.look(Depth::Gate, now).await;
            if self.judged(step, hop, &seen).guard().is_some() {
                return seen;
            }
        }
    }
}

/// A short look this often at most beside a long one, however often the policy looks at gates.
const GUARD_EVERY: std::time::Duration = std::time::Duration::from_millis(500);

#[async_trait]
impl Hands for LiveHands {
    async fn look(&self, view: &View, look: Look, now: Timestamp) -> Seen {
        match (&view.step, look) {
            (Some(step), Look::Done | Look::Precheck | Look::Gate) => {
                self.look_at(step, look, now).await
            }
            _ => {
                let seen = self.parts.observer.look(Depth::Gate, now).await;
                let differs = world(self.plan(), &view.finished, &view.touched, &seen);
                let verdict =
                    if differs.is_empty() { Verdict::Holds } else { Verdict::Differs(differs) };
                Seen { verdict, news: self.news(&seen) }
            }
        }
    }

    async fn act(&self, step: &Step, _attempt: Attempt) -> Done {
        self.carry_out(step).await
    }

    async fn put_back(&self, key: &str) -> Outcome {
        let owed: Option<(&Step, Call)> = self
            .plan()
            .hops
            .iter()
            .flat_map(|hop| &hop.waves)
            .flat_map(|wave| &wave.steps)
            .find_map(|step| match &step.action {
                Action::TempSet { key: own, put_back, .. } if own == key => {
                    Some((step, put_back.clone()))
                }
                _ => None,
            });
        match owed {
            Some((step, call)) => {
                let releases: Vec<&Release> =
                    self.hop_of(step).map(|(_, hop)| vec![&hop.to, &hop.from]).unwrap_or_default();
                outcome(self.say(&call, &releases, step.limit).await, |_| None)
            }
            None => Outcome::Failed {
                because: format!("the plan does not say how `{key}` is put back"),
            },
        }
    }
}
