//! Carries out one step's action on real hosts, once.

use super::{call::outcome, live::LiveHands};
use crate::drive::Done;
use jiff::Timestamp;
use quorate_hosts::{
    service,
    swap::{self, asks_version},
};
use quorate_model::{
    Action, ArtifactRef, Backup, ConfigChange, Digest, Hop, NodeName, Outcome, Release, RunEvent,
    Step,
};
use quorate_transport::{Answer, Command};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{io::Read, path::Path, time::Duration};

/// What is written beside a backup, so that anybody can see later what it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BackupRecord {
    pub(crate) kind: String,
    pub(crate) release: Release,
    pub(crate) taken_at: Option<Timestamp>,
    pub(crate) sha256: Digest,
    pub(crate) size_bytes: u64,
    pub(crate) verified: Option<String>,
    #[serde(skip)]
    pub(crate) sha256_matches: bool,
}

impl LiveHands {
    pub(crate) async fn carry_out(&self, step: &Step) -> Done {
        let Some((at, hop)) = self.hop_of(step) else {
            return plain(Outcome::Failed {
                because: format!("step {} is not in the plan", step.id),
            });
        };
        match &step.action {
            Action::Look | Action::Confirm { .. } => plain(Outcome::Succeeded { note: None }),
            Action::Stage { node, artifact } => plain(self.stage(node, artifact, hop, at).await),
            Action::Backup { backup } => self.back_up(step, backup, hop).await,
            Action::Verify { backup } => self.verify(step, backup, hop).await,
            Action::TempSet { call, .. } => {
                plain(outcome(self.say(call, &[&hop.to, &hop.from], step.limit).await, |_| None))
            }
            // etcd, for one, answers a transfer of leadership up to a tenth of a second after it is over.
            Action::Call { call } => {
                let releases = [&hop.to, &hop.from];
                tokio::select! {
                    said = self.say(call, &releases, step.limit) => {
                        plain(outcome(said, |_| None))
                    }
                    () = self.effect_seen(step, hop) => plain(Outcome::Succeeded { note: None }),
                }
            }
            Action::TempPutBack { key } => plain(crate::drive::Hands::put_back(self, key).await),
            Action::Stop { node } => plain(self.stop(node, at).await),
            Action::Swap { node, from, to, config } => {
                plain(self.swap(node, at, from, to, config.as_ref()).await)
            }
            Action::Start { node, .. } => plain(self.start(node, at).await),
            Action::Restore { node, call, joins, .. } => {
                plain(self.restore(node, call, joins.is_some(), hop, step.limit).await)
            }
            Action::Membership { node, call, .. } => {
                plain(self.tell(node, call, hop, step.limit).await)
            }
            Action::SetAside { node } => plain(self.set_aside(node, step.limit).await),
            Action::List { node, out } => plain(self.list(node, out.as_ref())),
        }
    }

    /// Puts the artifact beside the live one, and asks the staged binary for its version and whether it takes the node's settings.
    pub(crate) async fn stage(
        &self,
        node: &NodeName,
        artifact: &ArtifactRef,
        hop: &Hop,
        at: usize,
    ) -> Outcome {
        let (Some(paths), Some(transport)) = (self.paths(node, at), self.transport(node)) else {
            return Outcome::Failed {
                because: format!("{node} has no service whose binary could be staged"),
            };
        };
        if let Err(because) = self.files_known(node).await {
            return Outcome::Failed { because };
        }
        // The tools of the running release are needed for its backups and for the way back.
        if let Some(running) = self
            .parts
            .cache
            .known(&artifact.pack, &hop.from)
            .filter(|known| known.release != artifact.release)
            && let Answer::Failed(because) | Answer::Unknown(because) =
                swap::stage(transport.as_ref(), &paths, &running, &self.parts.cache).await
        {
            return Outcome::Failed { because };
        }
        let staged =
            match swap::stage(transport.as_ref(), &paths, artifact, &self.parts.cache).await {
                Answer::Done(staged) => staged,
                Answer::Failed(because) => return Outcome::Failed { because },
                Answer::Unknown(because) => return Outcome::Unknown { because },
            };
        if let Err(because) = self.says_its_release(node, &staged.binary, &artifact.release).await {
            return Outcome::Failed { because };
        }
        if let Err(because) = self.accepts_settings(node, at, &staged.artifact_dir, artifact).await
        {
            return Outcome::Failed { because };
        }
        self.keep_fingerprint(node, &artifact.release, staged.fingerprint);
        if let Err(because) = self.accepts_file(node, at, &staged.artifact_dir, artifact).await {
            return Outcome::Failed { because };
        }
        let note = if staged.copied_bytes == 0 {
            "it was there already".to_owned()
        } else {
            format!("{} bytes copied", staged.copied_bytes)
        };
        Outcome::Succeeded { note: Some(note) }
    }

