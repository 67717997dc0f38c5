//! Puts an etcd v2 backup back: on one member, forced into a cluster of its own, which the others then join, empty.
//!
//! Invariant: a member is started here only for what cannot be done to a stopped one, in its own place and with its own
//! settings, and stopped again; the plan's own step starts it for good.
//! Invariant: done twice it gives the same. A member that has joined is never emptied again: with two members the loss of
//! one would leave the other without a quorum.

use super::{super::live::LiveHands, Asked};
use crate::hands::{call::first_line, files::config_path, started::StartedWith};
use quorate_hosts::service;
use quorate_model::{NodeName, ProcessSpec, ServiceSpec};
use quorate_packs::config_text;
use quorate_transport::{
    Answer, Command, Transport, beside,
    http::{HttpClient, HttpRequest, HttpResponse},
};
use serde_json::{Value, json};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// A member reads its log before it serves: seconds for hundreds of megabytes, and a busy machine gets ten times that.
const SERVE_LIMIT: Duration = Duration::from_secs(60);
/// etcd takes no further member before the last one has been connected for five seconds (`unhealthy cluster`); it must
/// start and elect before that.
const ADD_LIMIT: Duration = Duration::from_secs(60);
/// Twice a second costs nothing, and loses at most half a second of an outage.
const EVERY: Duration = Duration::from_millis(500);
/// One small question to a member.
const ASK_LIMIT: Duration = Duration::from_secs(5);
/// Eight gigabytes from disk to disk, etcd's own limit for a store, at 40 MiB/s.
const COPY_LIMIT: Duration = Duration::from_secs(200);
/// `http://` or `https://` urls of one member, parted by commas.
const URLS: &str = "peer_urls";

/// Nothing stands where the copy goes: it was moved aside before. A log on a disk of its own gets its part of the copy.
const PUT: &str = r#"set -e
for place in "$2" "$3"; do
  if [ -n "$place" ] && [ -e "$place" ]; then echo "$place is there already" >&2; exit 1; fi
done
cp -a -- "$1" "$2"
if [ -n "$3" ]; then mv -- "$2/member/wal" "$3"; fi"#;

/// Puts the copy in place, and lets the member that holds it be its cluster's only one, under its own address.
pub(super) async fn restore(asked: Asked<'_>) -> Result<String, String> {
    let Asked { hands, node, .. } = asked;
    let file = asked.arg("file")?;
    // Put there before, where the member lives on another host.
    let backup = match hands.room(node).await? {
        Some(room) => room.join(file.trim_start_matches("{state}/")),
        None => hands.state_file(file),
    };
    let backup = backup.display().to_string();
    let (data, log) = (asked.arg("data_dir")?.to_owned(), asked.arg("wal_dir")?.to_owned());
    let words = ["sh", "-c", PUT, "put"].map(str::to_owned);
    let copy = Command::new(words.into_iter().chain([backup, data, log]));
    hands.run(node, &copy, COPY_LIMIT).await.into_result()?;
    let api = Members::of(asked, own_endpoint(hands, node)?)?;
    let peers = peer_urls(asked)?;
    let forced = Started::with(hands, node, &[("force-new-cluster", "true")]).await?;
    let done = async {
        api.serves().await?;
        let members = api.list().await?;
        let [own] = members.as_slice() else {
            return Err(format!(
                "the restored member knows {} members, not itself alone",
                members.len()
            ));
        };
        // A copy knows its member under the address of a default: nobody could join it there.
        api.update(&own.id, &peers).await
    };
    let done = done.await;
    forced.stop().await?;
    done.map(|()| format!("{node} alone holds the copy, as {}", peers.join(", ")))
}

/// Lets a member without data join the one that holds the copy.
pub(super) async fn join(asked: Asked<'_>) -> Result<String, String> {
    let Asked { hands, node, .. } = asked;
    let (name, peers) = (asked.arg("name")?, peer_urls(asked)?);
    let seed = Members::of(asked, asked.arg("seed")?.to_owned())?;
    seed.serves().await?;
    let members = seed.added(&peers).await?;
    // Only now: an earlier try may have come so far that the other one does not serve without this member.
    end_earlier(hands, node).await?;
    let initial = members.iter().flat_map(|member| {
        let own = member.peers.iter().any(|url| peers.contains(url));
        let name = if own { name } else { member.name.as_str() };
        member.peers.iter().map(move |url| format!("{name}={url}"))
    });
    let initial = initial.collect::<Vec<_>>().join(",");
    let with = [("initial-cluster", initial.as_str()), ("initial-cluster-state", "existing")];
    let joining = Started::with(hands, node, &with).await?;
    let served = Members::of(asked, own_endpoint(hands, node)?)?.serves().await;
    joining.stop().await?;
    served.map(|()| format!("{node} has joined, with {} members in all", members.len()))
}

