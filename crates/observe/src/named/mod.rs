//! Adopts what runs on named hosts: logs in to each, finds the products that packs know, and says how each is reached and restarted.
//!
//! Invariant: nothing on the hosts is touched, and nothing is written there.
//! Read next: `survey.rs` (one host).

mod survey;

use crate::{
    AdoptError, AdoptOptions, Clients, Depth, Member, Observer, Tools, Transports, fields::text,
    members_of, packaged::UNDECLARED, process::find::is_product,
};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use quorate_model::{
    Cluster, ClusterName, Facts, Host, Node, NodeObservation, Observation, Policy, Reach, Role,
    ServiceSpec, Severity, SystemdSpec,
};
use quorate_packs::{Detect, Pack, eval::Scope};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
};
use survey::{Running, Surveyed, survey};

/// Hosts that are logged in to at the same time: the work is theirs, and a login costs this machine a millisecond.
const HOSTS_AT_ONCE: usize = 32;

/// A host by its name as SSH takes it, and the address behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedHost {
    /// The name.
    pub name: String,
    /// The address that SSH connects to.
    pub address: String,
}

/// What was found on hosts.
#[derive(Debug, Clone, PartialEq)]
pub struct AdoptedHosts {
    /// The clusters, as they can be declared now.
    pub clusters: Vec<Cluster>,
    /// What a person should know before relying on it.
    pub notes: Vec<String>,
}

/// A member that answered.
struct Seen {
    pack: Arc<Pack>,
    /// What tells its cluster from others.
    cluster: String,
    node: Node,
}

/// Looks at all these hosts, and joins what answers to clusters.
pub async fn adopt_hosts(
    packs: &[Arc<Pack>],
    hosts: &[NamedHost],
    transports: &Transports,
    options: &AdoptOptions,
    now: Timestamp,
) -> Result<AdoptedHosts, AdoptError> {
    Adopting { packs, transports, options, now }.adopt(hosts).await
}

/// What every look needs.
struct Adopting<'a> {
    packs: &'a [Arc<Pack>],
    transports: &'a Transports,
    options: &'a AdoptOptions,
    now: Timestamp,
}

