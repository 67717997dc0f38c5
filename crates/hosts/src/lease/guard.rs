//! A way to a host on which every command first asks whether the cluster is still this controller's, in the same breath.
//!
//! Invariant: once the host has said no, nothing more is run by this way, and `lost` says why.

use super::{Claim, HeldBy, check};
use crate::shell;
use async_trait::async_trait;
use quorate_transport::{Answer, Command, Output, Transport};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The exit status of a command that was not run; the mark beside it tells it from a command's own.
const NOT_RUN: i32 = 97;
const MARK: &str = "quorate-lease-lost";

/// The way.
pub struct Guarded {
    inner: Arc<dyn Transport>,
    claim: Claim,
    lost: Mutex<Option<String>>,
}

impl Guarded {
    /// Guards a way by a claim that the host has taken down.
    pub fn new(inner: Arc<dyn Transport>, claim: Claim) -> Self {
        Self { inner, claim, lost: Mutex::default() }
    }

    /// Why the host let no command run any more; a sentence.
    pub fn lost(&self) -> Option<String> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lose<T>(&self, by: &str) -> Answer<T> {
        let because = sentence(&self.inner.name(), &self.claim, by);
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(because.clone());
        Answer::Failed(because)
    }

    /// Asks before what is no command. A host that does not answer is for the act itself to find out.
    async fn is_ours(&self) -> Answer<()> {
        if let Some(because) = self.lost() {
            return Answer::Failed(because);
        }
        match check(self.inner.as_ref(), &self.claim).await {
            Answer::Done(HeldBy::Own) | Answer::Failed(_) | Answer::Unknown(_) => Answer::Done(()),
            Answer::Done(HeldBy::Nobody) => self.lose(""),
            Answer::Done(HeldBy::Other(by)) => self.lose(&by),
        }
    }
}

/// Why a controller whose cluster another one has taken may not go on; `by` is empty when nobody has it.
pub fn sentence(host: &str, claim: &Claim, by: &str) -> String {
    match by {
        "" => format!("{host} says that this controller's lease was taken away"),
        by => format!("{host} says that {} is held by {by}", claim.cluster),
    }
}

#[async_trait]
impl Transport for Guarded {
    async fn run(&self, command: &Command, limit: Duration) -> Answer<Output> {
        if let Some(because) = self.lost() {
            return Answer::Failed(because);
        }
        let Claim { cluster, state, who } = &self.claim;
        let guard = ["sh", "-c", include_str!("guard.sh"), shell::NAME, cluster, state, who];
        let words = guard.into_iter().map(str::to_owned).chain(command.argv.iter().cloned());
        let guarded = Command { argv: words.collect(), ..command.clone() };
        let answer = self.inner.run(&guarded, limit).await;
        if let Answer::Done(output) = &answer
            && output.status == Some(NOT_RUN)
            && let Some(by) = output.complaint().strip_prefix(MARK)
        {
            return self.lose(by.trim());
        }
        answer
    }

    async fn read(&self, path: &Path) -> Answer<Vec<u8>> {
        self.inner.read(path).await
    }

    async fn write(&self, path: &Path, content: &[u8], mode: u32) -> Answer<()> {
        match self.is_ours().await {
            Answer::Done(()) => self.inner.write(path, content, mode).await,
            no => no,
        }
    }

    async fn put(&self, local: &Path, remote: &Path, mode: u32) -> Answer<()> {
        match self.is_ours().await {
            Answer::Done(()) => self.inner.put(local, remote, mode).await,
            no => no,
        }
    }

    async fn tunnel(&self, address: &str) -> Result<Option<PathBuf>, String> {
        self.inner.tunnel(address).await
    }

    async fn reach(&self) -> Result<(), String> {
        self.inner.reach().await
    }

    async fn leave(&self) {
        self.inner.leave().await;
    }

    fn name(&self) -> String {
        self.inner.name()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{leave, take},
        *,
    };
    use quorate_transport::LocalTransport;

    const LIMIT: Duration = Duration::from_secs(10);

    fn claim(cluster: &str, who: &str) -> Claim {
        let [cluster, state, who] = [cluster, who, who].map(str::to_owned);
        Claim { cluster, state, who }
    }

    #[tokio::test]
    async fn a_command_runs_while_the_host_names_this_controller_and_never_after() {
        let name = format!("guard-test-{}", std::process::id());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("done");
        let (anna, bert) = (claim(&name, "anna  (process 1)"), claim(&name, "bert"));
        let host = Guarded::new(Arc::new(LocalTransport), anna.clone());
        let odd = ["sh", "-c", "printf '%s|' \"$@\"; cat; exit 97", "sh", "it's", "a  b", ""];
        let command = Command::new(odd).stdin("in");

        assert_eq!(take(&LocalTransport, &anna, false).await, Answer::Done(HeldBy::Own));
        let output = host.run(&command, LIMIT).await.done().unwrap();
        // A command's own 97 is its own.
        assert_eq!((output.text().as_str(), output.status), ("it's|a  b||in", Some(97)));
        assert_eq!(host.write(&file, b"x", 0o644).await, Answer::Done(()));
        assert_eq!(host.lost(), None);

        assert_eq!(take(&LocalTransport, &bert, true).await, Answer::Done(HeldBy::Own));
        let touch =
            Command::new(["touch".to_owned(), folder.path().join("no").display().to_string()]);
        let because = format!("this machine says that {name} is held by bert");
        assert_eq!(host.run(&touch, LIMIT).await, Answer::Failed(because.clone()));
        assert_eq!(host.lost(), Some(because.clone()));
        assert_eq!(host.write(&file, b"y", 0o644).await, Answer::Failed(because.clone()));

        // What was lost stays lost, also when the host names nobody any more.
        assert_eq!(leave(&LocalTransport, &bert).await, Answer::Done(()));
        assert_eq!(host.run(&touch, LIMIT).await, Answer::Failed(because));
        let again = Guarded::new(Arc::new(LocalTransport), anna);
        let because = "this machine says that this controller's lease was taken away";
        assert_eq!(again.run(&touch, LIMIT).await, Answer::Failed(because.into()));
        assert!(!folder.path().join("no").exists());
        assert_eq!(std::fs::read(&file).unwrap(), b"x");
    }
}
