//! What every command stands on: the fleet, the packs, the state folder with its store, the artifacts at hand.

use crate::{
    hands::Prepared,
    problem::{
        BAD_FLEET, BAD_PACK, BAD_STATE, FILE, NO_ARTIFACT, NO_CLUSTER, NO_FLEET, NO_HOST, NO_PACK,
        Problem, STALE_PLAN, UNSEEN,
    },
    rewrites::Rewrites,
    sources::{self, HostsOptions, Taken},
};
use quorate_hosts::artifacts::{Cache, Catalog};
use quorate_inventory::ListedHost;
use quorate_model::{
    ArtifactRef, Cluster, Ejected, Fleet, Holder, Host, NodeName, PackName, Plan, Release,
    ServiceSpec,
};
use quorate_observe::{Clients, Observer, Tools, Transports};
use quorate_packs::{Pack, Packs};
use quorate_probe::Tunnels;
use quorate_store::{SqliteStore, Store};
use quorate_transport::{LocalTransport, SshHosts, Transport, http::authority};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where things are, as the command line says.
#[derive(Debug, Clone, Default)]
pub struct SetupOptions {
    /// The fleet file; looked for upwards from the working folder when left out.
    pub fleet: Option<PathBuf>,
    /// The state folder; `.quorate` beside the fleet file when left out.
    pub state: Option<PathBuf>,
    /// More folders of artifacts.
    pub artifacts: Vec<PathBuf>,
    /// Where fetched releases are kept; `cache` in the state folder when left out.
    pub cache: Option<PathBuf>,
    /// How the inventory's sources are used.
    pub hosts: HostsOptions,
}

/// What a command stands on.
pub struct Setup {
    /// The fleet file.
    pub fleet_file: PathBuf,
    /// The fleet that is worked on: with settings that runs have rewritten, without nodes that were taken out.
    pub fleet: Fleet,
    /// The same with the nodes that were taken out.
    pub whole: Fleet,
    /// Nodes that were taken out.
    pub ejected: Vec<Ejected>,
    /// The fleet as its file declares it.
    pub declared: Fleet,
    /// Settings that runs have rewritten.
    pub rewrites: Rewrites,
    /// What a person should know, whatever the command.
    pub notes: Vec<String>,
    /// The packs.
    pub packs: Arc<Packs>,
    /// The state folder.
    pub state_dir: PathBuf,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Files by digest.
    pub cache: Cache,
    /// Staged files that this command has found whole.
    pub prepared: Prepared,
    /// Releases in folders.
    pub catalog: Catalog,
    /// Hosts over SSH.
    pub ssh: SshHosts,
    /// All hosts: those that sources list, and those that clusters declare; with the nodes that were taken out.
    pub hosts: Vec<ListedHost>,
    /// The sources that were used.
    pub sources: Vec<Taken>,
}

/// Packs: the built-in ones, and those in `packs/` beside the fleet file.
pub fn packs_beside(fleet_file: Option<&Path>) -> Result<Arc<Packs>, Problem> {
    let folder = fleet_file.and_then(Path::parent).map(|parent| parent.join("packs"));
    let files = folder
        .filter(|folder| folder.is_dir())
        .map(|folder| pack_files(&folder))
        .transpose()?
        .unwrap_or_default();
    Packs::load(&files).map(Arc::new).map_err(|diagnostics| {
        let text = diagnostics.first().map(|one| one.file.clone()).unwrap_or_default();
        let source = files
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, text)| text.as_str())
            .unwrap_or_default();
        Problem::new(BAD_PACK, format!("the packs cannot be used: {}", faults(diagnostics.len())))
            .pointing(quorate_syntax::render(&diagnostics, source))
    })
}

