//! One command on many hosts: in order and with a bound, with what came of it on each.
//!
//! Invariant: every host is in the answer: one that was not reached or not begun is listed, never dropped (S11).
//! Invariant: a command whose end nobody knows is not given again: it may have run, and only its author knows whether twice
//! does harm.
//! Read next: `turns.rs` (who may begin when), `alike.rs` (who said the same).

mod alike;
mod turns;

pub use alike::{Alike, alike};
pub use turns::Pace;

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use quorate_transport::{Answer, Command, Output, Transport};
use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};
use turns::Turns;

/// Sixty-four hosts at the same time: as many as connections are made at once, and what a command starts everywhere (a
/// download, a restart) meets shared things in a crowd that they bear.
pub const AT_ONCE: usize = 64;
/// A minute for one host: what a person asks of hundreds of hosts is told in seconds, and what takes longer is known to.
pub const LIMIT: Duration = Duration::from_secs(60);
/// Of each stream of one host this much is kept: a person reads no more of it, and a thousand hosts must fit into memory.
pub const KEPT_BYTES_MAX: usize = 256 * 1024;
/// One second before a host is tried again, twice as long each time: a restarted sshd is there after one.
pub const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Never more than ten times that: a host that boots takes some tens of seconds, and a person waits.
const RETRY_PAUSES_MAX: u32 = 10;

/// One host that a command goes to.
#[derive(Clone)]
pub struct Target {
    /// Its name for people.
    pub name: String,
    /// What lives there, `shop/shop-1`, for people.
    pub nodes: Vec<String>,
    /// The groups that a share is taken of, `shop/server`.
    pub groups: Vec<String>,
    /// The way to it.
    pub transport: Arc<dyn Transport>,
}

/// What is done on each host.
#[derive(Debug, Clone)]
pub struct Work {
    /// The command.
    pub command: Command,
    /// Runs on a host where the command has failed, or nobody knows whether it has.
    pub on_failure: Option<Command>,
    /// The longest that either may take on one host.
    pub limit: Duration,
    /// How often a host that was not reached is tried again.
    pub retries: u32,
    /// Before the first time; before the next ones longer.
    pub pause: Duration,
}

/// What came of a command on one host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Came {
    /// It ran to its end, with this status; none when a signal ended it.
    Ended(Arc<Printed>),
    /// The host could not be reached.
    NotReached(String),
    /// The host was reached, and the command could not run: no such program, sudo refuses.
    NotRun(String),
    /// Nobody knows whether it ran to its end.
    Unknown(String),
    /// Its turn did not come.
    NotBegun,
}

impl Came {
    /// Whether it ran to its end with status 0.
    pub fn is_well(&self) -> bool {
        matches!(self, Self::Ended(printed) if printed.status == Some(0))
    }
    /// One word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ended(_) => "ended",
            Self::NotReached(_) => "not-reached",
            Self::NotRun(_) => "not-run",
            Self::Unknown(_) => "unknown",
            Self::NotBegun => "not-begun",
        }
    }
    /// Why, where there is a reason to tell.
    pub fn because(&self) -> Option<&str> {
        match self {
            Self::NotReached(because) | Self::NotRun(because) | Self::Unknown(because) => {
                Some(because)
            }
            Self::Ended(_) | Self::NotBegun => None,
        }
    }
    /// What it printed, when it ran to its end.
    pub fn printed(&self) -> Option<&Printed> {
        match self {
            Self::Ended(printed) => Some(printed),
            Self::NotReached(_) | Self::NotRun(_) | Self::Unknown(_) | Self::NotBegun => None,
        }
    }
}

/// What a command printed, as far as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Printed {
    /// Exit status; none when a signal ended it.
    pub status: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// One of them was longer than what is kept.
    pub cut: bool,
}

impl From<Output> for Printed {
    fn from(output: Output) -> Self {
        let Output { status, stdout, stderr } = output;
        let cut = stdout.len() > KEPT_BYTES_MAX || stderr.len() > KEPT_BYTES_MAX;
        let kept = |bytes: Vec<u8>| {
            String::from_utf8_lossy(&bytes[..bytes.len().min(KEPT_BYTES_MAX)]).into_owned()
        };
        Self { status, stdout: kept(stdout), stderr: kept(stderr), cut }
    }
}

