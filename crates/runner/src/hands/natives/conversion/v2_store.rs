//! Reads a v2 store as etcd writes it into a `.snap` file: every key, also the hidden ones, which the v2 API does not list.
//!
//! Invariant: a key ends with the first of its own time to live and those of all directories above it, as in the v2 store.
//! Absent on purpose: the file's checksum. etcd checks it before it uses the file itself, and what is read here is compared key
//! by key with what etcd made of it.

use jiff::Timestamp;
use prost::{
    DecodeError,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Where a store keeps the keys of its users, beside its members (`/0`) and its users and roles (`/2`).
const KEYS: &str = "/1";
/// Digits of the names that the store gives to keys that are created in order: `00000000000000000042`.
const ORDERED_DIGITS: usize = 20;
/// Names of a kind that a person is shown; the number is told beside them.
const NAMED: usize = 3;
/// Go's time that says that nothing was set: the first second of the first year.
const NEVER: i64 = -62_135_596_800;

/// A key of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) value: String,
    /// When it was last written, in the store's own count.
    pub(super) modified: u64,
    /// When it goes by itself.
    pub(super) expires: Option<Timestamp>,
}

/// Everything that a v2 store holds for its users.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct V2Store {
    /// By the path that users know.
    pub(super) keys: BTreeMap<String, Entry>,
    /// Directories that hold nothing.
    pub(super) empty: Vec<String>,
    /// Directories that have a time to live of their own.
    pub(super) ending: Vec<String>,
    /// Keys that no list of the v2 API shows: a part of their path begins with `_`.
    pub(super) hidden: Vec<String>,
    /// How many keys bear a number that the store gave them.
    pub(super) in_order: usize,
    /// Whether somebody made users or roles of the v2 API.
    pub(super) users: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    root: Node,
}

/// A node as Go writes it. A key has no children; a directory has a map of them, which may be empty.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    path: String,
    modified_index: u64,
    expire_time: Timestamp,
    value: String,
    children: Option<BTreeMap<String, Self>>,
}

impl V2Store {
    /// Reads a `.snap` file. It holds {crc = 1, data = 2}; data is {data = 1, metadata = 2}, and that data is the store's JSON.
    pub(super) fn of_snap(file: &[u8]) -> Result<Self, String> {
        let json = field(file, 2).and_then(|inner| field(inner, 1));
        Self::of_json(json.map_err(|because| format!("it is no snapshot of etcd's: {because}"))?)
    }

    fn of_json(json: &[u8]) -> Result<Self, String> {
        let saved: Saved = serde_json::from_slice(json)
            .map_err(|error| format!("the v2 store in it cannot be read: {error}"))?;
        let mut store = Self::default();
        for part in saved.root.children.into_iter().flat_map(BTreeMap::into_values) {
            match part.path.as_str() {
                KEYS => {
                    for node in part.children.into_iter().flat_map(BTreeMap::into_values) {
                        store.take(node, None);
                    }
                }
                "/2" => store.users = has_users(&part),
                _ => {}
            }
        }
        Ok(store)
    }

    /// Takes a node and everything below it, which ends with it at the latest. JSON that is nested deeper than the reader goes
    /// was refused before, so this does not go deep either.
    fn take(&mut self, node: Node, above: Option<Timestamp>) {
        let Node { path, modified_index: modified, expire_time, value, children } = node;
        let path = path.strip_prefix(KEYS).map(str::to_owned).unwrap_or(path);
        let own = Some(expire_time).filter(|time| time.as_second() != NEVER);
        let expires = [own, above].into_iter().flatten().min();
        let Some(children) = children else {
            if is_hidden(&path) {
                self.hidden.push(path.clone());
            }
            self.in_order += usize::from(is_ordered(&path));
            self.keys.insert(path, Entry { value, modified, expires });
            return;
        };
        if children.is_empty() {
            self.empty.push(path.clone());
        }
        if own.is_some() {
            self.ending.push(path);
        }
        for child in children.into_values() {
            self.take(child, expires);
        }
    }

