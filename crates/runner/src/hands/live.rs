//! One cluster of the real world, held by one controller: how it is looked at, and what is remembered between looks.

use super::{
    call::outcome,
    copies::FoundWhole,
    lanes::ServersSeen,
    looks::{Recent, WholeAhead},
    prepared::Prepared,
};
use crate::{
    drive::{Done, Hands, Seen, View},
    ops::on_hosts::OnHosts,
    rewrites::Rewrites,
    verdict::world,
};
use async_trait::async_trait;
use jiff::Timestamp;
use quorate_engine::{Look, Verdict};
use quorate_hosts::{artifacts::Cache, swap::Fingerprint};
use quorate_model::{
    Action, Attempt, Call, Cluster, ConfigChange, Hop, Node, NodeName, NodeObservation,
    Observation, Outcome, Plan, Reach, Release, RunEvent, ServiceSpec, Step, StepId,
};
use quorate_observe::{Clients, Depth, Observer, Transports};
use quorate_packs::Pack;
use quorate_store::Store;
use quorate_transport::{Command, Transport, http::HttpClient, secret};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
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
    /// Looks at every node.
    pub observer: Observer,
    /// Looks at the servers alone, when other nodes move beside each other in lanes of their own.
    pub servers: Option<Observer>,
    /// Looks at everybody else while a long look of the other one is under way.
    pub guard: Observer,
    /// HTTP clients by release.
    pub clients: Clients,
    /// Ways to hosts, by node.
    pub transports: BTreeMap<NodeName, Arc<dyn Transport>>,
    /// Ways to any host: applications have hosts of their own.
    pub hosts: Transports,
    /// Artifacts by digest.
    pub cache: Cache,
    /// Staged files that were found whole by this program.
    pub prepared: Prepared,
    /// Where backups and scratch clusters live.
    pub state_dir: PathBuf,
    /// Who is out is kept here.
    pub store: Arc<dyn Store>,
}

/// The hands.
pub struct LiveHands {
    pub(crate) parts: LiveParts,
    /// Held while files are put on a node's host: two hops share a release, and its files are put there once.
    pub(super) staging: BTreeMap<NodeName, tokio::sync::Mutex<()>>,
    /// Copies that were found whole.
    pub(super) found_whole: FoundWhole,
    /// Whether every member that gets data back was seen to have room for them.
    pub(super) room_seen: tokio::sync::Mutex<bool>,
    /// What came back of the applications that stand still: from then on the copy may lack what it wrote, and nobody is stopped.
    pub(super) came_back: std::sync::OnceLock<String>,
    /// Held while the servers are looked at for a lane: all lanes share the answer.
    pub(super) servers_seen: tokio::sync::Mutex<Option<ServersSeen>>,
    /// Steps of nodes that move beside each other.
    beside: HashSet<StepId>,
    /// The cluster's lease on its own hosts, once a run has taken it.
    on_hosts: Option<OnHosts>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    /// What was last told of each member, with whether it lagged further behind than a member may when another one stops.
    told: HashMap<NodeName, Told>,
    /// When each member's stop began, until it was seen to be back.
    stopped_at: HashMap<NodeName, Timestamp>,
    /// Staged binaries that were found whole, by node and release.
    whole: HashMap<(NodeName, Release), Fingerprint>,
    /// The newest look.
    newest: Option<Recent>,
    /// The step whose file was found whole with that look.
    whole_ahead: Option<WholeAhead>,
    /// When each node was last acted on, those that move beside each other.
    acted: HashMap<NodeName, Instant>,
    /// Acts begun and ended, so that a look is never taken for one of the time after an act.
    acts: u64,
}

/// What the timeline knows of a member.
type Told = (bool, Option<Release>, quorate_model::Role, Option<bool>, bool);

impl LiveHands {
    /// Makes the hands.
    pub fn new(parts: LiveParts) -> Self {
        let names = parts.cluster.nodes.iter().map(|node| node.name.clone());
        let staging = names.map(|name| (name, tokio::sync::Mutex::default())).collect();
        let waves = parts.plan.hops.iter().flat_map(|hop| &hop.waves);
        let beside = waves.filter(|wave| wave.lanes.is_some()).flat_map(|wave| &wave.steps);
        let beside = beside.map(|step| step.id.clone()).collect();
        Self {
            staging,
            found_whole: FoundWhole::default(),
            room_seen: tokio::sync::Mutex::default(),
            came_back: std::sync::OnceLock::new(),
            servers_seen: tokio::sync::Mutex::default(),
            beside,
            on_hosts: None,
            memory: Mutex::default(),
            parts,
        }
    }

