//! Writes what clients have written since a conversion into the v2 store, once that holds again what it held before, and reads
//! every key of it back.
//!
//! Invariant: done twice it gives the same. Nothing is deleted but the keys that are named, and directories that hold nothing.

use super::{
    super::side::Side,
    changes::{Changes, Put},
    since::above,
    told::within,
    v2_api::{NOT_A_DIRECTORY, NOT_A_FILE, NOT_FOUND, Said, Store, encoded, fault},
};
use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
    time::{Duration, Instant},
};

/// Requests in flight: each waits for the disk, and etcd writes those that come together at once.
const IN_FLIGHT: usize = 32;
/// Requests that are prepared at a time: each takes a few kilobytes until it is done.
const AT_ONCE: usize = 1_000;
/// As many as are in flight: where that many have failed, the next ones will, too, and each may take the whole limit.
const FAULTS_MAX: usize = IN_FLIGHT;
/// A hundred years. A v2 store counts in nanoseconds, which end in the year 2262; a v3 lease may go beyond.
const TTL_MAX: u64 = 100 * 365 * 24 * 60 * 60;
/// The member that leads looks twice a second for what has expired, and a busy disk may hold that up.
const EXPIRY_SLACK: Duration = Duration::from_secs(2);

/// What was written.
#[derive(Debug)]
pub(super) struct Written {
    keys: usize,
    deleted: usize,
    /// Directories that have a time to live, and how many of the keys are in each.
    ending: BTreeMap<String, usize>,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keys, deleted, ending } = self;
        write!(f, "{keys} keys written and {deleted} deleted, each read back")?;
        let Some((first, _)) = ending.first_key_value() else { return Ok(()) };
        let first = within(first.as_bytes());
        let number: usize = ending.values().sum();
        let (keys, they) = if number == 1 { ("key", "it ends") } else { ("keys", "they end") };
        write!(
            f,
            "; {number} {keys} in directories with a time to live (the first is {first}), with which {they} in the v2 store"
        )
    }
}

/// Writes everything that is in the file.
pub(super) async fn write(side: &Side<'_>, file: &Path) -> Result<Written, String> {
    let Changes { deletes, puts } = Changes::read(file).await?;
    let store = Store { side };
    // First: a key may stand where others need a directory.
    all("deleted", &deletes, |key| store.delete(key).boxed()).await?;
    // Time that has gone by since the file was written is not counted: it is seconds to minutes, and a key that stays for as
    // much longer is looked after by whoever keeps it alive, while one that ends too early is missed.
    let began = Instant::now();
    all("written", &puts, |put| store.put(put).boxed()).await?;
    all("found deleted", &deletes, |key| store.is_gone(key).boxed()).await?;
    all("read back", &puts, |put| store.is_there(put, began).boxed()).await?;
    let ending = store.ending(&puts).await?;
    Ok(Written { keys: puts.len(), deleted: deletes.len(), ending })
}

/// What is done with a key.
type Work<'a> = BoxFuture<'a, Result<(), String>>;

/// Does it with every key, and tells with how many it did not go well.
async fn all<'k, K>(
    done: &str,
    keys: &'k [K],
    work: impl Fn(&'k K) -> Work<'k>,
) -> Result<(), String> {
    let mut faults = Vec::new();
    for some in keys.chunks(AT_ONCE) {
        let works: Vec<_> = some.iter().map(&work).collect();
        let mut running = stream::iter(works).buffer_unordered(IN_FLIGHT);
        while faults.len() < FAULTS_MAX {
            let Some(said) = running.next().await else { break };
            faults.extend(said.err());
        }
    }
    let Some(first) = faults.first() else { return Ok(()) };
    let (number, of) = (faults.len(), keys.len());
    let more = if number < FAULTS_MAX { "" } else { ", and no more were tried" };
    Err(format!("{number} of {of} keys could not be {done}{more}: the first is {first}"))
}

