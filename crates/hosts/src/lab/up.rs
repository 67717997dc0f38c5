//! Sets a lab up: folder, certificates, ports, binaries, processes, users, keys. What fails half-way is taken away again.

use super::{
    Lab, LabError, LabSpec, LabState, Registry,
    certs::{self, Certs},
    down, place,
    product::{Agent, Product},
};
use crate::{
    artifacts::{Cache, OnProgress, Progress},
    service::{self, ServiceState},
    shell,
    swap::{self, Prints, paths::NodePaths},
};
use futures::{StreamExt, TryStreamExt, future::try_join_all, stream};
use quorate_model::{
    AuthSpec, Cluster, ClusterName, Fleet, GroupName, Host, Node, NodeName, Policy, ProcessSpec,
    Secret, ServiceSpec, SshSpec, fleet::GRACE_DEFAULT,
};
use quorate_transport::{Answer, Transport, http::HttpClient};
use std::{fs, io::Read, path::Path, time::Duration};
use tokio::time::Instant;

/// A new cluster elects a leader within a few seconds; a loaded machine gets ten times that.
const SERVE_LIMIT: Duration = Duration::from_secs(60);
/// Often enough that a person sees no wait, seldom enough to cost nothing.
const SERVE_POLL: Duration = Duration::from_millis(50);
/// Clients that start at the same time: as many as keep two cores busy, since each needs a good part of a second to load.
const CLIENTS_AT_ONCE: usize = 8;
/// A look at the process starts a shell; twice a second is soon enough to tell that it ended.
const POLLS_PER_LOOK: u32 = 10;
/// More members than any consensus cluster should have.
const MEMBERS_MAX: u32 = 9;
/// Keys are written one by one, some thousand a second.
const V2_KEYS_MAX: u32 = 100_000;
/// Lines of a member's log that a message may carry.
const LOG_LINES: usize = 5;

/// Sets up a lab and waits until every member serves.
pub async fn up(
    transport: &dyn Transport,
    cache: &Cache,
    registry: &Registry,
    spec: &LabSpec,
    progress: OnProgress<'_>,
) -> Result<Lab, LabError> {
    let product = sound(spec)?;
    let dir = std::path::absolute(&spec.dir).map_err(LabError::disk("find", &spec.dir))?;
    let made_folder = claim(&dir)?;
    let set_up = async {
        let mut state = lay_out(registry, spec, product, &dir)?;
        state.made_folder = made_folder;
        state.save(&dir)?;
        progress(Progress::step(format!(
            "copying {} {}",
            spec.artifact.pack, spec.artifact.release
        )));
        install_all(transport, cache, spec, &state).await?;
        progress(Progress::step(format!("starting {} processes", state.services().len())));
        start_all(transport, &state, product).await?;
        prepare(transport, spec, &state, progress).await?;
        Ok(Lab { fleet: state.fleet, dir: dir.clone() })
    };
    match set_up.await {
        Ok(lab) => Ok(lab),
        Err(error) => {
            // The first error is the one to tell; what cannot be taken away stays visible in the folder.
            let _ = down::sweep(transport, registry, &dir, made_folder).await;
            Err(error)
        }
    }
}

/// Refuses a name that could be anything but a name.
pub(super) fn plainly_named(name: &str) -> Result<(), LabError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if name.bytes().all(plain) && name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(LabError::Input(format!(
        "`{name}` cannot be a lab's name: use letters, digits, `-`, `_` and `.`, a letter or digit first"
    )))
}

fn sound(spec: &LabSpec) -> Result<Product, LabError> {
    plainly_named(&spec.name)?;
    if spec.members == 0 || spec.members > MEMBERS_MAX {
        return Err(LabError::Input(format!(
            "a lab has 1 to {MEMBERS_MAX} members, not {}",
            spec.members
        )));
    }
    if spec.v2_keys > V2_KEYS_MAX {
        return Err(LabError::Input(format!(
            "a lab writes at most {V2_KEYS_MAX} v2 keys, not {}",
            spec.v2_keys
        )));
    }
    Product::of(spec)
}

/// Makes the folder and marks it; true when it did not exist before.
pub(super) fn claim(dir: &Path) -> Result<bool, LabError> {
    let made = !dir.exists();
    if !made && fs::read_dir(dir).map_err(LabError::disk("read", dir))?.next().is_some() {
        return Err(LabError::Taken(dir.to_owned()));
    }
    place::write(
        &dir.join(place::MARK),
        b"made by quorate lab up; removed by quorate lab down\n",
        0o644,
    )?;
    Ok(made)
}

