//! This machine as a host: commands as child processes, files through the file system.

mod file;
mod process;

use crate::{Answer, Command, Output, Transport};
use async_trait::async_trait;
use std::{io, path::Path, time::Duration};

/// The way to this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalTransport;

impl LocalTransport {
    /// This machine.
    pub fn new() -> Self {
        Self
    }
}

#[async_trait]
impl Transport for LocalTransport {
    async fn run(&self, command: &Command, limit: Duration) -> Answer<Output> {
        process::run(command, limit).await
    }
    async fn read(&self, path: &Path) -> Answer<Vec<u8>> {
        let path = path.to_owned();
        blocking(move || file::read(&path)).await
    }
    async fn write(&self, path: &Path, content: &[u8], mode: u32) -> Answer<()> {
        let (path, content) = (path.to_owned(), content.to_vec());
        blocking(move || file::write(&path, &content, mode)).await
    }
    async fn put(&self, local: &Path, remote: &Path, mode: u32) -> Answer<()> {
        let (local, remote) = (local.to_owned(), remote.to_owned());
        blocking(move || file::put(&local, &remote, mode)).await
    }
    fn name(&self) -> String {
        "this machine".to_owned()
    }
}

/// File calls block, so they get threads of their own; one that never came back has an unknown outcome.
async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Answer<T> + Send + 'static,
) -> Answer<T> {
    match tokio::task::spawn_blocking(call).await {
        Ok(answer) => answer,
        Err(_) => Answer::Unknown("the file call was broken off".to_owned()),
    }
}

/// What an error of the system means, without its number.
pub(crate) fn because(cause: &io::Error) -> String {
    let known = match cause.kind() {
        io::ErrorKind::NotFound => "no such file or folder",
        io::ErrorKind::PermissionDenied => "permission denied for this user",
        io::ErrorKind::StorageFull => "no space is left on the device",
        io::ErrorKind::QuotaExceeded => "the disk quota of this user is used up",
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only",
        io::ErrorKind::IsADirectory => "it is a folder",
        io::ErrorKind::NotADirectory => "a part of the path is a file, not a folder",
        io::ErrorKind::InvalidData => "it holds bytes that are no text",
        io::ErrorKind::ExecutableFileBusy => "another process runs or writes the file",
        io::ErrorKind::HostUnreachable => "no route to the host",
        io::ErrorKind::NetworkUnreachable => "no route to the network",
        io::ErrorKind::ConnectionReset => "the other side cut the connection",
        _ => return cause.to_string(),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;

    #[test]
    fn errors_of_the_system_become_sentences() {
        let cases = [
            (Errno::ENOSPC, "no space is left on the device"),
            (Errno::EDQUOT, "the disk quota of this user is used up"),
            (Errno::EROFS, "the file system is read-only"),
            (Errno::EACCES, "permission denied for this user"),
            (Errno::ENOENT, "no such file or folder"),
        ];
        for (errno, text) in cases {
            assert_eq!(because(&io::Error::from_raw_os_error(errno as i32)), text);
        }
    }
}
