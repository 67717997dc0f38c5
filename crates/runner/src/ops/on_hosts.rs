//! The lease of a cluster as its own hosts know it: a state folder elsewhere cannot see the lease in this one.
//!
//! Invariants: two controllers never both hold more than half of a cluster's hosts; nothing is left on a host by a run that
//! was refused, or that is over.

use crate::{
    problem::{HELD, Problem},
    setup::{Setup, holder},
    state_name::state_name,
    verdict::beside,
};
use futures::{StreamExt, stream};
use quorate_hosts::lease::{self, Claim, Guarded, HeldBy};
use quorate_model::{Action, Cluster, Host, NodeName, Plan, RunId, Step};
use quorate_transport::{Answer, Transport};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

/// Hosts asked at the same time: sixty-four wait for answers rather than work; more would only queue here.
const HOSTS_AT_ONCE: usize = 64;

/// The hosts of one cluster on which this controller is named: those of its servers that are reached over SSH.
#[derive(Clone)]
pub(crate) struct OnHosts {
    claim: Claim,
    break_held: bool,
    ways: Arc<BTreeMap<NodeName, Arc<dyn Transport>>>,
    /// The same ways for acts that ask by themselves.
    guards: Arc<BTreeMap<NodeName, Arc<Guarded>>>,
    /// Hosts, by name, that said that this controller holds the cluster.
    taken: Arc<Mutex<BTreeSet<String>>>,
}

impl OnHosts {
    /// Names this controller on every server's host. More than half of them must say yes, so that of two controllers one is
    /// refused whichever hosts they reach; a person who breaks the lease goes on without.
    pub(crate) async fn take(
        setup: &Setup,
        cluster: &Cluster,
        plan: &Plan,
        run: &RunId,
        break_held: bool,
    ) -> Result<Self, Problem> {
        let holder = holder();
        let state = state_name(&setup.state_dir)?;
        let who = format!("{} (process {}, run {run})", holder.who, holder.pid);
        let claim = Claim { cluster: cluster.name.to_string(), state, who };
        let (mut ways, clients) = (setup.ways(cluster), beside(plan));
        ways.retain(|name, _| {
            let node = cluster.nodes.iter().find(|node| node.name == *name);
            node.is_some_and(|node| matches!(node.host, Host::Ssh(_))) && !clients.contains(name)
        });
        let guarded = |way: &Arc<dyn Transport>| Arc::new(Guarded::new(way.clone(), claim.clone()));
        let guards = ways.iter().map(|(name, way)| (name.clone(), guarded(way))).collect();
        let (ways, guards) = (Arc::new(ways), Arc::new(guards));
        let own = Self { claim, break_held, ways, guards, taken: Arc::default() };
        let hosts = own.hosts();
        let (mut held, mut dark) = (Vec::new(), Vec::new());
        let answers =
            own.ask(
                &hosts,
                |host, claim| async move { lease::take(&*host, &claim, break_held).await },
            );
        for (host, answer) in hosts.iter().zip(answers.await) {
            match answer {
                Answer::Done(HeldBy::Own) => own.keep(host.as_ref()),
                Answer::Done(HeldBy::Other(by)) => {
                    held.push(format!("{} is held by {by}", host.name()));
                }
                Answer::Done(HeldBy::Nobody) => dark.push(format!("{} holds nothing", host.name())),
                Answer::Failed(because) | Answer::Unknown(because) => dark.push(because),
            }
        }
        let few = !hosts.is_empty() && own.count() * 2 <= hosts.len() && !break_held;
        if held.is_empty() && !few {
            return Ok(own);
        }
        own.leave().await;
        Err(refused(cluster, held, dark))
    }

