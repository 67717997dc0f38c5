//! Reads what a host told of a service and of the processes that may be it.
//!
//! Read next: `proof.rs`, which decides from it whether the service runs, and as which process.

use base64::{Engine, prelude::BASE64_STANDARD as STANDARD};
use memchr::memmem;
use std::collections::BTreeMap;

/// What `look.sh` told.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) boot: String,
    pub(super) booted_at_secs: i64,
    pub(super) ticks_per_sec: i64,
    /// What the pid file names.
    pub(super) pid: Option<u32>,
    pub(super) record: Option<Record>,
    /// The live binary's file, links followed.
    pub(super) real: String,
    /// The declared working folder, links followed.
    pub(super) folder: String,
    /// How the live binary's file begins.
    pub(super) head: Vec<u8>,
    pub(super) processes: Vec<Process>,
}

/// The identity that the service noted when it started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) pid: u32,
    pub(super) start: u64,
    pub(super) boot: String,
}

/// One process, as `/proc` shows it. What may not be read, of another user's process, is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) state: String,
    pub(super) start: u64,
    pub(super) exe: String,
    pub(super) words: Vec<String>,
    /// Names and values.
    pub(super) variables: Vec<(String, String)>,
    pub(super) folder: String,
    /// True when it runs the very file that is live now, whatever its name.
    pub(super) runs_live_file: bool,
}

impl Process {
    /// Whether it still does anything: one that ended and was not yet collected does not.
    pub(super) fn lives(&self) -> bool {
        !matches!(self.state.as_str(), "Z" | "X" | "x")
    }
}

/// Reads what `look.sh` printed; a line it cannot read is a reason to know nothing.
pub(super) fn read(text: &str) -> Result<Seen, String> {
    let mut seen = Seen { ticks_per_sec: 100, ..Seen::default() };
    let mut ended = Vec::new();
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
            "process" => seen.processes.push(process(value).ok_or_else(unreadable)?),
            "links" | "links64" => {
                links(&mut seen.processes, &coded(key, value).ok_or_else(unreadable)?);
            }
            "texts" | "texts64" => {
                ended = texts(&mut seen.processes, &coded(key, value).ok_or_else(unreadable)?);
            }
            _ => return Err(unreadable()),
        }
    }
    // One that ended while it was looked at has no state. Silence about any other is no proof that it does not run.
    seen.processes.retain(|process| !process.state.is_empty() || !ended.contains(&process.pid));
    if let Some(unread) = seen.processes.iter().find(|process| process.state.is_empty()) {
        return Err(format!("the host told nothing of process {}, which runs there", unread.pid));
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
    let [pid, stat, exe, words, variables, folder, file] = parts.as_slice() else { return None };
    let (state, start) = state_and_start(stat).unwrap_or_default();
    Some(Process {
        pid: pid.parse().ok()?,
        state,
        start,
        exe: one_line(exe)?,
        words: zero_ended(words)?,
        variables: pairs(&zero_ended(variables)?),
        folder: one_line(folder)?,
        runs_live_file: *file == "live",
    })
}

/// What `/proc/PID/stat` tells after the name.
fn state_and_start(stat: &str) -> Option<(String, u64)> {
    let fields: Vec<&str> = stat.split_whitespace().collect();
    // Field 22 of the file; the text here begins at field 3.
    Some(((*fields.first()?).to_owned(), fields.get(19)?.parse().ok()?))
}

/// A long fact, in the code that its key says.
fn coded(key: &str, value: &str) -> Option<Vec<u8>> {
    if key.ends_with("64") { STANDARD.decode(value).ok() } else { hex::decode(value).ok() }
}

/// Enters where the programs and the folders of processes are, as `ls` lists the links of `/proc`.
fn links(processes: &mut [Process], bytes: &[u8]) {
    const LINK: &str = " /proc/";
    let text = String::from_utf8_lossy(bytes);
    let named = text.match_indices(LINK).filter_map(|(at, _)| {
        let (name, _) = text.get(at + LINK.len()..)?.split_once(" -> ")?;
        let of = name.strip_suffix("/exe").or_else(|| name.strip_suffix("/cwd"))?;
        of.parse::<u32>().is_ok().then_some((at, name))
    });
    let named: Vec<(usize, &str)> = named.collect();
    let ends = named.iter().skip(1).map(|(at, _)| text[..*at].rfind('\n').unwrap_or(*at));
    // From one name to the next, so that a line break in a path is kept.
    let targets = named.iter().zip(ends.chain([text.len()])).map(|((at, name), end)| {
        let begin = at + LINK.len() + name.len() + " -> ".len();
        (*name, text.get(begin..end).unwrap_or_default().trim_end_matches('\n'))
    });
    let targets: BTreeMap<&str, &str> = targets.collect();
    for process in processes {
        let of = |link: &str| targets.get(format!("{}/{link}", process.pid).as_str());
        process.exe = of("exe").map(|path| (*path).to_owned()).unwrap_or_default();
        process.folder = of("cwd").map(|path| (*path).to_owned()).unwrap_or_default();
    }
}

