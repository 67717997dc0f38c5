//! Takes and proves etcd backups: restores them into a scratch member on this machine's loopback and compares it with the
//! live cluster.
//!
//! Invariant: the scratch member has its own token, its own ports and its own folder; the live cluster never hears of it.

use super::{
    super::live::LiveHands,
    Asked, keep,
    scratch::{self, ASK_LIMIT, Scratch},
    v2_keys::{V2Key, keys_of},
};
use crate::hands::call::first_line;
use quorate_model::NodeName;
use quorate_transport::{
    Command,
    http::{GrpcCall, GrpcStream, HttpClient, HttpRequest},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

/// Counting walks an index in memory: seconds for tens of millions of keys.
const COUNT_LIMIT: Duration = Duration::from_secs(20);
/// Eight gigabytes, the largest store that upstream recommends, hashed at 80 MiB/s.
const HASH_LIMIT: Duration = Duration::from_secs(100);

/// Saves a snapshot as the member streams it; a file that is not whole never gets the copy's name.
pub(super) async fn save(asked: Asked<'_>, limit: Duration) -> Result<String, String> {
    let live = Side::live(&asked).await?;
    let call = GrpcStream {
        url: live.url,
        method: "etcdserverpb.Maintenance/Snapshot".to_owned(),
        // SnapshotResponse is {header = 1, remaining_bytes = 2, blob = 3}, the same from 3.0 to 3.7.
        part: 3,
        left: 2,
        via: live.via,
    };
    let file = asked.hands.state_file(asked.arg("file")?);
    keep(&file, live.http.grpc_pieces(&call, limit)).await.map(|bytes| format!("{bytes} bytes"))
}

/// Restores a v3 snapshot and compares revision, number of keys and content hash with the live cluster.
pub(super) async fn snapshot(asked: Asked<'_>) -> Result<String, String> {
    let file = asked.hands.state_file(asked.arg("file")?);
    let tools = asked.hands.own_tools(asked.releases).await?;
    let folder =
        tempfile::tempdir().map_err(|error| format!("cannot make a scratch folder: {error}"))?;
    let (client, peer) = (scratch::free_port()?, scratch::free_port()?);
    let data = folder.path().join("data");
    let restorer =
        ["etcdutl", "etcdctl"].map(|name| tools.join(name)).into_iter().find(|tool| tool.is_file());
    let restorer =
        restorer.ok_or_else(|| format!("{} has neither etcdutl nor etcdctl", tools.display()))?;
    let peer_url = format!("http://127.0.0.1:{peer}");
    let words = [
        text(&restorer),
        "snapshot".into(),
        "restore".into(),
        text(&file),
        "--data-dir".into(),
        text(&data),
        "--name".into(),
        "scratch".into(),
        "--initial-cluster".into(),
        format!("scratch={peer_url}"),
        "--initial-cluster-token".into(),
        format!("scratch-{client}"),
        "--initial-advertise-peer-urls".into(),
        peer_url,
    ];
    scratch::run(&Command::new(words).env("ETCDCTL_API", "3")).await?;
    let words = [text(&tools.join("etcdctl")), "snapshot".into(), "status".into(), text(&file)];
    let status = Command::new(words.into_iter().chain(["-w".into(), "json".into()]));
    let status = scratch::run(&status.env("ETCDCTL_API", "3")).await?;
    let status: Value = serde_json::from_str(&status)
        .map_err(|error| format!("snapshot status is not JSON: {error}"))?;
    let revision = status
        .get("revision")
        .and_then(Value::as_u64)
        .ok_or("snapshot status names no revision")?;
    let scratch = start(&tools, folder, &data, (client, peer), &[]).await?;
    let outcome = compare_v3(&asked, &scratch, revision).await;
    scratch::end(scratch).await;
    outcome
}

/// Compares at the snapshot's own revision: the live cluster goes on taking writes meanwhile.
async fn compare_v3(asked: &Asked<'_>, scratch: &Scratch, revision: u64) -> Result<String, String> {
    let live = Side::live(asked).await?;
    // The restored data ask for the same user as the live ones.
    let copy = Side { url: scratch.url.clone(), via: None, ..live.clone() };
    let restored = copy.count(0).await?;
    let expected = live.count(revision).await?;
    if restored != expected {
        return Err(format!(
            "the restored copy holds {restored} keys, the cluster held {expected} at revision {revision}"
        ));
    }
    let hash = copy.hash(revision).await?;
    let live_hash = live.hash(revision).await?;
    if hash != live_hash {
        return Err(format!(
            "the restored copy has content hash {hash}, the cluster had {live_hash} at revision {revision}"
        ));
    }
    Ok(format!(
        "restored into a scratch member: {restored} keys at revision {revision}, content hash {hash} as in the cluster"
    ))
}

/// A member that is asked for what it holds.
#[derive(Clone)]
pub(super) struct Side<'a> {
    http: &'a HttpClient,
    url: String,
    via: Option<PathBuf>,
}