/// Decides names, ports and arguments, and writes certificates and secrets.
fn lay_out(
    registry: &Registry,
    spec: &LabSpec,
    product: Product,
    dir: &Path,
) -> Result<LabState, LabError> {
    let certs = if spec.tls { Some(certs::write(&dir.join("certs"))?) } else { None };
    let (all, ports) = product.agents(spec, registry, dir)?;
    let mut secret = None;
    let auth = if spec.auth {
        let file = dir.join("secrets").join("root.password");
        let text = secret.insert(product.secret(random()?));
        place::write(&file, text.as_bytes(), 0o600)?;
        Some(AuthSpec { user: "root".to_owned(), password: Secret::File(file) })
    } else {
        None
    };
    let secrets = (certs.as_ref(), secret.as_deref());
    let nodes = all.iter().map(|agent| node(spec, product, agent, &all, dir, secrets));
    let cluster = Cluster {
        name: ClusterName::new(&*spec.name),
        pack: spec.artifact.pack.clone(),
        environment: Some("lab".to_owned()),
        nodes: nodes.collect::<Result<_, _>>()?,
        tls: certs.as_ref().map(Certs::client_spec),
        auth,
        config: Vec::new(),
        dependants: Vec::new(),
        policy: Policy::default(),
    };
    let (name, ssh) = (spec.name.clone(), SshSpec::default());
    let fleet = Fleet { name, artifacts: Vec::new(), clusters: vec![cluster], ssh };
    let mut state = LabState::new(&spec.name, &spec.artifact.pack, &spec.artifact.release, fleet);
    state.ports = ports;
    Ok(state)
}

fn node(
    spec: &LabSpec,
    product: Product,
    agent: &Agent,
    all: &[Agent],
    dir: &Path,
    secrets: (Option<&Certs>, Option<&str>),
) -> Result<Node, LabError> {
    let own = dir.join("members").join(&agent.name);
    let (data_dir, binary) = (own.join("data"), product.binary());
    let mut argv = vec![own.join("bin").join(binary).to_string_lossy().into_owned()];
    argv.extend(product.args(spec, agent, all, &data_dir, secrets)?);
    let service = ServiceSpec::Process(ProcessSpec {
        argv,
        env: product.env(spec),
        pid_file: own.join(format!("{binary}.pid")),
        log_file: own.join(format!("{binary}.log")),
        work_dir: Some(own),
        grace: GRACE_DEFAULT,
    });
    let endpoints = agent.endpoints.iter();
    Ok(Node {
        name: NodeName::new(&*agent.name),
        group: GroupName::new(agent.group),
        host: Host::Local,
        endpoints: endpoints.map(|(purpose, url)| ((*purpose).to_owned(), url.clone())).collect(),
        data_dir: Some(data_dir),
        service: Some(service),
    })
}

