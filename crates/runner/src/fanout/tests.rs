//! What a fan-out does with hosts that answer, fail, hang and are away.

use super::*;
use async_trait::async_trait;
use quorate_model::Share;
use quorate_transport::FakeTransport;
use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

/// A host that is away for the first attempts, and remembers what was done with it.
struct Away {
    first: u32,
    asked: AtomicU32,
    left: AtomicU32,
    inner: FakeTransport,
}

#[async_trait]
impl Transport for Away {
    async fn run(&self, command: &Command, limit: Duration) -> Answer<Output> {
        if command.argv == ["hang"] {
            std::future::pending::<()>().await;
        }
        self.inner.run(command, limit).await
    }
    async fn read(&self, path: &Path) -> Answer<Vec<u8>> {
        self.inner.read(path).await
    }
    async fn write(&self, path: &Path, content: &[u8], mode: u32) -> Answer<()> {
        self.inner.write(path, content, mode).await
    }
    async fn put(&self, local: &Path, remote: &Path, mode: u32) -> Answer<()> {
        self.inner.put(local, remote, mode).await
    }
    async fn reach(&self) -> Result<(), String> {
        match self.asked.fetch_add(1, Ordering::SeqCst) < self.first {
            true => Err("box (10.0.0.1) cannot be reached: nobody listens there".into()),
            false => Ok(()),
        }
    }
    async fn leave(&self) {
        self.left.fetch_add(1, Ordering::SeqCst);
    }
    fn name(&self) -> String {
        "box (10.0.0.1)".into()
    }
}

fn away(first: u32, answer: Answer<Output>) -> Arc<Away> {
    let inner = FakeTransport::new()
        .always(&["ask"], answer)
        .always(&["mend"], Answer::Done(printed(0, "mended")));
    Arc::new(Away { first, asked: AtomicU32::new(0), left: AtomicU32::new(0), inner })
}

fn printed(status: i32, text: &str) -> Output {
    Output { status: Some(status), stdout: text.into(), stderr: Vec::new() }
}

fn target(name: &str, transport: Arc<dyn Transport>) -> Target {
    Target {
        name: name.into(),
        nodes: vec![format!("c/{name}")],
        groups: vec!["c/server".into()],
        transport,
    }
}

fn work(words: &[&str]) -> Work {
    let command = Command::new(words.iter().copied());
    Work { command, on_failure: None, limit: LIMIT, retries: 0, pause: Duration::from_millis(1) }
}

const PACE: Pace = Pace { at_once: AT_ONCE, share: None, keep_going: false };
const SERIAL: Pace = Pace { at_once: 1, ..PACE };

async fn all(targets: &[Target], work: &Work, pace: &Pace) -> Vec<HostResult> {
    run(targets, work, pace, |_| (), std::future::pending()).await
}

fn words(results: &[HostResult]) -> Vec<&'static str> {
    results.iter().map(|result| result.came.word()).collect()
}

#[tokio::test]
async fn equal_answers_are_one_kind_and_those_that_ended_well_come_first() {
    let hosts = [
        target("a", away(0, Answer::Done(printed(3, "old")))),
        target("b", away(0, Answer::Done(printed(0, "new")))),
        target("c", away(0, Answer::Done(printed(3, "old")))),
        target("d", away(0, Answer::Done(printed(0, "newer")))),
        target("e", away(9, Answer::Done(printed(0, "new")))),
        target("f", away(9, Answer::Done(printed(0, "new")))),
    ];
    let results = all(&hosts, &work(&["ask"]), &Pace { keep_going: true, ..PACE }).await;
    let kinds: Vec<Vec<&str>> = alike(&results).into_iter().map(|kind| kind.hosts).collect();
    assert_eq!(kinds, [vec!["b"], vec!["d"], vec!["a", "c"], vec!["e", "f"]]);
    assert_eq!(results[4].came.because(), Some("nobody listens there"));
    let texts = |at: usize| match &results[at].came {
        Came::Ended(printed) => printed.clone(),
        other => panic!("{other:?}"),
    };
    assert!(Arc::ptr_eq(&texts(0), &texts(2)), "equal texts are kept once");
}

