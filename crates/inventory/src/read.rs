//! A fleet file to a fleet: reads, fills in defaults, resolves paths, and has the result checked.

use crate::{
    check::check,
    expand::expand,
    file::{
        ClusterFile, DependantFile, FLEET_SCHEMA, FleetFile, HostActFile, HostFile, NodeDefaults,
        NodeFile, RunsFile, ServiceFile, ServiceKind, TemplateFile, UnitFile,
    },
    hosts::ListedHost,
    sources::{hosts_of, sources_of},
};
use quorate_model::{
    AuthSpec, Cluster, ConfigTemplate, Dependant, Fleet, GroupName, Host, HostAct, Node,
    ProcessSpec, Runs, Secret, ServiceSpec, SshHost, SshSpec, SystemdSpec, TlsSpec,
    fleet::{GRACE_DEFAULT, UNIT_GRACE_DEFAULT},
};
use quorate_packs::Packs;
use quorate_syntax::{Content, Diagnostic, Entry, SECRET_IN_FILE, Tree, parse, read_tree};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Reads a fleet file. Relative paths in it start at `folder`, the folder that the file lies in. Sources that must be asked list no
/// host then.
///
/// Everything that is wrong with a file that can be read at all is said at once, in the order of the file.
pub fn read_fleet(
    file_name: &str,
    text: &str,
    folder: &Path,
    packs: &Packs,
) -> Result<Fleet, Vec<Diagnostic>> {
    read_fleet_with(file_name, text, folder, packs, &[]).map(|(fleet, _)| fleet)
}

/// Reads a fleet file whose sources were asked: `hosts` are those that they listed. Gives the fleet, and the hosts of all sources.
pub fn read_fleet_with(
    file_name: &str,
    text: &str,
    folder: &Path,
    packs: &Packs,
    hosts: &[ListedHost],
) -> Result<(Fleet, Vec<ListedHost>), Vec<Diagnostic>> {
    let mut tree = parse(file_name, text).map_err(|diagnostic| vec![diagnostic])?;
    check_schema(&tree)?;
    refuse_secrets(&tree)?;
    let sources = sources_of(&tree, folder)?;
    let hosts = hosts_of(&tree, &sources, hosts)?;
    fill_in(&mut tree);
    expand(&mut tree, &hosts)?;
    let file: FleetFile = read_tree(&tree)?;
    let found = check(&file, &tree, folder, packs);
    if found.is_empty() { Ok((resolve(file, folder), hosts)) } else { Err(found) }
}

/// Refuses a newer file before any of its keys is called unknown.
fn check_schema(tree: &Tree) -> Result<(), Vec<Diagnostic>> {
    let Some(schema) = tree.get("schema") else { return Ok(()) };
    match schema.as_text().and_then(|text| text.parse::<u32>().ok()) {
        Some(FLEET_SCHEMA) | None => Ok(()),
        Some(other) => {
            let message = format!(
                "the fleet file has schema {other}, this program reads schema {FLEET_SCHEMA}"
            );
            let place = &schema.place;
            let newer = other > FLEET_SCHEMA;
            let hint =
                newer.then(|| "it was written for a newer Quorate: update this one".to_owned());
            let wrong = Diagnostic::error(place.file.as_ref(), place.at(), "fleet-schema", message);
            Err(vec![wrong.with_hint_if(hint)])
        }
    }
}

/// A password in the file is refused before any message could repeat it.
fn refuse_secrets(tree: &Tree) -> Result<(), Vec<Diagnostic>> {
    let clusters = tree.get("clusters").map_or(&[][..], Tree::items);
    let owners = clusters.iter().chain(tree.get("defaults"));
    let password = |owner: &Tree| owner.get("auth")?.get("password").cloned();
    let found: Vec<_> = owners
        .filter_map(password)
        .filter(|password| password.as_text().is_some())
        .map(|password| {
            let place = &password.place;
            let message = "a password stands in the fleet file";
            Diagnostic::error(place.file.as_ref(), place.at(), SECRET_IN_FILE, message)
                .with_hint("write `password: {file: PATH}` or `password: {env: NAME}`, and change the password")
        })
        .collect();
    if found.is_empty() { Ok(()) } else { Err(found) }
}

