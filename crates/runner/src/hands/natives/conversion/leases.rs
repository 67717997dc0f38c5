//! Gives keys of a converted store the time to live that the v2 store gave them, and brings in what etcd's own tool leaves out.
//!
//! Keys that begin with the same folder and end in the same second share a lease: whoever ends that lease early ends keys of one
//! owner only, and a store of many thousand short-lived keys does not begin with as many leases.
//! Invariant: nothing is overwritten that is not what the tool wrote. Nobody else reaches the server; a difference is a defect.

use super::{
    super::side::{Side, bytes, number},
    v2_store::{Entry, V2Store},
};
use crate::clock::Clock;
use base64::{Engine, engine::general_purpose::STANDARD};
use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

/// Requests in flight: each waits for the disk, and etcd writes those that come together at once.
const IN_FLIGHT: usize = 16;
/// Leases that are prepared at a time: what is to be done for each takes a few kilobytes until it is done.
const AT_ONCE: usize = 1_000;
/// Keys of one transaction; etcd takes 128 by default.
const TXN_KEYS: usize = 100;
/// Bytes of the values of one transaction, a single key left out: etcd takes 1.5 MiB in a request by default.
const TXN_BYTES: usize = 512 * 1024;
/// The longest lease that etcd grants, in seconds: 285 years.
const LEASE_MAX: u64 = 9_000_000_000;
/// One entry of the log, on a busy disk.
const CHANGE_LIMIT: Duration = Duration::from_secs(20);
/// A part of what etcd says of a lease that has ended.
const LEASE_GONE: &str = "lease not found";
const SECOND: i128 = 1_000_000_000;

/// Keys that share a lease: by the folder that they begin with, and the whole seconds that are left to them.
type Groups<'a> = BTreeMap<(&'a str, u64), Vec<&'a str>>;

/// What is to be done with the keys of a store.
#[derive(Debug, Default, PartialEq, Eq)]
struct Work<'a> {
    groups: Groups<'a>,
    /// Their time has come before.
    past: Vec<&'a str>,
    /// Keys without an end that the tool left out: it lists no hidden ones.
    hidden: Vec<&'a str>,
}

/// A key as it is to be, where it is as it was read.
struct Put<'a> {
    key: &'a str,
    value: &'a str,
    /// Revision of its last change; 0 for one that is not there.
    revision: u64,
}

/// How many keys got a lease, and how many leases that took.
pub(super) struct Leased {
    pub(super) keys: usize,
    pub(super) leases: usize,
}

/// Gives out leases on a server that holds what the tool wrote. Takes keys out of the store whose time has come.
pub(super) async fn give(
    side: &Side<'_>,
    store: &mut V2Store,
    clock: &Clock,
) -> Result<Leased, String> {
    let now = clock.now();
    let work = Work::of(store, now);
    let wanted = work.groups.values().flatten().chain(&work.past).chain(&work.hidden);
    let wanted: HashSet<&str> = wanted.copied().collect();
    if wanted.is_empty() {
        return Ok(Leased { keys: 0, leases: 0 });
    }
    let revisions = revisions(side, &wanted).await?;
    let context = Context { side, store, revisions: &revisions, clock, now };
    let leased =
        Leased { keys: work.groups.values().map(Vec::len).sum(), leases: work.groups.len() };
    let groups: Vec<_> = work.groups.iter().map(|((_, left), keys)| (*left, &keys[..])).collect();
    for groups in groups.chunks(AT_ONCE) {
        let all = stream::iter(context.groups(groups)).buffer_unordered(IN_FLIGHT);
        all.try_collect::<()>().await?;
    }
    for puts in context.puts(&work.hidden) {
        context.put(&puts, 0).await?;
    }
    context.delete(&work.past).await?;
    let past: Vec<String> = work.past.iter().map(|key| (*key).to_owned()).collect();
    for key in &past {
        store.keys.remove(key);
    }
    Ok(leased)
}

impl<'a> Work<'a> {
    fn of(store: &'a V2Store, now: Timestamp) -> Self {
        let mut work = Self::default();
        let hidden: HashSet<&str> = store.hidden.iter().map(String::as_str).collect();
        for (key, Entry { expires, .. }) in &store.keys {
            let key = key.as_str();
            match expires.map(|at| left(at, now)) {
                Some(0) => work.past.push(key),
                Some(left) => {
                    work.groups.entry((first_part(key), left)).or_default().push(key);
                }
                None if hidden.contains(key) => work.hidden.push(key),
                None => {}
            }
        }
        work
    }
}

