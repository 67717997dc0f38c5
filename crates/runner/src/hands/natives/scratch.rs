//! A server of its own for a proof: on loopback, with ports and a folder that nobody else has, gone when the proof ends.

use crate::hands::call::finished;
use quorate_hosts::service;
use quorate_model::{ProcessSpec, ServiceSpec};
use quorate_transport::{
    Answer, Command, LocalTransport,
    http::{HttpClient, HttpRequest},
};
use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::Path,
    time::{Duration, Instant},
};

/// A scratch server that has not answered by then has a fault of its own: restores of hundreds of megabytes take seconds.
pub(super) const SCRATCH_LIMIT: Duration = Duration::from_secs(60);
/// How often it is asked. Twenty times a second costs nothing and loses nothing.
const SCRATCH_EVERY: Duration = Duration::from_millis(50);
/// One small question on loopback.
pub(super) const ASK_LIMIT: Duration = Duration::from_secs(5);

/// etcd ends politely once it has written what it is writing: half a gigabyte of a v2 store at 20 MiB/s. Others take no longer.
const GRACE: Duration = Duration::from_secs(25);

/// A server that runs until it is given to `end`.
pub(super) struct Scratch {
    spec: ServiceSpec,
    /// Where clients reach it.
    pub(super) url: String,
    folder: tempfile::TempDir,
}

/// Runs a tool on this machine, to its end.
pub(super) async fn run(command: &Command) -> Result<String, String> {
    run_within(command, SCRATCH_LIMIT).await
}

/// Runs a tool that has more to do.
pub(super) async fn run_within(command: &Command, limit: Duration) -> Result<String, String> {
    finished(&LocalTransport, command, limit).await.into_result()
}

/// What the server said last, for people.
pub(super) async fn last_words(scratch: &Scratch) -> String {
    service::last_words(&LocalTransport, &scratch.spec).await
}

/// Starts a server with these words in its own folder.
pub(super) async fn start(
    program: &Path,
    folder: tempfile::TempDir,
    words: Vec<String>,
    url: String,
) -> Result<Scratch, String> {
    // A file of its own: a member that runs the same one is never taken for the scratch server, nor the other way round.
    let own = folder.path().join(program.file_name().unwrap_or_default());
    tokio::fs::copy(program, &own)
        .await
        .map_err(|error| format!("the scratch server's program cannot be copied: {error}"))?;
    let own = own.display().to_string();
    let spec = ServiceSpec::Process(ProcessSpec {
        argv: std::iter::once(own).chain(words).collect(),
        env: BTreeMap::new(),
        pid_file: folder.path().join("pid"),
        log_file: folder.path().join("log"),
        work_dir: None,
        grace: GRACE,
    });
    service::start(&LocalTransport, &spec).await.into_result()?;
    Ok(Scratch { spec, url, folder })
}

/// Waits until what it answers at a path fits; one that does not come so far is ended.
pub(super) async fn serves(
    scratch: Scratch,
    path: &str,
    fits: impl Fn(&str) -> bool,
) -> Result<Scratch, String> {
    let http = HttpClient::new(None, None).map_err(|error| error.to_string())?;
    let began = Instant::now();
    let mut last = String::new();
    while began.elapsed() < SCRATCH_LIMIT {
        let request = HttpRequest::get(format!("{}{path}", scratch.url));
        match http.send(&request, ASK_LIMIT).await {
            Answer::Done(answer) if fits(&answer.text()) => return Ok(scratch),
            Answer::Done(answer) => last = answer.text(),
            Answer::Failed(because) | Answer::Unknown(because) => last = because,
        }
        tokio::time::sleep(SCRATCH_EVERY).await;
    }
    let (limit, words) = (SCRATCH_LIMIT.as_secs(), last_words(&scratch).await);
    end(scratch).await;
    Err(format!("the scratch server does not serve after {limit} s: {last}; {words}"))
}

/// Stops the server and removes its folder.
pub(super) async fn end(scratch: Scratch) {
    if let Answer::Failed(because) | Answer::Unknown(because) =
        service::stop(&LocalTransport, &scratch.spec).await
    {
        tracing::warn!(because, "a scratch server could not be stopped");
    }
    drop(scratch.folder);
}

/// A port of loopback that is free now.
pub(super) fn free_port() -> Result<u16, String> {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| format!("no free port on loopback: {error}"))
}
