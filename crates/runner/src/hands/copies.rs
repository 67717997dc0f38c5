//! Copies of the data: taken, proved, written down, and read again before anything counts on them.
//!
//! Invariant: what stands beside a copy says what was seen, and says nothing of what was not.
//! Read next: `restore.rs`, where a copy is put back.

use super::{act::plain, call::first_line, live::LiveHands};
use crate::drive::Done;
use jiff::Timestamp;
use quorate_engine::Verdict;
use quorate_hosts::carry;
use quorate_model::{
    Action, BACKUP_WHOLE, Backup, CallKind, ClusterName, Digest, Hop, Host, NodeName, Outcome,
    PackName, Plan, Release, RunEvent, Step, Unsafe,
};
use quorate_transport::{Answer, Command, Transport, beside};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Names a file that is newer than the copy, unless the folder that it would be in is aside.
const RAN_SINCE: &str = r#"mark=$1 aside=$2
shift 2
if [ -e "$aside" ] || [ -L "$aside" ] || [ ! -e "$mark" ]; then exit 0; fi
for folder; do find -L "$folder" -type f -newer "$mark" -print -quit || exit; done"#;

/// Version of what stands beside a backup. The first did not say of which cluster and from which member the copy is.
const RECORD_SCHEMA: u32 = 2;

/// What is written beside a backup, so that anybody can see later what it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct BackupRecord {
    /// [`RECORD_SCHEMA`] of the program that wrote it.
    #[serde(default = "first_schema")]
    pub(crate) schema: u32,
    /// The pack's name for the way.
    pub(crate) kind: String,
    /// The product.
    #[serde(default)]
    pub(crate) pack: Option<PackName>,
    /// The cluster, by the name that the fleet gives it.
    #[serde(default)]
    pub(crate) cluster: Option<ClusterName>,
    /// The cluster, by the id that the product gives it.
    #[serde(default)]
    pub(crate) cluster_id: Option<String>,
    /// The member that it was taken from.
    #[serde(default)]
    pub(crate) node: Option<NodeName>,
    /// The release that it was taken on.
    pub(crate) release: Release,
    pub(crate) taken_at: Option<Timestamp>,
    pub(crate) sha256: Digest,
    pub(crate) size_bytes: u64,
    /// How it was proved; none for one that was not.
    pub(crate) verified: Option<String>,
}

/// `mkdir` answers at once on any disk that answers at all.
const MAKE_LIMIT: Duration = Duration::from_secs(5);

fn first_schema() -> u32 {
    1
}

impl BackupRecord {
    /// Reads what stands beside a backup.
    pub(crate) fn read(file: &Path) -> Result<Self, String> {
        let path = beside(file, ".json");
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let record: Self = serde_json::from_str(&text)
            .map_err(|error| format!("{} is no record of a backup: {error}", path.display()))?;
        if record.schema > RECORD_SCHEMA {
            return Err(format!(
                "{} was written by a newer Quorate (schema {}, this program reads {RECORD_SCHEMA})",
                path.display(),
                record.schema
            ));
        }
        Ok(record)
    }

    /// Whether a backup is still what was written down, by its digest.
    pub(crate) fn whole(&self, file: &Path) -> Result<(), String> {
        whole(file, &self.sha256)
    }

    fn write(&self, file: &Path) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        let path = beside(file, ".json");
        std::fs::write(&path, text)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))
    }
}

/// Whether a copy has the digest that it was written down with.
fn whole(file: &Path, expected: &Digest) -> Result<(), String> {
    if !file.exists() {
        let what = "is not there any more: it was taken, and somebody removed it since";
        return Err(format!("{} {what}", file.display()));
    }
    let (found, _) = digest_of(file)?;
    if found == *expected {
        return Ok(());
    }
    let (found, wanted) = found.told_apart(expected);
    Err(format!(
        "{} is not what was backed up: its digest differs, it is {found} and {wanted} was written down when it was taken",
        file.display()
    ))
}

/// Every copy that a plan puts back, with what it must be.
pub(crate) fn put_back(plan: &Plan) -> impl Iterator<Item = &Backup> {
    let steps = plan.hops.iter().flat_map(|hop| &hop.waves).flat_map(|wave| &wave.steps);
    steps.filter_map(|step| match &step.action {
        Action::Restore { backup, .. } => Some(backup.as_ref()),
        _ => None,
    })
}