    /// Whether nobody else has taken the cluster since, as the host says that a step changes; where it is no server's host, as the
    /// first server's host says that answers. A step whose own commands ask it is not asked for. A host that says nothing is for the step itself to find out.
    pub(crate) async fn still_ours(&self, step: Option<&Step>) -> Result<(), String> {
        if step.is_some_and(|step| !step.action.changes_members()) {
            return Ok(());
        }
        let node = step.and_then(|step| step.node.as_ref());
        let own = node.and_then(|node| self.ways.get(node)).cloned();
        let hosts = own.map_or_else(|| self.hosts(), |host| vec![host]);
        for host in hosts {
            let taken = self.lock().contains(&host.name());
            if taken && step.is_some_and(asks_itself) {
                return Ok(());
            }
            let answer = match taken {
                true => lease::check(&*host, &self.claim).await,
                // It did not answer when the run began.
                false => lease::take(&*host, &self.claim, self.break_held).await,
            };
            match answer {
                Answer::Done(HeldBy::Own) => {
                    self.keep(host.as_ref());
                    return Ok(());
                }
                Answer::Done(HeldBy::Nobody) => {
                    return Err(lease::sentence(&host.name(), &self.claim, ""));
                }
                Answer::Done(HeldBy::Other(by)) => {
                    return Err(lease::sentence(&host.name(), &self.claim, &by));
                }
                Answer::Failed(_) | Answer::Unknown(_) => {}
            }
        }
        Ok(())
    }

    /// The way by which a member is stopped, changed and started: its host asks before each command. None where the host
    /// has not said yet that the cluster is this controller's.
    pub(crate) fn guard(&self, node: &NodeName) -> Option<&Arc<Guarded>> {
        self.guards.get(node).filter(|guard| self.lock().contains(&guard.name()))
    }

    /// Gives the hosts back. One that does not answer keeps a name that the same state folder may overwrite.
    pub(crate) async fn leave(&self) {
        let mut hosts = self.hosts();
        hosts.retain(|host| self.lock().contains(&host.name()));
        let answers =
            self.ask(&hosts, |host, claim| async move { lease::leave(&*host, &claim).await });
        for answer in answers.await {
            if let Answer::Failed(because) | Answer::Unknown(because) = answer {
                tracing::warn!(because, "a host still names this controller");
            }
        }
    }

    /// Each host once: two members may live on one.
    fn hosts(&self) -> Vec<Arc<dyn Transport>> {
        let mut known = BTreeSet::new();
        self.ways.values().filter(|way| known.insert(way.name())).cloned().collect()
    }

    async fn ask<T, F: Future<Output = T>>(
        &self,
        hosts: &[Arc<dyn Transport>],
        ask: impl Fn(Arc<dyn Transport>, Claim) -> F,
    ) -> Vec<T> {
        let asked: Vec<F> =
            hosts.iter().map(|host| ask(host.clone(), self.claim.clone())).collect();
        stream::iter(asked).buffered(HOSTS_AT_ONCE).collect().await
    }

    fn keep(&self, host: &dyn Transport) {
        self.lock().insert(host.name());
    }

    fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a step acts by guarded ways alone: then nobody can come between the question and the act.
fn asks_itself(step: &Step) -> bool {
    matches!(
        step.action,
        Action::Stop { .. } | Action::Start { .. } | Action::Swap { config: None, .. }
    )
}

fn refused(cluster: &Cluster, held: Vec<String>, dark: Vec<String>) -> Problem {
    let by_others = !held.is_empty();
    let text = match by_others {
        true => {
            format!("another controller, with a state folder of its own, holds {}", cluster.name)
        }
        false => format!(
            "at least half of the hosts of {} do not say whether another controller works on it",
            cluster.name
        ),
    };
    let mut problem = Problem::new(HELD, text);
    problem = match by_others {
        true => problem
            .hint("use the state folder of that controller, or wait until its run is over")
            .hint("if its controller is dead, take over with `--break-lease REASON`"),
        false => problem
            .hint("mend the way to the hosts, then try again")
            .hint("if you know that nobody else works on it, go on with `--break-lease REASON`"),
    };
    problem.causes = if by_others { held } else { dark };
    problem
}
