//! A store that lasts as long as the process: for simulation and tests. Clones are the same store.

use crate::{
    MEASURED_KEPT, OBSERVATIONS_KEPT, Store, StoreError,
    rules::{self, Append, LeaseSlot, Take},
    state_of,
};
use jiff::Timestamp;
use quorate_model::{
    ClusterName, Digest, Ejected, Holder, Lease, NodeName, Observation, Plan, Recorded, RunEvent,
    RunHeader, RunId, Seq,
};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// A store in memory. A controller that "dies" and its successor share one by cloning.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    runs: Vec<Run>,
    plans: BTreeMap<String, Plan>,
    /// Oldest first.
    observations: HashMap<ClusterName, VecDeque<Observation>>,
    leases: HashMap<ClusterName, LeaseSlot>,
    /// Newest first.
    measured: HashMap<(String, String), VecDeque<(Timestamp, f64)>>,
    ejected: BTreeMap<(ClusterName, NodeName), Ejected>,
}

#[derive(Debug)]
struct Run {
    id: RunId,
    cluster: ClusterName,
    plan: Digest,
    created_at: Timestamp,
    journal: Vec<Recorded>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Every change below is made whole or not at all, so a panic elsewhere leaves nothing half-done here.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn run(&mut self, run: &RunId) -> Result<&mut Run, StoreError> {
        let found = self.runs.iter_mut().find(|known| known.id == *run);
        found.ok_or_else(|| StoreError::Missing { what: "run", name: run.to_string() })
    }
    fn slot(&self, cluster: &ClusterName) -> LeaseSlot {
        self.leases.get(cluster).cloned().unwrap_or_default()
    }
    fn keep_slot(&mut self, lease: Lease, held: bool) {
        let slot = self.leases.entry(lease.cluster.clone()).or_default();
        slot.generation = lease.generation;
        slot.held = held.then_some(lease);
    }
}

impl Store for MemoryStore {
    fn append(
        &self,
        run: &RunId,
        lease: Option<&Lease>,
        expected: Seq,
        at: Timestamp,
        events: &[RunEvent],
    ) -> Result<Seq, StoreError> {
        let mut kept = self.kept();
        let cluster = kept.run(run)?.cluster.clone();
        let slot = kept.slot(&cluster);
        let journal = &mut kept.run(run)?.journal;
        let actual = journal.last().map_or(Seq(0), |last| last.seq);
        let append = Append { run, cluster: &cluster, lease, expected, actual, events };
        rules::may_append(&append, &slot)?;
        let mut seq = actual;
        for event in events {
            seq = seq.next();
            journal.push(Recorded { seq, at, event: event.clone() });
        }
        Ok(seq)
    }

    fn journal(&self, run: &RunId, after: Seq) -> Result<Vec<Recorded>, StoreError> {
        let mut kept = self.kept();
        let journal = &kept.run(run)?.journal;
        let start = journal.partition_point(|recorded| recorded.seq <= after);
        Ok(journal[start..].to_vec())
    }

    fn create_run(
        &self,
        run: &RunId,
        cluster: &ClusterName,
        plan: &Digest,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut kept = self.kept();
        if kept.run(run).is_ok() {
            return Err(StoreError::Exists { what: "run", name: run.to_string() });
        }
        kept.runs.push(Run {
            id: run.clone(),
            cluster: cluster.clone(),
            plan: plan.clone(),
            created_at: at,
            journal: Vec::new(),
        });
        Ok(())
    }

    fn runs(&self) -> Result<Vec<RunHeader>, StoreError> {
        let kept = self.kept();
        let mut runs: Vec<&Run> = kept.runs.iter().rev().collect();
        // Stable, so runs of one moment stay newest first.
        runs.sort_by_key(|run| std::cmp::Reverse(run.created_at));
        let headers = runs.into_iter().map(|run| RunHeader {
            run: run.id.clone(),
            cluster: run.cluster.clone(),
            plan: run.plan.clone(),
            began_at: run.created_at,
            state: state_of(&run.journal),
        });
        Ok(headers.collect())
    }