/// One host's part of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostResult {
    /// The host.
    pub name: String,
    /// What lives there.
    pub nodes: Vec<String>,
    /// What came of the command.
    pub came: Came,
    /// What came of the command for failures, where it ran.
    pub on_failure: Option<Came>,
    /// How often the host was tried.
    pub attempts: u32,
    /// How long it took, with all attempts.
    pub took: Duration,
}

/// Runs it. `told` hears of each host when it has ended; when `stop` comes, nobody begins any more, and what runs is left.
/// Results are in the order of the targets.
pub async fn run(
    targets: &[Target],
    work: &Work,
    pace: &Pace,
    mut told: impl FnMut(&HostResult),
    stop: impl Future<Output = ()>,
) -> Vec<HostResult> {
    let groups: Vec<&[String]> = targets.iter().map(|target| target.groups.as_slice()).collect();
    let mut turns = Turns::new(&groups, pace);
    let mut results: Vec<HostResult> = targets.iter().map(not_begun).collect();
    let mut running: FuturesUnordered<BoxFuture<'_, (usize, HostResult)>> = FuturesUnordered::new();
    let mut under_way = HashSet::new();
    let mut kept = HashSet::new();
    tokio::pin!(stop);
    loop {
        while let Some(index) = turns.next() {
            under_way.insert(index);
            let target = &targets[index];
            running.push(Box::pin(async move { (index, one(target, work).await) }));
        }
        let (index, mut result) = tokio::select! {
            ended = running.next() => match ended {
                Some(ended) => ended,
                None => return results,
            },
            () = &mut stop => break,
        };
        under_way.remove(&index);
        turns.ended(result.came.is_well());
        share_text(&mut result.came, &mut kept);
        told(&result);
        results[index] = result;
    }
    turns.stop();
    for index in under_way {
        let because = "it was interrupted, and may go on there".to_owned();
        results[index].came = Came::Unknown(because);
        results[index].attempts = 1;
    }
    results
}

fn not_begun(target: &Target) -> HostResult {
    HostResult {
        name: target.name.clone(),
        nodes: target.nodes.clone(),
        came: Came::NotBegun,
        on_failure: None,
        attempts: 0,
        took: Duration::ZERO,
    }
}

/// Hosts that print the same share one text: a thousand equal answers take the memory of one.
fn share_text(came: &mut Came, kept: &mut HashSet<Arc<Printed>>) {
    if let Came::Ended(printed) = came {
        match kept.get(printed) {
            Some(same) => *printed = same.clone(),
            None => {
                kept.insert(printed.clone());
            }
        }
    }
}

async fn one(target: &Target, work: &Work) -> HostResult {
    let began = Instant::now();
    let mut result = not_begun(target);
    result.came = loop {
        result.attempts += 1;
        match target.transport.reach().await {
            Ok(()) => break came(target, &work.command, work.limit).await,
            // Nothing was handed over yet: to try again does no harm.
            Err(_) if result.attempts <= work.retries => {
                let longer = 1_u32 << (result.attempts - 1).min(RETRY_PAUSES_MAX);
                tokio::time::sleep(work.pause * longer.min(RETRY_PAUSES_MAX)).await;
            }
            Err(because) => {
                let because = without_name(target, &because);
                let why = because.strip_prefix("cannot be reached: ").unwrap_or(&because);
                break Came::NotReached(why.to_owned());
            }
        }
    };
    let failed = match &result.came {
        Came::Ended(printed) => printed.status != Some(0),
        Came::Unknown(_) => true,
        Came::NotReached(_) | Came::NotRun(_) | Came::NotBegun => false,
    };
    if let Some(command) = work.on_failure.as_ref().filter(|_| failed) {
        result.on_failure = Some(came(target, command, work.limit).await);
    }
    target.transport.leave().await;
    result.took = began.elapsed();
    result
}

async fn came(target: &Target, command: &Command, limit: Duration) -> Came {
    match target.transport.run(command, limit).await {
        Answer::Done(output) => Came::Ended(Arc::new(output.into())),
        Answer::Failed(because) => Came::NotRun(without_name(target, &because)),
        Answer::Unknown(because) => Came::Unknown(without_name(target, &because)),
    }
}

/// A reason as it holds for every host that has it: the host's own name stands beside it anyhow.
fn without_name(target: &Target, because: &str) -> String {
    let because = because.strip_prefix(&target.transport.name()).unwrap_or(because);
    because.replace(&format!(" on {}", target.name), "").trim_start().to_owned()
}

#[cfg(test)]
mod tests;
