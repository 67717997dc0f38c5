//! Consul's snapshots: saved over HTTP, read by its own tool, and proved by a restore into a scratch server.
//!
//! Invariant: what is compared is what the copy can know: entries of the store up to the snapshot's own index.

use super::{
    Asked, keep,
    scratch::{self, Scratch},
};
use quorate_transport::{
    Command,
    http::{HttpClient, HttpRequest},
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

/// A store of some hundred megabytes, listed over loopback.
const LIST_LIMIT: Duration = Duration::from_secs(120);

/// An entry of the store: when it was written, and what it holds.
type Entries = BTreeMap<String, (u64, [u8; 32])>;

/// Saves a snapshot piece by piece; a file that is not whole never gets the copy's name.
pub(super) async fn save(asked: Asked<'_>, limit: Duration) -> Result<String, String> {
    let (file, endpoint) = (asked.hands.state_file(asked.arg("file")?), asked.arg("endpoint")?);
    let via = asked.hands.tunnel(asked.node, endpoint).await?;
    let request = HttpRequest::get(format!("{endpoint}/v1/snapshot")).via(via);
    let http = asked.hands.http(asked.releases.first().copied());
    match keep(&file, http.stream(&request, limit)).await? {
        0 => Err(format!("{endpoint} gave an empty snapshot")),
        bytes => Ok(format!("{bytes} bytes")),
    }
}

/// Inspects a snapshot, restores it into a scratch server of the release that it was taken on, and compares the store.
pub(super) async fn verify(asked: Asked<'_>) -> Result<String, String> {
    let file = asked.hands.state_file(asked.arg("file")?);
    let tool = asked.hands.own_tools(asked.releases).await?.join("consul");
    let words = |more: &[&str]| {
        let own = [tool.display().to_string(), "snapshot".to_owned()];
        Command::new(own.into_iter().chain(more.iter().map(|word| (*word).to_owned())))
    };
    let path = file.display().to_string();
    let said = scratch::run(&words(&["inspect", &path])).await?;
    let index = index(&said)?;
    let scratch = start(&tool).await?;
    let address = format!("-http-addr={}", scratch.url);
    let restore = words(&["restore", &address, &path]);
    let compared = match scratch::run(&restore).await {
        Ok(_) => compare(&asked, &scratch, index).await,
        Err(because) => Err(because),
    };
    scratch::end(scratch).await;
    compared
}

async fn start(tool: &Path) -> Result<Scratch, String> {
    let folder =
        tempfile::tempdir().map_err(|error| format!("cannot make a scratch folder: {error}"))?;
    let (http, server, gossip) =
        (scratch::free_port()?, scratch::free_port()?, scratch::free_port()?);
    let settings = serde_json::json!({
        "server": true, "bootstrap_expect": 1, "node_name": "scratch",
        "data_dir": folder.path().join("data"),
        "bind_addr": "127.0.0.1", "client_addr": "127.0.0.1",
        "ports": { "http": http, "dns": -1, "server": server, "serf_lan": gossip, "serf_wan": scratch::free_port()? },
        "performance": { "raft_multiplier": 1 }, "disable_update_check": true,
    });
    let file = folder.path().join("settings.json");
    tokio::fs::write(&file, settings.to_string())
        .await
        .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    let words = vec!["agent".to_owned(), format!("-config-file={}", file.display())];
    let url = format!("http://127.0.0.1:{http}");
    let scratch = scratch::start(tool, folder, words, url).await?;
    // An address in quotes once there is a leader, two quotes before.
    scratch::serves(scratch, "/v1/status/leader", |answer| answer.trim().contains(':')).await
}

/// The index of a snapshot, as the tool prints it: `Index           15`.
fn index(said: &str) -> Result<u64, String> {
    let line = said.lines().find_map(|line| line.trim().strip_prefix("Index"));
    line.and_then(|rest| rest.trim().parse().ok())
        .ok_or_else(|| format!("`consul snapshot inspect` names no index: {}", said.trim()))
}

async fn compare(asked: &Asked<'_>, scratch: &Scratch, index: u64) -> Result<String, String> {
    let endpoint = asked.arg("endpoint")?;
    let anonymous = HttpClient::new(None, None).map_err(|error| error.to_string())?;
    let copy = entries(&anonymous, &scratch.url, None).await?;
    let via = asked.hands.tunnel(asked.node, endpoint).await?;
    let live = entries(asked.hands.http(asked.releases.first().copied()), endpoint, via).await?;
    differ(&copy, &live, index)
}

async fn entries(
    http: &HttpClient,
    endpoint: &str,
    via: Option<PathBuf>,
) -> Result<Entries, String> {
    let url = format!("{endpoint}/v1/kv/?recurse=true&consistent=true");
    let request = HttpRequest::get(url).via(via);
    let answer = http.send(&request, LIST_LIMIT).await.into_result()?;
    if answer.status == 404 {
        return Ok(Entries::new());
    }
    let body = answer.json().filter(Value::is_array);
    let body = body.ok_or_else(|| format!("{endpoint} lists no keys: status {}", answer.status))?;
    let entry = |one: &Value| {
        let value = one.get("Value")?.as_str().unwrap_or_default();
        let at = one.get("ModifyIndex")?.as_u64()?;
        Some((one.get("Key")?.as_str()?.to_owned(), (at, Sha256::digest(value).into())))
    };
    let all = body.as_array().into_iter().flatten();
    all.map(|one| entry(one).ok_or_else(|| "an entry of the store has no key".to_owned())).collect()
}

/// Every entry of the cluster that was written up to the snapshot must be in the copy as it is. Entries that the copy has
/// beyond them were changed or removed since.
fn differ(copy: &Entries, live: &Entries, index: u64) -> Result<String, String> {
    let old = || live.iter().filter(|(_, (at, _))| *at <= index);
    let wrong = old().find(|(key, entry)| copy.get(*key) != Some(*entry));
    if let Some((key, _)) = wrong {
        return Err(format!(
            "the restored copy does not hold `{key}` as the cluster does, which wrote it before index {index}"
        ));
    }
    let (same, changed) = (old().count(), copy.len().saturating_sub(old().count()));
    let since = match changed {
        0 => String::new(),
        some => format!("; {some} more were changed or removed since"),
    };
    Ok(format!(
        "inspected and restored into a scratch server: {} keys at index {index}, {same} of them as in the cluster{since}",
        copy.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(of: &[(&str, u64, u8)]) -> Entries {
        of.iter().map(|(key, at, value)| ((*key).to_owned(), (*at, [*value; 32]))).collect()
    }

    #[test]
    fn the_index_is_read_from_what_the_tool_prints() {
        let said = "ID           2-15-1\nSize         4061\nIndex        15\nTerm         2\nVersion      1\n";
        assert_eq!(index(said), Ok(15));
        assert!(index("Error reading").unwrap_err().contains("names no index"));
    }

    #[test]
    fn only_what_the_copy_can_know_is_held_against_it() {
        let copy = store(&[("a", 3, 1), ("b", 5, 2), ("gone", 4, 9)]);
        let later = store(&[("a", 3, 1), ("b", 12, 7), ("new", 11, 1)]);
        let said = differ(&copy, &later, 10).unwrap();
        assert!(said.contains("3 keys") && said.contains("1 of them") && said.contains("2 more"));
        for wrong in [&[("a", 3, 2)], &[("a", 4, 1)], &[("lost", 9, 1)]] {
            assert!(differ(&copy, &store(wrong), 10).is_err(), "{wrong:?}");
        }
    }
}
