//! Takes looks at one cluster: all nodes at once, then the cluster through one of them, then everything side by side.
//!
//! Invariant: a look ends. Every question has a limit, every node has one, and the questions to the cluster have one.
//! Read next: `node.rs` (one node), `depth.rs` (what is asked when), `compare.rs` and `findings.rs` (what follows).

use crate::{
    Clients, Depth, Member, Tools, certificates, compare,
    depth::speaks_of,
    fields, findings, members_of,
    memory::Memory,
    node::{self, NodeLook, NodeSeen},
    shared,
};
use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, join_all},
    stream,
};
use jiff::Timestamp;
use quorate_model::{
    Cluster, Facts, Finding, Host, NEEDS, Node, NodeName, NodeObservation, Observation, Reach, Role,
};
use quorate_packs::{Detect, Pack, Probe};
use quorate_transport::Transport;
use serde_json::json;
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

/// Nodes looked at at the same time. Sixty-four wait for answers rather than work; more would only queue in the kernel.
const NODES_AT_ONCE: usize = 64;

/// How hosts are reached.
pub type Transports = Arc<dyn Fn(&Host) -> Arc<dyn Transport> + Send + Sync>;

/// Who hears of each node as soon as it was asked.
pub type Told = Arc<dyn Fn(&NodeObservation) + Send + Sync>;

/// One second before a node that was not reached is asked again: a dropped packet or a full queue is over by then.
const AGAIN_PAUSE: Duration = Duration::from_secs(1);

/// Why a cluster cannot be looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObserveError {
    /// The pack has no `detect`.
    #[error("pack {pack} does not say how its product is seen (it has no `detect`)")]
    NoDetect { pack: String },
}

impl ObserveError {
    /// What next.
    pub fn hint(&self) -> String {
        match self {
            Self::NoDetect { pack } => {
                format!("add `detect` to the pack {pack}, and try `quorate pack lint`")
            }
        }
    }
}

/// Looks at one cluster, again and again. Cheap to share; what it remembers between looks only makes them faster.
pub struct Observer {
    pack: Arc<Pack>,
    cluster: Cluster,
    transports: Transports,
    clients: Clients,
    tools: Tools,
    memory: Memory,
    again: u32,
    told: Option<Told>,
}

impl Observer {
    /// An observer of one cluster.
    pub fn new(
        pack: Arc<Pack>,
        cluster: &Cluster,
        transports: Transports,
        clients: Clients,
        tools: Tools,
    ) -> Result<Self, ObserveError> {
        if pack.detect.is_none() {
            return Err(ObserveError::NoDetect { pack: pack.pack.to_string() });
        }
        let cluster = cluster.clone();
        let memory = Memory::default();
        Ok(Self { pack, cluster, transports, clients, tools, memory, again: 0, told: None })
    }

    /// Asks nodes that could not be reached again, so many times.
    #[must_use]
    pub fn asking_again(self, times: u32) -> Self {
        Self { again: times, ..self }
    }

    /// Tells each node as soon as it was asked, before it is compared with the others.
    #[must_use]
    pub fn telling(self, told: Option<Told>) -> Self {
        Self { told, ..self }
    }

