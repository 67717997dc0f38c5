//! What a client sees of a product with faults to order: nothing acknowledged may be lost without being named.
#![expect(clippy::unwrap_used, reason = "helpers of a test fail loudly, as the test itself does")]

mod shelf;

use quorate_probe::{ClientAccount, ClientEvent, ClientProbe, ProbeError, ProbeOptions};
use shelf::{LOCK, Mode, PACK, Shelf, cluster, pack};
use std::time::{Duration, Instant};

fn options() -> ProbeOptions {
    let tick = Duration::from_millis(2);
    ProbeOptions {
        write_every: tick,
        read_every: tick,
        try_limit: Duration::from_millis(60),
        request_limit: Duration::from_millis(300),
        read_back_limit: Duration::from_millis(500),
        registers: 8,
        ..ProbeOptions::new("1.0.1".parse().unwrap())
    }
}

fn start(shelf: &Shelf, options: ProbeOptions) -> ClientProbe {
    ClientProbe::start(pack(PACK, "shelf"), &cluster(&shelf.urls), options).unwrap()
}

/// Waits until something is seen, and fails when it takes longer than any machine should.
async fn until(what: &str, seen: impl Fn() -> bool) {
    let began = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(2));
    while !seen() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what} was never seen");
        tick.tick().await;
    }
}

async fn more_writes(probe: &ClientProbe, count: u64) {
    let before = probe.totals().0;
    until("another write", || probe.totals().0 >= before + count).await;
}

fn check(account: &ClientAccount, lost: bool) {
    let figures = &account.figures;
    assert!(figures.writes_acked > 0 && figures.reads_ok > 0, "{account:?}");
    assert_eq!(figures.writes_lost > 0, lost, "{account:?}");
    assert_eq!(figures.writes_lost > 0, !account.lost.is_empty());
}

#[tokio::test]
async fn a_cluster_without_faults_has_a_clean_account() {
    let shelf = Shelf::open(&[Mode::Serve; 3]);
    let probe = start(&shelf, options());
    let baseline = probe.baseline(Duration::from_millis(200)).await;
    assert!(baseline.acked > 0 && baseline.gap_max > Duration::ZERO);
    let account = probe.finish().await.unwrap();
    check(&account, false);
    let figures = account.figures;
    assert_eq!((figures.requests_failed, figures.reads_stale, figures.watch_missed), (0, 0, 0));
    assert!(figures.watch_events >= figures.writes_acked);
    assert!(figures.write_gap_max_ms >= figures.baseline_gap_max_ms);
    assert_eq!(account.read_back, ["s0", "s1", "s2"]);
    assert!(shelf.content().values.is_empty(), "the probe removes its keys");
}

#[tokio::test]
async fn acknowledged_writes_that_are_not_there_are_named() {
    let shelf = Shelf::open(&[Mode::Serve; 3]);
    let probe = start(&shelf, options());
    more_writes(&probe, 20).await;
    shelf.content().forgets = true;
    more_writes(&probe, 20).await;
    let account = probe.finish().await.unwrap();
    check(&account, true);
    assert!(account.figures.watch_missed > 0 && account.figures.reads_stale > 0, "{account:?}");
}

#[tokio::test]
async fn a_member_that_refuses_or_is_silent_costs_no_request() {
    let mut shelf = Shelf::open(&[Mode::Serve, Mode::Silent]);
    // A port that was free a moment ago: nothing listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    shelf.urls.push(format!("http://{free}"));
    let patient = ProbeOptions { request_limit: Duration::from_secs(10), ..options() };
    let probe = start(&shelf, patient);
    more_writes(&probe, 100).await;
    let account = probe.finish().await.unwrap();
    check(&account, false);
    assert_eq!(account.figures.requests_failed, 0);
    assert_eq!(account.read_back, ["s0"]);
    assert_eq!(account.notes.len(), 2, "{:?}", account.notes);
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_neither_lost_nor_failed() {
    let shelf = Shelf::open(&[Mode::Serve, Mode::HangUp]);
    let patient = ProbeOptions { request_limit: Duration::from_secs(10), ..options() };
    let probe = start(&shelf, patient);
    more_writes(&probe, 50).await;
    shelf.set(1, Mode::Serve);
    more_writes(&probe, 10).await;
    let account = probe.finish().await.unwrap();
    check(&account, false);
    assert_eq!((account.figures.requests_failed, account.figures.watch_missed), (0, 0));
    assert!(account.figures.watch_events > account.figures.writes_acked, "some happened twice");
}

#[tokio::test]
async fn an_outage_is_a_gap_with_failed_requests() {
    let shelf = Shelf::open(&[Mode::Serve; 2]);
    let probe = start(&shelf, options());
    let mut events = probe.events();
    more_writes(&probe, 10).await;
    probe.under_way(Some("h1.s0.stop".into()));
    (0..2).for_each(|index| shelf.set(index, Mode::Broken));
    until("a failed request", || probe.totals().1 > 0).await;
    assert!(probe.gap_now() >= Duration::from_millis(100));
    (0..2).for_each(|index| shelf.set(index, Mode::Serve));
    more_writes(&probe, 10).await;
    let mut gaps = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let ClientEvent::Gap(gap) = event {
            gaps.push(gap);
        }
    }
    assert!(
        gaps.iter().any(|gap| gap.gap_ms >= 100 && gap.step == Some("h1.s0.stop".into())),
        "{gaps:?}"
    );
    let account = probe.finish().await.unwrap();
    check(&account, false);
    assert!(account.figures.write_gap_max_ms >= 100 && account.figures.requests_failed > 0);
}

