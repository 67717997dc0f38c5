//! A scripted way to a host, for tests: says what each command answers, keeps files in memory, remembers what was asked.

use crate::{Answer, Command, Output, Transport};
use async_trait::async_trait;
use std::{
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What was asked of the host, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A command.
    Run { command: Command, limit: Duration },
    /// A file's content.
    Read { path: PathBuf },
    /// A file to be written.
    Write { path: PathBuf, content: Vec<u8>, mode: u32 },
    /// A local file to be copied.
    Put { local: PathBuf, remote: PathBuf, mode: u32 },
}

/// The script. What it does not foresee is answered with Failed, so a test sees it.
#[derive(Debug, Default)]
pub struct FakeTransport {
    script: Mutex<Script>,
}

#[derive(Debug, Default)]
struct Script {
    once: Vec<(Vec<String>, VecDeque<Answer<Output>>)>,
    always: Vec<(Vec<String>, Answer<Output>)>,
    files: BTreeMap<PathBuf, (Vec<u8>, u32)>,
    refused: BTreeMap<PathBuf, Answer<()>>,
    asked: Vec<Asked>,
}

impl FakeTransport {
    /// An empty script.
    pub fn new() -> Self {
        Self::default()
    }
    /// The next time that exactly these words are run, this is the answer. Several are used up in order.
    #[must_use]
    pub fn once<S: AsRef<str>>(self, argv: &[S], answer: Answer<Output>) -> Self {
        let argv = owned(argv);
        let mut script = self.script();
        match script.once.iter_mut().find(|(known, _)| *known == argv) {
            Some((_, answers)) => answers.push_back(answer),
            None => script.once.push((argv, VecDeque::from([answer]))),
        }
        drop(script);
        self
    }
    /// Whenever a command begins with these words, and nothing more exact is left, this is the answer.
    #[must_use]
    pub fn always<S: AsRef<str>>(self, beginning: &[S], answer: Answer<Output>) -> Self {
        self.script().always.push((owned(beginning), answer));
        self
    }
    /// The host has this file.
    #[must_use]
    pub fn file(self, path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) -> Self {
        self.script().files.insert(path.into(), (content.into(), 0o644));
        self
    }
    /// Reading, writing or copying to this path is answered with Failed or Unknown.
    #[must_use]
    pub fn refuse(self, path: impl Into<PathBuf>, answer: Answer<()>) -> Self {
        self.script().refused.insert(path.into(), answer);
        self
    }
    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.script().asked.clone()
    }
    /// The commands that were asked so far, as words.
    pub fn commands(&self) -> Vec<String> {
        let script = self.script();
        let runs = script.asked.iter().filter_map(|asked| match asked {
            Asked::Run { command, .. } => Some(command.argv.join(" ")),
            Asked::Read { .. } | Asked::Write { .. } | Asked::Put { .. } => None,
        });
        runs.collect()
    }
    /// A file as it is now, with its mode.
    pub fn content(&self, path: impl AsRef<Path>) -> Option<(Vec<u8>, u32)> {
        self.script().files.get(path.as_ref()).cloned()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a command answers that ended well and printed this.
pub fn printed(text: impl Into<Vec<u8>>) -> Answer<Output> {
    Answer::Done(Output { status: Some(0), stdout: text.into(), stderr: Vec::new() })
}

/// What a command answers that ended with this status and complaint.
pub fn complained(status: i32, text: impl Into<Vec<u8>>) -> Answer<Output> {
    Answer::Done(Output { status: Some(status), stdout: Vec::new(), stderr: text.into() })
}

fn owned<S: AsRef<str>>(argv: &[S]) -> Vec<String> {
    argv.iter().map(|word| word.as_ref().to_owned()).collect()
}

impl Script {
    fn answer(&mut self, argv: &[String]) -> Answer<Output> {
        let exact =
            self.once.iter_mut().find(|(known, answers)| known == argv && !answers.is_empty());
        if let Some(answer) = exact.and_then(|(_, answers)| answers.pop_front()) {
            return answer;
        }
        // The longest beginning is the most exact one.
        let matching = self.always.iter().filter(|(beginning, _)| argv.starts_with(beginning));
        match matching.max_by_key(|(beginning, _)| beginning.len()) {
            Some((_, answer)) => answer.clone(),
            None => Answer::Failed(format!("the script has no answer for `{}`", argv.join(" "))),
        }
    }
}

#[async_trait]
impl Transport for FakeTransport {
    async fn run(&self, command: &Command, limit: Duration) -> Answer<Output> {
        let mut script = self.script();
        script.asked.push(Asked::Run { command: command.clone(), limit });
        script.answer(&command.argv)
    }
    async fn read(&self, path: &Path) -> Answer<Vec<u8>> {
        let mut script = self.script();
        script.asked.push(Asked::Read { path: path.to_owned() });
        let refused = script.refused.get(path).cloned().unwrap_or(Answer::Done(()));
        refused.and_then(|()| match script.files.get(path) {
            Some((content, _)) => Answer::Done(content.clone()),
            None => {
                Answer::Failed(format!("cannot read {}: no such file or folder", path.display()))
            }
        })
    }
    async fn write(&self, path: &Path, content: &[u8], mode: u32) -> Answer<()> {
        let mut script = self.script();
        script.asked.push(Asked::Write { path: path.to_owned(), content: content.to_vec(), mode });
        let refused = script.refused.get(path).cloned().unwrap_or(Answer::Done(()));
        refused.map(|()| {
            script.files.insert(path.to_owned(), (content.to_vec(), mode));
        })
    }
    async fn put(&self, local: &Path, remote: &Path, mode: u32) -> Answer<()> {
        let read = std::fs::read(local).map_err(|cause| crate::local::because(&cause));
        let mut script = self.script();
        script.asked.push(Asked::Put { local: local.to_owned(), remote: remote.to_owned(), mode });
        let refused = script.refused.get(remote).cloned().unwrap_or(Answer::Done(()));
        refused.and_then(|()| match read {
            Ok(content) => {
                script.files.insert(remote.to_owned(), (content, mode));
                Answer::Done(())
            }
            Err(because) => Answer::Failed(format!("cannot read {}: {because}", local.display())),
        })
    }
    fn name(&self) -> String {
        "the scripted host".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn answers_are_used_in_order_then_the_longest_beginning_counts() {
        let fake = FakeTransport::new()
            .once(&["etcd", "--version"], printed("3.4.23"))
            .once(&["etcd", "--version"], Answer::Unknown("cut".into()))
            .always(&["etcd"], complained(1, "usage"))
            .always(&["etcd", "--version"], printed("3.5.16"));
        let ask = Command::new(["etcd", "--version"]);
        assert_eq!(fake.run(&ask, LIMIT).await, printed("3.4.23"));
        assert_eq!(fake.run(&ask, LIMIT).await, Answer::Unknown("cut".into()));
        assert_eq!(fake.run(&ask, LIMIT).await, printed("3.5.16"));
        assert_eq!(fake.run(&Command::new(["etcd", "--x"]), LIMIT).await, complained(1, "usage"));
        assert!(matches!(fake.run(&Command::new(["rm"]), LIMIT).await, Answer::Failed(_)));
        assert_eq!(fake.commands().len(), 5);
    }

    #[tokio::test]
    async fn files_are_kept_and_refused() {
        let fake = FakeTransport::new()
            .file("/etc/a", "one")
            .refuse("/full/x", Answer::Failed("no space is left".into()));
        assert_eq!(fake.read(Path::new("/etc/a")).await, Answer::Done(b"one".to_vec()));
        assert!(matches!(fake.read(Path::new("/etc/b")).await, Answer::Failed(_)));
        assert_eq!(fake.write(Path::new("/etc/b"), b"two", 0o600).await, Answer::Done(()));
        assert_eq!(fake.content("/etc/b"), Some((b"two".to_vec(), 0o600)));
        let full = fake.write(Path::new("/full/x"), b"", 0o600).await;
        assert_eq!(full, Answer::Failed("no space is left".into()));
        assert_eq!(fake.content("/full/x"), None);
        assert_eq!(fake.asked().len(), 4);
    }
}
