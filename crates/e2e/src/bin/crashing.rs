//! A controller that ends itself with SIGKILL right after an append to the journal: the product needs no hook for it.
//!
//! `crashing FLEET begin PLAN WHEN` or `crashing FLEET resume RUN WHEN`. `WHEN` is `append:N` (the N-th append of this
//! life), `progress:N` (the N-th append that moves the run on), `event:NAME` (the first append with such an event), `finished:END`
//! (the first append in which a step whose id ends so is over), or `never`.

use jiff::Timestamp;
use quorate_model::{
    ClusterName, Digest, Ejected, Holder, Lease, NodeName, Observation, Plan, Recorded, RunEvent,
    RunHeader, RunId, Seq,
};
use quorate_runner::{
    drive::Ending,
    ops::run::{CarryOptions, begin, named, resume},
    setup::{Setup, SetupOptions},
};
use quorate_store::{Store, StoreError, event_name};
use std::{
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// When this life ends.
enum When {
    Never,
    Append(u64),
    Progress(u64),
    Event(String),
    Finished(String),
}

impl When {
    fn read(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None => (text == "never").then_some(Self::Never),
            Some(("append", number)) => number.parse().ok().map(Self::Append),
            Some(("progress", number)) => number.parse().ok().map(Self::Progress),
            Some(("event", name)) => Some(Self::Event(name.to_owned())),
            Some(("finished", end)) => Some(Self::Finished(end.to_owned())),
            Some(_) => None,
        }
    }
}

/// A store that ends its process right after an append is durable.
struct Crashing {
    inner: Arc<dyn Store>,
    when: When,
    seen: AtomicU64,
}

/// Whether an event moves the run on, rather than saying who carries it or what was seen. A second try of a step does not:
/// a controller that dies whenever it has written its intent would do so for ever.
fn moves_on(event: &RunEvent) -> bool {
    let again = matches!(event, RunEvent::Started { attempt, .. } if attempt.0 > 1);
    !again
        && !matches!(
            event,
            RunEvent::Resumed { .. }
                | RunEvent::WorldSeen { .. }
                | RunEvent::MemberSeen { .. }
                | RunEvent::Waiting { .. }
                | RunEvent::Note { .. }
                | RunEvent::Approved { .. }
                | RunEvent::DoneProbed { done: false, .. }
        )
}

impl Crashing {
    fn survive(&self, events: &[RunEvent]) {
        let nth =
            |counts: bool| if counts { self.seen.fetch_add(1, Ordering::SeqCst) + 1 } else { 0 };
        let over = match &self.when {
            When::Never => false,
            When::Append(last) => nth(true) == *last,
            When::Progress(last) => nth(events.iter().any(moves_on)) == *last,
            When::Finished(end) => events.iter().any(|event| {
                matches!(event, RunEvent::Finished { step, .. } if step.as_str().ends_with(end))
            }),
            When::Event(name) => events.iter().any(|event| event_name(event) == name),
        };
        if over {
            let own = nix::unistd::getpid();
            // The signal ends this very process: there is nobody left to hear of a fault.
            let _ = nix::sys::signal::kill(own, nix::sys::signal::Signal::SIGKILL);
            loop {
                std::thread::park();
            }
        }
    }
}

impl Store for Crashing {
    fn append(
        &self,
        run: &RunId,
        lease: Option<&Lease>,
        expected: Seq,
        at: Timestamp,
        events: &[RunEvent],
    ) -> Result<Seq, StoreError> {
        let seq = self.inner.append(run, lease, expected, at, events)?;
        self.survive(events);
        Ok(seq)
    }
    fn journal(&self, run: &RunId, after: Seq) -> Result<Vec<Recorded>, StoreError> {
        self.inner.journal(run, after)
    }
    fn create_run(
        &self,
        run: &RunId,
        cluster: &ClusterName,
        plan: &Digest,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.inner.create_run(run, cluster, plan, at)
    }
    fn runs(&self) -> Result<Vec<RunHeader>, StoreError> {
        self.inner.runs()
    }
    fn save_plan(&self, plan: &Plan) -> Result<(), StoreError> {
        self.inner.save_plan(plan)
    }
    fn plan(&self, digest: &str) -> Result<Plan, StoreError> {
        self.inner.plan(digest)
    }
    fn save_observation(&self, observation: &Observation) -> Result<(), StoreError> {
        self.inner.save_observation(observation)
    }
    fn last_observation(&self, cluster: &ClusterName) -> Result<Option<Observation>, StoreError> {
        self.inner.last_observation(cluster)
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
        self.inner.take_lease(cluster, run, holder, now, ttl, break_held)
    }
    fn renew_lease(
        &self,
        lease: &Lease,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Lease, StoreError> {
        self.inner.renew_lease(lease, now, ttl)
    }
    fn release_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        self.inner.release_lease(lease)
    }
    fn lease(&self, cluster: &ClusterName) -> Result<Option<Lease>, StoreError> {
        self.inner.lease(cluster)
    }
    fn measured(&self, pack: &str, role: &str) -> Result<Vec<f64>, StoreError> {
        self.inner.measured(pack, role)
    }
    fn save_measured(
        &self,
        pack: &str,
        role: &str,
        secs: f64,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.inner.save_measured(pack, role, secs, at)
    }
    fn ejected(&self, cluster: &ClusterName) -> Result<Vec<Ejected>, StoreError> {
        self.inner.ejected(cluster)
    }
    fn save_ejected(&self, ejected: &Ejected) -> Result<(), StoreError> {
        self.inner.save_ejected(ejected)
    }
    fn forget_ejected(&self, cluster: &ClusterName, node: &NodeName) -> Result<(), StoreError> {
        self.inner.forget_ejected(cluster, node)
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [fleet, what, name, when] = words.as_slice() else { return ExitCode::from(2) };
    let Some(when) = When::read(when) else { return ExitCode::from(2) };
    let Ok(runtime) =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
    else {
        return ExitCode::from(70);
    };
    match runtime.block_on(carry(fleet, what, name, when)) {
        Ok(ending) => {
            eprintln!("{ending:?}");
            ExitCode::from(
                u8::from(!matches!(ending, Ending::Over(quorate_model::RunEnd::Succeeded))) * 4,
            )
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(problem.exit_code())
        }
    }
}

async fn carry(
    fleet: &str,
    what: &str,
    name: &str,
    when: When,
) -> Result<Ending, quorate_runner::problem::Problem> {
    let options = SetupOptions { fleet: Some(fleet.into()), ..SetupOptions::default() };
    let mut setup = Setup::open(&options)?;
    setup.store = Arc::new(Crashing { inner: setup.store, when, seen: AtomicU64::new(0) });
    let options = CarryOptions {
        yes: true,
        no_probe: true,
        // The one before was killed: its lease runs on for a while.
        break_lease: Some("the controller was killed".into()),
        ..CarryOptions::default()
    };
    let carried = if what == "begin" {
        begin(&setup, quorate_runner::ops::plan::read(Path::new(name))?, &options).await?
    } else {
        resume(&setup, &named(&setup, Some(name))?, &options).await?
    };
    carried.work.await.unwrap_or_else(|error| {
        Err(quorate_runner::problem::Problem::new(quorate_runner::problem::BUG, error.to_string()))
    })
}
