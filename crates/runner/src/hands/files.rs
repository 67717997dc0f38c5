//! Configuration files on hosts, brought over by the edits of a plan.
//!
//! Invariant: a file that is neither what the plan expects nor what it shall be was changed by somebody: it is left as it is.
//! Invariant: the new file has owner and mode of the old one, and nobody else can read it before it has.

use super::{live::LiveHands, started::StartedWith};
use quorate_model::{Action, ArtifactRef, ConfigChange, FileRewrite, NodeName};
use quorate_observe::process::settings;
use quorate_packs::{
    AcceptsFile, Pack,
    config_text::{self, FileState, state},
};
use quorate_transport::{Answer, Command, Output};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Names and modes of one file: answered at once on any disk that answers at all.
const FILE_LIMIT: Duration = Duration::from_secs(10);

/// The prepared file takes owner and mode of the one that it replaces, and its name.
const TAKE_PLACE: &str = "chown --reference=\"$1\" -- \"$2\" && chmod --reference=\"$1\" -- \"$2\" && mv -f -- \"$2\" \"$1\" || { rm -f -- \"$2\"; exit 1; }";

impl LiveHands {
    /// Brings the files of a change over, each as a whole or not at all.
    pub(super) async fn rewrite_files(&self, node: &NodeName, config: &ConfigChange) -> Answer<()> {
        for file in &config.files {
            let found = match self.file_state(node, file).await {
                Answer::Done(found) => found,
                Answer::Failed(because) => return Answer::Failed(because),
                Answer::Unknown(because) => return Answer::Unknown(because),
            };
            let done = match found {
                FileState::After => Answer::Done(()),
                FileState::Before(text) => self.replace(node, &file.path, &text).await,
                FileState::Other => Answer::Failed(changed(file)),
            };
            if !matches!(done, Answer::Done(())) {
                return done;
            }
        }
        Answer::Done(())
    }

    /// Whether the files of a change are as they shall be.
    pub(super) async fn files_rewritten(
        &self,
        node: &NodeName,
        config: &ConfigChange,
    ) -> Answer<bool> {
        for file in &config.files {
            match self.file_state(node, file).await {
                Answer::Done(FileState::After) => {}
                Answer::Done(FileState::Before(_) | FileState::Other) => {
                    return Answer::Done(false);
                }
                Answer::Failed(because) => return Answer::Failed(because),
                Answer::Unknown(because) => return Answer::Unknown(because),
            }
        }
        Answer::Done(true)
    }

    /// Asks the staged binary about the configuration file as it will be at a hop, by a copy that it cannot start with.
    pub(super) async fn accepts_file(
        &self,
        node: &NodeName,
        at: usize,
        folder: &Path,
        artifact: &ArtifactRef,
    ) -> Result<(), String> {
        let (Some(asking), Some(spec), Some(transport)) = (
            &self.parts.pack.recipes.accepts_file,
            self.service_at(node, at),
            self.transport(node),
        ) else {
            return Ok(());
        };
        let started = self.started_with(node, at, &spec).await?;
        let path = started.and_then(|started| config_path(&self.parts.pack, &started));
        let Some(path) = path else { return Ok(()) };
        let AcceptsFile { argv, spoiled_by, says, sources: _ } = asking;
        let content = transport.read(&path).await.into_result()?;
        let copy = folder.join(format!("asked-{node}.yaml"));
        let fill = |word: &String| {
            let word = word.replace("{artifact}", &folder.display().to_string());
            word.replace("{file}", &copy.display().to_string())
        };
        let spoil: Vec<(&str, String)> =
            spoiled_by.iter().map(|(key, value)| (key.as_str(), fill(value))).collect();
        let spoil: Vec<(&str, &str)> =
            spoil.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let text = self.file_at(node, at, &path, &content);
        let Some(text) = text.and_then(|text| config_text::with(&text, &spoil)) else {
            // It is in a form that cannot be edited by lines: the pack's rules alone have judged it.
            return Ok(());
        };
        transport.write(&copy, text.as_bytes(), 0o600).await.into_result()?;
        let asked = Command { clean_env: true, ..Command::new(argv.iter().map(fill)) };
        let said = transport.run(&asked, FILE_LIMIT).await;
        let remove = ["rm".into(), "-f".into(), "--".into(), copy.display().to_string()];
        self.run(node, &Command::new(remove), FILE_LIMIT).await.into_result()?;
        let said: Output = said.into_result()?;
        let all = [said.stdout.as_slice(), said.stderr.as_slice()].concat();
        if String::from_utf8_lossy(&all).contains(says.as_str()) {
            return Ok(());
        }
        Err(format!(
            "{} {} does not start with {} of {node}: {}",
            artifact.pack,
            artifact.release,
            path.display(),
            said.complaint()
        ))
    }