/// Gives each cluster what `defaults` say and it does not. A policy is joined key by key; anything else as a whole.
fn fill_in(tree: &mut Tree) {
    let Some(defaults) = tree.get("defaults").cloned() else { return };
    let Content::Map(entries) = &mut tree.content else { return };
    let clusters = entries.iter_mut().find(|entry| entry.key.text == "clusters");
    let Some(Content::List(clusters)) = clusters.map(|entry| &mut entry.value.content) else {
        return;
    };
    for cluster in clusters {
        let Content::Map(own) = &mut cluster.content else { continue };
        for default in defaults.entries() {
            match own.iter_mut().find(|entry| entry.key.text == default.key.text) {
                None => own.push(default.clone()),
                Some(entry) if entry.key.text == "policy" => {
                    add_missing(&mut entry.value, default.value.entries())
                }
                Some(_) => {}
            }
        }
    }
}

fn add_missing(tree: &mut Tree, more: &[Entry]) {
    let Content::Map(own) = &mut tree.content else { return };
    for entry in more {
        if !own.iter().any(|mine| mine.key.text == entry.key.text) {
            own.push(entry.clone());
        }
    }
}

fn resolve(file: FleetFile, folder: &Path) -> Fleet {
    let FleetFile { schema: _, fleet, artifacts, defaults: _, ssh, inventory: _, clusters } = file;
    Fleet {
        name: fleet,
        artifacts: artifacts.into_iter().map(|dir| below(folder, &dir)).collect(),
        clusters: clusters.into_iter().map(|cluster| resolve_cluster(cluster, folder)).collect(),
        ssh: SshSpec {
            config: ssh.config.map(|path| below(folder, &path)),
            host_keys: ssh.host_keys,
            sudo_password: ssh.sudo_password.map(|secret| resolve_secret(secret, folder)),
        },
    }
}

fn resolve_secret(secret: Secret, folder: &Path) -> Secret {
    match secret {
        Secret::File(path) => Secret::File(below(folder, &path)),
        Secret::Env(name) => Secret::Env(name),
    }
}

/// A path as it is when the folder is the current one; `.` parts are dropped.
pub(crate) fn below(folder: &Path, path: &Path) -> PathBuf {
    folder.join(path).components().collect()
}

fn resolve_cluster(file: ClusterFile, folder: &Path) -> Cluster {
    let ClusterFile {
        nodes_from: _,
        name,
        pack,
        environment,
        tls,
        auth,
        config,
        dependants,
        policy,
        defaults,
        nodes,
    } = file;
    let config = config.into_iter().map(|TemplateFile { path, template }| ConfigTemplate {
        path,
        template: below(folder, &template),
        text: String::new(),
    });
    let defaults = defaults.unwrap_or_default();
    let dependants = dependants.into_iter().map(|one| resolve_dependant(one, &defaults)).collect();
    Cluster {
        name,
        pack,
        environment,
        nodes: nodes.into_iter().map(|node| resolve_node(node, &defaults, folder)).collect(),
        tls: tls.map(|TlsSpec { ca, cert, key }| TlsSpec {
            ca: below(folder, &ca),
            cert: cert.map(|path| below(folder, &path)),
            key: key.map(|path| below(folder, &path)),
        }),
        auth: auth.map(|AuthSpec { user, password }| AuthSpec {
            user,
            password: resolve_secret(password, folder),
        }),
        config: config.collect(),
        dependants,
        policy,
    }
}

/// An application that shuts down in order within a minute is the rule; one that takes longer says so.
const HOST_ACT_LIMIT: Duration = Duration::from_secs(60);