/// A text that nobody guesses, of thirty-two letters.
pub(super) fn secret() -> Result<String, LabError> {
    Ok(random()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Sixteen random bytes: nobody guesses them, and a person can still paste them.
fn random() -> Result<[u8; 16], LabError> {
    let path = Path::new("/dev/urandom");
    let mut bytes = [0; 16];
    let mut file = fs::File::open(path).map_err(LabError::disk("read", path))?;
    file.read_exact(&mut bytes).map_err(LabError::disk("read", path))?;
    Ok(bytes)
}

/// Hundreds of clients on one machine share the bytes of one copy, by links: hosts of their own would not read from one disk.
const OWN_COPIES_MAX: usize = 150;

/// Puts the programs in place for everybody.
async fn install_all(
    transport: &dyn Transport,
    cache: &Cache,
    spec: &LabSpec,
    state: &LabState,
) -> Result<(), LabError> {
    let services = state.services();
    let many = services.len() > OWN_COPIES_MAX;
    let (first, others) = services.split_at(if many { 1 } else { services.len() });
    let own = first.iter().map(|(node, service)| install(transport, cache, spec, node, service));
    try_join_all(own).await?;
    if let Some((_, like)) = first.first() {
        others.iter().try_for_each(|(_, service)| link_like(spec, like, service))?;
    }
    Ok(())
}

/// Links the files of a release, staged and live, to those of a member that was installed. They are the very same files, so nobody
/// reads three hundred times over that they are whole.
fn link_like(spec: &LabSpec, like: &ServiceSpec, service: &ServiceSpec) -> Result<(), LabError> {
    let LabSpec { artifact, .. } = spec;
    let (from, to) = (NodePaths::of_service(like), NodePaths::of_service(service));
    let (Some(from), Some(to)) = (from, to) else { return Ok(()) };
    let dir = |paths: &NodePaths| paths.artifact_dir(&artifact.pack, &artifact.release);
    fs::create_dir_all(dir(&to)).map_err(LabError::disk("make", &dir(&to)))?;
    let tools = artifact.files.iter().map(|file| (dir(&from), dir(&to), &file.name));
    let tools = tools.map(|(from, to, name)| (from.join(name), to.join(name)));
    let own = [
        (from.beside(&artifact.release), to.beside(&artifact.release)),
        (from.live().to_owned(), to.live().to_owned()),
    ];
    for (file, link) in tools.chain(own) {
        fs::hard_link(file, &link).map_err(LabError::disk("make", &link))?;
    }
    Ok(())
}

/// Puts the member's own copy of the programs in place, so that later swaps touch nothing else.
async fn install(
    transport: &dyn Transport,
    cache: &Cache,
    spec: &LabSpec,
    node: &NodeName,
    service: &ServiceSpec,
) -> Result<(), LabError> {
    let failed = |because: String| LabError::Member { node: node.clone(), because };
    let paths =
        NodePaths::of_service(service).ok_or_else(|| failed("it has no binary".to_owned()))?;
    let staged = swap::stage(transport, &paths, &spec.artifact, cache, &Prints::default())
        .await
        .into_result()
        .map_err(failed)?;
    let words = [staged.binary.to_string_lossy(), paths.live().to_string_lossy()];
    let command = shell::script(include_str!("../swap/link.sh"), &[&words[0], &words[1]]);
    let linked =
        shell::run(transport, "placing the binary", &command, SERVE_LIMIT).await.into_result();
    linked.map(drop).map_err(failed)
}

/// Starts servers at once, as a cluster of its own kind needs it, and then clients a few at a time: hundreds that start and join in the
/// same moment keep a small machine from answering anybody, and take each other for dead.
async fn start_all(
    transport: &dyn Transport,
    state: &LabState,
    product: Product,
) -> Result<(), LabError> {
    let Some(cluster) = state.fleet.clusters.first() else { return Ok(()) };
    let http = client(cluster)?;
    let services = cluster.nodes.iter().filter_map(|node| Some((node, node.service.as_ref()?)));
    let (clients, servers): (Vec<_>, Vec<_>) =
        services.partition(|(node, _)| node.group.as_str() == "client");
    try_join_all(servers.iter().map(|(node, service)| start(transport, &node.name, service)))
        .await?;
    let one = |(node, service): (&Node, &ServiceSpec)| {
        let (node, service, http) = (node.clone(), service.clone(), &http);
        async move {
            start(transport, &node.name, &service).await?;
            serve(transport, http, &node, product).await
        }
    };
    let starting = stream::iter(clients.into_iter().map(one)).buffer_unordered(CLIENTS_AT_ONCE);
    starting.try_collect().await
}

async fn start(
    transport: &dyn Transport,
    node: &NodeName,
    service: &ServiceSpec,
) -> Result<u32, LabError> {
    let started = service::start(transport, service).await.into_result();
    started.map_err(|because| LabError::Member { node: node.clone(), because })
}

/// Waits until all serve, then makes users and keys.
async fn prepare(
    transport: &dyn Transport,
    spec: &LabSpec,
    state: &LabState,
    progress: OnProgress<'_>,
) -> Result<(), LabError> {
    let Some(cluster) = state.fleet.clusters.first() else { return Ok(()) };
    let (http, product) = (client(cluster)?, product(&state.pack)?);
    progress(Progress::step("waiting until every member serves"));
    try_join_all(cluster.nodes.iter().map(|node| serve(transport, &http, node, product))).await?;
    let url = cluster
        .nodes
        .first()
        .and_then(|node| node.endpoints.get("client"))
        .cloned()
        .unwrap_or_default();
    let password = match &cluster.auth {
        Some(AuthSpec { password, .. }) => {
            let read = quorate_transport::secret::read(password);
            Some(read.map_err(|error| LabError::Setup {
                what: "read the password that was just written".to_owned(),
                because: error.to_string(),
            })?)
        }
        None => None,
    };
    if spec.v2_keys > 0 || password.is_some() {
        progress(Progress::step("making users and keys"));
    }
    let password = password.as_ref().map(|password| password.expose());
    product.prepare(&http, spec, &url, password).await
}

/// The product of a lab that stands.
fn product(pack: &quorate_model::PackName) -> Result<Product, LabError> {
    Product::named(pack.as_str())
        .ok_or_else(|| LabError::Input(format!("this program makes no labs of {pack}")))
}

fn client(cluster: &Cluster) -> Result<HttpClient, LabError> {
    HttpClient::new(cluster.tls.as_ref(), None).map_err(|error| LabError::Setup {
        what: "use the lab's certificates".to_owned(),
        because: error.to_string(),
    })
}

/// Waits until one member of a lab serves after a restart.
pub(super) async fn serve_again(
    transport: &dyn Transport,
    state: &LabState,
    name: &NodeName,
) -> Result<(), LabError> {
    for cluster in &state.fleet.clusters {
        for node in cluster.nodes.iter().filter(|node| node.name == *name) {
            serve(transport, &client(cluster)?, node, product(&state.pack)?).await?;
        }
    }
    Ok(())
}

/// Waits until a member serves; ends early when its process does.
async fn serve(
    transport: &dyn Transport,
    http: &HttpClient,
    node: &Node,
    product: Product,
) -> Result<(), LabError> {
    let (Some(url), Some(service)) = (node.endpoints.get("client"), &node.service) else {
        return Ok(());
    };
    let began = Instant::now();
    let mut polls: u32 = 0;
    loop {
        let Err(because) = product.serves(http, &node.name, url).await else { return Ok(()) };
        polls = polls.wrapping_add(1);
        let stopped = polls.is_multiple_of(POLLS_PER_LOOK)
            && matches!(
                service::state(transport, service).await,
                Answer::Done(ServiceState::Stopped)
            );
        if stopped || began.elapsed() >= SERVE_LIMIT {
            let because = if stopped { "its process ended".to_owned() } else { because };
            let log = last_lines(service);
            return Err(LabError::NotServing {
                node: node.name.clone(),
                waited: began.elapsed(),
                because: format!("{because}; last lines of its log: {log}"),
            });
        }
        tokio::time::sleep(SERVE_POLL).await;
    }
}

fn last_lines(service: &ServiceSpec) -> String {
    let Some(process) = service.process() else { return String::new() };
    let text = fs::read(&process.log_file)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    tail(&text, LOG_LINES)
}

/// The last lines of a log, in one line.
pub(super) fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines.get(lines.len().saturating_sub(count)..).unwrap_or_default().join(" / ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::{ArtifactRef, ArtifactSource};

    fn spec(change: impl FnOnce(&mut LabSpec)) -> LabSpec {
        let artifact = ArtifactRef {
            pack: "etcd".into(),
            release: "3.4.23".parse().unwrap(),
            source: ArtifactSource::Folder("/nowhere".into()),
            files: Vec::new(),
        };
        let (name, dir) = ("demo".to_owned(), std::path::PathBuf::from("/nowhere"));
        let mut spec = LabSpec {
            name,
            dir,
            members: 3,
            tls: false,
            auth: false,
            clients: 0,
            v2_keys: 0,
            extra_args: Vec::new(),
            artifact,
        };
        change(&mut spec);
        spec
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        assert!(sound(&spec(|_| ())).is_ok());
        let release = |text: &str| text.parse().unwrap();
        let cases: [(LabSpec, &str); 12] = [
            (spec(|s| s.name = "../x".to_owned()), "cannot be a lab's name"),
            (spec(|s| s.name = String::new()), "cannot be a lab's name"),
            (spec(|s| s.members = 0), "1 to 9 members"),
            (spec(|s| s.members = 10), "1 to 9 members"),
            (spec(|s| s.v2_keys = 1_000_000), "at most 100000 v2 keys"),
            (spec(|s| s.artifact.pack = "redis".into()), "only of etcd and Consul"),
            (spec(|s| (s.auth, s.artifact.release) = (true, release("2.3.8"))), "needs etcd 3.0"),
            (spec(|s| (s.v2_keys, s.artifact.release) = (1, release("3.6.1"))), "no v2 API"),
            (spec(|s| s.clients = 1), "etcd has no clients"),
            (spec(|s| (s.artifact.pack, s.tls) = ("consul".into(), true)), "no TLS"),
            (spec(|s| (s.artifact.pack, s.clients) = ("consul".into(), 501)), "at most 500"),
            (
                spec(|s| {
                    (s.artifact.pack, s.auth) = ("consul".into(), true);
                    s.artifact.release = release("1.2.4");
                }),
                "needs Consul 1.4",
            ),
        ];
        for (spec, reason) in cases {
            let said = sound(&spec).unwrap_err().to_string();
            assert!(said.contains(reason), "{reason}: {said}");
        }
    }

    #[test]
    fn a_folder_with_something_in_it_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!claim(&dir.path().join("..").join(dir.path().file_name().unwrap())).unwrap());
        assert!(matches!(claim(dir.path()), Err(LabError::Taken(_))));
        assert!(claim(&dir.path().join("new/lab")).unwrap());
    }
}
