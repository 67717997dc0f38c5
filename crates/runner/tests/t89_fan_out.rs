//! T89: a command on two hundred hosts over SSH: waves, order, failures, limits, hosts that are away.
#![expect(clippy::unwrap_used, reason = "helpers of a test fail loudly, as the test itself does")]

#[path = "../../transport/tests/ssh/sshd.rs"]
#[allow(dead_code, reason = "not every test needs all that it can")]
mod sshd;

use quorate_model::{HostKeys, Share};
use quorate_runner::fanout::{AT_ONCE, Came, HostResult, Pace, Target, Work, alike, run};
use quorate_transport::{Command, SshHosts};
use sshd::{Sshd, plain};
use std::{fmt::Write, time::Duration};

/// As many hosts as wanted, each a connection of its own to one sshd, which takes all of them at once.
fn bed(count: usize) -> (Sshd, Vec<Target>) {
    // A home of its own: the start-up file of whoever runs the test would be read hundreds of times.
    let sshd = Sshd::with("MaxStartups 1000\nSetEnv HOME=DIR\n");
    let mut config = std::fs::read_to_string(sshd.at("config")).unwrap();
    // What holds for every host stands once: the first entry is `box`.
    config = config.replace("Host box", "Host h*");
    write!(config, "Host gone\n HostName 127.0.0.1\n Port 1\n").unwrap();
    std::fs::write(sshd.at("config"), config).unwrap();
    let hosts = sshd.hosts(HostKeys::Strict);
    let targets = (1..=count).map(|index| target(&hosts, &format!("h{index}"))).collect();
    (sshd, targets)
}

fn target(hosts: &SshHosts, name: &str) -> Target {
    Target {
        name: name.to_owned(),
        nodes: vec![format!("many/{name}")],
        groups: vec!["many/server".to_owned()],
        transport: hosts.host(&plain(name)),
    }
}

fn work(line: &str) -> Work {
    Work {
        command: Command::new(["/bin/sh", "-c", line]),
        on_failure: None,
        limit: Duration::from_secs(20),
        retries: 0,
        pause: Duration::from_millis(10),
    }
}

const PACE: Pace = Pace { at_once: AT_ONCE, share: None, keep_going: false };

async fn all(targets: &[Target], work: &Work, pace: &Pace) -> (Vec<HostResult>, Vec<String>) {
    let mut order = Vec::new();
    let told = |result: &HostResult| order.push(result.name.clone());
    let results = run(targets, work, pace, told, std::future::pending()).await;
    (results, order)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t89_two_hundred_hosts_go_in_waves_of_a_tenth() {
    let (sshd, targets) = bed(200);
    let file = sshd.at("began-and-ended");
    let line = format!("echo + >> {0}; sleep 0.05; echo - >> {0}; echo same", file.display());
    let share = Some(Share::Percent(10));
    let (results, order) = all(&targets, &work(&line), &Pace { share, ..PACE }).await;
    let kinds = alike(&results);
    assert_eq!(kinds.len(), 1, "{:?}", kinds.iter().map(|kind| kind.came).collect::<Vec<_>>());
    assert_eq!((kinds[0].hosts.len(), order.len()), (200, 200));
    assert_eq!(kinds[0].came.printed().unwrap().stdout, "same\n");
    let (mut now, mut most) = (0, 0);
    for line in std::fs::read_to_string(file).unwrap().lines() {
        now += if line == "+" { 1 } else { -1 };
        most = most.max(now);
    }
    assert!(now == 0 && (2..=20).contains(&most), "{most} at the same time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t89_order_failures_limits_and_hosts_that_are_away() {
    let (sshd, targets) = bed(6);
    let file = sshd.at("asked");
    let third = format!("echo x >> {0}; [ $(wc -l < {0}) -ne 3 ]", file.display());
    let serial = Pace { at_once: 1, ..PACE };
    let mend = Work { on_failure: Some(Command::new(["echo", "mended"])), ..work(&third) };
    let (results, order) = all(&targets, &mend, &serial).await;
    assert_eq!(order, ["h1", "h2", "h3"], "in declared order, up to the failure");
    let words: Vec<&str> = results.iter().map(|result| result.came.word()).collect();
    assert_eq!(words, ["ended", "ended", "ended", "not-begun", "not-begun", "not-begun"]);
    assert_eq!(results[2].came.printed().unwrap().status, Some(1));
    let mended = results[2].on_failure.as_ref().and_then(Came::printed).unwrap();
    assert_eq!(mended.stdout, "mended\n");
    assert!(results[1].on_failure.is_none());

    let (results, order) =
        all(&targets, &work("exit 7"), &Pace { keep_going: true, ..serial }).await;
    assert_eq!((order.len(), alike(&results).len()), (6, 1), "told to go on, it goes on");

    let mut some = targets[..2].to_vec();
    some.insert(1, target(&sshd.hosts(HostKeys::Strict), "gone"));
    let limit = Duration::from_millis(800);
    let hang = Work { limit, retries: 2, ..work("[ -e /proc/self ] && sleep 60") };
    let (results, _) = all(&some, &hang, &Pace { keep_going: true, ..PACE }).await;
    let words: Vec<&str> = results.iter().map(|result| result.came.word()).collect();
    assert_eq!(words, ["unknown", "not-reached", "unknown"]);
    let attempts: Vec<u32> = results.iter().map(|result| result.attempts).collect();
    assert_eq!(attempts, [1, 3, 1], "what may have begun is not given again");
    assert!(results[1].came.because().unwrap().contains("nobody listens there"));
    assert!(results[0].came.because().unwrap().contains("did not end within 800ms"));
}