/// Members that get data from a copy themselves, with that copy.
fn takers(plan: &Plan) -> impl Iterator<Item = (&NodeName, &Backup)> {
    let steps = plan.hops.iter().flat_map(|hop| &hop.waves).flat_map(|wave| &wave.steps);
    steps.filter_map(|step| match &step.action {
        Action::Restore { node, backup, joins: None, .. } => Some((node, &**backup)),
        _ => None,
    })
}

/// Whether another copy is made of this one, which is of a member that stands still.
fn is_made_into_another(backup: &Backup, hop: &Hop) -> bool {
    let mut steps = hop.waves.iter().flat_map(|wave| &wave.steps);
    steps.any(|step| matches!(&step.action, Action::Backup { backup: other } if other.made_of.as_ref() == Some(&backup.file)))
}

/// Whether a plan takes a copy itself, which is not there before.
fn takes(plan: &Plan, copy: &Backup) -> bool {
    let mut steps = plan.hops.iter().flat_map(|hop| &hop.waves).flat_map(|wave| &wave.steps);
    steps.any(|step| matches!(&step.action, Action::Backup { backup } if backup.file == copy.file))
}

/// Whether every copy that a plan puts back is there and whole, those that it takes itself left out.
pub(crate) fn copies_whole(state_dir: &Path, plan: &Plan) -> Result<(), String> {
    let mut seen: Vec<&str> = Vec::new();
    for backup in put_back(plan) {
        if !seen.contains(&backup.file.as_str()) && !takes(plan, backup) {
            seen.push(&backup.file);
            copy_whole(state_dir, backup)?;
        }
    }
    Ok(())
}

/// Whether one copy is there and is what the plan, or else its record, says.
pub(crate) fn copy_whole(state_dir: &Path, backup: &Backup) -> Result<(), String> {
    let file = state_dir.join(&backup.file);
    match &backup.sha256 {
        Some(expected) => whole(&file, expected),
        // A plan of a program that did not write the digest into it.
        None => BackupRecord::read(&file)?.whole(&file),
    }
}

/// Copies that were found whole, by what the file system says of their files: what nobody has touched since is not read
/// again before each further stop, which would only make the outage longer.
#[derive(Default)]
pub(crate) struct FoundWhole(Mutex<Vec<(PathBuf, Vec<Stamp>)>>);

/// A file's identity and the moments of its last changes.
type Stamp = (PathBuf, u64, u64, (i64, i64), (i64, i64));

