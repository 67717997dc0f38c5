//! Breaks a lab on purpose, and mends what can be mended.
//!
//! A full disk: the member is stopped, its data move to a small tmpfs mounted at the same place (root is needed), it is
//! started again, and a ballast file fills the rest. Mending removes the ballast; the small disk stays until the lab is
//! taken down. Without root the fault is refused, since nothing else fills only one member's disk.

use super::{LabError, machines, place, up};
use crate::{
    service::{self, Signal},
    shell,
    swap::paths::NodePaths,
};
use quorate_model::{NodeName, Release};
use quorate_transport::{Answer, Transport};
use std::{path::Path, time::Duration};

/// Something to break, or to mend. Machines have a power switch for [`Fault::Kill`], [`Fault::Stop`] and
/// [`Fault::Start`], and a network of their own.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The process dies at once.
    Kill,
    /// The process stops in mid-breath.
    Freeze,
    /// A frozen process goes on.
    Thaw,
    /// The process ends politely.
    Stop,
    /// A stopped or killed process starts again.
    Start,
    /// No byte more can be written to the data folder.
    FillDisk,
    /// The data folder has room again.
    FreeDisk,
    /// The staged (or kept) binary of a release is damaged.
    DamageArtifact {
        /// Which.
        release: Release,
        /// How.
        damage: Damage,
    },
    /// No packet passes between machines (`m1,m2`) and others.
    Cut {
        /// The others; everybody else when left out.
        from: Option<String>,
    },
    /// A share of the packets between machines and others is lost.
    Drop {
        /// The others; everybody else when left out.
        from: Option<String>,
        /// The share.
        percent: f64,
    },
    /// The network is whole again.
    Heal,
    /// sshd accepts connections and never answers.
    HangSsh,
    /// sshd goes on.
    MendSsh,
    /// The wall clock of a program is off.
    JumpClock {
        /// The program.
        program: String,
        /// By how much; by nothing puts it right.
        by_secs: i64,
    },
}

/// A way to damage a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// It loses its second half.
    Truncate,
    /// A few bytes in its middle are inverted; its size stays.
    FlipBytes,
}

/// What is done with a member's small disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disk {
    Mounted,
    Mount,
    Fill,
    Free,
    Unmount,
}

/// Moving the data of a lab's member takes seconds.
const DISK_LIMIT: Duration = Duration::from_secs(120);
/// Bytes that are inverted: any change must be found, so few do.
const FLIPPED_BYTES: usize = 16;

/// Does it to one member and says what was done.
pub async fn fault(
    transport: &dyn Transport,
    dir: &Path,
    node: &NodeName,
    fault: &Fault,
) -> Result<String, LabError> {
    let dir = std::path::absolute(dir).map_err(LabError::disk("find", dir))?;
    if machines::is(&dir) {
        return machines::fault(&dir, node.as_str(), fault).await;
    }
    let state = place::state(&dir)?;
    let (service, data_dir) = state.member(node)?;
    let failed = |because: String| LabError::Member { node: node.clone(), because };
    let done = match fault {
        Fault::Kill => signal(transport, service, Signal::Kill, "was killed").await,
        Fault::Freeze => signal(transport, service, Signal::Freeze, "is frozen").await,
        Fault::Thaw => signal(transport, service, Signal::Thaw, "goes on").await,
        Fault::Stop => service::stop(transport, service)
            .await
            .map(|stopped| format!("stopped ({})", stopped.how.as_str())),
        Fault::Start => {
            service::start(transport, service).await.map(|pid| format!("started as process {pid}"))
        }
        Fault::FillDisk => {
            if disk(transport, node, &data_dir, Disk::Mounted).await? == "no" {
                service::stop(transport, service).await.into_result().map_err(failed)?;
                let mounted = disk(transport, node, &data_dir, Disk::Mount).await;
                // Started again even when the disk was refused: the fault must not become another one.
                service::start(transport, service).await.into_result().map_err(failed)?;
                mounted?;
                // Full before it serves would be a member that cannot start, which is another fault.
                up::serve_again(transport, &state, node).await?;
            }
            disk(transport, node, &data_dir, Disk::Fill).await?;
            Answer::Done(format!("the disk of {} is full", data_dir.display()))
        }
        Fault::FreeDisk => {
            disk(transport, node, &data_dir, Disk::Free).await?;
            Answer::Done(format!("the disk of {} has room again", data_dir.display()))
        }
        Fault::DamageArtifact { release, damage } => {
            let paths = NodePaths::of_service(service)
                .ok_or_else(|| failed("it has no binary".to_owned()))?;
            let path = paths.beside(release);
            spoil(transport, &path, *damage)
                .await
                .map(|()| format!("{} is damaged", path.display()))
        }
        Fault::Cut { .. }
        | Fault::Drop { .. }
        | Fault::Heal
        | Fault::HangSsh
        | Fault::MendSsh
        | Fault::JumpClock { .. } => {
            return Err(LabError::Input(format!(
                "the lab `{}` has plain processes: only machines can be broken that way",
                state.name
            )));
        }
    };
    done.into_result().map(|text| format!("{node}: {text}")).map_err(failed)
}

