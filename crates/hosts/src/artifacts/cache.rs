//! Keeps files by the SHA-256 of their content, and remembers which files make up a release.
//!
//! Layout: `sha256/ab/abcd…` for files, `index/<pack>/<release>.json` for releases that were fetched.
//! Invariants: a name appears only by renaming a whole, synced file, so any number of writers may share the folder;
//! a file is given out only after its bytes were hashed again, and a damaged one is removed.

use super::{ArtifactError, debian, web};
use quorate_model::{ArtifactFile, ArtifactRef, ArtifactSource, Digest, PackName, Release};
use sha2::{Digest as _, Sha256};
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// A folder of files by content.
#[derive(Debug, Clone)]
pub struct Cache {
    dir: PathBuf,
}

/// No release's single file comes near this; a stream that never ends must stop somewhere.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// One read or write at a time: large enough that the calls cost nothing beside the hashing.
const CHUNK_BYTES: usize = 256 * 1024;

impl Cache {
    /// Opens a cache folder and makes it when it is missing.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, ArtifactError> {
        let dir = dir.into();
        for part in ["sha256", "index", "tmp"] {
            fs::create_dir_all(dir.join(part))
                .map_err(ArtifactError::disk("make", dir.join(part)))?;
        }
        Ok(Self { dir })
    }

    /// The cache folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Gives a file by its digest after hashing it again; a damaged one is removed and counts as missing.
    pub fn get(&self, digest: &Digest) -> Result<Option<PathBuf>, ArtifactError> {
        let path = self.path_of(digest)?;
        match digest_of(&path) {
            Ok((actual, _)) if actual == *digest => Ok(Some(path)),
            Ok(_) => {
                // Another reader may have removed it first.
                let _ = fs::remove_file(&path);
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ArtifactError::disk("read", path)(error)),
        }
    }

    /// Takes everything a reader gives, up to `limit_bytes`, and tells its digest and size.
    pub fn add(
        &self,
        what: &str,
        mut reader: impl Read,
        limit_bytes: u64,
    ) -> Result<(Digest, u64), ArtifactError> {
        let tmp = self.dir.join("tmp");
        let mut file =
            tempfile::NamedTempFile::new_in(&tmp).map_err(ArtifactError::disk("write in", &tmp))?;
        let mut hash = Sha256::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut size: u64 = 0;
        loop {
            let count = match reader.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ArtifactError::disk("read", what)(error)),
            };
            size = size.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            if size > limit_bytes {
                return Err(ArtifactError::TooLarge { what: what.to_owned(), limit_bytes });
            }
            let part = chunk.get(..count).unwrap_or_default();
            hash.update(part);
            file.write_all(part).map_err(ArtifactError::disk("write", file.path()))?;
        }
        let digest = Digest::new(hex::encode(hash.finalize()));
        self.keep(file, &digest)?;
        Ok((digest, size))
    }

    /// Takes a local file; refuses one with another digest than expected.
    pub fn add_file(
        &self,
        source: &Path,
        expected: Option<&Digest>,
    ) -> Result<(Digest, u64), ArtifactError> {
        let file = File::open(source).map_err(ArtifactError::disk("read", source))?;
        let what = source.display().to_string();
        let (actual, size) = self.add(&what, file, FILE_BYTES_MAX)?;
        match expected {
            Some(expected) if *expected != actual => {
                Err(ArtifactError::Damaged { what, expected: expected.clone(), actual })
            }
            Some(_) | None => Ok((actual, size)),
        }
    }

    fn keep(&self, file: tempfile::NamedTempFile, digest: &Digest) -> Result<(), ArtifactError> {
        let path = self.path_of(digest)?;
        let folder = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(folder).map_err(ArtifactError::disk("make", folder))?;
        file.as_file().sync_all().map_err(ArtifactError::disk("write", file.path()))?;
        // The rename replaces an equal file, which is harmless; two writers of one digest wrote the same bytes.
        file.persist(&path).map_err(|error| ArtifactError::disk("write", &path)(error.error))?;
        Ok(())
    }

    fn path_of(&self, digest: &Digest) -> Result<PathBuf, ArtifactError> {
        let text = digest.as_str();
        let sound =
            text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let short = text.get(..2).filter(|_| sound);
        let short = short.ok_or_else(|| {
            ArtifactError::Input(format!(
                "`{text}` is no SHA-256 digest: expected 64 lower-case hexadecimal digits"
            ))
        })?;
        Ok(self.dir.join("sha256").join(short).join(text))
    }

    /// Gives a release that was fetched before, when every file of it is still there and whole: no network is needed.
    pub fn known(&self, pack: &PackName, release: &Release) -> Option<ArtifactRef> {
        let text = fs::read(self.index_path(pack, release)?).ok()?;
        let artifact: ArtifactRef = serde_json::from_slice(&text).ok()?;
        let whole = artifact.files.iter().all(|file| matches!(self.get(&file.sha256), Ok(Some(_))));
        (whole && artifact.pack == *pack && artifact.release == *release).then_some(artifact)
    }

    /// Remembers a release whose files are in the cache.
    pub fn remember(&self, artifact: &ArtifactRef) -> Result<(), ArtifactError> {
        let path = self.index_path(&artifact.pack, &artifact.release).ok_or_else(|| {
            ArtifactError::Input(format!("`{}` cannot be a pack's name", artifact.pack))
        })?;
        let folder = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(folder).map_err(ArtifactError::disk("make", folder))?;
        let text = serde_json::to_vec_pretty(artifact).map_err(|error| {
            ArtifactError::Input(format!("cannot write the release down: {error}"))
        })?;
        let mut file = tempfile::NamedTempFile::new_in(folder)
            .map_err(ArtifactError::disk("write in", folder))?;
        file.write_all(&text).map_err(ArtifactError::disk("write", &path))?;
        file.persist(&path).map_err(|error| ArtifactError::disk("write", &path)(error.error))?;
        Ok(())
    }

    /// Every release that was fetched before and is whole.
    pub fn releases(&self) -> Vec<ArtifactRef> {
        let mut all = Vec::new();
        for pack in names_in(&self.dir.join("index")) {
            for file in names_in(&self.dir.join("index").join(&pack)) {
                let release = file.strip_suffix(".json").and_then(|text| text.parse().ok());
                all.extend(
                    release.and_then(|release| self.known(&PackName::new(&*pack), &release)),
                );
            }
        }
        all.sort_by(|a, b| (&a.pack, &a.release).cmp(&(&b.pack, &b.release)));
        all
    }

    fn index_path(&self, pack: &PackName, release: &Release) -> Option<PathBuf> {
        let plain = !pack.as_str().is_empty()
            && !pack.as_str().starts_with('.')
            && !pack.as_str().contains('/');
        plain.then(|| self.dir.join("index").join(pack.as_str()).join(format!("{release}.json")))
    }

    /// Makes sure that every file of an artifact is here, from its source when it must be, and gives their paths in
    /// the artifact's order.
    pub async fn bring(&self, artifact: &ArtifactRef) -> Result<Vec<PathBuf>, ArtifactError> {
        if let Some(paths) = self.have(artifact).await? {
            return Ok(paths);
        }
        match &artifact.source {
            ArtifactSource::Folder(folder) => {
                let (cache, folder, files) = (self.clone(), folder.clone(), artifact.files.clone());
                blocking(move || {
                    files.iter().try_for_each(|file| {
                        cache.add_file(&folder.join(&file.name), Some(&file.sha256)).map(drop)
                    })
                })
                .await?;
            }
            ArtifactSource::Url { url, sha256 } => {
                web::fetch_again(self, artifact, url, sha256).await?
            }
            ArtifactSource::Debian { suite, packages } => {
                debian::fetch_again(self, artifact, suite, packages).await?;
            }
        }
        self.have(artifact).await?.ok_or_else(|| ArtifactError::NotAtHand {
            pack: artifact.pack.clone(),
            release: artifact.release.clone(),
            tried: vec![format!(
                "{}: its files have other digests now than the plan names",
                source_name(&artifact.source)
            )],
        })
    }

    async fn have(&self, artifact: &ArtifactRef) -> Result<Option<Vec<PathBuf>>, ArtifactError> {
        let (cache, files) = (self.clone(), artifact.files.clone());
        blocking(move || files.iter().map(|file| cache.get(&file.sha256)).collect()).await
    }
}