impl FoundWhole {
    fn knows(&self, file: &Path, now: &[Stamp]) -> bool {
        self.lock().iter().any(|(known, stamps)| known == file && stamps == now)
    }
    fn keep(&self, file: &Path, stamps: Vec<Stamp>) {
        self.lock().push((file.to_owned(), stamps));
    }
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(PathBuf, Vec<Stamp>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamps_of(path: &Path, into: &mut Vec<Stamp>) -> std::io::Result<()> {
    let meta = std::fs::symlink_metadata(path)?;
    let (modified, changed) =
        ((meta.mtime(), meta.mtime_nsec()), (meta.ctime(), meta.ctime_nsec()));
    into.push((path.to_owned(), meta.ino(), meta.len(), modified, changed));
    if meta.is_dir() {
        for entry in std::fs::read_dir(path)? {
            stamps_of(&entry?.path(), into)?;
        }
    }
    Ok(())
}

impl LiveHands {
    /// Why a member may not be stopped for the copy that it is to get; none when nothing is asked or the copy is whole.
    pub(super) async fn backup_refused(&self, step: &Step) -> Option<Verdict> {
        step.precheck.iter().find(|one| one.cel.is_empty() && one.name == BACKUP_WHOLE)?;
        let node = step.node.as_ref()?;
        let refused = self.copies_refused();
        let refused = match refused {
            Some(refused) => Some(refused),
            None => self.room_refused().await,
        };
        Some(Verdict::Unsafe(Unsafe::Pack {
            node: node.clone(),
            rule: BACKUP_WHOLE.to_owned(),
            text: refused?,
        }))
    }

    /// Why a member has no room for the data that it is to get. Asked once, before anybody stops: afterwards some of it is used.
    async fn room_refused(&self) -> Option<String> {
        let mut seen = self.room_seen.lock().await;
        if *seen {
            return None;
        }
        for (node, backup) in takers(self.plan()) {
            let Some(transport) = self.transport(node) else {
                return Some(format!("there is no way to {node} to look for room on its disk"));
            };
            let mut stamps = Vec::new();
            // A copy that cannot be read was refused before.
            let _ = stamps_of(&self.state_file(&backup.file), &mut stamps);
            let copy: u64 = stamps.iter().map(|(_, _, bytes, ..)| bytes).sum();
            let main = match self.data_folders(node) {
                Ok(folders) => folders.into_iter().next()?,
                Err(because) => return Some(because),
            };
            match carry::no_room_beside(transport.as_ref(), &main, copy).await {
                Answer::Done(None) => {}
                Answer::Done(Some(because)) => return Some(format!("{node}: {because}")),
                Answer::Failed(because) | Answer::Unknown(because) => {
                    return Some(format!("{node}: nobody knows whether it has room: {because}"));
                }
            }
        }
        *seen = true;
        None
    }

    fn copies_refused(&self) -> Option<String> {
        put_back(self.plan()).find_map(|backup| {
            let file = self.state_file(&backup.file);
            let mut stamps = Vec::new();
            let stamped = stamps_of(&file, &mut stamps);
            stamps.sort();
            if stamped.is_ok() && self.found_whole.knows(&file, &stamps) {
                return None;
            }
            let refused = self.copy_whole(backup).err();
            if refused.is_none() && stamped.is_ok() {
                self.found_whole.keep(&file, stamps);
            }
            refused
        })
    }

    /// Whether the copy that a plan puts back is whole. Its file is read in any case.
    pub(super) fn copy_whole(&self, backup: &Backup) -> Result<(), String> {
        copy_whole(&self.parts.state_dir, backup)
    }

    /// Whether a backup was taken, and is still what it was then.
    pub(super) fn backed_up_already(&self, backup: &Backup) -> bool {
        let file = self.state_file(&backup.file);
        BackupRecord::read(&file).and_then(|record| record.whole(&file)).is_ok()
    }

    pub(super) async fn back_up(&self, step: &Step, backup: &Backup, hop: &Hop) -> Done {
        if is_made_into_another(backup, hop)
            && let Some(because) = self.runs_all_the_same(&backup.node).await
        {
            let because = format!("{because}; a copy of data that somebody writes is not whole");
            return plain(Outcome::Failed { because });
        }
        let stands_still = is_made_into_another(backup, hop);
        if stands_still && let Err(because) = self.mark_copied(&backup.node).await {
            return plain(Outcome::Failed { because });
        }
        match self.save_copy(backup, &[&hop.from, &hop.to], step.limit).await {
            Ok(record) => self.backed_up(step, backup, record),
            Err(because) => plain(Outcome::Failed { because }),
        }
    }

    /// Where it is seen later whether a member has run since its data were copied.
    fn copied_mark(&self, node: &NodeName) -> Result<(PathBuf, PathBuf), String> {
        let folders = self.data_folders(node)?;
        let main =
            folders.into_iter().next().ok_or_else(|| format!("{node} has no data folder"))?;
        let mark = beside(&main, &format!(".copied-{}", self.plan().digest.short()));
        Ok((main, mark))
    }

    async fn mark_copied(&self, node: &NodeName) -> Result<(), String> {
        let (_, mark) = self.copied_mark(node)?;
        let touch = ["touch".to_owned(), "--".into(), mark.display().to_string()];
        self.run(node, &Command::new(touch), MAKE_LIMIT).await.into_result().map(drop)
    }

    /// Why what was made of a stopped member's data must not be given to anybody: that member has run since. Asked until its own
    /// data are moved aside.
    pub(super) async fn ran_since_copy(&self, hop: &Hop) -> Result<Option<String>, String> {
        let steps = || hop.waves.iter().flat_map(|wave| &wave.steps);
        let source = steps().find_map(|step| match &step.action {
            Action::Backup { backup } if is_made_into_another(backup, hop) => Some(&backup.node),
            _ => None,
        });
        let Some(source) = source else { return Ok(None) };
        let (main, mark) = self.copied_mark(source)?;
        let aside = super::kept::aside(&main, &self.plan().digest);
        let words = ["sh", "-c", RAN_SINCE, "copied"].map(str::to_owned);
        let mut paths = vec![mark, aside];
        paths.extend(self.data_folders(source)?);
        let paths = paths.into_iter().map(|path| path.display().to_string());
        let newer = Command::new(words.into_iter().chain(paths));
        let newer = self.run(source, &newer, MAKE_LIMIT).await.into_result()?;
        Ok((!newer.trim().is_empty()).then(|| {
            format!(
                "{source} has run since its data were copied ({} is newer), and what was written meanwhile would be lost: stop it, abort this run, and `quorate rollback` it; then begin anew",
                first_line(&newer)
            )
        }))
    }

    pub(super) async fn verify(&self, step: &Step, backup: &Backup, hop: &Hop) -> Done {
        match self.prove_copy(backup, &[&hop.from, &hop.to], step.limit).await {
            Ok(record) => self.backed_up(step, backup, record),
            Err(because) => plain(Outcome::Failed { because }),
        }
    }

    fn backed_up(&self, step: &Step, backup: &Backup, record: BackupRecord) -> Done {
        let BackupRecord { sha256, size_bytes, verified, .. } = record;
        let note = verified.clone().unwrap_or_else(|| format!("{size_bytes} bytes"));
        let file = self.state_file(&backup.file).display().to_string();
        let event =
            RunEvent::BackedUp { step: step.id.clone(), file, sha256, size_bytes, verified };
        Done { outcome: Outcome::Succeeded { note: Some(note) }, also: vec![event] }
    }

    /// Copies the data, and writes down what the copy is.
    pub(crate) async fn save_copy(
        &self,
        backup: &Backup,
        releases: &[&Release],
        limit: Duration,
    ) -> Result<BackupRecord, String> {
        let file = self.state_file(&backup.file);
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        }
        match backup.save.call {
            CallKind::Command { .. } => self.save_there(backup, releases, limit).await?,
            CallKind::Http { .. } | CallKind::Native { .. } => {
                self.say(&backup.save, releases, limit).await.into_result()?;
            }
        }
        let (sha256, size_bytes) = digest_of(&file)?;
        let record = BackupRecord {
            schema: RECORD_SCHEMA,
            kind: backup.kind.clone(),
            pack: Some(self.parts.cluster.pack.clone()),
            cluster: Some(self.parts.cluster.name.clone()),
            cluster_id: self.plan().observed.cluster_id(),
            node: Some(backup.node.clone()),
            release: backup.release.clone(),
            taken_at: Some(Timestamp::now()),
            sha256,
            size_bytes,
            verified: None,
        };
        record.write(&file)?;
        Ok(record)
    }

    /// Saves by a command, on the member's own host, and carries the copy here.
    async fn save_there(
        &self,
        backup: &Backup,
        releases: &[&Release],
        limit: Duration,
    ) -> Result<(), String> {
        let Some(there) = self.room_there(&backup.node, &backup.file).await? else {
            return self.say(&backup.save, releases, limit).await.into_result().map(drop);
        };
        let way = self.way(&backup.node)?;
        // A copy that an earlier try left half made.
        carry::clear(way.as_ref(), &there).await.into_result()?;
        let saved = self.say(&backup.save, releases, limit).await.into_result();
        let file = self.state_file(&backup.file);
        let brought = match saved {
            Ok(_) => carry::bring(way.as_ref(), &there, &file).await.into_result().map(drop),
            Err(because) => Err(because),
        };
        // Data of the cluster lie on no other disk than they must, also when they could not be carried.
        let cleared = carry::clear(way.as_ref(), &there).await.into_result();
        brought.and(cleared)
    }

    /// Carries a copy to the host of a member that it is put back on; none when the member lives on this machine.
    pub(super) async fn send_copy(
        &self,
        node: &NodeName,
        backup: &Backup,
    ) -> Result<Option<PathBuf>, String> {
        let Some(there) = self.room_there(node, &backup.file).await? else { return Ok(None) };
        let (way, file) = (self.way(node)?, self.state_file(&backup.file));
        carry::send(way.as_ref(), &file, &there).await.into_result()?;
        Ok(Some(there))
    }

    /// Where a copy stands on a member's host, its folder made; none on this machine, where the state folder is.
    async fn room_there(&self, node: &NodeName, file: &str) -> Result<Option<PathBuf>, String> {
        let Some(room) = self.room(node).await? else { return Ok(None) };
        let there = room.join(file);
        let folder = there.parent().unwrap_or(&room).display().to_string();
        let make = Command::new(["mkdir", "-p", "-m", "700", "--", &folder]);
        self.run(node, &make, MAKE_LIMIT).await.into_result()?;
        Ok(Some(there))
    }

    /// The folder for copies on a member's host; none on this machine.
    pub(crate) async fn room(&self, node: &NodeName) -> Result<Option<PathBuf>, String> {
        match self.node(node).map(|node| &node.host) {
            Some(Host::Ssh(_)) => {}
            Some(Host::Local) | None => return Ok(None),
        }
        let data = self.data_folders(node).ok().and_then(|all| all.into_iter().next());
        let name = self.parts.cluster.name.as_str();
        carry::room(self.way(node)?.as_ref(), name, data.as_deref()).await.into_result().map(Some)
    }

    fn way(&self, node: &NodeName) -> Result<&Arc<dyn Transport>, String> {
        self.transport(node).ok_or_else(|| format!("there is no way to {node}"))
    }

    /// Proves a copy by restoring it, and writes down how.
    pub(crate) async fn prove_copy(
        &self,
        backup: &Backup,
        releases: &[&Release],
        limit: Duration,
    ) -> Result<BackupRecord, String> {
        let file = self.state_file(&backup.file);
        let mut record = BackupRecord::read(&file)?;
        record.whole(&file)?;
        record.verified = Some(self.say(&backup.verify, releases, limit).await.into_result()?);
        record.write(&file)?;
        Ok(record)
    }
}

/// Digest and size of a file, or of a folder's files in the order of their names.
fn digest_of(path: &Path) -> Result<(Digest, u64), String> {
    let mut hasher = Sha256::new();
    let mut size = 0;
    add(path, &mut hasher, &mut size)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok((Digest::new(hex::encode(hasher.finalize())), size))
}

fn add(path: &Path, hasher: &mut Sha256, size: &mut u64) -> std::io::Result<()> {
    if path.is_dir() {
        let mut names: Vec<_> = std::fs::read_dir(path)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        names.sort();
        for name in names {
            hasher.update(name.file_name().unwrap_or_default().as_encoded_bytes());
            add(&name, hasher, size)?;
        }
        return Ok(());
    }
    let mut file = std::fs::File::open(path)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else { return Ok(()) };
        hasher.update(part);
        *size += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(record: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("copy.db");
        std::fs::write(&file, "data").unwrap();
        std::fs::write(beside(&file, ".json"), record).unwrap();
        (folder, file)
    }

    /// SHA-256 of `data`.
    const DATA: &str = "3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7";

    #[test]
    fn a_record_of_the_first_schema_is_read_and_says_nothing_of_its_cluster() {
        let (_folder, file) = written(&format!(
            r#"{{"kind":"v3-snapshot","release":"3.4.23","taken_at":null,"sha256":"{DATA}","size_bytes":4,"verified":null}}"#
        ));
        let record = BackupRecord::read(&file).unwrap();
        assert_eq!((record.schema, record.cluster.clone(), record.node.clone()), (1, None, None));
        assert_eq!(record.whole(&file), Ok(()));
        std::fs::write(&file, "dat").unwrap();
        let said = record.whole(&file).unwrap_err();
        assert!(said.contains("is not what was backed up") && said.contains("digest"), "{said}");
    }

    #[test]
    fn a_record_of_a_newer_program_is_refused() {
        let (_folder, file) = written(&format!(
            r#"{{"schema":99,"kind":"x","release":"3.4.23","taken_at":null,"sha256":"{DATA}","size_bytes":4,"verified":null}}"#
        ));
        assert!(BackupRecord::read(&file).unwrap_err().contains("newer Quorate"));
    }

    #[test]
    fn a_copy_that_was_touched_is_read_again() {
        let (_folder, file) = written("{}");
        let stamps = |file: &Path| {
            let mut stamps = Vec::new();
            stamps_of(file, &mut stamps).unwrap();
            stamps
        };
        let known = FoundWhole::default();
        known.keep(&file, stamps(&file));
        assert!(known.knows(&file, &stamps(&file)));
        std::fs::write(&file, "atad").unwrap();
        assert!(!known.knows(&file, &stamps(&file)), "its size is the same, its time is not");
    }
}
