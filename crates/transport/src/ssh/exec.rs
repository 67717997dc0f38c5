//! Runs one command on a host, in a session of its own.
//!
//! What is sent as the command is always the same small shell, which reads the real command from its input. So neither
//! words nor variables have to survive a login shell of whatever kind, what that shell prints of its own is told apart by a
//! mark, and no variable's value and no password ever stands in a list of processes, in sudo's log or in an audit.
//!
//! Invariant: once the command may have been handed over, a lost connection is `Unknown`, never `Failed`.

use super::connect::{Session, sentence};
use crate::{Command, Output, command::OUTPUT_BYTES_MAX, redact, secret::SecretText};
use bytes::{Bytes, BytesMut};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, client::Msg};
use std::{sync::OnceLock, time::Duration};
use tokio::{
    io::AsyncReadExt,
    sync::oneshot,
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

/// As whom a command runs.
pub(super) enum Rights<'a> {
    /// As who logged in.
    Own,
    /// As root; sudo must not ask.
    Sudo,
    /// As root; sudo may ask for this.
    SudoAsks(&'a SecretText),
}

/// What became of a command.
pub(super) enum Ran {
    /// It ran to its end.
    Done(Output),
    /// It did not run.
    Failed(String),
    /// The connection was dead before anything was handed over.
    Dead(String),
    /// Nobody knows.
    Unknown(String),
}

/// A login shell that prints more than this of its own is broken, and its beginning is worth nothing.
const NOISE_BYTES_MAX: usize = 256 * 1024;
/// One second for output that a command's own children still hold back after its end; then what is there counts.
const PIPES_AFTER_END: Duration = Duration::from_secs(1);
/// Six seconds to end a command whose time is over: two for the polite signal, two for the kill, and the way there.
const END_LIMIT: Duration = Duration::from_secs(6);
/// Read and handed over in pieces of this size; the library cuts packets out of them. Each read of a file is a call on a thread
/// of its own, and smaller ones cost more than what they read; much larger ones would be held in memory for each host.
const PIECE_BYTES: usize = 256 * 1024;

/// A word that no shell and no command prints by chance; another one in each run of this program.
fn mark() -> &'static str {
    static MARK: OnceLock<String> = OnceLock::new();
    MARK.get_or_init(|| format!("quorate-{:016x}", rand::random::<u64>()))
}

