//! Runs one command on a host, in a session of its own.
//!
//! What is sent as the command is always the same small shell, which reads the real command from its input. So neither
//! words nor variables have to survive a login shell of whatever kind, what that shell prints of its own is told apart by a
//! mark, and no variable's value and no password ever stands in a list of processes, in sudo's log or in an audit.
//!
//! Invariant: once the command may have been handed over, a lost connection is `Unknown`, never `Failed`.

use super::{
    connect::Session,
    reader::{NoReader, Reader, Rights, mark, take},
    spare::make_ready,
    told::{Ran, Told},
};
use crate::Command;
use bytes::{Bytes, BytesMut};
use russh::{ChannelReadHalf, ChannelWriteHalf, client::Msg};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::AsyncReadExt,
    time::{Instant, timeout, timeout_at},
};

/// What the command reads.
pub(super) enum Input<'a> {
    /// Its end.
    Nothing,
    /// These bytes.
    Bytes(&'a [u8]),
    /// The rest of a file.
    File(tokio::fs::File),
}

/// One second for output that a command's own children still hold back after its end; then what is there counts.
const PIPES_AFTER_END: Duration = Duration::from_secs(1);
/// Six seconds to end a command whose time is over: two for the polite signal, two for the kill, and the way there.
const END_LIMIT: Duration = Duration::from_secs(6);
/// Read and handed over in pieces of this size; the library cuts packets out of them. Each read of a file is a call on a thread
/// of its own, and smaller ones cost more than what they read; much larger ones would be held in memory for each host.
const PIECE_BYTES: usize = 256 * 1024;

