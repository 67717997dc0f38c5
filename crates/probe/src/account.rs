//! The account at the end: everything is read back through every endpoint, and the probe's keys are removed.

use crate::{
    calls::{Way, Words},
    endpoints::Endpoint,
    ledger::LostWrite,
    shared::Shared,
};
use futures::{StreamExt, stream};
use quorate_model::ClientFigures;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// The last events may take this long to come: a watch that fails at the worst moment is silent for a second and needs
/// another to be told the rest.
const EVENTS_LIMIT: Duration = Duration::from_secs(3);

/// Endpoints that are read back at the same time: three hundred that are silent for five seconds each fit into the account's limit.
const READ_BACK_AT_ONCE: usize = 16;

/// Between two tries.
const RETRY: Duration = Duration::from_millis(100);

/// What a client can say of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientAccount {
    /// The figures.
    pub figures: ClientFigures,
    /// Acknowledged writes that are not there, with what was found instead and where.
    pub lost: Vec<LostWrite>,
    /// Endpoints through which everything was read back.
    pub read_back: Vec<String>,
    /// Acknowledged values that were overwritten before a read had shown them: the watch alone vouches for these.
    pub overwritten_unread: u64,
    /// What went wrong on the way, for people.
    pub notes: Vec<String>,
}

/// Waits for the events that are still due.
pub(crate) async fn await_events(shared: &Shared) {
    let deadline = Instant::now() + EVENTS_LIMIT;
    while shared.book().sightings.waiting() > 0 && Instant::now() < deadline {
        sleep(Duration::from_millis(20)).await;
    }
}

/// Reads everything back through every endpoint and compares. Needs a probe whose writers have stopped.
pub(crate) async fn settle(shared: &Arc<Shared>) -> ClientAccount {
    let endpoints = shared.endpoints().all().to_vec();
    let mut account = ClientAccount::default();
    let looks = endpoints
        .iter()
        .map(|Endpoint { name, url, dns: _ }| async move { (name, list(shared, url).await) });
    let mut looks = stream::iter(looks).buffered(READ_BACK_AT_ONCE);
    while let Some((name, shown)) = looks.next().await {
        match shown {
            Ok(pairs) => {
                shared.book().ledger.compare(&pairs, name);
                account.read_back.push(name.clone());
            }
            Err(because) => account.notes.push(format!("{name} did not show the keys: {because}")),
        }
    }
    if account.read_back.is_empty() {
        // What nobody could compare is left for whoever comes later.
        account.notes.push(format!("the keys under {} are left as they are", shared.prefix));
    } else if let Err(because) = remove(shared).await {
        account.notes.push(format!("the keys under {} are still there: {because}", shared.prefix));
    }
    let now = shared.now();
    let book = shared.book();
    let (_, requests_failed) = book.pulse.totals();
    let (_, watch_missed) = book.sightings.totals();
    account.lost = book.ledger.lost().to_vec();
    // A write that is missing at two endpoints is one write.
    let distinct: BTreeSet<u64> = account.lost.iter().map(|lost| lost.acked).collect();
    account.overwritten_unread = book.ledger.overwritten_unread();
    if let (Some(complaint), true) = (&book.last_complaint, requests_failed > 0) {
        account.notes.push(format!("the last complaint of an endpoint: {complaint}"));
    }
    account.figures = ClientFigures {
        writes_lost: u64::try_from(distinct.len()).unwrap_or(u64::MAX),
        watch_missed,
        ..book.figures(now)
    };
    account
}

async fn list(shared: &Shared, url: &str) -> Result<BTreeMap<String, String>, String> {
    list_at(&shared.way(), &shared.prefix, url, shared.options.read_back_limit).await
}

/// Everything under a prefix, as one endpoint shows it within the limit.
pub(crate) async fn list_at(
    way: &Way,
    prefix: &str,
    url: &str,
    limit: Duration,
) -> Result<BTreeMap<String, String>, String> {
    let deadline = Instant::now() + limit;
    loop {
        let words = Words { endpoint: url, prefix, ..Words::default() };
        let left = deadline.saturating_duration_since(Instant::now());
        match way.list(words, left).await {
            Ok(pairs) => return Ok(pairs),
            Err(because) if Instant::now() + RETRY >= deadline => return Err(because),
            Err(_) => sleep(RETRY).await,
        }
    }
}

/// Removes what was kept for the case of a death, and then the keys.
pub(crate) async fn remove(shared: &Shared) -> Result<(), String> {
    if let Some(keeper) = &shared.keeper {
        keeper.forget();
    }
    clean(shared).await
}

/// Removes the probe's keys, through whichever endpoint does it.
async fn clean(shared: &Shared) -> Result<(), String> {
    let mut said = "there is no endpoint".to_owned();
    let count = shared.endpoints().all().len();
    let mut last = None;
    for _ in 0..count {
        let Some((index, url)) = shared.choose(last).await else { break };
        last = Some(index);
        let words = Words { endpoint: &url, prefix: &shared.prefix, ..Words::default() };
        match shared.way().clean(words, shared.options.read_back_limit).await {
            Ok(()) => return Ok(()),
            Err(because) => said = because,
        }
    }
    Err(said)
}
