//! Carries copies of the data between a host and this machine: a private folder there, files piece by piece, digests at the end.
//!
//! Invariants: what came has the digest that the host says, or it does not get its name; nobody but its owner may read the
//! folder on the host; nothing is begun that could fill a disk that a member lives on.

use crate::shell;
use quorate_transport::{Answer, Command, Transport, beside};
use sha2::{Digest as _, Sha256};
use std::{
    ffi::OsStr,
    io::Write as _,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

/// Sixteen megabytes: few questions for a large file, and little memory for many at once.
const PIECE_BYTES: u64 = 16 * 1024 * 1024;
/// A piece over a line of 64 KiB a second; a slower one is as good as cut.
const PIECE_LIMIT: Duration = Duration::from_secs(256);
/// Making a folder, asking a file system for its space, measuring a data folder of many files.
const ROOM_LIMIT: Duration = Duration::from_secs(60);
/// Digests of eight gigabytes at 40 MiB/s.
const DIGEST_LIMIT: Duration = Duration::from_secs(200);

/// A private folder on the host for the copies of a cluster, on a disk with room for what `data` holds. It is the same one
/// each time, so that what a cut line left is found again.
pub async fn room(transport: &dyn Transport, name: &str, data: Option<&Path>) -> Answer<PathBuf> {
    let data = data.map(|path| path.display().to_string()).unwrap_or_default();
    let command = shell::script(include_str!("room.sh"), &[name, &data]);
    let made = shell::run(transport, "making room for a copy", &command, ROOM_LIMIT).await;
    made.map(|said| PathBuf::from(said.trim_end_matches('\n')))
}

/// Why the disk of a data folder does not hold what a copy becomes beside the data that are there; none when it does.
pub async fn no_room_beside(
    transport: &dyn Transport,
    data: &Path,
    copy_bytes: u64,
) -> Answer<Option<String>> {
    let words = [data.display().to_string(), copy_bytes.to_string()];
    let command = shell::script(include_str!("second.sh"), &[&words[0], &words[1]]);
    let said = shell::run(transport, "looking for room to put data back", &command, ROOM_LIMIT);
    said.await.map(|said| Some(said.trim().to_owned()).filter(|said| !said.is_empty()))
}

/// Removes what stood in the room: a copy that has been carried away, or put back.
pub async fn clear(transport: &dyn Transport, path: &Path) -> Answer<()> {
    let words = ["rm", "-rf", "--", &path.display().to_string()];
    let command = Command { clean_env: true, ..Command::new(words) };
    shell::run(transport, "removing a copy", &command, ROOM_LIMIT).await.map(drop)
}

/// Brings a file, or a folder with its files, from the host to this machine.
pub async fn bring(transport: &dyn Transport, remote: &Path, local: &Path) -> Answer<u64> {
    let listed = match list(transport, remote).await {
        Answer::Done(listed) => listed,
        Answer::Failed(because) | Answer::Unknown(because) => return Answer::Failed(because),
    };
    let mut bytes = 0;
    for (size, name) in listed {
        let brought = match name.as_os_str().is_empty() {
            true => bring_file(transport, remote, local, size).await,
            false => bring_file(transport, &remote.join(&name), &local.join(&name), size).await,
        };
        // What is here changes nothing there, so nobody need ask what became of it.
        if let Err(because) = brought {
            return Answer::Failed(because);
        }
        bytes += size;
    }
    Answer::Done(bytes)
}

/// Puts a file, or a folder with its files, of this machine onto the host.
pub async fn send(transport: &dyn Transport, local: &Path, remote: &Path) -> Answer<()> {
    let mut open = vec![PathBuf::new()];
    while let Some(name) = open.pop() {
        let at =
            |base: &Path| if name.as_os_str().is_empty() { base.into() } else { base.join(&name) };
        let (from, to) = (at(local), at(remote));
        if !from.is_dir() {
            match transport.put(&from, &to, 0o600).await {
                Answer::Done(()) => continue,
                other => return other,
            }
        }
        let words = ["mkdir", "-p", "-m", "700", "--", &to.display().to_string()];
        let made = Command { clean_env: true, ..Command::new(words) };
        match shell::run(transport, "making a folder", &made, ROOM_LIMIT).await {
            Answer::Done(_) => {}
            other => return other.map(drop),
        }
        match names(&from) {
            Ok(names) => open.extend(names.into_iter().map(|own| name.join(own))),
            Err(error) => {
                return Answer::Failed(format!("cannot read {}: {error}", from.display()));
            }
        }
    }
    Answer::Done(())
}

fn names(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.file_name().into())).collect()
}