/// The shell that reads the real command. It skips lines before the first mark: a password that sudo did not ask for.
fn reader(rights: &Rights<'_>) -> String {
    let mark = mark();
    let ready = match rights {
        Rights::SudoAsks(_) => format!("echo {mark}-ready; "),
        Rights::Own | Rights::Sudo => String::new(),
    };
    let sudo = match rights {
        Rights::Own => String::new(),
        Rights::Sudo => "sudo -n -- ".to_owned(),
        Rights::SudoAsks(_) => format!("sudo -S -p {mark}-password -- "),
    };
    // No word here may need a quote inside the quotes, so that every kind of login shell passes it on as it is.
    format!(
        "exec {sudo}/bin/sh -c '{ready}n=$(printf \"\\n.\"); n=${{n%.}}; s=; q=; \
         until [ \"$q\" = {mark}-begin ]; do IFS= read -r q || exit 125; done; \
         while IFS= read -r q; do [ \"$q\" = {mark}-end ] && break; s=$s$q$n; done; \
         echo {mark}-here $$; echo {mark}-here >&2; eval \"$s\"'"
    )
}

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
    session: &Session,
    command: &Command,
    input: Input<'_>,
    rights: Rights<'_>,
    limit: Duration,
) -> Ran {
    match ask(session, command, input, &rights, Instant::now() + limit).await {
        Asked::Ended(told) => told.verdict(session, command, &rights),
        Asked::Over(told) => out_of_time(session, command, &told, &rights, limit).await,
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
    session: &Session,
    command: &Command,
    input: Input<'_>,
    rights: &Rights<'_>,
    deadline: Instant,
) -> Asked {
    let head = match lines(command) {
        Ok(head) => head,
        Err(because) => return Asked::Not(Ran::Failed(because)),
    };
    let host = &session.target.name;
    let began = Instant::now();
    let opened = timeout_at(deadline, async {
        let turn = session.slots.acquire().await;
        session.handle.channel_open_session().await.map(|channel| (turn, channel))
    });
    let dead = |because: &str| Asked::Not(Ran::Dead(because.to_owned()));
    let (turn, channel) = match opened.await {
        Ok(Ok(opened)) => opened,
        Ok(Err(russh::Error::ChannelOpenFailure(why))) => {
            return Asked::Not(Ran::Failed(format!(
                "{host} opens no further session ({why:?}): MaxSessions of its sshd may be too small"
            )));
        }
        Ok(Err(error)) => {
            return dead(&format!("the connection to {host} is gone: {}", sentence(&error)));
        }
        Err(_) => {
            return dead(&format!("{host} opened no session within {:.1?}", began.elapsed()));
        }
    };
    let (mut read, write) = channel.split();
    if let Err(error) = write.exec(false, reader(rights)).await {
        return dead(&format!("the connection to {host} is gone: {}", sentence(&error)));
    }
    let mut told = Told::default();
    let (asked, asks) = oneshot::channel();
    let (stands, ready) = oneshot::channel();
    told.asked = Some(asked);
    told.ready = Some(stands);
    let password = match rights {
        Rights::SudoAsks(password) => Some(*password),
        Rights::Own | Rights::Sudo => None,
    };
    let feeding = feed(&write, Feed { head, input, password, asks, ready });
    let over = timeout_at(deadline, talk(&mut read, &mut told, feeding)).await.is_err();
    drop(turn);
    if over {
        return Asked::Over(told);
    }
    let _ = write.close().await;
    Asked::Ended(told)
}

/// What is handed over.
struct Feed<'a> {
    head: String,
    input: Input<'a>,
    password: Option<&'a SecretText>,
    /// sudo has asked for the password.
    asks: oneshot::Receiver<()>,
    /// The reader stands.
    ready: oneshot::Receiver<()>,
}

async fn feed(write: &ChannelWriteHalf<Msg>, feed: Feed<'_>) {
    let Feed { head, input, password, mut asks, mut ready } = feed;
    if let Some(password) = password {
        let stands = tokio::select! {
            stands = &mut ready => stands.is_ok(),
            asked = &mut asks => {
                let line = Bytes::from(format!("{}\n", password.expose()));
                asked.is_ok() && write.data_bytes(line).await.is_ok() && ready.await.is_ok()
            }
        };
        if !stands {
            return;
        }
    }
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
            Some(ChannelMsg::Data { data }) => told.out(&data),
            Some(ChannelMsg::ExtendedData { data, .. }) => {
                told.err(&data);
                if told.asked_again {
                    // sudo would wait for a second password until the time is over.
                    return;
                }
            }
            Some(ChannelMsg::ExitStatus { exit_status }) => {
                told.status = Some(i32::try_from(exit_status).unwrap_or(i32::MAX));
            }
            Some(ChannelMsg::ExitSignal { .. }) => told.signalled = true,
            Some(ChannelMsg::Close) | None => return,
            Some(_) => {}
        }
    }
}

/// What came back.
#[derive(Default)]
struct Told {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// The mark was seen on standard output: from there on it is the command's own.
    out_own: bool,
    err_own: bool,
    pid: Option<u32>,
    status: Option<i32>,
    signalled: bool,
    asked: Option<oneshot::Sender<()>>,
    ready: Option<oneshot::Sender<()>>,
    /// sudo asked a second time.
    asked_again: bool,
}