/// The real command as lines for the reader.
fn lines(command: &Command) -> Result<String, String> {
    let mark = mark();
    let Some(program) = command.argv.first() else {
        return Err("cannot run a command without words".to_owned());
    };
    let mut text = format!("{mark}-begin\n");
    if command.clean_env {
        text.push_str(
            "for q in $(env); do q=${q%%=*}; case $q in ''|[0-9]*|*[!A-Za-z0-9_]*|PATH|HOME|LANG) ;; *) unset \"$q\" ;; esac; done\n",
        );
    }
    text.push_str("PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export PATH\n");
    for (key, value) in &command.env {
        let fine = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if key.is_empty() || !key.chars().all(fine) || key.starts_with(|c: char| c.is_ascii_digit())
        {
            return Err(format!("`{key}` is no name of a variable"));
        }
        text.push_str(&format!("{key}={}; export {key}\n", quoted(value)));
    }
    if let Some(folder) = &command.work_dir {
        let folder = quoted(&folder.to_string_lossy());
        text.push_str(&format!(
            "cd -- {folder} 2>/dev/null || {{ echo {mark}-folder >&2; exit 126; }}\n"
        ));
    }
    let program = quoted(program);
    text.push_str(&format!(
        "command -v {program} >/dev/null 2>&1 || {{ echo {mark}-program >&2; exit 127; }}\nexec"
    ));
    for word in &command.argv {
        text.push(' ');
        text.push_str(&quoted(word));
    }
    text.push_str(&format!("\n{mark}-end\n"));
    if text.contains('\0') {
        Err("a word of the command holds a zero byte".into())
    } else {
        Ok(text)
    }
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Runs a command.
pub(super) async fn run(
    session: &Arc<Session>,
    command: &Command,
    input: Input<'_>,
    rights: &Rights,
    limit: Duration,
) -> Ran {
    let _busy = session.busy.enter();
    match ask(session, command, input, rights, Instant::now() + limit).await {
        Asked::Ended(told) => told.verdict(session, command, rights),
        Asked::Over(told) => out_of_time(session, command, &told, rights, limit).await,
        Asked::Not(ran) => ran,
    }
}

/// How far a command came.
enum Asked {
    /// To its end, or to that of the connection.
    Ended(Told),
    /// Not to its end, and the time is over.
    Over(Told),
    /// It was not handed over.
    Not(Ran),
}

async fn ask(
    session: &Arc<Session>,
    command: &Command,
    input: Input<'_>,
    rights: &Rights,
    deadline: Instant,
) -> Asked {
    let head = match lines(command) {
        Ok(head) => head,
        Err(because) => return Asked::Not(Ran::Failed(because)),
    };
    let spare = session.spares.take(rights);
    let stood_ready = spare.is_some();
    let reader = match spare {
        Some(reader) => reader,
        None => match Reader::open(session, rights, deadline).await {
            Ok(reader) => reader,
            Err(NoReader::Dead(because)) => return Asked::Not(Ran::Dead(because)),
            Err(NoReader::Refused(because)) => return Asked::Not(Ran::Failed(because)),
            Err(NoReader::Ended(told)) => return Asked::Ended(told),
            Err(NoReader::Late(told)) => return Asked::Over(told),
        },
    };
    make_ready(session, rights);
    match hand_over(reader, head, input, deadline).await {
        // Somebody ended it while it waited. That says nothing of this command, which another session shall run.
        Asked::Ended(told) if stood_ready && told.never_began() => {
            let host = &session.target.name;
            Asked::Not(Ran::Dead(format!("{host} ended the session that stood ready")))
        }
        asked => asked,
    }
}

async fn hand_over(reader: Reader, head: String, input: Input<'_>, deadline: Instant) -> Asked {
    let mut reader = reader;
    let feeding = feed(&reader.write, head, input);
    let talk = talk(&mut reader.read, &mut reader.told, feeding);
    if timeout_at(deadline, talk).await.is_err() {
        return Asked::Over(reader.told);
    }
    let _ = reader.write.close().await;
    Asked::Ended(reader.told)
}

/// Hands over the command's lines, then what it reads.
async fn feed(write: &ChannelWriteHalf<Msg>, head: String, input: Input<'_>) {
    // A command that does not read its input to the end is within its rights; its exit status tells the rest.
    if write.data_bytes(Bytes::from(head)).await.is_err() {
        return;
    }
    match input {
        Input::Nothing => {}
        Input::Bytes(bytes) => {
            for piece in bytes.chunks(PIECE_BYTES) {
                if write.data_bytes(Bytes::copy_from_slice(piece)).await.is_err() {
                    return;
                }
            }
        }
        Input::File(mut file) => {
            // A file that cannot be read to its end is short on the host, and the command there counts.
            loop {
                let mut piece = BytesMut::with_capacity(PIECE_BYTES);
                let Ok(1..) = file.read_buf(&mut piece).await else { break };
                if write.data_bytes(piece.freeze()).await.is_err() {
                    return;
                }
            }
        }
    }
    let _ = write.eof().await;
}

/// Reads until the command has ended and its output, too.
async fn talk(read: &mut ChannelReadHalf, told: &mut Told, feeding: impl Future<Output = ()>) {
    let mut feeding = std::pin::pin!(feeding);
    let mut fed = false;
    loop {
        let ended = told.status.is_some() || told.signalled;
        let message = tokio::select! {
            () = &mut feeding, if !fed => { fed = true; continue; }
            message = async {
                if ended { timeout(PIPES_AFTER_END, read.wait()).await.unwrap_or(None) } else { read.wait().await }
            } => message,
        };
        match message {
            Some(message) => {
                if !take(told, message) {
                    return;
                }
            }
            None => return,
        }
    }
}

/// The time is over: the command is ended, as far as it can be reached.
async fn out_of_time(
    session: &Arc<Session>,
    command: &Command,
    told: &Told,
    rights: &Rights,
    limit: Duration,
) -> Ran {
    let end = match told.pid {
        Some(pid) if end(session, pid, rights).await => "and was ended",
        Some(_) => "and could not be ended: it may go on there",
        // The login shell or sudo keeps it; what was sent waits there and may yet run.
        None => "and had not begun by then: it may yet",
    };
    let said = told.complaint();
    let said = if said.is_empty() || !told.err_own {
        String::new()
    } else {
        format!("; its last words: {said}")
    };
    let (host, shown) = (&session.target.name, command.shown());
    Ran::Unknown(format!("`{shown}` on {host} did not end within {limit:?} {end}{said}"))
}

/// Ends a process with its group, politely first, with the rights that it was started with. True when it is gone.
async fn end(session: &Arc<Session>, pid: u32, rights: &Rights) -> bool {
    let command = Command::new(["sh", "-c", include_str!("end.sh"), "quorate", &pid.to_string()]);
    match ask(session, &command, Input::Nothing, rights, Instant::now() + END_LIMIT).await {
        Asked::Ended(told) => told.status == Some(0),
        Asked::Over(_) | Asked::Not(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_variables_travel_as_input_and_not_as_the_command() {
        let command = Command::new(["echo", "it's\nhere"]).env("TOKEN", "hunter2");
        let text = lines(&command).unwrap();
        assert!(text.contains("TOKEN='hunter2'") && text.contains(r"'it'\''s"), "{text}");
    }

    #[test]
    fn what_cannot_be_said_to_a_shell_is_refused() {
        assert!(lines(&Command::default()).is_err());
        assert!(lines(&Command::new(["a\0b"])).is_err());
        assert!(lines(&Command::new(["a"]).env("A B", "")).unwrap_err().contains("no name"));
        assert!(lines(&Command::new(["a"]).env("1A", "")).is_err());
    }
}