/// Whole seconds until then, the last one counted though it is not whole; 0 when it has come.
fn left(at: Timestamp, now: Timestamp) -> u64 {
    let nanoseconds = at.as_nanosecond() - now.as_nanosecond();
    let seconds = (nanoseconds.max(0) + SECOND - 1) / SECOND;
    u64::try_from(seconds).unwrap_or(LEASE_MAX).min(LEASE_MAX)
}

/// `services` of `/services/web/1`.
fn first_part(key: &str) -> &str {
    key.trim_start_matches('/').split('/').next().unwrap_or_default()
}

/// Revisions of the last change of these keys, of those that are there.
async fn revisions(
    side: &Side<'_>,
    wanted: &HashSet<&str>,
) -> Result<HashMap<String, u64>, String> {
    let (mut pages, mut found) = (side.pages(true), HashMap::new());
    while let Some(kvs) = pages.next().await? {
        for kv in &kvs {
            let read = bytes(kv, "key").zip(number(kv, "mod_revision"));
            let (key, revision) = read.ok_or_else(|| format!("no key can be read from {kv}"))?;
            if let Some(key) = String::from_utf8(key).ok().filter(|key| wanted.contains(&**key)) {
                found.insert(key, revision);
            }
        }
    }
    Ok(found)
}

struct Context<'a> {
    side: &'a Side<'a>,
    store: &'a V2Store,
    revisions: &'a HashMap<String, u64>,
    clock: &'a Clock,
    now: Timestamp,
}

