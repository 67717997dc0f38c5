//! The list beside a converted copy: what the v2 store held, a line a key, and how a v3 member stands to it.
//!
//! Invariant: a key that the list knows is there with its value, or its time has come; a key that it does not know is a fault.

use super::{
    super::side::{Side, bytes, number},
    v2_store::{Entry, V2Store},
};
use jiff::Timestamp;
use quorate_transport::beside;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fmt::Write,
    path::{Path, PathBuf},
};

/// What is added to the copy's name.
const ENDING: &str = ".v2";
/// A key that our own cure writes, so that every member has a v3 database.
pub(super) const OWN_KEY: &str = "quorate/v3-state";
/// A key whose time comes this soon may go between two pages of a list.
const SOON_MS: i64 = 5_000;

pub(super) type ValueDigest = [u8; 8];

/// What is known of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) digest: ValueDigest,
    /// Milliseconds since 1970.
    pub(super) expires: Option<i64>,
}

/// Eight bytes tell values of one key apart.
pub(super) fn digest(value: &[u8]) -> ValueDigest {
    let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = Sha256::digest(value).into();
    [a, b, c, d, e, f, g, h]
}

/// Where the list of a copy is.
fn place(copy: &Path) -> PathBuf {
    beside(copy, ENDING)
}

/// Writes the list; one that is not whole never gets its name.
pub(super) async fn write(copy: &Path, store: &V2Store) -> Result<(), String> {
    let (place, part) = (place(copy), beside(copy, ".v2.part"));
    let fault = |error: std::io::Error| format!("cannot write {}: {error}", part.display());
    tokio::fs::write(&part, text(store)).await.map_err(fault)?;
    tokio::fs::File::open(&part).await.map_err(fault)?.sync_all().await.map_err(fault)?;
    tokio::fs::rename(&part, &place).await.map_err(fault)
}

fn text(store: &V2Store) -> String {
    let mut text = String::new();
    for (key, Entry { value, expires, .. }) in &store.keys {
        let ends = expires.map_or("-".to_owned(), |at| at.as_millisecond().to_string());
        let (key, digest) = (hex::encode(key), hex::encode(digest(value.as_bytes())));
        // Writing to a text does not fail.
        let _ = writeln!(text, "{key}\t{digest}\t{ends}");
    }
    text
}

/// How what a member holds stands to the list, while it is read.
#[derive(Debug)]
pub(super) struct Comparison {
    /// Listed keys that were not seen yet.
    pub(super) left: BTreeMap<Vec<u8>, Listed>,
    same: u64,
    passing: u64,
    faults: BTreeMap<Fault, (u64, String)>,
}

/// What can be wrong with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Missing,
    Differs,
    Stays,
    Ends,
    Unknown,
}

impl Fault {
    fn text(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Differs => "with another value",
            Self::Stays => "without the time to live that the v2 store gave them",
            Self::Ends => "with a time to live that the v2 store did not give them",
            Self::Unknown => "that the v2 store did not hold",
        }
    }
}

impl Comparison {
    /// With the list of a copy.
    pub(super) async fn with(copy: &Path) -> Result<Self, String> {
        let place = place(copy);
        let text = tokio::fs::read_to_string(&place).await.map_err(|error| {
            format!("cannot read {}, the list of what was converted: {error}", place.display())
        })?;
        Self::of(&text).map_err(|because| format!("{}: {because}", place.display()))
    }

    fn of(text: &str) -> Result<Self, String> {
        let line = |line: &str| {
            let (key, rest) = line.split_once('\t')?;
            let (digest, ends) = rest.split_once('\t')?;
            let mut listed = Listed { digest: [0; 8], expires: None };
            hex::decode_to_slice(digest, &mut listed.digest).ok()?;
            if ends != "-" {
                listed.expires = Some(ends.parse().ok()?);
            }
            Some((hex::decode(key).ok()?, listed))
        };
        let read = |(at, text): (usize, &str)| {
            line(text).ok_or_else(|| format!("line {} is no line of such a list", at + 1))
        };
        let left = text.lines().enumerate().map(read).collect::<Result<_, _>>()?;
        Ok(Self { left, same: 0, passing: 0, faults: BTreeMap::new() })
    }

    /// Takes everything that a member holds by itself, and says how many keys that are, and how many of them have a time to live.
    pub(super) async fn over(mut self, side: &Side<'_>) -> Result<(u64, u64), String> {
        let mut pages = side.pages(false);
        while let Some(kvs) = pages.next().await? {
            for kv in &kvs {
                let read = |kv: &Value| {
                    Some((bytes(kv, "key")?, bytes(kv, "value")?, number(kv, "lease")?))
                };
                let (key, value, lease) =
                    read(kv).ok_or_else(|| format!("no key can be read from {kv}"))?;
                self.seen(&key, &value, lease);
            }
        }
        self.verdict(Timestamp::now())
    }

