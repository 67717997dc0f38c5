//! The folder of this program's sockets, which only this user may enter. It goes with the program; one whose program was killed goes
//! when the next one makes its own.
//!
//! Invariant: a folder is taken away only when nobody holds the lock in it.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
};
use tempfile::TempDir;

const PREFIX: &str = "quorate-sockets-";
/// Locked for as long as the program lives; the kernel lets go of it, however the program ends.
const ALIVE: &str = "alive";

/// A folder, and the lock that keeps it.
pub(super) struct Folder {
    folder: TempDir,
    _alive: File,
}

impl Folder {
    pub(super) fn make() -> io::Result<Self> {
        Self::make_in(&std::env::temp_dir())
    }

    fn make_in(place: &Path) -> io::Result<Self> {
        sweep(place);
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(place)?;
        // Locked before it has its name: a sweep in between passes a folder without it.
        let unnamed = folder.path().join("new");
        let alive = File::create(&unnamed)?;
        alive.lock()?;
        fs::rename(&unnamed, folder.path().join(ALIVE))?;
        Ok(Self { folder, _alive: alive })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Takes away what killed programs left. What cannot be read or locked is somebody's, or somebody else's to clean.
fn sweep(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else { return };
    for entry in entries.flatten() {
        // Not followed when it is a link: everybody may put something there.
        let own = entry
            .metadata()
            .is_ok_and(|meta| meta.is_dir() && meta.uid() == nix::unistd::geteuid().as_raw());
        let ours = own && entry.file_name().to_string_lossy().starts_with(PREFIX);
        let dead =
            || File::open(entry.path().join(ALIVE)).is_ok_and(|file| file.try_lock().is_ok());
        if ours && dead() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_program_left_goes_and_what_lives_stays() {
        let place = tempfile::tempdir().unwrap();
        let left = place.path().join(format!("{PREFIX}left"));
        let begun = place.path().join(format!("{PREFIX}begun"));
        let other = place.path().join("other");
        for folder in [&left, &begun, &other] {
            fs::create_dir(folder).unwrap();
        }
        for folder in [&left, &other] {
            fs::write(folder.join(ALIVE), "").unwrap();
        }
        let first = Folder::make_in(place.path()).unwrap();
        let second = Folder::make_in(place.path()).unwrap();
        assert!(!left.exists() && begun.exists() && other.exists());
        assert!(first.path().exists() && second.path().exists());
        let gone = first.path().to_owned();
        drop(first);
        assert!(!gone.exists() && second.path().exists());
    }
}
