//! Carrying a plan out: prepare, apply, resume, and what other terminals may say to a run.

use super::{calendar::may_begin, client, on_hosts::OnHosts, plan::prove, see::observe};
use crate::{
    clock::Clock,
    drive::{Client, Driver, Ending, Hands, LEASE_TTL},
    hands::{LiveHands, LiveParts, copies_whole},
    journal::Journal,
    problem::{
        ABORTED, HALTED, NO_BACKUP, NO_RUN, NOISY, NOT_STAGED, PAUSED, Problem, STALE_PLAN, UNSEEN,
    },
    setup::{Setup, holder},
    verdict::beside,
    watch::ClientWatch,
};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use quorate_engine::{Engine, Input};
use quorate_model::{
    Action, Cluster, Generation, Hold, LEFT_BEHIND, Lease, NodeObservation, Observation, Outcome,
    Plan, Reach, Recorded, Release, RunEnd, RunEvent, RunHeader, RunId, Seq, Step, StepRole,
};
use quorate_observe::Depth;
use quorate_store::{Store, StoreError, is_operator_event};
use std::sync::Arc;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Nodes that are staged on at the same time. So many copies fill any network, more would only share it; and many nodes of one
/// machine, which reads every file for its digest, would keep each other past their limits.
pub const STAGES_AT_ONCE: usize = 32;

/// Code of the hold of a run whose baseline was too noisy to judge it by.
const NOISY_BASELINE: &str = "noisy-baseline";

/// How a run is carried out.
#[derive(Debug, Clone, Default)]
pub struct CarryOptions {
    /// Approvals are given at once, in this person's name.
    pub yes: bool,
    /// Without a client's view.
    pub no_probe: bool,
    /// Take the cluster from a controller that still holds it, and why.
    pub break_lease: Option<String>,
    /// Begin although the calendar does not let a run begin, and why.
    pub override_freeze: Option<String>,
    /// What a person has said of this run beforehand, for its journal.
    pub said: Vec<String>,
}

/// A run that has been taken up: drive it, and listen to it.
pub struct Carried {
    /// The run.
    pub run: RunId,
    /// Its plan.
    pub plan: Arc<Plan>,
    /// Every event, from the first of the run on.
    pub events: UnboundedReceiver<Recorded>,
    /// What a person at this terminal says: pause, approve.
    pub person: UnboundedSender<RunEvent>,
    /// The work itself; resolves when the run is over or rests.
    pub work: tokio::task::JoinHandle<Result<Ending, Problem>>,
}

