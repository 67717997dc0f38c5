//! What a session of a host says: what the login shell and sudo say of their own, told apart from what the command says.

use super::{connect::Session, reader::Rights, reader::mark};
use crate::{Command, Output, command::OUTPUT_BYTES_MAX, redact};

/// A login shell that prints more than this of its own is broken, and its beginning is worth nothing.
const NOISE_BYTES_MAX: usize = 256 * 1024;

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

/// What came back.
#[derive(Default)]
pub(super) struct Told {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// The mark was seen on standard output: from there on it is the command's own.
    pub(super) out_own: bool,
    pub(super) err_own: bool,
    pub(super) pid: Option<u32>,
    pub(super) status: Option<i32>,
    pub(super) signalled: bool,
    /// How often sudo has asked for the password.
    pub(super) asked: u32,
    /// The reader stands; it says so only where sudo may ask.
    pub(super) ready: bool,
}

impl Told {
    pub(super) fn out(&mut self, data: &[u8]) {
        keep(&mut self.stdout, data);
        if self.out_own {
            return;
        }
        self.ready |= find(&self.stdout, format!("{}-ready\n", mark()).as_bytes()).is_some();
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

    pub(super) fn err(&mut self, data: &[u8]) {
        keep(&mut self.stderr, data);
        if self.err_own {
            return;
        }
        let prompt = format!("{}-password", mark());
        while let Some(at) = find(&self.stderr, prompt.as_bytes()) {
            self.stderr.drain(at..at + prompt.len());
            self.asked = self.asked.saturating_add(1);
        }
        let here = format!("{}-here\n", mark());
        if let Some(at) = find(&self.stderr, here.as_bytes()) {
            self.stderr.drain(..at + here.len());
            self.err_own = true;
        } else {
            shorten(&mut self.stderr);
        }
    }

    /// Whether sudo did not take the password.
    pub(super) fn asked_again(&self) -> bool {
        self.asked > 1
    }

    /// Whether the session has ended for sure without the command having begun.
    pub(super) fn never_began(&self) -> bool {
        !self.out_own && (self.status.is_some() || self.signalled)
    }

    /// What was said on standard error, for a message.
    pub(super) fn complaint(&self) -> String {
        let output = Output { stderr: self.stderr.clone(), ..Output::default() };
        redact::text(&output.complaint(), &[])
    }

    pub(super) fn verdict(self, session: &Session, command: &Command, rights: &Rights) -> Ran {
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
        let complaint = self.complaint();
        let user = &session.target.user;
        if self.asked_again() {
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
        let mut told = Told::default();
        told.err(format!("{}-password", mark()).as_bytes());
        assert!(told.asked == 1 && !told.asked_again());
        told.err(format!("Sorry, try again.\n{}-password", mark()).as_bytes());
        assert!(told.asked_again());
    }

    #[test]
    fn a_session_that_ended_before_the_mark_ran_nothing() {
        let mut told = Told { status: Some(125), ..Told::default() };
        assert!(told.never_began());
        told.out(format!("{}-here 1\n", mark()).as_bytes());
        assert!(!told.never_began());
        assert!(!Told::default().never_began(), "a lost connection proves nothing");
    }
}