    /// The cluster as declared.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The depth that these conditions need at a gate.
    pub fn depth_for<'a>(&self, conditions: impl IntoIterator<Item = &'a str>) -> Depth {
        match &self.pack.detect {
            Some(detect) => Depth::for_conditions(detect, conditions),
            None => Depth::Gate,
        }
    }

    /// Looks at every node, its host, and at the cluster.
    pub async fn look(&self, depth: Depth, now: Timestamp) -> Observation {
        self.look_timed(depth, None, now).await.0
    }

    /// Looks at every node and at the cluster, and gives how long after its beginning every node that answered had said how it
    /// is. What is costly to ask comes later and is not in that time.
    ///
    /// At a gate of the node `at_work` the hosts of the others are looked at only where their product does not answer, or where
    /// the depth needs them; without `at_work` all are.
    pub async fn look_timed(
        &self,
        depth: Depth,
        at_work: Option<&NodeName>,
        now: Timestamp,
    ) -> (Observation, Option<Duration>) {
        let mut seen = Observation {
            cluster: self.cluster.name.clone(),
            pack: self.pack.pack.clone(),
            taken_at: now,
            nodes: Vec::new(),
            facts: Facts::new(),
            findings: Vec::new(),
        };
        let Some(detect) = &self.pack.detect else { return (seen, None) };
        let known = self.memory.facts();
        let (depth, known) = (&depth, &known);
        // Boxed, so that callers can hold the whole look in a task: an unboxed one is not provably `Send`.
        let looks: Vec<BoxFuture<'_, NodeSeen>> = self
            .cluster
            .nodes
            .iter()
            .map(|node| {
                let own = at_work.is_none_or(|name| *name == node.name);
                let at_once = own || depth.needs_every_host();
                self.again(move || self.node_seen(detect, node, (depth, at_once), known, now))
                    .boxed()
            })
            .collect();
        let nodes: Vec<NodeSeen> = stream::iter(looks).buffered(NODES_AT_ONCE).collect().await;
        let answered = nodes.iter().filter_map(|node| node.answered_after).max();
        seen.nodes = nodes.into_iter().map(|node| node.seen).collect();
        let (facts, unanswered) = self.ask_cluster(detect, depth, &seen.nodes, now).await;
        seen.facts = facts;
        let needs: BTreeSet<&String> =
            self.cluster.dependants.iter().flat_map(|one| &one.needs).collect();
        if !needs.is_empty() {
            seen.facts.insert(NEEDS.into(), json!(needs));
        }
        seen.findings = unanswered;
        self.memory.keep_facts(seen.facts.clone());
        for node in &mut seen.nodes {
            self.fill(detect, &seen.facts, node);
        }
        let members: Option<Vec<Member>> = members_of(&self.pack, detect, &seen.facts);
        compare::across(&self.cluster, members.as_deref(), &mut seen, depth.is_full());
        if depth.is_full() {
            if let Some(tls) = &self.cluster.tls {
                let local = (self.transports)(&Host::Local);
                seen.findings.extend(certificates::of_client(local.as_ref(), tls, now).await);
            }
            seen.findings.extend(shared::binaries(&self.cluster));
            findings::add(&self.pack, detect, &mut seen);
        }
        (seen, answered)
    }

    /// Looks at one node alone. Its lag stays unknown: there is nobody to compare it with. None when it is not declared.
    pub async fn look_node(
        &self,
        name: &NodeName,
        depth: Depth,
        now: Timestamp,
    ) -> Option<NodeObservation> {
        let detect = self.pack.detect.as_ref()?;
        let node = self.cluster.nodes.iter().find(|node| node.name == *name)?;
        let known = self.memory.facts();
        let mut seen = self.node_seen(detect, node, (&depth, true), &known, now).await.seen;
        self.fill(detect, &known, &mut seen);
        Some(seen)
    }

    /// Takes a look at a node, once more when it was not reached, and tells of it.
    async fn again<L: Future<Output = NodeSeen>>(&self, look: impl Fn() -> L) -> NodeSeen {
        let mut left = self.again;
        let seen = loop {
            let seen = look().await;
            if seen.seen.reach == Reach::Reachable || left == 0 {
                break seen;
            }
            left -= 1;
            tokio::time::sleep(AGAIN_PAUSE).await;
        };
        if let Some(told) = &self.told {
            told(&seen.seen);
        }
        seen
    }

    async fn node_seen(
        &self,
        detect: &Detect,
        node: &Node,
        (depth, host_at_once): (&Depth, bool),
        known: &Facts,
        now: Timestamp,
    ) -> NodeSeen {
        let transport = (self.transports)(&node.host);
        let memory = self.memory.node(&node.name);
        let look = NodeLook {
            pack: &self.pack,
            detect,
            cluster: &self.cluster,
            node,
            transport: transport.as_ref(),
            clients: &self.clients,
            tools: &self.tools,
            depth,
            host_at_once,
            now,
            known,
        };
        let seen = look.look(memory).await;
        self.memory.keep(&node.name, seen.memory.clone());
        seen
    }

    /// Makes typed fields of a node's facts. A node that did not answer keeps only what others know of it.
    fn fill(&self, detect: &Detect, cluster: &Facts, seen: &mut NodeObservation) {
        let scope = node::fact_scope(&seen.facts, cluster);
        fields::fill(&self.pack, &detect.fields, &scope, seen);
        if seen.reach != Reach::Reachable {
            seen.healthy = None;
            seen.applied_index = None;
            seen.role = Role::Unknown;
        } else if seen.tls.is_none() {
            let endpoint = self.cluster.nodes.iter().find(|node| node.name == seen.name);
            let url = endpoint.and_then(|node| node.endpoints.get(&detect.endpoint));
            seen.tls = url.map(|url| url.starts_with("https:"));
        }
    }

    /// Asks the cluster's own questions, each through the first node that answers it: all at once, then those that
    /// speak of what the others found. Also gives what was asked in vain.
    async fn ask_cluster(
        &self,
        detect: &Detect,
        depth: &Depth,
        nodes: &[NodeObservation],
        now: Timestamp,
    ) -> (Facts, Vec<Finding>) {
        let (later, first): (Vec<&Probe>, Vec<&Probe>) = detect
            .cluster
            .iter()
            .filter(|probe| depth.asks(probe))
            .partition(|probe| speaks_of(probe, "cluster"));
        let none = Facts::new();
        let first =
            first.into_iter().map(|probe| self.ask_any(detect, probe, depth, nodes, &none, now));
        let (mut facts, mut unanswered) = (Facts::new(), Vec::new());
        for (new, vain) in join_all(first).await {
            facts.extend(new);
            unanswered.extend(vain);
        }
        for probe in later {
            let (new, vain) = self.ask_any(detect, probe, depth, nodes, &facts, now).await;
            facts.extend(new);
            unanswered.extend(vain);
        }
        (facts, unanswered)
    }

    /// Asks one question through one reachable node after another, until one answers it.
    async fn ask_any(
        &self,
        detect: &Detect,
        probe: &Probe,
        depth: &Depth,
        nodes: &[NodeObservation],
        facts: &Facts,
        now: Timestamp,
    ) -> (Facts, Vec<Finding>) {
        let began = Instant::now();
        let mut unanswered = Vec::new();
        for seen in nodes.iter().filter(|node| node.reach == Reach::Reachable) {
            if began.elapsed() > depth.node_limit() {
                break;
            }
            match self.ask_through(detect, probe, depth, seen, facts, now).await {
                Ok(answer) => return (answer, Vec::new()),
                Err(vain) => unanswered.extend(vain),
            }
        }
        (Facts::new(), unanswered)
    }

    /// Asks one question of the cluster through one node. Without an answer another node should be tried.
    async fn ask_through(
        &self,
        detect: &Detect,
        probe: &Probe,
        depth: &Depth,
        seen: &NodeObservation,
        facts: &Facts,
        now: Timestamp,
    ) -> Result<Facts, Option<Finding>> {
        let node = self.cluster.nodes.iter().find(|node| node.name == seen.name).ok_or(None)?;
        let transport = (self.transports)(&node.host);
        let look = NodeLook {
            pack: &self.pack,
            detect,
            cluster: &self.cluster,
            node,
            transport: transport.as_ref(),
            clients: &self.clients,
            tools: &self.tools,
            depth,
            host_at_once: false,
            now,
            known: facts,
        };
        let memory = self.memory.node(&node.name);
        let release = seen.release.as_ref();
        if !look.wanted(probe, release, &seen.facts) {
            return Err(None);
        }
        match look.ask(probe, release, &seen.facts, &memory).await {
            Ok(answer) if answer.expected => {
                Ok(node::facts_of(&self.pack, probe, &answer, &seen.facts, facts))
            }
            Ok(answer) => {
                tracing::debug!(node = %node.name, probe = probe.id, status = answer.status, "not answered as expected");
                Err(None)
            }
            Err(no) => Err(look.unanswered(probe, &no)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may_move<T: Send>(_: T) {}

    /// Whoever runs looks in tasks needs this; it fails to compile otherwise.
    #[expect(dead_code, reason = "compiled, never run")]
    fn looks_may_move_between_threads(observer: &Observer, now: Timestamp) {
        may_move(observer.look(Depth::Gate, now));
        may_move(observer.look_node(&"a".into(), Depth::Gate, now));
    }
}