    async fn says_its_release(
        &self,
        node: &NodeName,
        binary: &Path,
        want: &Release,
    ) -> Result<(), String> {
        let Some(transport) = self.transport(node) else {
            return Err(format!("there is no way to {node}"));
        };
        let args = &self.parts.pack.scheme.version_args;
        if args.is_empty() {
            return Ok(());
        }
        let said = asks_version(transport.as_ref(), binary, args).await.into_result()?;
        match self.parts.pack.release_said(&said) {
            Some(release) if release == *want => Ok(()),
            Some(release) => {
                Err(format!("{} says that it is {release}, the plan says {want}", binary.display()))
            }
            None => Err(format!(
                "{} does not say which release it is: {}",
                binary.display(),
                super::call::first_line(&said)
            )),
        }
    }

    /// Asks the staged binary, with the node's own arguments, without letting it serve.
    async fn accepts_settings(
        &self,
        node: &NodeName,
        at: usize,
        folder: &Path,
        artifact: &ArtifactRef,
    ) -> Result<(), String> {
        let (Some(question), Some(spec)) =
            (&self.parts.pack.recipes.accepts_config, self.service_at(node, at))
        else {
            return Ok(());
        };
        let quorate_packs::CallTemplate::Command { argv, env } = question else { return Ok(()) };
        let quorate_model::ServiceSpec::Process { argv: own, env: own_env, .. } = &spec;
        let mut words = Vec::new();
        for word in argv {
            match word.as_str() {
                "{args}" => words.extend(own.iter().skip(1).cloned()),
                other => words.push(other.replace("{artifact}", &folder.display().to_string())),
            }
        }
        let mut command = Command { clean_env: true, ..Command::new(words) };
        command.env.extend(own_env.clone());
        command.env.extend(env.clone());
        // Ten seconds: parsing arguments takes none.
        let Some(transport) = self.transport(node) else {
            return Err(format!("there is no way to {node}"));
        };
        let output = transport.run(&command, Duration::from_secs(10)).await.into_result()?;
        if output.ok() {
            return Ok(());
        }
        Err(format!(
            "{} {} does not start with the settings of {node}: {}",
            artifact.pack,
            artifact.release,
            output.complaint()
        ))
    }

    async fn stop(&self, node: &NodeName, at: usize) -> Outcome {
        let (Some(spec), Some(transport)) = (self.service_before(node, at), self.transport(node))
        else {
            return Outcome::Failed {
                because: format!("{node} has no service that could be stopped"),
            };
        };
        self.remember_stop(node, Timestamp::now());
        let stopped = service::stop(transport.as_ref(), &spec).await;
        // Nobody was signalled: then the member's own silence must say that it does not run.
        if let Answer::Done(service::Stopped { how: service::How::Already }) = &stopped
            && let Some(because) = self.still_answers(node).await
        {
            return Outcome::Failed { because };
        }
        outcome(stopped, |stopped| Some(stopped.how.as_str().to_string()))
    }

