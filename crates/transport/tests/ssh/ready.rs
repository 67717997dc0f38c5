//! The session that stands ready for the next command of a host that is asked a lot.

use crate::sshd::Sshd;
use quorate_transport::{Answer, Command, Transport};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(20);

/// A host whose sessions can be told from those of other tests.
fn marked() -> (Sshd, String) {
    let mark = format!("Q_READY={}-{}", std::process::id(), rand_word());
    (Sshd::with(&format!("SetEnv {mark}\n")), mark)
}

fn rand_word() -> String {
    tempfile::tempdir().unwrap().path().file_name().unwrap().to_string_lossy().replace('.', "")
}

/// The process of the command, which is that of the session's shell.
async fn pid(host: &dyn Transport) -> u32 {
    match host.run(&Command::new(["sh", "-c", "echo $$"]), LIMIT).await {
        Answer::Done(output) => output.text().trim().parse().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// The shells that wait for a command.
fn waiting(mark: &str) -> Vec<u32> {
    let has = |pid: u32, file: &str, what: &str| {
        let content = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        content.windows(what.len()).any(|window| window == what.as_bytes())
    };
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| has(*pid, "environ", mark) && has(*pid, "cmdline", "-begin")).collect()
}

async fn one_waits(mark: &str) -> u32 {
    let began = Instant::now();
    loop {
        if let [pid] = waiting(mark)[..] {
            return pid;
        }
        assert!(began.elapsed() < LIMIT, "nobody waits, or several: {:?}", waiting(mark));
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_asks_a_lot_finds_a_session_that_stands() {
    let (sshd, mark) = marked();
    let host = sshd.host("box");
    let mut asked = Vec::new();
    for _ in 0..4 {
        asked.push(pid(host.as_ref()).await);
    }
    for _ in 0..3 {
        let ready = one_waits(&mark).await;
        assert!(!asked.contains(&ready), "a command of its own each");
        assert_eq!(pid(host.as_ref()).await, ready);
        asked.push(ready);
    }
    one_waits(&mark).await;
    let sessions = sshd.log().matches("Starting session: command").count();
    assert_eq!(sessions, asked.len() + 1, "one more than commands, and none for the first three");
}

#[tokio::test]
async fn a_session_that_ended_while_it_stood_costs_nothing() {
    let (sshd, mark) = marked();
    let host = sshd.host("box");
    for _ in 0..4 {
        pid(host.as_ref()).await;
    }
    for _ in 0..3 {
        let ready = one_waits(&mark).await;
        let killed = nix::unistd::Pid::from_raw(i32::try_from(ready).unwrap());
        nix::sys::signal::kill(killed, nix::sys::signal::Signal::SIGKILL).unwrap();
        // At once, while the word of its end is on its way: whether it is noticed before or after makes no difference.
        assert_ne!(pid(host.as_ref()).await, ready);
        for _ in 0..4 {
            pid(host.as_ref()).await;
        }
    }
}

#[tokio::test]
async fn a_host_that_allows_two_sessions_serves_many_commands() {
    let sshd = Sshd::with("MaxSessions 2\n");
    let host = sshd.host("box");
    for _ in 0..12 {
        pid(host.as_ref()).await;
    }
}
