//! What a lab must know of Consul: addresses, settings, health, ACLs.
//!
//! Every agent has a loopback address of its own, so that all of them use Consul's own ports, as on hosts of their own.
//! Settings go into a JSON file, which every release reads; flags are those of every release from 0.7 on.

use super::{
    LabError, LabSpec, Registry,
    place::{at_least, write},
    product::{Agent, REQUEST_LIMIT},
};
use quorate_model::NodeName;
use quorate_transport::{
    Answer,
    http::{HttpClient, HttpRequest},
};
use serde_json::json;
use std::{collections::BTreeMap, path::Path};

/// Agents that fit into one block of addresses: 127.A.B.1 to 127.A.B.250.
const BLOCK: usize = 250;

/// Agents of one lab: each has some 60 MB of memory.
const CLIENTS_MAX: u32 = 500;

/// Past so many clients agents of one machine gossip less often. As it comes, each wakes five times a second and asks another one
/// whether it lives every second: three hundred do nothing else on two cores.
const CLIENTS_AT_FULL_PACE: u32 = 150;

/// Past so many clients an agent is told that it shares its machine.
const CLIENTS_WITH_A_CORE: u32 = 20;

/// Refuses what the release cannot do, before anything is made.
pub(super) fn suits(spec: &LabSpec) -> Result<(), LabError> {
    let release = &spec.artifact.release;
    let refuse = |text: String| Err(LabError::Input(text));
    if spec.tls {
        return refuse("labs of Consul have no TLS yet".to_owned());
    }
    if spec.v2_keys > 0 {
        return refuse("v2 keys are etcd's: a lab of Consul has none".to_owned());
    }
    if spec.auth && at_least(release, "1.4") == Some(false) {
        return refuse(format!("a lab with ACLs needs Consul 1.4 or newer, not {release}"));
    }
    if spec.clients > CLIENTS_MAX {
        return refuse(format!("a lab has at most {CLIENTS_MAX} clients, not {}", spec.clients));
    }
    Ok(())
}

/// Names and addresses of all agents, and the ports that stand for their blocks of addresses.
pub(super) fn agents(
    spec: &LabSpec,
    registry: &Registry,
    dir: &Path,
) -> Result<(Vec<Agent>, Vec<u16>), LabError> {
    let count = |n: u32| usize::try_from(n).unwrap_or_default();
    let all = count(spec.members) + count(spec.clients);
    // Nobody listens at this port: it is held so that no two labs take the same block of addresses.
    let blocks = registry.reserve(dir, all.div_ceil(BLOCK))?;
    let address = |nth: usize| {
        let block = blocks.get(nth / BLOCK).copied().unwrap_or_default();
        let [high, low] = block.to_be_bytes();
        format!("127.{high}.{low}.{}", nth % BLOCK + 1)
    };
    let servers = (1..=spec.members).map(|number| ("server", format!("{}-{number}", spec.name)));
    let clients =
        (1..=spec.clients).map(|number| ("client", format!("{}-client-{number}", spec.name)));
    let agents = servers.chain(clients).enumerate().map(|(nth, (group, name))| {
        let address = address(nth);
        let at = |port: u16| format!("http://{address}:{port}");
        let mut endpoints = vec![("client", at(8500)), ("dns", at(8600))];
        if group == "server" {
            endpoints.push(("peer", at(8300)));
        }
        Agent { name, group, endpoints }
    });
    Ok((agents.collect(), blocks))
}

/// The arguments of one agent; its settings are written beside its data.
pub(super) fn args(
    spec: &LabSpec,
    agent: &Agent,
    all: &[Agent],
    data_dir: &Path,
    token: Option<&str>,
) -> Result<Vec<String>, LabError> {
    let settings = data_dir.with_file_name("settings.json");
    write(&settings, self::settings(spec, agent, token).to_string().as_bytes(), 0o600)?;
    let own = host(agent);
    let mut args = vec![
        "agent".to_owned(),
        format!("-node={}", agent.name),
        format!("-data-dir={}", data_dir.display()),
        format!("-config-file={}", settings.display()),
        format!("-bind={own}"),
        format!("-client={own}"),
        "-retry-interval=1s".to_owned(),
    ];
    let servers = || all.iter().filter(|agent| agent.group == "server");
    args.extend(servers().map(|server| format!("-retry-join={}", host(server))));
    if agent.group == "server" {
        args.push("-server".to_owned());
        args.push(format!("-bootstrap-expect={}", spec.members));
        args.extend(spec.extra_args.iter().cloned());
    }
    Ok(args)
}

