//! A folder that cannot be moved, as on a disk that has turned read-only, while what lies in it goes on being written.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Until it is dropped.
pub struct Held(PathBuf);

/// Lets nobody move a folder.
#[track_caller]
pub fn refuses_moves(folder: &Path) -> Held {
    attribute("+i", folder);
    Held(folder.to_owned())
}

fn attribute(change: &str, folder: &Path) {
    let status = Command::new("chattr").arg(change).arg(folder).status().expect("chattr runs");
    assert!(status.success(), "chattr {change} {}", folder.display());
}

impl Drop for Held {
    fn drop(&mut self) {
        attribute("-i", &self.0);
    }
}
