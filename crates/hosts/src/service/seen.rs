//! Decides from what a host told whether a service runs, and as which process. Pure, so that every odd case is a test.
//!
//! Invariant: a process counts as the service only when its recorded identity (pid, start time, boot) matches, or when
//! its arguments, program, environment and folder all match the declaration. A pid alone proves nothing.

use jiff::Timestamp;
use quorate_model::ServiceSpec;
use std::collections::BTreeMap;

/// What `look.sh` told.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    boot: String,
    booted_at_secs: i64,
    ticks_per_sec: i64,
    pid: Option<u32>,
    record: Option<Record>,
    real: String,
    folder: String,
    head: Vec<u8>,
    processes: Vec<Process>,
}

/// The identity that the service noted when it started.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    pid: u32,
    start: u64,
    boot: String,
}

/// One process, as `/proc` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    pid: u32,
    state: String,
    start: u64,
    exe: String,
    words: Vec<String>,
    variables: Vec<String>,
    folder: String,
}

/// A process that is proved to be the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Process id.
    pub(super) pid: u32,
    /// Start time in clock ticks since boot: with the pid, an identity that is never given twice.
    pub(super) start: u64,
    /// The same for people.
    pub(super) started: Timestamp,
}

/// What the host's facts say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Running(Found),
    Stopped,
    Ambiguous(Vec<u32>),
}

/// Reads what `look.sh` printed; a line it cannot read is a reason to know nothing.
pub(super) fn read(text: &str) -> Result<Seen, String> {
    let mut seen = Seen { ticks_per_sec: 100, ..Seen::default() };
    for line in text.lines() {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        let value = value.trim_end();
        let unreadable = || format!("cannot read the line `{line}` about the service");
        match key {
            "boot" => value.clone_into(&mut seen.boot),
            "btime" => seen.booted_at_secs = value.parse().map_err(|_| unreadable())?,
            "tick" => seen.ticks_per_sec = value.parse::<i64>().map_err(|_| unreadable())?.max(1),
            "pid" => seen.pid = value.parse().ok(),
            "record" => seen.record = record(value),
            "real" => seen.real = one_line(value).ok_or_else(unreadable)?,
            "folder" => seen.folder = one_line(value).ok_or_else(unreadable)?,
            "head" => seen.head = hex::decode(value).map_err(|_| unreadable())?,
            // A process that ends while it is looked at leaves half a line: it is gone, not unreadable.
            "process" => seen.processes.extend(process(value)),
            _ => return Err(unreadable()),
        }
    }
    if seen.boot.is_empty() {
        return Err("the host did not tell its boot id".to_owned());
    }
    Ok(seen)
}

fn record(value: &str) -> Option<Record> {
    let mut words = value.split_whitespace();
    Some(Record {
        pid: words.next()?.parse().ok()?,
        start: words.next()?.parse().ok()?,
        boot: words.next()?.to_owned(),
    })
}

fn process(value: &str) -> Option<Process> {
    let parts: Vec<&str> = value.split('|').collect();
    let [pid, stat, exe, words, variables, folder] = parts.as_slice() else { return None };
    let stat: Vec<&str> = stat.split_whitespace().collect();
    Some(Process {
        pid: pid.parse().ok()?,
        state: (*stat.first()?).to_owned(),
        // Field 22 of /proc/PID/stat; the text here begins at field 3.
        start: stat.get(19)?.parse().ok()?,
        exe: one_line(exe)?,
        words: zero_ended(words)?,
        variables: zero_ended(variables)?,
        folder: one_line(folder)?,
    })
}

fn one_line(hexadecimal: &str) -> Option<String> {
    let bytes = hex::decode(hexadecimal).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned())
}

fn zero_ended(hexadecimal: &str) -> Option<Vec<String>> {
    let bytes = hex::decode(hexadecimal).ok()?;
    let Some(body) = bytes.strip_suffix(&[0]) else { return Some(Vec::new()) };
    Some(body.split(|b| *b == 0).map(|w| String::from_utf8_lossy(w).into_owned()).collect())
}

