//! Runs a command as a child in its own process group, so that the limit ends it with everything it started.
//!
//! Invariant: no path out of here leaves the command running unwatched, not even when the caller gives up waiting.

use super::because;
use crate::{Answer, Command, Output, command::OUTPUT_BYTES_MAX};
use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use std::{
    io,
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdin},
    time::{sleep, timeout},
};

/// Two seconds between the polite signal and the kill: tools clean up in less, and the limit has already passed.
const KILL_AFTER: Duration = Duration::from_secs(2);
/// One second for output that a child's own children still hold back after its end; then what is there counts.
const PIPES_AFTER_END: Duration = Duration::from_secs(1);
/// A file that was just written can be held open for a moment by a child that another thread is starting.
const BUSY_TRIES: u32 = 5;
/// Between those tries.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// Kept of the inherited environment in a clean one.
const KEPT: [&str; 3] = ["PATH", "HOME", "LANG"];

pub(crate) async fn run(command: &Command, limit: Duration) -> Answer<Output> {
    let mut child = match spawn(command).await {
        Ok(child) => child,
        Err(text) => return Answer::Failed(text),
    };
    let mut group = Group(child.id());
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let ended = {
        let (stdin, pipes) = (child.stdin.take(), (child.stdout.take(), child.stderr.take()));
        let pump = async {
            tokio::join!(
                feed(stdin, command.stdin.as_deref()),
                drain(pipes.0, &mut stdout),
                drain(pipes.1, &mut stderr)
            )
        };
        timeout(limit, until_end(&mut child, pump)).await
    };
    match ended {
        Ok(Ok(status)) => {
            group.0 = None;
            Answer::Done(Output { status: status.code(), stdout, stderr })
        }
        Ok(Err(cause)) => {
            Answer::Unknown(format!("lost sight of `{}`: {}", command.shown(), because(&cause)))
        }
        Err(_) => {
            let end = end(&mut child, &mut group).await;
            let said = Output { status: None, stdout, stderr }.complaint();
            let said = if said.is_empty() {
                said
            } else {
                format!("; its last words: {}", crate::redact::text(&said, &[]))
            };
            Answer::Unknown(format!(
                "`{}` did not end within {limit:?} and was {end}{said}",
                command.shown()
            ))
        }
    }
}

async fn until_end(child: &mut Child, pump: impl Future) -> io::Result<ExitStatus> {
    let mut pump = std::pin::pin!(pump);
    tokio::select! {
        status = child.wait() => {
            // Output that arrives later comes from somebody the command left behind: not worth more waiting.
            let _ = timeout(PIPES_AFTER_END, pump).await;
            status
        }
        _ = &mut pump => child.wait().await,
    }
}

async fn spawn(command: &Command) -> Result<Child, String> {
    let Some((program, args)) = command.argv.split_first() else {
        return Err("cannot run a command without words".to_owned());
    };
    let mut process = tokio::process::Command::new(program);
    process.args(args);
    if command.clean_env {
        process.env_clear();
        process.envs(KEPT.iter().filter_map(|key| Some((key, std::env::var_os(key)?))));
    }
    process.envs(&command.env);
    if let Some(folder) = &command.work_dir {
        process.current_dir(folder);
    }
    let stdin = if command.stdin.is_some() { Stdio::piped() } else { Stdio::null() };
    process.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    process.process_group(0).kill_on_drop(true);
    let mut tries = BUSY_TRIES;
    loop {
        tries -= 1;
        match process.spawn() {
            Ok(child) => return Ok(child),
            Err(cause) if cause.kind() == io::ErrorKind::ExecutableFileBusy && tries > 0 => {
                sleep(BUSY_PAUSE).await;
            }
            Err(cause) => {
                return Err(format!("cannot run `{program}`: {}", spawn_sentence(&cause, command)));
            }
        }
    }
}

fn spawn_sentence(cause: &io::Error, command: &Command) -> String {
    match (cause.kind(), &command.work_dir) {
        (io::ErrorKind::NotFound, Some(folder)) if !folder.is_dir() => {
            format!("its working folder {} does not exist", folder.display())
        }
        (io::ErrorKind::NotFound, _) => "there is no such program on this machine".to_owned(),
        (io::ErrorKind::PermissionDenied, _) => {
            "permission denied: the file may not be executed by this user".to_owned()
        }
        _ if cause.raw_os_error() == Some(Errno::ENOEXEC as i32) => {
            "it is no program for this machine (another processor type, or a damaged file)"
                .to_owned()
        }
        _ => because(cause),
    }
}

async fn feed(pipe: Option<ChildStdin>, content: Option<&[u8]>) {
    if let (Some(mut pipe), Some(content)) = (pipe, content) {
        // A command that does not read its input to the end is within its rights; its exit status tells the rest.
        let _ = pipe.write_all(content).await;
        let _ = pipe.shutdown().await;
    }
}

async fn drain(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut piece = [0; 16 * 1024];
    // Reads on past the cap, because a command that cannot write would never end.
    while let Ok(len @ 1..) = pipe.read(&mut piece).await {
        let room = OUTPUT_BYTES_MAX - kept.len();
        kept.extend_from_slice(&piece[..len.min(room)]);
    }
}

async fn end(child: &mut Child, group: &mut Group) -> &'static str {
    group.signal(Signal::SIGTERM);
    let polite = timeout(KILL_AFTER, child.wait()).await.is_ok();
    // Also after a polite end: children of the command may have outlived it.
    group.signal(Signal::SIGKILL);
    group.0 = None;
    if polite {
        return "ended by a signal";
    }
    // A process that even a kill does not end hangs in the kernel; waiting longer would not help.
    match timeout(KILL_AFTER, child.wait()).await {
        Ok(_) => "killed",
        Err(_) => "not even ended by a kill",
    }
}

/// The command's process group; killed when dropped while it still holds one.
struct Group(Option<u32>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.0.and_then(|id| i32::try_from(id).ok()) {
            // The only fault possible is that nobody is left to receive it.
            let _ = killpg(Pid::from_raw(leader), signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}
