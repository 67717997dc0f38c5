//! What a v2 store cannot hold of what clients have written, in clauses for people.
//!
//! Invariant: a clause holds no `; `, which parts it from the next one, whatever keys are called.

use super::listed::shown;
use std::collections::BTreeMap;

/// Names of a kind that a person is shown; the number is told beside them.
const NAMED: usize = 3;

/// Why a v2 store cannot hold a key as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    NoText,
    NoSlash,
    EmptyPart,
    Dots,
    ValueNoText,
    /// It cannot be a key and a directory.
    Directory,
    /// It can, but not all that the lease means.
    Leased,
}

impl Kind {
    /// What a key's name is against, if anything. Parts that are dots are resolved before the v2 API sees them.
    pub(super) fn of(key: &str) -> Option<Self> {
        let Some(path) = key.strip_prefix('/') else { return Some(Self::NoSlash) };
        let any = |found: fn(&str) -> bool| path.split('/').any(found);
        if any(str::is_empty) {
            return Some(Self::EmptyPart);
        }
        any(|part| matches!(part, "." | "..")).then_some(Self::Dots)
    }

    fn text(self, one: bool) -> &'static str {
        match (self, one) {
            (Self::NoText, _) => "whose name is no text in UTF-8",
            (Self::NoSlash, true) => "that does not begin with a slash",
            (Self::NoSlash, false) => "that do not begin with a slash",
            (Self::EmptyPart, true) => "with an empty part in its path",
            (Self::EmptyPart, false) => "with an empty part in their path",
            (Self::Dots, true) => "with `.` or `..` as a part of its path",
            (Self::Dots, false) => "with `.` or `..` as a part of their path",
            (Self::ValueNoText, true) => {
                "whose value is no text in UTF-8 and which stays as it was before"
            }
            (Self::ValueNoText, false) => {
                "whose value is no text in UTF-8 and which stay as they were before"
            }
            (Self::Directory, true) => "that is a directory of other keys as well",
            (Self::Directory, false) => "that are directories of other keys as well",
            (Self::Leased, true) => {
                "with a lease, which keeps what is left of it as a time to live and cannot be kept alive by it"
            }
            (Self::Leased, false) => {
                "with a lease, which keep what is left of it as a time to live and cannot be kept alive by it"
            }
        }
    }
}

/// How many keys of each kind there are, and the first few of them.
#[derive(Debug, Default)]
pub(super) struct Told(BTreeMap<Kind, (u64, Vec<String>)>);

impl Told {
    pub(super) fn note(&mut self, kind: Kind, key: &[u8]) {
        let (number, first) = self.0.entry(kind).or_default();
        *number += 1;
        if first.len() < NAMED {
            first.push(within(key));
        }
    }

    /// A clause for each kind.
    pub(super) fn clauses(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(kind, (number, first))| {
            let keys = if *number == 1 { "key" } else { "keys" };
            let clause = format!("{number} {keys} {}", kind.text(*number == 1));
            // These lose the least, and there may be many: the number is enough.
            if *kind == Kind::Leased {
                return clause;
            }
            let more = if first.len() as u64 == *number { "" } else { ", …" };
            format!("{clause} ({}{more})", first.join(", "))
        })
    }
}

/// A key within a clause: on one line, and without what parts clauses.
pub(super) fn within(key: &[u8]) -> String {
    shown(key).replace(char::is_control, " ").replace("; ", ", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_v2_store_cannot_say() {
        for (key, kind) in [
            ("a", Some(Kind::NoSlash)),
            ("", Some(Kind::NoSlash)),
            ("/", Some(Kind::EmptyPart)),
            ("//a", Some(Kind::EmptyPart)),
            ("/a/", Some(Kind::EmptyPart)),
            ("/a//b", Some(Kind::EmptyPart)),
            ("/./a", Some(Kind::Dots)),
            ("/a/..", Some(Kind::Dots)),
            ("/a", None),
            ("/a/b…/.c/_d/... ?#%", None),
        ] {
            assert_eq!(Kind::of(key), kind, "{key}");
        }
    }

    #[test]
    fn keys_never_part_a_clause() {
        let mut told = Told::default();
        for key in ["; ", "a;\nb", "c", "d"] {
            told.note(Kind::NoSlash, key.as_bytes());
        }
        let clauses: Vec<String> = told.clauses().collect();
        assert_eq!(clauses, ["4 keys that do not begin with a slash (`, `, `a, b`, `c`, …)"]);
    }
}
