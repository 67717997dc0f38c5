//! What a member is started with: a process by its declaration, a unit by what systemd started it with last.
//!
//! Invariant: what is read on a host may hold secrets; it is given to the staged binary there and kept nowhere.

use super::live::LiveHands;
use quorate_model::{NodeName, ProcessSpec, ServiceSpec};
use quorate_transport::{Command, Transport};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

/// systemd and `/proc` answer at once.
const LOOK_LIMIT: Duration = Duration::from_secs(10);

/// The words and variables of a start.
pub(super) struct StartedWith {
    /// The binary and its arguments.
    pub(super) argv: Vec<String>,
    /// Variables; of a unit those of the product alone.
    pub(super) env: BTreeMap<String, String>,
    /// Where relative paths begin.
    pub(super) work_dir: Option<PathBuf>,
}

impl From<&ProcessSpec> for StartedWith {
    fn from(spec: &ProcessSpec) -> Self {
        Self { argv: spec.argv.clone(), env: spec.env.clone(), work_dir: spec.work_dir.clone() }
    }
}

impl LiveHands {
    /// None for a unit that is down, or whose own words a hop up to this one changes: the pack's rules alone judge those.
    pub(super) async fn started_with(
        &self,
        node: &NodeName,
        at: usize,
        spec: &ServiceSpec,
    ) -> Result<Option<StartedWith>, String> {
        let unit = match spec {
            ServiceSpec::Process(process) => return Ok(Some(process.into())),
            ServiceSpec::Systemd(unit) => &unit.unit,
        };
        let Some(transport) = self.transport(node) else {
            return Err(format!("there is no way to {node}"));
        };
        let words = ["systemctl", "show", "-p", "MainPID", "--value", "--", unit];
        let said = transport.run(&Command::new(words), LOOK_LIMIT).await.into_result()?.text();
        let Some(pid) = said.trim().parse::<u32>().ok().filter(|pid| *pid != 0) else {
            return Ok(None);
        };
        let started = self.read_process(transport.as_ref(), pid).await?;
        let file = super::files::config_path(&self.parts.pack, &started);
        let changed = self.rewrites_of(node, at.saturating_add(1));
        let own_words = |path: &str| file.as_deref() != Some(Path::new(path));
        Ok((!changed.iter().any(|file| own_words(&file.path))).then_some(started))
    }

    async fn read_process(
        &self,
        transport: &dyn Transport,
        pid: u32,
    ) -> Result<StartedWith, String> {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let argv = transport.read(&folder.join("cmdline")).await.into_result()?;
        let env = transport.read(&folder.join("environ")).await.into_result()?;
        let link = folder.join("cwd").display().to_string();
        let asked = Command::new(["readlink", "--", &link]);
        let work_dir = transport.run(&asked, LOOK_LIMIT).await.into_result()?.text();
        let form = self.parts.pack.detect.as_ref().map(|detect| &detect.process);
        let prefix = form.and_then(|form| form.env_prefix.as_deref()).unwrap_or_default();
        let own = |word: String| {
            let (key, value) = word.split_once('=')?;
            let is_own = !prefix.is_empty() && key.starts_with(prefix);
            is_own.then(|| (key.to_owned(), value.to_owned()))
        };
        Ok(StartedWith {
            argv: words(&argv).collect(),
            env: words(&env).filter_map(own).collect(),
            work_dir: Some(PathBuf::from(work_dir.trim_end_matches('\n'))),
        })
    }
}

/// Texts that end in a zero byte each, as the kernel gives them.
fn words(bytes: &[u8]) -> impl Iterator<Item = String> + '_ {
    let words = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    words.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned())
}