async fn signal(
    transport: &dyn Transport,
    service: &quorate_model::ServiceSpec,
    signal: Signal,
    text: &str,
) -> Answer<String> {
    service::signal(transport, service, signal).await.map(|pid| format!("process {pid} {text}"))
}

/// Writes a damaged copy over the file's name. The live binary may be the same file under another name: it is spared.
async fn spoil(transport: &dyn Transport, path: &Path, damage: Damage) -> Answer<()> {
    let mut bytes = match transport.read(path).await {
        Answer::Done(bytes) => bytes,
        Answer::Failed(because) => {
            return Answer::Failed(format!("{} is not there to damage: {because}", path.display()));
        }
        Answer::Unknown(because) => return Answer::Unknown(because),
    };
    let middle = bytes.len() / 2;
    match damage {
        Damage::Truncate => bytes.truncate(middle),
        Damage::FlipBytes => {
            bytes.iter_mut().skip(middle).take(FLIPPED_BYTES).for_each(|byte| *byte = !*byte)
        }
    }
    transport.write(path, &bytes, 0o755).await
}

/// Does something with a member's small disk.
pub(super) async fn disk(
    transport: &dyn Transport,
    node: &NodeName,
    data_dir: &Path,
    what: Disk,
) -> Result<String, LabError> {
    let word = match what {
        Disk::Mounted => "mounted",
        Disk::Mount => "mount",
        Disk::Fill => "fill",
        Disk::Free => "free",
        Disk::Unmount => "unmount",
    };
    let command = shell::script(include_str!("disk.sh"), &[word, &data_dir.to_string_lossy()]);
    let answer = shell::run(transport, "changing the member's disk", &command, DISK_LIMIT).await;
    let failed = |because: String| LabError::Member { node: node.clone(), because };
    let text = answer.into_result().map_err(failed)?;
    match text.trim().split_once(' ') {
        Some(("refused", why)) => Err(failed(format!("{why} (a small disk needs root)"))),
        _ => Ok(text.trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_transport::LocalTransport;
    use std::fs;

    #[tokio::test]
    async fn a_damaged_file_differs_and_the_live_one_is_spared() {
        let dir = tempfile::tempdir().unwrap();
        let (live, staged) = (dir.path().join("etcd"), dir.path().join("etcd_3.5.16"));
        let content = vec![5_u8; 1000];
        fs::write(&live, &content).unwrap();
        for (damage, size) in [(Damage::Truncate, 500), (Damage::FlipBytes, 1000)] {
            let _ = fs::remove_file(&staged);
            fs::hard_link(&live, &staged).unwrap();
            spoil(&LocalTransport::new(), &staged, damage).await.into_result().unwrap();
            let spoiled = fs::read(&staged).unwrap();
            assert_eq!(spoiled.len(), size, "{damage:?}");
            assert_ne!(spoiled, content, "{damage:?}");
            assert_eq!(fs::read(&live).unwrap(), content, "{damage:?}");
        }
        let missing =
            spoil(&LocalTransport::new(), &dir.path().join("etcd_9"), Damage::Truncate).await;
        assert!(missing.into_result().unwrap_err().contains("is not there to damage"));
    }
}