    /// What a file will hold at a hop.
    fn file_at(&self, node: &NodeName, at: usize, path: &Path, content: &[u8]) -> Option<String> {
        let of_hops = |hops: usize| -> Vec<&FileRewrite> {
            let files = self.rewrites_of(node, hops);
            files.into_iter().filter(|file| Path::new(&file.path) == path).collect()
        };
        match (config_text::original(&of_hops(usize::MAX), content), of_hops(at + 1).last()) {
            (Some(original), Some(last)) => config_text::edited(&original, &last.after),
            (Some(original), None) => Some(original),
            (None, _) => String::from_utf8(content.to_vec()).ok(),
        }
    }

    /// The rewrites of a node's files in the first hops of the plan, in order.
    pub(super) fn rewrites_of(&self, node: &NodeName, hops: usize) -> Vec<&FileRewrite> {
        let steps = self.plan().hops.iter().take(hops).flat_map(|hop| &hop.waves);
        let configs = steps.flat_map(|wave| &wave.steps).filter_map(|step| match &step.action {
            Action::Swap { node: own, config: Some(config), .. } if own == node => Some(config),
            _ => None,
        });
        configs.flat_map(|config| &config.files).collect()
    }

    /// Whether every file that this plan will rewrite on a node is still one that it knows. Asked before anything stops:
    /// at the swap it would be too late to go on.
    pub(super) async fn files_known(&self, node: &NodeName) -> Result<(), String> {
        let files = self.rewrites_of(node, usize::MAX);
        for file in &files {
            let content = self.read_file(node, &file.path).await.into_result()?;
            let own = files.iter().filter(|own| own.path == file.path);
            if own.map(|own| state(own, &content)).all(|state| state == FileState::Other) {
                return Err(changed(file));
            }
        }
        Ok(())
    }

    /// Whether this plan rewrites files of a node.
    pub(super) fn has_rewritten_files(&self, node: &NodeName) -> bool {
        !self.rewrites_of(node, usize::MAX).is_empty()
    }

    async fn file_state(&self, node: &NodeName, file: &FileRewrite) -> Answer<FileState> {
        self.read_file(node, &file.path).await.map(|content| state(file, &content))
    }

    async fn read_file(&self, node: &NodeName, path: &str) -> Answer<Vec<u8>> {
        match self.transport(node) {
            Some(transport) => transport.read(Path::new(path)).await,
            None => Answer::Failed(format!("there is no way to {node}")),
        }
    }

    async fn replace(&self, node: &NodeName, path: &str, text: &str) -> Answer<()> {
        let Some(transport) = self.transport(node) else {
            return Answer::Failed(format!("there is no way to {node}"));
        };
        // A link stays: what it leads to is replaced.
        let real = Command::new(["readlink", "-f", "--", path].map(str::to_owned));
        let real = match self.run(node, &real, FILE_LIMIT).await {
            Answer::Done(said) => PathBuf::from(said.trim_end_matches('\n')),
            Answer::Failed(because) => return Answer::Failed(because),
            Answer::Unknown(because) => return Answer::Unknown(because),
        };
        let mut name = real.file_name().unwrap_or_default().to_owned();
        name.push(".quorate-new");
        let new = real.with_file_name(name);
        let written = transport.write(&new, text.as_bytes(), 0o600).await;
        if !matches!(written, Answer::Done(())) {
            return written;
        }
        let words = ["sh", "-c", TAKE_PLACE, "take-place"].map(str::to_owned);
        let paths = [real.display().to_string(), new.display().to_string()];
        let command = Command::new(words.into_iter().chain(paths));
        self.run(node, &command, FILE_LIMIT).await.map(drop)
    }
}

/// The configuration file that a service starts its member with.
pub(super) fn config_path(pack: &Pack, started: &StartedWith) -> Option<PathBuf> {
    let form = &pack.detect.as_ref()?.process;
    let StartedWith { argv, env, work_dir } = started;
    let mut said = settings::from_argv(argv);
    said.extend(settings::from_env(env, form));
    let file = settings::value_of(&said, form.file_setting.as_deref()?, form)?;
    Some(work_dir.as_deref().unwrap_or(Path::new("/")).join(file))
}

fn changed(file: &FileRewrite) -> String {
    format!("{} was changed since the plan was made: it was left as it is", file.path)
}
