//! The conversion: a cold copy of a v2 member's data in, a v3 snapshot and the list of what it must hold out.
//!
//! A scratch member brings the copy to a state that it has written down whole; etcd's own tool turns that into v3 keys; a second
//! scratch member gives those their time to live, and streams the snapshot.
//! Invariant: the copy that is given is only read. Whatever happens, no half file bears the snapshot's name.

use super::{
    super::{
        etcd::{start, text},
        keep,
        scratch::{self, ASK_LIMIT, Scratch, free_port},
        side::Side,
    },
    leases, listed,
    v2_store::V2Store,
};
use crate::clock::Clock;
use futures::future::try_join_all;
use quorate_transport::{Command, http::HttpClient};
use std::{
    fmt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Eight gigabytes from disk to disk, the largest store that upstream recommends, at 40 MiB/s.
const COPY_LIMIT: Duration = Duration::from_secs(200);
/// A million keys of some hundred bytes: etcd's tool writes a hundred thousand in two seconds.
const MIGRATE_LIMIT: Duration = Duration::from_secs(120);
/// The scratch member writes a store of half a gigabyte at 10 MiB/s.
const SNAP_LIMIT: Duration = Duration::from_secs(60);
/// A listing of one folder: twenty times a second costs nothing.
const SNAP_EVERY: Duration = Duration::from_millis(50);
/// The member streams what it holds without a pause; a disk that gives nothing for so long is ill.
const PIECE_LIMIT: Duration = Duration::from_secs(60);
/// It is alone and on loopback: it need not wait a second before it elects itself.
const AT_ONCE: [&str; 2] = ["--heartbeat-interval=10", "--election-timeout=100"];
/// It never writes its store by itself: more entries than any log holds.
const NEVER: &str = "--snapshot-count=1000000000";
/// Entries more than the log holds, after which it writes its store: more than come by themselves while it stops.
const ENTRIES: u64 = 20;

/// What became of a v2 store.
#[derive(Debug)]
pub(super) struct Converted {
    keys: usize,
    passing: usize,
    leases: usize,
    /// What a v3 store cannot say.
    unsayable: Vec<String>,
}

impl fmt::Display for Converted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keys, passing, leases, unsayable } = self;
        let leases_text = if *leases == 1 { "lease" } else { "leases" };
        write!(f, "{keys} keys, {passing} with a time to live in {leases} {leases_text}")?;
        unsayable.iter().try_for_each(|clause| write!(f, "; {clause}"))
    }
}

/// Converts a copy, with the tools of a release that has both a v2 and a v3 store.
pub(super) async fn convert(tools: &Path, source: &Path, file: &Path) -> Result<Converted, String> {
    for part in ["member/snap", "member/wal"] {
        if !source.join(part).is_dir() {
            let source = source.display();
            return Err(format!("{source} is no copy of a member's data folder: it has no {part}"));
        }
    }
    let mut watch = Watch::start();
    let (place, data) = copied(source, file).await?;
    watch.ended("copy");
    let mut store = settle(tools, &place, &data).await?;
    watch.ended("settle");
    migrate(tools, &data).await?;
    watch.ended("migrate");
    let unsayable = store.unsayable();
    let leased = finish(tools, &place, &data, &mut store, file).await?;
    watch.ended("finish");
    Ok(Converted { keys: store.keys.len(), passing: leased.keys, leases: leased.leases, unsayable })
}

/// What of a copy a v3 store cannot say, a clause each.
pub(super) async fn unsayable(tools: &Path, source: &Path) -> Result<Vec<String>, String> {
    let (place, data) = copied(source, source).await?;
    settle(tools, &place, &data).await.map(|store| store.unsayable())
}