impl Adopting<'_> {
    async fn adopt(&self, hosts: &[NamedHost]) -> Result<AdoptedHosts, AdoptError> {
        let Self { packs, options, .. } = self;
        // Certificates that cannot be used are wrong for every host.
        for pack in *packs {
            Clients::with(pack, options.tls.as_ref(), options.auth.as_ref())
                .map_err(AdoptError::Tls)?;
        }
        let names: BTreeSet<String> = packs
            .iter()
            .filter_map(|pack| pack.detect.as_ref())
            .flat_map(|detect| detect.process.names.iter().cloned())
            .collect();
        let names: Vec<String> = names.into_iter().collect();
        let looks = hosts.iter().map(|host| self.look(host, &names));
        let found: Vec<_> = stream::iter(looks).buffered(HOSTS_AT_ONCE).collect().await;
        let mut notes = Vec::new();
        let mut clusters: BTreeMap<(String, String), (Arc<Pack>, Vec<Node>)> = BTreeMap::new();
        for (seen, told) in found {
            notes.extend(told);
            for Seen { pack, cluster, node } in seen {
                let key = (pack.pack.to_string(), cluster);
                clusters.entry(key).or_insert_with(|| (pack, Vec::new())).1.push(node);
            }
        }
        if clusters.is_empty() {
            return Err(AdoptError::NothingRuns { because: notes.join("; ") });
        }
        let (mut adopted, single) = (Vec::new(), clusters.len() == 1);
        for (number, ((pack_name, _), (pack, nodes))) in clusters.into_iter().enumerate() {
            let name = if single {
                options.name.clone()
            } else {
                ClusterName::new(format!("{}-{pack_name}-{}", options.name, number + 1))
            };
            let cluster = Cluster { name, nodes: joined(nodes), ..blank(&pack, options) };
            let (cluster, told) = self.completed(&pack, cluster).await?;
            adopted.push(cluster);
            notes.extend(told);
        }
        Ok(AdoptedHosts { clusters: adopted, notes })
    }

    /// What runs on one host and answers; and what a person should know of it.
    async fn look(&self, host: &NamedHost, names: &[String]) -> (Vec<Seen>, Vec<String>) {
        let Surveyed { host: way, running, note } =
            match survey(self.transports, &host.name, names).await {
                Ok(surveyed) => surveyed,
                Err(because) => return (Vec::new(), vec![format!("{}: {because}", host.name)]),
            };
        let mut notes: Vec<String> = note.into_iter().collect();
        let mut seen = Vec::new();
        for one in &running {
            let known = self.packs.iter().find_map(|pack| {
                let detect = pack.detect.as_ref()?;
                is_product(&one.found, &detect.process).then_some((pack, detect))
            });
            let Some((pack, detect)) = known else { continue };
            let service = service(one);
            if let Err(because) = &service {
                notes.push(format!(
                    "{}: process {} of {}: {because}, so it can be looked at and not restarted",
                    host.name, one.found.pid, pack.title
                ));
            }
            let bare = Node {
                name: host.name.as_str().into(),
                group: "server".into(),
                host: Host::Ssh(way.clone()),
                endpoints: BTreeMap::new(),
                data_dir: None,
                service: service.ok(),
            };
            match self.answering((pack, detect), one, host, &bare).await {
                Some(answered) => seen.push(answered),
                None => notes.push(silent(host, pack, one)),
            }
        }
        if running.is_empty() {
            notes.push(format!("{}: no product that a pack knows runs there", host.name));
        }
        (seen, notes)
    }

    /// The first address at which it answers as a member of a cluster, else at which it answers at all.
    async fn answering(
        &self,
        (pack, detect): (&Arc<Pack>, &Detect),
        one: &Running,
        host: &NamedHost,
        bare: &Node,
    ) -> Option<Seen> {
        let mut second = None;
        for url in addresses(one, host, self.options.tls.is_some()) {
            let mut node = bare.clone();
            node.endpoints.insert(detect.endpoint.clone(), url.clone());
            let cluster = Cluster { nodes: vec![node.clone()], ..blank(pack, self.options) };
            let seen = self.observed(pack, &cluster).await.ok()?;
            let Some(own) = seen.nodes.first().filter(|own| own.reach == Reach::Reachable) else {
                continue;
            };
            let members = members_of(pack, detect, &seen.facts).unwrap_or_default();
            let told = !members.is_empty();
            let found = as_node(pack, own, &seen, members, node, url);
            // Some products say their release on every port; the one that also names its members is the one for clients.
            if told {
                return Some(found);
            }
            second.get_or_insert(found);
        }
        second
    }

    async fn observed(
        &self,
        pack: &Arc<Pack>,
        cluster: &Cluster,
    ) -> Result<Observation, AdoptError> {
        let Self { transports, options, now, .. } = self;
        let clients = Clients::with(pack, options.tls.as_ref(), options.auth.as_ref())
            .map_err(AdoptError::Tls)?;
        let observer =
            Observer::new(pack.clone(), cluster, (*transports).clone(), clients, Tools::none());
        Ok(observer.map_err(AdoptError::Observe)?.look(Depth::Full, *now).await)
    }

    /// Adds the data folders that the members themselves name, and the packages that their programs came with, and says what a
    /// look at the whole cluster finds.
    async fn completed(
        &self,
        pack: &Arc<Pack>,
        mut cluster: Cluster,
    ) -> Result<(Cluster, Vec<String>), AdoptError> {
        let seen = self.observed(pack, &cluster).await?;
        let form = pack.detect.as_ref().map(|detect| &detect.process);
        for node in &mut cluster.nodes {
            let own = seen.nodes.iter().find(|one| one.name == node.name);
            let place = own.and_then(|own| own.place.as_ref());
            let folder = place.zip(form).and_then(|(place, form)| form.data_folder(place));
            node.data_dir = folder.cloned();
            if let Some(own) = own {
                declare(pack, node, &own.facts, &seen.facts);
            }
            if let (Some(ServiceSpec::Systemd(unit)), Some(own)) = (&mut node.service, own) {
                unit.packages.clone_from(&own.packages);
            }
        }
        let of_nodes = seen.nodes.iter().flat_map(|node| &node.findings);
        let findings = seen.findings.iter().chain(of_nodes);
        let notes = findings
            // What merely should be known of a release is for `detect`.
            .filter(|finding| finding.severity >= Severity::Warning)
            // They stand in the file now.
            .filter(|finding| finding.code != UNDECLARED)
            .map(|finding| match &finding.hint {
                Some(hint) => format!("{}: {} ({hint})", cluster.name, finding.text),
                None => format!("{}: {}", cluster.name, finding.text),
            })
            .collect();
        Ok((cluster, notes))
    }
}

