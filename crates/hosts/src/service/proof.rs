//! Decides from what a host told whether a service runs, and as which process. Pure, so that every odd case is a test.
//!
//! Invariants: a process counts as the service only when it is proved: by its recorded identity (pid, start time, boot), by
//! the pid file and the program that it runs, or by program, words, variables and folder together. A pid alone proves
//! nothing. And a service counts as stopped only when no process may be it: what is neither is told, with the reason.
//! Read next: `likeness.rs`, how one process is compared.

use super::{
    likeness::{Declared, Likeness},
    seen::{Process, Seen},
};
use jiff::Timestamp;
use quorate_model::ProcessSpec;

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
    /// Several are like it in everything, and the pid file names none of them.
    Ambiguous(Vec<u32>),
    /// These may be it, for the reason given, and none is proved.
    Unproved(Vec<(u32, &'static str)>),
}

/// Decides whether the declared service runs.
pub(super) fn verdict(seen: &Seen, spec: &ProcessSpec) -> Verdict {
    let live = || seen.processes.iter().filter(|process| process.lives());
    let recorded = seen.record.as_ref().filter(|record| record.boot == seen.boot);
    let noted = live()
        .find(|p| recorded.is_some_and(|record| record.pid == p.pid && record.start == p.start));
    if let Some(process) = noted {
        return Verdict::Running(found(seen, process));
    }
    let Some(declared) = Declared::of(seen, spec) else { return Verdict::Stopped };
    // It was noted together with an identity that nobody has any more: whoever bears that number now was given it since.
    let stale = seen.record.as_ref().is_some_and(|record| Some(record.pid) == seen.pid);
    let named = |process: &Process| !stale && Some(process.pid) == seen.pid;
    let all: Vec<(&Process, Likeness)> =
        live().map(|p| (p, declared.likeness(p, named(p)))).collect();
    let whole: Vec<&Process> =
        all.iter().filter(|(_, like)| *like == Likeness::Whole).map(|(p, _)| *p).collect();
    let by_pid_file = all
        .iter()
        .find(|(p, like)| named(p) && matches!(like, Likeness::Whole | Likeness::Program))
        .map(|(p, _)| *p);
    match (by_pid_file, whole.as_slice()) {
        // The pid file names one that runs the program, its words name another: who wrote it cannot be asked.
        (Some(process), [other]) if process.pid != other.pid => {
            Verdict::Ambiguous(vec![process.pid, other.pid])
        }
        (Some(process), _) => Verdict::Running(found(seen, process)),
        (None, [process]) => Verdict::Running(found(seen, process)),
        (None, []) => unproved(&all),
        (None, several) => Verdict::Ambiguous(several.iter().map(|p| p.pid).collect()),
    }
}

fn unproved(all: &[(&Process, Likeness)]) -> Verdict {
    let doubts: Vec<(u32, &'static str)> = all
        .iter()
        .filter_map(|(process, like)| match like {
            Likeness::Whole | Likeness::None => None,
            Likeness::Program => Some((
                process.pid,
                "it runs the service's program, with other arguments, variables or another folder than the declared ones",
            )),
            Likeness::Perhaps(because) => Some((process.pid, *because)),
        })
        .collect();
    if doubts.is_empty() { Verdict::Stopped } else { Verdict::Unproved(doubts) }
}

fn found(seen: &Seen, process: &Process) -> Found {
    let ticks = i64::try_from(process.start).unwrap_or(i64::MAX);
    let millis = ticks.saturating_mul(1000) / seen.ticks_per_sec;
    let at = seen.booted_at_secs.saturating_mul(1000).saturating_add(millis);
    let started = Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH);
    Found { pid: process.pid, start: process.start, started }
}

#[cfg(test)]
mod tests {
    use super::{super::seen::read, *};
    use std::{collections::BTreeMap, path::PathBuf, time::Duration};

    const BOOT: &str = "8ea23ebc-84cf-4d47-bf44-011ff41464b1";
    const ELF: &str = "\u{7f}ELF";
    const LIVE: &str = "/x/bin/etcd";
    const ARGV: [&str; 2] = [LIVE, "--name=a"];
    const ENV: [&str; 2] = ["PATH=/bin", "MEMBER=one"];
    /// A member with places, as a cluster that is adopted has them.
    const MEMBER: [&str; 4] =
        [LIVE, "--data-dir=/x/a/data", "--listen-client-urls=http://127.0.0.1:1", "--ca=/x/ca.pem"];
    const SIBLING: [&str; 4] =
        [LIVE, "--data-dir=/x/b/data", "--listen-client-urls=http://127.0.0.1:2", "--ca=/x/ca.pem"];

    fn spec(argv: &[&str]) -> ProcessSpec {
        ProcessSpec {
            argv: argv.iter().map(|w| (*w).to_owned()).collect(),
            env: BTreeMap::from([("MEMBER".to_owned(), "one".to_owned())]),
            pid_file: PathBuf::from("/x/pid"),
            log_file: PathBuf::from("/x/log"),
            work_dir: None,
            grace: Duration::from_secs(1),
        }
    }

    fn placed(argv: &[&str], work_dir: Option<&str>) -> ProcessSpec {
        let ProcessSpec { argv, pid_file, log_file, grace, .. } = spec(argv);
        let work_dir = work_dir.map(PathBuf::from);
        ProcessSpec { argv, env: BTreeMap::new(), pid_file, log_file, work_dir, grace }
    }

    /// One process, described from what is usual.
    #[derive(Clone)]
    struct One<'a> {
        pid: u32,
        state: &'a str,
        start: u64,
        exe: &'a str,
        words: &'a [&'a str],
        env: &'a [&'a str],
        folder: &'a str,
    }

    fn one<'a>(pid: u32, words: &'a [&'a str]) -> One<'a> {
        let (state, start, exe, env, folder) = ("S", 500, LIVE, &ENV[..], "/");
        One { pid, state, start, exe, words, env, folder }
    }

    impl One<'_> {
        fn line(&self) -> String {
            let zeros = |all: &[&str]| {
                hex::encode(all.iter().flat_map(|w| w.bytes().chain([0])).collect::<Vec<u8>>())
            };
            let Self { pid, state, start, exe, words, env, folder } = self;
            let stat = format!("{state} {}{start} 0", "1 ".repeat(18));
            format!(
                "process {pid}|{stat}|{}|{}|{}|{}|{}",
                hex::encode(format!("{exe}\n")),
                zeros(words),
                zeros(env),
                hex::encode(format!("{folder}\n")),
                if *exe == LIVE { "live" } else { "other" }
            )
        }
    }

    fn look(pid: &str, record: &str, head: &str, processes: &[One<'_>]) -> Seen {
        let lines: Vec<String> = processes.iter().map(One::line).collect();
        let text = format!(
            "boot {BOOT}\nbtime 1700000000\ntick 100\npid {pid}\nrecord {record}\nreal {}\nfolder {}\nhead {}\n{}",
            hex::encode(LIVE),
            hex::encode("/x/a"),
            hex::encode(head),
            lines.join("\n"),
        );
        read(&text).unwrap()
    }

    /// The verdict in a word: a pid, `stopped`, `several`, `perhaps`.
    fn said(verdict: &Verdict) -> String {
        match verdict {
            Verdict::Running(found) => found.pid.to_string(),
            Verdict::Stopped => "stopped".to_owned(),
            Verdict::Ambiguous(_) => "several".to_owned(),
            Verdict::Unproved(_) => "perhaps".to_owned(),
        }
    }

    #[track_caller]
    fn check(spec: &ProcessSpec, pid_file: &str, processes: &[One<'_>], expected: &str) {
        let got = verdict(&look(pid_file, "", ELF, processes), spec);
        assert_eq!(said(&got), expected, "{got:?}");
    }

    #[test]
    fn a_recorded_identity_is_the_service_whatever_its_words_became() {
        let renamed = One { exe: "/x/bin/etcd (deleted)", env: &[], ..one(7, &["etcd: serving"]) };
        let seen = look("7", &format!("7 500 {BOOT}"), ELF, &[renamed]);
        let Verdict::Running(found) = verdict(&seen, &spec(&ARGV)) else { panic!("not found") };
        assert_eq!((found.pid, found.start), (7, 500));
        assert_eq!(found.started.to_string(), "2023-11-14T22:13:25Z");
    }

    #[test]
    fn a_pid_given_to_another_program_is_not_the_service() {
        let vim = One { start: 900, exe: "/usr/bin/vim", ..one(7, &["vim", LIVE]) };
        for record in [format!("7 500 {BOOT}"), String::new()] {
            let seen = look("7", &record, ELF, std::slice::from_ref(&vim));
            assert_eq!(verdict(&seen, &spec(&ARGV)), Verdict::Stopped);
        }
    }

    /// Hosts with many agents of one program go round their process ids within minutes.
    #[test]
    fn a_pid_given_to_a_sibling_after_the_service_ended_is_not_the_service() {
        let sibling = One { start: 900, env: &[], folder: "/x/b", ..one(7, &SIBLING) };
        let member = placed(&MEMBER, Some("/x/a"));
        let noted = |record: &str| look("7", record, ELF, std::slice::from_ref(&sibling));
        assert_eq!(verdict(&noted(&format!("7 500 {BOOT}")), &member), Verdict::Stopped);
        // Without a record the pid file may be somebody else's, and right.
        assert_eq!(said(&verdict(&noted(""), &member)), "perhaps");
    }

    #[test]
    fn the_same_pid_and_start_of_an_earlier_boot_prove_nothing() {
        let stranger = One { exe: "/usr/bin/vim", ..one(7, &["vim"]) };
        let seen = look("7", "7 500 00000000-0000-0000-0000-000000000000", "", &[stranger]);
        assert_eq!(verdict(&seen, &spec(&ARGV)), Verdict::Stopped);
    }

    #[test]
    fn a_zombie_is_stopped() {
        let zombie = One { state: "Z", exe: "", words: &[], env: &[], ..one(7, &[]) };
        let seen = look("7", &format!("7 500 {BOOT}"), ELF, &[zombie]);
        assert_eq!(verdict(&seen, &spec(&ARGV)), Verdict::Stopped);
    }

    #[test]
    fn without_a_pid_file_words_program_and_environment_prove() {
        let other_program = One { exe: "/x/bin/proxy", ..one(10, &ARGV) };
        check(&spec(&ARGV), "", &[one(8, &ARGV), other_program.clone()], "8");
        check(&spec(&ARGV), "", &[other_program], "stopped");
        // One variable of no meaning to us differs: it may be a sibling, it may be the service.
        check(&spec(&ARGV), "", &[One { env: &["MEMBER=two"], ..one(9, &ARGV) }], "perhaps");
    }

    #[test]
    fn two_that_look_alike_are_told_not_chosen() {
        let seen = look("", "", ELF, &[one(8, &ARGV), one(9, &ARGV)]);
        assert_eq!(verdict(&seen, &spec(&ARGV)), Verdict::Ambiguous(vec![8, 9]));
        check(&spec(&ARGV), "9", &[one(8, &ARGV), one(9, &ARGV)], "9");
    }

    #[test]
    fn a_script_is_known_by_its_interpreter_line() {
        for (head, prefix) in [
            ("#!/bin/sh\n", vec!["/bin/sh"]),
            ("#!/bin/sh -e\n", vec!["/bin/sh", "-e"]),
            ("#!/usr/bin/env bash\n", vec!["bash"]),
        ] {
            // As it was declared, and as it was called from its own folder.
            for (script, folder) in [(LIVE, "/"), ("bin/etcd", "/x"), ("../bin/etcd", "/x/a")] {
                let words: Vec<&str> = prefix.iter().copied().chain([script, "--name=a"]).collect();
                let seen =
                    look("", "", head, &[One { exe: "/usr/bin/dash", folder, ..one(8, &words) }]);
                assert_eq!(said(&verdict(&seen, &spec(&ARGV))), "8", "{head} {script}");
            }
        }
        let editor = One { exe: "/usr/bin/vim", ..one(8, &["vim", LIVE, "--name=a"]) };
        let seen = look("", "", "#!/bin/sh\n", std::slice::from_ref(&editor));
        assert_eq!(verdict(&seen, &spec(&ARGV)), Verdict::Stopped);
        // Called through another interpreter than its first line names: only the pid file speaks for it.
        let bash = One { exe: "/usr/bin/bash", ..one(8, &["bash", LIVE, "--name=a"]) };
        for (pid_file, expected) in [("8", "perhaps"), ("", "stopped")] {
            let seen = look(pid_file, "", "#!/bin/sh\n", std::slice::from_ref(&bash));
            assert_eq!(said(&verdict(&seen, &spec(&ARGV))), expected);
        }
    }

    #[test]
    fn a_swapped_file_does_not_hide_the_process() {
        for exe in ["/x/bin/etcd (deleted)", "/x/bin/etcd_3.4.23", "/x/bin/etcd-3.4.23 (deleted)"] {
            for pid_file in ["8", ""] {
                check(&placed(&MEMBER, None), pid_file, &[One { exe, ..one(8, &MEMBER) }], "8");
            }
        }
    }

    #[test]
    fn a_relative_name_another_order_and_another_way_to_write_words_are_the_same_words() {
        let relative = [
            "bin/etcd",
            "-ca",
            "/x/ca.pem",
            "--data-dir",
            "/x/a/data",
            "--listen-client-urls",
            "http://127.0.0.1:1",
        ];
        for pid_file in ["8", ""] {
            let found = One { folder: "/x", ..one(8, &relative) };
            check(&placed(&MEMBER, None), pid_file, &[found], "8");
        }
    }

    #[test]
    fn a_live_process_of_the_program_that_the_pid_file_names_is_the_service_whatever_else_it_was_told()
     {
        let more = [MEMBER.as_slice(), &["--log-level=debug"]].concat();
        let readdressed = [MEMBER[0], MEMBER[1], "--listen-client-urls=http://10.0.0.1:9"];
        for words in [more.as_slice(), &readdressed, &[LIVE, "--config-file=/etc/etcd.yml"]] {
            check(&placed(&MEMBER, None), "8", &[one(8, words)], "8");
        }
        // Without the pid file only its places prove it; and it is never taken for stopped.
        check(&placed(&MEMBER, None), "", &[one(8, &more)], "8");
        for words in [readdressed.as_slice(), &[LIVE, "--config-file=/etc/etcd.yml"]] {
            check(&placed(&MEMBER, None), "", &[one(8, words)], "perhaps");
        }
    }

    #[test]
    fn a_sibling_that_shares_the_program_is_not_the_service() {
        check(&placed(&MEMBER, None), "", &[one(9, &SIBLING)], "stopped");
        check(&placed(&MEMBER, None), "", &[one(8, &MEMBER), one(9, &SIBLING)], "8");
        // A pid file that names the sibling is wrong, or the declaration is: nobody is signalled.
        check(&placed(&MEMBER, None), "9", &[one(9, &SIBLING)], "perhaps");
        check(&placed(&MEMBER, None), "9", &[one(8, &MEMBER), one(9, &SIBLING)], "8");
    }

    #[test]
    fn a_changed_pid_file_is_believed_only_for_the_program() {
        let other = One { exe: "/y/etcd", ..one(9, &["/y/etcd", "--data-dir=/y"]) };
        check(&placed(&MEMBER, None), "9", &[other.clone(), one(8, &MEMBER)], "8");
        check(&placed(&MEMBER, None), "9", &[other], "stopped");
        let twin = [LIVE, "--data-dir=/x/a/data"];
        check(&placed(&MEMBER, None), "9", &[one(8, &MEMBER), one(9, &twin)], "several");
    }

    #[test]
    fn a_wrapper_that_became_another_program_may_be_the_service() {
        let wrapped = ["/opt/etcd", MEMBER[1], MEMBER[2], MEMBER[3]];
        let found = One { exe: "/opt/etcd", ..one(8, &wrapped) };
        for pid_file in ["8", ""] {
            check(&placed(&MEMBER, None), pid_file, std::slice::from_ref(&found), "perhaps");
        }
        // It says nothing of itself, and the pid file names it in the service's own folder.
        let silent = One { exe: "/opt/etcd", folder: "/x/a", ..one(8, &["/opt/etcd"]) };
        check(&placed(&[LIVE], Some("/x/a")), "8", std::slice::from_ref(&silent), "perhaps");
        check(&placed(&[LIVE], Some("/x/a")), "", &[silent], "stopped");
    }

    #[test]
    fn a_process_of_another_user_may_be_the_service() {
        let closed = One { exe: "", env: &[], folder: "", ..one(8, &ARGV) };
        check(&spec(&ARGV), "", &[closed], "perhaps");
    }

    #[test]
    fn a_look_does_not_see_another_look() {
        let words = [&["sh", "-c", "text", "quorate", "/x/pid"], MEMBER.as_slice()].concat();
        let shell = One { exe: "/usr/bin/dash", ..one(8, &words) };
        check(&placed(&MEMBER, None), "", &[shell], "stopped");
    }
}
