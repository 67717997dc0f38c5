//! Files on a host: read whole, written whole or not at all, and sent on from where a cut line left off.

use super::{SshTransport, exec::Input};
use crate::{Answer, Command, Output};
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    io::{Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::sync::OnceCell;

/// A longer file is not read into memory: configuration is small, logs and databases have other ways.
const READ_BYTES_MAX: usize = 32 * 1024 * 1024;
/// A minute for a file of configuration, over the slowest line that anybody administers hosts by.
const SMALL_LIMIT: Duration = Duration::from_secs(60);
/// Smaller files are sent again as a whole: asking what is there takes as long.
const RESUME_BYTES_MIN: u64 = 1024 * 1024;
/// A line that carries less than 64 KiB a second is as good as cut: forty megabytes then take ten minutes.
const BYTES_PER_SEC_MIN: u64 = 64 * 1024;

impl SshTransport {
    pub(super) async fn read_file(&self, path: &Path) -> Answer<Vec<u8>> {
        let path = path.display().to_string();
        let most = (READ_BYTES_MAX + 1).to_string();
        let words = ["head", "-c", &most, "--", &path];
        let ran = self.ran(&Command::new(words), || Input::Nothing, SMALL_LIMIT).await;
        match ran {
            Answer::Done(output) if output.stdout.len() > READ_BYTES_MAX => {
                Answer::Failed(format!(
                    "cannot read {path} on {}: it is longer than {READ_BYTES_MAX} bytes",
                    self.name
                ))
            }
            Answer::Done(output) if output.ok() => Answer::Done(output.stdout),
            Answer::Done(output) => {
                Answer::Failed(format!("cannot read {path} on {}: {}", self.name, plain(&output)))
            }
            // Reading changes nothing, so nobody need ask what became of it.
            Answer::Failed(because) | Answer::Unknown(because) => Answer::Failed(because),
        }
    }

    pub(super) async fn write_file(&self, path: &Path, content: &[u8], mode: u32) -> Answer<()> {
        let temp = temp_name(path, &format!("{:x}", rand::random::<u32>()));
        let size = content.len() as u64;
        let command = place(path, mode, &temp, size, "whole");
        let ran = self.ran(&command, || Input::Bytes(content), SMALL_LIMIT).await;
        self.placed(path, ran)
    }

    pub(super) async fn put_file(&self, local: &Path, remote: &Path, mode: u32) -> Answer<()> {
        let size = match std::fs::metadata(local) {
            Ok(meta) if meta.is_file() => meta.len(),
            Ok(_) => {
                return Answer::Failed(format!("cannot read {}: it is no file", local.display()));
            }
            Err(cause) => {
                let because = crate::local::because(&cause);
                return Answer::Failed(format!("cannot read {}: {because}", local.display()));
            }
        };
        // Named by its content: a second attempt finds what the first one left, another file does not.
        let (temp, from) = if size < RESUME_BYTES_MIN {
            (temp_name(remote, &format!("{:x}", rand::random::<u32>())), 0)
        } else {
            match self.where_to_go_on(local, remote, size).await {
                Ok(found) => found,
                Err(because) => return Answer::Failed(because),
            }
        };
        let command = place(remote, mode, &temp, size, if from > 0 { "append" } else { "whole" });
        let limit = SMALL_LIMIT + Duration::from_secs(size / BYTES_PER_SEC_MIN);
        let open = || match std::fs::File::open(local).and_then(|mut file| {
            file.seek(SeekFrom::Start(from))?;
            Ok(file)
        }) {
            Ok(file) => Input::File(tokio::fs::File::from_std(file)),
            // The host then counts too few bytes and says so.
            Err(_) => Input::Nothing,
        };
        let ran = self.ran(&command, open, limit).await;
        self.placed(remote, ran)
    }

    /// The temporary name, and how much of the file is there already.
    async fn where_to_go_on(
        &self,
        local: &Path,
        remote: &Path,
        size: u64,
    ) -> Result<(PathBuf, u64), String> {
        let unreadable = |cause: std::io::Error| {
            format!("cannot read {}: {}", local.display(), crate::local::because(&cause))
        };
        let whole = self.shared.digests.of(local).await.map_err(unreadable)?;
        let temp = temp_name(remote, &whole[..16]);
        let words = ["sh", "-c", include_str!("part.sh"), "quorate", &temp.display().to_string()];
        let said = match self.ran(&Command::new(words), || Input::Nothing, SMALL_LIMIT).await {
            Answer::Done(output) if output.ok() => output.text(),
            // Without an answer the whole file is sent.
            Answer::Done(_) => String::new(),
            Answer::Failed(because) | Answer::Unknown(because) => return Err(because),
        };
        let mut words = said.split_whitespace();
        let part = words.next().and_then(|size| size.parse::<u64>().ok()).zip(words.next());
        let Some((have, digest)) = part.filter(|(have, _)| *have > 0 && *have < size) else {
            return Ok((temp, 0));
        };
        let own = hashed(local.to_owned(), have).await.map_err(unreadable)?;
        Ok((temp, if own == digest { have } else { 0 }))
    }

    fn placed(&self, path: &Path, ran: Answer<Output>) -> Answer<()> {
        ran.and_then(|output| match output.ok() {
            true => Answer::Done(()),
            false => Answer::Failed(format!(
                "cannot write {} on {}: {}",
                path.display(),
                self.name,
                plain(&output)
            )),
        })
    }
}

fn place(path: &Path, mode: u32, temp: &Path, size: u64, how: &str) -> Command {
    let (path, temp) = (path.display().to_string(), temp.display().to_string());
    let (mode, size) = (format!("{:o}", mode & 0o7777), size.to_string());
    let script = include_str!("place.sh");
    Command::new(["sh", "-c", script, "quorate", &path, &mode, &temp, &size, how])
}

fn temp_name(path: &Path, own: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.quorate-{own}"))
}

/// Digests of whole files, so that one that goes to hundreds of hosts is read for it once. They name what is on its way and prove
/// nothing: what arrived is proved by who sent it.
#[derive(Default)]
pub(super) struct Digests(Mutex<HashMap<Version, Arc<OnceCell<String>>>>);

/// A file as it is now: another content has another time, size or inode.
#[derive(PartialEq, Eq, Hash)]
struct Version {
    path: PathBuf,
    inode: u64,
    size: u64,
    changed: Option<SystemTime>,
}

impl Digests {
    async fn of(&self, path: &Path) -> std::io::Result<String> {
        let seen = std::fs::metadata(path)?;
        let (inode, size, changed) = (seen.ino(), seen.len(), seen.modified().ok());
        let version = Version { path: path.to_owned(), inode, size, changed };
        let digest = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry(version).or_default().clone()
        };
        digest.get_or_try_init(|| hashed(path.to_owned(), size)).await.cloned()
    }
}