/// Agents of a crowd are told that they share their machine. Each would keep a thread for every core and hand its work about
/// between them, and give memory back a few kilobytes at a time: idle, three hundred of them keep two cores busy with that alone.
pub(super) fn env(spec: &LabSpec) -> BTreeMap<String, String> {
    if spec.clients <= CLIENTS_WITH_A_CORE {
        return BTreeMap::new();
    }
    // With twice the garbage at a time an agent has some 30 MB of its own.
    let variables = [("GOMAXPROCS", "1"), ("GOGC", "200")];
    variables.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

fn settings(spec: &LabSpec, agent: &Agent, token: Option<&str>) -> serde_json::Value {
    let release = &spec.artifact.release;
    // As upstream advises for production, and with no word to upstream.
    let mut settings = json!({
        "performance": { "raft_multiplier": 1 },
        "disable_update_check": true,
    });
    let mut set = |key: &str, value: serde_json::Value| {
        if let Some(map) = settings.as_object_mut() {
            map.insert(key.to_owned(), value);
        }
    };
    if agent.group == "server" {
        set("leave_on_terminate", json!(false));
        set("skip_leave_on_interrupt", json!(true));
        if at_least(release, "0.8") == Some(true) {
            // So that people see that it is read from the cluster, and need not wait for it.
            set("autopilot", json!({ "server_stabilization_time": "2s" }));
        }
    }
    if spec.clients > CLIENTS_AT_FULL_PACE && at_least(release, "1.5") == Some(true) {
        // What two cores spend on such a crowd is its gossip: one packet of everything new in a second instead of five, and
        // probes at a fifth of their pace; how long a silent agent is suspected stays in proportion.
        let slower = json!({
            "gossip_interval": "1s", "gossip_nodes": 3, "probe_interval": "5s", "probe_timeout": "2500ms",
        });
        set("gossip_lan", slower);
        // News are slow then. Who stays a member while it is restarted cannot be taken for gone by those who hear late that it left.
        set("leave_on_terminate", json!(false));
    }
    if let Some(token) = token {
        let tokens = json!({ "master": token, "agent": token, "default": token });
        set("primary_datacenter", json!("dc1"));
        set("acl", json!({ "enabled": true, "default_policy": "deny", "tokens": tokens }));
    }
    settings
}

/// The address of an agent, without scheme and port.
fn host(agent: &Agent) -> String {
    let url = agent.endpoint("client");
    let bare = url.trim_start_matches("http://");
    bare.split(':').next().unwrap_or_default().to_owned()
}

/// Asks an agent once whether it serves: it knows a leader, and where autopilot tells, every server is counted as healthy.
pub(super) async fn serves(http: &HttpClient, node: &NodeName, url: &str) -> Result<(), String> {
    let (status, leader) = ask(http, format!("{url}/v1/status/leader")).await?;
    if status != 200 || leader.trim().len() <= 2 {
        return Err(format!("{node} knows no leader: {status} {}", leader.trim()));
    }
    // 500 on raft 2 and 404 before 0.8: then nobody tells. 403 with ACLs: this client has no token.
    let (status, said) = ask(http, format!("{url}/v1/operator/autopilot/health")).await?;
    match status {
        429 => Err(format!("{node}: not every server is healthy yet: {}", said.trim())),
        _ => Ok(()),
    }
}

async fn ask(http: &HttpClient, url: String) -> Result<(u16, String), String> {
    match http.send(&HttpRequest::get(url), REQUEST_LIMIT).await {
        Answer::Done(answer) => Ok((answer.status, answer.text())),
        Answer::Failed(because) | Answer::Unknown(because) => Err(because),
    }
}
