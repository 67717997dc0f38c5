//! What a lab's folder holds: the mark, the state file, and where each thing lies.

use super::LabError;
use quorate_model::{Fleet, NodeName, PackName, Release, ServiceSpec};
use quorate_transport::beside;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// The mark of a lab's folder; `down` removes no folder without it.
pub(super) const MARK: &str = ".quorate-lab";
/// The state file.
pub(super) const STATE: &str = "lab.json";
/// Version of the state file.
const STATE_SCHEMA: u32 = 1;

/// What stands in a lab's folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabState {
    /// Version of this file.
    pub schema: u32,
    /// The cluster's name.
    pub name: String,
    /// The product.
    pub pack: PackName,
    /// The release that it was set up with.
    pub release: Release,
    /// True when `up` made the folder itself, so that `down` may remove it.
    pub made_folder: bool,
    /// Ports that it holds.
    pub ports: Vec<u16>,
    /// Its declaration, as it was set up.
    pub fleet: Fleet,
}

impl LabState {
    /// The state of a lab that is being set up.
    pub(super) fn new(name: &str, pack: &PackName, release: &Release, fleet: Fleet) -> Self {
        Self {
            schema: STATE_SCHEMA,
            name: name.to_owned(),
            pack: pack.clone(),
            release: release.clone(),
            made_folder: false,
            ports: Vec::new(),
            fleet,
        }
    }

    /// The members with their services.
    pub fn services(&self) -> Vec<(&NodeName, &ServiceSpec)> {
        let nodes = self.fleet.clusters.iter().flat_map(|cluster| &cluster.nodes);
        nodes.filter_map(|node| Some((&node.name, node.service.as_ref()?))).collect()
    }

    /// One member's service and data folder.
    pub(super) fn member(&self, name: &NodeName) -> Result<(&ServiceSpec, PathBuf), LabError> {
        let mut nodes = self.fleet.clusters.iter().flat_map(|cluster| &cluster.nodes);
        let node = nodes.find(|node| node.name == *name);
        node.and_then(|node| Some((node.service.as_ref()?, node.data_dir.clone()?))).ok_or_else(
            || {
                let names: Vec<&str> =
                    self.services().iter().map(|(name, _)| name.as_str()).collect();
                LabError::Input(format!(
                    "the lab `{}` has no member `{name}` (it has: {})",
                    self.name,
                    names.join(", ")
                ))
            },
        )
    }

    pub(super) fn save(&self, dir: &Path) -> Result<(), LabError> {
        let text = serde_json::to_vec_pretty(self).map_err(|error| LabError::Setup {
            what: "write the lab's state down".to_owned(),
            because: error.to_string(),
        })?;
        write(&dir.join(STATE), &text, 0o600)
    }
}

/// Reads the state of the lab in a folder.
pub fn state(dir: &Path) -> Result<LabState, LabError> {
    if !dir.join(MARK).is_file() {
        return Err(LabError::NoLab(dir.to_owned()));
    }
    read(&dir.join(STATE), STATE_SCHEMA)
}

/// Reads a state file; one of a newer schema is refused before its content is looked at.
pub(super) fn read<T: DeserializeOwned>(path: &Path, schema: u32) -> Result<T, LabError> {
    let text = fs::read(path).map_err(LabError::disk("read", path))?;
    let value: Value =
        serde_json::from_slice(&text).map_err(|error| unusable(path, error.to_string()))?;
    let own = value.get("schema").and_then(Value::as_u64).unwrap_or_default();
    if own > u64::from(schema) {
        let because = format!("it has schema {own}, this program knows up to {schema}");
        return Err(unusable(path, because));
    }
    serde_json::from_value(value).map_err(|error| unusable(path, error.to_string()))
}

/// A state file that says nothing usable.
pub(super) fn unusable(path: &Path, because: String) -> LabError {
    LabError::Setup { what: format!("use {}", path.display()), because }
}

/// Whether a release is a bound or newer; nothing when the bound is no release.
pub(super) fn at_least(release: &Release, bound: &str) -> Option<bool> {
    bound.parse::<Release>().ok().map(|bound| *release >= bound)
}

/// Writes a file so that a crash leaves the old or the new one.
pub(super) fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), LabError> {
    let folder = path.parent().unwrap_or_else(|| Path::new("/"));
    fs::create_dir_all(folder).map_err(LabError::disk("make", folder))?;
    let new = beside(path, ".new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&new)
        .map_err(LabError::disk("write", &new))?;
    file.write_all(content)
        .and_then(|()| file.sync_all())
        .map_err(LabError::disk("write", &new))?;
    fs::rename(&new, path).map_err(LabError::disk("write", path))
}