/// Adds what the node tells of its own place.
fn declare(pack: &Pack, node: &mut Node, facts: &Facts, cluster: &Facts) {
    let Some(declared) = pack.detect.as_ref().map(|detect| &detect.declared) else { return };
    let value = |facts: &Facts| Value::Object(facts.clone().into_iter().collect());
    let (facts, cluster) = (value(facts), value(cluster));
    let scope = Scope::default().with("facts", &facts).with("cluster", &cluster);
    // A fact that it did not tell is no answer.
    let told = |cel: &String| pack.value_in(cel, &scope).ok().as_ref().and_then(text);
    // Its own word counts for more than the words that it was started with, which a file may overrule.
    if let Some(folder) = declared.data_dir.as_ref().and_then(told) {
        node.data_dir = Some(PathBuf::from(folder));
    }
    for (name, cel) in &declared.endpoints {
        if let Some(url) = told(cel) {
            node.endpoints.entry(name.clone()).or_insert(url);
        }
    }
}

fn blank(pack: &Pack, options: &AdoptOptions) -> Cluster {
    Cluster {
        name: options.name.clone(),
        pack: pack.pack.clone(),
        environment: None,
        nodes: Vec::new(),
        tls: options.tls.clone(),
        auth: options.auth.clone(),
        config: Vec::new(),
        dependants: Vec::new(),
        policy: Policy::default(),
    }
}

/// Nodes as one cluster has them: two of one name get the names of their hosts behind it, and all hosts are worked on in one way.
/// Where one needs sudo all have it; root does without, whatever is said.
fn joined(mut nodes: Vec<Node>) -> Vec<Node> {
    let mut taken = BTreeSet::new();
    let needs = |node: &Node| matches!(&node.host, Host::Ssh(host) if host.sudo);
    let sudo = nodes.iter().any(needs);
    for node in &mut nodes {
        if let Host::Ssh(host) = &mut node.host {
            host.sudo = sudo;
        }
        if !taken.insert(node.name.clone())
            && let Host::Ssh(host) = &node.host
        {
            node.name = format!("{}-{}", node.name, host.name).into();
        }
    }
    nodes
}

/// Why nothing more is known of a process.
fn silent(host: &NamedHost, pack: &Pack, one: &Running) -> String {
    let who = format!("{}: process {} of {}", host.name, one.found.pid, pack.title);
    if one.listens.is_empty() {
        return format!("{who} listens nowhere that this user may see");
    }
    let ports: BTreeSet<u16> = one.listens.iter().map(|address| address.port()).collect();
    let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
    format!(
        "{who} answers at none of its ports {}; with TLS give --ca, and --cert and --key when it asks for them",
        ports.join(", ")
    )
}

/// How it is restarted; the error says why that is not known.
fn service(one: &Running) -> Result<ServiceSpec, String> {
    let unit = one.unit.as_ref().ok_or("it runs outside of a unit of systemd")?;
    if unit.main_pid != one.found.pid {
        return Err(format!("{} takes process {} for its own", unit.name, unit.main_pid));
    }
    Ok(ServiceSpec::Systemd(SystemdSpec {
        unit: unit.name.clone(),
        binary: one.found.live_binary(None),
        packages: Vec::new(),
        grace: unit.stop,
    }))
}

/// The addresses that a process may answer at, as this machine can ask: those that others reach first.
fn addresses(one: &Running, host: &NamedHost, https: bool) -> Vec<String> {
    let mut all: Vec<(bool, u16, String)> = Vec::new();
    for address in &one.listens {
        let ip = address.ip();
        let text = match ip {
            ip if ip.is_unspecified() => host.address.clone(),
            ip => ip.to_string(),
        };
        let text = if text.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()) {
            format!("[{text}]")
        } else {
            text
        };
        all.push((ip.is_loopback(), address.port(), text));
    }
    all.sort();
    let scheme = if https { "https" } else { "http" };
    all.into_iter().map(|(_, port, text)| format!("{scheme}://{text}:{port}")).collect()
}

fn as_node(
    pack: &Arc<Pack>,
    own: &NodeObservation,
    seen: &Observation,
    members: Vec<Member>,
    mut node: Node,
    url: String,
) -> Seen {
    let id = own.facts.get("cluster_id").or_else(|| seen.facts.get("cluster_id"));
    let cluster = id.map_or(url, ToString::to_string);
    if own.role == Role::Client {
        node.group = "client".into();
    }
    let id = own.member_id.as_deref();
    let member = members.iter().find(|one| one.is_node(&members, &node, id)).cloned();
    if let Some(member) = member {
        if !member.name.is_empty() {
            node.name = member.name.as_str().into();
        }
        if let Some(peer) = member.peer_urls.first() {
            node.endpoints.insert("peer".into(), peer.clone());
        }
    }
    Seen { pack: pack.clone(), cluster, node }
}