impl Context<'_> {
    fn groups<'k>(
        &'k self,
        groups: &[(u64, &'k [&'k str])],
    ) -> Vec<BoxFuture<'k, Result<(), String>>> {
        groups.iter().map(|(left, keys)| self.group(*left, keys).boxed()).collect()
    }

    /// A lease and its keys, one after the other: a lease of a second would end before those of thousands of others were granted.
    async fn group(&self, left: u64, keys: &[&str]) -> Result<(), String> {
        // Time that has gone by since it was counted. The lease never ends before its keys did in the v2 store.
        let gone = u64::try_from(self.clock.now().duration_since(self.now).as_secs()).unwrap_or(0);
        let Some(seconds) = left.checked_sub(gone).filter(|seconds| *seconds > 0) else {
            return self.delete(keys).await;
        };
        let body = json!({"TTL": seconds.to_string(), "ID": "0"});
        let granted = self.side.change("lease/grant", &body, CHANGE_LIMIT).await?;
        let lease = number(&granted, "ID").filter(|id| *id != 0);
        let lease = lease.ok_or_else(|| format!("no lease can be read from {granted}"))?;
        for puts in self.puts(keys) {
            match self.put(&puts, lease).await {
                // Then the time of its keys has come, too.
                Err(because) if because.contains(LEASE_GONE) => return self.delete(keys).await,
                done => done?,
            }
        }
        Ok(())
    }

    /// Keys as they are to be, a transaction each.
    fn puts<'k>(&'k self, keys: &[&'k str]) -> Vec<Vec<Put<'k>>> {
        let (mut all, mut bytes) = (Vec::<Vec<Put<'k>>>::new(), 0);
        for &key in keys {
            let value = self.store.keys.get(key).map_or("", |entry| entry.value.as_str());
            let revision = self.revisions.get(key).copied().unwrap_or(0);
            let put = Put { key, value, revision };
            bytes += value.len();
            match all.last_mut().filter(|puts| puts.len() < TXN_KEYS && bytes <= TXN_BYTES) {
                Some(puts) => puts.push(put),
                None => {
                    bytes = value.len();
                    all.push(vec![put]);
                }
            }
        }
        all
    }

    async fn put(&self, puts: &[Put<'_>], lease: u64) -> Result<(), String> {
        let said = self.side.change("kv/txn", &txn(puts, lease), CHANGE_LIMIT).await?;
        if said.get("succeeded") == Some(&Value::Bool(true)) {
            return Ok(());
        }
        let first = puts.first().map_or("", |put| put.key);
        let others = match puts.len().saturating_sub(1) {
            0 => String::new(),
            others => format!(", or one of {others} with the same lease"),
        };
        Err(format!("a value changed between its reading and its lease: {first}{others}"))
    }

    async fn delete(&self, keys: &[&str]) -> Result<(), String> {
        for keys in keys.chunks(TXN_KEYS) {
            let delete =
                |key: &&str| json!({"request_delete_range": {"key": STANDARD.encode(key)}});
            let body = json!({"success": keys.iter().map(delete).collect::<Vec<_>>()});
            self.side.change("kv/txn", &body, CHANGE_LIMIT).await?;
        }
        Ok(())
    }
}

/// Puts keys that are still what was read.
fn txn(puts: &[Put<'_>], lease: u64) -> Value {
    let compare = |put: &Put<'_>| {
        json!({
            "key": STANDARD.encode(put.key), "target": "MOD", "result": "EQUAL",
            "mod_revision": put.revision.to_string(),
        })
    };
    let success = |put: &Put<'_>| {
        json!({"request_put": {
            "key": STANDARD.encode(put.key), "value": STANDARD.encode(put.value),
            "lease": lease.to_string(),
        }})
    };
    json!({
        "compare": puts.iter().map(compare).collect::<Vec<_>>(),
        "success": puts.iter().map(success).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_900_000_000_000;

    fn at(after: i64) -> Timestamp {
        Timestamp::from_millisecond(NOW + after).unwrap()
    }

    fn store(keys: &[(&str, Option<i64>)]) -> V2Store {
        let entry = |(key, expires): &(&str, Option<i64>)| {
            let value = "v".to_owned();
            ((*key).to_owned(), Entry { value, modified: 1, expires: expires.map(at) })
        };
        let hidden = keys.iter().filter(|(key, _)| key.contains("/_"));
        let hidden = hidden.map(|(key, _)| (*key).to_owned()).collect();
        V2Store { keys: keys.iter().map(entry).collect(), hidden, ..V2Store::default() }
    }

    #[test]
    fn keys_of_one_folder_and_one_second_share_a_lease() {
        let store = store(&[
            ("/a/1", Some(1_500)),
            ("/a/2", Some(2_000)),
            ("/a/3", Some(2_001)),
            ("/b/1", Some(1_500)),
            ("/c", None),
            ("/d", Some(1)),
            ("/e", Some(0)),
            ("/f", Some(-5)),
            ("/_h", None),
            ("/_i", Some(1_500)),
        ]);
        let work = Work::of(&store, at(0));
        let groups: Vec<_> = work.groups.into_iter().collect();
        assert_eq!(
            groups,
            [
                (("_i", 2), vec!["/_i"]),
                (("a", 2), vec!["/a/1", "/a/2"]),
                (("a", 3), vec!["/a/3"]),
                (("b", 2), vec!["/b/1"]),
                (("d", 1), vec!["/d"]),
            ]
        );
        assert_eq!(work.past, ["/e", "/f"]);
        assert_eq!(work.hidden, ["/_h"]);
    }

    #[test]
    fn what_is_left_is_never_cut_short_and_never_longer_than_etcd_takes() {
        assert_eq!([-1, 0, 1, 1000, 1001].map(|after| left(at(after), at(0))), [0, 0, 1, 1, 2]);
        assert_eq!(left(Timestamp::MAX, Timestamp::UNIX_EPOCH), LEASE_MAX);
    }

    #[test]
    fn a_transaction_puts_only_what_is_still_as_it_was_read() {
        let puts =
            [Put { key: "/a", value: "1", revision: 7 }, Put { key: "/b", value: "", revision: 0 }];
        let body = txn(&puts, 9);
        assert_eq!(
            body,
            json!({
                "compare": [
                    {"key": "L2E=", "target": "MOD", "result": "EQUAL", "mod_revision": "7"},
                    {"key": "L2I=", "target": "MOD", "result": "EQUAL", "mod_revision": "0"},
                ],
                "success": [
                    {"request_put": {"key": "L2E=", "value": "MQ==", "lease": "9"}},
                    {"request_put": {"key": "L2I=", "value": "", "lease": "9"}},
                ],
            })
        );
    }
}
