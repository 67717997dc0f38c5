//! The people at the controllers: they plan, have the plan proved, begin runs, resume them, and say yes when asked.

use crate::{
    clock::timestamp,
    controller::{Controller, LEASE_TTL, Life},
    product::{Product, SharedPlan},
    sim::Sim,
};
use quorate_engine::Engine;
use quorate_model::{Holder, Plan, Refusal, RunEvent, RunId, RunState, Seq};
use quorate_planner::{PlanRequest, Planned};
use quorate_store::{Store, StoreError};
use std::sync::Arc;

/// What came of a session.
#[derive(Debug)]
pub(crate) enum Session {
    /// A controller is at work.
    Working,
    /// Every member runs the target.
    NothingToDo,
    /// There is no plan now.
    NotNow { text: String },
    /// Somebody else holds the cluster.
    Held,
    /// Something that must not happen.
    Broken(String),
}

impl Sim {
    /// Observes, plans, proves and begins a run.
    pub(crate) fn begin(&mut self, who: &str, break_held: bool) -> Session {
        let (plan, proved) = match self.plan_now() {
            Ok(plan) => plan,
            Err(session) => return session,
        };
        if !proved {
            let found = quorate_checker::check(&plan);
            if let Some(first) = found.first() {
                return Session::Broken(format!("the checker refuses the planner's plan: {first}"));
            }
        }
        self.runs += 1;
        let run = RunId(format!("r{}", self.runs));
        let now = timestamp(self.world.now);
        let holder = self.holder(who);
        let lease = match self.store.take_lease(
            &self.cluster.name,
            &run,
            &holder,
            now,
            LEASE_TTL,
            break_held,
        ) {
            Ok(lease) => lease,
            Err(StoreError::Held(_)) => return Session::Held,
            Err(error) => return Session::Broken(error.to_string()),
        };
        self.checks.lease_taken(lease.generation);
        let plan: SharedPlan = Arc::new(plan);
        let begun = self
            .store
            .create_run(&run, &self.cluster.name, &plan.digest, now)
            .map(|()| self.plans.push((run.clone(), plan.clone())));
        if let Err(error) = begun {
            return Session::Broken(error.to_string());
        }
        let began = RunEvent::Began {
            plan: plan.digest.clone(),
            cluster: self.cluster.name.clone(),
            holder: holder.clone(),
            generation: lease.generation,
        };
        let engine = Engine::new(plan.clone(), now);
        self.take_up(
            Controller {
                run,
                plan,
                engine,
                lease,
                seq: Seq(0),
                life: Life::Working,
                stalled_until: 0,
                wake_at: None,
            },
            began,
        )
    }

    /// Takes the newest run up again from its journal.
    pub(crate) fn resume(&mut self, who: &str, break_held: bool) -> Session {
        let Some((run, plan)) = self.plans.last().cloned() else {
            return self.begin(who, break_held);
        };
        let now = timestamp(self.world.now);
        let holder = self.holder(who);
        let lease = match self.store.take_lease(
            &self.cluster.name,
            &run,
            &holder,
            now,
            LEASE_TTL,
            break_held,
        ) {
            Ok(lease) => lease,
            Err(StoreError::Held(_)) => return Session::Held,
            Err(error) => return Session::Broken(error.to_string()),
        };
        self.checks.lease_taken(lease.generation);
        let journal = match self.store.journal(&run, Seq(0)) {
            Ok(journal) if !journal.is_empty() => journal,
            // It died before its very first event: there is nothing to take up.
            Ok(_) => {
                let _ = self.store.release_lease(&lease);
                return self.begin(who, break_held);
            }
            Err(error) => return Session::Broken(error.to_string()),
        };
        let engine = match Engine::replay(plan.clone(), &journal, now) {
            Ok(engine) => engine,
            Err(error) => {
                return Session::Broken(format!("the journal cannot be replayed: {error}"));
            }
        };
        if engine.is_over() {
            let _ = self.store.release_lease(&lease);
            return self.begin(who, break_held);
        }
        let seq = journal.last().map_or(Seq(0), |last| last.seq);
        let resumed = RunEvent::Resumed { holder: holder.clone(), generation: lease.generation };
        self.take_up(
            Controller {
                run,
                plan,
                engine,
                lease,
                seq,
                life: Life::Working,
                stalled_until: 0,
                wake_at: None,
            },
            resumed,
        )
    }

    fn take_up(&mut self, mut controller: Controller, first: RunEvent) -> Session {
        let (run, plan) = (controller.run.clone(), controller.plan.clone());
        let events = [first];
        match controller.append(&self.store, self.world.now, &events) {
            Ok(_) => self.checks.appended(&run, &plan, &events, &self.world),
            Err(error) => return Session::Broken(error.to_string()),
        }
        self.controllers.push(controller);
        let index = self.controllers.len() - 1;
        self.renew_later(index);
        self.drive(index);
        Session::Working
    }

    /// The plan, and whether its proof must be skipped because it was broken on purpose.
    fn plan_now(&mut self) -> Result<(Plan, bool), Session> {
        let product = Product::get();
        let (now, state_files) = (
            timestamp(self.world.now),
            self.world.copies.iter().map(|copy| copy.file.clone()).collect::<Vec<_>>(),
        );
        let Some(to) = product.releases.get(self.target) else {
            return Err(Session::Broken("the target is no release".into()));
        };
        let parent = self.plans.last().map(|(_, plan)| plan.digest.clone());
        let (observation, _) = self.world.look();
        let request = PlanRequest {
            cluster: &self.cluster,
            pack: product.pack(),
            observation,
            to,
            artifacts: &product.artifacts,
            measured: &self.measured,
            now,
            parent,
            state_files: &state_files,
            convert: None,
        };
        match quorate_planner::plan(&request) {
            Planned::Ready(mut plan) => {
                let broken = self.sabotage.is_some_and(|sabotage| sabotage.plan(&mut plan));
                Ok((*plan, broken))
            }
            Planned::NothingToDo { .. } => Err(Session::NothingToDo),
            Planned::NotNow(refusal) => Err(not_now(&refusal)),
        }
    }

    fn holder(&mut self, who: &str) -> Holder {
        self.processes += 1;
        Holder { who: who.to_owned(), pid: self.processes }
    }

    /// Whether the newest run waits to be taken up.
    pub(crate) fn newest_run_is_open(&self) -> bool {
        let newest = self.store.runs().ok().and_then(|runs| {
            let name = &self.plans.last()?.0;
            runs.into_iter().find(|header| header.run == *name)
        });
        newest.is_some_and(|header| !matches!(header.state, RunState::Ended { .. }))
    }
}

fn not_now(refusal: &Refusal) -> Session {
    Session::NotNow { text: format!("{:?}", refusal.reasons) }
}
