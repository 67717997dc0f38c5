//! Finds a process on this machine, by its pid file or by the name of its binary, and reads what it was started with.

use jiff::Timestamp;
use procfs::process::Process;
use quorate_model::ProcessSeen;
use quorate_packs::ProcessForm;
use std::{
    collections::BTreeMap,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// A process as it stands, secrets included: for use, not for show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Process id.
    pub pid: u32,
    /// Start, in clock ticks since boot: with the pid it names one process for ever.
    pub start_ticks: u64,
    /// Start.
    pub started_at: Option<Timestamp>,
    /// Arguments, the binary first.
    pub argv: Vec<String>,
    /// All of its environment.
    pub env: BTreeMap<String, String>,
    /// Its working folder.
    pub work_dir: Option<PathBuf>,
    /// The file that was executed, under the name that it has now.
    pub exe: PathBuf,
    /// True when the kernel says that this file is gone.
    pub exe_gone: bool,
}

/// Words that the kernel adds to the name of an executable that is gone.
const GONE: &str = " (deleted)";

impl Found {
    /// Reads one process, when it still runs and may be read.
    pub fn read(pid: u32) -> Option<Self> {
        let process = Process::new(i32::try_from(pid).ok()?).ok()?;
        let stat = process.stat().ok()?;
        if matches!(stat.state, 'Z' | 'X' | 'x') {
            return None;
        }
        let argv = process.cmdline().ok().filter(|argv| !argv.is_empty())?;
        let shown = process.exe().ok()?;
        let text = shown.to_string_lossy();
        let exe_gone = text.ends_with(GONE);
        let exe = PathBuf::from(text.strip_suffix(GONE).unwrap_or(&text));
        let env = process.environ().unwrap_or_default();
        let env = env
            .into_iter()
            .map(|(key, value)| {
                (key.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
            })
            .collect();
        Some(Self {
            pid,
            start_ticks: stat.starttime,
            started_at: start_time(stat.starttime),
            argv,
            env,
            work_dir: process.cwd().ok(),
            exe,
            exe_gone,
        })
    }

    /// Whether the process that was read still runs: same id, same start.
    pub fn still_runs(&self) -> bool {
        stat_of(self.pid).is_some_and(|(start, alive)| alive && start == self.start_ticks)
    }

    /// The file that a restart would execute: the declared binary, else the first argument, else what was executed.
    pub fn live_binary(&self, declared: Option<&Path>) -> PathBuf {
        let first = self.argv.first().map(PathBuf::from).filter(|path| path.is_absolute());
        declared.map(Path::to_owned).or(first).unwrap_or_else(|| self.exe.clone())
    }

    /// As a look shows it. `live` is the file that a restart would execute; whether another one runs was seen on the host.
    pub fn seen(&self, live: &Path, replaced: bool, argv: Vec<String>) -> ProcessSeen {
        ProcessSeen {
            pid: self.pid,
            started_at: self.started_at,
            argv,
            binary: live.to_owned(),
            binary_replaced: replaced,
        }
    }

    /// True when the file that runs is not the one that a restart would execute.
    pub(crate) fn replaced(&self, live: &Path) -> bool {
        let identity = |path: &Path| std::fs::metadata(path).ok().map(|m| (m.dev(), m.ino()));
        let running = identity(Path::new(&format!("/proc/{}/exe", self.pid)));
        match (running, identity(live)) {
            (Some(running), Some(disk)) => running != disk,
            (_, None) => true,
            (None, Some(_)) => self.exe_gone,
        }
    }
}

fn stat_of(pid: u32) -> Option<(u64, bool)> {
    let stat = Process::new(i32::try_from(pid).ok()?).ok()?.stat().ok()?;
    Some((stat.starttime, !matches!(stat.state, 'Z' | 'X' | 'x')))
}

fn start_time(ticks: u64) -> Option<Timestamp> {
    let millis = ticks.checked_mul(1000)?.checked_div(procfs::ticks_per_second())?;
    let boot = procfs::boot_time_secs().ok()?.checked_mul(1000)?;
    Timestamp::from_millisecond(i64::try_from(boot.checked_add(millis)?).ok()?).ok()
}

/// The process that a pid file names, when it runs one of the product's binaries.
pub fn by_pid_file(text: &str, form: &ProcessForm) -> Option<Found> {
    let pid = text.trim().parse().ok()?;
    Found::read(pid).filter(|found| is_product(found, form))
}

/// All processes of the product on this machine that may be read.
pub fn scan(form: &ProcessForm) -> Vec<Found> {
    let Ok(processes) = procfs::process::all_processes() else { return Vec::new() };
    let mut found: Vec<Found> = processes
        .filter_map(Result::ok)
        .filter(|process| {
            // The kernel's short name is cheap to read and rules nearly every process out.
            process
                .stat()
                .is_ok_and(|stat| form.names.iter().any(|name| short_name_fits(&stat.comm, name)))
        })
        .filter_map(|process| Found::read(u32::try_from(process.pid()).ok()?))
        .filter(|found| is_product(found, form))
        .collect();
    found.sort_by_key(|found| found.pid);
    found
}

/// The kernel keeps 15 bytes of a name; a versioned file name begins with the product's.
fn short_name_fits(comm: &str, name: &str) -> bool {
    comm.starts_with(name.get(..15).unwrap_or(name))
}

pub(crate) fn is_product(found: &Found, form: &ProcessForm) -> bool {
    let named = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        name.is_some_and(|name| form.names.iter().any(|known| is_binary_name(&name, known)))
    };
    named(&found.exe) || found.argv.first().is_some_and(|first| named(Path::new(first)))
}

