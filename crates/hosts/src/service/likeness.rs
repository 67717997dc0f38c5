//! Compares one process with a declared service: its program, its words, its variables, the places that it works on.
//!
//! A *place* is a setting whose value is a path or an address. Two members of one product differ in their places
//! whatever else they share, so places tell whose process it is when its words are not the declared ones.
//! Read next: `proof.rs`, which decides from the likeness of every process.

use super::seen::{Process, Seen};
use quorate_model::ProcessSpec;
use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

/// How far one process is like the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Likeness {
    /// Program, words, variables and folder are the declared ones; or it is the program, at work in every declared place: no
    /// two processes hold one data folder and one address, whatever else they were told.
    Whole,
    /// It runs the service's program, and nothing says that it is another member's.
    Program,
    /// It may be the service; this is what speaks for it.
    Perhaps(&'static str),
    /// Nothing speaks for it, or its places are another member's.
    None,
}

/// The declared service, prepared for comparisons.
pub(super) struct Declared<'a> {
    seen: &'a Seen,
    binary: &'a str,
    env: &'a BTreeMap<String, String>,
    work_dir: bool,
    /// The words that the kernel puts before a script's own; none for a program of its own.
    interpreter: Vec<String>,
    settings: Vec<(String, String)>,
    /// Where relative paths of the declaration begin.
    folder: PathBuf,
}

/// How the places of a process compare with the declared ones.
#[derive(Default)]
struct Places {
    paths_shared: usize,
    paths_differ: usize,
    addresses_shared: usize,
    addresses_differ: usize,
    missing: usize,
}

impl<'a> Declared<'a> {
    /// Prepares a declaration; none without a program.
    pub(super) fn of(seen: &'a Seen, spec: &'a ProcessSpec) -> Option<Self> {
        let ProcessSpec { argv, env, work_dir, .. } = spec;
        let (binary, words) = argv.split_first()?;
        let folder = if work_dir.is_some() { seen.folder.as_str() } else { "/" };
        Some(Self {
            seen,
            binary,
            env,
            work_dir: work_dir.is_some(),
            interpreter: interpreter(&seen.head),
            settings: settings(words),
            folder: PathBuf::from(folder),
        })
    }

    /// Compares. `named` says that the pid file names this very process.
    pub(super) fn likeness(&self, process: &Process, named: bool) -> Likeness {
        if asks_for_us(&process.words) {
            return Likeness::None;
        }
        let own_words = self.own_words(process);
        let same_folder = !self.work_dir || process.folder == self.seen.folder;
        let found = settings(own_words.or(process.words.get(1..)).unwrap_or_default());
        let same_words = own_words.is_some() && sorted(&found) == sorted(&self.settings);
        if same_words && same_folder && self.same_env(process) {
            return Likeness::Whole;
        }
        let places = self.places(&found, process);
        // Another member of the same program: it works elsewhere, and what it shares (certificates) everybody shares.
        let elsewhere = (places.paths_differ > 0 || !same_folder)
            && (places.paths_shared == 0 || places.addresses_differ > 0);
        if self.runs_program(process) {
            if places.are_all_shared() && same_folder {
                return Likeness::Whole;
            }
            return match (elsewhere, named) {
                (false, _) => Likeness::Program,
                (true, true) => Likeness::Perhaps(
                    "the pid file names it and it runs the service's program, in folders that are not the declared ones",
                ),
                (true, false) => Likeness::None,
            };
        }
        if elsewhere {
            return Likeness::None;
        }
        if process.exe.is_empty() && self.is_program(process.words.first(), process) {
            return Likeness::Perhaps(
                "it was started as the service's program, and its user does not let it be looked at",
            );
        }
        if places.paths_shared > 0 && places.missing == 0 && places.addresses_differ == 0 {
            return Likeness::Perhaps(
                "it was started with every folder and address of the service, by another program than the declared one",
            );
        }
        let mentions = || process.words.iter().any(|word| self.is_program(Some(word), process));
        if named && !self.interpreter.is_empty() && mentions() {
            return Likeness::Perhaps(
                "the pid file names it and it was started with the script's name",
            );
        }
        if named && self.work_dir && same_folder {
            return Likeness::Perhaps(
                "the pid file names it and it works in the service's folder, and runs another program than the declared one",
            );
        }
        Likeness::None
    }