    /// The service as it runs before this hop's own rewrite.
    fn service_before(&self, node: &NodeName, at: usize) -> Option<quorate_model::ServiceSpec> {
        match at.checked_sub(1) {
            Some(before) => self.service_at(node, before),
            None => self.node(node)?.service.clone(),
        }
    }

    async fn swap(
        &self,
        node: &NodeName,
        at: usize,
        from: &Release,
        to: &ArtifactRef,
        config: Option<&ConfigChange>,
    ) -> Outcome {
        let (Some(paths), Some(transport)) = (self.paths(node, at), self.transport(node)) else {
            return Outcome::Failed {
                because: format!("{node} has no service whose binary could be swapped"),
            };
        };
        if let Some(config) = config {
            if let Err(because) = self.keep_rewrite(node, config) {
                return Outcome::Failed { because };
            }
            match self.rewrite_files(node, config).await {
                Answer::Done(()) => {}
                Answer::Failed(because) => return Outcome::Failed { because },
                Answer::Unknown(because) => return Outcome::Unknown { because },
            }
        }
        let known = self.fingerprint(node, &to.release);
        let swapped = swap::swap(transport.as_ref(), &paths, from, to, known.as_ref()).await;
        outcome(swapped, |swapped| {
            Some(format!("the old one is kept as {}", swapped.kept.display()))
        })
    }

    /// From now on whoever starts this member must use the rewritten service, this run or a later one.
    fn keep_rewrite(&self, node: &NodeName, config: &ConfigChange) -> Result<(), String> {
        let declared = self
            .parts
            .declared
            .nodes
            .iter()
            .find(|own| own.name == *node)
            .and_then(|own| own.service.as_ref());
        match (declared, &config.service) {
            (Some(declared), Some(service)) => self.parts.rewrites.keep(
                &self.parts.cluster.name,
                node,
                &self.plan().digest,
                declared,
                service,
            ),
            _ => Ok(()),
        }
    }

    async fn start(&self, node: &NodeName, at: usize) -> Outcome {
        let (Some(spec), Some(transport)) = (self.service_at(node, at), self.transport(node))
        else {
            return Outcome::Failed {
                because: format!("{node} has no service that could be started"),
            };
        };
        // A swap that had happened before has kept nothing: whoever starts the member later needs what it starts with now.
        if let Some(config) = self.config_at(node, at)
            && let Err(because) = self.keep_rewrite(node, config)
        {
            return Outcome::Failed { because };
        }
        outcome(service::start(transport.as_ref(), &spec).await, |pid| {
            Some(format!("process {pid}"))
        })
    }

    async fn restore(
        &self,
        node: &NodeName,
        call: &quorate_model::Call,
        joins: bool,
        hop: &Hop,
        limit: Duration,
    ) -> Outcome {
        let Some(data) = self.node(node).and_then(|node| node.data_dir.clone()) else {
            return Outcome::Failed {
                because: format!("the data folder of {node} is not declared"),
            };
        };
        let aside = data.with_extension(format!("before-restore-{}", self.plan().digest.short()));
        // Moved, never deleted: the data as they were stay beside the restored ones. A repeated try finds them moved. What
        // it finds in their place is half a copy, or a member that may have joined: the latter is kept, others count on it.
        let script = match joins {
            true => "if [ ! -e \"$2\" ] && [ -e \"$1\" ]; then mv -- \"$1\" \"$2\"; fi",
            false => {
                "if [ -e \"$2\" ]; then rm -rf -- \"$1\"; elif [ -e \"$1\" ]; then mv -- \"$1\" \"$2\"; fi"
            }
        };
        let words = ["sh", "-c", script, "restore"].map(str::to_owned);
        let command = Command::new(
            words.into_iter().chain([data.display().to_string(), aside.display().to_string()]),
        );
        if let Answer::Failed(because) | Answer::Unknown(because) =
            self.run(node, &command, limit).await
        {
            return Outcome::Failed { because };
        }
        // The older tool restores: the newer one writes what the older server cannot read.
        let said = self.say(call, &[&hop.to], limit).await;
        if let (Answer::Done(_), Some(mark)) = (&said, self.restore_mark(node)) {
            let mark =
                Command::new(["touch".to_owned(), "--".to_owned(), mark.display().to_string()]);
            if let Answer::Failed(because) | Answer::Unknown(because) =
                self.run(node, &mark, limit).await
            {
                return Outcome::Failed { because };
            }
        }
        outcome(said, |_| Some(format!("the data before it are kept in {}", aside.display())))
    }