#[tokio::test]
async fn a_watch_that_is_cut_goes_on_where_it_was() {
    let shelf = Shelf::open(&[Mode::Serve; 2]);
    let probe = start(&shelf, options());
    for _ in 0..3 {
        more_writes(&probe, 10).await;
        shelf.cut_watches();
    }
    let account = probe.finish().await.unwrap();
    check(&account, false);
    assert_eq!(account.figures.watch_missed, 0);
    let resumed = |line: &String| line.starts_with("GET /watch/") && line != "GET /watch/0";
    assert!(shelf.content().asked.iter().any(resumed));
}

#[tokio::test]
async fn endpoints_that_refuse_a_watch_say_nothing_of_its_revision() {
    let mut shelf = Shelf::open(&[Mode::Serve]);
    // Of a wave that stopped: ports that were free a moment ago, and nothing listens there.
    let stopped: Vec<_> =
        (0..9).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    shelf.urls.extend(stopped.iter().map(|free| format!("http://{}", free.local_addr().unwrap())));
    drop(stopped);
    let probe = start(&shelf, options());
    for _ in 0..4 {
        more_writes(&probe, 20).await;
        shelf.cut_watches();
    }
    more_writes(&probe, 20).await;
    let account = probe.finish().await.unwrap();
    check(&account, false);
    assert_eq!(account.figures.watch_missed, 0, "{account:?}");
}

#[tokio::test]
async fn a_lock_that_is_given_back_late_was_not_broken() {
    let shelf = Shelf::open(&[Mode::Serve; 2]);
    let text =
        PACK.replace("    - releases: 4.0.x", &format!("{}    - releases: 4.0.x", &LOCK[1..]));
    let probe = ClientProbe::start(pack(&text, "shelf"), &cluster(&shelf.urls), options()).unwrap();
    shelf.content().late = 12;
    until("every late one", || shelf.content().late == 0).await;
    let begun = shelf.content().asked.len();
    until("more turns", || {
        let asked = &shelf.content().asked[begun..];
        asked.iter().filter(|line| line.contains("/lock/take/")).count() > 60
    })
    .await;
    let lock = probe.finish().await.unwrap().figures.lock.unwrap();
    assert!(lock.taken > 10, "{lock:?}");
    assert_eq!((lock.broken, lock.sessions_lost), (0, 0), "{lock:?}");
}

#[tokio::test]
async fn nothing_is_proved_when_nothing_can_be_read_back() {
    let shelf = Shelf::open(&[Mode::Serve]);
    let probe = start(&shelf, options());
    more_writes(&probe, 5).await;
    shelf.set(0, Mode::Broken);
    let error = probe.finish().await.unwrap_err();
    let ProbeError::NotReadBack { account } = &error else { panic!("{error}") };
    assert!(account.figures.writes_acked >= 5 && account.read_back.is_empty());
    assert!(error.hint().contains("compare"));
}

#[tokio::test]
async fn a_new_release_is_spoken_to_in_its_own_words() {
    let shelf = Shelf::open(&[Mode::Serve]);
    let probe = start(&shelf, options());
    more_writes(&probe, 2).await;
    probe.set_release(&"2.0.3".parse().unwrap()).unwrap();
    until("the new word", || {
        shelf.content().asked.iter().any(|line| line.starts_with("PUT /two/"))
    })
    .await;
    assert!(matches!(probe.set_release(&"3.0.0".parse().unwrap()), Err(ProbeError::NoWay { .. })));
    check(&probe.finish().await.unwrap(), false);
}

#[test]
fn what_cannot_begin_says_why() {
    let urls = ["http://127.0.0.1:1".to_owned()];
    let error = |text: &str, release: &str, urls: &[String]| {
        let options = ProbeOptions::new(release.parse().unwrap());
        ClientProbe::start(pack(text, "shelf"), &cluster(urls), options).err().unwrap()
    };
    assert!(matches!(error(PACK, "3.0.0", &urls), ProbeError::NoWay { .. }));
    assert!(matches!(error(PACK, "4.0.1", &urls), ProbeError::NotHttp { .. }));
    assert!(matches!(error(PACK, "1.0.0", &[]), ProbeError::NoEndpoint { .. }));
    let (no_view, _) = PACK.split_once("client:\n").unwrap();
    assert!(matches!(error(no_view, "1.0.0", &urls), ProbeError::NoView { .. }));
    let mut unreadable = cluster(&urls);
    let tls = quorate_model::TlsSpec { ca: "/nowhere/ca.pem".into(), cert: None, key: None };
    unreadable.tls = Some(tls);
    let options = ProbeOptions::new("1.0.0".parse().unwrap());
    let error = ClientProbe::start(pack(PACK, "shelf"), &unreadable, options).err().unwrap();
    assert!(matches!(error, ProbeError::Tls { .. }) && error.hint().contains("/nowhere/ca.pem"));
}
