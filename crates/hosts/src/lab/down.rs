//! Takes labs away and lists them.

use super::{
    LabError, LabState, Registry,
    fault::{self, Disk},
    machines, place,
};
use crate::service::{self, How, ServiceState, Signal};
use futures::future::join_all;
use quorate_model::{NodeName, PackName};
use quorate_transport::{Answer, Transport};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What was taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Down {
    /// How each member came to stop.
    pub members: Vec<(NodeName, How)>,
    /// False when the folder existed before the lab, or holds things that the lab did not make.
    pub folder_removed: bool,
}

/// A lab that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabSeen {
    /// Its name.
    pub name: String,
    /// Its folder.
    pub dir: PathBuf,
    /// The product; `machines` for whole machines.
    pub pack: PackName,
    /// The release that it was set up with; for machines, Debian's.
    pub release: String,
    /// Each member, and whether it runs; none when that cannot be told.
    pub members: Vec<(NodeName, Option<bool>)>,
}

/// What `up` makes in a lab's folder.
const MADE: [&str; 4] = ["members", "certs", "secrets", place::STATE];

/// Stops the lab's members and removes its folder. Refuses, and leaves everything, when a member cannot be stopped.
pub async fn down(
    transport: &dyn Transport,
    registry: &Registry,
    dir: &Path,
) -> Result<Down, LabError> {
    let dir = std::path::absolute(dir).map_err(LabError::disk("find", dir))?;
    if machines::is(&dir) {
        return machines::down(registry, &dir).await;
    }
    let made_folder = match place::state(&dir) {
        Ok(state) => state.made_folder,
        // Marked, but broken off before its state was written: nothing was started yet.
        Err(LabError::Disk { cause, .. }) if cause.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    sweep(transport, registry, &dir, made_folder).await
}

/// Takes away whatever of a lab stands in a marked folder.
pub(super) async fn sweep(
    transport: &dyn Transport,
    registry: &Registry,
    dir: &Path,
    made_folder: bool,
) -> Result<Down, LabError> {
    let mut members = Vec::new();
    if let Ok(state) = place::state(dir) {
        members = stop_all(transport, &state).await?;
        for (node, _) in state.services() {
            let (_, data_dir) = state.member(node)?;
            fault::disk(transport, node, &data_dir, Disk::Unmount).await?;
        }
    }
    if !dir.join(place::MARK).is_file() {
        return Err(LabError::NoLab(dir.to_owned()));
    }
    for name in MADE {
        remove(&dir.join(name))?;
    }
    // The mark goes last: a removal that was broken off can be repeated.
    remove(&dir.join(place::MARK))?;
    registry.release(dir);
    // Files of the caller, a fleet file among them, go with a folder that is the lab's own.
    let folder_removed = made_folder && fs::remove_dir_all(dir).is_ok();
    Ok(Down { members, folder_removed })
}

/// Kills every member and sees it gone. Politeness would only cost time: a leader tries for seconds to hand over to
/// members that stop with it, and nothing of its data is kept.
async fn stop_all(
    transport: &dyn Transport,
    state: &LabState,
) -> Result<Vec<(NodeName, How)>, LabError> {
    let stops = state.services().into_iter().map(|(node, service)| async move {
        // A member that does not run answers with a failure here and with `already` below.
        let killed =
            matches!(service::signal(transport, service, Signal::Kill).await, Answer::Done(_));
        let stopped = service::stop(transport, service).await.into_result();
        let failed = |because| LabError::Member { node: node.clone(), because };
        let how = if killed { How::Killed } else { How::Already };
        stopped.map(|_| (node.clone(), how)).map_err(failed)
    });
    // All are tried before the first error is told: one stuck member must not leave the others running.
    join_all(stops).await.into_iter().collect()
}

/// Removes a file or a folder; one that is not there is well.
pub(super) fn remove(path: &Path) -> Result<(), LabError> {
    let gone = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match gone {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(LabError::disk("remove", path)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Lists the labs of a registry with what runs of each; broken ones are told beside them.
pub async fn list(transport: &dyn Transport, registry: &Registry) -> (Vec<LabSeen>, Vec<String>) {
    let (mut labs, mut problems) = (Vec::new(), Vec::new());
    for dir in registry.labs() {
        if machines::is(&dir) {
            match machines::seen(&dir) {
                Ok(lab) => labs.push(lab),
                Err(error) => problems.push(format!("{}: {error}", dir.display())),
            }
            continue;
        }
        let state = match place::state(&dir) {
            Ok(state) => state,
            Err(error) => {
                problems.push(format!("{}: {error}", dir.display()));
                continue;
            }
        };
        let looks = state.services().into_iter().map(|(node, service)| async move {
            let runs = match service::state(transport, service).await {
                Answer::Done(seen) => Some(matches!(seen, ServiceState::Running { .. })),
                Answer::Failed(_) | Answer::Unknown(_) => None,
            };
            (node.clone(), runs)
        });
        let members = join_all(looks).await;
        let LabState { name, pack, release, .. } = state;
        labs.push(LabSeen { name, dir, pack, release: release.to_string(), members });
    }
    (labs, problems)
}