impl Store<'_> {
    async fn put(&self, put: &Put) -> Result<(), String> {
        let write = || self.ask("PUT", &put.key, "", Some(form(put)));
        let said = match write().await? {
            Said::Refused(NOT_A_FILE, _) => {
                self.clear(&put.key).await?;
                write().await?
            }
            said => said,
        };
        match said {
            Said::Node(_) => Ok(()),
            Said::Refused(_, because) => Err(fault(&put.key, &because)),
        }
    }

    /// Removes a directory that holds no key, with those in it. etcd refuses to remove one that holds something.
    async fn clear(&self, key: &str) -> Result<(), String> {
        let held = match self.ask("GET", key, "?recursive=true&quorum=true", None).await? {
            Said::Node(node) => directories(&node),
            Said::Refused(NOT_FOUND, _) => return Ok(()),
            Said::Refused(_, because) => return Err(fault(key, &because)),
        };
        for directory in held {
            match self.ask("DELETE", &directory, "?dir=true", None).await? {
                Said::Node(_) | Said::Refused(NOT_FOUND, _) => {}
                Said::Refused(_, because) => {
                    return Err(fault(key, &format!("a directory stands there: {because}")));
                }
            }
        }
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), String> {
        match self.ask("DELETE", key, "", None).await? {
            Said::Node(_) => Ok(()),
            Said::Refused(number, because) => gone(number).ok_or_else(|| fault(key, &because)),
        }
    }

    async fn is_gone(&self, key: &str) -> Result<(), String> {
        match self.ask("GET", key, "?quorum=true", None).await? {
            Said::Node(node) if is_directory(&node) => Ok(()),
            Said::Node(_) => Err(fault(key, "it is there again")),
            Said::Refused(number, because) => gone(number).ok_or_else(|| fault(key, &because)),
        }
    }

    async fn is_there(&self, put: &Put, began: Instant) -> Result<(), String> {
        match self.ask("GET", &put.key, "?quorum=true", None).await? {
            Said::Node(node) => same(put, &node).map_err(|because| fault(&put.key, because)),
            Said::Refused(NOT_FOUND, because) => {
                // It may have been written at any time since then, and its time may have come.
                let end = ttl(put).map(Duration::from_secs);
                let over = end.is_some_and(|end| began.elapsed() + EXPIRY_SLACK >= end);
                if over { Ok(()) } else { Err(fault(&put.key, &because)) }
            }
            Said::Refused(_, because) => Err(fault(&put.key, &because)),
        }
    }

    /// Gives a directory back that has a time to live.
    async fn ends<'k>(&self, directory: &'k str) -> Result<Option<&'k str>, String> {
        let said = self.ask("GET", directory, "?quorum=false", None).await?;
        let ends = matches!(&said, Said::Node(node) if node.get("expiration").is_some());
        Ok(ends.then_some(directory))
    }

    /// The nearest directory with a time to live above each of the keys, if any: whatever is in it ends with it.
    async fn ending(&self, puts: &[Put]) -> Result<BTreeMap<String, usize>, String> {
        let directories: BTreeSet<&str> = puts.iter().flat_map(|put| above(&put.key)).collect();
        let directories: Vec<&str> = directories.into_iter().collect();
        let mut found = Vec::new();
        for some in directories.chunks(AT_ONCE) {
            let asked: Vec<_> = some.iter().map(|directory| self.ends(directory).boxed()).collect();
            let said = stream::iter(asked).buffer_unordered(IN_FLIGHT);
            found.extend(said.try_collect::<Vec<Option<&str>>>().await?);
        }
        let found: BTreeSet<&str> = found.into_iter().flatten().collect();
        let mut ending = BTreeMap::new();
        for put in puts {
            if let Some(directory) = above(&put.key).filter(|above| found.contains(above)).last() {
                *ending.entry(directory.to_owned()).or_default() += 1;
            }
        }
        Ok(ending)
    }
}

/// Whether a complaint says that there is no such key. A directory may stand there by now, or a key above.
fn gone(number: u64) -> Option<()> {
    matches!(number, NOT_FOUND | NOT_A_FILE | NOT_A_DIRECTORY).then_some(())
}

fn is_directory(node: &Value) -> bool {
    node.get("dir") == Some(&Value::Bool(true))
}

/// Every directory of an answer, the innermost first.
fn directories(node: &Value) -> Vec<String> {
    let (mut found, mut open) = (Vec::new(), vec![node]);
    while let Some(node) = open.pop() {
        if is_directory(node) {
            found.extend(node.get("key").and_then(Value::as_str).map(str::to_owned));
            open.extend(node.get("nodes").and_then(Value::as_array).into_iter().flatten());
        }
    }
    // Those above were found before those in them.
    found.reverse();
    found
}

