//! What clients have written into the v3 store since a conversion, by the list of what was converted, and what of it a v2 store
//! cannot hold.
//!
//! Invariant: the member is only read, all of it at one revision, and nothing that it had acknowledged before is missed.
//! Invariant: what is saved can be written into the v2 store as a whole: no key of it is a directory of another, and what the v2
//! store held in the way of one is deleted.

use super::{
    super::{
        etcd_contents::{COMPACTED, LISTS},
        side::{Side, bytes, signed},
    },
    changes::{Changes, Put},
    ends::{End, Ends, ends},
    listed::{Comparison, Listed, OWN_KEY, digest},
    told::{Kind, Told},
};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt,
    path::Path,
};

/// A lease ends up to some seconds after its key would have in the v2 store: whole seconds are granted, and those that have
/// ended are looked for twice a second. One that ends later than this was kept alive, or begun anew by an election.
const KEPT_MS: i64 = 10_000;

/// What was saved.
#[derive(Debug)]
pub(super) struct Saved {
    written: usize,
    deleted: usize,
    told: Told,
}

impl fmt::Display for Saved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { written, deleted, told } = self;
        write!(f, "{written} written, {deleted} deleted since the conversion")?;
        told.clauses().try_for_each(|clause| write!(f, "; {clause}"))
    }
}

/// Saves what a member holds otherwise than the list beside a converted copy says.
pub(super) async fn save(side: &Side<'_>, copy: &Path, file: &Path) -> Result<Saved, String> {
    let mut tries = 1;
    loop {
        match save_once(side, copy, file).await {
            Err(because) if because.contains(COMPACTED) && tries < LISTS => tries += 1,
            said => return said,
        }
    }
}

async fn save_once(side: &Side<'_>, copy: &Path, file: &Path) -> Result<Saved, String> {
    let mut reading = Reading::with(Comparison::with(copy).await?.left)?;
    let mut pages = side.newest();
    while let Some(kvs) = pages.next().await? {
        for kv in &kvs {
            let read = || Some((bytes(kv, "key")?, bytes(kv, "value")?, signed(kv, "lease")?));
            let (key, value, lease) =
                read().ok_or_else(|| format!("no key can be read from {kv}"))?;
            reading.seen(key, value, lease);
        }
    }
    let ends = ends(side, &reading.leases()).await?;
    let (changes, told) = reading.judged(&ends, Timestamp::now().as_millisecond());
    changes.save(file).await?;
    Ok(Saved { written: changes.puts.len(), deleted: changes.deletes.len(), told })
}

/// A key that the member holds and a v2 store can.
#[derive(Debug)]
struct Held {
    /// Left out where it cannot be needed, so that what nobody changed takes no room here.
    value: Option<String>,
    /// 0 for none.
    lease: i64,
    /// What the list says of it.
    before: Option<Listed>,
    /// The value is the one that the list knows.
    same: bool,
}

impl Held {
    /// Whether the v2 store must be told. A time to live that it gave goes on there by itself.
    fn changed(&self, end: Option<End>) -> bool {
        let Some(before) = self.before.filter(|_| self.same) else { return true };
        match (before.expires, end) {
            (None, None) => false,
            (Some(expires), Some(end)) => end.at > expires.saturating_add(KEPT_MS),
            (None, Some(_)) | (Some(_), None) => true,
        }
    }
}

/// What a member holds, as it is read.
#[derive(Debug, Default)]
struct Reading {
    /// Listed keys that were not seen yet.
    listed: BTreeMap<String, Listed>,
    held: BTreeMap<String, Held>,
    /// Listed keys whose value of now a v2 store cannot hold; it keeps the one of before.
    stale: Vec<String>,
    told: Told,
}

impl Reading {
    fn with(listed: BTreeMap<Vec<u8>, Listed>) -> Result<Self, String> {
        let text = |(key, listed)| Some((String::from_utf8(key).ok()?, listed));
        let listed: Option<_> = listed.into_iter().map(text).collect();
        let listed = listed.ok_or("the list of what was converted names a key that is no text")?;
        Ok(Self { listed, ..Self::default() })
    }

    fn seen(&mut self, key: Vec<u8>, value: Vec<u8>, lease: i64) {
        if key == OWN_KEY.as_bytes() {
            return;
        }
        let key = match String::from_utf8(key) {
            Ok(key) => key,
            Err(error) => return self.told.note(Kind::NoText, error.as_bytes()),
        };
        let before = self.listed.remove(&key);
        if let Some(kind) = Kind::of(&key) {
            return self.told.note(kind, key.as_bytes());
        }
        let same = before.is_some_and(|listed| listed.digest == digest(&value));
        let Ok(value) = String::from_utf8(value) else {
            self.told.note(Kind::ValueNoText, key.as_bytes());
            return self.stale.extend(before.map(|_| key));
        };
        let stays = lease == 0 && before.is_some_and(|listed| listed.expires.is_none());
        let value = Some(value).filter(|_| !(same && stays));
        self.held.insert(key, Held { value, lease, before, same });
    }

