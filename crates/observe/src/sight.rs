//! What a host shows of one node: its system, the process, the file that a restart would execute.
//!
//! This machine is read directly. Another host tells all of it in one answer, since each question there is a round trip.
//! Read next: `sight.sh`, which gathers it on the host.

use crate::{
    host,
    memory::{FileStamp, NodeMemory},
    process::find::{self, Found},
};
use jiff::Timestamp;
use quorate_model::{Host, Node, ServiceSpec};
use quorate_packs::ProcessForm;
use quorate_transport::{Answer, Command, Transport};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

/// A look reads a few files of `/proc`; a host that needs longer is not well enough to act on.
const LOOK_LIMIT: Duration = Duration::from_secs(15);
/// Words that the kernel adds to the name of an executable that is gone.
const GONE: &str = " (deleted)";

/// What a host shows.
#[derive(Debug, Default)]
pub(crate) struct Sight {
    /// The operating system, when it was asked.
    pub(crate) os: Option<String>,
    /// The node's process.
    pub(crate) process: Option<Found>,
    /// It is not the one of the look before.
    pub(crate) fresh: bool,
    /// The file that runs is not the one that a restart would execute.
    pub(crate) replaced: bool,
    /// The file that a restart would execute.
    pub(crate) stamp: Option<FileStamp>,
    /// Why the host showed nothing.
    pub(crate) dark: Option<String>,
}

/// What a look at a host is for.
pub(crate) struct Looking<'a> {
    pub(crate) node: &'a Node,
    pub(crate) transport: &'a dyn Transport,
    pub(crate) form: &'a ProcessForm,
    pub(crate) full: bool,
}

impl Looking<'_> {
    /// Looks. `is_own` says of a process that was found by its name whether it is this node's.
    pub(crate) async fn look(
        &self,
        memory: &NodeMemory,
        is_own: impl Fn(&Found) -> bool + Send + Sync,
    ) -> Sight {
        match self.node.host {
            Host::Local => self.here(memory, is_own).await,
            Host::Ssh(_) => self.there(memory, is_own).await,
        }
    }

    fn declared_binary(&self) -> Option<PathBuf> {
        self.node.service.as_ref().and_then(ServiceSpec::binary)
    }

    async fn here(&self, memory: &NodeMemory, is_own: impl Fn(&Found) -> bool) -> Sight {
        let os = match &memory.os {
            Some(known) => Some(known.clone()),
            None => host::operating_system(self.transport).await,
        };
        let known = memory.process.clone().filter(Found::still_runs);
        let fresh = known.is_none();
        let process = match known {
            Some(found) => Some(found),
            None => self.find_here(is_own).await,
        };
        let live = match &process {
            Some(found) => Some(found.live_binary(self.declared_binary().as_deref())),
            None => self.declared_binary(),
        };
        let replaced =
            process.as_ref().zip(live.as_deref()).is_some_and(|(found, live)| found.replaced(live));
        let stamp = live.and_then(|live| FileStamp::of(&live));
        Sight { os, process, fresh, replaced, stamp, dark: None }
    }

    /// By the pid file or the unit when one is declared; in a full look, or without either, by what runs on this machine.
    async fn find_here(&self, is_own: impl Fn(&Found) -> bool) -> Option<Found> {
        match &self.node.service {
            Some(ServiceSpec::Process(process)) => {
                let content = self.transport.read(&process.pid_file).await.done();
                let text = content.unwrap_or_default();
                let found = find::by_pid_file(&String::from_utf8_lossy(&text), self.form);
                if found.is_some() || !self.full {
                    // A member that was stopped has no process: looking through all at every gate would find nothing.
                    return found;
                }
            }
            Some(ServiceSpec::Systemd(unit)) => {
                let words = ["systemctl", "show", "-p", "MainPID", "--value", "--", &unit.unit];
                let said = self.transport.run(&Command::new(words), LOOK_LIMIT).await.done();
                let pid = said.and_then(|said| said.text().trim().parse().ok());
                let found = pid.filter(|pid| *pid != 0).and_then(Found::read);
                if found.is_some() || !self.full {
                    return found;
                }
            }
            None => {}
        }
        find::scan(self.form).into_iter().find(is_own)
    }

    async fn there(&self, memory: &NodeMemory, is_own: impl Fn(&Found) -> bool) -> Sight {
        let known = memory.process.as_ref();
        let text = |path: &Path| path.display().to_string();
        let (pid_file, unit) = match &self.node.service {
            Some(ServiceSpec::Process(process)) => (text(&process.pid_file), String::new()),
            Some(ServiceSpec::Systemd(unit)) => (String::new(), unit.unit.clone()),
            None => (String::new(), String::new()),
        };
        let live = self
            .declared_binary()
            .or_else(|| known.map(|found| found.live_binary(None)))
            .unwrap_or_default();
        let words = [
            known.map(|found| found.pid.to_string()).unwrap_or_default(),
            known.map(|found| found.start_ticks.to_string()).unwrap_or_default(),
            pid_file.clone(),
            unit.clone(),
            text(&live),
            if self.full { "all" } else { "named" }.to_owned(),
        ];
        let fixed = ["sh", "-c", include_str!("sight.sh"), "quorate"].map(str::to_owned);
        let names = self.form.names.iter().cloned();
        let mut command = Command::new(fixed.into_iter().chain(words).chain(names));
        command.clean_env = true;
        let said = match self.transport.run(&command, LOOK_LIMIT).await {
            Answer::Done(output) if output.ok() => output.text(),
            Answer::Done(output) => {
                return Sight { dark: Some(output.complaint()), ..Sight::default() };
            }
            Answer::Failed(because) | Answer::Unknown(because) => {
                return Sight { dark: Some(because), ..Sight::default() };
            }
        };
        let told = Told::read(&said);
        let by_name = pid_file.is_empty() && unit.is_empty();
        told.sight(known, &live, by_name, self.form, is_own)
    }
}

