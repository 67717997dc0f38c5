//! Takes looks at one cluster: all nodes at once, then the cluster through one of them, then everything side by side.
//!
//! Invariant: a look ends. Every question has a limit, every node has one, and the questions to the cluster have one.
//! Read next: `node.rs` (one node), `depth.rs` (what is asked when), `compare.rs` and `findings.rs` (what follows).

use crate::{
    Clients, Depth, Member, Tools, certificates, compare, fields, findings, members_of,
    memory::Memory,
    node::{self, NodeLook, NodeSeen},
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use jiff::Timestamp;
use quorate_model::{Cluster, Facts, Host, Node, NodeName, NodeObservation, Observation, Reach, Role};
use quorate_packs::{Detect, Pack, Probe};
use quorate_transport::Transport;
use std::{sync::Arc, time::Instant};

/// Nodes looked at at the same time. Sixty-four wait for answers rather than work; more would only queue in the kernel.
const NODES_AT_ONCE: usize = 64;

/// How hosts are reached.
pub type Transports = Arc<dyn Fn(&Host) -> Arc<dyn Transport> + Send + Sync>;

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
            Self::NoDetect { pack } => format!("add `detect` to the pack {pack}, and try `quorate pack lint`"),
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
        Ok(Self { pack, cluster, transports, clients, tools, memory: Memory::default() })
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

    /// Looks at every node and at the cluster.
    pub async fn look(&self, depth: Depth, now: Timestamp) -> Observation {
        let mut seen = Observation {
            cluster: self.cluster.name.clone(),
            pack: self.pack.pack.clone(),
            taken_at: now,
            nodes: Vec::new(),
            facts: Facts::new(),
            findings: Vec::new(),
        };
        let Some(detect) = &self.pack.detect else { return seen };
        let known = self.memory.facts();
        // Boxed, so that callers can hold the whole look in a task: an unboxed one is not provably `Send`.
        let looks: Vec<BoxFuture<'_, NodeSeen>> =
            self.cluster.nodes.iter().map(|node| self.node_seen(detect, node, &depth, &known, now).boxed()).collect();
        let nodes: Vec<NodeSeen> = stream::iter(looks).buffered(NODES_AT_ONCE).collect().await;
        seen.nodes = nodes.into_iter().map(|node| node.seen).collect();
        seen.facts = self.ask_cluster(detect, &depth, &seen.nodes, now).await;
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
            findings::add(&self.pack, detect, &mut seen);
        }
        seen
    }

    /// Looks at one node alone. Its lag stays unknown: there is nobody to compare it with. None when it is not declared.
    pub async fn look_node(&self, name: &NodeName, depth: Depth, now: Timestamp) -> Option<NodeObservation> {
        let detect = self.pack.detect.as_ref()?;
        let node = self.cluster.nodes.iter().find(|node| node.name == *name)?;
        let known = self.memory.facts();
        let mut seen = self.node_seen(detect, node, &depth, &known, now).await.seen;
        self.fill(detect, &known, &mut seen);
        Some(seen)
    }

    async fn node_seen(&self, detect: &Detect, node: &Node, depth: &Depth, known: &Facts, now: Timestamp) -> NodeSeen {
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

    /// Asks the cluster's own questions, each through the first node that answers it.
    async fn ask_cluster(&self, detect: &Detect, depth: &Depth, nodes: &[NodeObservation], now: Timestamp) -> Facts {
        let mut facts = Facts::new();
        let began = Instant::now();
        let mut reachable: Vec<&NodeObservation> =
            nodes.iter().filter(|node| node.reach == Reach::Reachable).collect();
        for probe in detect.cluster.iter().filter(|probe| depth.asks(probe)) {
            // The node that answered the last question is asked first, one that was silent last.
            let mut silent = 0;
            while silent < reachable.len() && began.elapsed() < depth.node_limit() {
                let Some(seen) = reachable.first().copied() else { break };
                let answer = self.ask_through(detect, probe, depth, seen, &facts, now).await;
                match answer {
                    Some(new) => {
                        facts.extend(new);
                        break;
                    }
                    None => {
                        reachable.rotate_left(1);
                        silent += 1;
                    }
                }
            }
        }
        facts
    }

    /// Asks one question of the cluster through one node. None when another node should be tried.
    async fn ask_through(
        &self,
        detect: &Detect,
        probe: &Probe,
        depth: &Depth,
        seen: &NodeObservation,
        facts: &Facts,
        now: Timestamp,
    ) -> Option<Facts> {
        let node = self.cluster.nodes.iter().find(|node| node.name == seen.name)?;
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
            now,
            known: facts,
        };
        let memory = self.memory.node(&node.name);
        let release = seen.release.as_ref();
        if !look.wanted(probe, release, &seen.facts) {
            return None;
        }
        match look.ask(probe, release, &seen.facts, &memory).await {
            Ok(answer) if answer.expected => {
                Some(node::facts_of(&self.pack, probe, &answer, &seen.facts, facts))
            }
            Ok(answer) => {
                tracing::debug!(node = %node.name, probe = probe.id, status = answer.status, "not answered as expected");
                None
            }
            Err(no) => {
                tracing::debug!(node = %node.name, probe = probe.id, because = no.because(), "no answer");
                None
            }
        }
    }
}
