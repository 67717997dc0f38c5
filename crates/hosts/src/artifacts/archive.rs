//! Takes the wanted programs out of a tar.gz, a zip, or a bare binary, straight into the cache.
//!
//! Invariants: nothing is ever written at a path that an archive names; an archive with one hostile entry (a path that
//! leaves its folder, a link, a device) is refused whole; what comes out is bounded, whatever the headers say.

use super::{ArtifactError, Cache, cache::artifact_file};
use quorate_model::ArtifactFile;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::{Component, Path},
};

/// All that an archive may unpack to. The largest release that Quorate knows unpacks to about 200 MB; an archive that
/// grows past five times that is a bomb or a mistake.
pub const UNPACKED_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// More entries than any release has, documentation included.
pub const ENTRIES_MAX: usize = 100_000;

/// A program found in an archive.
struct Found {
    depth: usize,
    path: String,
    file: ArtifactFile,
}

/// Takes the programs named `wanted` out of the file at `path`. A bare binary counts as the first of them.
/// The first is required; others may be missing, since tools come and go between releases.
pub fn unpack(
    cache: &Cache,
    path: &Path,
    name: &str,
    wanted: &[String],
) -> Result<Vec<ArtifactFile>, ArtifactError> {
    let refuse = |because: String| ArtifactError::Archive { archive: name.to_owned(), because };
    let mut head = Vec::new();
    let file = File::open(path).map_err(ArtifactError::disk("read", path))?;
    file.take(8).read_to_end(&mut head).map_err(ArtifactError::disk("read", path))?;
    let first = wanted.first().ok_or_else(|| refuse("nothing was asked for".to_owned()))?;
    let found = if head.starts_with(b"\x1f\x8b") {
        tar_gz(cache, path, name, wanted)?
    } else if head.starts_with(b"PK\x03\x04") {
        zip(cache, path, name, wanted)?
    } else if head.starts_with(b"\x7fELF") || head.starts_with(b"#!") {
        return Ok(vec![artifact_file(first, cache.add_file(path, None)?)]);
    } else {
        return Err(refuse("it is neither tar.gz nor zip nor a program".to_owned()));
    };
    if !found.contains_key(first) {
        return Err(refuse(format!("it holds no file `{first}`")));
    }
    Ok(found.into_values().map(|found| found.file).collect())
}

/// Keeps the one nearest to the archive's root; two at the same depth are a question, not a choice.
fn keep(found: &mut BTreeMap<String, Found>, name: String, new: Found) -> Result<(), String> {
    match found.get(&name) {
        Some(old) if old.depth == new.depth => {
            Err(format!("it holds `{name}` twice: {} and {}", old.path, new.path))
        }
        Some(old) if old.depth < new.depth => Ok(()),
        Some(_) | None => {
            found.insert(name, new);
            Ok(())
        }
    }
}

/// Gives the depth and file name of an entry's path; refuses a path that leaves the archive's folder.
fn place(path: &Path) -> Result<(usize, String), String> {
    let mut names = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => names.push(name.to_string_lossy().into_owned()),
            Component::CurDir => {}
            Component::ParentDir => {
                return Err(format!("the entry `{}` leaves its folder", path.display()));
            }
            Component::RootDir | Component::Prefix(_) => {
                return Err(format!("the entry `{}` has an absolute path", path.display()));
            }
        }
    }
    let depth = names.len();
    Ok((depth, names.pop().unwrap_or_default()))
}

fn tar_gz(
    cache: &Cache,
    path: &Path,
    name: &str,
    wanted: &[String],
) -> Result<BTreeMap<String, Found>, ArtifactError> {
    let refuse = |because: String| ArtifactError::Archive { archive: name.to_owned(), because };
    let broken = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            refuse("it ends too early: the download was cut short".to_owned())
        }
        _ => refuse(format!("it cannot be read: {error}")),
    };
    let file = File::open(path).map_err(ArtifactError::disk("read", path))?;
    let mut archive = tar::Archive::new(Bounded::new(flate2::read::MultiGzDecoder::new(file)));
    let mut found = BTreeMap::new();
    for (count, entry) in archive.entries().map_err(broken)?.enumerate() {
        let mut entry = entry.map_err(broken)?;
        if count >= ENTRIES_MAX {
            return Err(refuse(format!("it has more than {ENTRIES_MAX} entries")));
        }
        let entry_path = entry.path().map_err(broken)?.into_owned();
        let (depth, file_name) = place(&entry_path).map_err(refuse)?;
        let kind = entry.header().entry_type();
        if kind.is_dir() || kind.is_pax_global_extensions() {
            continue;
        }
        if !kind.is_file() {
            let what =
                if kind.is_symlink() || kind.is_hard_link() { "a link" } else { "no plain file" };
            return Err(refuse(format!("the entry `{}` is {what}", entry_path.display())));
        }
        if wanted.contains(&file_name) {
            let what = format!("{name}: {}", entry_path.display());
            let taken = cache
                .add(&what, &mut entry, UNPACKED_BYTES_MAX)
                .map_err(|error| unpacked(error, broken))?;
            let path = entry_path.display().to_string();
            let new = Found { depth, path, file: artifact_file(&file_name, taken) };
            keep(&mut found, file_name, new).map_err(refuse)?;
        }
    }
    // Reads to the very end: only there does gzip prove that nothing was lost on the way.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(broken)?;
    Ok(found)
}