/// A process with the identity of the file that it runs.
struct Candidate {
    found: Found,
    identity: String,
}

/// What `sight.sh` told.
#[derive(Default)]
struct Told {
    os: Option<String>,
    boot_secs: i64,
    ticks_per_sec: u64,
    /// Identity, size and time of change of the live file.
    live: Option<(String, u64, String)>,
    /// The process of the look before runs; the identity of its file.
    known: Option<String>,
    processes: Vec<Candidate>,
}

impl Told {
    fn read(text: &str) -> Self {
        let mut told = Self { ticks_per_sec: 100, ..Self::default() };
        for line in text.lines() {
            let (key, rest) = line.split_once(' ').unwrap_or((line, ""));
            match key {
                "btime" => told.boot_secs = rest.parse().unwrap_or(0),
                "tick" => told.ticks_per_sec = rest.parse().unwrap_or(100).max(1),
                "live" => {
                    let words: Vec<&str> = rest.split_whitespace().collect();
                    if let [identity, size, changed] = words.as_slice() {
                        let size = size.parse().unwrap_or(0);
                        told.live = Some(((*identity).to_owned(), size, (*changed).to_owned()));
                    }
                }
                "known" => {
                    told.known = Some(rest.split_whitespace().nth(1).unwrap_or("").to_owned());
                }
                "os" => told.os = host::named(&String::from_utf8_lossy(&bytes(rest))),
                "process" => told.processes.extend(told.candidate(rest)),
                _ => {}
            }
        }
        told
    }

    fn candidate(&self, line: &str) -> Option<Candidate> {
        let parts: Vec<&str> = line.split('|').collect();
        let [pid, start, exe, identity, words, variables, folder] = parts.as_slice() else {
            return None;
        };
        let start_ticks: u64 = start.parse().ok()?;
        let millis = self.boot_secs.checked_mul(1000)?.checked_add(
            i64::try_from(start_ticks.checked_mul(1000)?.checked_div(self.ticks_per_sec)?).ok()?,
        )?;
        let exe = lossy(&bytes(exe));
        let env: BTreeMap<String, String> = strings(&bytes(variables))
            .into_iter()
            .filter_map(|pair| pair.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())))
            .collect();
        let folder = lossy(&bytes(folder));
        Some(Candidate {
            found: Found {
                pid: pid.parse().ok()?,
                start_ticks,
                started_at: Timestamp::from_millisecond(millis).ok(),
                argv: strings(&bytes(words)),
                env,
                work_dir: Some(PathBuf::from(folder)).filter(|path| path.is_absolute()),
                exe_gone: exe.ends_with(GONE),
                exe: PathBuf::from(exe.strip_suffix(GONE).unwrap_or(&exe)),
            },
            identity: (*identity).to_owned(),
        })
    }

    fn sight(
        self,
        known: Option<&Found>,
        live: &Path,
        by_name: bool,
        form: &ProcessForm,
        is_own: impl Fn(&Found) -> bool,
    ) -> Sight {
        let fresh = self.known.is_none();
        let chosen = match (&self.known, known) {
            (Some(identity), Some(found)) => Some((found.clone(), identity.clone())),
            _ => {
                let own = |at: usize, one: &Candidate| {
                    // The first one is what the pid file or the unit names.
                    (at == 0 && !by_name && find::is_product(&one.found, form))
                        || is_own(&one.found)
                };
                self.processes
                    .into_iter()
                    .enumerate()
                    .find(|(at, one)| own(*at, one))
                    .map(|(_, one)| (one.found, one.identity))
            }
        };
        let replaced = chosen.as_ref().is_some_and(|(found, running)| match &self.live {
            Some((disk, _, _)) if !running.is_empty() => running != disk,
            Some(_) => found.exe_gone,
            // Nobody declared the file, so what was executed is compared with its own name.
            None => live.as_os_str().is_empty() && found.exe_gone || !live.as_os_str().is_empty(),
        });
        let stamp = self.live.map(|(identity, size, changed)| FileStamp {
            path: live.to_owned(),
            print: format!("{identity} {size} {changed}"),
        });
        let process = chosen.map(|(found, _)| found);
        Sight { os: self.os, process, fresh, replaced, stamp, dark: None }
    }
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    hex::decode(hexadecimal.trim()).unwrap_or_default()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\n').to_owned()
}

/// Texts that end in a zero byte each, as the kernel gives them.
fn strings(bytes: &[u8]) -> Vec<String> {
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}
