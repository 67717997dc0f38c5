//! Carries out one step's action on real hosts, once.

use super::{call::outcome, live::LiveHands, restore::PutBack, started::StartedWith};
use crate::drive::Done;
use jiff::Timestamp;
use quorate_hosts::{
    service,
    swap::{
        self, asks_version,
        packages::{Installed, install as installed},
    },
};
use quorate_model::{
    Action, ArtifactRef, ConfigChange, Hop, NodeName, Outcome, Release, Step, StepRole,
};
use quorate_observe::process::settings;
use quorate_transport::{Answer, Command, redact};
use std::{path::Path, time::Duration};

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
            // What a proof compared is for the journal; other calls answer with nothing that a person would read.
            Action::Call { call }
                if matches!(
                    step.role,
                    StepRole::Verify | StepRole::Precheck | StepRole::Restore
                ) =>
            {
                plain(outcome(self.say(call, &[&hop.to, &hop.from], step.limit).await, Some))
            }
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
            Action::Swap { .. } => plain(self.swap(&step.action, at).await),
            Action::Start { node, .. } => plain(self.start(node, at).await),
            Action::Restore { node, backup, call, joins } => {
                let put = PutBack { backup, call, joins: joins.is_some(), limit: step.limit };
                plain(self.restore(node, &put, hop).await)
            }
            Action::Membership { node, call, .. } => {
                plain(self.tell(node, call, hop, step.limit).await)
            }
            Action::SetAside { node } => plain(self.set_aside(node, step.limit).await),
            Action::List { node, out } => plain(self.list(node, out.as_ref())),
            Action::BringBack { node } => plain(self.bring_back(node, step.limit).await),
            Action::Clear { node } => plain(self.clear(node, step.limit).await),
            Action::StandStill { dependant, host, stop, .. } => {
                plain(self.handle_dependant(dependant, host, stop).await)
            }
            Action::Switch { dependant, host, act } => {
                plain(self.handle_dependant(dependant, host, act).await)
            }
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
        let _alone = match self.staging.get(node) {
            Some(staging) => Some(staging.lock().await),
            None => None,
        };
        // The tools of the running release are needed for its backups and for the way back.
        if let Some(running) = self
            .parts
            .cache
            .known(&artifact.pack, &hop.from)
            .filter(|known| known.release != artifact.release)
            && let Answer::Failed(because) | Answer::Unknown(because) =
                self.stage_files(transport.as_ref(), &paths, &running).await
        {
            return Outcome::Failed { because };
        }
        let staged = match self.stage_files(transport.as_ref(), &paths, artifact).await {
            Answer::Done(staged) => staged,
            Answer::Failed(because) => return Outcome::Failed { because },
            Answer::Unknown(because) => return Outcome::Unknown { because },
        };
        if let Err(because) = self.takes(node, at, &staged, artifact).await {
            return Outcome::Failed { because };
        }
        self.keep_staged(node, at, artifact, &staged);
        let note = if staged.copied_bytes == 0 {
            "it was there already".to_owned()
        } else {
            format!("{} bytes copied", staged.copied_bytes)
        };
        Outcome::Succeeded { note: Some(note) }
    }

    /// Whether what is staged says the right release, and takes what the node is started with. Asked again by whoever asks whether
    /// the step has happened: a binary that was copied and refuses the node's settings is not staged.
    pub(super) async fn takes(
        &self,
        node: &NodeName,
        at: usize,
        staged: &swap::Staged,
        artifact: &ArtifactRef,
    ) -> Result<(), String> {
        self.takes_packages(node, at, artifact).await?;
        self.says_its_release(node, &staged.binary, &artifact.release).await?;
        self.accepts_settings(node, at, &staged.artifact_dir, artifact).await?;
        self.accepts_file(node, at, &staged.artifact_dir, artifact).await
    }

    /// Asks dpkg on the host whether the packages can be installed as they are, and what they lack.
    async fn takes_packages(
        &self,
        node: &NodeName,
        at: usize,
        artifact: &ArtifactRef,
    ) -> Result<(), String> {
        let (Some(paths), Some(transport)) = (self.paths(node, at), self.transport(node)) else {
            return Ok(());
        };
        if paths.packages().is_empty() {
            return Ok(());
        }
        if let [first, ..] = artifact.lacks(paths.packages()).as_slice() {
            return Err(format!(
                "the artifact of {} {} has no package {first}, which {node} is installed from",
                artifact.pack, artifact.release
            ));
        }
        let files = swap::packages::files_of(&paths, artifact);
        let asked = swap::packages::not_installable(transport.as_ref(), &paths, artifact, &files);
        match asked.await.into_result()? {
            None => Ok(()),
            Some(because) => Err(format!("{node}: {because}")),
        }
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
        let Some(StartedWith { argv: own, env: own_env, .. }) =
            self.started_with(node, at, &spec).await?
        else {
            return Ok(());
        };
        // A product that refuses its words may repeat them, and what is said here is written down.
        let form = self.parts.pack.detect.as_ref().map(|detect| &detect.process);
        let mut said = settings::from_argv(&own);
        said.extend(form.map(|form| settings::from_env(&own_env, form)).unwrap_or_default());
        let secrets = form.map(|form| settings::secrets(&said, form)).unwrap_or_default();
        let mut words = Vec::new();
        for word in argv {
            match word.as_str() {
                "{args}" => words.extend(own.iter().skip(1).cloned()),
                other => words.push(other.replace("{artifact}", &folder.display().to_string())),
            }
        }
        let mut command = Command { clean_env: true, ..Command::new(words) };
        command.env.extend(own_env);
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
            redact::hide(&output.complaint(), &secrets)
        ))
    }

    async fn stop(&self, node: &NodeName, at: usize) -> Outcome {
        let (Some(spec), Some(transport)) = (self.service_before(node, at), self.acting(node))
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

    async fn swap(&self, action: &Action, at: usize) -> Outcome {
        let Action::Swap { node, from, to, config, packages } = action else {
            return Outcome::Failed { because: "this is no swap".to_owned() };
        };
        let (Some(paths), Some(transport)) = (self.paths(node, at), self.acting(node)) else {
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
        if packages.is_empty() != paths.packages().is_empty() {
            return Outcome::Failed {
                because: format!(
                    "the fleet file and the plan do not agree on whether {node} is installed from packages: make a new plan"
                ),
            };
        }
        if !packages.is_empty() {
            let cluster = &self.parts.cluster.name;
            let installed = installed(transport.as_ref(), &paths, to, packages, cluster).await;
            return outcome(installed, |installed| Some(note(&installed)));
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
        let (Some(spec), Some(transport)) = (self.service_at(node, at), self.acting(node)) else {
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
        // Also when the swap was done by an earlier controller that did not come to this.
        if self.has_rewritten_files(node) {
            match service::reload(transport.as_ref(), &spec).await {
                Answer::Done(()) => {}
                Answer::Failed(because) => return Outcome::Failed { because },
                Answer::Unknown(because) => return Outcome::Unknown { because },
            }
        }
        outcome(service::start(transport.as_ref(), &spec).await, |pid| {
            Some(format!("process {pid}"))
        })
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
        let _alone = match self.staging.get(node) {
            Some(staging) => Some(staging.lock().await),
            None => None,
        };
        self.stage_files(transport.as_ref(), &paths, artifact).await.into_result().map(drop)
    }
}

/// What dpkg did, for the journal.
fn note(installed: &Installed) -> String {
    let did = if installed.already { "were there already" } else { "installed by dpkg" };
    let mut note = format!("{} {did}", installed.packages.join(", "));
    if !installed.left.is_empty() {
        note.push_str(&format!(
            "; settings of theirs lie beside those in use, which stay: {}",
            installed.left.join(", ")
        ));
    }
    note
}

pub(super) fn plain(outcome: Outcome) -> Done {
    Done { outcome, also: Vec::new() }
}