/// Stages and checks a plan's artifacts on every node, many at once. Services are not touched; a second time does nothing.
pub async fn prepare(
    setup: &Setup,
    plan: &Plan,
    mut told: impl FnMut(&Step, &Outcome),
) -> Result<(), Problem> {
    prove(plan)?;
    let cluster = &setup.cluster_of(plan)?;
    let hands = hands(setup, cluster, Arc::new(plan.clone()))?;
    let stages: Vec<&Step> = steps(plan).filter(|step| step.role == StepRole::Stage).collect();
    let hands = &hands;
    let work = |step: &'_ Step| {
        let step = step.clone();
        async move {
            let done = hands.act(&step, quorate_model::Attempt(1)).await;
            (step, done.outcome)
        }
    };
    let work: Vec<_> = stages.into_iter().map(work).collect();
    let mut work = stream::iter(work).buffered(STAGES_AT_ONCE);
    let mut failed = Vec::new();
    while let Some((step, outcome)) = work.next().await {
        told(&step, &outcome);
        if let Outcome::Failed { because } | Outcome::Unknown { because } = outcome {
            failed.push(format!("{}: {because}", step.title));
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    let mut problem = Problem::new(
        NOT_STAGED,
        format!("{} artifacts could not be staged; no service was touched", failed.len()),
    );
    problem.causes = failed;
    Err(problem)
}

/// Begins a run of a plan.
pub async fn begin(setup: &Setup, plan: Plan, options: &CarryOptions) -> Result<Carried, Problem> {
    prove(&plan)?;
    let cluster = setup.cluster_of(&plan)?;
    let now = Timestamp::now();
    let mut notes = may_begin(&plan, options, now)?;
    notes.extend(options.said.iter().cloned());
    copies_whole(&setup.state_dir, &plan).map_err(|because| {
        Problem::new(NO_BACKUP, "the backup cannot be put back; nothing was touched")
            .because(because)
            .hint("bring the file back from where it was copied to, or choose another backup")
    })?;
    let seen = observe(setup, &cluster).await?;
    not_stale(&plan, &cluster, &seen)?;
    setup.store.save_plan(&plan)?;
    let run = RunId::new(format!("{}-{}", plan.cluster, short_id(now)));
    let held = take_lease(setup, &cluster, &plan, &run, options).await?;
    let on_hosts = held.on_hosts.clone();
    let begun = begin_held(setup, plan, cluster, run, held, notes, options).await;
    if begun.is_err() {
        on_hosts.leave().await;
    }
    begun
}

async fn begin_held(
    setup: &Setup,
    plan: Plan,
    cluster: Cluster,
    run: RunId,
    held: Held,
    mut notes: Vec<String>,
    options: &CarryOptions,
) -> Result<Carried, Problem> {
    let (now, lease) = (Timestamp::now(), &held.lease);
    if let Some(reason) = &options.break_lease {
        notes.push(format!("the lease was taken from its holder: {reason}"));
    }
    notes.extend(client::of_other_runs(setup, &cluster, &run).await);
    setup.store.create_run(&run, &cluster.name, &plan.digest, now)?;
    let began = RunEvent::Began {
        plan: plan.digest.clone(),
        cluster: cluster.name.clone(),
        holder: lease.holder.clone(),
        generation: lease.generation,
    };
    let engine = Engine::new(Arc::new(plan.clone()), now);
    let first: Vec<RunEvent> =
        std::iter::once(began).chain(notes.into_iter().map(|text| note(lease, text))).collect();
    carry(setup, &cluster, run, held, Seq(0), engine, first, options).await
}

/// Takes a run up again that was paused, halted, or lost its controller.
pub async fn resume(
    setup: &Setup,
    run: &RunId,
    options: &CarryOptions,
) -> Result<Carried, Problem> {
    let header = header(setup, run)?;
    let plan = setup.store.plan(header.plan.as_str())?;
    let cluster = setup.cluster_of(&plan)?;
    let journal = setup.store.journal(run, Seq(0))?;
    let mut engine = Engine::replay(Arc::new(plan.clone()), &journal, Timestamp::now())
        .map_err(|error| Problem::new(NO_RUN, format!("run {run} cannot be resumed: {error}")))?;
    if engine.is_over() {
        return Err(Problem::new(NO_RUN, format!("run {run} is over"))
            .hint(format!("see `quorate run report {run}`")));
    }
    engine.give_steps_their_tries_back();
    let held = take_lease(setup, &cluster, &plan, run, options).await?;
    let on_hosts = held.on_hosts.clone();
    let resumed = resume_held(setup, &plan, &cluster, run, held, engine, &journal, options).await;
    if resumed.is_err() {
        on_hosts.leave().await;
    }
    resumed
}

#[expect(
    clippy::too_many_arguments,
    reason = "what was read of the run before the lease was taken, and the lease"
)]
async fn resume_held(
    setup: &Setup,
    plan: &Plan,
    cluster: &Cluster,
    run: &RunId,
    held: Held,
    mut engine: Engine,
    journal: &[Recorded],
    options: &CarryOptions,
) -> Result<Carried, Problem> {
    let lease = &held.lease;
    let mut first =
        vec![RunEvent::Resumed { holder: lease.holder.clone(), generation: lease.generation }];
    first.extend(
        options
            .break_lease
            .iter()
            .map(|reason| note(lease, format!("the lease was taken from its holder: {reason}"))),
    );
    let last = journal.last();
    // What people wrote while the run stood still does not count: nobody carried it then.
    let carried = journal.iter().rev().find(|recorded| !is_operator_event(&recorded.event));
    first.extend(meanwhile(setup, cluster, carried.map(|carried| carried.at)).await);
    let (account, lost) = client::of_the_dead(setup, cluster, plan, run, journal).await;
    first.extend(account);
    if lost > 0 {
        let text =
            format!("{lost} acknowledged writes of the client whose controller died are missing");
        engine.handle(Input::ClientLost { text }, Timestamp::now());
    }
    let seq = last.map_or(Seq(0), |last| last.seq);
    carry(setup, cluster, run.clone(), held, seq, engine, first, options).await
}

/// Members that were started while no controller wrote this run's journal: somebody's hand, or an act whose outcome was lost.
/// A cluster that cannot be looked at says nothing here; the look at the world after this says so.
async fn meanwhile(setup: &Setup, cluster: &Cluster, since: Option<Timestamp>) -> Vec<RunEvent> {
    let (Some(since), Ok((observer, _))) = (since, setup.observer(cluster)) else {
        return Vec::new();
    };
    let mut seen = observer.look(Depth::Gate, Timestamp::now()).await;
    if seen.nodes.iter().any(|node| node.reach == Reach::Reachable && node.process.is_none()) {
        // A hand that starts a member writes no pid file: only the longer look goes through every process.
        seen = observer.look(Depth::Full, Timestamp::now()).await;
    }
    let started = |node: &NodeObservation| {
        let process = node.process.as_ref()?;
        let at = process.started_at.filter(|at| *at > since)?;
        let text = format!(
            "{} was started at {at} (process {}), while nobody carried this run",
            node.name, process.pid
        );
        Some(RunEvent::Note { by: "quorate".into(), text })
    };
    seen.nodes.iter().filter_map(started).collect()
}