/// An error while reading an entry is the archive's, not the disk's.
fn unpacked(error: ArtifactError, broken: impl Fn(io::Error) -> ArtifactError) -> ArtifactError {
    match error {
        ArtifactError::Disk { doing: "read", cause, .. } => broken(cause),
        other => other,
    }
}

fn zip(
    cache: &Cache,
    path: &Path,
    name: &str,
    wanted: &[String],
) -> Result<BTreeMap<String, Found>, ArtifactError> {
    let refuse = |because: String| ArtifactError::Archive { archive: name.to_owned(), because };
    let file = File::open(path).map_err(ArtifactError::disk("read", path))?;
    let mut archive = zip::ZipArchive::new(file)
        .map_err(|error| refuse(format!("it cannot be read, perhaps it was cut short: {error}")))?;
    if archive.len() > ENTRIES_MAX {
        return Err(refuse(format!("it has more than {ENTRIES_MAX} entries")));
    }
    let mut found = BTreeMap::new();
    let mut left = UNPACKED_BYTES_MAX;
    for at in 0..archive.len() {
        let mut entry =
            archive.by_index(at).map_err(|error| refuse(format!("it cannot be read: {error}")))?;
        // Windows separators would hide a way out of the folder.
        let entry_path = entry
            .name()
            .map_err(|error| refuse(format!("it cannot be read: {error}")))?
            .replace('\\', "/");
        let (depth, file_name) = place(Path::new(&entry_path)).map_err(refuse)?;
        if entry.is_symlink() {
            return Err(refuse(format!("the entry `{entry_path}` is a link")));
        }
        if entry.is_dir() || !wanted.contains(&file_name) {
            continue;
        }
        let taken =
            cache.add(&format!("{name}: {entry_path}"), &mut entry, left).map_err(|error| {
                unpacked(error, |cause| refuse(format!("it cannot be read: {cause}")))
            })?;
        left = left.saturating_sub(taken.1);
        let new = Found { depth, path: entry_path, file: artifact_file(&file_name, taken) };
        keep(&mut found, file_name, new).map_err(refuse)?;
    }
    Ok(found)
}

