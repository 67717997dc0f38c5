//! The control group of a machine: it holds every process of the machine and no other, so it is the machine's identity.
//!
//! Layout: `quorate-lab-<number>/<machine>/keeper` has the shell that boots it again when it reboots, `…/boot` the machine.

use super::{LabError, needs};
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// The kernel ends or freezes a whole group within milliseconds, also on a loaded machine.
const KERNEL_LIMIT: Duration = Duration::from_secs(20);
/// Between two looks.
const POLL: Duration = Duration::from_millis(10);

/// One group.
#[derive(Debug, Clone)]
pub(super) struct Group(PathBuf);

impl Group {
    /// A lab's group, or with a machine's name that machine's; it need not be there.
    pub(super) fn new(lab: &str, machine: Option<&str>) -> Result<Self, LabError> {
        let lab = needs::groups()?.join(lab);
        Ok(Self(machine.map_or_else(|| lab.clone(), |machine| lab.join(machine))))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Whether any process of it lives.
    pub(super) fn lives(&self) -> bool {
        self.event("populated")
    }

    /// Whether it is frozen.
    pub(super) fn frozen(&self) -> bool {
        self.event("frozen")
    }

    fn event(&self, key: &str) -> bool {
        let text = fs::read_to_string(self.0.join("cgroup.events")).unwrap_or_default();
        text.lines().any(|line| line.strip_prefix(key).is_some_and(|value| value.trim() == "1"))
    }

    /// Kills every process of it at once, frozen ones too, and sees them gone. Nothing to kill is well.
    pub(super) async fn kill(&self) -> Result<(), LabError> {
        match self.order("cgroup.kill", "1") {
            Err(LabError::Disk { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
                return Ok(());
            }
            other => other?,
        }
        self.wait("populated", false, KERNEL_LIMIT).await
    }

    /// Stops every process of it in mid-breath, or lets all go on.
    pub(super) async fn freeze(&self, frozen: bool) -> Result<(), LabError> {
        self.order("cgroup.freeze", if frozen { "1" } else { "0" })?;
        self.wait("frozen", frozen, KERNEL_LIMIT).await
    }

    fn order(&self, file: &str, word: &str) -> Result<(), LabError> {
        let path = self.0.join(file);
        fs::write(&path, word).map_err(LabError::disk("write", &path))
    }

    /// Waits until no process of it lives.
    pub(super) async fn ended(&self, limit: Duration) -> Result<(), LabError> {
        self.wait("populated", false, limit).await
    }

    async fn wait(&self, key: &str, wanted: bool, limit: Duration) -> Result<(), LabError> {
        let deadline = Instant::now() + limit;
        while self.event(key) != wanted {
            if Instant::now() >= deadline {
                let because = format!(
                    "it is {}{key} after {} s",
                    if wanted { "not " } else { "still " },
                    limit.as_secs()
                );
                return Err(LabError::Setup {
                    what: format!("change the control group {}", self.0.display()),
                    because,
                });
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Ids of all processes in it and below it.
    pub(super) fn processes(&self) -> Vec<i32> {
        let mut all = Vec::new();
        let mut left = vec![self.0.clone()];
        while let Some(group) = left.pop() {
            let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            all.extend(text.lines().filter_map(|line| line.trim().parse::<i32>().ok()));
            left.extend(folders(&group));
        }
        all
    }

    /// Removes the group and those below it, in every hierarchy: systemd makes some of the same name in the others.
    pub(super) fn remove(&self) -> Result<(), LabError> {
        let root = needs::groups()?;
        let Ok(own) = self.0.strip_prefix(&root) else { return Ok(()) };
        // Beside a unified one, hierarchies of the first kind are mounted in the folder around it.
        let mut roots = root.parent().map(folders).unwrap_or_default();
        roots.push(root);
        for root in roots {
            remove_tree(&root.join(own))?;
        }
        Ok(())
    }
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Files of a group go with it, so only folders are removed, the deepest first.
fn remove_tree(path: &Path) -> Result<(), LabError> {
    for folder in folders(path) {
        remove_tree(&folder)?;
    }
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(LabError::disk("remove", path)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
