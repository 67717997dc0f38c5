//! Takes machines away, whatever is left of them, and looks at those that are there.

use super::{
    super::{Down, LabSeen, Registry, down::remove, place::MARK},
    LabError, boot, disk,
    group::Group,
    needs, net,
    place::{self, LIST, STATE, State},
};
use crate::service::How;
use quorate_model::NodeName;
use std::{fs, path::Path};

/// What `up` makes in a lab's folder; the state goes after everything that it names.
const MADE: [&str; 8] =
    ["hosts", "secrets", "ssh_config", "known_hosts", "id_ed25519", "id_ed25519.pub", LIST, STATE];

/// Ends the machines and removes everything that was made for them.
pub(in crate::lab) async fn down(registry: &Registry, dir: &Path) -> Result<Down, LabError> {
    needs::root()?;
    sweep(registry, dir, &place::state(dir)?).await
}

/// Takes away whatever of a lab there is; may be repeated after it was broken off.
pub(super) async fn sweep(
    registry: &Registry,
    dir: &Path,
    state: &State,
) -> Result<Down, LabError> {
    if !place::is(dir) {
        return Err(LabError::NoLab(dir.to_owned()));
    }
    let lived = |machine: &str| boot::group(state, machine).is_ok_and(|group| group.lives());
    let members = state
        .machines
        .iter()
        .map(|machine| {
            let how = if lived(&machine.name) { How::Killed } else { How::Already };
            (NodeName::new(&*machine.name), how)
        })
        .collect();
    let group = Group::new(&state.group(), None)?;
    group.kill().await?;
    group.remove()?;
    // Nothing is deleted before this: behind a mount lies what is not the lab's.
    disk::unmount_below(dir).await?;
    net::remove(state).await?;
    for name in MADE {
        remove(&dir.join(name))?;
    }
    remove(&dir.join(MARK))?;
    registry.release(dir);
    // Files of the caller go with a folder that is the lab's own.
    let folder_removed = state.made_folder && fs::remove_dir_all(dir).is_ok();
    Ok(Down { members, folder_removed })
}

/// The lab in a folder, and which of its machines run.
pub(in crate::lab) fn seen(dir: &Path) -> Result<LabSeen, LabError> {
    let state = place::state(dir)?;
    let members = state
        .machines
        .iter()
        .map(|machine| {
            let runs = boot::group(&state, &machine.name).ok().map(|group| group.lives());
            (NodeName::new(&*machine.name), runs)
        })
        .collect();
    Ok(LabSeen {
        name: state.name,
        dir: dir.to_owned(),
        pack: "machines".into(),
        release: state.release.to_string(),
        members,
    })
}