/// Every YAML file below a folder of packs, with its text.
pub fn pack_files(folder: &Path) -> Result<Vec<(String, String)>, Problem> {
    let unreadable = |path: &Path, error: std::io::Error| {
        Problem::new(FILE, format!("cannot read {}", path.display())).because(error.to_string())
    };
    let mut files = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).map_err(|error| unreadable(&next, error))? {
            let path = entry.map_err(|error| unreadable(&next, error))?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") {
                let text =
                    std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
                files.push((path.display().to_string(), text));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Looks for the fleet file upwards.
pub fn find_fleet(given: Option<&Path>) -> Result<PathBuf, Problem> {
    if let Some(given) = given {
        return if given.is_file() {
            Ok(given.to_owned())
        } else {
            Err(Problem::new(NO_FLEET, format!("there is no fleet file {}", given.display())))
        };
    }
    let here = std::env::current_dir()
        .map_err(|error| Problem::new(NO_FLEET, format!("the working folder is gone: {error}")))?;
    here.ancestors()
        .map(|folder| folder.join("fleet.yaml"))
        .find(|file| file.is_file())
        .ok_or_else(|| {
            Problem::new(NO_FLEET, format!("there is no fleet.yaml in {} or above it", here.display()))
                .hint("write one with `quorate init`, adopt a running cluster with `quorate init --endpoint URL`, or name it with `--fleet FILE`")
        })
}

impl Setup {
    /// Reads the fleet and opens the state.
    pub fn open(options: &SetupOptions) -> Result<Self, Problem> {
        let fleet_file = find_fleet(options.fleet.as_deref())?;
        let fleet_file = std::path::absolute(&fleet_file).unwrap_or(fleet_file);
        let packs = packs_beside(Some(&fleet_file))?;
        let base = fleet_file.parent().map(Path::to_owned).unwrap_or_default();
        let state_dir = options.state.clone().unwrap_or_else(|| base.join(".quorate"));
        let state_dir = std::path::absolute(&state_dir).unwrap_or(state_dir);
        let (declared, hosts, sources) =
            read_fleet(&fleet_file, &packs, &state_dir, options.hosts)?;
        let store = SqliteStore::open(&state_dir.join("state.db"))?;
        let rewrites = Rewrites::of(&state_dir);
        let mut fleet = declared.clone();
        let mut notes = rewrites.apply(&mut fleet, &fleet_file)?;
        notes.extend(sources.iter().filter_map(Taken::note));
        let whole = fleet.clone();
        let mut ejected = Vec::new();
        for cluster in &mut fleet.clusters {
            let out = store.ejected(&cluster.name)?;
            cluster.nodes.retain(|node| !out.iter().any(|one| one.node == node.name));
            ejected.extend(out);
        }
        let cache = Cache::open(options.cache.clone().unwrap_or_else(|| state_dir.join("cache")))
            .map_err(|error| Problem::new(BAD_STATE, error.to_string()))?;
        let dirs: Vec<PathBuf> =
            options.artifacts.iter().chain(&declared.artifacts).cloned().collect();
        let catalog = Catalog::scan(&dirs);
        let ssh = SshHosts::new(&declared.ssh).map_err(|error| {
            Problem::new(BAD_FLEET, error.to_string())
                .hint("name another one with `ssh: {config: FILE}` in the fleet file")
        })?;
        Ok(Self {
            fleet_file,
            fleet,
            whole,
            ejected,
            declared,
            rewrites,
            notes,
            packs,
            state_dir,
            store: Arc::new(store),
            cache,
            prepared: Prepared::default(),
            catalog,
            ssh,
            hosts,
            sources,
        })
    }

    /// A cluster by name.
    pub fn cluster(&self, name: &str) -> Result<&Cluster, Problem> {
        self.fleet.clusters.iter().find(|cluster| cluster.name.as_str() == name).ok_or_else(|| {
            let known: Vec<&str> =
                self.fleet.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
            Problem::new(NO_CLUSTER, format!("the fleet has no cluster `{name}`")).hint(format!(
                "{} declares: {}",
                self.fleet_file.display(),
                known.join(", ")
            ))
        })
    }

    /// The same cluster with the nodes that were taken out.
    pub fn whole_cluster<'s>(&'s self, cluster: &'s Cluster) -> &'s Cluster {
        self.whole.clusters.iter().find(|whole| whole.name == cluster.name).unwrap_or(cluster)
    }

    /// The cluster, and these of its nodes although they were taken out, in declared order.
    pub fn also(&self, cluster: &Cluster, nodes: &[&NodeName]) -> Cluster {
        let works = |name: &NodeName| cluster.nodes.iter().any(|own| own.name == *name);
        let whole = self.whole_cluster(cluster).nodes.iter();
        let kept = whole.filter(|node| works(&node.name) || nodes.contains(&&node.name)).cloned();
        Cluster { nodes: kept.collect(), ..cluster.clone() }
    }

    /// The cluster that a plan speaks of: with the node that it takes out or brings back. A plan that moves a node that was
    /// taken out since is stale.
    pub fn cluster_of(&self, plan: &Plan) -> Result<Cluster, Problem> {
        let cluster = self.cluster(plan.cluster.as_str())?;
        let own = plan.changed_member();
        let out = self.ejected.iter().find(|out| {
            let observed = plan.observed.nodes.iter().any(|seen| seen.name == out.node);
            out.cluster == cluster.name && observed && own != Some(&out.node)
        });
        if let Some(Ejected { node, at, .. }) = out {
            let text = format!("plan {} is older than the cluster", plan.digest.short());
            return Err(Problem::new(STALE_PLAN, text)
                .because(format!("{node} was taken out at {at}, the plan counts on it"))
                .hint("make it again: `quorate plan` starts from what is really there"));
        }
        Ok(self.also(cluster, own.as_slice()))
    }

    /// A cluster as the fleet file declares it.
    pub fn declared(&self, name: &str) -> Option<&Cluster> {
        self.declared.clusters.iter().find(|cluster| cluster.name.as_str() == name)
    }

    /// Clusters, with nodes that were taken out, whose names fit any of these patterns; all without patterns. A pattern that
    /// fits nothing is an error.
    pub fn select(&self, patterns: &[String]) -> Result<Vec<&Cluster>, Problem> {
        quorate_inventory::select(&self.whole, patterns)
            .map_err(|error| Problem::new(NO_CLUSTER, error.to_string()).hint(error.hint))
    }

    /// The hosts that any of these selectors means; all that may run without selectors.
    pub fn select_hosts(&self, selectors: &[String]) -> Result<Vec<&ListedHost>, Problem> {
        quorate_inventory::select_hosts(&self.hosts, selectors)
            .map_err(|error| Problem::new(NO_HOST, error.to_string()).hint(error.hint()))
    }

    /// The pack of a cluster.
    pub fn pack(&self, cluster: &Cluster) -> Result<Arc<Pack>, Problem> {
        self.packs
            .shared(&cluster.pack)
            .ok_or_else(|| unknown_pack(&self.packs, cluster.pack.as_str()))
    }

    /// The artifact of a release: from the folders, or from the cache.
    pub fn artifact(&self, pack: &PackName, release: &Release) -> Option<ArtifactRef> {
        self.catalog.find(pack, release).cloned().or_else(|| self.cache.known(pack, release))
    }

    /// Every release at hand of a product.
    pub fn artifacts(&self, pack: &PackName) -> Vec<ArtifactRef> {
        let mut found: BTreeMap<Release, ArtifactRef> = BTreeMap::new();
        for artifact in
            self.cache.releases().into_iter().chain(self.catalog.artifacts.iter().cloned())
        {
            if artifact.pack == *pack {
                found.insert(artifact.release.clone(), artifact);
            }
        }
        found.into_values().collect()
    }

    /// The packages that members of a cluster are installed from.
    pub fn packages(cluster: &Cluster) -> Vec<String> {
        let services = cluster.nodes.iter().filter_map(|node| node.service.as_ref());
        let all: BTreeSet<&String> = services.flat_map(ServiceSpec::packages).collect();
        all.into_iter().cloned().collect()
    }

    /// Every release at hand of a cluster's product. One with all packages of the cluster goes before one without.
    pub fn artifacts_of(&self, cluster: &Cluster) -> Vec<ArtifactRef> {
        let mut found: BTreeMap<Release, ArtifactRef> = self
            .artifacts(&cluster.pack)
            .into_iter()
            .map(|artifact| (artifact.release.clone(), artifact))
            .collect();
        let packages = Self::packages(cluster);
        let cached = self.cache.releases().into_iter();
        for artifact in cached.filter(|artifact| artifact.pack == cluster.pack) {
            let held = found.get(&artifact.release);
            let lacks = held.is_none_or(|held| !held.lacks(&packages).is_empty());
            if lacks && artifact.lacks(&packages).is_empty() {
                found.insert(artifact.release.clone(), artifact);
            }
        }
        found.into_values().collect()
    }

    /// An observer of a cluster.
    pub fn observer(&self, cluster: &Cluster) -> Result<(Observer, Clients), Problem> {
        let pack = self.pack(cluster)?;
        let clients = Clients::new(&pack, cluster).map_err(|error| {
            let hint = error.hint();
            Problem::new(
                BAD_FLEET,
                format!("the TLS files of cluster {} cannot be used: {error}", cluster.name),
            )
            .hint(hint)
        })?;
        let observer =
            Observer::new(pack, cluster, self.transports(), clients.clone(), self.tools(cluster))
                .map_err(|error| Problem::new(BAD_FLEET, error.to_string()).hint(error.hint()))?;
        Ok((observer, clients))
    }

    /// Ways to hosts.
    pub fn transports(&self) -> Transports {
        let ssh = self.ssh.clone();
        Arc::new(move |host: &Host| -> Arc<dyn Transport> {
            match host {
                Host::Local => Arc::new(LocalTransport),
                Host::Ssh(host) => ssh.host(host),
            }
        })
    }

    /// Tunnels for clients: to members whose address only their own host reaches.
    pub async fn tunnels(&self, cluster: &Cluster) -> Result<Tunnels, Problem> {
        let view = self.pack(cluster)?.client.clone();
        let purpose = view.map(|view| view.endpoint).unwrap_or_default();
        let transports = self.transports();
        let mut tunnels = Tunnels::new();
        for node in &cluster.nodes {
            let address = node.endpoints.get(&purpose).and_then(|url| authority(url));
            let Some(address) = address else { continue };
            let socket = transports(&node.host).tunnel(&address).await.map_err(|because| {
                Problem::new(UNSEEN, format!("clients cannot reach {}", node.name)).because(because)
            })?;
            tunnels.extend(socket.map(|socket| (node.name.clone(), socket)));
        }
        Ok(tunnels)
    }

    /// Ways to every host of a cluster.
    pub fn ways(&self, cluster: &Cluster) -> BTreeMap<NodeName, Arc<dyn Transport>> {
        let transports = self.transports();
        cluster.nodes.iter().map(|node| (node.name.clone(), transports(&node.host))).collect()
    }

    /// Tools on this machine, for probes that are commands: folders of artifacts, and what is staged beside the nodes' binaries.
    fn tools(&self, cluster: &Cluster) -> Tools {
        let mut folders = BTreeMap::new();
        for artifact in &self.catalog.artifacts {
            if let (true, quorate_model::ArtifactSource::Folder(folder)) =
                (artifact.pack == cluster.pack, &artifact.source)
            {
                folders.insert(artifact.release.clone(), folder.clone());
            }
        }
        for artifact in
            self.cache.releases().into_iter().filter(|artifact| artifact.pack == cluster.pack)
        {
            for node in &cluster.nodes {
                let staged = quorate_hosts::swap::paths::artifact_dir(
                    node,
                    &cluster.pack,
                    &artifact.release,
                );
                if let Some(folder) = staged.filter(|folder| folder.is_dir()) {
                    folders.entry(artifact.release.clone()).or_insert(folder);
                }
            }
        }
        Tools::new(folders)
    }
}

/// This person at this terminal.
pub fn holder() -> Holder {
    let user = std::env::var("USER")
        .or_else(|_| std::env::var("LOGNAME"))
        .unwrap_or_else(|_| "somebody".into());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Holder { who: format!("{user}@{}", host.trim()), pid: std::process::id() }
}

/// Reads and checks a fleet file, and asks the sources of its inventory. Gives the fleet, all its hosts, and the sources.
fn read_fleet(
    file: &Path,
    packs: &Packs,
    state_dir: &Path,
    options: HostsOptions,
) -> Result<(Fleet, Vec<ListedHost>, Vec<Taken>), Problem> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Problem::new(FILE, format!("cannot read {}", file.display())).because(error.to_string())
    })?;
    let base = file.parent().map(Path::to_owned).unwrap_or_default();
    let wrong = |diagnostics: Vec<quorate_syntax::Diagnostic>| {
        Problem::new(
            BAD_FLEET,
            format!("{} cannot be used: {}", file.display(), faults(diagnostics.len())),
        )
        .pointing(quorate_syntax::render(&diagnostics, &text))
    };
    let name = file.display().to_string();
    let sources = quorate_inventory::read_sources(&name, &text, &base).map_err(wrong)?;
    let asked = sources::take(&sources, state_dir, options)?;
    let listed: Vec<ListedHost> = asked.iter().flat_map(|one| one.hosts.clone()).collect();
    let (mut fleet, hosts) =
        quorate_inventory::read_fleet_with(&name, &text, &base, packs, &listed).map_err(wrong)?;
    read_templates(&mut fleet)?;
    let taken = sources.iter().map(|source| {
        let known = asked.iter().find(|taken| taken.name == source.name).cloned();
        known.unwrap_or_else(|| Taken::declared(source, &hosts))
    });
    let taken = taken.collect();
    let hosts = quorate_inventory::listed(&hosts, &fleet);
    Ok((fleet, hosts, taken))
}

