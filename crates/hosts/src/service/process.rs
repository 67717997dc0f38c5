//! A plain process as a service: started in a session of its own, it outlives the controller, and is proved to be the very
//! one before it is touched.
//!
//! Read next: `proof.rs` (the proof), then the `.sh` files, which do the work on the host in one round trip each.

use super::{
    How, ServiceState, Signal, Stopped, likeness,
    proof::{self, Found, Verdict},
    seen,
};
use crate::shell;
use quorate_model::ProcessSpec;
use quorate_transport::{Answer, Command, Transport};
use std::time::Duration;

/// A look reads a few files of `/proc`. On one small machine that starts dozens of agents at a time it waits for a processor for
/// seconds; a host that needs longer than this is not well enough to act on.
const LOOK_LIMIT: Duration = Duration::from_secs(30);

/// As many as a start that fails tells: the reason is among them, and a person still reads them all.
const LAST_LINES: &str = "5";
/// A program with a wrong flag ends within some ten milliseconds; ten times that tells it from one that runs, and
/// it is shorter than any server needs before it serves, so the wait costs nothing.
const SETTLE: Duration = Duration::from_millis(100);
/// The start script gives the child five seconds to note itself; the rest is the way to the host.
const START_LIMIT: Duration = Duration::from_secs(20);
/// After SIGKILL a process can linger only in an uninterruptible wait for its disk; past this a person must look.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// Tells whether the service runs, and as which process.
pub(super) async fn state(transport: &dyn Transport, spec: &ProcessSpec) -> Answer<ServiceState> {
    find(transport, spec).await.map(|found| match found {
        Some(Found { pid, started, start: _ }) => ServiceState::Running { pid, started },
        None => ServiceState::Stopped,
    })
}

/// Starts the service and answers with its process id. Refuses when it runs already; fails, with the last log lines,
/// when it ends at once.
pub(super) async fn start(transport: &dyn Transport, spec: &ProcessSpec) -> Answer<u32> {
    match find(transport, spec).await {
        Answer::Done(None) => {}
        Answer::Done(Some(found)) => {
            return Answer::Failed(format!(
                "the service runs already as process {} on {}; it was not started a second time",
                found.pid,
                transport.name()
            ));
        }
        Answer::Failed(because) => return Answer::Failed(because),
        Answer::Unknown(because) => return Answer::Unknown(because),
    }
    let ProcessSpec { argv, env, pid_file, log_file, work_dir, grace: _ } = spec;
    let work_dir = work_dir.as_ref().map_or("/".into(), |dir| dir.to_string_lossy());
    let settle = hundredths(SETTLE);
    let pid_file = pid_file.to_string_lossy();
    let log_file = log_file.to_string_lossy();
    // PATH goes apart from the others: the script itself still needs the host's own.
    let path = env.get("PATH").map_or("", String::as_str);
    let mut words: Vec<&str> = vec![&pid_file, &log_file, &work_dir, path, &settle];
    words.extend(argv.iter().map(String::as_str));
    let mut command = shell::script(include_str!("start.sh"), &words);
    command.env =
        env.iter().filter(|(k, _)| *k != "PATH").map(|(k, v)| (k.clone(), v.clone())).collect();
    shell::run(transport, "starting the service", &command, START_LIMIT)
        .await
        .and_then(|text| started(&text, &transport.name(), &log_file))
}

fn started(text: &str, host: &str, log_file: &str) -> Answer<u32> {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    match first.split_once(' ') {
        Some(("started", pid)) => pid.trim().parse().map_or_else(
            |_| {
                Answer::Unknown(format!(
                    "the start on {host} answered with `{first}`, not with a pid"
                ))
            },
            Answer::Done,
        ),
        Some(("exited", status)) => Answer::Failed(format!(
            "the service ended at once with status {status} on {host}; {}",
            last_lines(rest, log_file)
        )),
        Some(("refused", why)) => {
            Answer::Failed(format!("the service was not started on {host}: {why}"))
        }
        Some(("unsure", why)) => {
            Answer::Unknown(format!("the start on {host} is uncertain: {why}"))
        }
        _ => Answer::Unknown(format!(
            "the start on {host} answered with `{first}`, which says nothing"
        )),
    }
}

