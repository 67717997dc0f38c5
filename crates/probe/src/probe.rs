//! The handle of a probe: starts its thread, measures the baseline, answers gates, and ends it with the account.

use crate::{
    account::{self, ClientAccount},
    calls::{Way, speaks_http, through},
    endpoints::{Endpoint, Endpoints},
    locker, lookups,
    options::{ProbeOptions, Tunnels},
    reader,
    shared::Shared,
    watcher, writer,
};
use quorate_model::{ClientGap, ClientSample, Cluster, Node, Release, StepId};
use quorate_packs::{ClientView, Pack};
use quorate_transport::http::TlsError;
use std::{
    net::SocketAddr,
    sync::Arc,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::{broadcast, oneshot, watch},
    task::JoinSet,
    time::{Instant, interval_at, sleep, timeout},
};

/// Events that a slow listener may be behind: a quarter of an hour of seconds.
const EVENTS_KEPT: usize = 1024;

/// The first watch may take this long to stand before writes begin without it: a second try at another endpoint fits.
const WATCH_LIMIT: Duration = Duration::from_secs(2);

/// The account may take this long: the last requests, the last events and five seconds for each endpoint.
const ACCOUNT_LIMIT: Duration = Duration::from_secs(120);

/// What a probe tells while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// A second is over.
    Sample(ClientSample),
    /// A gap is over that is worth naming: longer than the baseline's worst.
    Gap(ClientGap),
}

/// What was measured before anything was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Baseline {
    /// The longest gap.
    pub gap_max: Duration,
    /// Median latency of writes.
    pub p50: Duration,
    /// Worst latency of writes.
    pub max: Duration,
    /// Writes acknowledged.
    pub acked: u64,
    /// How long was measured.
    pub measured: Duration,
}

/// Why a probe could not begin, or could not prove its account.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The pack has no client's view.
    #[error("pack {pack} does not say how clients use its product")]
    NoView { pack: String },
    /// Not on this release.
    #[error("pack {pack} does not say how clients use release {release}")]
    NoWay { pack: String, release: Release },
    /// The pack asks for something else than HTTP.
    #[error("pack {pack} lets clients of {release} do something else than HTTP requests")]
    NotHttp { pack: String, release: Release },
    /// No node has the endpoint.
    #[error("no node of cluster {cluster} has an endpoint `{endpoint}`")]
    NoEndpoint { cluster: String, endpoint: String },
    /// No client could be made.
    #[error("cannot speak to cluster {cluster}")]
    Tls {
        cluster: String,
        #[source]
        cause: TlsError,
    },
    /// Its thread could not be made, or ended early.
    #[error("the probe does not run: {because}")]
    Thread { because: String },
    /// No endpoint showed the keys at the end, so that nothing is proved.
    #[error(
        "the acknowledged writes could not be read back through any endpoint: nothing is proved"
    )]
    NotReadBack { account: Box<ClientAccount> },
}

impl ProbeError {
    /// What next.
    pub fn hint(&self) -> String {
        match self {
            Self::NoView { .. } | Self::NoWay { .. } | Self::NotHttp { .. } => {
                "run without the client's view, or add the `client` part to the pack".into()
            }
            Self::NoEndpoint { endpoint, .. } => {
                format!("add `{endpoint}` to the endpoints of each node in the fleet file")
            }
            Self::Tls { cause, .. } => cause.hint(),
            Self::Thread { .. } => "the machine may be out of memory or threads".into(),
            Self::NotReadBack { .. } => {
                "bring the cluster back, then compare by hand: the keys are still there".into()
            }
        }
    }
}

/// A running probe. Dropping it ends it without an account.
pub struct ClientProbe {
    pack: Arc<Pack>,
    view: ClientView,
    cluster: Cluster,
    shared: Arc<Shared>,
    events: broadcast::Sender<ClientEvent>,
    finish: Option<oneshot::Sender<oneshot::Sender<ClientAccount>>>,
}

impl ClientProbe {
    /// Starts to write, read and watch.
    pub fn start(
        pack: Arc<Pack>,
        cluster: &Cluster,
        options: ProbeOptions,
    ) -> Result<Self, ProbeError> {
        let (view, way) = way_of(&pack, cluster, &options.release, &options.tunnels)?;
        let all = endpoints_of(cluster, &view, &options.tunnels)?;
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let prefix = format!("{}{}/", view.key_prefix, unique());
        let shared = Shared::new(options, prefix, way, Endpoints::new(all), events.clone());
        let shared = Arc::new(shared);
        shared.book().lookups.declare(declared(cluster));
        let (finish, asked) = oneshot::channel();
        spawn(shared.clone(), asked)?;
        Ok(Self { pack, view, cluster: cluster.clone(), shared, events, finish: Some(finish) })
    }

    /// Seconds and gaps as they come.
    pub fn events(&self) -> broadcast::Receiver<ClientEvent> {
        self.events.subscribe()
    }