    /// Acts only for as long as the cluster's own hosts say that it is this controller's.
    pub(crate) fn held_by(self, on_hosts: OnHosts) -> Self {
        Self { on_hosts: Some(on_hosts), ..self }
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
    /// The way by which a member is stopped, changed and started.
    pub(super) fn acting(&self, name: &NodeName) -> Option<Arc<dyn Transport>> {
        match self.on_hosts.as_ref().and_then(|on_hosts| on_hosts.guard(name)) {
            Some(guard) => Some(guard.clone()),
            None => self.transport(name).cloned(),
        }
    }
    pub(crate) fn http(&self, release: Option<&Release>) -> &HttpClient {
        self.parts.clients.for_release(release)
    }

    /// Looks at the servers; at every node where none moves beside others.
    pub(super) fn servers(&self) -> &Observer {
        self.parts.servers.as_ref().unwrap_or(&self.parts.observer)
    }
    pub(super) fn acted_at(&self, node: &NodeName) -> Option<Instant> {
        self.lock().acted.get(node).copied()
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

    pub(super) fn remember_stop(&self, node: &NodeName, at: Timestamp) {
        self.lock().stopped_at.insert(node.clone(), at);
    }

    pub(super) fn stopped_at(&self, node: &NodeName) -> Option<Timestamp> {
        self.lock().stopped_at.get(node).copied()
    }

    pub(super) fn forget_stop(&self, node: &NodeName) {
        self.lock().stopped_at.remove(node);
    }

    /// By what the staged binary of a release is known again on a node.
    pub(crate) fn fingerprint(&self, node: &NodeName, release: &Release) -> Option<Fingerprint> {
        self.lock().whole.get(&(node.clone(), release.clone())).cloned()
    }

    /// Keeps by what the staged binary is known again; none forgets it.
    pub(crate) fn keep_fingerprint(
        &self,
        node: &NodeName,
        release: &Release,
        print: Option<Fingerprint>,
    ) {
        let key = (node.clone(), release.clone());
        let mut memory = self.lock();
        match print {
            Some(print) => drop(memory.whole.insert(key, print)),
            None => drop(memory.whole.remove(&key)),
        }
    }

    /// Acts begun and ended until now.
    pub(super) fn acts(&self) -> u64 {
        self.lock().acts
    }

    /// Keeps a look that was begun when so many acts had been counted.
    pub(super) fn keep_look(&self, recent: Recent) {
        let mut memory = self.lock();
        if memory.acts == recent.acts {
            memory.newest = Some(recent);
        }
    }

    /// The newest look, when nothing was done since it began.
    pub(super) fn newest_look(&self) -> Option<Recent> {
        let memory = self.lock();
        memory.newest.clone().filter(|recent| recent.acts == memory.acts)
    }

    pub(super) fn keep_whole_ahead(&self, whole: WholeAhead) {
        self.lock().whole_ahead = Some(whole);
    }

    /// When a step's file was found whole ahead of it, if nothing was done since.
    pub(super) fn whole_ahead(&self, step: &StepId) -> Option<Instant> {
        let memory = self.lock();
        let own = |whole: &&WholeAhead| whole.step == *step && whole.acts == memory.acts;
        memory.whole_ahead.as_ref().filter(own).map(|whole| whole.at)
    }

    /// Keeps a look that saw an act's effect while the act was still under way: it counts as taken after the act.
    pub(super) fn seen_in_act(&self, recent: Recent) {
        let mut memory = self.lock();
        let acts = memory.acts + 1;
        memory.newest = Some(Recent { acts, ..recent });
    }

    fn count_act(&self) {
        self.lock().acts += 1;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events about members whose view changed since they were last told of.
    pub(super) fn news(&self, seen: &Observation) -> Vec<RunEvent> {
        let mut memory = self.lock();
        let mut news = Vec::new();
        let may_lag = self.parts.pack.safety.as_ref().map_or(0, |safety| safety.max_lag);
        for node in &seen.nodes {
            let NodeObservation { name, reach, release, role, healthy, lag, .. } = node;
            let reachable = *reach == Reach::Reachable;
            // Under load everybody is some entries behind at any moment: told is only what a gate would wait for.
            let lags = lag.is_some_and(|lag| lag > may_lag);
            let told = (reachable, release.clone(), *role, *healthy, lags);
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
}

#[async_trait]
impl Hands for LiveHands {
    async fn look(&self, view: &View, look: Look, now: Timestamp) -> Seen {
        match (&view.step, look) {
            (Some(step), _) if self.beside.contains(&step.id) => {
                self.look_beside(step, look, now).await
            }
            (Some(step), Look::Done | Look::Precheck | Look::Gate | Look::GateOnTheWay) => {
                self.look_at(step, look, now).await
            }
            _ => {
                let seen = self.servers().look(Depth::Gate, now).await;
                let differs = world(self.plan(), &view.finished, &view.touched, &seen);
                let verdict =
                    if differs.is_empty() { Verdict::Holds } else { Verdict::Differs(differs) };
                Seen { verdict, news: self.news(&seen) }
            }
        }
    }

    async fn still_ours(&self, step: Option<&Step>) -> Result<(), String> {
        match &self.on_hosts {
            Some(on_hosts) => on_hosts.still_ours(step).await,
            None => Ok(()),
        }
    }

    fn lost(&self, step: &Step) -> Option<String> {
        let guard = self.on_hosts.as_ref()?.guard(step.node.as_ref()?)?;
        guard.lost()
    }

    async fn act(&self, step: &Step, _attempt: Attempt) -> Done {
        self.count_act();
        let done = self.carry_out(step).await;
        self.count_act();
        if let Some(node) = step.node.as_ref().filter(|_| self.beside.contains(&step.id)) {
            self.lock().acted.insert(node.clone(), Instant::now());
        }
        done
    }

    async fn put_back(&self, key: &str) -> Outcome {
        if let Some((dependant, host, start)) = self.stands_still(key) {
            return self.handle_dependant(dependant, host, start).await;
        }
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
                self.count_act();
                let said = outcome(self.say(&call, &releases, step.limit).await, |_| None);
                self.count_act();
                said
            }
            None => Outcome::Failed {
                because: format!("the plan does not say how `{key}` is put back"),
            },
        }
    }
}
