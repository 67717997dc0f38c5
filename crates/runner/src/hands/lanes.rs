//! Looks for nodes that move beside each other: the node itself is asked, and the servers that it depends on.
//!
//! Invariant: a lane's look asks one node, however many the cluster has. The servers are asked once for all lanes.
//! Invariant: what is known of the servers is from after the node's last act, and not older than a look at a gate may be.

use super::live::LiveHands;
use crate::{drive::Seen, verdict::Judged};
use jiff::Timestamp;
use quorate_engine::{Look, Verdict};
use quorate_model::{Condition, Hop, NodeName, Observation, Step};
use quorate_observe::Depth;
use std::time::{Duration, Instant};

/// The servers are asked this often at most, however many lanes look and however often the policy lets them: a server that
/// dies is told within five seconds all the same, by two looks and the patience of a gate.
const SERVERS_FRESH: Duration = Duration::from_millis(500);

/// What was seen of the servers, for all lanes alike.
#[derive(Debug, Clone)]
pub(super) struct ServersSeen {
    began: Instant,
    depth: Depth,
    seen: Observation,
}

impl LiveHands {
    /// Answers a look of a step that is one of a lane.
    pub(super) async fn look_beside(&self, step: &Step, look: Look, now: Timestamp) -> Seen {
        let Some((at, hop)) = self.hop_of(step) else {
            return unseen(format!("step {} is not in the plan", step.id));
        };
        match look {
            Look::Done => match &step.done {
                Some(done) if done.cel.is_empty() => {
                    let verdict = self.typed_done(step, at, hop, &done.name).await;
                    Seen { verdict, news: Vec::new() }
                }
                done => self.asked_beside(step, hop, done.as_slice(), now).await,
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
                    None => self.asked_beside(step, hop, &step.precheck, Timestamp::now()).await,
                }
            }
            Look::Gate | Look::GateOnTheWay => self.gate_beside(step, hop, now).await,
            Look::World => Seen { verdict: Verdict::Holds, news: Vec::new() },
        }
    }

    async fn asked_beside(
        &self,
        step: &Step,
        hop: &Hop,
        conditions: &[Condition],
        now: Timestamp,
    ) -> Seen {
        let Some(seen) = self.seen_beside(step, conditions, now).await else {
            return unseen(format!("{} names no node that is declared", step.id));
        };
        let judged = Judged { pack: &self.parts.pack, plan: self.plan(), hop, step, seen: &seen };
        Seen { verdict: judged.conditions(conditions), news: self.news(&seen) }
    }

    async fn gate_beside(&self, step: &Step, hop: &Hop, now: Timestamp) -> Seen {
        let Some(gate) = &step.gate else {
            return Seen { verdict: Verdict::Holds, news: Vec::new() };
        };
        let began = Instant::now();
        let Some(seen) = self.seen_beside(step, &gate.conditions, now).await else {
            return unseen(format!("{} names no node that is declared", step.id));
        };
        let judged = Judged { pack: &self.parts.pack, plan: self.plan(), hop, step, seen: &seen };
        let mut verdict = judged.gate(gate);
        let mut news = self.news(&seen);
        if verdict == Verdict::Holds {
            news.extend(self.floor(step, super::looks::after(now, began.elapsed())));
        }
        if matches!(verdict, Verdict::NotYet(_) | Verdict::Unseen(_)) {
            verdict = self.ended(step, &seen, now).await.map_or(verdict, Verdict::Ended);
        }
        Seen { verdict, news }
    }

    /// The servers and the step's own node.
    async fn seen_beside(
        &self,
        step: &Step,
        conditions: &[Condition],
        now: Timestamp,
    ) -> Option<Observation> {
        let node = step.node.as_ref()?;
        let depth = self.depth(conditions);
        let own = self.parts.observer.look_node(node, depth.clone(), now);
        let (servers, own) = futures::future::join(self.servers_seen(node, depth, now), own).await;
        let mut seen = servers;
        seen.taken_at = now;
        seen.nodes.push(own?);
        Some(seen)
    }

    /// What is known of the servers; asked anew when that is too old. Whoever else wants to know waits for the same answer.
    async fn servers_seen(&self, node: &NodeName, depth: Depth, now: Timestamp) -> Observation {
        let fresh = SERVERS_FRESH.min(self.plan().policy.look_every);
        let acted = self.acted_at(node);
        let mut known = self.servers_seen.lock().await;
        if let Some(known) = known.as_ref().filter(|known| {
            known.began.elapsed() <= fresh
                && acted.is_none_or(|acted| known.began >= acted)
                && known.depth.covers(&depth)
        }) {
            return known.seen.clone();
        }
        let began = Instant::now();
        let seen = self.servers().look_timed(depth.clone(), Some(node), now).await.0;
        *known = Some(ServersSeen { began, depth, seen: seen.clone() });
        seen
    }
}

fn unseen(what: String) -> Seen {
    Seen { verdict: Verdict::Unseen(what), news: Vec::new() }
}