/// The digest of a file's first bytes. On a thread of its own: large files take seconds.
async fn hashed(path: PathBuf, bytes: u64) -> std::io::Result<String> {
    let work = tokio::task::spawn_blocking(move || {
        let mut digest = Sha256::new();
        let mut part = std::fs::File::open(path)?.take(bytes);
        let mut piece = vec![0; 64 * 1024];
        loop {
            match part.read(&mut piece)? {
                0 => return Ok(hex::encode(digest.finalize())),
                len => digest.update(&piece[..len]),
            }
        }
    });
    work.await.unwrap_or_else(|_| Err(std::io::Error::other("the file call was broken off")))
}

/// What a tool complained of, in the words that this program uses for it.
fn plain(output: &Output) -> String {
    let complaint = output.complaint();
    let known = [
        ("No such file or directory", "no such file or folder"),
        ("Directory nonexistent", "no such file or folder"),
        ("Permission denied", "permission denied for this user"),
        ("No space left on device", "no space is left on the device"),
        ("Read-only file system", "the file system is read-only"),
        ("Is a directory", "it is a folder"),
        ("Disk quota exceeded", "the disk quota of this user is used up"),
    ];
    let found = known.iter().find(|(theirs, _)| complaint.contains(theirs));
    match found {
        Some((_, ours)) => (*ours).to_owned(),
        None if complaint.is_empty() => match output.status {
            Some(status) => format!("the command ended with status {status}"),
            None => "the command was ended by a signal".to_owned(),
        },
        None => complaint,
    }
}
