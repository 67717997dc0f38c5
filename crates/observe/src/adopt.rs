//! Adopts a running cluster that Quorate did not deploy: from one endpoint to its members, their processes and settings.
//!
//! Invariant: nothing of the cluster is touched. The only things written are a pid file and the identity beside it for each process
//! that was found, in Quorate's own state folder, so that Quorate can stop later what it did not start.

use crate::{
    Clients, Depth, Member, ObserveError, Observer, Tools, Transports,
    members::bare,
    members_of,
    node::UNANSWERED,
    process::{
        find::{self, Found},
        settings, sockets,
    },
    shared::BINARY_SHARED,
};
use jiff::Timestamp;
use quorate_model::fleet::GRACE_DEFAULT;
use quorate_model::{
    AuthSpec, Cluster, ClusterName, Host, Node, NodeName, Observation, Policy, ProcessSpec, Reach,
    ServiceSpec, TlsSpec,
};
use quorate_packs::{Detect, Pack, ProcessForm};
use quorate_transport::http::TlsError;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

/// What is adopted, and how it is reached.
#[derive(Debug, Clone)]
pub struct AdoptOptions {
    /// The endpoint that a person named.
    pub endpoint: String,
    /// The name that the cluster gets.
    pub name: ClusterName,
    /// Files of the TLS client.
    pub tls: Option<TlsSpec>,
    /// The user inside the product.
    pub auth: Option<AuthSpec>,
    /// Folder for the pid files of processes that were found.
    pub state_dir: PathBuf,
}

/// An adopted cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Adopted {
    /// As it can be declared now.
    pub cluster: Cluster,
    /// As it was seen, by the names that it got.
    pub observation: Observation,
    /// What a person should know before relying on it.
    pub notes: Vec<String>,
}

/// Why a cluster cannot be adopted.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// The pack cannot see its product.
    #[error(transparent)]
    Observe(ObserveError),
    /// No client could be made.
    #[error(transparent)]
    Tls(TlsError),
    /// The endpoint is no address.
    #[error("`{endpoint}` is no address: expected http://HOST:PORT or https://HOST:PORT")]
    BadEndpoint { endpoint: String },
    /// Nothing answered.
    #[error("{endpoint} does not answer as {pack}: {because}")]
    Silent { endpoint: String, pack: String, because: String },
    /// It answered, and did not name its members.
    #[error("{endpoint} answers, but does not name the members of its cluster{because}")]
    NoMembers { endpoint: String, because: String },
    /// Nothing was found on any of the hosts.
    #[error("on none of the hosts a product answers that a pack knows: {because}")]
    NothingRuns { because: String },
    /// The pid file cannot be written.
    #[error("cannot write the pid file {}: {because}", path.display())]
    PidFile { path: PathBuf, because: String },
}

impl AdoptError {
    /// What next.
    pub fn hint(&self) -> String {
        match self {
            Self::Observe(error) => error.hint(),
            Self::Tls(error) => error.hint(),
            Self::BadEndpoint { .. } => "give the address that clients use, for example http://127.0.0.1:2379".into(),
            Self::Silent { endpoint, .. } if endpoint.starts_with("http:") => {
                "check that it runs and that clients reach it there; with TLS the address begins with https://".into()
            }
            Self::Silent { .. } => "check that it runs, and give its --ca, and --cert and --key when it asks for them".into(),
            Self::NoMembers { .. } => "it may have no leader, or ask for a user: give --user, or try again when it is healthy".into(),
            Self::NothingRuns { .. } => "name hosts as for `ssh`, which must log in without asking; products must run to be found".into(),
            Self::PidFile { .. } => "give a folder that you may write to with --state".into(),
        }
    }
}