    /// What a v3 store cannot say, in clauses for people.
    pub(super) fn unsayable(&self) -> Vec<String> {
        let Self { keys: _, empty, ending, hidden, in_order, users } = self;
        let directories = |number: usize| if number == 1 { "directory" } else { "directories" };
        let keys = |number: usize| if number == 1 { "key" } else { "keys" };
        let mut said = Vec::new();
        if !empty.is_empty() {
            let number = empty.len();
            said.push(format!("{number} empty {} ({})", directories(number), named(empty)));
        }
        if !ending.is_empty() {
            let number = ending.len();
            said.push(format!(
                "{number} {} with a time to live ({}): the keys that are there now end with it, those that come later do not",
                directories(number),
                named(ending)
            ));
        }
        if !hidden.is_empty() {
            let number = hidden.len();
            let become_ordinary = if number == 1 {
                "it becomes an ordinary key"
            } else {
                "they become ordinary keys"
            };
            said.push(format!(
                "{number} hidden {} ({}): {become_ordinary}",
                keys(number),
                named(hidden)
            ));
        }
        match in_order {
            0 => {}
            1 => {
                said.push("1 in-order key keeps its name, and nobody gives the next number".into())
            }
            _ => said.push(format!(
                "{in_order} in-order keys keep their names, and nobody gives the next number"
            )),
        }
        if *users {
            said.push("the users and roles of the v2 API".to_owned());
        }
        said
    }
}

/// The first few of them.
fn named(names: &[String]) -> String {
    let first: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    let more = if names.len() > NAMED { ", …" } else { "" };
    format!("{}{more}", first.join(", "))
}

fn is_hidden(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with('_'))
}