    fn seen(&mut self, key: &[u8], value: &[u8], lease: u64) {
        let Some(listed) = self.left.remove(key) else {
            if key != OWN_KEY.as_bytes() {
                self.note(Fault::Unknown, key);
            }
            return;
        };
        if digest(value) != listed.digest {
            self.note(Fault::Differs, key);
        }
        match (listed.expires.is_some(), lease != 0) {
            (true, false) => self.note(Fault::Stays, key),
            (false, true) => self.note(Fault::Ends, key),
            (true, true) | (false, false) => {}
        }
        self.same += 1;
        self.passing += u64::from(lease != 0);
    }

    fn note(&mut self, fault: Fault, key: &[u8]) {
        self.faults.entry(fault).or_insert_with(|| (0, shown(key))).0 += 1;
    }

    fn verdict(mut self, now: Timestamp) -> Result<(u64, u64), String> {
        let soon = now.as_millisecond().saturating_add(SOON_MS);
        for (key, listed) in std::mem::take(&mut self.left) {
            if listed.expires.is_none_or(|at| at > soon) {
                self.note(Fault::Missing, &key);
            }
        }
        if self.faults.is_empty() {
            return Ok((self.same, self.passing));
        }
        let faults = self.faults.iter();
        let told = faults.map(|(fault, (number, first))| {
            format!("{number} {} (the first is {first})", fault.text())
        });
        Err(format!("keys are not as in the v2 store: {}", told.collect::<Vec<_>>().join(", ")))
    }
}

/// A key for people: as text where it is some, else in hexadecimal digits.
pub(super) fn shown(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) => format!("`{text}`"),
        Err(_) => format!("{} in hexadecimal digits", hex::encode(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_900_000_000_000;

    fn now() -> Timestamp {
        Timestamp::from_millisecond(NOW).unwrap()
    }

    fn store(keys: &[(&str, &str, Option<i64>)]) -> V2Store {
        let entry = |(key, value, expires): &(&str, &str, Option<i64>)| {
            let expires = expires.map(|after| Timestamp::from_millisecond(NOW + after).unwrap());
            ((*key).to_owned(), Entry { value: (*value).to_owned(), modified: 1, expires })
        };
        V2Store { keys: keys.iter().map(entry).collect(), ..V2Store::default() }
    }

    #[track_caller]
    fn check(
        listed: &[(&str, &str, Option<i64>)],
        held: &[(&[u8], &str, u64)],
        says: Result<(u64, u64), &[&str]>,
    ) {
        let mut comparison = Comparison::of(&text(&store(listed))).unwrap();
        for (key, value, lease) in held {
            comparison.seen(key, value.as_bytes(), *lease);
        }
        match (comparison.verdict(now()), says) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(said), Err(parts)) => {
                assert!(parts.iter().all(|part| said.contains(part)), "{said}");
            }
            (found, _) => panic!("{found:?}"),
        }
    }

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let text = text(&store(&[("/a", "1", None), ("/ü", "", Some(-1))]));
        assert_eq!(text.lines().count(), 2);
        assert!(text.starts_with("2f61\t6b86b273ff34fce1\t-\n"), "{text}");
        let read = Comparison::of(&text).unwrap().left;
        assert_eq!(read.get(b"/a".as_slice()).unwrap().expires, None);
        let other = read.get("/ü".as_bytes()).unwrap();
        assert_eq!(*other, Listed { digest: digest(b""), expires: Some(NOW - 1) });
        assert!(Comparison::of("2f61\t-\n").unwrap_err().contains("line 1"));
        assert!(Comparison::of("").unwrap().left.is_empty());
    }

    #[test]
    fn the_same_keys_prove() {
        let listed = [("/a", "1", None), ("/b", "2", Some(60_000))];
        check(&listed, &[(b"/a", "1", 0), (b"/b", "2", 7)], Ok((2, 1)));
        check(
            &listed,
            &[(b"/a", "1", 0), (b"/b", "2", 7), (b"quorate/v3-state", "x", 0)],
            Ok((2, 1)),
        );
    }

    #[test]
    fn a_key_whose_time_has_come_may_be_gone() {
        for after in [-60_000, 0, SOON_MS] {
            check(&[("/a", "1", Some(after))], &[], Ok((0, 0)));
            check(&[("/a", "1", Some(after))], &[(b"/a", "1", 7)], Ok((1, 1)));
        }
        check(&[("/a", "1", Some(SOON_MS + 1))], &[], Err(&["1 missing (the first is `/a`)"]));
    }

    #[test]
    fn every_fault_is_counted_and_named() {
        let listed =
            [("/a", "1", None), ("/b", "2", None), ("/c", "3", Some(60_000)), ("/d", "4", None)];
        let held: [(&[u8], &str, u64); 5] =
            [(b"/b", "9", 0), (b"/c", "3", 0), (b"/d", "4", 7), (b"/x", "", 0), (b"\xff", "", 0)];
        check(
            &listed,
            &held,
            Err(&[
                "1 missing (the first is `/a`)",
                "1 with another value (the first is `/b`)",
                "1 without the time to live",
                "1 with a time to live",
                "2 that the v2 store did not hold (the first is `/x`)",
            ]),
        );
        assert_eq!(shown(b"\xff"), "ff in hexadecimal digits");
    }
}