/// The gateway's own path: another one on each line, and the scratch member may run another line than the cluster.
const GATEWAYS: [&str; 3] = ["v3", "v3beta", "v3alpha"];

impl<'a> Side<'a> {
    /// The member that the copy is of.
    pub(super) async fn live(asked: &Asked<'a>) -> Result<Self, String> {
        let Asked { hands, node, releases, .. } = *asked;
        let url = live_endpoint(hands, node)?;
        let release = hands.running(node);
        let http = hands.http(release.as_ref().or(releases.first().copied()));
        let via = hands.tunnel(node, &url).await?;
        Ok(Self { http, url, via })
    }

    /// How many keys there were at a revision; 0 is now.
    async fn count(&self, revision: u64) -> Result<u64, String> {
        // From the first key on, without an end; only their number.
        let body = json!({"key": "AA==", "range_end": "AA==", "count_only": true, "revision": revision.to_string()});
        let said = self.range(&body).await?;
        number(&said, "count").ok_or_else(|| format!("{} counts no keys: {said}", self.url))
    }

    /// Asks for a range of keys.
    pub(super) async fn range(&self, body: &Value) -> Result<Value, String> {
        for gateway in GATEWAYS {
            let url = format!("{}/{gateway}/kv/range", self.url);
            let request = HttpRequest::new("POST", url).json(body.to_string()).reads_only();
            let answer =
                self.http.send(&request.via(self.via.clone()), COUNT_LIMIT).await.into_result()?;
            if answer.status == 404 {
                continue;
            }
            let said = answer.json().filter(|_| answer.ok());
            return said.ok_or_else(|| format!("{}: {}", self.url, first_line(&answer.text())));
        }
        Err(format!("{} has no JSON gateway: {} are not there", self.url, GATEWAYS.join(", ")))
    }

    /// The hash of everything up to a revision.
    async fn hash(&self, revision: u64) -> Result<u64, String> {
        let call = GrpcCall {
            url: self.url.clone(),
            // HashKVRequest is {revision = 1}, HashKVResponse {hash = 2}.
            method: "etcdserverpb.Maintenance/HashKV".to_owned(),
            request: vec![revision],
            answer: BTreeMap::from([("hash".to_owned(), vec![2])]),
            via: self.via.clone(),
        };
        let said = self.http.grpc(&call, HASH_LIMIT).await.into_result()?;
        said.get("hash").copied().ok_or_else(|| format!("{} gave no hash", self.url))
    }
}

/// A number of an answer: the gateway writes them as text, and leaves out what is zero.
pub(super) fn number(of: &Value, name: &str) -> Option<u64> {
    of.get(name).map_or(Some(0), |number| number.as_str()?.parse().ok())
}