fn is_ordered(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.len() == ORDERED_DIGITS && name.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether there is more than etcd puts there by itself: a switch that is off, and the role of those who are nobody.
fn has_users(part: &Node) -> bool {
    fn any(node: &Node) -> bool {
        match (&node.children, node.path.as_str()) {
            (Some(children), _) => children.values().any(any),
            (None, "/2/enabled") => node.value == "true",
            (None, path) => path != "/2/roles/guest",
        }
    }
    any(part)
}

/// The bytes of a field of a message.
fn field(mut message: &[u8], wanted: u32) -> Result<&[u8], String> {
    let text = |error: DecodeError| error.to_string();
    while !message.is_empty() {
        let (number, wire) = decode_key(&mut message).map_err(text)?;
        if wire != WireType::LengthDelimited {
            skip_field(wire, number, &mut message, DecodeContext::default()).map_err(text)?;
            continue;
        }
        let length = decode_varint(&mut message).map_err(text)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some((part, rest)) = message.split_at_checked(length) else {
            return Err(format!("field {number} is longer than what is there"));
        };
        if number == wanted {
            return Ok(part);
        }
        message = rest;
    }
    Err(format!("there is no field {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NOBODY_SET_IT: &str = "0001-01-01T00:00:00Z";

    fn file(path: &str, value: &str, modified: u64, expires: &str) -> Value {
        json!({
            "Path": path, "CreatedIndex": modified, "ModifiedIndex": modified, "ExpireTime": expires,
            "Value": value, "Children": null,
        })
    }

    fn folder(path: &str, expires: &str, children: &[Value]) -> Value {
        let name = |child: &Value| {
            let path = child["Path"].as_str().unwrap_or_default();
            path.rsplit('/').next().unwrap_or_default().to_owned()
        };
        let children: serde_json::Map<_, _> =
            children.iter().map(|child| (name(child), child.clone())).collect();
        json!({
            "Path": path, "CreatedIndex": 0, "ModifiedIndex": 0, "ExpireTime": expires, "Value": "",
            "Children": children,
        })
    }

    fn store(keys: &[Value], security: &[Value]) -> V2Store {
        let of = |path: &str, children: &[Value]| folder(path, NOBODY_SET_IT, children);
        let members = of("/0", &[file("/0/version", "3.3.0", 3, NOBODY_SET_IT)]);
        let root = of("/", &[members, of("/1", keys), of("/2", security)]);
        let all = json!({"Root": root, "WatcherHub": {"EventHistory": {}}, "CurrentIndex": 99});
        V2Store::of_json(all.to_string().as_bytes()).unwrap()
    }

    fn at(text: &str) -> Option<Timestamp> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn keys_bear_the_path_that_users_know_and_say_when_they_end() {
        let keys = [
            file("/1/a", "1", 7, NOBODY_SET_IT),
            folder(
                "/1/d",
                NOBODY_SET_IT,
                &[file("/1/d/ü", "ö\n<&>", 8, "2030-01-01T01:00:00+01:00")],
            ),
        ];
        let store = store(&keys, &[]);
        let entry =
            |value: &str, modified, expires| Entry { value: value.into(), modified, expires };
        assert_eq!(store.keys.get("/a"), Some(&entry("1", 7, None)));
        assert_eq!(store.keys.get("/d/ü"), Some(&entry("ö\n<&>", 8, at("2030-01-01T00:00:00Z"))));
        assert_eq!(store.keys.len(), 2, "neither members nor directories are keys");
        assert!(store.unsayable().is_empty(), "{:?}", store.unsayable());
    }

    #[test]
    fn a_key_ends_with_the_first_of_itself_and_what_is_above_it() {
        let (early, late) = ("2030-01-01T00:00:00Z", "2031-01-01T00:00:00Z");
        let inner = |path: &str, expires: &str| {
            let own = |name: &str, expires: &str| file(&format!("{path}/{name}"), "", 9, expires);
            let keys = [own("never", NOBODY_SET_IT), own("early", early), own("late", late)];
            folder(path, expires, &keys)
        };
        let keys = [
            folder("/1/a", early, &[inner("/1/a/b", late)]),
            folder("/1/c", late, &[inner("/1/c/d", NOBODY_SET_IT)]),
        ];
        let store = store(&keys, &[]);
        let ends = |key: &str| store.keys.get(key).unwrap().expires;
        for name in ["never", "early", "late"] {
            assert_eq!(ends(&format!("/a/b/{name}")), at(early), "{name}");
        }
        assert_eq!(ends("/c/d/never"), at(late));
        assert_eq!(ends("/c/d/early"), at(early));
        assert_eq!(store.ending, ["/a", "/a/b", "/c"]);
    }

    #[test]
    fn what_a_v3_store_cannot_say_is_told() {
        let keys = [
            folder("/1/a", NOBODY_SET_IT, &[]),
            folder(
                "/1/q",
                NOBODY_SET_IT,
                &[file("/1/q/00000000000000000042", "", 42, NOBODY_SET_IT)],
            ),
            folder("/1/_h", NOBODY_SET_IT, &[file("/1/_h/k", "", 5, NOBODY_SET_IT)]),
            file("/1/_x", "", 6, NOBODY_SET_IT),
        ];
        let users =
            folder("/2/users", NOBODY_SET_IT, &[file("/2/users/root", "{}", 9, NOBODY_SET_IT)]);
        let store = store(&keys, &[users]);
        assert_eq!(store.keys.len(), 3);
        let said = store.unsayable().join("; ");
        for part in [
            "1 empty directory (/a)",
            "2 hidden keys (/_h/k, /_x): they become ordinary keys",
            "1 in-order key keeps its name",
            "users and roles",
        ] {
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn what_etcd_makes_by_itself_is_no_user() {
        let off = file("/2/enabled", "false", 4, NOBODY_SET_IT);
        let guest =
            folder("/2/roles", NOBODY_SET_IT, &[file("/2/roles/guest", "{}", 5, NOBODY_SET_IT)]);
        assert!(!store(&[], &[off, guest.clone(), folder("/2/users", NOBODY_SET_IT, &[])]).users);
        assert!(store(&[], &[file("/2/enabled", "true", 4, NOBODY_SET_IT), guest]).users);
    }

    #[test]
    fn many_names_are_cut_and_counted() {
        let keys: Vec<Value> =
            (0..5).map(|n| folder(&format!("/1/e{n}"), NOBODY_SET_IT, &[])).collect();
        assert_eq!(store(&keys, &[]).unsayable(), ["5 empty directories (/e0, /e1, /e2, …)"]);
    }

    #[test]
    fn a_snap_file_is_two_messages_around_json() {
        let wrapped = |number: u8, inner: &[u8]| {
            let mut message = vec![number << 3 | 2, u8::try_from(inner.len()).unwrap()];
            message.extend(inner);
            message
        };
        let root = br#"{"Root":{"Path":"/","ModifiedIndex":0,"ExpireTime":"0001-01-01T00:00:00Z","Value":"","Children":{}}}"#;
        let mut file = vec![1 << 3, 5];
        file.extend(wrapped(2, &wrapped(1, root)));
        assert_eq!(V2Store::of_snap(&file), Ok(V2Store::default()));
        file.pop();
        assert!(V2Store::of_snap(&file).unwrap_err().contains("longer than"));
        assert!(V2Store::of_snap(&[]).unwrap_err().contains("no field"));
    }
}