/// Decides whether the declared service runs.
pub(super) fn verdict(seen: &Seen, spec: &ServiceSpec) -> Verdict {
    let live = || seen.processes.iter().filter(|p| !matches!(p.state.as_str(), "Z" | "X" | "x"));
    let recorded = seen.record.as_ref().filter(|record| record.boot == seen.boot);
    let noted = live()
        .find(|p| recorded.is_some_and(|record| record.pid == p.pid && record.start == p.start));
    if let Some(process) = noted {
        return Verdict::Running(found(seen, process));
    }
    let look_alikes: Vec<&Process> = live().filter(|p| looks_like(seen, p, spec)).collect();
    let by_pid_file = look_alikes.iter().find(|p| Some(p.pid) == seen.pid);
    match (by_pid_file, look_alikes.as_slice()) {
        (Some(process), _) => Verdict::Running(found(seen, process)),
        (None, []) => Verdict::Stopped,
        (None, [process]) => Verdict::Running(found(seen, process)),
        (None, several) => Verdict::Ambiguous(several.iter().map(|p| p.pid).collect()),
    }
}

fn found(seen: &Seen, process: &Process) -> Found {
    let ticks = i64::try_from(process.start).unwrap_or(i64::MAX);
    let millis = ticks.saturating_mul(1000) / seen.ticks_per_sec;
    let at = seen.booted_at_secs.saturating_mul(1000).saturating_add(millis);
    let started = Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH);
    Found { pid: process.pid, start: process.start, started }
}

fn looks_like(seen: &Seen, process: &Process, spec: &ServiceSpec) -> bool {
    let ServiceSpec::Process { argv, env, work_dir, .. } = spec;
    let Some(binary) = argv.first() else { return false };
    let interpreter = interpreter(&seen.head);
    let expected: Vec<&String> = interpreter.iter().chain(argv).collect();
    let same_words = process.words.iter().eq(expected);
    let same_folder = work_dir.is_none() || process.folder == seen.folder;
    let same_program = !interpreter.is_empty() || same_program(&process.exe, binary, &seen.real);
    same_words && same_folder && same_program && same_env(&process.variables, env)
}

/// The words that the kernel puts before a script's own: its `#!` line. `env` replaces itself by the word after it.
fn interpreter(head: &[u8]) -> Vec<String> {
    let Some(rest) = head.strip_prefix(b"#!") else { return Vec::new() };
    let line = rest.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line).trim().to_owned();
    let (program, argument) = line.split_once(char::is_whitespace).unwrap_or((&line, ""));
    let argument = Some(argument.trim().to_owned()).filter(|a| !a.is_empty());
    if program.ends_with("/env") {
        return argument.into_iter().collect();
    }
    std::iter::once(program.to_owned()).chain(argument).collect()
}

/// The program's file may have been renamed or replaced since the start; its name still begins with the live name.
fn same_program(exe: &str, binary: &str, real: &str) -> bool {
    let exe = exe.strip_suffix(" (deleted)").unwrap_or(exe);
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let starts = |path: &str| !name(path).is_empty() && name(exe).starts_with(&name(path));
    exe == real || starts(binary) || starts(real)
}