/// Enters words and variables, from files that follow each other under `==> NAME <==`, and gives who ended before it was read.
/// What may not be read is not there.
fn texts(processes: &mut [Process], bytes: &[u8]) -> Vec<u32> {
    let files = files(bytes);
    for process in processes {
        let of = |file: &str| {
            let name = format!("/proc/{}/{file}", process.pid);
            files.get(name.as_bytes()).map(|text| words_in(text)).unwrap_or_default()
        };
        process.words = of("cmdline");
        process.variables = pairs(&of("environ"));
        let name = format!("/proc/{}/stat", process.pid);
        let stat = files.get(name.as_bytes()).map(|text| String::from_utf8_lossy(text));
        // The name stands in brackets, and may hold some of its own.
        let fields = stat.as_deref().and_then(|stat| stat.rsplit_once(") "));
        if let Some((state, start)) = fields.and_then(|(_, fields)| state_and_start(fields)) {
            (process.state, process.start) = (state, start);
        }
    }
    let ended = files.get(b"/proc/ended".as_slice()).map(|text| String::from_utf8_lossy(text));
    ended.unwrap_or_default().lines().filter_map(|line| line.parse().ok()).collect()
}

/// Files by their names.
fn files(bytes: &[u8]) -> BTreeMap<&[u8], &[u8]> {
    const NEXT: &[u8] = b"\n==> /proc/";
    let mut files = BTreeMap::new();
    let mut rest = bytes.strip_prefix(b"\n").unwrap_or(bytes);
    while let Some(named) = rest.strip_prefix(b"==> ") {
        let Some((name, text)) = parted(named, b" <==\n") else { break };
        let end = memmem::find(text, NEXT);
        files.insert(name, text.get(..end.unwrap_or(text.len())).unwrap_or_default());
        rest = end.and_then(|end| text.get(end + 1..)).unwrap_or_default();
    }
    files
}

fn parted<'b>(bytes: &'b [u8], by: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    let at = memmem::find(bytes, by)?;
    Some((bytes.get(..at)?, bytes.get(at + by.len()..)?))
}

fn pairs(words: &[String]) -> Vec<(String, String)> {
    let pairs = words.iter().filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn one_line(hexadecimal: &str) -> Option<String> {
    let bytes = hex::decode(hexadecimal).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned())
}

fn zero_ended(hexadecimal: &str) -> Option<Vec<String>> {
    Some(words_in(&hex::decode(hexadecimal).ok()?))
}

fn words_in(bytes: &[u8]) -> Vec<String> {
    let Some(body) = bytes.strip_suffix(&[0]) else { return Vec::new() };
    body.split(|b| *b == 0).map(|w| String::from_utf8_lossy(w).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_it_cannot_read() {
        assert!(read("boot x\nbtime soon").is_err());
        assert!(read("surprise").is_err());
        assert!(read("").is_err());
    }

    #[test]
    fn a_process_that_ended_meanwhile_is_left_out() {
        let ended = hex::encode("\n==> /proc/ended <==\n7\n");
        let told = format!("boot x\nprocess 7||||||other\ntexts {ended}");
        assert_eq!(read(&told).unwrap().processes, []);
        let silent = read("boot x\nprocess 7||||||live\ntexts64 \n").unwrap_err();
        assert!(silent.contains("process 7"), "{silent}");
        assert!(read("boot x\nprocess 7|S").is_err());
    }

    #[test]
    fn programs_folders_and_words_of_many_come_in_one_piece() {
        let links = "lrwxrwxrwx 1 a a 0 Nov 26 16:00 /proc/7/cwd -> /x/two\nlines\n\
                     lrwxrwxrwx 1 a a 0 Nov 26 16:00 /proc/7/exe -> /x/consul\n\
                     lrwxrwxrwx 1 a a 0 Nov 26 16:00 /proc/77/cwd -> /\n";
        let texts = b"==> /proc/7/cmdline <==\n/x/consul\0agent\0\n==> /proc/7/environ <==\nA=1\0B=\0\n==> /proc/77/cmdline <==\n";
        let (links, texts) = (hex::encode(links), hex::encode(texts));
        let stat = format!("S {}500 0", "1 ".repeat(18));
        let lines: String =
            [7, 77, 8].iter().map(|pid| format!("process {pid}|{stat}|||||live\n")).collect();
        let seen = read(&format!("boot x\n{lines}links {links}\ntexts {texts}\n")).unwrap();
        let [first, second, hidden] = seen.processes.as_slice() else { panic!("{seen:?}") };
        assert_eq!((first.exe.as_str(), first.folder.as_str()), ("/x/consul", "/x/two\nlines"));
        assert_eq!(first.words, ["/x/consul", "agent"]);
        assert_eq!(first.variables, [("A".into(), "1".into()), ("B".into(), String::new())]);
        assert_eq!((second.exe.as_str(), second.folder.as_str()), ("", "/"));
        assert!(second.words.is_empty() && hidden.words.is_empty() && hidden.exe.is_empty());
    }
}