    /// The words after the program, when the process is one of the program by its words.
    fn own_words<'p>(&self, process: &'p Process) -> Option<&'p [String]> {
        if self.interpreter.is_empty() {
            // From another folder only by its words too: a link was turned, or a folder renamed, under the process.
            let moved = || {
                (is_name_of(&process.exe, &self.seen.real) || is_name_of(&process.exe, self.binary))
                    && self.is_program(process.words.first(), process)
            };
            return process.words.get(1..).filter(|_| self.runs_binary(process) || moved());
        }
        let words = process.words.strip_prefix(self.interpreter.as_slice())?;
        let (script, rest) = words.split_first()?;
        self.is_program(Some(script), process).then_some(rest)
    }

    /// Whether it runs the service's program itself, under whatever words.
    fn runs_program(&self, process: &Process) -> bool {
        if self.interpreter.is_empty() {
            self.runs_binary(process)
        } else {
            self.own_words(process).is_some()
        }
    }

    /// Whether its file is the live one, or lies beside it under a name that a swap gave it.
    fn runs_binary(&self, process: &Process) -> bool {
        let beside = |live: &str| {
            Path::new(&process.exe).parent() == Path::new(live).parent()
                && is_name_of(&process.exe, live)
        };
        process.runs_live_file || beside(&self.seen.real) || beside(self.binary)
    }

    /// Whether a word names the program, from the folder of the process that was started with it.
    fn is_program(&self, word: Option<&String>, process: &Process) -> bool {
        let Some(word) = word.filter(|word| !word.is_empty()) else { return false };
        let whole = plain(Path::new(&process.folder).join(word));
        word == self.binary
            || whole == plain(PathBuf::from(self.binary))
            || whole == Path::new(&self.seen.real)
    }

    fn same_env(&self, process: &Process) -> bool {
        self.env.iter().all(|(key, value)| variable(process, key) == Some(value))
    }

    fn places(&self, found: &[(String, String)], process: &Process) -> Places {
        let mut places = Places::default();
        let declared = self.settings.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        for (key, value) in declared.filter(|(_, value)| is_place(value)) {
            let mut of_key = found.iter().filter(|(own, _)| own == key).peekable();
            if of_key.peek().is_none() {
                places.missing += 1;
            } else {
                let same = of_key.any(|(_, own)| self.same_place(value, own, process));
                places.count(value, same);
            }
        }
        for (key, value) in self.env.iter().filter(|(_, value)| is_place(value)) {
            match variable(process, key) {
                // Another user's variables may not be read: nothing is known of them.
                None => places.missing += 1,
                Some(own) => places.count(value, self.same_place(value, own, process)),
            }
        }
        places
    }

    fn same_place(&self, declared: &str, own: &str, process: &Process) -> bool {
        let whole = |folder: &Path, value: &str| plain(folder.join(value));
        declared == own
            || (is_path(declared)
                && whole(&self.folder, declared) == whole(Path::new(&process.folder), own))
    }
}

impl Places {
    /// At work in every declared folder, at every declared address.
    fn are_all_shared(&self) -> bool {
        self.paths_shared > 0
            && self.addresses_shared > 0
            && self.paths_differ + self.addresses_differ + self.missing == 0
    }
    fn count(&mut self, declared: &str, same: bool) {
        match (is_path(declared), same) {
            (true, true) => self.paths_shared += 1,
            (true, false) => self.paths_differ += 1,
            (false, true) => self.addresses_shared += 1,
            (false, false) => self.addresses_differ += 1,
        }
    }
}

/// Words that only the service's own process is likely to have been started with: the host is asked who was.
pub(super) fn telling_words(spec: &ProcessSpec) -> Vec<String> {
    let ProcessSpec { argv, env, .. } = spec;
    let mut words: Vec<String> = env
        .iter()
        .filter(|(_, value)| is_place(value))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    for (key, value) in settings(argv.get(1..).unwrap_or_default()) {
        if is_place(&value) {
            if !key.is_empty() {
                words.extend([format!("--{key}={value}"), format!("-{key}={value}")]);
            }
            words.push(value);
        }
    }
    // A word with a line break would be two patterns.
    words.retain(|word| !word.contains('\n'));
    words
}

/// Words as settings: `--key=value`, `-key value` and `--key value` are one; other words have no key.
fn settings(words: &[String]) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) else {
            all.push((String::new(), word.clone()));
            continue;
        };
        let flag = flag.strip_prefix('-').unwrap_or(flag);
        match flag.split_once('=') {
            Some((key, value)) => all.push((key.to_owned(), value.to_owned())),
            None => {
                let value = words.next_if(|next| !next.starts_with('-')).cloned();
                all.push((flag.to_owned(), value.unwrap_or_default()));
            }
        }
    }
    all
}

fn sorted(settings: &[(String, String)]) -> Vec<&(String, String)> {
    let mut all: Vec<_> = settings.iter().collect();
    all.sort();
    all
}

fn is_path(value: &str) -> bool {
    value.contains('/') && !value.contains("://")
}

fn is_place(value: &str) -> bool {
    value.contains('/') || value.contains(':')
}

/// A path without `.` and `..`, as words give it and the kernel does not.
fn plain(path: PathBuf) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(part),
        }
    }
    plain
}

fn variable<'p>(process: &'p Process, key: &str) -> Option<&'p String> {
    process.variables.iter().find_map(|(own, value)| (own == key).then_some(value))
}

/// The scripts of this room carry the service's words as their own: two looks at once must not see each other.
fn asks_for_us(words: &[String]) -> bool {
    let word = |at: usize| words.get(at).map(String::as_str);
    (word(1), word(3)) == (Some("-c"), Some(crate::shell::NAME))
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

/// Whether a program's file bears the live file's name, or one that a swap gave it: `etcd`, `etcd_3.4.23`, `etcd-3.4.23`,
/// each also when it is gone; not `etcdctl`.
fn is_name_of(exe: &str, live: &str) -> bool {
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let (exe, live) = (name(exe.strip_suffix(" (deleted)").unwrap_or(exe)), name(live));
    let Some(rest) = exe.strip_prefix(&live).filter(|_| !live.is_empty()) else { return false };
    rest.is_empty() || rest.starts_with(['_', '-', '.', '@'])
}