    /// Measures how restless the cluster and the machine are with nothing going on. Gaps are named only above this.
    pub async fn baseline(&self, measured: Duration) -> Baseline {
        // The first second belongs to connections being made and the first leader being found.
        let warm = Instant::now() + WATCH_LIMIT;
        while self.shared.book().pulse.totals().0 == 0 && Instant::now() < warm {
            sleep(Duration::from_millis(10)).await;
        }
        self.shared.book().pulse.begin_stretch();
        sleep(measured).await;
        let now = self.shared.now();
        let mut book = self.shared.book();
        let stretch = book.pulse.end_stretch(now);
        book.baseline_gap = stretch.gap_max;
        Baseline {
            gap_max: stretch.gap_max,
            p50: stretch.p50,
            max: stretch.max,
            acked: stretch.acked,
            measured,
        }
    }

    /// Time since the last acknowledged write, for gates.
    pub fn gap_now(&self) -> Duration {
        self.shared.book().pulse.gap_now(self.shared.now())
    }

    /// The longest gap so far, an open one included.
    pub fn gap_max(&self) -> Duration {
        self.shared.book().pulse.gap_max(self.shared.now())
    }

    /// Writes acknowledged and requests failed so far.
    pub fn totals(&self) -> (u64, u64) {
        self.shared.book().pulse.totals()
    }

    /// Linearizable reads that did not show what had been acknowledged before.
    pub fn reads_stale(&self) -> u64 {
        self.shared.book().reads_stale
    }

    /// Times that the lock was seen not to be exclusive.
    pub fn locks_broken(&self) -> u64 {
        self.shared.book().locks.broken()
    }

    /// Names the step under way, so that gaps are told with it.
    pub fn under_way(&self, step: Option<StepId>) {
        self.shared.book().step = step;
    }

    /// Tells the lowest release that members run now: it chooses how to speak to them.
    pub fn set_release(&self, release: &Release) -> Result<(), ProbeError> {
        let tunnels = &self.shared.options.tunnels;
        let way = Way::new(&self.pack, &self.view, &self.cluster, release, tunnels);
        let way = way.ok_or_else(|| ProbeError::NoWay {
            pack: self.pack.pack.to_string(),
            release: release.clone(),
        })?;
        let cluster = self.cluster.name.to_string();
        self.shared.set_way(way.map_err(|cause| ProbeError::Tls { cluster, cause })?);
        Ok(())
    }

    /// Stops writing, reads everything back through every endpoint, removes the keys, and gives the account.
    pub async fn finish(mut self) -> Result<ClientAccount, ProbeError> {
        let gone = || ProbeError::Thread { because: "its thread ended early".into() };
        let (give, account) = oneshot::channel();
        let asked = self.finish.take().ok_or_else(gone)?;
        asked.send(give).map_err(|_| gone())?;
        let late =
            |_| ProbeError::Thread { because: format!("no account within {ACCOUNT_LIMIT:?}") };
        let account = timeout(ACCOUNT_LIMIT, account).await.map_err(late)?.map_err(|_| gone())?;
        if account.read_back.is_empty() {
            return Err(ProbeError::NotReadBack { account: Box::new(account) });
        }
        Ok(account)
    }
}

/// How to speak to members of a release.
pub(crate) fn way_of(
    pack: &Arc<Pack>,
    cluster: &Cluster,
    release: &Release,
    tunnels: &Tunnels,
) -> Result<(ClientView, Way), ProbeError> {
    let name = pack.pack.to_string();
    let view = pack.client.clone().ok_or_else(|| ProbeError::NoView { pack: name.clone() })?;
    let release = release.clone();
    let chosen = view.ways.iter().find(|way| way.releases.contains(&release));
    if chosen.is_some_and(|way| !speaks_http(way)) {
        return Err(ProbeError::NotHttp { pack: name, release });
    }
    let way = Way::new(pack, &view, cluster, &release, tunnels);
    let way = way.ok_or(ProbeError::NoWay { pack: name, release })?;
    let way = way.map_err(|cause| ProbeError::Tls { cluster: cluster.name.to_string(), cause })?;
    Ok((view, way))
}

/// The endpoints that clients use.
pub(crate) fn endpoints_of(
    cluster: &Cluster,
    view: &ClientView,
    tunnels: &Tunnels,
) -> Result<Vec<Endpoint>, ProbeError> {
    let one = |node| endpoint(node, view, tunnels);
    let all: Vec<Endpoint> = cluster.nodes.iter().filter_map(one).collect();
    if all.is_empty() {
        let (cluster, endpoint) = (cluster.name.to_string(), view.endpoint.clone());
        return Err(ProbeError::NoEndpoint { cluster, endpoint });
    }
    Ok(all)
}

fn endpoint(node: &Node, view: &ClientView, tunnels: &Tunnels) -> Option<Endpoint> {
    let url = node.endpoints.get(&view.endpoint)?.trim_end_matches('/');
    let (url, dns) = match tunnels.contains_key(&node.name) {
        // A tunnel carries no datagrams.
        true => (through(&node.name, url), None),
        false => (url.to_owned(), dns_of(node, view)),
    };
    Some(Endpoint { name: node.name.to_string(), url, dns })
}