impl Told {
    fn out(&mut self, data: &[u8]) {
        keep(&mut self.stdout, data);
        if self.out_own {
            return;
        }
        if self.ready.is_some()
            && find(&self.stdout, format!("{}-ready\n", mark()).as_bytes()).is_some()
            && let Some(ready) = self.ready.take()
        {
            let _ = ready.send(());
        }
        let here = format!("{}-here ", mark());
        if let Some(at) = find(&self.stdout, here.as_bytes()) {
            let rest = &self.stdout[at + here.len()..];
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                self.pid =
                    std::str::from_utf8(&rest[..end]).ok().and_then(|pid| pid.trim().parse().ok());
                self.stdout.drain(..at + here.len() + end + 1);
                self.out_own = true;
            }
        }
        if !self.out_own {
            shorten(&mut self.stdout);
        }
    }

    fn err(&mut self, data: &[u8]) {
        keep(&mut self.stderr, data);
        if self.err_own {
            return;
        }
        let prompt = format!("{}-password", mark());
        while let Some(at) = find(&self.stderr, prompt.as_bytes()) {
            self.stderr.drain(at..at + prompt.len());
            match self.asked.take() {
                Some(asked) => {
                    let _ = asked.send(());
                }
                None => {
                    self.asked_again = true;
                    // Nobody may go on feeding lines that sudo would take for passwords.
                    self.ready = None;
                }
            }
        }
        let here = format!("{}-here\n", mark());
        if let Some(at) = find(&self.stderr, here.as_bytes()) {
            self.stderr.drain(..at + here.len());
            self.err_own = true;
        } else {
            shorten(&mut self.stderr);
        }
    }

    fn verdict(self, session: &Session, command: &Command, rights: &Rights<'_>) -> Ran {
        let (host, shown) = (&session.target.name, command.shown());
        if self.out_own {
            let status = match (self.status, self.signalled) {
                (Some(status), _) => Some(status),
                (None, true) => None,
                (None, false) => {
                    return Ran::Unknown(format!(
                        "the connection to {host} was lost while `{shown}` ran"
                    ));
                }
            };
            let program = command.argv.first().map(String::as_str).unwrap_or_default();
            let says = |what: &str| self.stderr == format!("{}-{what}\n", mark()).as_bytes();
            if status == Some(127) && says("program") {
                return Ran::Failed(format!(
                    "cannot run `{program}`: there is no such program on {host}"
                ));
            }
            if status == Some(126) && says("folder") {
                let folder =
                    command.work_dir.as_deref().unwrap_or_else(|| std::path::Path::new("/"));
                return Ran::Failed(format!(
                    "cannot run `{program}`: its working folder {} does not exist on {host}",
                    folder.display()
                ));
            }
            return Ran::Done(Output { status, stdout: self.stdout, stderr: self.stderr });
        }
        let complaint = Output { stderr: self.stderr, ..Output::default() }.complaint();
        let complaint = redact::text(&complaint, &[]);
        let user = &session.target.user;
        if self.asked_again {
            return Ran::Failed(format!("sudo on {host} does not take the password for `{user}`"));
        }
        match (self.status, rights) {
            (Some(_), Rights::Sudo | Rights::SudoAsks(_)) if complaint.contains("sudo") => {
                Ran::Failed(sudo_sentence(host, user, &complaint))
            }
            (Some(status), _) => Ran::Failed(format!(
                "the login shell of `{user}` on {host} ended with status {status} before the command began{}",
                if complaint.is_empty() { String::new() } else { format!(": {complaint}") }
            )),
            (None, _) => Ran::Unknown(format!(
                "the connection to {host} was lost when `{shown}` was to begin"
            )),
        }
    }
}

fn sudo_sentence(host: &str, user: &str, complaint: &str) -> String {
    if complaint.contains("password is required") || complaint.contains("terminal is required") {
        return format!(
            "sudo on {host} asks `{user}` for a password: say where it is with `ssh: {{sudo_password: {{env: NAME}}}}`, or allow `{user}` to become root without one"
        );
    }
    if complaint.contains("not found") {
        return format!(
            "there is no sudo on {host}: log in as root, or say `sudo: false` for the host"
        );
    }
    format!("sudo on {host} refuses `{user}`: {complaint}")
}