#[expect(
    clippy::too_many_arguments,
    reason = "both ways into a run meet here, each argument is a part of the run"
)]
async fn carry(
    setup: &Setup,
    cluster: &Cluster,
    run: RunId,
    held: Held,
    seq: Seq,
    engine: Engine,
    first: Vec<RunEvent>,
    options: &CarryOptions,
) -> Result<Carried, Problem> {
    let plan = engine.plan().clone();
    let clock = Clock::start();
    let (event_sender, events) = unbounded_channel();
    for recorded in setup.store.journal(&run, Seq(0))? {
        // A listener that is gone before the start misses nothing that it wanted.
        let _ = event_sender.send(recorded);
    }
    let Held { lease, on_hosts } = held;
    let generation = lease.generation;
    let mut journal = Journal::open(setup.store.clone(), run.clone(), Some(lease), seq);
    journal.listen(event_sender);
    journal.append(clock.now(), &first)?;
    let hands = hands(setup, cluster, plan.clone())?.held_by(on_hosts.clone());
    let hands: Arc<dyn Hands> = Arc::new(hands);
    let (person, person_receiver) = unbounded_channel();
    if options.yes {
        approve_all(&plan, &person);
    }
    let watch = watch(setup, cluster, &plan, &run, generation, options).await?;
    let store = setup.store.clone();
    let given = plan.clone();
    let work = async move {
        let mut watch = watch;
        if let Some(watch) = &watch {
            let baseline = watch.baseline(given.policy.baseline).await;
            journal.append(clock.now(), std::slice::from_ref(&baseline))?;
        }
        if let Some(hold) = too_noisy(&store.journal(journal.run(), Seq(0))?, &given) {
            let account = client::account(watch, &*store, journal.run()).await;
            journal.append(clock.now(), &[RunEvent::Halted { hold: hold.clone() }])?;
            journal.close(clock.now(), &account)?;
            return Ok(Ending::Over(RunEnd::Halted { hold }));
        }
        let client = match &mut watch {
            Some(watch) => {
                journal.listen(watch.follow(given.clone()));
                watch.events()
            }
            None => unbounded_channel().1,
        };
        let desk = Arc::new(client::ClientDesk::new(watch, store.clone(), journal.run().clone()));
        let driver = Driver {
            view: Some(desk.clone()),
            engine,
            journal,
            store: store.clone(),
            hands,
            clock,
            client,
            person: person_receiver,
        };
        let (ending, mut journal) = driver.drive().await?;
        // A run that ended before its last step has a client, too.
        let account = desk.account().await;
        match journal.close(clock.now(), &account) {
            // Another controller holds the cluster: the journal is its own now.
            Ok(()) | Err(StoreError::Fenced { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        keep_measured(&*store, &given, journal.run(), clock.now())?;
        Ok(ending)
    };
    let work = tokio::spawn(async move {
        let ended = work.await;
        on_hosts.leave().await;
        ended
    });
    Ok(Carried { run, plan, events, person, work })
}

/// The newest baseline, when it is worse than the policy lets a run be judged by.
fn too_noisy(journal: &[Recorded], plan: &Plan) -> Option<Hold> {
    let gap_ms = journal.iter().rev().find_map(|recorded| match recorded.event {
        RunEvent::Baseline { gap_max_ms, .. } => Some(gap_max_ms),
        _ => None,
    })?;
    let limit_ms = plan.policy.baseline_noise_max_ms;
    (gap_ms > limit_ms).then(|| Hold {
        step: None,
        code: NOISY_BASELINE.into(),
        text: format!("with nothing going on, clients already see gaps of {gap_ms} ms, the policy allows {limit_ms} ms"),
        hint: Some("find what disturbs the machine, raise `baseline_noise_max_ms`, or go without a client's view (`--no-probe`)".into()),
    })
}

/// Makes hands for a cluster and a plan.
pub fn hands(setup: &Setup, cluster: &Cluster, plan: Arc<Plan>) -> Result<LiveHands, Problem> {
    let (observer, clients) = setup.observer(cluster)?;
    let beside = beside(&plan);
    let mut servers = cluster.clone();
    servers.nodes.retain(|node| !beside.contains(&node.name));
    let (guard, _) = setup.observer(&servers)?;
    let servers = match beside.is_empty() {
        true => None,
        false => Some(setup.observer(&servers)?.0),
    };
    Ok(LiveHands::new(LiveParts {
        pack: setup.pack(cluster)?,
        cluster: cluster.clone(),
        declared: setup.declared(cluster.name.as_str()).unwrap_or(cluster).clone(),
        rewrites: setup.rewrites.clone(),
        plan,
        observer,
        servers,
        guard,
        clients,
        transports: setup.ways(cluster),
        hosts: setup.transports(),
        cache: setup.cache.clone(),
        prepared: setup.prepared.clone(),
        state_dir: setup.state_dir.clone(),
        store: setup.store.clone(),
    }))
}

/// How an ending reads to whoever waits for it.
pub fn verdict(run: &RunId, ending: Ending) -> Result<(), Problem> {
    match ending {
        Ending::Over(RunEnd::Succeeded) => Ok(()),
        Ending::Over(RunEnd::Halted { hold }) if hold.code == NOISY_BASELINE => {
            let problem =
                Problem::new(NOISY, format!("run {run} was not begun; nothing was touched"))
                    .because(hold.text);
            Err(hold
                .hint
                .into_iter()
                .fold(problem, Problem::hint)
                .hint(format!("try again with `quorate run resume {run}`")))
        }
        Ending::Over(RunEnd::Halted { hold }) => {
            let said = if hold.code == LEFT_BEHIND {
                format!("run {run} left nodes behind; what could be done is done")
            } else {
                format!("run {run} halted; nothing further was touched")
            };
            let mut problem = Problem::new(HALTED, said);
            problem = problem.because(match hold.step {
                Some(step) => format!("at {step}: {} ({})", hold.text, hold.code),
                None => format!("{} ({})", hold.text, hold.code),
            });
            if let Some(hint) = hold.hint {
                problem = problem.hint(hint);
            }
            Err(problem.hint(format!(
                "carry on with `quorate run resume {run}`, or go back with `quorate rollback {run}`"
            )))
        }
        Ending::Over(RunEnd::Aborted { by, reason }) => {
            Err(Problem::new(ABORTED, format!("run {run} was aborted by {by}")).because(reason))
        }
        Ending::Resting => Err(Problem::new(PAUSED, format!("run {run} is paused"))
            .hint(format!("carry on with `quorate run resume {run}`"))),
    }
}

/// Says something to a run from any terminal: a note, a pause, an approval.
pub fn say(setup: &Setup, run: &RunId, event: &RunEvent) -> Result<(), Problem> {
    header(setup, run)?;
    let mut journal = Journal::open(setup.store.clone(), run.clone(), None, Seq(0));
    journal.take_foreign()?;
    journal.append(Timestamp::now(), std::slice::from_ref(event))?;
    Ok(())
}

/// A run by its name, or the newest.
pub fn named(setup: &Setup, name: Option<&str>) -> Result<RunId, Problem> {
    match name {
        Some(name) => header(setup, &RunId::new(name)).map(|header| header.run),
        None => setup.store.runs()?.first().map(|header| header.run.clone()).ok_or_else(|| {
            Problem::new(NO_RUN, "there are no runs yet")
                .hint("begin one with `quorate upgrade CLUSTER --to RELEASE`")
        }),
    }
}

/// What is known of a run.
pub fn header(setup: &Setup, run: &RunId) -> Result<RunHeader, Problem> {
    setup.store.runs()?.into_iter().find(|header| header.run == *run).ok_or_else(|| {
        Problem::new(NO_RUN, format!("there is no run `{run}`")).hint("see `quorate run list`")
    })
}

/// Every step of a plan, in order.
pub fn steps(plan: &Plan) -> impl Iterator<Item = &Step> {
    plan.hops.iter().flat_map(|hop| &hop.waves).flat_map(|wave| &wave.steps)
}

/// The client whose view judges the run; none where nobody asks for it.
async fn watch(
    setup: &Setup,
    cluster: &Cluster,
    plan: &Plan,
    run: &RunId,
    generation: Generation,
    options: &CarryOptions,
) -> Result<Option<ClientWatch>, Problem> {
    // Where data go back in time, a client's ledger can only say what the plan has said: the losses were listed before.
    if options.no_probe || plan.kind.puts_data_back() {
        return Ok(None);
    }
    let before = setup.store.journal(run, Seq(0))?;
    let (clients, speaking) = (client::clients(cluster, plan), client::speaking(plan, &before));
    let remains = client::remains_file(setup, run, generation);
    ClientWatch::start(setup, &clients, speaking, Some(remains)).await.map(Some)
}

/// A cluster that is held: in the state folder, and on its hosts.
struct Held {
    lease: Lease,
    on_hosts: OnHosts,
}

async fn take_lease(
    setup: &Setup,
    cluster: &Cluster,
    plan: &Plan,
    run: &RunId,
    options: &CarryOptions,
) -> Result<Held, Problem> {
    let break_held = options.break_lease.is_some();
    let lease = setup.store.take_lease(
        &cluster.name,
        run,
        &holder(),
        Timestamp::now(),
        LEASE_TTL,
        break_held,
    )?;
    match OnHosts::take(setup, cluster, plan, run, break_held).await {
        Ok(on_hosts) => Ok(Held { lease, on_hosts }),
        Err(problem) => {
            setup.store.release_lease(&lease)?;
            Err(problem)
        }
    }
}

/// The world must still be what the plan was made from, as far as the plan builds on it.
fn not_stale(plan: &Plan, cluster: &Cluster, seen: &Observation) -> Result<(), Problem> {
    // Applications may have been declared, or changed, since.
    let unwanted = |hop| quorate_checker::unwanted(plan.kind, &cluster.dependants, hop);
    let mut differs: Vec<String> = plan.hops.iter().flat_map(unwanted).collect();
    // A node without a vote that has changed is for its own lane to see.
    let beside = beside(plan);
    for was in plan.observed.nodes.iter().filter(|node| !beside.contains(&node.name)) {
        let Some(is) = seen.nodes.iter().find(|node| node.name == was.name) else {
            differs.push(format!("{} is gone", was.name));
            continue;
        };
        if let (Reach::Unreachable(because), Reach::Reachable) = (&is.reach, &was.reach) {
            return Err(Problem::new(
                UNSEEN,
                format!("{} cannot be reached now: {because}", is.name),
            ));
        }
        if was.release != is.release {
            let text = |release: &Option<Release>| {
                release.as_ref().map_or("unknown".to_owned(), ToString::to_string)
            };
            differs.push(format!(
                "{} ran {}, it runs {} now",
                was.name,
                text(&was.release),
                text(&is.release)
            ));
        }
        if was.member_id != is.member_id {
            differs.push(format!("{} is another member than it was", was.name));
        }
        let files = |seen: &NodeObservation| -> Vec<_> {
            let files = seen.config_file.iter().chain(&seen.unit_files);
            files.map(|file| (file.path.clone(), file.sha256.clone())).collect()
        };
        if files(was) != files(is) {
            differs.push(format!("{} has another configuration file than it had", was.name));
        }
    }
    if differs.is_empty() {
        return Ok(());
    }
    let mut problem =
        Problem::new(STALE_PLAN, format!("plan {} is older than the cluster", plan.digest.short()))
            .hint("make it again: `quorate plan` starts from what is really there");
    problem.causes = differs;
    Err(problem)
}

fn approve_all(plan: &Plan, person: &UnboundedSender<RunEvent>) {
    let by = format!("{} (--yes)", holder().who);
    for step in steps(plan).filter(|step| step.needs_approval) {
        // The receiver lives as long as the run.
        let _ = person.send(RunEvent::Approved { step: step.id.clone(), by: by.clone() });
    }
}

fn note(lease: &Lease, text: String) -> RunEvent {
    RunEvent::Note { by: lease.holder.who.clone(), text }
}

/// Keeps how long steps took, for the estimates of the next plan.
fn keep_measured(
    store: &dyn Store,
    plan: &Plan,
    run: &RunId,
    now: Timestamp,
) -> Result<(), Problem> {
    for recorded in store.journal(run, Seq(0))? {
        if let RunEvent::Finished { step, outcome: Outcome::Succeeded { .. }, took } =
            recorded.event
            && let Some(step) = steps(plan).find(|own| own.id == step)
        {
            let acts = !matches!(step.action, Action::Look | Action::Confirm { .. });
            if acts || matches!(step.role, StepRole::Rejoin | StepRole::HopComplete) {
                store.save_measured(
                    plan.pack.as_str(),
                    quorate_planner::estimate::role_name(step.role),
                    took.as_secs_f64(),
                    now,
                )?;
            }
        }
    }
    Ok(())
}

/// A short id from the time: runs of one cluster begin at least a millisecond apart, the lease sees to that.
fn short_id(now: Timestamp) -> String {
    let text = now.strftime("%m%d-%H%M%S").to_string();
    format!("{text}-{:03}", now.subsec_millisecond().unsigned_abs())
}