fn same_env(variables: &[String], env: &BTreeMap<String, String>) -> bool {
    env.iter().all(|(key, value)| {
        variables.iter().any(|v| v.split_once('=') == Some((key.as_str(), value.as_str())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{path::PathBuf, time::Duration};

    const BOOT: &str = "8ea23ebc-84cf-4d47-bf44-011ff41464b1";

    fn spec(argv: &[&str]) -> ServiceSpec {
        ServiceSpec::Process {
            argv: argv.iter().map(|w| (*w).to_owned()).collect(),
            env: BTreeMap::from([("MEMBER".to_owned(), "one".to_owned())]),
            pid_file: PathBuf::from("/x/pid"),
            log_file: PathBuf::from("/x/log"),
            work_dir: None,
            grace: Duration::from_secs(1),
        }
    }

    fn line(pid: u32, state: &str, start: u64, exe: &str, words: &[&str], env: &[&str]) -> String {
        let zeros = |all: &[&str]| {
            hex::encode(all.iter().flat_map(|w| w.bytes().chain([0])).collect::<Vec<u8>>())
        };
        let stat = format!("{state} {}{start} 0", "1 ".repeat(18));
        let exe = hex::encode(format!("{exe}\n"));
        format!("process {pid}|{stat}|{exe}|{}|{}|{}", zeros(words), zeros(env), hex::encode("/\n"))
    }

    fn look(pid: &str, record: &str, head: &str, processes: &[String]) -> Seen {
        let text = format!(
            "boot {BOOT}\nbtime 1700000000\ntick 100\npid {pid}\nrecord {record}\nreal {}\nhead {}\n{}",
            hex::encode("/x/bin/etcd"),
            hex::encode(head),
            processes.join("\n"),
        );
        read(&text).unwrap()
    }

    fn pid_of(verdict: Verdict) -> Option<u32> {
        match verdict {
            Verdict::Running(found) => Some(found.pid),
            Verdict::Stopped => None,
            Verdict::Ambiguous(pids) => panic!("ambiguous: {pids:?}"),
        }
    }

    const ARGV: [&str; 2] = ["/x/bin/etcd", "--name=a"];
    const ENV: [&str; 2] = ["PATH=/bin", "MEMBER=one"];

    #[test]
    fn a_recorded_identity_is_the_service_whatever_its_words_became() {
        let renamed = line(7, "S", 500, "/x/bin/etcd (deleted)", &["etcd: serving"], &[]);
        let seen = look("7", &format!("7 500 {BOOT}"), "\u{7f}ELF", &[renamed]);
        let Verdict::Running(found) = verdict(&seen, &spec(&ARGV)) else { panic!("not found") };
        assert_eq!((found.pid, found.start), (7, 500));
        assert_eq!(found.started.to_string(), "2023-11-14T22:13:25Z");
    }

    #[test]
    fn a_pid_given_to_another_program_is_not_the_service() {
        let stranger = line(7, "S", 900, "/usr/bin/vim", &["vim", "/x/bin/etcd"], &ENV);
        let seen = look("7", &format!("7 500 {BOOT}"), "\u{7f}ELF", &[stranger]);
        assert_eq!(verdict(&seen, &spec(&ARGV)), Verdict::Stopped);
    }

    #[test]
    fn the_same_pid_and_start_of_an_earlier_boot_prove_nothing() {
        let stranger = line(7, "S", 500, "/usr/bin/vim", &["vim"], &ENV);
        let seen = look("7", "7 500 00000000-0000-0000-0000-000000000000", "", &[stranger]);
        assert_eq!(verdict(&seen, &spec(&ARGV)), Verdict::Stopped);
    }

    #[test]
    fn a_zombie_is_stopped() {
        let zombie = line(7, "Z", 500, "", &[], &[]);
        let seen = look("7", &format!("7 500 {BOOT}"), "\u{7f}ELF", &[zombie]);
        assert_eq!(verdict(&seen, &spec(&ARGV)), Verdict::Stopped);
    }

    #[test]
    fn without_a_pid_file_words_program_and_environment_must_match() {
        let own = line(8, "S", 500, "/x/bin/etcd", &ARGV, &ENV);
        let sibling = line(9, "S", 500, "/x/bin/etcd", &ARGV, &["MEMBER=two"]);
        let other_program = line(10, "S", 500, "/x/bin/proxy", &ARGV, &ENV);
        let seen = look("", "", "\u{7f}ELF", &[own, sibling.clone(), other_program.clone()]);
        assert_eq!(pid_of(verdict(&seen, &spec(&ARGV))), Some(8));
        let seen = look("", "", "\u{7f}ELF", &[sibling, other_program]);
        assert_eq!(pid_of(verdict(&seen, &spec(&ARGV))), None);
    }

    #[test]
    fn two_that_look_alike_are_told_not_chosen() {
        let both = [8, 9].map(|pid| line(pid, "S", 500, "/x/bin/etcd", &ARGV, &ENV));
        let seen = look("", "", "\u{7f}ELF", &both);
        assert_eq!(verdict(&seen, &spec(&ARGV)), Verdict::Ambiguous(vec![8, 9]));
    }

    #[test]
    fn a_script_is_known_by_its_interpreter_line() {
        for (head, prefix) in [
            ("#!/bin/sh\n", vec!["/bin/sh"]),
            ("#!/bin/sh -e\n", vec!["/bin/sh", "-e"]),
            ("#!/usr/bin/env bash\n", vec!["bash"]),
        ] {
            let words: Vec<&str> = prefix.into_iter().chain(ARGV).collect();
            let seen = look("", "", head, &[line(8, "S", 5, "/usr/bin/dash", &words, &ENV)]);
            assert_eq!(pid_of(verdict(&seen, &spec(&ARGV))), Some(8), "{head}");
        }
        let editor = line(8, "S", 5, "/usr/bin/vim", &["vim", "/x/bin/etcd", "--name=a"], &ENV);
        assert_eq!(pid_of(verdict(&look("", "", "#!/bin/sh\n", &[editor]), &spec(&ARGV))), None);
    }

    #[test]
    fn a_swapped_file_does_not_hide_the_process() {
        let old = line(8, "S", 500, "/x/bin/etcd (deleted)", &ARGV, &ENV);
        assert_eq!(pid_of(verdict(&look("", "", "\u{7f}ELF", &[old]), &spec(&ARGV))), Some(8));
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        assert!(read("boot x\nbtime soon").is_err());
        assert!(read("surprise").is_err());
        assert!(read("").is_err());
    }
}