fn live_endpoint(hands: &LiveHands, node: &NodeName) -> Result<String, String> {
    let declared = hands.node(node).ok_or_else(|| format!("there is no node {node}"))?;
    declared
        .endpoints
        .get("client")
        .cloned()
        .ok_or_else(|| format!("{node} declares no client endpoint"))
}

/// How the keys of a copy stand to those of the cluster.
type Comparison = fn(&BTreeMap<String, V2Key>, &BTreeMap<String, V2Key>) -> Result<String, String>;

/// Starts a copy of a v2 backup as a cluster of its own, and compares every key with the live cluster.
pub(super) async fn v2_backup(asked: Asked<'_>, compared: Comparison) -> Result<String, String> {
    let Asked { hands, node, releases, .. } = asked;
    let backup = hands.state_file(asked.arg("file")?);
    let tools = hands.own_tools(releases).await?;
    let folder =
        tempfile::tempdir().map_err(|error| format!("cannot make a scratch folder: {error}"))?;
    let data = folder.path().join("data");
    let copy =
        Command::new(["cp".to_owned(), "-a".into(), "--".into(), text(&backup), text(&data)]);
    scratch::run(&copy).await?;
    let (client, peer) = (scratch::free_port()?, scratch::free_port()?);
    let scratch =
        start(&tools, folder, &data, (client, peer), &["--force-new-cluster", "--enable-v2=true"])
            .await?;
    let outcome = compare_v2(hands, node, &scratch, compared).await;
    scratch::end(scratch).await;
    outcome
}

async fn compare_v2(
    hands: &LiveHands,
    node: &NodeName,
    scratch: &Scratch,
    compared: Comparison,
) -> Result<String, String> {
    let own = HttpClient::new(None, None).map_err(|error| error.to_string())?;
    let restored = v2_keys(&own, &scratch.url, None)
        .await?
        .ok_or("the scratch member does not serve the v2 API")?;
    let endpoint = live_endpoint(hands, node)?;
    let via = hands.tunnel(node, &endpoint).await?;
    let Some(live) = v2_keys(hands.http(None), &endpoint, via).await? else {
        // From 3.4 on the API is off unless it is switched on: nobody can change these keys, and nobody can read them.
        return Ok(format!(
            "restored into a scratch member: it serves {} v2 keys; the cluster's own v2 API is off",
            restored.len()
        ));
    };
    compared(&restored, &live)
}

/// Keys and values of the v2 store; none when the v2 API is off.
async fn v2_keys(
    http: &HttpClient,
    endpoint: &str,
    via: Option<PathBuf>,
) -> Result<Option<BTreeMap<String, V2Key>>, String> {
    let url = format!("{endpoint}/v2/keys/?recursive=true&quorum=true");
    let answer = http.send(&HttpRequest::get(url).via(via), ASK_LIMIT).await.into_result()?;
    if answer.status == 404 {
        return Ok(None);
    }
    let body = answer.json().ok_or("the v2 API answered without JSON")?;
    Ok(Some(keys_of(&body)))
}

async fn start(
    tools: &Path,
    folder: tempfile::TempDir,
    data: &Path,
    (client, peer): (u16, u16),
    more: &[&str],
) -> Result<Scratch, String> {
    let (client_url, peer_url) =
        (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
    let words = [
        "--name".into(),
        "scratch".into(),
        "--data-dir".into(),
        text(data),
        "--listen-client-urls".into(),
        client_url.clone(),
        "--advertise-client-urls".into(),
        client_url.clone(),
        "--listen-peer-urls".into(),
        peer_url.clone(),
        "--initial-advertise-peer-urls".into(),
        peer_url.clone(),
        "--initial-cluster".into(),
        format!("scratch={peer_url}"),
        "--initial-cluster-token".into(),
        format!("scratch-{client}"),
    ];
    let words = words.into_iter().chain(more.iter().map(|word| (*word).to_owned())).collect();
    let scratch = scratch::start(&tools.join("etcd"), folder, words, client_url).await?;
    scratch::serves(scratch, "/health", |answer| answer.contains("true")).await
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
