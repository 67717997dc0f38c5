//! Proves etcd backups: restores them into a scratch member on loopback and compares it with the live cluster.
//!
//! Invariant: the scratch member has its own token, its own ports and its own folder; the live cluster never hears of it.

use super::{
    super::live::LiveHands,
    Asked,
    scratch::{self, ASK_LIMIT, SCRATCH_LIMIT, Scratch},
    v2_keys::{V2Key, keys_of},
};
use crate::hands::call::first_line;
use quorate_model::NodeName;
use quorate_transport::{
    Answer, Command,
    http::{HttpClient, HttpRequest},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Restores a v3 snapshot and compares revision, number of keys and content hash with the live cluster.
pub(super) async fn snapshot(asked: Asked<'_>) -> Result<String, String> {
    let Asked { hands, node, releases, .. } = asked;
    let file = hands.state_file(asked.arg("file")?);
    let tools = PathBuf::from(hands.tools(node, releases).await?);
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
    hands
        .run(node, &Command::new(words).env("ETCDCTL_API", "3"), SCRATCH_LIMIT)
        .await
        .into_result()?;
    let scratch = start(&tools, folder, &data, (client, peer), &[]).await?;
    let outcome = compare_v3(hands, node, &tools, &scratch, &file).await;
    scratch::end(scratch).await;
    outcome
}

/// Compares at the snapshot's own revision: the live cluster goes on taking writes meanwhile.
async fn compare_v3(
    hands: &LiveHands,
    node: &NodeName,
    tools: &Path,
    scratch: &Scratch,
    file: &Path,
) -> Result<String, String> {
    let status = Command::new([
        text(&tools.join("etcdctl")),
        "snapshot".into(),
        "status".into(),
        text(file),
        "-w".into(),
        "json".into(),
    ]);
    let status: Value = match hands.run(node, &status.env("ETCDCTL_API", "3"), SCRATCH_LIMIT).await
    {
        Answer::Done(printed) => serde_json::from_str(&printed)
            .map_err(|error| format!("snapshot status is not JSON: {error}"))?,
        Answer::Failed(because) | Answer::Unknown(because) => return Err(because),
    };
    let revision = status
        .get("revision")
        .and_then(Value::as_u64)
        .ok_or("snapshot status names no revision")?;
    let live = live_endpoint(hands, node)?;
    let restored = count(hands, tools, &scratch.url, None, false).await?;
    let expected = count(hands, tools, &live, Some(revision), true).await?;
    if restored != expected {
        return Err(format!(
            "the restored copy holds {restored} keys, the cluster held {expected} at revision {revision}"
        ));
    }
    let hash = hash_kv(hands, tools, &scratch.url, revision, false).await?;
    let live_hash = hash_kv(hands, tools, &live, revision, true).await?;
    if hash != live_hash {
        return Err(format!(
            "the restored copy has content hash {hash}, the cluster had {live_hash} at revision {revision}"
        ));
    }
    Ok(format!(
        "restored into a scratch member: {restored} keys at revision {revision}, content hash {hash} as in the cluster"
    ))
}

async fn etcdctl(
    hands: &LiveHands,
    tools: &Path,
    endpoint: &str,
    words: &[&str],
    live: bool,
) -> Result<Value, String> {
    let mut command = Command::new(
        [
            text(&tools.join("etcdctl")),
            "--endpoints".into(),
            endpoint.to_owned(),
            "-w".into(),
            "json".into(),
        ]
        .into_iter()
        .chain(words.iter().map(|word| (*word).to_owned())),
    )
    .env("ETCDCTL_API", "3");
    if let Some(tls) = hands.parts.cluster.tls.as_ref().filter(|_| live) {
        command = command.env("ETCDCTL_CACERT", text(&tls.ca));
        if let (Some(cert), Some(key)) = (&tls.cert, &tls.key) {
            command = command.env("ETCDCTL_CERT", text(cert)).env("ETCDCTL_KEY", text(key));
        }
    }
    // The restored data ask for the same user as the live ones.
    let command = hands.with_login(command)?;
    let node = hands
        .parts
        .cluster
        .nodes
        .first()
        .map(|node| node.name.clone())
        .ok_or("the cluster has no node")?;
    let printed = hands.run(&node, &command, ASK_LIMIT * 4).await.into_result()?;
    serde_json::from_str(printed.lines().next().unwrap_or_default())
        .map_err(|_| format!("etcdctl {} answered: {}", words.join(" "), first_line(&printed)))
}

async fn count(
    hands: &LiveHands,
    tools: &Path,
    endpoint: &str,
    revision: Option<u64>,
    live: bool,
) -> Result<u64, String> {
    let rev = format!("--rev={}", revision.unwrap_or(0));
    // One key and the count of all: `count` is in every answer of a range.
    let answer = etcdctl(
        hands,
        tools,
        endpoint,
        &["get", "", "--from-key", "--keys-only", "--limit=1", &rev],
        live,
    )
    .await?;
    Ok(answer.get("count").and_then(Value::as_u64).unwrap_or(0))
}

async fn hash_kv(
    hands: &LiveHands,
    tools: &Path,
    endpoint: &str,
    revision: u64,
    live: bool,
) -> Result<u64, String> {
    let rev = format!("--rev={revision}");
    let answer = etcdctl(hands, tools, endpoint, &["endpoint", "hashkv", &rev], live).await?;
    answer
        .get(0)
        .and_then(|one| one.pointer("/HashKV/hash").or_else(|| one.pointer("/hash_kv/hash")))
        .and_then(Value::as_u64)
        .ok_or_else(|| format!("etcdctl endpoint hashkv answered without a hash: {answer}"))
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
    let tools = PathBuf::from(hands.tools(node, releases).await?);
    let folder =
        tempfile::tempdir().map_err(|error| format!("cannot make a scratch folder: {error}"))?;
    let data = folder.path().join("data");
    let copy =
        Command::new(["cp".to_owned(), "-a".into(), "--".into(), text(&backup), text(&data)]);
    hands.run(node, &copy, SCRATCH_LIMIT).await.into_result()?;
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
    let restored =
        v2_keys(&own, &scratch.url).await?.ok_or("the scratch member does not serve the v2 API")?;
    let Some(live) = v2_keys(hands.http(None), &live_endpoint(hands, node)?).await? else {
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
) -> Result<Option<BTreeMap<String, V2Key>>, String> {
    let url = format!("{endpoint}/v2/keys/?recursive=true&quorum=true");
    let answer = http.send(&HttpRequest::get(url), ASK_LIMIT).await.into_result()?;
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
