//! Turns an error of SQLite or of the file system into a sentence and what next.

use crate::StoreError;
use rusqlite::{Error, ErrorCode};
use std::{io, path::Path};

/// A file that cannot be used.
pub(crate) fn unusable(
    path: &Path,
    because: impl Into<String>,
    hint: impl Into<String>,
) -> StoreError {
    StoreError::Unusable { path: path.to_owned(), because: because.into(), hint: hint.into() }
}

/// An error of SQLite.
pub(crate) fn sqlite(path: &Path, error: &Error) -> StoreError {
    let folder = path.parent().unwrap_or(path).display();
    let Some(code) = error.sqlite_error_code() else {
        return unusable(path, error.to_string(), "keep the file and report this as a bug");
    };
    match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => unusable(
            path,
            "another process has kept it locked for too long",
            format!("find the process that uses {} and let it end", path.display()),
        ),
        ErrorCode::DiskFull => unusable(
            path,
            "the disk is full; nothing of the last change was kept",
            format!(
                "make room on the disk of {folder}, then go on: the journal before it is whole"
            ),
        ),
        ErrorCode::ReadOnly => unusable(
            path,
            "it may be read but not written",
            format!(
                "make {} and its folder writable for this user, or use another with `--state DIR`",
                path.display()
            ),
        ),
        ErrorCode::CannotOpen | ErrorCode::PermissionDenied => unusable(
            path,
            "it cannot be opened for reading and writing",
            format!(
                "make {} and its folder writable for this user, or use another with `--state DIR`",
                path.display()
            ),
        ),
        ErrorCode::NotADatabase => not_ours(path),
        ErrorCode::DatabaseCorrupt => unusable(
            path,
            "it is damaged",
            "keep a copy of it, restore it from a backup, or begin with another folder with `--state DIR`",
        ),
        ErrorCode::SystemIoFailure => unusable(
            path,
            format!("the disk reported an error ({error})"),
            "look at the kernel's messages about this disk",
        ),
        _ => unusable(path, error.to_string(), "keep the file and report this as a bug"),
    }
}

/// A file that another program wrote.
pub(crate) fn not_ours(path: &Path) -> StoreError {
    unusable(
        path,
        "it is not a state file of quorate",
        "name another folder with `--state DIR`; this file was left as it is",
    )
}

/// An error of the file system on the way to the file.
pub(crate) fn files(path: &Path, error: &io::Error) -> StoreError {
    let folder = path.parent().unwrap_or(path).display();
    let other = "or use another folder with `--state DIR`";
    let (because, hint) = match error.kind() {
        io::ErrorKind::PermissionDenied => (
            format!("this user has no permission in {folder}"),
            format!("give this user the right to write there, {other}"),
        ),
        io::ErrorKind::ReadOnlyFilesystem => (
            format!("the file system of {folder} is read-only"),
            format!("mount it for writing, {other}"),
        ),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (format!("no space is left for {folder}"), format!("make room, {other}"))
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => (
            format!("a part of {folder} is a file, not a folder"),
            format!("move that file away, {other}"),
        ),
        io::ErrorKind::IsADirectory => {
            ("it is a folder, not a file".to_owned(), format!("move it away, {other}"))
        }
        _ => (format!("{folder} cannot be used: {error}"), format!("check {folder}, {other}")),
    };
    unusable(path, because, hint)
}

/// Something in the file that this program cannot read.
pub(crate) fn unread(path: &Path, what: &str, error: &dyn std::error::Error) -> StoreError {
    unusable(
        path,
        format!("it holds {what} that this program cannot read: {error}"),
        "use the version of quorate that wrote it, or a newer one",
    )
}