#[tokio::test]
async fn one_after_the_other_ends_at_the_first_failure_and_lists_the_rest() {
    let hosts = [
        target("a", away(0, Answer::Done(printed(0, "")))),
        target("b", away(0, Answer::Failed("cannot run `ask` on b: no such program".into()))),
        target("c", away(0, Answer::Done(printed(0, "")))),
    ];
    let results = all(&hosts, &work(&["ask"]), &SERIAL).await;
    assert_eq!(words(&results), ["ended", "not-run", "not-begun"]);
    assert_eq!(results[1].came.because(), Some("cannot run `ask`: no such program"));
    let results = all(&hosts, &work(&["ask"]), &Pace { keep_going: true, ..SERIAL }).await;
    assert_eq!(words(&results), ["ended", "not-run", "ended"]);
}

#[tokio::test]
async fn a_host_that_was_not_reached_is_tried_again_and_an_unknown_end_is_not() {
    let late = away(2, Answer::Done(printed(0, "here")));
    let lost = away(0, Answer::Unknown("the connection was lost".into()));
    let hosts = [target("late", late.clone()), target("lost", lost.clone())];
    let again = Work { retries: 2, ..work(&["ask"]) };
    let results = all(&hosts, &again, &PACE).await;
    assert_eq!(words(&results), ["ended", "unknown"]);
    assert_eq!((results[0].attempts, results[1].attempts), (3, 1));
    assert_eq!(lost.inner.commands(), ["ask"], "it may have run: it is not given again");
    assert_eq!((late.left.load(Ordering::SeqCst), lost.left.load(Ordering::SeqCst)), (1, 1));
    let once = Work { retries: 1, ..work(&["ask"]) };
    let results = all(&[target("late", away(2, Answer::Failed("".into())))], &once, &PACE).await;
    assert_eq!((words(&results), results[0].attempts), (vec!["not-reached"], 2));
}

#[tokio::test]
async fn what_follows_a_failure_runs_only_there() {
    let (well, bad) =
        (away(0, Answer::Done(printed(0, ""))), away(0, Answer::Done(printed(1, ""))));
    let gone = away(9, Answer::Done(printed(0, "")));
    let hosts = [target("a", well.clone()), target("b", bad.clone()), target("c", gone.clone())];
    let mend = Work { on_failure: Some(Command::new(["mend"])), ..work(&["ask"]) };
    let results = all(&hosts, &mend, &Pace { keep_going: true, ..PACE }).await;
    assert_eq!(bad.inner.commands(), ["ask", "mend"]);
    assert_eq!((well.inner.commands().len(), gone.inner.commands().len()), (1, 0));
    assert!(results[1].on_failure.as_ref().is_some_and(Came::is_well));
    assert!(!results[1].came.is_well(), "what was mended has failed before");
}

#[tokio::test]
async fn an_interruption_lists_what_runs_as_unknown_and_the_rest_as_not_begun() {
    let hang = || target("x", away(0, Answer::Failed("".into())));
    let hosts = [target("done", away(0, Answer::Done(printed(0, "")))), hang(), hang(), hang()];
    let (seen, stop) = tokio::sync::oneshot::channel::<()>();
    let mut seen = Some(seen);
    let told = |_: &HostResult| {
        if let Some(seen) = seen.take() {
            seen.send(()).unwrap();
        }
    };
    let mut mixed = hosts.to_vec();
    mixed[0].transport =
        Arc::new(FakeTransport::new().always(&["hang"], Answer::Done(printed(0, ""))));
    let stop = async {
        let _ = stop.await;
    };
    let pace = Pace { at_once: 2, share: Some(Share::Count(3)), keep_going: false };
    let results = run(&mixed, &work(&["hang"]), &pace, told, stop).await;
    assert_eq!(words(&results), ["ended", "unknown", "unknown", "not-begun"]);
}

#[test]
fn long_output_is_cut_and_says_so() {
    let long = Output { stdout: vec![b'x'; KEPT_BYTES_MAX + 1], ..printed(0, "") };
    let kept = Printed::from(long);
    assert!(kept.cut && kept.stdout.len() == KEPT_BYTES_MAX);
    assert!(!Printed::from(printed(0, "short")).cut);
}