/// Reads the templates that the clusters name, and sees that they are templates.
fn read_templates(fleet: &mut Fleet) -> Result<(), Problem> {
    for cluster in &mut fleet.clusters {
        for config in &mut cluster.config {
            let (name, cluster) = (config.template.display(), &cluster.name);
            config.text = std::fs::read_to_string(&config.template).map_err(|error| {
                Problem::new(
                    FILE,
                    format!("cannot read {name}, the template of {} in {cluster}", config.path),
                )
                .because(error.to_string())
                .hint("a template's path starts at the folder of the fleet file")
            })?;
            quorate_packs::config_template::check(&config.text).map_err(|because| {
                Problem::new(BAD_FLEET, format!("{name}, a template of {cluster}, cannot be used"))
                    .because(because)
                    .hint("templates have the syntax of Jinja: `{{ node.name }}`, `{% if release is within(\"3.5.x\") %}`")
            })?;
        }
    }
    Ok(())
}

fn faults(count: usize) -> String {
    if count == 1 { "1 fault".to_owned() } else { format!("{count} faults") }
}

/// There is no such pack.
pub fn unknown_pack(packs: &Packs, name: &str) -> Problem {
    let known: Vec<&str> = packs.names().map(PackName::as_str).collect();
    Problem::new(NO_PACK, format!("there is no pack `{name}`"))
        .hint(format!("known packs: {}", known.join(", ")))
}

/// A release is not at hand.
pub fn no_artifact(pack: &PackName, release: &Release, tried: &[String]) -> Problem {
    let mut problem = Problem::new(NO_ARTIFACT, format!("{pack} {release} cannot be had"))
        .hint(format!("put its binaries into `DIR/{pack}/{release}/` and give `--artifacts DIR`"));
    for one in tried {
        problem = problem.because(one.clone());
    }
    problem
}