/// Counts what comes out of a decompressor and stops it: headers may lie, bytes cannot.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R> Bounded<R> {
    fn new(inner: R) -> Self {
        Self { inner, left: UNPACKED_BYTES_MAX }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left =
            self.left.checked_sub(u64::try_from(count).unwrap_or(u64::MAX)).ok_or_else(|| {
                io::Error::other(format!(
                    "it unpacks to more than {} MiB",
                    UNPACKED_BYTES_MAX / 1024 / 1024
                ))
            })?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    struct Bench {
        dir: tempfile::TempDir,
        cache: Cache,
    }

    fn bench() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path().join("cache")).unwrap();
        Bench { dir, cache }
    }

    impl Bench {
        fn unpack(&self, bytes: &[u8]) -> Result<Vec<String>, String> {
            let path = self.dir.path().join("archive");
            std::fs::write(&path, bytes).unwrap();
            let wanted = ["etcd", "etcdctl"].map(str::to_owned);
            let files = unpack(&self.cache, &path, "archive", &wanted).map_err(|e| e.sentence())?;
            Ok(files
                .iter()
                .map(|file| {
                    let path = self.cache.get(&file.sha256).unwrap().unwrap();
                    format!("{}={}", file.name, std::fs::read_to_string(path).unwrap())
                })
                .collect())
        }
    }

    /// Writes a tar entry with any path, also one that the library would refuse to write.
    fn entry(kind: tar::EntryType, path: &str, content: &[u8]) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }

    fn gz(parts: &[Vec<u8>]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        parts.iter().for_each(|part| encoder.write_all(part).unwrap());
        encoder.write_all(&[0; 1024]).unwrap();
        encoder.finish().unwrap()
    }

    fn file(path: &str, content: &str) -> Vec<u8> {
        entry(tar::EntryType::Regular, path, content.as_bytes())
    }

    fn zipped(parts: &[(&str, &str)]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        for (path, content) in parts {
            writer.start_file(*path, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(content.as_bytes()).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn takes_the_programs_out_of_each_form() {
        let bench = bench();
        let tar = gz(&[
            entry(tar::EntryType::Directory, "etcd-v3/", b""),
            file("etcd-v3/etcd", "server"),
            file("etcd-v3/doc/etcd", "a page of that name"),
            file("etcd-v3/etcdctl", "tool"),
        ]);
        assert_eq!(bench.unpack(&tar).unwrap(), ["etcd=server", "etcdctl=tool"]);
        let zip = zipped(&[("etcd-v3/README.md", "text"), ("etcd-v3/etcd", "server")]);
        assert_eq!(bench.unpack(&zip).unwrap(), ["etcd=server"]);
        assert_eq!(bench.unpack(b"#!/bin/sh\n").unwrap(), ["etcd=#!/bin/sh\n"]);
    }

    #[test]
    fn refuses_entries_that_leave_their_folder() {
        let bench = bench();
        for path in ["../etcd", "etcd-v3/../../etcd", "etcd-v3/../../../tmp/other"] {
            let said = bench.unpack(&gz(&[file("etcd", "x"), file(path, "y")])).unwrap_err();
            assert!(said.contains("leaves its folder"), "{path}: {said}");
            let said = bench.unpack(&zipped(&[("etcd", "x"), (path, "y")])).unwrap_err();
            assert!(said.contains("leaves its folder"), "{path}: {said}");
        }
        let said =
            bench.unpack(&gz(&[file("etcd", "x"), file("/etc/cron.d/evil", "y")])).unwrap_err();
        assert!(said.contains("absolute path"), "{said}");
        let said = bench.unpack(&zipped(&[("etcd", "x"), ("..\\..\\evil", "y")])).unwrap_err();
        assert!(said.contains("leaves its folder"), "{said}");
    }

    #[test]
    fn refuses_links_and_devices() {
        let bench = bench();
        for kind in [tar::EntryType::Symlink, tar::EntryType::Link, tar::EntryType::Char] {
            let said =
                bench.unpack(&gz(&[file("etcd", "x"), entry(kind, "etcdctl", b"")])).unwrap_err();
            assert!(said.contains("the entry `etcdctl` is"), "{said}");
        }
        let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        writer.add_symlink("etcd", "/bin/sh", zip::write::SimpleFileOptions::default()).unwrap();
        let said = bench.unpack(&writer.finish().unwrap().into_inner()).unwrap_err();
        assert!(said.contains("is a link"), "{said}");
    }

    #[test]
    fn refuses_what_was_cut_short_or_changed() {
        let bench = bench();
        let whole = gz(&[file("etcd-v3/etcd", &"server ".repeat(5000))]);
        for keep in [whole.len() / 2, whole.len() - 4] {
            let said = bench.unpack(&whole[..keep]).unwrap_err();
            assert!(said.contains("cut short"), "{keep}: {said}");
        }
        let mut changed = whole.clone();
        let at = changed.len() - 6;
        changed[at] ^= 1;
        assert!(bench.unpack(&changed).unwrap_err().contains("cannot be read"));
        let zip = zipped(&[("etcd", &"server ".repeat(5000))]);
        assert!(bench.unpack(&zip[..zip.len() / 2]).unwrap_err().contains("cut short"));
    }

    #[test]
    fn refuses_what_holds_nothing_or_too_many_of_the_wanted() {
        let bench = bench();
        let cases = [
            (gz(&[file("a/readme", "x")]), "it holds no file `etcd`"),
            (gz(&[file("a/etcd", "x"), file("b/etcd", "y")]), "`etcd` twice: a/etcd and b/etcd"),
            (b"<html>not found</html>".to_vec(), "neither tar.gz nor zip nor a program"),
            (Vec::new(), "neither tar.gz nor zip nor a program"),
        ];
        for (bytes, reason) in cases {
            let said = bench.unpack(&bytes).unwrap_err();
            assert!(said.contains(reason), "{reason}: {said}");
        }
    }

    #[test]
    fn stops_a_bomb_by_the_bytes_that_come_out() {
        let mut bounded = Bounded { inner: io::repeat(0), left: 1000 };
        let error = io::copy(&mut bounded, &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("unpacks to more than"), "{error}");
    }
}
