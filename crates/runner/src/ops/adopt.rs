//! Adopting a running cluster that Quorate did not deploy: it is looked at, declared, and never touched.

use crate::{
    problem::{NO_ADOPTION, Problem},
    setup::unknown_pack,
};
use jiff::Timestamp;
use quorate_inventory::{
    ListedHost, Source,
    sources::{FactsFile, SourceKind, SourceLimits},
};
use quorate_model::{AuthSpec, Fleet, Host, SshSpec, TlsSpec};
use quorate_observe::{AdoptError, AdoptOptions, NamedHost, Transports, adopt, adopt_hosts};
use quorate_packs::Packs;
use quorate_transport::{LocalTransport, SshHosts, Transport};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// What a person said of the cluster.
#[derive(Debug, Clone)]
pub struct AdoptRequest {
    /// The product.
    pub pack: String,
    /// One of its endpoints.
    pub endpoint: String,
    /// The name that it gets.
    pub name: String,
    /// Files of the TLS client.
    pub tls: Option<TlsSpec>,
    /// The user inside the product.
    pub auth: Option<AuthSpec>,
}

/// Gives the fleet file's text, and what a person should know.
pub async fn cluster(
    packs: &Packs,
    request: &AdoptRequest,
    fleet_file: &Path,
) -> Result<(String, Vec<String>), Problem> {
    let pack = packs
        .shared(&request.pack.as_str().into())
        .ok_or_else(|| unknown_pack(packs, &request.pack))?;
    let options = options(request, fleet_file);
    let here: Transports = Arc::new(|_| Arc::new(LocalTransport));
    let adopted =
        adopt(&pack, &here, &options, Timestamp::now()).await.map_err(|error| refused(&error))?;
    let fleet = Fleet {
        ssh: SshSpec::default(),
        name: request.name.clone(),
        artifacts: Vec::new(),
        clusters: vec![adopted.cluster],
    };
    Ok((quorate_inventory::write_fleet(&fleet), adopted.notes))
}

fn options(request: &AdoptRequest, fleet_file: &Path) -> AdoptOptions {
    AdoptOptions {
        endpoint: request.endpoint.clone(),
        name: request.name.as_str().into(),
        tls: request.tls.clone(),
        auth: request.auth.clone(),
        state_dir: folder_of(fleet_file).join(".quorate"),
    }
}

fn folder_of(fleet_file: &Path) -> PathBuf {
    let file = std::path::absolute(fleet_file).unwrap_or_else(|_| fleet_file.to_owned());
    file.parent().map(Path::to_owned).unwrap_or_default()
}

fn refused(error: &AdoptError) -> Problem {
    Problem::new(NO_ADOPTION, error.to_string()).hint(error.hint())
}

/// Logs in to hosts and adopts what runs there. Gives the fleet file's text, and what a person should know.
pub async fn hosts(
    packs: &Packs,
    names: &[String],
    ssh: &SshSpec,
    request: &AdoptRequest,
    fleet_file: &Path,
) -> Result<(String, Vec<String>), Problem> {
    let ways = SshHosts::new(ssh).map_err(|error| {
        Problem::new(NO_ADOPTION, error.to_string())
            .hint("name another one with `--ssh-config FILE`")
    })?;
    let named: Vec<NamedHost> = names
        .iter()
        .map(|name| NamedHost { name: name.clone(), address: ways.target(name).host })
        .collect();
    let transports: Transports = Arc::new(move |host: &Host| -> Arc<dyn Transport> {
        match host {
            Host::Local => Arc::new(LocalTransport),
            Host::Ssh(host) => ways.host(host),
        }
    });
    let all: Vec<_> = packs.names().filter_map(|name| packs.shared(name)).collect();
    let options = options(request, fleet_file);
    let adopted = adopt_hosts(&all, &named, &transports, &options, Timestamp::now())
        .await
        .map_err(|error| refused(&error))?;
    let fleet = Fleet {
        ssh: ssh.clone(),
        name: request.name.clone(),
        artifacts: Vec::new(),
        clusters: adopted.clusters,
    };
    Ok((quorate_inventory::write_fleet(&fleet), adopted.notes))
}

/// Asks Ansible for its hosts. Gives the text of a fleet file that takes them, and how many there are.
pub async fn ansible(
    packs: &Packs,
    inventories: &[PathBuf],
    name: &str,
    fleet_file: &Path,
) -> Result<(String, usize), Problem> {
    let folder = folder_of(fleet_file);
    let is_list = |path: &Path| path.to_string_lossy().contains(',');
    let whole = |path: &PathBuf| match std::path::absolute(path) {
        Ok(whole) if !is_list(path) => whole,
        _ => path.clone(),
    };
    let paths: Vec<PathBuf> = inventories.iter().map(whole).collect();
    let source = Source {
        name: "ansible".into(),
        kind: SourceKind::Ansible { paths: paths.clone(), folder: folder.clone() },
        labels: Vec::new(),
        facts: FactsFile::default(),
        sudo: true,
        limits: SourceLimits::default(),
    };
    let hosts: Vec<ListedHost> = crate::sources::ask(&source).await?;
    if hosts.is_empty() {
        let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        return Err(Problem::new(NO_ADOPTION, format!("{} lists no host", shown.join(", ")))
            .hint("look with `ansible-inventory --list -i PATH`"));
    }
    // A path beside the fleet file moves with it.
    let shown = |path: PathBuf| path.strip_prefix(&folder).map(Path::to_owned).unwrap_or(path);
    let paths: Vec<PathBuf> = paths.into_iter().map(shown).collect();
    Ok((quorate_inventory::write_ansible(name, &paths, &hosts, packs), hosts.len()))
}