/// Where a node answers over DNS: an address, for whoever asks for names does not know any yet.
fn dns_of(node: &Node, view: &ClientView) -> Option<SocketAddr> {
    let questions = view.ways.iter().flat_map(|way| &way.lookups);
    let endpoint = &questions.filter_map(|lookup| lookup.dns.as_ref()).next()?.endpoint;
    let text = node.endpoints.get(endpoint)?;
    let text = text.split_once("://").map_or(text.as_str(), |(_, rest)| rest);
    text.trim_end_matches('/').parse().ok()
}

/// The addresses of the declared nodes, as answers to lookups name them.
fn declared(cluster: &Cluster) -> impl Iterator<Item = String> {
    let urls = cluster.nodes.iter().flat_map(|node| node.endpoints.values());
    urls.filter_map(|url| {
        let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        let host = rest.split('/').next()?.rsplit_once(':').map_or(rest, |(host, _)| host);
        Some(host.trim_matches(['[', ']']).to_owned())
    })
}

/// Two probes on one cluster must not share keys: the time and the process tell them apart.
fn unique() -> String {
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map(|since| since.as_nanos())
        .unwrap_or_default();
    format!("{:x}-{:x}", nanos, std::process::id())
}

/// Gives the probe a thread and a runtime of its own.
fn spawn(
    shared: Arc<Shared>,
    asked: oneshot::Receiver<oneshot::Sender<ClientAccount>>,
) -> Result<(), ProbeError> {
    let fail = |error: std::io::Error| ProbeError::Thread { because: error.to_string() };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(fail)?;
    let body = move || runtime.block_on(live(shared, asked));
    thread::Builder::new().name("client-probe".into()).spawn(body).map_err(fail)?;
    Ok(())
}

/// The life of a probe: watch first, then write and read, until somebody asks for the account or lets go.
async fn live(shared: Arc<Shared>, asked: oneshot::Receiver<oneshot::Sender<ClientAccount>>) {
    let (stop_load, load) = watch::channel(false);
    let (stop_watch, watching) = watch::channel(false);
    let watcher = shared.way().can_watch().then(|| {
        let (stands, mut standing) = watch::channel(false);
        let task = tokio::spawn(watcher::run(shared.clone(), watching, stands));
        (task, async move {
            let _ = timeout(WATCH_LIMIT, standing.wait_for(|stands| *stands)).await;
        })
    });
    let watcher = match watcher {
        Some((task, standing)) => {
            standing.await;
            Some(task)
        }
        None => None,
    };
    let now = shared.now();
    shared.book().pulse.begin(now);
    let writer = tokio::spawn(writer::run(shared.clone(), load.clone()));
    let reader = tokio::spawn(reader::run(shared.clone(), load.clone()));
    let others = beside(&shared, &load);
    let seconds = tokio::spawn(tell_seconds(shared.clone()));
    let give = asked.await.ok();
    // Time from here on is nobody's gap.
    let now = shared.now();
    {
        let mut book = shared.book();
        book.pulse.close(now);
        book.locks.close(now);
        book.lookups.close(now);
    }
    // The receivers live in the tasks; a task that is gone needs no word.
    let _ = stop_load.send(true);
    let _ = (writer.await, reader.await, others.await);
    seconds.abort();
    if give.is_some() {
        account::await_events(&shared).await;
    }
    let _ = stop_watch.send(true);
    if let Some(watcher) = watcher {
        let _ = watcher.await;
    }
    match give {
        Some(give) => {
            // Whoever asked may have gone away meanwhile.
            let _ = give.send(account::settle(&shared).await);
        }
        None => {
            if let Err(because) = account::remove(&shared).await {
                tracing::warn!(prefix = shared.prefix, because, "the probe's keys are still there");
            }
        }
    }
}

/// Whoever locks and looks up beside the writes, where the pack says how.
fn beside(shared: &Arc<Shared>, load: &watch::Receiver<bool>) -> impl Future<Output = ()> + use<> {
    let way = shared.way();
    let mut tasks = JoinSet::new();
    if way.lock().is_some() {
        let now = shared.now();
        shared.book().locks.begin(now);
        for client in 0..locker::CLIENTS {
            tasks.spawn(locker::run(shared.clone(), client, load.clone()));
        }
    }
    for lookup in way.lookups() {
        let can = lookup.dns.is_none() || shared.endpoints().all().iter().any(|e| e.dns.is_some());
        if can {
            tasks.spawn(lookups::run(shared.clone(), lookup.name.clone(), load.clone()));
        }
    }
    async move { while tasks.join_next().await.is_some() {} }
}

async fn tell_seconds(shared: Arc<Shared>) {
    let second = Duration::from_secs(1);
    let mut tick = interval_at(Instant::now() + second, second);
    loop {
        tick.tick().await;
        shared.tell_second();
        shared.keep_remains();
    }
}
