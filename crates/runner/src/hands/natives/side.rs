//! One etcd member that is asked for what it holds, over its JSON gateway and over gRPC.
//!
//! Invariant: pages of one list are read at the revision of the first, and from this member only: others that hold something
//! else are not asked.

use super::{super::live::LiveHands, Asked, scratch::Scratch};
use crate::hands::call::first_line;
use base64::{Engine, engine::general_purpose::STANDARD};
use quorate_model::NodeName;
use quorate_transport::http::{
    GrpcCall, GrpcStream, HttpClient, HttpRequest, HttpResponse, Pieces,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::PathBuf, sync::OnceLock, time::Duration};

/// Counting walks an index in memory: seconds for tens of millions of keys.
const COUNT_LIMIT: Duration = Duration::from_secs(20);
/// Eight gigabytes, the largest store that upstream recommends, hashed at 80 MiB/s.
const HASH_LIMIT: Duration = Duration::from_secs(100);
/// The member that leads knows it, and a member may wait for an election before it asks that one.
const LEASE_LIMIT: Duration = Duration::from_secs(10);
/// The gateway's own path: another one on each line, and the scratch member may run another line than the cluster.
const GATEWAYS: [&str; 3] = ["v3", "v3beta", "v3alpha"];

/// Keys of the first question; half as many are asked for as often as an answer is too long: a gateway takes 4 MiB at a time on
/// releases before the middle of 2021.
const PAGE: u32 = 500;
/// Twice as many are asked for after an answer that is shorter than this: before 3.5 a member looks at all its keys for every
/// page, so that many small pages of a large store take minutes.
const SHORT_BYTES: usize = 1024 * 1024;
/// A part of what is said of an answer that is too long: by a gateway of etcd, and by this program's own limit.
const TOO_LONG: [&str; 2] = ["larger than max", "is longer than"];

/// A member that is asked for what it holds.
#[derive(Clone)]
pub(super) struct Side<'a> {
    pub(super) http: &'a HttpClient,
    pub(super) url: String,
    via: Option<PathBuf>,
    /// The path that the first answer came from.
    gateway: OnceLock<&'static str>,
}

impl<'a> Side<'a> {
    /// The member that a node declares.
    pub(super) async fn live(asked: &Asked<'a>) -> Result<Self, String> {
        Self::at(asked, live_endpoint(asked.hands, asked.node)?).await
    }

    /// A member of the cluster at this address of the action's node.
    pub(super) async fn at(asked: &Asked<'a>, url: String) -> Result<Self, String> {
        let Asked { hands, node, releases, .. } = *asked;
        let release = hands.running(node);
        let http = hands.http(release.as_ref().or(releases.first().copied()));
        let via = hands.tunnel(node, &url).await?;
        Ok(Self { http, url, via, gateway: OnceLock::new() })
    }

    /// A scratch member, asked by whoever asks.
    pub(super) fn of(http: &'a HttpClient, scratch: &Scratch) -> Self {
        Self { http, url: scratch.url.clone(), via: None, gateway: OnceLock::new() }
    }

    /// How many keys there were at a revision; 0 is now.
    pub(super) async fn count(&self, revision: u64) -> Result<u64, String> {
        // From the first key on, without an end; only their number.
        let body = json!({"key": "AA==", "range_end": "AA==", "count_only": true, "revision": revision.to_string()});
        let said = self.range(&body).await?;
        number(&said, "count").ok_or_else(|| format!("{} counts no keys: {said}", self.url))
    }

    /// Asks for a range of keys.
    pub(super) async fn range(&self, body: &Value) -> Result<Value, String> {
        self.posted(body, COUNT_LIMIT, |url| HttpRequest::new("POST", url).reads_only(), "kv/range")
            .await
    }

    /// Asks for something that changes the member.
    pub(super) async fn change(
        &self,
        path: &str,
        body: &Value,
        limit: Duration,
    ) -> Result<Value, String> {
        self.posted(body, limit, |url| HttpRequest::new("POST", url), path).await
    }

    /// Seconds that are left of a lease; none of one that has ended.
    pub(super) async fn lease(&self, id: i64) -> Result<Option<u64>, String> {
        let body = json!({"ID": id.to_string()});
        let read = |url| HttpRequest::new("POST", url).reads_only();
        // Releases from 3.4 on have it without `kv/`, too; 3.3 has it only here.
        let said = self.posted(&body, LEASE_LIMIT, read, "kv/lease/timetolive").await?;
        let left = signed(&said, "TTL").ok_or_else(|| {
            format!("{} does not say what is left of lease {id}: {said}", self.url)
        })?;
        Ok(u64::try_from(left).ok())
    }

    /// Sends a request to another API of this member. A status other than 2xx is an answer, too.
    pub(super) async fn sent(
        &self,
        request: HttpRequest,
        limit: Duration,
    ) -> Result<HttpResponse, String> {
        self.http.send(&request.via(self.via.clone()), limit).await.into_result()
    }

    async fn posted(
        &self,
        body: &Value,
        limit: Duration,
        request: fn(String) -> HttpRequest,
        path: &str,
    ) -> Result<Value, String> {
        let known = self.gateway.get().map(std::slice::from_ref);
        for gateway in known.unwrap_or(&GATEWAYS).iter().copied() {
            let request = request(format!("{}/{gateway}/{path}", self.url)).json(body.to_string());
            let answer = self.http.send(&request.via(self.via.clone()), limit).await;
            let answer = answer.into_result()?;
            let said = answer.json().filter(Value::is_object);
            if answer.status == 404 && said.is_none() {
                continue;
            }
            let _ = self.gateway.set(gateway);
            let said = said.filter(|_| answer.ok());
            return said.ok_or_else(|| format!("{}: {}", self.url, first_line(&answer.text())));
        }
        Err(format!("{} has no JSON gateway: {} are not there", self.url, GATEWAYS.join(", ")))
    }

