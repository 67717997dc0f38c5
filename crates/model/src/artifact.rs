//! A release at hand: its files with their digests, and where they come from.

use crate::{Digest, PackName, Release};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One release of one product, with the digest of every file. A plan names artifacts by this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactRef {
    /// The product.
    pub pack: PackName,
    /// The release, as upstream writes it.
    pub release: Release,
    /// Where it comes from.
    pub source: ArtifactSource,
    /// Its files, sorted by name.
    pub files: Vec<ArtifactFile>,
}

/// One file of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactFile {
    /// File name, `etcd`.
    pub name: String,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// Its size.
    pub size_bytes: u64,
}

/// Where an artifact comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactSource {
    /// A folder that holds the files.
    Folder(PathBuf),
    /// A tar.gz, zip or bare binary; its own SHA-256 was given and checked.
    Url { url: String, sha256: Digest },
    /// A package of a Debian suite, through the machine's own apt.
    Debian { suite: String, packages: Vec<String> },
}