fn own_endpoint(hands: &LiveHands, node: &NodeName) -> Result<String, String> {
    let endpoint = hands.node(node).and_then(|node| node.endpoints.get("client"));
    endpoint.cloned().ok_or_else(|| format!("{node} declares no client endpoint"))
}

fn peer_urls(asked: Asked<'_>) -> Result<Vec<String>, String> {
    let urls: Vec<String> = asked.arg(URLS)?.split(',').map(str::to_owned).collect();
    match urls.iter().any(|url| url.contains("://")) {
        true => Ok(urls),
        false => Err("the cluster's list of members named no peer address of it".into()),
    }
}

/// One member as another tells of it. One that has not started yet has no name.
struct Member {
    id: String,
    name: String,
    peers: Vec<String>,
}

/// The members' list of a cluster, through one of its members.
struct Members<'a> {
    http: &'a HttpClient,
    endpoint: String,
    /// None on releases that only know the v2 API.
    gateway: Option<String>,
}

impl<'a> Members<'a> {
    fn of(asked: Asked<'a>, endpoint: String) -> Result<Self, String> {
        let gateway = Some(asked.arg("gateway")?.to_owned()).filter(|text| !text.is_empty());
        Ok(Self { http: asked.hands.http(asked.releases.first().copied()), endpoint, gateway })
    }

