//! Asks the sources of the inventory for their hosts, and keeps what they answered.
//!
//! Invariant: hosts never vanish silently. A source that fails, answers nothing, or lists far fewer hosts than before stops the
//! command, unless the fleet file or the command line says what else to do, and then that is said.
//! Read next: `ask.rs` (programs and HTTP), `kept.rs` (answers in the state folder). What an answer means: the inventory room.

mod ask;
mod kept;

use crate::problem::{BUG, FEWER_HOSTS, NO_ANSWER, Problem};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use kept::Kept;
use quorate_inventory::{ListedHost, Source, sources::lost};
use std::{path::Path, time::Duration};

/// What a command says of the inventory's sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HostsOptions {
    /// Every source is asked, however fresh its last answer is.
    pub refresh: bool,
    /// The last answer of a source that fails is used, however old it is.
    pub stale: bool,
    /// An answer without hosts, or with far fewer than before, is believed.
    pub accept_fewer: bool,
}

/// A source that was used.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// Its name.
    pub name: String,
    /// The key that it was declared with: `ansible`.
    pub kind: &'static str,
    /// When its hosts were listed; never for those that the fleet file lists itself.
    pub at: Option<Timestamp>,
    /// The answer was kept from an earlier command.
    pub kept: bool,
    /// Why the source was asked in vain, when an old answer stands in.
    pub failed: Option<String>,
    /// Its hosts.
    pub hosts: Vec<ListedHost>,
}

impl Taken {
    /// A source that the fleet file answers itself.
    pub(crate) fn declared(source: &Source, hosts: &[ListedHost]) -> Self {
        Self {
            name: source.name.clone(),
            kind: source.kind.word(),
            at: None,
            kept: false,
            failed: None,
            hosts: hosts.iter().filter(|host| host.source == source.name).cloned().collect(),
        }
    }

    /// How old its answer is.
    pub fn age(&self, now: Timestamp) -> Option<Duration> {
        self.at.and_then(|at| age(at, now))
    }

    /// What a person should know: an old answer stands in.
    pub(crate) fn note(&self) -> Option<String> {
        let failed = self.failed.as_ref()?;
        let ago = said(self.age(Timestamp::now()).unwrap_or_default());
        let count = hosts_of(self.hosts.len());
        Some(format!("{failed}; instead the {count} that it listed {ago} ago are used"))
    }
}

/// Gives the hosts of every source that must be asked, in the order of the sources.
pub(crate) fn take(
    sources: &[Source],
    state_dir: &Path,
    options: HostsOptions,
) -> Result<Vec<Taken>, Problem> {
    let now = Timestamp::now();
    let asked: Vec<&Source> = sources.iter().filter(|one| one.question().is_some()).collect();
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let all = async {
        join_all(asked.iter().map(|source| take_one(source, state_dir, options, now))).await
    };
    block_on(all)?.into_iter().collect()
}

/// Commands open their fleet with and without a runtime around them, so the asking gets a thread and a runtime of its own. It ends
/// with the limits of the sources.
fn block_on<T: Send>(work: impl Future<Output = T> + Send) -> Result<T, Problem> {
    let failed = |because: String| {
        Problem::new(BUG, "the sources of the inventory cannot be asked").because(because)
    };
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|runtime| runtime.block_on(work))
        });
        let ended = thread.join().map_err(|_| failed("their thread panicked".into()))?;
        ended.map_err(|error| failed(error.to_string()))
    })
}

/// Asks one source now, and keeps nothing.
pub(crate) async fn ask(source: &Source) -> Result<Vec<ListedHost>, Problem> {
    ask::hosts(source, Timestamp::now()).await
}

async fn take_one(
    source: &Source,
    state_dir: &Path,
    options: HostsOptions,
    now: Timestamp,
) -> Result<Taken, Problem> {
    let taken = |at, kept, failed, hosts| Taken {
        name: source.name.clone(),
        kind: source.kind.word(),
        at: Some(at),
        kept,
        failed,
        hosts,
    };
    let kept = Kept::read(state_dir, source)?;
    let limits = source.limits;
    if let Some(kept) = kept.as_ref().filter(|kept| {
        !options.refresh && age(kept.taken_at, now).is_some_and(|age| age < limits.fresh)
    }) {
        return Ok(taken(kept.taken_at, true, None, kept.hosts.clone()));
    }
    match ask::hosts(source, now).await {
        Ok(hosts) => {
            if let Some(kept) = kept.filter(|_| !options.accept_fewer) {
                refuse_loss(source, &kept, &hosts, now)?;
            }
            Kept::new(source, now, hosts.clone()).write(state_dir).await?;
            Ok(taken(now, false, None, hosts))
        }
        Err(problem) => {
            let usable = |kept: &Kept| {
                let old = age(kept.taken_at, now).unwrap_or_default();
                options.stale || limits.fallback.is_some_and(|fallback| old <= fallback)
            };
            match kept {
                Some(kept) if usable(&kept) => {
                    let because: Vec<String> =
                        std::iter::once(problem.text).chain(problem.causes).collect();
                    Ok(taken(kept.taken_at, true, Some(because.join(": ")), kept.hosts))
                }
                Some(kept) => Err(problem.hint(format!(
                    "to go on with the {} that it listed {} ago: `--stale-hosts`, or `fallback_secs` in the source",
                    hosts_of(kept.hosts.len()),
                    said(age(kept.taken_at, now).unwrap_or_default())
                ))),
                None => Err(problem),
            }
        }
    }
}

/// How old an answer is; nothing when it comes from the future, because a clock that was put back says nothing.
fn age(taken_at: Timestamp, now: Timestamp) -> Option<Duration> {
    let age: SignedDuration = now.duration_since(taken_at);
    Duration::try_from(age).ok()
}

/// Names of hosts that a message lists.
const SHOWN_MAX: usize = 5;

fn refuse_loss(
    source: &Source,
    kept: &Kept,
    hosts: &[ListedHost],
    now: Timestamp,
) -> Result<(), Problem> {
    let Some(loss) = lost(&kept.hosts, hosts, source.limits.lose_max) else { return Ok(()) };
    let shown: Vec<&str> = loss.gone.iter().take(SHOWN_MAX).map(String::as_str).collect();
    let more = if loss.gone.len() > SHOWN_MAX { ", …" } else { "" };
    let ago = said(age(kept.taken_at, now).unwrap_or_default());
    let text = match loss.now {
        0 => format!("the source `{}` lists no host", source.name),
        now => format!("the source `{}` lists {}", source.name, hosts_of(now)),
    };
    Err(Problem::new(FEWER_HOSTS, text)
        .because(format!("{ago} ago it listed {}; {} of them are gone: {}{more}", hosts_of(loss.before), loss.gone.len(), shown.join(", ")))
        .hint("look whether its filter, its credentials or its region see only a part; what it listed before is kept")
        .hint("if the hosts are really gone: `quorate inventory --refresh --accept-fewer`"))
}

fn hosts_of(count: usize) -> String {
    if count == 1 { "1 host".to_owned() } else { format!("{count} hosts") }
}

fn said(age: Duration) -> String {
    quorate_report::words::duration(age)
}

/// A source that could not be asked, or whose answer is none.
fn failed(source: &Source, because: impl Into<String>) -> Problem {
    Problem::new(NO_ANSWER, format!("the source `{}` gives no answer", source.name))
        .because(because)
}