/// The time is over: the command is ended, as far as it can be reached.
async fn out_of_time(
    session: &Session,
    command: &Command,
    told: &Told,
    rights: &Rights<'_>,
    limit: Duration,
) -> Ran {
    let end = match told.pid {
        Some(pid) if end(session, pid, rights).await => "and was ended",
        Some(_) => "and could not be ended: it may go on there",
        // The login shell or sudo keeps it; what was sent waits there and may yet run.
        None => "and had not begun by then: it may yet",
    };
    let said = Output { stderr: told.stderr.clone(), ..Output::default() }.complaint();
    let said = if said.is_empty() || !told.err_own {
        String::new()
    } else {
        format!("; its last words: {}", redact::text(&said, &[]))
    };
    let (host, shown) = (&session.target.name, command.shown());
    Ran::Unknown(format!("`{shown}` on {host} did not end within {limit:?} {end}{said}"))
}

/// Ends a process with its group, politely first, with the rights that it was started with. True when it is gone.
async fn end(session: &Session, pid: u32, rights: &Rights<'_>) -> bool {
    let command = Command::new(["sh", "-c", include_str!("end.sh"), "quorate", &pid.to_string()]);
    match ask(session, &command, Input::Nothing, rights, Instant::now() + END_LIMIT).await {
        Asked::Ended(told) => told.status == Some(0),
        Asked::Over(_) | Asked::Not(_) => false,
    }
}

fn keep(kept: &mut Vec<u8>, data: &[u8]) {
    let room = OUTPUT_BYTES_MAX.saturating_sub(kept.len());
    kept.extend_from_slice(&data[..data.len().min(room)]);
}

fn shorten(noise: &mut Vec<u8>) {
    if noise.len() > NOISE_BYTES_MAX {
        noise.drain(..noise.len() - NOISE_BYTES_MAX);
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_variables_travel_as_input_and_not_as_the_command() {
        let command = Command::new(["echo", "it's\nhere"]).env("TOKEN", "hunter2");
        let text = lines(&command).unwrap();
        assert!(text.contains("TOKEN='hunter2'") && text.contains(r"'it'\''s"), "{text}");
        for rights in [Rights::Own, Rights::Sudo, Rights::SudoAsks(&SecretText::new("hunter2"))] {
            let sent = reader(&rights);
            assert!(!sent.contains("hunter2") && !sent.contains("echo it"), "{sent}");
            assert_eq!(sent.matches('\'').count(), 2, "only the outer quotes: {sent}");
        }
    }

    #[test]
    fn what_cannot_be_said_to_a_shell_is_refused() {
        assert!(lines(&Command::default()).is_err());
        assert!(lines(&Command::new(["a\0b"])).is_err());
        assert!(lines(&Command::new(["a"]).env("A B", "")).unwrap_err().contains("no name"));
        assert!(lines(&Command::new(["a"]).env("1A", "")).is_err());
    }

    #[test]
    fn noise_before_the_mark_is_not_the_commands() {
        let mut told = Told::default();
        for piece in [b"Welcome!\n".as_slice(), mark().as_bytes(), b"-here 4711\nown", b" words\n"]
        {
            told.out(piece);
        }
        told.err(b"bash: warning: setlocale\n");
        told.err(format!("{}-here\n", mark()).as_bytes());
        told.err(b"own complaint\n");
        assert_eq!((told.stdout.as_slice(), told.pid), (b"own words\n".as_slice(), Some(4711)));
        assert_eq!(told.stderr, b"own complaint\n");
    }

    #[test]
    fn a_second_question_for_the_password_is_noticed() {
        let (asked, mut asks) = oneshot::channel();
        let mut told = Told { asked: Some(asked), ..Told::default() };
        told.err(format!("{}-password", mark()).as_bytes());
        assert!(asks.try_recv().is_ok() && !told.asked_again);
        told.err(format!("Sorry, try again.\n{}-password", mark()).as_bytes());
        assert!(told.asked_again);
    }
}