    /// The hash of everything up to a revision.
    pub(super) async fn hash(&self, revision: u64) -> Result<u64, String> {
        // HashKVRequest is {revision = 1}, HashKVResponse {hash = 2}.
        self.ask("Maintenance/HashKV", vec![revision], ("hash", &[2]), HASH_LIMIT).await
    }

    /// A number of an answer over gRPC, by its field numbers from the outside in.
    pub(super) async fn ask(
        &self,
        method: &str,
        request: Vec<u64>,
        (name, field): (&str, &[u32]),
        limit: Duration,
    ) -> Result<u64, String> {
        let call = GrpcCall {
            url: self.url.clone(),
            method: format!("etcdserverpb.{method}"),
            request,
            answer: BTreeMap::from([(name.to_owned(), field.to_vec())]),
            via: self.via.clone(),
        };
        let said = self.http.grpc(&call, limit).await.into_result()?;
        said.get(name).copied().ok_or_else(|| format!("{} gave no {name}", self.url))
    }

    /// A snapshot as the member streams it; every wait ends after `idle`.
    pub(super) fn snapshot(&self, idle: Duration) -> Pieces {
        let call = GrpcStream {
            url: self.url.clone(),
            method: "etcdserverpb.Maintenance/Snapshot".to_owned(),
            // SnapshotResponse is {header = 1, remaining_bytes = 2, blob = 3}, the same from 3.0 to 3.7.
            part: 3,
            left: 2,
            via: self.via.clone(),
        };
        self.http.grpc_pieces(&call, idle)
    }

    /// Every key that this member holds by itself, in order, page by page.
    pub(super) fn pages(&self, keys_only: bool) -> Pages<'_> {
        let from = Some("AA==".to_owned());
        Pages {
            side: self,
            keys_only,
            serializable: true,
            from,
            page: PAGE,
            grows: true,
            revision: 0,
        }
    }

    /// Every key and value as of now: the member first hears from the others how far they are, so that nothing that was
    /// acknowledged before is missed.
    pub(super) fn newest(&self) -> Pages<'_> {
        Pages { serializable: false, ..self.pages(false) }
    }
}

/// A list of keys that is being read.
pub(super) struct Pages<'a> {
    side: &'a Side<'a>,
    keys_only: bool,
    serializable: bool,
    /// Where the next page begins; none after the last.
    from: Option<String>,
    page: u32,
    /// No answer was too long yet.
    grows: bool,
    /// Of the first page, and so of all; 0 before it.
    pub(super) revision: u64,
}

impl Pages<'_> {
    /// The next page; none after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Value>>, String> {
        let Some(from) = self.from.take() else { return Ok(None) };
        let mut said = loop {
            let body = json!({
                "key": from,
                "range_end": "AA==",
                "limit": self.page.to_string(),
                "serializable": self.serializable,
                "keys_only": self.keys_only,
                "revision": self.revision.to_string(),
            });
            match self.side.range(&body).await {
                Err(because)
                    if self.page > 1 && TOO_LONG.iter().any(|part| because.contains(part)) =>
                {
                    self.page /= 2;
                    self.grows = false;
                }
                said => break said?,
            }
        };
        if self.revision == 0 {
            let header = said.get("header").and_then(|header| number(header, "revision"));
            self.revision = header.ok_or_else(|| format!("no revision can be read from {said}"))?;
        }
        let more = said.get("more") == Some(&Value::Bool(true));
        let Some(Value::Array(kvs)) = said.get_mut("kvs").map(Value::take) else {
            return Ok(Some(Vec::new()));
        };
        if let Some(last) = kvs.last().filter(|_| more) {
            // The next one after it: the same with a zero byte at its end.
            let mut key =
                bytes(last, "key").ok_or_else(|| format!("no key can be read from {last}"))?;
            key.push(0);
            self.from = Some(STANDARD.encode(key));
        }
        let length = |kv: &Value, name| kv.get(name).and_then(Value::as_str).map_or(0, str::len);
        let bytes: usize = kvs.iter().map(|kv| length(kv, "key") + length(kv, "value")).sum();
        if self.grows && bytes < SHORT_BYTES {
            self.page = self.page.saturating_mul(2);
        }
        Ok(Some(kvs))
    }
}

/// A number of an answer: the gateway writes them as text, and leaves out what is zero.
pub(super) fn number(of: &Value, name: &str) -> Option<u64> {
    of.get(name).map_or(Some(0), |number| number.as_str()?.parse().ok())
}

/// The same of one that may be less than zero, as the ids of leases may that clients have chosen.
pub(super) fn signed(of: &Value, name: &str) -> Option<i64> {
    of.get(name).map_or(Some(0), |number| number.as_str()?.parse().ok())
}

/// Bytes of an answer: the gateway leaves out what is empty.
pub(super) fn bytes(of: &Value, name: &str) -> Option<Vec<u8>> {
    STANDARD.decode(of.get(name).map_or(Some(""), Value::as_str)?).ok()
}

/// Where clients reach the member of a node.
pub(super) fn live_endpoint(hands: &LiveHands, node: &NodeName) -> Result<String, String> {
    let declared = hands.node(node).ok_or_else(|| format!("there is no node {node}"))?;
    declared
        .endpoints
        .get("client")
        .cloned()
        .ok_or_else(|| format!("{node} declares no client endpoint"))
}
