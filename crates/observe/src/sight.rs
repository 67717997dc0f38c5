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
use tokio::sync::Notify;

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
    /// Tells that the product is silent: then a host over SSH may take so long more, the way to it included. Without it the
    /// host's own limits count.
    pub(crate) silent: Option<(&'a Notify, Duration)>,
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
            pid_file,
            unit,
            text(&live),
            if self.full { "all" } else { "named" }.to_owned(),
        ];
        let asked = ask(self.transport, words, &self.form.names);
        let said = match self.silent {
            None => asked.await,
            Some((silent, limit)) => tokio::select! {
                said = asked => said,
                () = async { silent.notified().await; tokio::time::sleep(limit).await } => {
                    Err(format!("no answer within {} s", limit.as_secs()))
                }
            },
        };
        match said {
            Ok(told) => told.sight(known, &live, self.form, is_own),
            Err(because) => Sight { dark: Some(because), ..Sight::default() },
        }
    }
}

/// Runs `sight.sh` with these parameters. The error is a sentence.
async fn ask(
    transport: &dyn Transport,
    words: [String; 6],
    names: &[String],
) -> Result<Told, String> {
    let fixed = ["sh", "-c", include_str!("sight.sh"), "quorate"].map(str::to_owned);
    let names = names.iter().cloned();
    let mut command = Command::new(fixed.into_iter().chain(words).chain(names));
    command.clean_env = true;
    match transport.run(&command, LOOK_LIMIT).await {
        Answer::Done(output) if output.ok() => Ok(Told::read(&output.text())),
        Answer::Done(output) => Err(output.complaint()),
        Answer::Failed(because) | Answer::Unknown(because) => Err(because),
    }
}

/// Every process of a host whose binary has one of these names. The error is a sentence.
pub(crate) async fn processes(
    transport: &dyn Transport,
    names: &[String],
) -> Result<Vec<Found>, String> {
    let nothing = String::new;
    let words = [nothing(), nothing(), nothing(), nothing(), nothing(), "all".to_owned()];
    let told = ask(transport, words, names).await?;
    Ok(told.processes.into_iter().map(|one| one.found).collect())
}