/// Names a source for people.
pub(crate) fn source_name(source: &ArtifactSource) -> String {
    match source {
        ArtifactSource::Folder(folder) => format!("folder {}", folder.display()),
        ArtifactSource::Url { url, sha256: _ } => url.clone(),
        ArtifactSource::Debian { suite, packages } => {
            format!("Debian {suite}: {}", packages.join(", "))
        }
    }
}

/// Hashes a file.
pub(crate) fn digest_of(path: &Path) -> io::Result<(Digest, u64)> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut size: u64 = 0;
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok((Digest::new(hex::encode(hash.finalize())), size)),
            Ok(count) => {
                hash.update(chunk.get(..count).unwrap_or_default());
                size = size.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The file of an artifact that a digest and size describe.
pub(crate) fn artifact_file(
    name: impl Into<String>,
    (sha256, size_bytes): (Digest, u64),
) -> ArtifactFile {
    ArtifactFile { name: name.into(), sha256, size_bytes }
}

/// Names in a folder, sorted; none when it cannot be read.
pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Runs work that blocks where it does not hold up anything else.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArtifactError> + Send + 'static,
) -> Result<T, ArtifactError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(ArtifactError::Input(format!("the work was broken off: {error}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path().join("cache")).unwrap();
        (dir, cache)
    }

    fn artifact(files: Vec<ArtifactFile>, folder: &Path) -> ArtifactRef {
        ArtifactRef {
            pack: "etcd".into(),
            release: "3.4.23".parse().unwrap(),
            source: ArtifactSource::Folder(folder.to_owned()),
            files,
        }
    }

    #[test]
    fn gives_back_what_it_took() {
        let (_dir, cache) = cache();
        let (digest, size) = cache.add("x", &b"hello"[..], 100).unwrap();
        assert_eq!(size, 5);
        assert_eq!(digest.0, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
        assert_eq!(fs::read(cache.get(&digest).unwrap().unwrap()).unwrap(), b"hello");
    }

    #[test]
    fn a_damaged_file_counts_as_missing_and_can_come_again() {
        let (_dir, cache) = cache();
        let (digest, _) = cache.add("x", &b"hello"[..], 100).unwrap();
        let path = cache.get(&digest).unwrap().unwrap();
        fs::write(&path, b"hellO").unwrap();
        assert_eq!(cache.get(&digest).unwrap(), None);
        assert!(!path.exists());
        cache.add("x", &b"hello"[..], 100).unwrap();
        assert!(cache.get(&digest).unwrap().is_some());
    }

    #[test]
    fn refuses_an_endless_stream() {
        let (_dir, cache) = cache();
        let error = cache.add("the stream", io::repeat(1), 1024 * 1024).unwrap_err();
        assert_eq!(error.to_string(), "the stream is larger than 1 MiB and was not taken");
        assert_eq!(names_in(&cache.dir().join("tmp")), Vec::<String>::new());
    }

    #[test]
    fn a_name_that_is_no_digest_never_becomes_a_path() {
        let (_dir, cache) = cache();
        for text in ["", "../../etc/passwd", &"A".repeat(64), &"é".repeat(32)] {
            assert!(
                matches!(cache.get(&Digest::new(text)), Err(ArtifactError::Input(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn concurrent_writers_of_one_file_do_not_disturb_each_other() {
        let (_dir, cache) = cache();
        let content = vec![7_u8; 3_000_000];
        let digests: Vec<Digest> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| cache.add("x", &content[..], FILE_BYTES_MAX).unwrap().0))
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        assert!(digests.iter().all(|digest| cache.get(digest).unwrap().is_some()));
        assert!(names_in(&cache.dir().join("tmp")).is_empty());
    }

    #[tokio::test]
    async fn a_folder_that_changed_since_the_plan_is_refused() {
        let (dir, cache) = cache();
        fs::write(dir.path().join("etcd"), b"new").unwrap();
        let file = artifact_file("etcd", (Digest::new("0".repeat(64)), 3));
        let error = cache.bring(&artifact(vec![file], dir.path())).await.unwrap_err();
        assert!(matches!(error, ArtifactError::Damaged { .. }), "{error}");
    }

    #[test]
    fn remembers_a_release_as_long_as_its_files_are_whole() {
        let (dir, cache) = cache();
        let file = artifact_file("etcd", cache.add("x", &b"hello"[..], 100).unwrap());
        let artifact = artifact(vec![file.clone()], dir.path());
        assert_eq!(cache.known(&artifact.pack, &artifact.release), None);
        cache.remember(&artifact).unwrap();
        assert_eq!(cache.known(&artifact.pack, &artifact.release), Some(artifact.clone()));
        assert_eq!(cache.releases(), std::slice::from_ref(&artifact));
        fs::write(cache.get(&file.sha256).unwrap().unwrap(), b"h").unwrap();
        assert_eq!(cache.known(&artifact.pack, &artifact.release), None);
    }
}
