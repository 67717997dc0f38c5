//! The client of a run: whom it speaks to, and the account of its whole life, that of controllers that died included.

use crate::{
    drive::{Client, ClientNow},
    problem::Problem,
    setup::Setup,
    watch::{ClientWatch, completed, problem},
};
use async_trait::async_trait;
use quorate_model::{
    ClientFigures, Cluster, Generation, LockFigures, LookupFigures, NodeName, Plan, Recorded,
    Release, RunEvent, RunId, Seq,
};
use quorate_probe::Remains;
use quorate_report::words;
use quorate_store::Store;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Where remains of clients are kept, in the state folder.
const FOLDER: &str = "clients";

/// The client of a run, until it has given its account.
pub(super) struct ClientDesk {
    watch: Mutex<Option<ClientWatch>>,
    store: Arc<dyn Store>,
    run: RunId,
}

impl ClientDesk {
    pub(super) fn new(watch: Option<ClientWatch>, store: Arc<dyn Store>, run: RunId) -> Self {
        Self { watch: Mutex::new(watch), store, run }
    }

    fn open(&self) -> MutexGuard<'_, Option<ClientWatch>> {
        // Held for a line, never across a wait: whoever panicked left the client as it was.
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Client for ClientDesk {
    fn now(&self) -> ClientNow {
        self.open().as_ref().map(ClientWatch::now).unwrap_or_default()
    }
    async fn account(&self) -> Vec<RunEvent> {
        let watch = self.open().take();
        account(watch, &*self.store, &self.run).await
    }
}

/// The client's account, of the whole run: what an earlier controller's client saw is added. When it cannot be had, the
/// journal says so instead of saying nothing.
pub(super) async fn account(
    watch: Option<ClientWatch>,
    store: &dyn Store,
    run: &RunId,
) -> Vec<RunEvent> {
    let Some(watch) = watch else { return Vec::new() };
    let journal = store.journal(run, Seq(0)).unwrap_or_default();
    match watch.end().await {
        Ok(figures) => vec![RunEvent::ClientFigures { figures: joined(told(&journal), &figures) }],
        Err(problem) => vec![RunEvent::Note {
            by: "quorate".into(),
            text: format!("no client's account: {problem}"),
        }],
    }
}

/// What the journal says of the client so far.
fn told(journal: &[Recorded]) -> ClientFigures {
    let figures = journal.iter().rev().find_map(|recorded| match &recorded.event {
        RunEvent::ClientFigures { figures } => Some(figures.clone()),
        _ => None,
    });
    figures.unwrap_or_default()
}

/// Two stretches of one run: counts add up, the worst gap is the worse of the two.
fn joined(earlier: ClientFigures, later: &ClientFigures) -> ClientFigures {
    ClientFigures {
        writes_acked: earlier.writes_acked + later.writes_acked,
        writes_lost: earlier.writes_lost + later.writes_lost,
        requests_failed: earlier.requests_failed + later.requests_failed,
        reads_ok: earlier.reads_ok + later.reads_ok,
        reads_stale: earlier.reads_stale + later.reads_stale,
        watch_events: earlier.watch_events + later.watch_events,
        watch_missed: earlier.watch_missed + later.watch_missed,
        write_gap_max_ms: earlier.write_gap_max_ms.max(later.write_gap_max_ms),
        baseline_gap_max_ms: earlier.baseline_gap_max_ms.max(later.baseline_gap_max_ms),
        lock: match (earlier.lock, later.lock.clone()) {
            (Some(earlier), Some(later)) => Some(LockFigures {
                taken: earlier.taken + later.taken,
                broken: earlier.broken + later.broken,
                sessions_lost: earlier.sessions_lost + later.sessions_lost,
                wait_max_ms: earlier.wait_max_ms.max(later.wait_max_ms),
            }),
            (earlier, later) => later.or(earlier),
        },
        lookups: joined_lookups(earlier.lookups, &later.lookups),
    }
}

fn joined_lookups(mut all: Vec<LookupFigures>, later: &[LookupFigures]) -> Vec<LookupFigures> {
    for own in later {
        match all.iter_mut().find(|known| known.name == own.name) {
            Some(known) => {
                known.right += own.right;
                known.wrong += own.wrong;
                known.failed += own.failed;
                known.gap_max_ms = known.gap_max_ms.max(own.gap_max_ms);
            }
            None => all.push(own.clone()),
        }
    }
    all
}

/// Where this controller keeps what must be there if it dies.
pub(super) fn remains_file(setup: &Setup, run: &RunId, generation: Generation) -> PathBuf {
    setup.state_dir.join(FOLDER).join(format!("{run}.{}.json", generation.0))
}

/// The account of clients whose controllers died in this run: events for the journal, and how many acknowledged writes
/// are missing.
pub(super) async fn of_the_dead(
    setup: &Setup,
    cluster: &Cluster,
    plan: &Plan,
    run: &RunId,
    journal: &[Recorded],
) -> (Vec<RunEvent>, u64) {
    let (mut figures, mut events, mut lost) = (told(journal), Vec::new(), 0);
    for file in files(setup, run) {
        match settled(setup, &clients(cluster, plan), speaking(plan, journal), &file).await {
            Ok(None) => {}
            Ok(Some(one)) => {
                lost += one.writes_lost;
                figures = joined(figures, &one);
                events.push(note(format!(
                    "the controller before died with its client: of {} acknowledged writes up to its last full second {} are missing",
                    words::count(one.writes_acked),
                    one.writes_lost
                )));
                events.push(RunEvent::ClientFigures { figures: figures.clone() });
            }
            Err(problem) => events.push(note(format!(
                "no account of the client whose controller died, the next `run resume` tries again: {problem}"
            ))),
        }
    }
    (events, lost)
}

/// The same for runs of this cluster that died and were not taken up again: their clients' keys must not stay for ever.
pub(super) async fn of_other_runs(setup: &Setup, cluster: &Cluster, own: &RunId) -> Vec<String> {
    let mut said = Vec::new();
    let runs = setup.store.runs().unwrap_or_default();
    for header in runs.into_iter().filter(|run| run.cluster == cluster.name && run.run != *own) {
        if files(setup, &header.run).is_empty() {
            continue;
        }
        let (Ok(plan), Ok(journal)) =
            (setup.store.plan(header.plan.as_str()), setup.store.journal(&header.run, Seq(0)))
        else {
            continue;
        };
        let (events, _) = of_the_dead(setup, cluster, &plan, &header.run, &journal).await;
        said.extend(events.into_iter().filter_map(|event| match event {
            RunEvent::Note { text, .. } => Some(format!("of run {}: {text}", header.run)),
            _ => None,
        }));
    }
    said
}

fn note(text: String) -> RunEvent {
    RunEvent::Note { by: "quorate".into(), text }
}

/// Remains of this run's clients, in the same order every time.
fn files(setup: &Setup, run: &RunId) -> Vec<PathBuf> {
    let head = format!("{run}.");
    let own = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix(&head)
            .and_then(|rest| rest.strip_suffix(".json"))
            .is_some_and(|generation| generation.parse::<u64>().is_ok())
    };
    // Without the folder there is nothing; one that cannot be read is told by the first client that writes there.
    let found = std::fs::read_dir(setup.state_dir.join(FOLDER)).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = found.map(|entry| entry.path()).filter(own).collect();
    files.sort();
    files
}