/// What the service said last, for people.
pub(super) async fn last_words(transport: &dyn Transport, spec: &ProcessSpec) -> String {
    let ProcessSpec { log_file, .. } = spec;
    let log_file = log_file.to_string_lossy();
    let command = Command::new(["tail", "-n", LAST_LINES, &log_file]);
    match transport.run(&command, LOOK_LIMIT).await {
        Answer::Done(output) => last_lines(&String::from_utf8_lossy(&output.stdout), &log_file),
        Answer::Failed(because) | Answer::Unknown(because) => {
            format!("{log_file} could not be read: {because}")
        }
    }
}

fn last_lines(text: &str, log_file: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        format!("and {log_file} says nothing")
    } else {
        format!("last lines of {log_file}: {}", lines.join(" / "))
    }
}

/// Stops the service: politely, then by force after its grace. A frozen one is thawed to hear the polite signal.
pub(super) async fn stop(transport: &dyn Transport, spec: &ProcessSpec) -> Answer<Stopped> {
    let found = match find(transport, spec).await {
        Answer::Done(Some(found)) => found,
        Answer::Done(None) => return Answer::Done(Stopped { how: How::Already }),
        Answer::Failed(because) => return Answer::Failed(because),
        Answer::Unknown(because) => return Answer::Unknown(because),
    };
    let ProcessSpec { pid_file, grace, .. } = spec;
    let (pid, start) = (found.pid.to_string(), found.start.to_string());
    let (grace_text, kill_text) = (hundredths(*grace), hundredths(KILL_LIMIT));
    let words = [&*pid, &start, &grace_text, &kill_text, &pid_file.to_string_lossy()];
    let command = shell::script(include_str!("stop.sh"), &words);
    let limit = *grace + KILL_LIMIT + LOOK_LIMIT;
    shell::run(transport, "stopping the service", &command, limit)
        .await
        .and_then(|text| stopped(text.trim(), found.pid, &transport.name()))
}

fn stopped(text: &str, pid: u32, host: &str) -> Answer<Stopped> {
    match text.split_whitespace().next() {
        Some("polite") => Answer::Done(Stopped { how: How::Polite }),
        Some("killed") => Answer::Done(Stopped { how: How::Killed }),
        Some("already") => Answer::Done(Stopped { how: How::Already }),
        Some("refused") => Answer::Failed(format!(
            "may not signal process {pid} on {host}: it belongs to another user"
        )),
        Some("stuck") => Answer::Failed(format!(
            "process {pid} on {host} still exists {} s after SIGKILL ({text}): it waits for its disk or its tracer",
            KILL_LIMIT.as_secs()
        )),
        _ => Answer::Unknown(format!(
            "the stop on {host} answered with `{text}`, which says nothing"
        )),
    }
}

/// Sends a signal to the running service and answers with its process id. Fails when it does not run.
pub(super) async fn signal(
    transport: &dyn Transport,
    spec: &ProcessSpec,
    signal: Signal,
) -> Answer<u32> {
    let found = match find(transport, spec).await {
        Answer::Done(Some(found)) => found,
        Answer::Done(None) => {
            return Answer::Failed(format!("the service does not run on {}", transport.name()));
        }
        Answer::Failed(because) => return Answer::Failed(because),
        Answer::Unknown(because) => return Answer::Unknown(because),
    };
    let name = signal.as_str();
    let (pid, start) = (found.pid.to_string(), found.start.to_string());
    let command = shell::script(include_str!("signal.sh"), &[name, &pid, &start]);
    shell::run(transport, "signalling the service", &command, LOOK_LIMIT).await.and_then(|text| {
        match text.trim() {
            "sent" => Answer::Done(found.pid),
            "gone" => Answer::Failed(format!("process {pid} ended before the signal reached it")),
            _ => Answer::Failed(format!(
                "may not signal process {pid} on {}: it belongs to another user",
                transport.name()
            )),
        }
    })
}

