//! A command for a host, as words and never as a shell line, and what it printed.

use crate::redact;
use std::{collections::BTreeMap, fmt, path::PathBuf};

/// A command.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Variables added to the environment.
    pub env: BTreeMap<String, String>,
    /// Drops the inherited environment except PATH, HOME and LANG.
    pub clean_env: bool,
    /// Working folder.
    pub work_dir: Option<PathBuf>,
    /// Given on standard input; the place for secrets, which must not stand in `argv`.
    pub stdin: Option<Vec<u8>>,
}

impl Command {
    /// A command from its words.
    pub fn new<I: IntoIterator<Item = S>, S: Into<String>>(argv: I) -> Self {
        Self { argv: argv.into_iter().map(Into::into).collect(), ..Self::default() }
    }
    /// Adds a variable.
    #[must_use]
    pub fn env(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(key.into(), value.into());
        self
    }
    /// Gives this on standard input.
    #[must_use]
    pub fn stdin(mut self, content: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(content.into());
        self
    }
    /// Its words for a sentence: secrets hidden, long ones cut.
    pub fn shown(&self) -> String {
        redact::words(&self.argv)
    }
}

/// Values of variables and standard input are the homes of secrets, so they are never shown.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { argv: _, env, clean_env, work_dir, stdin } = self;
        f.debug_struct("Command")
            .field("argv", &self.shown())
            .field("env", &env.keys().collect::<Vec<_>>())
            .field("clean_env", clean_env)
            .field("work_dir", work_dir)
            .field("stdin_bytes", &stdin.as_ref().map(Vec::len))
            .finish()
    }
}

/// What a command printed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// Exit status; none when a signal ended it.
    pub status: Option<i32>,
    /// Standard output, at most [`OUTPUT_BYTES_MAX`].
    pub stdout: Vec<u8>,
    /// Standard error, at most [`OUTPUT_BYTES_MAX`].
    pub stderr: Vec<u8>,
}

/// More output than this is cut: no probe needs it, and a host must not fill the controller's memory.
pub const OUTPUT_BYTES_MAX: usize = 64 * 1024 * 1024;

impl Output {
    /// Whether it ended with status 0.
    pub fn ok(&self) -> bool {
        self.status == Some(0)
    }
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
    /// The last lines of standard error, for a message.
    pub fn complaint(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(3)..].join(" / ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_values_and_input() {
        let command = Command::new(["etcdctl", "--user=root:hunter2", "get", "k"])
            .env("ETCDCTL_PASSWORD", "hunter2")
            .stdin("hunter2");
        let shown = format!("{command:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("ETCDCTL_PASSWORD") && shown.contains("etcdctl"), "{shown}");
    }

    #[test]
    fn complaint_is_the_last_three_lines() {
        let output = Output { stderr: b"a\nb\n\nc\nd\n".to_vec(), ..Output::default() };
        assert_eq!(output.complaint(), "b / c / d");
    }
}
