//! Compares the keys of a restored v2 copy with those of the live cluster.
//!
//! Invariant: only writes newer than everything in the copy may be missing. `etcdctl backup` of a running member leaves out
//! what its log does not mark as committed yet; a hole anywhere else means that the copy is not the cluster's data.

use serde_json::Value;
use std::collections::BTreeMap;

/// A key's value, and when it was last written, in the store's own count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct V2Key {
    value: String,
    modified: u64,
    /// It has a time to live, so it may be gone by itself.
    passing: bool,
}

/// Every key below the node of an answer of the v2 API.
pub(super) fn keys_of(body: &Value) -> BTreeMap<String, V2Key> {
    let mut keys = BTreeMap::new();
    let mut open: Vec<&Value> = body.get("node").into_iter().collect();
    while let Some(node) = open.pop() {
        open.extend(node.get("nodes").and_then(Value::as_array).into_iter().flatten());
        let text = |name: &str| node.get(name).and_then(Value::as_str).map(str::to_owned);
        if let (Some(key), Some(value)) = (text("key"), text("value")) {
            let modified = node.get("modifiedIndex").and_then(Value::as_u64).unwrap_or(0);
            let passing = node.get("ttl").is_some();
            keys.insert(key, V2Key { value, modified, passing });
        }
    }
    keys
}

/// How the copy stands to the cluster: a sentence when it proves, or why it does not.
pub(super) fn compare(
    restored: &BTreeMap<String, V2Key>,
    live: &BTreeMap<String, V2Key>,
) -> Result<String, String> {
    let until = restored.values().map(|key| key.modified).max().unwrap_or(0);
    let (mut missing, mut differing, mut newer) = (0, 0, 0);
    for (name, now) in live {
        match restored.get(name) {
            Some(then) if then.value == now.value => {}
            _ if now.modified > until => newer += 1,
            Some(_) => differing += 1,
            None => missing += 1,
        }
    }
    if restored.is_empty() && newer > 0 {
        return Err(format!(
            "the restored copy holds none of the {} keys of the cluster",
            live.len()
        ));
    }
    if differing > 0 || missing > 0 {
        return Err(format!(
            "{differing} keys differ and {missing} are missing in the restored copy of {}",
            live.len()
        ));
    }
    // Keys that only the copy holds were deleted, or their time to live has ended meanwhile.
    let tail = if newer == 0 {
        String::new()
    } else {
        format!("; the last {newer} writes before it are not in the copy")
    };
    Ok(format!(
        "restored into a scratch member: {} v2 keys as in the cluster{tail}",
        restored.len()
    ))
}

/// How a cluster stands to the copy that was put back on it: every key is there as in the copy, or was written since.
pub(super) fn compare_restored(
    copy: &BTreeMap<String, V2Key>,
    live: &BTreeMap<String, V2Key>,
) -> Result<String, String> {
    let until = copy.values().map(|key| key.modified).max().unwrap_or(0);
    let (mut missing, mut differing) = (0, 0);
    for (name, then) in copy {
        match live.get(name) {
            Some(now) if now.value == then.value || now.modified > until => {}
            Some(_) => differing += 1,
            None if then.passing => {}
            None => missing += 1,
        }
    }
    if differing > 0 || missing > 0 {
        return Err(format!(
            "{missing} keys of the copy are missing in the cluster and {differing} differ, of {}",
            copy.len()
        ));
    }
    Ok(format!("the cluster holds the {} v2 keys of the copy", copy.len()))
}

#[cfg(test)]
mod tests {
    use super::{compare, compare_restored, keys_of};
    use serde_json::{Value, json};

    fn store(keys: &[(&str, &str, u64)]) -> Value {
        let nodes: Vec<Value> =
            keys.iter().map(|(key, value, at)| json!({ "key": key, "value": value, "modifiedIndex": at, "createdIndex": at })).collect();
        json!({ "node": { "dir": true, "nodes": [{ "key": "/dir", "dir": true, "nodes": nodes }] } })
    }

    #[track_caller]
    fn check(restored: &[(&str, &str, u64)], live: &[(&str, &str, u64)], says: Result<&str, &str>) {
        let said = compare(&keys_of(&store(restored)), &keys_of(&store(live)));
        match (&said, says) {
            (Ok(text), Ok(part)) | (Err(text), Err(part)) => assert!(text.contains(part), "{text}"),
            _ => panic!("{said:?}"),
        }
    }

    #[test]
    fn a_copy_may_lack_only_the_last_writes() {
        check(
            &[("/dir/a", "1", 4), ("/dir/b", "2", 5)],
            &[("/dir/a", "1", 4), ("/dir/b", "2", 5)],
            Ok("2 v2 keys as in the cluster"),
        );
        check(
            &[("/dir/a", "1", 4)],
            &[("/dir/a", "1", 4), ("/dir/b", "2", 5)],
            Ok("the last 1 writes"),
        );
        check(
            &[("/dir/a", "1", 4), ("/dir/b", "2", 5)],
            &[("/dir/a", "9", 6), ("/dir/b", "2", 5)],
            Ok("the last 1 writes"),
        );
        check(&[("/dir/a", "1", 4), ("/dir/gone", "2", 5)], &[("/dir/a", "1", 4)], Ok("2 v2 keys"));
        check(&[], &[], Ok("0 v2 keys"));
    }

    #[test]
    fn a_copy_with_a_hole_does_not_prove() {
        check(
            &[("/dir/b", "2", 5)],
            &[("/dir/a", "1", 4), ("/dir/b", "2", 5)],
            Err("1 are missing"),
        );
        check(
            &[("/dir/a", "1", 4), ("/dir/b", "2", 5)],
            &[("/dir/a", "9", 4), ("/dir/b", "2", 5)],
            Err("1 keys differ"),
        );
        check(&[], &[("/dir/a", "1", 4)], Err("none of the 1 keys"));
    }

    #[test]
    fn a_cluster_that_got_its_copy_back_lacks_nothing_of_it() {
        let copy = keys_of(&store(&[("/dir/a", "1", 4), ("/dir/b", "2", 5)]));
        let back = |keys: &[(&str, &str, u64)]| compare_restored(&copy, &keys_of(&store(keys)));
        assert!(back(&[("/dir/a", "1", 4), ("/dir/b", "2", 5), ("/dir/c", "3", 9)]).is_ok());
        assert!(back(&[("/dir/a", "1", 4), ("/dir/b", "new", 7)]).is_ok(), "written since");
        assert!(back(&[]).unwrap_err().contains("2 keys of the copy are missing"));
        assert!(
            back(&[("/dir/a", "other", 3), ("/dir/b", "2", 5)]).unwrap_err().contains("1 differ")
        );
    }
}