    fn leases(&self) -> Vec<i64> {
        let leases = self.held.values().map(|held| held.lease).filter(|lease| *lease != 0);
        leases.collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn judged(mut self, ends: &Ends, now: i64) -> (Changes, Told) {
        self.drop_ended(ends);
        let mut changes = Changes::default();
        let directories: HashSet<String> =
            self.held.keys().flat_map(|key| above(key)).map(str::to_owned).collect();
        let Self { listed, held, stale, told } = &mut self;
        held.retain(|key, held| {
            let directory = directories.contains(key);
            if directory {
                told.note(Kind::Directory, key.as_bytes());
                changes.deletes.extend(held.before.map(|_| key.clone()));
            }
            !directory
        });
        // No key can be written where one stands above or below it.
        let in_the_way = |key: &str| {
            directories.contains(key) || above(key).any(|above| held.contains_key(above))
        };
        // Those whose time has come go by themselves, but perhaps not before the others are written.
        let gone = std::mem::take(listed)
            .into_iter()
            .filter(|(key, listed)| listed.expires.is_none_or(|at| at > now) || in_the_way(key));
        changes.deletes.extend(gone.map(|(key, _)| key));
        changes.deletes.extend(std::mem::take(stale).into_iter().filter(|key| in_the_way(key)));
        for (key, held) in std::mem::take(held) {
            let end = ends.get(&held.lease).copied();
            let changed = held.changed(end);
            let Some(value) = held.value.filter(|_| changed) else { continue };
            if end.is_some() {
                told.note(Kind::Leased, key.as_bytes());
            }
            changes.puts.push(Put { key, value, ttl: end.map(|end| end.left) });
        }
        (changes, self.told)
    }

    /// A lease that has ended since its keys were read took them with it.
    fn drop_ended(&mut self, ends: &Ends) {
        let Self { listed, held, .. } = self;
        held.retain(|key, held| {
            let there = held.lease == 0 || ends.contains_key(&held.lease);
            if let (false, Some(before)) = (there, held.before) {
                listed.insert(key.clone(), before);
            }
            there
        });
    }
}

/// The directories that a key is in: `/a` and `/a/b` of `/a/b/c`.
pub(super) fn above(key: &str) -> impl Iterator<Item = &str> {
    key.match_indices('/').skip(1).filter_map(|(at, _)| key.get(..at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_900_000_000_000;

    /// Key, value, and after how many milliseconds it expires.
    type Before<'a> = (&'a str, &'a str, Option<i64>);
    /// Key, value, and how many seconds are left to its lease.
    type Now<'a> = (&'a [u8], &'a [u8], Option<u64>);

    fn judged(before: &[Before<'_>], now: &[Now<'_>]) -> (Changes, Told) {
        let listed = |(key, value, expires): &Before<'_>| {
            let expires = expires.map(|after| NOW + after);
            (key.as_bytes().to_vec(), Listed { digest: digest(value.as_bytes()), expires })
        };
        let mut reading = Reading::with(before.iter().map(listed).collect()).unwrap();
        let (mut ends, mut lease) = (Ends::new(), -1);
        for (key, value, left) in now {
            let id = left.map_or(0, |left| {
                lease -= 1;
                ends.insert(lease, End::after(left, NOW));
                lease
            });
            reading.seen(key.to_vec(), value.to_vec(), id);
        }
        assert_eq!(reading.leases().len(), ends.len());
        reading.judged(&ends, NOW)
    }

    #[track_caller]
    fn check(
        before: &[Before<'_>],
        now: &[Now<'_>],
        puts: &[(&str, &str, Option<u64>)],
        deletes: &[&str],
    ) {
        let (changes, _) = judged(before, now);
        let found: Vec<_> =
            changes.puts.iter().map(|put| (&*put.key, &*put.value, put.ttl)).collect();
        assert_eq!(found, puts);
        assert_eq!(changes.deletes, deletes);
    }

    fn said(before: &[Before<'_>], now: &[Now<'_>]) -> String {
        let (changes, told) = judged(before, now);
        Saved { written: changes.puts.len(), deleted: changes.deletes.len(), told }.to_string()
    }

    #[test]
    fn new_changed_and_deleted_keys_are_found() {
        let before = [("/a", "1", None), ("/b", "2", None), ("/d/c", "3", None)];
        let now: [Now<'_>; 3] = [(b"/a", b"1", None), (b"/b", b"2", None), (b"/d/c", b"3", None)];
        check(&before, &now, &[], &[]);
        let now: [Now<'_>; 4] = [
            (b"/a", b"1", None),
            (b"/b", b"9", None),
            (b"/n", b"", None),
            (b"quorate/v3-state", b"x", None),
        ];
        check(&before, &now, &[("/b", "9", None), ("/n", "", None)], &["/d/c"]);
        assert_eq!(
            said(&before, &[(b"/a", b"9", None)]),
            "1 written, 2 deleted since the conversion"
        );
    }

    #[test]
    fn what_has_expired_is_left_to_the_v2_store() {
        let before = [("/a", "1", Some(-1)), ("/b", "2", Some(0)), ("/c", "3", Some(1))];
        check(&before, &[], &[], &["/c"]);
    }

    #[test]
    fn a_time_to_live_goes_on_unless_it_was_kept_alive() {
        let before = [("/a", "1", Some(60_000))];
        for (left, puts) in [(1, false), (60, false), (70, false), (71, true)] {
            let put = [("/a", "1", Some(left))];
            check(&before, &[(b"/a", b"1", Some(left))], if puts { &put } else { &[] }, &[]);
        }
        check(&before, &[(b"/a", b"2", Some(5))], &[("/a", "2", Some(5))], &[]);
    }

    #[test]
    fn a_key_that_became_permanent_or_passing_is_put() {
        check(&[("/a", "1", Some(60_000))], &[(b"/a", b"1", None)], &[("/a", "1", None)], &[]);
        check(&[("/a", "1", None)], &[(b"/a", b"1", Some(0))], &[("/a", "1", Some(0))], &[]);
        let now: [Now<'_>; 2] = [(b"/a", b"1", Some(7)), (b"/n", b"", Some(7))];
        let said = said(&[("/a", "1", None)], &now);
        assert_eq!(
            said,
            "2 written, 0 deleted since the conversion; 2 keys with a lease, which keep what is left of it as a time to live and cannot be kept alive by it"
        );
    }

    #[test]
    fn a_lease_that_ended_while_it_was_read_took_its_keys_along() {
        let listed = |expires| Listed { digest: digest(b"1"), expires };
        for (before, deletes) in [
            (None, &[] as &[&str]),
            (Some(listed(None)), &["/a"]),
            (Some(listed(Some(NOW - 1))), &[]),
            (Some(listed(Some(NOW + 9))), &["/a"]),
        ] {
            let mut reading = Reading::default();
            reading.listed.extend(before.map(|listed| ("/a".to_owned(), listed)));
            reading.seen(b"/a".to_vec(), b"1".to_vec(), 7);
            let (changes, _) = reading.judged(&Ends::new(), NOW);
            assert!(changes.puts.is_empty());
            assert_eq!(changes.deletes, deletes);
        }
    }

    #[test]
    fn what_a_v2_store_cannot_hold_is_told_and_not_written() {
        let now: [Now<'_>; 8] = [
            (b"a", b"", None),
            (b"b; c", b"", None),
            (b"/", b"", None),
            (b"/x/", b"", None),
            (b"/x/../y", b"", None),
            (b"\xff", b"", None),
            (b"/v", b"\xff", None),
            (b"/w", b"\xff", None),
        ];
        let said = said(&[("/v", "1", None)], &now);
        assert_eq!(
            said.split("; ").collect::<Vec<_>>(),
            [
                "0 written, 0 deleted since the conversion",
                "1 key whose name is no text in UTF-8 (ff in hexadecimal digits)",
                "2 keys that do not begin with a slash (`a`, `b, c`)",
                "2 keys with an empty part in their path (`/`, `/x/`)",
                "1 key with `.` or `..` as a part of its path (`/x/../y`)",
                "2 keys whose value is no text in UTF-8 and which stay as they were before (`/v`, `/w`)",
            ]
        );
    }

    #[test]
    fn a_key_that_is_a_directory_as_well_is_told_and_makes_room() {
        let now: [Now<'_>; 3] = [(b"/a", b"1", None), (b"/a-b", b"", None), (b"/a/b", b"2", None)];
        check(&[("/a", "1", None)], &now, &[("/a-b", "", None), ("/a/b", "2", None)], &["/a"]);
        check(&[("/a/b", "2", None)], &now, &[("/a-b", "", None)], &[]);
        assert!(
            said(&[], &now).contains("; 1 key that is a directory of other keys as well (`/a`)")
        );
        // `/a/` is none that a v2 store could hold, so that it takes no place.
        check(&[], &[(b"/a", b"1", None), (b"/a/", b"", None)], &[("/a", "1", None)], &[]);
    }

    #[test]
    fn what_stands_in_the_way_is_deleted_even_if_it_expires_by_itself() {
        check(&[("/a", "1", Some(-1))], &[(b"/a/b", b"", None)], &[("/a/b", "", None)], &["/a"]);
        check(
            &[("/a/b/c", "1", Some(-1))],
            &[(b"/a", b"", None)],
            &[("/a", "", None)],
            &["/a/b/c"],
        );
        check(
            &[("/a", "1", None)],
            &[(b"/a", b"\xff", None), (b"/a/b", b"", None)],
            &[("/a/b", "", None)],
            &["/a"],
        );
    }
}
