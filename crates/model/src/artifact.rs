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

/// What the name of a package's file says, as apt and `dpkg-name` write it: `etcd-server_3.5.16-4_amd64.deb`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebName {
    /// `etcd-server`.
    pub package: String,
    /// As `dpkg` has it, with its epoch: `1:3.5.16-4`.
    pub version: String,
    /// `amd64`, or `all`.
    pub architecture: String,
}

impl DebName {
    /// Reads the name of a file; none when it is not that of a package.
    pub fn of(file: &str) -> Option<Self> {
        let mut parts = file.strip_suffix(".deb")?.split('_');
        let (package, version, architecture) = (parts.next()?, parts.next()?, parts.next()?);
        let plain = |text: &str| {
            let mut bytes = text.bytes();
            bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
                && bytes.all(|byte| {
                    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-' | b'~' | b':')
                })
        };
        // A colon cannot stand in every file's name, so an epoch's is written otherwise.
        let version = version.replace("%3a", ":");
        let sound = parts.next().is_none()
            && [package, &version, architecture].iter().all(|text| plain(text));
        sound.then(|| Self {
            package: package.to_owned(),
            version,
            architecture: architecture.to_owned(),
        })
    }
}

impl ArtifactRef {
    /// The files that are Debian packages, with what their names say.
    pub fn packages(&self) -> impl Iterator<Item = (&ArtifactFile, DebName)> {
        self.files.iter().filter_map(|file| Some((file, DebName::of(&file.name)?)))
    }
    /// The file of a package.
    pub fn package(&self, name: &str) -> Option<&ArtifactFile> {
        self.packages().find(|(_, deb)| deb.package == name).map(|(file, _)| file)
    }
    /// Those of these packages that it has no file of.
    pub fn lacks<'n>(&self, packages: impl IntoIterator<Item = &'n String>) -> Vec<&'n str> {
        let missing = |name: &&String| self.package(name).is_none();
        packages.into_iter().filter(missing).map(String::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packages_file_says_what_it_is() {
        let read =
            |file: &str| DebName::of(file).map(|deb| (deb.package, deb.version, deb.architecture));
        let said = |a: &str, b: &str, c: &str| Some((a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(
            read("etcd-server_3.4.23-4+b4_amd64.deb"),
            said("etcd-server", "3.4.23-4+b4", "amd64")
        );
        assert_eq!(read("consul_1%3a1.8.7_all.deb"), said("consul", "1:1.8.7", "all"));
        for other in ["etcd", "etcd.deb", "a_1.deb", "a_1_b_c.deb", "-o_1_all.deb", "a;b_1_all.deb"]
        {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