/// A process with the identity of the file that it runs.
struct Candidate {
    found: Found,
    identity: String,
    /// The pid file or the unit names it; else it only has the product's name, as another member's process has.
    named: bool,
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
                "named" => told.processes.extend(told.candidate(rest, true)),
                "found" => told.processes.extend(told.candidate(rest, false)),
                _ => {}
            }
        }
        told
    }

    fn candidate(&self, line: &str, named: bool) -> Option<Candidate> {
        let parts: Vec<&str> = line.split('|').collect();
        let [pid, start, exe, identity, words, variables, folder] = parts.as_slice() else {
            return None;
        };
        let start_ticks: u64 = start.parse().ok()?;
        let millis = self.boot_secs.checked_mul(1000)?.checked_add(
            i64::try_from(start_ticks.checked_mul(1000)?.checked_div(self.ticks_per_sec)?).ok()?,
        )?;
        let exe = name(exe);
        let env: BTreeMap<String, String> = strings(&bytes(variables))
            .into_iter()
            .filter_map(|pair| pair.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())))
            .collect();
        let folder = name(folder);
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
            named,
        })
    }

    fn sight(
        self,
        known: Option<&Found>,
        live: &Path,
        form: &ProcessForm,
        is_own: impl Fn(&Found) -> bool,
    ) -> Sight {
        let fresh = self.known.is_none();
        let chosen = match (&self.known, known) {
            (Some(identity), Some(found)) => Some((found.clone(), identity.clone())),
            _ => {
                let own = |one: &Candidate| match one.named {
                    // A stale pid file may name a process of something else.
                    true => find::is_product(&one.found, form),
                    false => find::is_product(&one.found, form) && is_own(&one.found),
                };
                let found = self.processes.into_iter().find(own);
                found.map(|one| (one.found, one.identity))
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

/// A name as `sight.sh` tells it.
fn name(told: &str) -> String {
    told.strip_prefix('=').map_or_else(|| lossy(&bytes(told)), str::to_owned)
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

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::{ProcessSpec, SshHost};
    use quorate_transport::LocalTransport;
    use std::{
        io::{Read, Write},
        process::{Child, Stdio},
    };

    /// A `cat` of its own name that has answered once, so that it certainly runs its own program.
    fn running(binary: &Path) -> Child {
        std::fs::copy("/bin/cat", binary).unwrap();
        let mut command = std::process::Command::new(binary);
        command.arg("-u").env("Q_SIGHT", "a b").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        child
    }

    fn end(mut child: Child) {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn form() -> ProcessForm {
        ProcessForm {
            names: vec!["qsight".into()],
            env_prefix: None,
            file_setting: None,
            data_setting: None,
            more_data_settings: Vec::new(),
            peer_setting: None,
            name_setting: None,
            secret_settings: Vec::new(),
            own_settings: Vec::new(),
        }
    }

    fn node(folder: &Path) -> Node {
        let at = |name: &str| folder.join(name);
        Node {
            name: "a".into(),
            group: "server".into(),
            host: Host::Ssh(SshHost::new("a")),
            endpoints: BTreeMap::new(),
            data_dir: None,
            service: Some(ServiceSpec::Process(ProcessSpec {
                argv: vec![at("qsight").display().to_string()],
                env: BTreeMap::new(),
                pid_file: at("pid"),
                log_file: at("log"),
                work_dir: None,
                grace: Duration::from_secs(1),
            })),
        }
    }

    /// What the script tells of this machine stands for what it tells of another one.
    async fn seen(node: &Node, memory: &NodeMemory) -> Sight {
        let form = form();
        let looking =
            Looking { node, transport: &LocalTransport, form: &form, full: true, silent: None };
        looking.look(memory, |_| false).await
    }

    #[tokio::test]
    async fn the_process_that_the_pid_file_names_is_read_once() {
        let folder = tempfile::Builder::new().prefix("it's|ü").tempdir().unwrap();
        let live = folder.path().join("qsight");
        let child = running(&live);
        std::fs::write(folder.path().join("pid"), format!("{}\n", child.id())).unwrap();
        let node = node(folder.path());
        let first = seen(&node, &NodeMemory::default()).await;
        let memory = NodeMemory { process: first.process.clone(), ..NodeMemory::default() };
        let again = seen(&node, &memory).await;
        std::fs::rename(&live, folder.path().join("kept")).unwrap();
        std::fs::copy("/bin/true", &live).unwrap();
        let swapped = seen(&node, &memory).await;
        end(child);
        let gone = seen(&node, &memory).await;
        let found = first.process.unwrap();
        assert_eq!(found.argv, [live.display().to_string(), "-u".into()]);
        assert_eq!(found.exe, live);
        assert_eq!(found.env.get("Q_SIGHT").map(String::as_str), Some("a b"));
        assert!(found.started_at.is_some() && first.os.is_some() && first.dark.is_none());
        assert!(first.fresh && !first.replaced && !again.fresh && !again.replaced);
        assert_eq!(again.process, Some(found));
        assert!(swapped.replaced && swapped.stamp != first.stamp);
        assert!(gone.process.is_none());
    }

    #[tokio::test]
    async fn another_members_process_is_not_this_members() {
        let folder = tempfile::tempdir().unwrap();
        let child = running(&folder.path().join("qsight"));
        let node = node(folder.path());
        // No pid file: the process has only the product's name, and nothing says that it is this member's.
        let unnamed = seen(&node, &NodeMemory::default()).await;
        // A stale one that names something else.
        std::fs::write(folder.path().join("pid"), std::process::id().to_string()).unwrap();
        let stale = seen(&node, &NodeMemory::default()).await;
        end(child);
        assert!(unnamed.process.is_none() && unnamed.dark.is_none());
        assert!(stale.process.is_none());
    }
}