    fn save_plan(&self, plan: &Plan) -> Result<(), StoreError> {
        let mut kept = self.kept();
        let known = kept.plans.entry(plan.digest.0.clone()).or_insert_with(|| plan.clone());
        if known == plan {
            Ok(())
        } else {
            Err(StoreError::PlanDiffers { digest: plan.digest.clone() })
        }
    }

    fn plan(&self, digest: &str) -> Result<Plan, StoreError> {
        let kept = self.kept();
        let matches = kept.plans.keys().filter(|known| known.starts_with(digest)).cloned();
        let meant = rules::plan_meant(digest, matches.collect())?;
        let plan = kept.plans.get(&meant).cloned();
        plan.ok_or(StoreError::Missing { what: "plan", name: meant })
    }

    fn save_observation(&self, observation: &Observation) -> Result<(), StoreError> {
        let mut kept = self.kept();
        let looks = kept.observations.entry(observation.cluster.clone()).or_default();
        let place = looks.partition_point(|look| look.taken_at <= observation.taken_at);
        looks.insert(place, observation.clone());
        while looks.len() > OBSERVATIONS_KEPT {
            looks.pop_front();
        }
        Ok(())
    }

    fn last_observation(&self, cluster: &ClusterName) -> Result<Option<Observation>, StoreError> {
        Ok(self.kept().observations.get(cluster).and_then(|looks| looks.back().cloned()))
    }

    fn take_lease(
        &self,
        cluster: &ClusterName,
        run: &RunId,
        holder: &Holder,
        now: Timestamp,
        ttl: Duration,
        break_held: bool,
    ) -> Result<Lease, StoreError> {
        let mut kept = self.kept();
        let take = Take { cluster, run, holder, now, ttl, break_held };
        let lease = rules::taken(&take, &kept.slot(cluster))?;
        kept.keep_slot(lease.clone(), true);
        Ok(lease)
    }

    fn renew_lease(
        &self,
        lease: &Lease,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Lease, StoreError> {
        let mut kept = self.kept();
        let lease = rules::renewed(lease, &kept.slot(&lease.cluster), now, ttl)?;
        kept.keep_slot(lease.clone(), true);
        Ok(lease)
    }

    fn release_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        let mut kept = self.kept();
        if rules::must_release(lease, &kept.slot(&lease.cluster))? {
            kept.keep_slot(lease.clone(), false);
        }
        Ok(())
    }

    fn lease(&self, cluster: &ClusterName) -> Result<Option<Lease>, StoreError> {
        Ok(self.kept().slot(cluster).held)
    }

    fn measured(&self, pack: &str, role: &str) -> Result<Vec<f64>, StoreError> {
        let kept = self.kept();
        let found = kept.measured.get(&(pack.to_owned(), role.to_owned()));
        Ok(found.map_or_else(Vec::new, |found| found.iter().map(|(_, secs)| *secs).collect()))
    }

    fn save_measured(
        &self,
        pack: &str,
        role: &str,
        secs: f64,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        if rules::is_duration(secs) {
            let mut kept = self.kept();
            let found = kept.measured.entry((pack.to_owned(), role.to_owned())).or_default();
            let place = found.partition_point(|(known, _)| *known > at);
            found.insert(place, (at, secs));
            found.truncate(MEASURED_KEPT);
        }
        Ok(())
    }

    fn ejected(&self, cluster: &ClusterName) -> Result<Vec<Ejected>, StoreError> {
        let kept = self.kept();
        Ok(kept.ejected.values().filter(|one| one.cluster == *cluster).cloned().collect())
    }

    fn save_ejected(&self, ejected: &Ejected) -> Result<(), StoreError> {
        let place = (ejected.cluster.clone(), ejected.node.clone());
        self.kept().ejected.insert(place, ejected.clone());
        Ok(())
    }

    fn forget_ejected(&self, cluster: &ClusterName, node: &NodeName) -> Result<(), StoreError> {
        self.kept().ejected.remove(&(cluster.clone(), node.clone()));
        Ok(())
    }
}