/// Files with their sizes, by their names below the path; the name of a file itself is empty.
async fn list(transport: &dyn Transport, remote: &Path) -> Answer<Vec<(u64, PathBuf)>> {
    let path = remote.display().to_string();
    let words = ["find", &path, "-type", "f", "-printf", "%s %P\\0"];
    let command = Command { clean_env: true, ..Command::new(words) };
    transport.run(&command, ROOM_LIMIT).await.and_then(|output| {
        if !output.ok() {
            let host = transport.name();
            return Answer::Failed(format!("{path} on {host}: {}", shell::why(&output)));
        }
        let lines = output.stdout.split(|byte| *byte == 0).filter(|line| !line.is_empty());
        let entry = |line: &[u8]| {
            let at = line.iter().position(|byte| *byte == b' ')?;
            let size = std::str::from_utf8(&line[..at]).ok()?.parse().ok()?;
            Some((size, PathBuf::from(OsStr::from_bytes(&line[at + 1..]))))
        };
        match lines.map(entry).collect::<Option<Vec<_>>>() {
            Some(files) if !files.is_empty() => Answer::Done(files),
            _ => Answer::Failed(format!("{path} on {} holds no file", transport.name())),
        }
    })
}

async fn bring_file(
    transport: &dyn Transport,
    remote: &Path,
    local: &Path,
    size: u64,
) -> Result<(), String> {
    let (host, path) = (transport.name(), remote.display().to_string());
    let part = beside(local, ".part");
    let fault = |error: std::io::Error| format!("cannot write {}: {error}", part.display());
    if let Some(folder) = local.parent() {
        std::fs::create_dir_all(folder).map_err(fault)?;
    }
    let mut file = std::fs::File::create(&part).map_err(fault)?;
    let (mut hasher, mut have) = (Sha256::new(), 0);
    while have < size {
        let (skip, count) = (format!("skip={have}"), format!("count={PIECE_BYTES}"));
        let from = format!("if={path}");
        let flags = "iflag=skip_bytes,count_bytes,fullblock";
        let words = ["dd", &from, flags, &skip, &count, "bs=1M", "status=none"];
        let command = Command { clean_env: true, ..Command::new(words) };
        let piece = transport.run(&command, PIECE_LIMIT).await.into_result()?;
        if !piece.ok() || piece.stdout.is_empty() {
            return Err(format!(
                "{path} on {host} cannot be read on after {have} bytes: {}",
                shell::why(&piece)
            ));
        }
        hasher.update(&piece.stdout);
        file.write_all(&piece.stdout).map_err(fault)?;
        have += piece.stdout.len() as u64;
    }
    file.sync_all().map_err(fault)?;
    let own = hex::encode(hasher.finalize());
    let command = Command { clean_env: true, ..Command::new(["sha256sum", "--", &path]) };
    let said =
        shell::run(transport, "reading a digest", &command, DIGEST_LIMIT).await.into_result()?;
    // A name with odd characters is announced by a backslash before the digest.
    if said.trim_start_matches('\\').split_whitespace().next() != Some(own.as_str()) {
        return Err(format!(
            "{path} changed on {host} while it was carried here, or the line changed it"
        ));
    }
    std::fs::rename(&part, local).map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_transport::LocalTransport;
    use std::fs;

    #[tokio::test]
    async fn a_second_set_of_data_needs_room() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("db"), "x").unwrap();
        let asked = no_room_beside(&LocalTransport, place.path(), 1).await;
        assert_eq!(asked, Answer::Done(None));
        // A folder that is not there yet lies on the disk of the one above it.
        let gone = place.path().join("gone/data");
        match no_room_beside(&LocalTransport, &gone, 1 << 50).await {
            Answer::Done(Some(because)) => {
                assert!(because.contains("MiB left") && because.contains("gone/data"), "{because}");
            }
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_file_and_a_folder_come_and_go_whole() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let large: Vec<u8> = (0..PIECE_BYTES + 4711).map(|n| (n % 251) as u8).collect();
        fs::create_dir_all(at("host/copy/member/wal")).unwrap();
        fs::write(at("host/copy/member/wal/0.wal"), &large).unwrap();
        fs::write(at("host/copy/an odd\\name"), "").unwrap();
        let brought = bring(&LocalTransport, &at("host/copy"), &at("here")).await;
        assert_eq!(brought, Answer::Done(large.len() as u64));
        assert!(fs::read(at("here/member/wal/0.wal")).unwrap() == large);
        assert_eq!(fs::read(at("here/an odd\\name")).unwrap(), b"");
        assert_eq!(send(&LocalTransport, &at("here"), &at("back")).await, Answer::Done(()));
        assert!(fs::read(at("back/member/wal/0.wal")).unwrap() == large);
        let one = bring(&LocalTransport, &at("here/member/wal/0.wal"), &at("one")).await;
        assert_eq!(one, Answer::Done(large.len() as u64));
        assert_eq!(clear(&LocalTransport, &at("host")).await, Answer::Done(()));
        assert!(!at("host").exists());
        match bring(&LocalTransport, &at("host/copy"), &at("none")).await {
            Answer::Failed(because) => assert!(because.contains("No such file"), "{because}"),
            other => panic!("{other:?}"),
        }
        assert!(!at("none").exists());
    }
}