/// `etcd`, and `etcd-3.4.23` or `etcd.3.4.23` that a swap kept; not `etcdctl`.
fn is_binary_name(name: &str, known: &str) -> bool {
    name.strip_prefix(known).is_some_and(|rest| {
        let mut letters = rest.chars();
        match letters.next() {
            None => true,
            Some('-' | '.' | '_' | '@') => {
                letters.next().is_some_and(|c| c.is_ascii_digit() || c == 'v')
            }
            Some(_) => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read, Write},
        process::{Child, Command, Stdio},
    };

    fn form(name: &str) -> ProcessForm {
        ProcessForm {
            names: vec![name.into()],
            env_prefix: None,
            file_setting: None,
            data_setting: None,
            more_data_settings: Vec::new(),
            peer_setting: None,
            name_setting: None,
            own_settings: Vec::new(),
            secret_settings: Vec::new(),
        }
    }

    #[test]
    fn knows_a_binary_by_its_name() {
        for name in ["etcd", "etcd-3.4.23", "etcd.3.4.23", "etcd-v3.5.0"] {
            assert!(is_binary_name(name, "etcd"), "{name}");
        }
        for name in ["etcdctl", "etcd-exporter", "myetcd", ""] {
            assert!(!is_binary_name(name, "etcd"), "{name}");
        }
    }

    /// A `cat` that has answered once, so that it certainly runs its own program.
    fn running_cat(binary: &Path) -> Child {
        let mut command = Command::new(binary);
        command.arg("-u").env("Q_X", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        child
    }

    fn end(mut child: Child) {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn reads_a_process_and_notices_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let binary = folder.path().join("cat");
        std::fs::copy("/bin/cat", &binary).unwrap();
        let child = running_cat(&binary);
        let pid = child.id();
        let found = Found::read(pid).unwrap();
        let listed = scan(&form("cat")).iter().any(|one| one.pid == pid);
        let named = by_pid_file(&format!("{pid}\n"), &form("cat")).is_some();
        let other = by_pid_file(&pid.to_string(), &form("etcd"));
        let ran = found.still_runs();
        end(child);
        assert_eq!(found.argv, [binary.to_string_lossy().into_owned(), "-u".into()]);
        assert_eq!(found.env.get("Q_X").map(String::as_str), Some("1"));
        assert_eq!(found.exe, binary);
        assert!(found.started_at.is_some() && ran && listed && named);
        assert!(other.is_none(), "a pid file that names a foreign process names nothing");
        assert!(!found.still_runs() && Found::read(pid).is_none());
    }

    #[test]
    fn sees_that_the_binary_was_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let live = folder.path().join("cat");
        std::fs::copy("/bin/cat", &live).unwrap();
        let child = running_cat(&live);
        let found = Found::read(child.id()).unwrap();
        let before = found.replaced(&live);
        std::fs::rename(&live, folder.path().join("cat-1.0")).unwrap();
        let moved = found.replaced(&live);
        std::fs::copy("/bin/true", &live).unwrap();
        let after = found.replaced(&live);
        end(child);
        assert_eq!((before, moved, after), (false, true, true));
    }
}