/// The copy again, to work on, beside a file: whoever has room for that has room there, and the folder for temporary files may be
/// small.
async fn copied(source: &Path, file: &Path) -> Result<(TempDir, PathBuf), String> {
    let beside = file.parent().unwrap_or(Path::new("."));
    let fault = |error: std::io::Error| {
        format!("cannot make a folder for the conversion in {}: {error}", beside.display())
    };
    tokio::fs::create_dir_all(beside).await.map_err(fault)?;
    let place =
        tempfile::Builder::new().prefix(".converting-").tempdir_in(beside).map_err(fault)?;
    let data = place.path().join("data");
    let copy = ["cp".to_owned(), "-a".into(), "--".into(), text(source), text(&data)];
    scratch::run_within(&Command::new(copy), COPY_LIMIT).await?;
    Ok((place, data))
}

/// How long each part took, for who looks for what is slow.
struct Watch(Instant);

impl Watch {
    fn start() -> Self {
        Self(Instant::now())
    }
    fn ended(&mut self, part: &str) {
        tracing::debug!(part, took = ?self.0.elapsed(), "converting a v2 store");
        self.0 = Instant::now();
    }
}

/// Lets a scratch member apply what the copy's log has committed and drop the rest, and write its whole v2 store; gives that.
///
/// It is started twice. A member that is told to write its store soon writes it while it still applies a long log, many times at
/// once, and a large store takes gigabytes and minutes then. How long the log is, only a member tells.
async fn settle(tools: &Path, place: &TempDir, data: &Path) -> Result<V2Store, String> {
    let snaps = data.join("member").join("snap");
    // It comes to itself in any cluster.
    let scratch = scratch_member(tools, place, data, &["--force-new-cluster", NEVER]).await?;
    let index = ended(scratch, async |side| committed(&side).await).await?;
    let written = snapshots(&snaps)?.first().map_or(0, |(index, _)| *index);
    let after = index.saturating_sub(written) + ENTRIES;
    let after = format!("--snapshot-count={after}");
    let scratch = scratch_member(tools, place, data, &[&after]).await?;
    // Ended before the file is read: it is written under its last name, so that only now it is whole for sure.
    ended(scratch, async |side| write(&side, &snaps, index).await).await?;
    let read = move || read(&snaps, index);
    tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())?
}

/// The number of an entry at or after all that the copy had committed.
async fn committed(side: &Side<'_>) -> Result<u64, String> {
    entry(side).await?;
    // StatusResponse has raftIndex = 5.
    side.ask("Maintenance/Status", Vec::new(), ("raftIndex", &[5]), ASK_LIMIT).await
}

/// Lets the member write its store as of this entry or a later one.
async fn write(side: &Side<'_>, snaps: &Path, index: u64) -> Result<(), String> {
    try_join_all((0..=ENTRIES).map(|_| entry(side))).await?;
    let began = Instant::now();
    while !snapshots(snaps)?.iter().any(|(at, _)| *at >= index) {
        if began.elapsed() > SNAP_LIMIT {
            let waited = SNAP_LIMIT.as_secs();
            return Err(format!(
                "the scratch member has not written its v2 store after {waited} s"
            ));
        }
        tokio::time::sleep(SNAP_EVERY).await;
    }
    Ok(())
}

/// Puts an entry into the log that changes nothing: the question which alarms there are. A read through the v2 API would be one,
/// too, but is refused where that API asks for users.
async fn entry(side: &Side<'_>) -> Result<(), String> {
    // AlarmRequest is {action = 1}, where 0 asks; nothing is read of the answer but that it is one.
    side.ask("Maintenance/Alarm", Vec::new(), ("answer", &[1]), ASK_LIMIT).await.map(drop)
}

