//! Commands on this machine: their output, their end, and what becomes of those that do not end.

use quorate_transport::{
    Answer, Command, LocalTransport, Output, Transport, command::OUTPUT_BYTES_MAX,
};
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant},
};

/// Far longer than any of these commands takes.
const LIMIT: Duration = Duration::from_secs(20);
/// For commands that never end.
const SHORT: Duration = Duration::from_millis(300);

fn shell(script: &str) -> Command {
    Command::new(["/bin/sh", "-c", script])
}

async fn output(command: &Command) -> Output {
    match LocalTransport::new().run(command, LIMIT).await {
        Answer::Done(output) => output,
        other => panic!("{other:?} is not Done"),
    }
}

async fn failed(command: &Command) -> String {
    match LocalTransport::new().run(command, LIMIT).await {
        Answer::Failed(because) => because,
        other => panic!("{other:?} is not Failed"),
    }
}

async fn unknown(command: &Command, limit: Duration) -> String {
    match LocalTransport::new().run(command, limit).await {
        Answer::Unknown(because) => because,
        other => panic!("{other:?} is not Unknown"),
    }
}

/// Whether a process is gone; one that only waits to be counted out is gone, too.
fn is_gone(pid: &str) -> bool {
    match fs::read_to_string(format!("/proc/{}/stat", pid.trim())) {
        Ok(stat) => stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')),
        Err(_) => true,
    }
}

/// Waits for something that another process does soon, with an end.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < LIMIT, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[tokio::test]
async fn a_command_that_ends_is_done_whatever_its_status() {
    let seen = output(&shell("echo out; echo err >&2; exit 3")).await;
    assert_eq!(
        (seen.status, seen.text().as_str(), seen.complaint().as_str()),
        (Some(3), "out\n", "err")
    );
    assert!(!seen.ok());
    let killed = output(&shell("kill -9 $$")).await;
    assert_eq!(killed.status, None);
}

#[tokio::test]
async fn input_longer_than_a_pipe_arrives_whole_or_is_ignored() {
    let long = vec![b'x'; 1_000_000];
    let seen = output(&Command::new(["cat"]).stdin(long.clone())).await;
    assert_eq!(seen.stdout, long);
    assert!(
        output(&Command::new(["true"]).stdin(long)).await.ok(),
        "a reader that does not read is no fault"
    );
    assert_eq!(
        output(&Command::new(["cat"])).await.stdout,
        b"",
        "without input there is none to wait for"
    );
}

#[tokio::test]
async fn output_beyond_the_cap_is_dropped_and_the_command_still_ends() {
    let more = OUTPUT_BYTES_MAX + 1_000_000;
    let seen = output(&Command::new(["head", "-c", &more.to_string(), "/dev/zero"])).await;
    assert_eq!((seen.status, seen.stdout.len()), (Some(0), OUTPUT_BYTES_MAX));
}

#[tokio::test]
async fn environment_and_folder_are_as_asked() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(["env"]).env("ETCDCTL_API", "3");
    command.clean_env = true;
    let seen = output(&command).await.text();
    assert!(seen.contains("ETCDCTL_API=3\n") && seen.contains("PATH="), "{seen}");
    for line in seen.lines() {
        let key = line.split('=').next().unwrap();
        assert!(["PATH", "HOME", "LANG", "ETCDCTL_API"].contains(&key), "{line}");
    }
    let mut command = Command::new(["pwd"]);
    command.work_dir = Some(folder.path().canonicalize().unwrap());
    assert_eq!(
        output(&command).await.text().trim(),
        folder.path().canonicalize().unwrap().display().to_string()
    );
}

#[tokio::test]
async fn what_cannot_be_started_is_failed_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    assert!(failed(&Command::default()).await.contains("without words"));
    let missing = Command::new(["/nowhere/etcd", "--version"]);
    assert_eq!(
        failed(&missing).await,
        "cannot run `/nowhere/etcd`: there is no such program on this machine"
    );

    let mut lost = shell("true");
    lost.work_dir = Some(folder.path().join("none"));
    assert!(failed(&lost).await.contains("its working folder"));

    let plain = folder.path().join("plain");
    fs::write(&plain, "text").unwrap();
    let plain = Command::new([plain.display().to_string()]);
    assert!(failed(&plain).await.contains("may not be executed"));

    // The head of a program for another processor, and nothing behind it.
    let other = folder.path().join("other");
    fs::write(&other, b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0\x01\0\0\0").unwrap();
    fs::set_permissions(&other, Permissions::from_mode(0o755)).unwrap();
    let mut other = Command::new([other.display().to_string()]);
    assert!(failed(&other).await.contains("no program for this machine"));
    other.work_dir = Some(folder.path().to_owned());
    assert!(failed(&other).await.contains("no program for this machine"));
}

#[tokio::test]
async fn the_limit_ends_the_command_with_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let script = format!(
        "echo almost >&2; sleep 300 & echo $! >{0}.new; mv {0}.new {0}; wait",
        pids.display()
    );
    let because = unknown(&shell(&script), SHORT).await;
    assert!(because.contains("did not end within 300ms and was ended by a signal"), "{because}");
    assert!(because.contains("its last words: almost"), "{because}");
    until("the end of the child's child", || is_gone(&text(&pids))).await;
}

#[tokio::test]
async fn a_command_that_ignores_the_polite_signal_is_killed() {
    let because = unknown(&shell("trap '' TERM; while :; do sleep 300; done"), SHORT).await;
    assert!(because.contains("and was killed"), "{because}");
}

#[tokio::test]
async fn a_caller_that_gives_up_leaves_nothing_running() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let script = format!("sleep 300 & echo $! >{0}.new; mv {0}.new {0}; wait", pids.display());
    let task = tokio::spawn(async move { LocalTransport::new().run(&shell(&script), LIMIT).await });
    until("the start", || pids.exists()).await;
    assert!(!is_gone(&text(&pids)));
    task.abort();
    until("the end of the child's child", || is_gone(&text(&pids))).await;
}

#[tokio::test]
async fn a_child_left_behind_does_not_hold_the_answer_back() {
    let began = Instant::now();
    let seen = output(&shell("sleep 8 & echo started")).await;
    assert_eq!(seen.text(), "started\n");
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
}

#[tokio::test]
async fn secrets_in_words_stay_out_of_sentences() {
    let words =
        ["/bin/sh", "-c", "sleep 300", "sh", "--user", "root:hunter2", "--password=hunter2"];
    let because = unknown(&Command::new(words), SHORT).await;
    assert!(because.contains("--user root:***") && !because.contains("hunter2"), "{because}");
}

#[tokio::test]
async fn files_go_through_the_trait() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    let here = LocalTransport::new();
    assert_eq!(here.write(&a, b"content", 0o640).await, Answer::Done(()));
    assert_eq!(here.put(&a, &b, 0o600).await, Answer::Done(()));
    assert_eq!(here.read(&b).await, Answer::Done(b"content".to_vec()));
    assert_eq!(fs::metadata(&a).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(here.name(), "this machine");
}