fn resolve_dependant(file: DependantFile, defaults: &NodeDefaults) -> Dependant {
    let DependantFile { name, version, needs, works_with, requires, runs } = file;
    let act = |HostActFile { run, seen, limit_secs }: HostActFile| HostAct {
        run,
        seen,
        limit: grace(limit_secs).unwrap_or(HOST_ACT_LIMIT),
    };
    let runs = runs.map(|RunsFile { hosts, stop, start, switch, switch_back }| Runs {
        hosts: hosts.into_iter().map(|host| resolve_host(Some(host), defaults)).collect(),
        stop: act(stop),
        start: act(start),
        switch: switch.map(act),
        switch_back: switch_back.map(act),
    });
    Dependant { name, version, needs, works_with, requires, runs }
}

fn resolve_node(file: NodeFile, defaults: &NodeDefaults, folder: &Path) -> Node {
    let NodeFile { name, group, host, endpoints, data_dir, service } = file;
    let endpoint = |url: String| url.trim_end_matches('/').to_owned();
    Node {
        name,
        group: group.or_else(|| defaults.group.clone()).unwrap_or_else(|| GroupName::new("server")),
        host: resolve_host(host.or_else(|| defaults.host.clone()), defaults),
        endpoints: endpoints.into_iter().map(|(purpose, url)| (purpose, endpoint(url))).collect(),
        data_dir: data_dir.map(|path| below(folder, &path)),
        service: match (service, &defaults.service) {
            (Some(service), _) => resolve_service(service, defaults, folder),
            (None, Some(unit)) => Some(resolve_unit(unit, folder)),
            (None, None) => None,
        },
    }
}

fn resolve_host(file: Option<HostFile>, defaults: &NodeDefaults) -> Host {
    match file {
        None | Some(HostFile::Local) => Host::Local,
        Some(HostFile::Ssh(name)) => Host::Ssh(SshHost {
            sudo: defaults.sudo.unwrap_or(true),
            tunnel: defaults.tunnel.unwrap_or(false),
            name,
        }),
    }
}

fn resolve_unit(unit: &UnitFile, folder: &Path) -> ServiceSpec {
    ServiceSpec::Systemd(SystemdSpec {
        unit: unit.unit.clone(),
        binary: below(folder, &unit.binary),
        packages: unit.packages.clone(),
        grace: grace(unit.grace_secs).unwrap_or(UNIT_GRACE_DEFAULT),
    })
}

fn grace(secs: Option<f64>) -> Option<Duration> {
    secs.and_then(|secs| Duration::try_from_secs_f64(secs).ok())
}

/// A service that lacks what it needs was refused by the check, so nothing is left out here.
fn resolve_service(
    file: ServiceFile,
    defaults: &NodeDefaults,
    folder: &Path,
) -> Option<ServiceSpec> {
    let ServiceFile {
        kind,
        unit,
        binary,
        packages,
        mut argv,
        env: own,
        pid_file,
        log_file,
        work_dir,
        ..
    } = file;
    let secs = file.grace_secs.or(defaults.grace_secs);
    match kind {
        ServiceKind::Systemd => {
            let unit = UnitFile { unit: unit?, binary: binary?, packages, grace_secs: secs };
            Some(resolve_unit(&unit, folder))
        }
        ServiceKind::Process => {
            if let Some(binary) = argv.first_mut() {
                *binary = below(folder, Path::new(binary.as_str())).display().to_string();
            }
            let mut env = defaults.env.clone();
            env.extend(own);
            Some(ServiceSpec::Process(ProcessSpec {
                argv,
                env,
                pid_file: below(folder, &pid_file?),
                log_file: below(folder, &log_file?),
                work_dir: work_dir.map(|path| below(folder, &path)),
                grace: grace(secs).unwrap_or(GRACE_DEFAULT),
            }))
        }
    }
}
