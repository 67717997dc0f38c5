//! Names the files of a node's releases: the live binary, the staged and kept ones beside it, the folder of tools.

use quorate_model::{Node, PackName, Release, ServiceSpec};
use std::path::{Path, PathBuf};

/// Where a node's binaries live.
///
/// For the live binary `/opt/etcd/bin/etcd` and release 3.4.23 of pack `etcd`:
/// the staged (or kept) binary is `/opt/etcd/bin/etcd_3.4.23`, and `/opt/etcd/bin/etcd-3.4.23/` holds every file of the
/// artifact under its own name (`etcd`, `etcdctl`); calls name that folder `{artifact}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePaths {
    live: PathBuf,
    server: String,
    packages: Vec<String>,
}

impl NodePaths {
    /// Paths around a live binary; the artifact's server file has the same name.
    pub fn new(live: impl Into<PathBuf>) -> Self {
        let live = live.into();
        let server = file_name(&live);
        Self { live, server, packages: Vec::new() }
    }
    /// Paths of a service; none when its program is a bare name, which says not which file would be swapped.
    pub fn of_service(spec: &ServiceSpec) -> Option<Self> {
        let paths = spec.binary().filter(|binary| binary.is_absolute()).map(Self::new)?;
        Some(Self { packages: spec.packages().to_vec(), ..paths })
    }
    /// Paths of a node; none when it has no service of its own.
    pub fn of(node: &Node) -> Option<Self> {
        node.service.as_ref().and_then(Self::of_service)
    }
    /// Names the artifact's server file when the live binary is called differently.
    #[must_use]
    pub fn server_named(mut self, name: impl Into<String>) -> Self {
        self.server = name.into();
        self
    }
    /// The binary that the service runs.
    pub fn live(&self) -> &Path {
        &self.live
    }
    /// Debian packages that the program comes with.
    pub fn packages(&self) -> &[String] {
        &self.packages
    }
    /// The name of the server's file in an artifact.
    pub fn server(&self) -> &str {
        &self.server
    }
    /// The binary of a release beside the live one: staged before its swap, kept after the next.
    pub fn beside(&self, release: &Release) -> PathBuf {
        self.live.with_file_name(format!("{}_{release}", file_name(&self.live)))
    }
    /// The folder with every file of a staged artifact.
    pub fn artifact_dir(&self, pack: &PackName, release: &Release) -> PathBuf {
        self.live.with_file_name(format!("{pack}-{release}"))
    }
    /// The folder that everything stands in.
    pub fn folder(&self) -> &Path {
        self.live.parent().unwrap_or_else(|| Path::new("/"))
    }
}

/// The folder that `{artifact}` stands for in calls to this node.
pub fn artifact_dir(node: &Node, pack: &PackName, release: &Release) -> Option<PathBuf> {
    NodePaths::of(node).map(|paths| paths.artifact_dir(pack, release))
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