/// The files of a member's v2 store, the newest first, with the number of the entry that each one ends with.
fn snapshots(folder: &Path) -> Result<Vec<(u64, PathBuf)>, String> {
    let fault = |error: std::io::Error| format!("cannot list {}: {error}", folder.display());
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).map_err(fault)? {
        let path = file.map_err(fault)?.path();
        found.extend(index_of(&path).map(|index| (index, path)));
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// `TERM-INDEX.snap`, both in hexadecimal digits.
fn index_of(path: &Path) -> Option<u64> {
    let (_, index) = path.file_name()?.to_str()?.strip_suffix(".snap")?.split_once('-')?;
    u64::from_str_radix(index, 16).ok()
}

/// The newest of them that is whole, from this entry on.
fn read(folder: &Path, from: u64) -> Result<V2Store, String> {
    let mut because = format!("{} holds no v2 store as of now", folder.display());
    for (_, path) in snapshots(folder)?.into_iter().filter(|(index, _)| *index >= from) {
        let said = std::fs::read(&path).map_err(|error| error.to_string());
        match said.and_then(|bytes| V2Store::of_snap(&bytes)) {
            Ok(store) => return Ok(store),
            Err(said) => because = format!("{} cannot be read: {said}", path.display()),
        }
    }
    Err(because)
}

/// Turns every key that the v2 API lists into a v3 key without an end, value and revisions kept.
async fn migrate(tools: &Path, data: &Path) -> Result<(), String> {
    let words = [text(&tools.join("etcdctl")), "migrate".into(), "--data-dir".into(), text(data)];
    let command = Command::new(words).env("ETCDCTL_API", "3");
    scratch::run_within(&command, MIGRATE_LIMIT).await.map(drop)
}

/// Gives keys their time to live, and takes the snapshot.
async fn finish(
    tools: &Path,
    place: &TempDir,
    data: &Path,
    store: &mut V2Store,
    file: &Path,
) -> Result<leases::Leased, String> {
    // Not forced again: that drops entries which the tool has counted as applied, and the next ones in their place would be
    // taken for those.
    let scratch = scratch_member(tools, place, data, &[]).await?;
    ended(scratch, async |side| {
        let mut watch = Watch::start();
        let leased = leases::give(&side, store, &Clock::start()).await?;
        watch.ended("leases");
        // The list first: a snapshot with its name is one that can be compared.
        listed::write(file, store).await?;
        watch.ended("list");
        keep(file, side.snapshot(PIECE_LIMIT)).await?;
        watch.ended("snapshot");
        Ok(leased)
    })
    .await
}

/// Does something with a scratch member, and ends it whatever came of that. What goes wrong is told with the member's last words.
async fn ended<T>(
    scratch: Scratch,
    work: impl AsyncFnOnce(Side<'_>) -> Result<T, String>,
) -> Result<T, String> {
    let http = HttpClient::new(None, None).map_err(|error| error.to_string());
    let done = match &http {
        Ok(http) => work(Side::of(http, &scratch)).await,
        Err(because) => Err(because.clone()),
    };
    let done = match done {
        Ok(done) => Ok(done),
        Err(because) => Err(format!("{because}; {}", scratch::last_words(&scratch).await)),
    };
    scratch::end(scratch).await;
    done
}

async fn scratch_member(
    tools: &Path,
    place: &TempDir,
    data: &Path,
    more: &[&str],
) -> Result<Scratch, String> {
    let own = tempfile::tempdir_in(place.path())
        .map_err(|error| format!("cannot make a scratch folder: {error}"))?;
    let words: Vec<&str> = AT_ONCE.iter().chain(more).copied().collect();
    start(tools, own, data, (free_port()?, free_port()?), &words).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_file_is_the_one_of_the_last_entry() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "0000000000000002-000000000000000a.snap",
            "0000000000000003-0000000000000010.snap",
            "db",
        ] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let found = snapshots(folder.path()).unwrap();
        assert_eq!(found.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [16, 10]);
        assert!(read(folder.path(), 17).unwrap_err().contains("no v2 store as of now"));
        assert!(read(folder.path(), 11).unwrap_err().contains("0010.snap cannot be read"));
    }

    #[test]
    fn what_is_said_counts_and_tells_what_is_lost() {
        let unsayable = vec!["1 empty directory (/a)".to_owned(), "more".to_owned()];
        let said = Converted { keys: 3, passing: 2, leases: 1, unsayable }.to_string();
        assert_eq!(said, "3 keys, 2 with a time to live in 1 lease; 1 empty directory (/a); more");
    }
}