/// Finds the cluster behind one endpoint.
pub async fn adopt(
    pack: &Arc<Pack>,
    transports: &Transports,
    options: &AdoptOptions,
    now: Timestamp,
) -> Result<Adopted, AdoptError> {
    let detect = pack.detect.as_ref().ok_or_else(|| {
        AdoptError::Observe(ObserveError::NoDetect { pack: pack.pack.to_string() })
    })?;
    let endpoint = options.endpoint.trim_end_matches('/').to_owned();
    if !endpoint.contains("://") || port_of(&endpoint).is_none() {
        return Err(AdoptError::BadEndpoint { endpoint: options.endpoint.clone() });
    }
    let clients = Clients::with(pack, options.tls.as_ref(), options.auth.as_ref())
        .map_err(AdoptError::Tls)?;
    let look = async |cluster: &Cluster, depth: Depth| {
        let observer = Observer::new(
            pack.clone(),
            cluster,
            transports.clone(),
            clients.clone(),
            Tools::none(),
        );
        Ok::<_, AdoptError>(observer.map_err(AdoptError::Observe)?.look(depth, now).await)
    };
    let seed = cluster(pack, options, vec![bare_node("seed".into(), detect, &endpoint)]);
    let seen = look(&seed, Depth::Full).await?;
    if let Some(Reach::Unreachable(because)) = seen.nodes.first().map(|node| node.reach.clone()) {
        let pack = pack.title.clone();
        return Err(AdoptError::Silent { endpoint, pack, because });
    }
    let members = members_of(pack, detect, &seen.facts).filter(|members| !members.is_empty());
    let members =
        members.ok_or_else(|| AdoptError::NoMembers { endpoint, because: in_vain(&seen) })?;
    let mut adopted = cluster(pack, options, nodes(detect, &members));
    let mut notes = add_processes(detect, &mut adopted, &options.state_dir)?;
    let observation = look(&adopted, Depth::Full).await?;
    notes.extend(observation.nodes.iter().filter_map(|node| match &node.reach {
        Reach::Reachable => None,
        Reach::Unreachable(because) => Some(format!("{} does not answer: {because}", node.name)),
    }));
    let shared = observation.findings.iter().filter(|finding| finding.code == BINARY_SHARED);
    notes.extend(shared.map(|finding| {
        format!("{}; {}", finding.text, finding.hint.as_deref().unwrap_or_default())
    }));
    Ok(Adopted { cluster: adopted, observation, notes })
}

/// The first question to the cluster that was asked in vain, as the end of a sentence.
fn in_vain(seen: &Observation) -> String {
    let told = seen.findings.iter().find(|finding| finding.code == UNANSWERED);
    told.map(|finding| format!(": {}", finding.text)).unwrap_or_default()
}

fn cluster(pack: &Pack, options: &AdoptOptions, nodes: Vec<Node>) -> Cluster {
    Cluster {
        name: options.name.clone(),
        pack: pack.pack.clone(),
        environment: None,
        nodes,
        tls: options.tls.clone(),
        auth: options.auth.clone(),
        config: Vec::new(),
        dependants: Vec::new(),
        policy: Policy::default(),
    }
}

fn bare_node(name: NodeName, detect: &Detect, endpoint: &str) -> Node {
    Node {
        name,
        group: "server".into(),
        host: Host::Local,
        endpoints: BTreeMap::from([(detect.endpoint.clone(), endpoint.to_owned())]),
        data_dir: None,
        service: None,
    }
}

/// One node a member, by its own name; two members of one name, or one without, get their ids.
fn nodes(detect: &Detect, members: &[Member]) -> Vec<Node> {
    let mut taken = BTreeSet::new();
    let mut nodes: Vec<Node> = members
        .iter()
        .map(|member| {
            let plain = !member.name.is_empty() && taken.insert(member.name.clone());
            let name = if plain { member.name.clone() } else { format!("member-{}", member.id) };
            let endpoint = member.client_urls.first().map(String::as_str).unwrap_or_default();
            let mut node = bare_node(name.into(), detect, endpoint.trim_end_matches('/'));
            if endpoint.is_empty() {
                node.endpoints.clear();
            }
            if let Some(peer) = member.peer_urls.first() {
                node.endpoints.insert("peer".into(), peer.clone());
            }
            node
        })
        .collect();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    nodes
}

