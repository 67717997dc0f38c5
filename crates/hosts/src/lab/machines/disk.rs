//! The disks of a machine: its root tree, an overlay over the base, and its data volume, a small file system in a file.
//!
//! The volume is a file system of its own and not part of the root tree: filling it fills nothing else, and it outlives
//! the root tree.

use super::{LabError, place, script};
use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, fallocate},
    mount::{MntFlags, umount2},
    sys::statvfs::statvfs,
};
use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// A killed machine's own mounts are let go within milliseconds.
const UNMOUNT_LIMIT: Duration = Duration::from_secs(10);
/// Between two tries.
const UNMOUNT_POLL: Duration = Duration::from_millis(20);
/// The file that fills a volume.
const BALLAST: &str = "quorate-ballast";

/// Mounts a machine's root tree and volume, and makes the volume when it is not there yet. May be repeated.
pub(super) async fn mount(
    dir: &Path,
    base: &Path,
    machine: &str,
    data_mb: u32,
) -> Result<(), LabError> {
    let home = place::home(dir, machine);
    let words = [&*base.to_string_lossy(), &*home.to_string_lossy(), &data_mb.to_string()];
    script("mounting a machine's disks", include_str!("disks.sh"), &words).await.map(drop)
}

/// What is mounted at a folder or below it, deepest first.
pub(super) fn mounts_below(dir: &Path) -> Result<Vec<PathBuf>, LabError> {
    let path = Path::new("/proc/self/mountinfo");
    let text = fs::read(path).map_err(LabError::disk("read", path))?;
    let mut below: Vec<PathBuf> = text
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4).map(unescape))
        .filter(|point| point.starts_with(dir))
        .collect();
    below.sort_by_key(|point| std::cmp::Reverse(point.components().count()));
    Ok(below)
}

/// The kernel writes spaces and their like as `\040`.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| *first == b'\\');
        let value = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match value {
            Some(value) => {
                bytes.push(value);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

/// Unmounts everything below a folder and sees it gone.
pub(super) async fn unmount_below(dir: &Path) -> Result<(), LabError> {
    let deadline = Instant::now() + UNMOUNT_LIMIT;
    loop {
        let points = mounts_below(dir)?;
        let Some(first) = points.first() else { return Ok(()) };
        let mut refused = None;
        for point in &points {
            if let Err(cause) = umount2(point, MntFlags::UMOUNT_NOFOLLOW) {
                refused = Some((point, cause));
            }
        }
        if Instant::now() >= deadline {
            let (point, cause) = refused.unwrap_or((first, Errno::EBUSY));
            return Err(LabError::disk("unmount", point)(cause.into()));
        }
        if refused.is_some() {
            sleep(UNMOUNT_POLL).await;
        }
    }
}

/// The volume of a machine, as this machine sees it. Refuses when it is not mounted: the disk of this machine is not
/// the one to fill.
fn volume(dir: &Path, machine: &str) -> Result<PathBuf, LabError> {
    let data = place::home(dir, machine).join("data");
    if mounts_below(&data)?.contains(&data) {
        return Ok(data);
    }
    Err(LabError::Setup {
        what: format!("fill the volume of {machine}"),
        because: format!("nothing is mounted at {}", data.display()),
    })
}

/// Fills a machine's volume to its last byte.
pub(super) fn fill(dir: &Path, machine: &str) -> Result<(), LabError> {
    let data = volume(dir, machine)?;
    let path = data.join(BALLAST);
    let failed = || LabError::disk("fill", &path);
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(LabError::disk("write", &path))?;
    // In halves: what the file system cannot give in one piece, it may give in smaller ones.
    let mut size = free_bytes(&data)?;
    while size > 0 {
        let end = file.metadata().map_err(failed())?.len();
        let offset = i64::try_from(end).unwrap_or(i64::MAX);
        match fallocate(&file, FallocateFlags::empty(), offset, size) {
            Ok(()) => size = size.min(free_bytes(&data)?),
            Err(Errno::ENOSPC) => size /= 2,
            Err(cause) => return Err(failed()(cause.into())),
        }
    }
    // The rest, in blocks that were set aside for the file system's own tables.
    let zeros = vec![0; 64 * 1024];
    loop {
        match file.write(&zeros) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(cause) if cause.raw_os_error() == Some(Errno::ENOSPC as i32) => return Ok(()),
            Err(cause) => return Err(failed()(cause)),
        }
    }
}

fn free_bytes(data: &Path) -> Result<i64, LabError> {
    let stat = statvfs(data).map_err(|cause| LabError::disk("measure", data)(cause.into()))?;
    Ok(i64::try_from(stat.blocks_free() * stat.fragment_size()).unwrap_or(i64::MAX))
}

/// Gives the room back.
pub(super) fn free(dir: &Path, machine: &str) -> Result<(), LabError> {
    let path = volume(dir, machine)?.join(BALLAST);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(LabError::disk("remove", &path)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_way_to_write_a_space() {
        assert_eq!(unescape(br"/a\040b\134c/d"), PathBuf::from(r"/a b\c/d"));
        assert_eq!(unescape(br"/plain"), PathBuf::from("/plain"));
    }
}
