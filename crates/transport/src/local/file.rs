//! Files on this machine, written so that a crash leaves the old or the new one and nothing between.

use super::because;
use crate::Answer;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

/// A longer file is not read into memory: server binaries stay below it, logs and databases have other ways.
pub(crate) const READ_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Reads a whole file.
pub(crate) fn read(path: &Path) -> Answer<Vec<u8>> {
    let mut content = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(READ_BYTES_MAX + 1).read_to_end(&mut content));
    match read {
        Ok(len) if len as u64 > READ_BYTES_MAX => Answer::Failed(format!(
            "cannot read {}: it is longer than {READ_BYTES_MAX} bytes",
            path.display()
        )),
        Ok(_) => Answer::Done(content),
        Err(cause) => {
            Answer::Failed(format!("cannot read {}: {}", path.display(), because(&cause)))
        }
    }
}

/// Writes a whole file. A symbolic link is replaced, not followed: what it points to may belong to another release.
pub(crate) fn write(path: &Path, content: &[u8], mode: u32) -> Answer<()> {
    place(path, mode, |file| file.write_all(content))
}

/// Copies a file.
pub(crate) fn put(local: &Path, remote: &Path, mode: u32) -> Answer<()> {
    let opened = File::open(local).and_then(|file| match file.metadata()?.is_dir() {
        true => Err(io::ErrorKind::IsADirectory.into()),
        false => Ok(file),
    });
    match opened {
        Ok(mut source) => place(remote, mode, |file| io::copy(&mut source, file).map(|_| ())),
        Err(cause) => {
            Answer::Failed(format!("cannot read {}: {}", local.display(), because(&cause)))
        }
    }
}

fn place(path: &Path, mode: u32, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Answer<()> {
    let failed = |cause: io::Error| {
        Answer::Failed(format!("cannot write {}: {}", path.display(), because(&cause)))
    };
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return failed(io::Error::other("the path names no file"));
    };
    if path.is_dir() {
        return failed(io::ErrorKind::IsADirectory.into());
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let temp = temp_name(folder, &name.to_string_lossy());
    let placed = filled(&temp, path, mode, fill).and_then(|()| fs::rename(&temp, path));
    if let Err(cause) = placed {
        // The half-written file is ours alone; when it cannot be removed either, the first cause is the one to tell.
        let _ = fs::remove_file(&temp);
        return failed(cause);
    }
    // The new name is in place, and only its durability is open: a crash may still bring the old file back.
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Ok(()) => Answer::Done(()),
        Err(cause) => Answer::Unknown(format!(
            "{} is written, but its folder could not be synced: {}",
            path.display(),
            because(&cause)
        )),
    }
}

fn filled(
    temp: &Path,
    path: &Path,
    mode: u32,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    // Readable by nobody else until it is complete: the content may be a secret.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temp)?;
    fill(&mut file)?;
    if let Ok(old) = fs::symlink_metadata(path) {
        let new = file.metadata()?;
        if old.is_file() && (old.uid(), old.gid()) != (new.uid(), new.gid()) {
            // A service that owns its file must still be able to read it after the exchange.
            fchown(&file, Some(old.uid()), Some(old.gid()))?;
        }
    }
    // After the owner, because a change of owner drops the set-id bits. Not at creation, because the umask would bite.
    file.set_permissions(fs::Permissions::from_mode(mode & 0o7777))?;
    file.sync_all()
}

/// Unique for each write, so that two writers never fill one file; hidden, so that no product reads it by a pattern.
fn temp_name(folder: &Path, name: &str) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    folder.join(format!(".{name}.quorate-{}-{count}", process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn failed<T: std::fmt::Debug>(answer: Answer<T>) -> String {
        match answer {
            Answer::Failed(because) => because,
            other => panic!("{other:?} is not Failed"),
        }
    }

    #[test]
    fn write_replaces_whole_with_the_mode_and_leaves_nothing_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("conf");
        assert_eq!(write(&path, b"old old old", 0o644), Answer::Done(()));
        assert_eq!(write(&path, b"new", 0o755), Answer::Done(()));
        assert_eq!(read(&path), Answer::Done(b"new".to_vec()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o755);
        assert_eq!(names(folder.path()), ["conf"]);
    }

    #[test]
    fn a_link_is_replaced_and_its_goal_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (goal, link) = (folder.path().join("3.3.25"), folder.path().join("live"));
        fs::write(&goal, "old release").unwrap();
        std::os::unix::fs::symlink(&goal, &link).unwrap();
        assert_eq!(write(&link, b"new release", 0o755), Answer::Done(()));
        assert_eq!(fs::read(&goal).unwrap(), b"old release");
        assert!(!fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn a_failed_fill_leaves_the_old_file_and_no_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("conf");
        fs::write(&path, "old").unwrap();
        let full = |file: &mut File| {
            file.write_all(b"half")?;
            Err(io::ErrorKind::StorageFull.into())
        };
        let because = failed(place(&path, 0o644, full));
        assert!(because.ends_with("conf: no space is left on the device"), "{because}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["conf"]);
    }

    #[test]
    fn what_cannot_be_done_is_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let none = folder.path().join("none");
        assert_eq!(
            failed(read(&none)),
            format!("cannot read {}: no such file or folder", none.display())
        );
        let deep = none.join("x");
        assert!(failed(write(&deep, b"", 0o644)).ends_with("no such file or folder"));
        assert!(failed(write(folder.path(), b"", 0o644)).ends_with("it is a folder"));
        assert!(failed(put(&none, &folder.path().join("y"), 0o644)).contains("no such file"));
        assert!(
            failed(put(folder.path(), &folder.path().join("y"), 0o644)).contains("it is a folder")
        );
        assert!(names(folder.path()).is_empty());
        // Nobody, not even root, makes files in the kernel's own tree.
        let refused = failed(write(Path::new("/sys/kernel/quorate"), b"", 0o644));
        assert!(refused.starts_with("cannot write /sys/kernel/quorate: "), "{refused}");
    }

    #[test]
    fn put_copies_with_the_mode() {
        let folder = tempfile::tempdir().unwrap();
        let (local, remote) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&local, vec![7; 300_000]).unwrap();
        assert_eq!(put(&local, &remote, 0o700), Answer::Done(()));
        assert_eq!(fs::read(&remote).unwrap(), vec![7; 300_000]);
        assert_eq!(fs::metadata(&remote).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
