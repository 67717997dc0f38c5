//! Takes and proves etcd backups: restores them into a scratch member on this machine's loopback and compares it with the
//! live cluster.
//!
//! Invariant: the scratch member has its own token, its own ports and its own folder; the live cluster never hears of it.

use super::{
    super::live::LiveHands,
    Asked, keep,
    scratch::{self, ASK_LIMIT, Scratch},
    side::{Side, live_endpoint},
    v2_keys::{V2Key, keys_of},
};
use quorate_model::NodeName;
use quorate_transport::{
    Command,
    http::{HttpClient, HttpRequest},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

/// Saves a snapshot as the member streams it; a file that is not whole never gets the copy's name.
pub(super) async fn save(asked: Asked<'_>, limit: Duration) -> Result<String, String> {
    let live = Side::live(&asked).await?;
    let file = asked.hands.state_file(asked.arg("file")?);
    keep(&file, live.snapshot(limit)).await.map(|bytes| format!("{bytes} bytes"))
}

/// Restores a v3 snapshot and compares revision, number of keys and content hash with the live cluster.
pub(super) async fn snapshot(asked: Asked<'_>) -> Result<String, String> {
    let file = asked.hands.state_file(asked.arg("file")?);
    let tools = asked.hands.own_tools(asked.releases).await?;
    let revision = revision(&tools, &file).await?;
    let scratch = restored(&tools, &file).await?;
    let outcome = compare_v3(&asked, &scratch, revision).await;
    scratch::end(scratch).await;
    outcome
}

/// The revision of a v3 snapshot.
async fn revision(tools: &Path, file: &Path) -> Result<u64, String> {
    let words = [text(&tools.join("etcdctl")), "snapshot".into(), "status".into(), text(file)];
    let status = Command::new(words.into_iter().chain(["-w".into(), "json".into()]));
    let status = scratch::run(&status.env("ETCDCTL_API", "3")).await?;
    let status: Value = serde_json::from_str(&status)
        .map_err(|error| format!("snapshot status is not JSON: {error}"))?;
    let revision = status.get("revision").and_then(Value::as_u64);
    revision.ok_or_else(|| "snapshot status names no revision".to_owned())
}

/// Restores a v3 snapshot into a scratch member of its own.
pub(super) async fn restored(tools: &Path, file: &Path) -> Result<Scratch, String> {
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
        text(file),
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
    start(tools, folder, &data, (client, peer), &[]).await
}

/// Compares at the snapshot's own revision: the live cluster goes on taking writes meanwhile.
async fn compare_v3(asked: &Asked<'_>, scratch: &Scratch, revision: u64) -> Result<String, String> {
    let live = Side::live(asked).await?;
    // The restored data ask for the same user as the live ones.
    let copy = Side::of(live.http, scratch);
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

/// Starts a member on a data folder, as a cluster of its own.
pub(super) async fn start(
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

pub(super) fn text(path: &Path) -> String {
    path.display().to_string()
}