/// How a key is there.
fn same(put: &Put, node: &Value) -> Result<(), &'static str> {
    if is_directory(node) {
        return Err("a directory stands there");
    }
    if node.get("value").and_then(Value::as_str) != Some(&put.value) {
        return Err("it has another value");
    }
    match (put.ttl.is_some(), node.get("expiration").is_some()) {
        (true, false) => Err("it has no time to live"),
        (false, true) => Err("it has a time to live"),
        (true, true) | (false, false) => Ok(()),
    }
}

/// Seconds as the v2 API takes them: a key that ends at once is one that was never written.
fn ttl(put: &Put) -> Option<u64> {
    put.ttl.map(|seconds| seconds.clamp(1, TTL_MAX))
}

/// Without a time to live a key becomes one that stays, whatever it was.
fn form(put: &Put) -> String {
    let value = encoded(&put.value);
    match ttl(put) {
        Some(seconds) => format!("value={value}&ttl={seconds}"),
        None => format!("value={value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn put(value: &str, ttl: Option<u64>) -> Put {
        Put { key: "/a".into(), value: value.into(), ttl }
    }

    #[test]
    fn a_form_says_value_and_time_to_live() {
        assert_eq!(form(&put("a&b=c +\n", None)), "value=a%26b%3Dc%20%2B%0A");
        assert_eq!(form(&put("", Some(60))), "value=&ttl=60");
        assert_eq!(form(&put("", Some(0))), "value=&ttl=1");
        assert_eq!(form(&put("", Some(u64::MAX))), "value=&ttl=3153600000");
    }

    #[test]
    fn a_key_is_compared_with_what_was_to_be_written() {
        let node = |value: &str| json!({"key": "/a", "value": value});
        let passing = json!({"key": "/a", "value": "1", "expiration": "2030-01-01T00:00:00Z"});
        assert_eq!(same(&put("1", None), &node("1")), Ok(()));
        assert_eq!(same(&put("1", Some(9)), &passing), Ok(()));
        assert!(same(&put("1", None), &node("2")).unwrap_err().contains("another value"));
        assert!(same(&put("1", None), &passing).unwrap_err().contains("a time to live"));
        assert!(same(&put("1", Some(9)), &node("1")).unwrap_err().contains("no time to live"));
        assert!(same(&put("1", None), &json!({"dir": true})).unwrap_err().contains("directory"));
    }

    #[test]
    fn the_innermost_directory_goes_first() {
        let inner = json!({"key": "/a/b/c", "dir": true});
        let node = json!({"key": "/a", "dir": true, "nodes": [
            {"key": "/a/b", "dir": true, "nodes": [inner]}, {"key": "/a/f", "value": ""},
        ]});
        assert_eq!(directories(&node), ["/a/b/c", "/a/b", "/a"]);
    }

    #[tokio::test]
    async fn faults_are_counted_and_the_first_is_named() {
        let keys: Vec<usize> = (0..3_000).collect();
        let tried = |done: &'static str, wrong: usize| {
            let keys = &keys;
            let work = move |key: &usize| {
                let said = if *key < wrong { Err(fault("/a", "no")) } else { Ok(()) };
                futures::future::ready(said).boxed()
            };
            async move { all(done, keys, work).await }
        };
        assert_eq!(tried("read back", 0).await, Ok(()));
        let said = tried("read back", 2).await.unwrap_err();
        assert_eq!(said, "2 of 3000 keys could not be read back: the first is `/a`: no");
        let said = tried("written", 50).await.unwrap_err();
        assert!(said.contains("32 of 3000 keys could not be written, and no more"), "{said}");
    }

    #[test]
    fn what_was_written_is_counted() {
        let mut written = Written { keys: 2, deleted: 1, ending: BTreeMap::new() };
        assert_eq!(written.to_string(), "2 keys written and 1 deleted, each read back");
        written.ending.insert("/d".to_owned(), 1);
        let said = written.to_string();
        assert!(
            said.contains("; 1 key in directories with a time to live (the first is `/d`)"),
            "{said}"
        );
    }
}