/// A program that is asked for its version, or whether it takes settings, is gone within milliseconds; three looks this far
/// apart tell it from a service.
const DOUBT_LOOKS: usize = 3;
const DOUBT_EVERY: Duration = Duration::from_millis(250);

async fn find(transport: &dyn Transport, spec: &ProcessSpec) -> Answer<Option<Found>> {
    if let Err(because) = sound(spec) {
        return Answer::Failed(because);
    }
    for _ in 1..DOUBT_LOOKS {
        match look(transport, spec).await {
            Answer::Done(Verdict::Unproved(_)) => tokio::time::sleep(DOUBT_EVERY).await,
            looked => return looked.and_then(|verdict| judged(transport, spec, verdict)),
        }
    }
    look(transport, spec).await.and_then(|verdict| judged(transport, spec, verdict))
}

async fn look(transport: &dyn Transport, spec: &ProcessSpec) -> Answer<Verdict> {
    let ProcessSpec { argv, env, pid_file, work_dir, .. } = spec;
    let pid_file = pid_file.to_string_lossy();
    let folder = work_dir.as_ref().map_or("/".into(), |dir| dir.to_string_lossy());
    let telling = likeness::telling_words(spec);
    let variables = if env.is_empty() { "" } else { "environ" };
    let binary = argv.first().map_or("", String::as_str);
    let mut words: Vec<&str> = vec![&pid_file, binary, &folder, variables];
    words.extend(telling.iter().map(String::as_str));
    let command = shell::script(include_str!("look.sh"), &words);
    // Looking changes nothing, so nothing is uncertain about the host; what is unknown is the service's state.
    shell::run(transport, "looking for the service", &command, LOOK_LIMIT).await.and_then(|text| {
        match seen::read(&text) {
            Ok(seen) => Answer::Done(proof::verdict(&seen, spec)),
            Err(because) => Answer::Unknown(because),
        }
    })
}

fn judged(
    transport: &dyn Transport,
    spec: &ProcessSpec,
    verdict: Verdict,
) -> Answer<Option<Found>> {
    let ProcessSpec { pid_file, .. } = spec;
    let (host, pid_file) = (transport.name(), pid_file.display());
    match verdict {
        Verdict::Running(found) => Answer::Done(Some(found)),
        Verdict::Stopped => Answer::Done(None),
        Verdict::Ambiguous(pids) => Answer::Unknown(format!(
            "processes {pids:?} on {host} all look like the service and {pid_file} names none of them beyond doubt: write the right one there"
        )),
        Verdict::Unproved(doubts) => {
            let each: Vec<String> = doubts
                .iter()
                .map(|(pid, because)| {
                    format!("process {pid} on {host} may be the service: {because}")
                })
                .collect();
            Answer::Unknown(format!(
                "{}; it is neither stopped nor proved to run, and nothing was signalled: if it is the service, declare it as it runs (`argv`, `env`, `work_dir`) and write its pid into {pid_file}",
                each.join("; ")
            ))
        }
    }
}

/// Refuses a declaration that a shell or a look could not carry faithfully.
fn sound(spec: &ProcessSpec) -> Result<(), String> {
    let ProcessSpec { argv, env, pid_file, log_file, work_dir, grace: _ } = spec;
    let binary = argv
        .first()
        .filter(|word| !word.is_empty())
        .ok_or("the service has no program: `argv` is empty")?;
    if binary.contains('/') && !binary.starts_with('/') {
        return Err(format!(
            "the service's program `{binary}` must be an absolute path or a bare name"
        ));
    }
    for path in [Some(pid_file), Some(log_file), work_dir.as_ref()].into_iter().flatten() {
        if !path.is_absolute() {
            return Err(format!("the service's path `{}` must be absolute", path.display()));
        }
    }
    for key in env.keys() {
        // A POSIX shell hands only such names on to the program that it starts.
        let plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if key.is_empty() || !plain || key.as_bytes()[0].is_ascii_digit() {
            return Err(format!(
                "`{key}` is no name for an environment variable: use letters, digits and `_`"
            ));
        }
    }
    Ok(())
}

fn hundredths(time: Duration) -> String {
    time.as_millis().div_ceil(10).to_string()
}
