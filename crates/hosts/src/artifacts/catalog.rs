//! Finds the releases that lie in folders: `DIR/<pack>/<release>/<binary>`.

use super::cache::{artifact_file, digest_of, names_in};
use crate::swap::program::{Program, look};
use quorate_model::{ArtifactRef, ArtifactSource, DebName, PackName, Release};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// The releases in some folders, and what could not be used there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    /// One for each pack and release, sorted; of two equal ones the earlier folder's.
    pub artifacts: Vec<ArtifactRef>,
    /// Folders and files that were passed over, and why, for the user.
    pub problems: Vec<String>,
}

impl Catalog {
    /// Looks through folders. Only programs count as files of a release, those with an execute bit and those that begin as
    /// a program does, and Debian packages, by their names.
    pub fn scan(dirs: &[PathBuf]) -> Self {
        let mut catalog = Self::default();
        for dir in dirs {
            if !dir.is_dir() {
                catalog.problems.push(format!("artifact folder {} does not exist", dir.display()));
            }
            for pack in names_in(dir) {
                for release in names_in(&dir.join(&pack)) {
                    catalog.take(&dir.join(&pack).join(&release), &pack, &release);
                }
            }
        }
        catalog.artifacts.sort_by(|a, b| (&a.pack, &a.release).cmp(&(&b.pack, &b.release)));
        catalog
            .artifacts
            .dedup_by(|later, first| later.pack == first.pack && later.release == first.release);
        catalog
    }

    /// The artifact of a release.
    pub fn find(&self, pack: &PackName, release: &Release) -> Option<&ArtifactRef> {
        self.artifacts
            .iter()
            .find(|artifact| artifact.pack == *pack && artifact.release == *release)
    }

    /// The releases at hand of a pack, oldest first.
    pub fn releases(&self, pack: &PackName) -> Vec<Release> {
        self.artifacts.iter().filter(|a| a.pack == *pack).map(|a| a.release.clone()).collect()
    }

    fn take(&mut self, folder: &Path, pack: &str, release: &str) {
        if !folder.is_dir() {
            return;
        }
        let Ok(release) = release.parse::<Release>() else {
            self.problems
                .push(format!("{} is passed over: `{release}` is not a release", folder.display()));
            return;
        };
        let mut files = Vec::new();
        for name in names_in(folder) {
            let path = folder.join(&name);
            let package = || path.is_file() && DebName::of(&name).is_some();
            if name.starts_with('.') || !(is_program(&path) || package()) {
                continue;
            }
            match digest_of(&path) {
                Ok(found) => files.push(artifact_file(name, found)),
                Err(error) => {
                    self.problems.push(format!("{} cannot be read: {error}", path.display()))
                }
            }
        }
        if files.iter().all(|file| DebName::of(&file.name).is_some()) {
            self.problems.push(format!("{} is passed over: it holds no program", folder.display()));
            return;
        }
        let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        let source = ArtifactSource::Folder(folder);
        self.artifacts.push(ArtifactRef { pack: PackName::new(pack), release, source, files });
    }
}

fn is_program(path: &Path) -> bool {
    let Ok(meta) = fs::metadata(path) else { return false };
    let executable = meta.permissions().mode() & 0o111 != 0;
    meta.is_file()
        && (executable || look(path).is_ok_and(|(program, _)| program != Program::Nothing))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, content: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    #[test]
    fn finds_releases_in_order_and_tells_what_it_passed_over() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (path, content) in [
            ("etcd/3.10.1/etcd", "#!/bin/sh\n"),
            ("etcd/3.4.23/etcdctl", "\u{7f}ELF"),
            ("etcd/3.4.23/etcd", "#!/bin/sh\n"),
            ("etcd/3.4.23/README.md", "text"),
            ("etcd/latest/etcd", "#!/bin/sh\n"),
            ("etcd/3.5.0/notes.txt", "nothing here"),
            ("loose-file", "x"),
        ] {
            write(first.path(), path, content);
        }
        write(second.path(), "etcd/3.4.23/etcd", "#!/bin/sh\n# another build\n");
        let missing = first.path().join("missing");
        let catalog = Catalog::scan(&[first.path().to_owned(), second.path().to_owned(), missing]);
        let names: Vec<String> = catalog
            .artifacts
            .iter()
            .map(|a| {
                let files: Vec<&str> = a.files.iter().map(|f| f.name.as_str()).collect();
                format!("{} {} {}", a.pack, a.release, files.join("+"))
            })
            .collect();
        assert_eq!(names, ["etcd 3.4.23 etcd", "etcd 3.10.1 etcd"]);
        let text = catalog.problems.join("\n");
        for part in [
            "`latest` is not a release",
            "3.5.0 is passed over: it holds no program",
            "missing does not exist",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let found = catalog.find(&"etcd".into(), &"3.4.23".parse().unwrap()).unwrap();
        assert_eq!(found.files[0].size_bytes, 10, "the earlier folder wins");
    }
}