async fn settled(
    setup: &Setup,
    cluster: &Cluster,
    speaking: &Release,
    file: &Path,
) -> Result<Option<ClientFigures>, Problem> {
    let unreadable = |error: std::io::Error| {
        Problem::new(crate::problem::FILE, format!("{} cannot be read", file.display()))
            .because(error.to_string())
    };
    let Some(remains) = Remains::read(file).map_err(unreadable)? else { return Ok(None) };
    let pack = setup.pack(cluster)?;
    let tunnels = setup.tunnels(cluster).await?;
    let settled = remains.settle(file, &pack, cluster, speaking, &tunnels).await;
    settled.map(Some).map_err(problem)
}

/// The cluster as clients have it: a member that is to be taken out because it is down, or that is on its way back, is not in
/// the list that they get.
pub(super) fn clients(cluster: &Cluster, plan: &Plan) -> Cluster {
    let well = |name: &NodeName| {
        plan.observed.nodes.iter().any(|seen| seen.name == *name && seen.is_healthy())
    };
    let mut clients = cluster.clone();
    if let Some(own) = plan.changed_member().filter(|own| !well(own)) {
        clients.nodes.retain(|node| node.name != *own);
    }
    clients
}

/// The lowest release that members run at this point of the run, which clients must speak to.
pub(super) fn speaking<'p>(plan: &'p Plan, journal: &[Recorded]) -> &'p Release {
    let crossed = journal.iter().rev().find_map(|recorded| match &recorded.event {
        RunEvent::Finished { step, .. } => completed(plan, step),
        _ => None,
    });
    let at_first = || {
        plan.observed
            .nodes
            .iter()
            .filter_map(|node| node.release.as_ref())
            .min()
            .unwrap_or(&plan.from)
    };
    crossed.unwrap_or_else(at_first)
}