/// Finds the process behind each node's address on this machine and says how it is restarted.
fn add_processes(
    detect: &Detect,
    cluster: &mut Cluster,
    state_dir: &Path,
) -> Result<Vec<String>, AdoptError> {
    let form = &detect.process;
    let processes = find::scan(form);
    let by_port = sockets::listeners(&processes);
    let mut notes = Vec::new();
    let name = cluster.name.clone();
    for node in &mut cluster.nodes {
        let url = node.endpoints.get(&detect.endpoint).map(|url| bare(url));
        let pid = url.as_deref().and_then(port_of).and_then(|port| by_port.get(&port));
        let Some(found) = pid.and_then(|pid| processes.iter().find(|found| found.pid == *pid))
        else {
            notes.push(format!("{}: no process of this machine that you may see listens at its address, so it can be looked at but not restarted", node.name));
            continue;
        };
        let folder = state_dir.join("adopted").join(name.as_str());
        let pid_file = folder.join(format!("{}.pid", node.name));
        note(found, &pid_file).map_err(|error| AdoptError::PidFile {
            path: pid_file.clone(),
            because: error.to_string(),
        })?;
        node.data_dir = data_dir(found, form);
        let log_file = log_of(found).unwrap_or_else(|| folder.join(format!("{}.log", node.name)));
        node.service = Some(service(found, form, pid_file, log_file));
        let left = left_out(found, form);
        if !left.is_empty() {
            notes.push(format!(
                "{}: a restart will not carry over these variables of its environment: {}",
                node.name,
                left.join(", ")
            ));
        }
    }
    Ok(notes)
}

/// Notes the process as a start notes its own, identity first: it listens at the member's address, so it is proved now, and a
/// restart of the host, or its pid in other hands, is told later.
fn note(found: &Found, pid_file: &Path) -> std::io::Result<()> {
    if let Some(folder) = pid_file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let identity = format!("{} {} {}\n", found.pid, found.start_ticks, boot.trim());
    std::fs::write(pid_file.with_added_extension("identity"), identity)?;
    std::fs::write(pid_file, format!("{}\n", found.pid))
}

fn service(found: &Found, form: &ProcessForm, pid_file: PathBuf, log_file: PathBuf) -> ServiceSpec {
    let mut argv = found.argv.clone();
    if let Some(first) = argv.first_mut().filter(|first| !Path::new(first.as_str()).is_absolute()) {
        *first = found.exe.to_string_lossy().into_owned();
    }
    let prefix = form.env_prefix.as_deref().unwrap_or("\0");
    let env = found.env.iter().filter(|(key, _)| key.starts_with(prefix));
    ServiceSpec::Process(ProcessSpec {
        argv,
        env: env.map(|(key, value)| (key.clone(), value.clone())).collect(),
        pid_file,
        log_file,
        work_dir: found.work_dir.clone().filter(|folder| folder != Path::new("/")),
        grace: GRACE_DEFAULT,
    })
}

/// Variables that steer a Go or Java process without bearing the product's name.
const STEERING: &[&str] =
    &["GOMAXPROCS", "GOGC", "GOMEMLIMIT", "GODEBUG", "JAVA_OPTS", "LD_PRELOAD", "LD_LIBRARY_PATH"];

fn left_out(found: &Found, form: &ProcessForm) -> Vec<String> {
    let own = |key: &str| form.env_prefix.as_deref().is_some_and(|prefix| key.starts_with(prefix));
    found.env.keys().filter(|key| STEERING.contains(&key.as_str()) && !own(key)).cloned().collect()
}

fn data_dir(found: &Found, form: &ProcessForm) -> Option<PathBuf> {
    let mut all = settings::from_argv(&found.argv);
    all.extend(settings::from_env(&found.env, form));
    let folder = found.work_dir.clone().unwrap_or_else(|| PathBuf::from("/"));
    let file = form.file_setting.as_deref().and_then(|name| settings::value_of(&all, name, form));
    if let Some(text) = file.and_then(|path| std::fs::read_to_string(folder.join(path)).ok()) {
        all.extend(settings::from_file(&text).unwrap_or_default());
    }
    let value = settings::value_of(&all, form.data_setting.as_deref()?, form)?;
    Some(folder.join(value))
}

/// The file that the process writes its output to, when it is one.
fn log_of(found: &Found) -> Option<PathBuf> {
    let target = std::fs::read_link(format!("/proc/{}/fd/2", found.pid)).ok()?;
    let is_file = std::fs::metadata(&target).is_ok_and(|metadata| metadata.is_file());
    is_file.then_some(target)
}

fn port_of(url: &str) -> Option<u16> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split('/').next()?;
    authority.rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_port_of_an_address() {
        assert_eq!(port_of("http://127.0.0.1:2379"), Some(2379));
        assert_eq!(port_of("https://[::1]:2379/v3"), Some(2379));
        for bad in ["127.0.0.1:2379", "http://host", "http://host:x", ""] {
            assert_eq!(port_of(bad), None, "{bad}");
        }
    }
}