    /// The file that says that this plan has put the data back: beside the data folder, which belongs to the product.
    pub(crate) fn restore_mark(&self, node: &NodeName) -> Option<std::path::PathBuf> {
        let data = self.node(node)?.data_dir.clone()?;
        Some(data.with_extension(format!("restored-{}", self.plan().digest.short())))
    }

    async fn back_up(&self, step: &Step, backup: &Backup, hop: &Hop) -> Done {
        match self.save_copy(backup, &[&hop.from, &hop.to], step.limit).await {
            Ok(record) => self.backed_up(step, backup, record),
            Err(because) => plain(Outcome::Failed { because }),
        }
    }

    async fn verify(&self, step: &Step, backup: &Backup, hop: &Hop) -> Done {
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
        self.say(&backup.save, releases, limit).await.into_result()?;
        let (sha256, size_bytes) = digest_of(&file)?;
        let record = BackupRecord {
            kind: backup.kind.clone(),
            release: backup.release.clone(),
            taken_at: Some(Timestamp::now()),
            sha256,
            size_bytes,
            verified: None,
            sha256_matches: true,
        };
        record.write(&file)?;
        Ok(record)
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
        if !record.sha256_matches {
            let wrong = if file.exists() {
                "is not what was backed up: its digest differs"
            } else {
                "is not there any more: it was taken, and somebody removed it since"
            };
            return Err(format!("{} {wrong}", file.display()));
        }
        record.verified = Some(self.say(&backup.verify, releases, limit).await.into_result()?);
        record.write(&file)?;
        Ok(record)
    }

    /// Puts the tools of a release on a node's host, beside the live ones.
    pub(crate) async fn stage_tools(
        &self,
        node: &NodeName,
        artifact: &ArtifactRef,
    ) -> Result<(), String> {
        let (Some(paths), Some(transport)) = (self.paths(node, 0), self.transport(node)) else {
            return Err(format!("{node} has no service, so its host has no place for tools"));
        };
        swap::stage(transport.as_ref(), &paths, artifact, &self.parts.cache)
            .await
            .into_result()
            .map(drop)
    }

    /// What is known of a backup that was taken, with its digest checked again.
    pub(crate) fn backup_record(&self, backup: &Backup) -> Option<BackupRecord> {
        BackupRecord::read(&self.state_file(&backup.file)).ok()
    }
}

impl BackupRecord {
    /// Reads what stands beside a backup, and checks the backup's digest.
    pub(crate) fn read(file: &Path) -> Result<Self, String> {
        let path = record_path(file);
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let mut record: Self = serde_json::from_str(&text)
            .map_err(|error| format!("{} is no record of a backup: {error}", path.display()))?;
        record.sha256_matches = digest_of(file).is_ok_and(|(sha256, _)| sha256 == record.sha256);
        Ok(record)
    }

    fn write(&self, file: &Path) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        let path = record_path(file);
        std::fs::write(&path, text)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))
    }
}

fn plain(outcome: Outcome) -> Done {
    Done { outcome, also: Vec::new() }
}

fn record_path(file: &Path) -> std::path::PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".json");
    file.with_file_name(name)
}

/// Digest and size of a file, or of a folder's files in the order of their names.
pub(crate) fn digest_of(path: &Path) -> Result<(Digest, u64), String> {
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
