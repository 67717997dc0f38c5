//! Finds members that would be exchanged together: a swap renames one file, and every member that starts from it changes.
//!
//! The name of the file decides, folders' links followed: two names of one file (hard links, links of their own) are exchanged
//! one by one, and one name is exchanged for all.

use crate::finding;
use quorate_model::{Cluster, Finding, Host, NodeName, ServiceSpec, Severity};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Code of the finding.
pub(crate) const BINARY_SHARED: &str = "binary-shared";

/// A finding for each binary that several members of one host are started from.
pub(crate) fn binaries(cluster: &Cluster) -> Vec<Finding> {
    let mut owners: BTreeMap<(&Host, PathBuf), Vec<&NodeName>> = BTreeMap::new();
    for node in &cluster.nodes {
        let binary = node.service.as_ref().and_then(ServiceSpec::binary);
        if let Some(binary) = binary.filter(|binary| binary.is_absolute()) {
            owners
                .entry((&node.host, real_name(&node.host, &binary)))
                .or_default()
                .push(&node.name);
        }
    }
    let shared = owners.into_iter().filter(|(_, nodes)| nodes.len() > 1);
    shared.map(|((_, binary), nodes)| told(&binary, &nodes)).collect()
}

/// The file's own name in its real folder; as declared when the folder cannot be looked at, as on another host.
fn real_name(host: &Host, binary: &Path) -> PathBuf {
    if *host != Host::Local {
        return binary.to_owned();
    }
    let real = binary.parent().and_then(|folder| std::fs::canonicalize(folder).ok());
    real.zip(binary.file_name())
        .map_or_else(|| binary.to_owned(), |(folder, name)| folder.join(name))
}

fn told(binary: &Path, nodes: &[&NodeName]) -> Finding {
    let names: Vec<&str> = nodes.iter().map(|name| name.as_str()).collect();
    let (folder, name) = (binary.parent().unwrap_or(Path::new("/")), binary.file_name());
    let name = name.unwrap_or_default().to_string_lossy().into_owned();
    let copies: Vec<String> = names
        .iter()
        .map(|node| {
            let own = folder.join(node);
            format!("mkdir -p {0} && cp -p {1} {0}/{name}", own.display(), binary.display())
        })
        .collect();
    finding(
        Severity::Error,
        BINARY_SHARED,
        format!(
            "{} are started from one file, {}: exchanging it for one of them exchanges it for all, and whichever restarts next runs the new release",
            names.join(", "),
            binary.display()
        ),
        Some(format!(
            "give each member a copy of its own and name it first in its `argv` in the fleet file; nothing needs to restart: {}",
            copies.join("; ")
        )),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::{Node, Policy};
    use std::time::Duration;

    fn node(name: &str, binary: &Path) -> Node {
        let service = ServiceSpec::Process(quorate_model::ProcessSpec {
            argv: vec![binary.display().to_string(), format!("--name={name}")],
            env: BTreeMap::new(),
            pid_file: format!("/run/{name}.pid").into(),
            log_file: format!("/run/{name}.log").into(),
            work_dir: None,
            grace: Duration::from_secs(1),
        });
        Node {
            name: name.into(),
            group: "server".into(),
            host: Host::Local,
            endpoints: BTreeMap::new(),
            data_dir: None,
            service: Some(service),
        }
    }

    fn of(nodes: Vec<Node>) -> Vec<String> {
        let cluster = Cluster {
            name: "main".into(),
            pack: "etcd".into(),
            environment: None,
            nodes,
            tls: None,
            auth: None,
            config: Vec::new(),
            dependants: Vec::new(),
            policy: Policy::default(),
        };
        binaries(&cluster).into_iter().map(|finding| finding.text).collect()
    }

    #[test]
    fn one_name_is_shared_and_two_names_of_one_file_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("real")).unwrap();
        std::os::unix::fs::symlink(root.join("real"), root.join("link")).unwrap();
        std::fs::write(root.join("real/etcd"), "").unwrap();
        std::fs::hard_link(root.join("real/etcd"), root.join("real/etcd-b")).unwrap();
        let same = [node("a", &root.join("real/etcd")), node("b", &root.join("link/etcd"))];
        let told = of([same.to_vec(), vec![node("c", &root.join("real/etcd-b"))]].concat());
        let [told] = told.as_slice() else { panic!("{told:?}") };
        assert!(told.starts_with("a, b are started from one file"), "{told}");
        // A folder that is not there: the declared names decide.
        let gone = Path::new("/nowhere/etcd");
        assert_eq!(of(vec![node("a", gone), node("b", gone)]).len(), 1);
        assert_eq!(of(vec![node("a", gone), node("b", Path::new("/nowhere/b/etcd"))]).len(), 0);
    }
}