    async fn serves(&self) -> Result<(), String> {
        let began = Instant::now();
        loop {
            let request = HttpRequest::get(format!("{}/health", self.endpoint));
            let because = match self.http.send(&request, ASK_LIMIT).await {
                Answer::Done(answer) if answer.text().contains("true") => return Ok(()),
                Answer::Done(answer) => first_line(&answer.text()).to_owned(),
                Answer::Failed(because) | Answer::Unknown(because) => because,
            };
            if began.elapsed() > SERVE_LIMIT {
                let waited = SERVE_LIMIT.as_secs();
                return Err(format!(
                    "{} does not serve after {waited} s: {because}",
                    self.endpoint
                ));
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    async fn list(&self) -> Result<Vec<Member>, String> {
        let request = match &self.gateway {
            Some(gateway) => {
                HttpRequest::new("POST", format!("{}/{gateway}/cluster/member/list", self.endpoint))
                    .json("{}")
            }
            None => HttpRequest::get(format!("{}/v2/members", self.endpoint)),
        };
        let answer = self.ask(&request).await?;
        let body = answer.json().ok_or("the list of members is not JSON")?;
        let text = |member: &Value, names: [&str; 2]| {
            let found = names.iter().find_map(|name| member.get(name)?.as_str());
            found.unwrap_or_default().to_owned()
        };
        let members = body.get("members").and_then(Value::as_array).cloned().unwrap_or_default();
        let member = |member: &Value| Member {
            id: text(member, ["ID", "id"]),
            name: text(member, ["name", "name"]),
            peers: member
                .get("peerURLs")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|url| url.as_str().map(str::to_owned))
                .collect(),
        };
        Ok(members.iter().map(member).collect())
    }

    async fn update(&self, id: &str, peers: &[String]) -> Result<(), String> {
        let request = match &self.gateway {
            Some(gateway) => HttpRequest::new(
                "POST",
                format!("{}/{gateway}/cluster/member/update", self.endpoint),
            )
            .json(json!({"ID": id, "peerURLs": peers}).to_string()),
            None => HttpRequest::new("PUT", format!("{}/v2/members/{id}", self.endpoint))
                .json(json!({"peerURLs": peers}).to_string()),
        };
        self.ask(&request).await.map(drop)
    }

    /// Adds a member unless it is one, and gives the list with it. An answer that was lost is settled by the list.
    async fn added(&self, peers: &[String]) -> Result<Vec<Member>, String> {
        let began = Instant::now();
        loop {
            let because = match self.list().await {
                Ok(list) if list.iter().any(|m| m.peers.iter().any(|url| peers.contains(url))) => {
                    return Ok(list);
                }
                Ok(_) => self.add(peers).await.err(),
                Err(because) => Some(because),
            };
            if let Some(because) = because {
                if began.elapsed() > ADD_LIMIT {
                    let waited = ADD_LIMIT.as_secs();
                    return Err(format!("no member could be added within {waited} s: {because}"));
                }
                tokio::time::sleep(EVERY).await;
            }
        }
    }

    async fn add(&self, peers: &[String]) -> Result<(), String> {
        let path = self
            .gateway
            .as_ref()
            .map_or("v2/members".to_owned(), |gateway| format!("{gateway}/cluster/member/add"));
        let request = HttpRequest::new("POST", format!("{}/{path}", self.endpoint))
            .json(json!({"peerURLs": peers}).to_string());
        self.ask(&request).await.map(drop)
    }

    async fn ask(&self, request: &HttpRequest) -> Result<HttpResponse, String> {
        let answer = self.http.send(request, ASK_LIMIT).await.into_result()?;
        if answer.ok() {
            return Ok(answer);
        }
        Err(format!("{} answered {}: {}", self.endpoint, answer.status, first_line(&answer.text())))
    }
}

/// A member that was started in its own place with settings more, until it is stopped.
struct Started<'a> {
    transport: &'a dyn Transport,
    spec: ServiceSpec,
    /// A copy of its configuration file, with the settings more in it.
    file: Option<PathBuf>,
}

/// Log and process id of such a start stand beside the member's own.
fn restoring(spec: &ProcessSpec) -> ServiceSpec {
    ServiceSpec::Process(ProcessSpec {
        log_file: beside(&spec.log_file, ".restoring.log"),
        pid_file: beside(&spec.pid_file, ".restoring.pid"),
        ..spec.clone()
    })
}

/// Only a plain process can be started with other settings than its own.
fn process(hands: &LiveHands, node: &NodeName) -> Result<ProcessSpec, String> {
    let spec = hands.service_at(node, 0).ok_or_else(|| format!("{node} has no service"))?;
    spec.process().cloned().ok_or_else(|| {
        format!("{node} is a unit of systemd, which is not started with other settings than its own: restore its v2 data by hand")
    })
}

/// Stops what an earlier try of this step has left running.
pub(super) async fn end_earlier(hands: &LiveHands, node: &NodeName) -> Result<(), String> {
    let spec = process(hands, node)?;
    let transport = hands.transport(node).ok_or_else(|| format!("there is no way to {node}"))?;
    service::stop(transport.as_ref(), &restoring(&spec)).await.into_result().map(drop)
}

impl<'a> Started<'a> {
    async fn with(
        hands: &'a LiveHands,
        node: &NodeName,
        more: &[(&str, &str)],
    ) -> Result<Self, String> {
        let mut spec = process(hands, node)?;
        let transport =
            hands.transport(node).ok_or_else(|| format!("there is no way to {node}"))?;
        let transport = transport.as_ref();
        let named = config_path(&hands.parts.pack, &StartedWith::from(&spec));
        let mut file = None;
        if let Some(path) = named {
            let copy = beside(&path, ".restoring");
            let content = transport.read(&path).await.into_result()?;
            let text = String::from_utf8(content)
                .map_err(|_| format!("{} is no text in UTF-8", path.display()))?;
            let text = config_text::with(&text, more)
                .ok_or_else(|| format!("{} cannot be edited by lines", path.display()))?;
            transport.write(&copy, text.as_bytes(), 0o600).await.into_result()?;
            spec.argv.push(format!("--config-file={}", copy.display()));
            file = Some(copy);
        } else {
            // The last word on a command line wins, also over the environment.
            spec.argv.extend(more.iter().map(|(key, value)| format!("--{key}={value}")));
        }
        let spec = restoring(&spec);
        service::start(transport, &spec).await.into_result()?;
        Ok(Self { transport, spec, file })
    }

    async fn stop(self) -> Result<(), String> {
        service::stop(self.transport, &self.spec).await.into_result()?;
        let Some(file) = self.file else { return Ok(()) };
        let remove =
            Command::new(["rm".into(), "-f".into(), "--".into(), file.display().to_string()]);
        self.transport.run(&remove, ASK_LIMIT).await.into_result().map(drop)
    }
}
