//! Puts a release's files beside the live ones, checks them, and makes them live in one rename.
//!
//! Invariants: the live name always holds a whole binary, the old one or the new one; the old one keeps a name of its
//! own; nothing becomes live whose digest is not the planned one (S9). Each act may be cut off anywhere and repeated.
//! Absent on purpose: stopping and starting, which is `service/`. Read next: `paths.rs`, `swap.sh`.

pub mod packages;
pub mod paths;
pub mod program;

use crate::{artifacts::Cache, shell};
use paths::NodePaths;
use quorate_model::{ArtifactFile, ArtifactRef, DebName, Digest, Release};
use quorate_transport::{Answer, Command, Transport};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Files of a release that lie on the host, digests checked there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    /// The server's binary beside the live one.
    pub binary: PathBuf,
    /// The folder with every file of the artifact; calls name it `{artifact}`.
    pub artifact_dir: PathBuf,
    /// Bytes that had to be copied; none when everything was already there.
    pub copied_bytes: u64,
    /// By what its files are known again without reading them.
    pub prints: Prints,
}

/// By what the files of a release on a host are known again, each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prints(Vec<Option<Fingerprint>>);

impl FromIterator<Option<Fingerprint>> for Prints {
    fn from_iter<I: IntoIterator<Item = Option<Fingerprint>>>(prints: I) -> Self {
        Self(prints.into_iter().collect())
    }
}

impl Prints {
    /// Of each file in the order of [`digests`]; none for a file that somebody wrote to while it was read.
    pub fn iter(&self) -> impl Iterator<Item = Option<&Fingerprint>> {
        self.0.iter().map(Option::as_ref)
    }
    /// That of the server's binary beside the live one, which is the last of the files.
    pub fn server(&self) -> Option<&Fingerprint> {
        self.0.last().and_then(Option::as_ref)
    }
}

/// A release that was made live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swapped {
    /// Where the earlier binary is kept.
    pub kept: PathBuf,
    /// True when the release was live before.
    pub already: bool,
}

/// Digests of a few hundred megabytes on a slow disk; a host that needs longer has another trouble.
const DIGEST_LIMIT: Duration = Duration::from_secs(120);
/// A rename, a link, or one copy where links are not possible.
const LINK_LIMIT: Duration = Duration::from_secs(60);
/// A program that prints its version does so at once; one that does not is taken for another program.
const VERSION_LIMIT: Duration = Duration::from_secs(10);
/// Space that stays free after staging: a data folder on the same disk must not be starved by a binary.
const SPARE_BYTES: u64 = 64 * 1024 * 1024;
/// Programs: everybody may run them, only their owner may change them.
const PROGRAM_MODE: u32 = 0o755;

/// By what a file that was found whole is known again without reading it: device, inode, size, time of change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(String);

impl Fingerprint {
    fn word(of: Option<&Self>) -> String {
        of.map(|print| print.0.clone()).unwrap_or_default()
    }
}

/// What the staged binary is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StagedBinary {
    /// The planned one; without a fingerprint it must be read again next time.
    Whole(Option<Fingerprint>),
    /// Another file, with this digest.
    Damaged(Digest),
    /// Not there.
    Missing,
}

/// What the host told of itself and of files.
struct HostFacts {
    machine: String,
    free_bytes: Option<u64>,
    found: Vec<Found>,
    prints: Prints,
}

/// What a file on the host holds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    /// It is not there, or cannot be read.
    Nothing,
    /// What it held when its fingerprint was taken.
    Same,
    /// This.
    Content(Digest),
}

impl HostFacts {
    /// Whether a file holds what it should. Fingerprints are kept of files alone that did.
    fn is_whole(&self, at: usize, wanted: &Digest) -> bool {
        match self.found.get(at) {
            Some(Found::Same) => true,
            Some(Found::Content(digest)) => digest == wanted,
            Some(Found::Nothing) | None => false,
        }
    }
}

/// What the files of a release hold that lie on a member's host, in the order of their [`Prints`].
pub fn digests(paths: &NodePaths, artifact: &ArtifactRef) -> Vec<Digest> {
    wanted(paths, &needed(paths, artifact)).into_iter().cloned().collect()
}

/// Puts the artifact's files on the host, beside the live ones, and checks their digests there. The service is not touched.
/// Files that were found whole on this host before, by whatever name, are known again by their fingerprints.
pub async fn stage(
    transport: &dyn Transport,
    paths: &NodePaths,
    artifact: &ArtifactRef,
    cache: &Cache,
    known: &Prints,
) -> Answer<Staged> {
    let host = transport.name();
    let artifact = &needed(paths, artifact);
    if let Err(because) = server_file(paths, artifact) {
        return Answer::Failed(because);
    }
    let targets = targets(paths, artifact);
    let facts = match facts(transport, paths.folder(), &targets, known).await {
        Answer::Done(facts) => facts,
        Answer::Failed(because) => return Answer::Failed(because),
        Answer::Unknown(because) => return Answer::Unknown(because),
    };
    let wanted = wanted(paths, artifact);
    let lacks = |at: &usize| wanted.get(*at).is_none_or(|wanted| !facts.is_whole(*at, wanted));
    let lacking: Vec<usize> = (0..targets.len()).filter(lacks).collect();
    let mut copied_bytes = 0;
    let mut prints = facts.prints.clone();
    if !lacking.is_empty() {
        if let Err(because) = enough_space(&facts, artifact, &lacking, &host, paths.folder()) {
            return Answer::Failed(because);
        }
        match copy(transport, paths, artifact, cache, &lacking, &facts.machine).await {
            Answer::Done(bytes) => copied_bytes = bytes,
            Answer::Failed(because) => return Answer::Failed(because),
            Answer::Unknown(because) => return Answer::Unknown(because),
        }
        match staged(transport, paths, artifact, &Prints::default()).await {
            Answer::Done(Some(held)) => prints = held.prints,
            Answer::Done(None) => {
                return Answer::Failed(format!(
                    "files of {} {} on {host} do not have the planned digests right after they were copied: look at its disk",
                    artifact.pack, artifact.release
                ));
            }
            Answer::Failed(because) => return Answer::Failed(because),
            Answer::Unknown(because) => return Answer::Unknown(because),
        }
    }
    Answer::Done(held(paths, artifact, copied_bytes, prints))
}

fn held(paths: &NodePaths, artifact: &ArtifactRef, copied_bytes: u64, prints: Prints) -> Staged {
    Staged {
        binary: paths.beside(&artifact.release),
        artifact_dir: paths.artifact_dir(&artifact.pack, &artifact.release),
        copied_bytes,
        prints,
    }
}

/// What lies on the host when every file of the artifact is there with the planned digest; none when one is not. Files that
/// were found whole before are known again by their fingerprints.
pub async fn staged(
    transport: &dyn Transport,
    paths: &NodePaths,
    artifact: &ArtifactRef,
    known: &Prints,
) -> Answer<Option<Staged>> {
    let artifact = &needed(paths, artifact);
    if let Err(because) = server_file(paths, artifact) {
        return Answer::Failed(because);
    }
    let wanted = wanted(paths, artifact);
    facts(transport, paths.folder(), &targets(paths, artifact), known).await.map(|facts| {
        let whole = wanted.iter().enumerate().all(|(at, wanted)| facts.is_whole(at, wanted));
        (whole && wanted.len() == facts.found.len()).then(|| held(paths, artifact, 0, facts.prints))
    })
}

/// Tells whether the staged binary is the planned one. With the fingerprint of an earlier look it need not be read again.
pub async fn staged_binary(
    transport: &dyn Transport,
    paths: &NodePaths,
    artifact: &ArtifactRef,
    known: Option<&Fingerprint>,
) -> Answer<StagedBinary> {
    let server = match server_file(paths, artifact) {
        Ok(server) => server,
        Err(because) => return Answer::Failed(because),
    };
    let staged = text(&paths.beside(&artifact.release));
    let words = [&*staged, server.sha256.as_str(), &Fingerprint::word(known)];
    let command = shell::script(include_str!("whole.sh"), &words);
    let answer =
        shell::run(transport, "looking at the staged binary", &command, DIGEST_LIMIT).await;
    answer.and_then(|said| match said.trim().split_once(' ') {
        Some(("whole", "none")) => Answer::Done(StagedBinary::Whole(None)),
        Some(("whole", print)) => {
            Answer::Done(StagedBinary::Whole(Some(Fingerprint(print.to_owned()))))
        }
        Some(("damaged", sum)) => Answer::Done(StagedBinary::Damaged(Digest::new(sum))),
        None if said.trim() == "missing" => Answer::Done(StagedBinary::Missing),
        _ => Answer::Unknown(format!(
            "the look at {staged} on {} answered with `{}`, which says nothing",
            transport.name(),
            said.trim()
        )),
    })
}

/// Makes the staged binary live and keeps the one that was live under `from`. The staged binary's digest is checked here
/// again, unless its fingerprint says that it is the very file that was found whole.
pub async fn swap(
    transport: &dyn Transport,
    paths: &NodePaths,
    from: &Release,
    to: &ArtifactRef,
    known: Option<&Fingerprint>,
) -> Answer<Swapped> {
    let server = match server_file(paths, to) {
        Ok(server) => server,
        Err(because) => return Answer::Failed(because),
    };
    let (live, staged, kept) = (paths.live(), paths.beside(&to.release), paths.beside(from));
    if staged == kept {
        return Answer::Failed(format!("cannot swap {} {from} for itself", to.pack));
    }
    let known = Fingerprint::word(known);
    let words = [text(live), text(&staged), text(&kept), server.sha256.0.clone(), known];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let command = shell::script(include_str!("swap.sh"), &words);
    let answer = shell::run(transport, "swapping the binary", &command, DIGEST_LIMIT).await;
    let (host, staged, live) = (transport.name(), staged.display(), live.display());
    answer.and_then(|text| {
        let text = text.trim();
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        match word {
            "swapped" => Answer::Done(Swapped { kept, already: false }),
            "already" => Answer::Done(Swapped { kept, already: true }),
            "missing" => Answer::Failed(format!("{staged} is missing on {host}: stage it first; {live} was left as it is")),
            "damaged" => {
                let found = Digest::new(rest);
                let (found, planned) = found.told_apart(&server.sha256);
                Answer::Failed(format!(
                    "{staged} on {host} has digest {found}, the plan says {planned}: it was changed after it was staged; {live} was left as it is"
                ))
            }
            "folder" => Answer::Failed(format!("{live} on {host} is a folder, not a binary")),
            "failed" => Answer::Failed(format!("swapping {live} on {host} failed at {rest}")),
            _ => Answer::Unknown(format!("the swap on {host} answered with `{text}`, which says nothing")),
        }
    })
}

/// Tells whether the artifact's binary is the live one. A live file that is the very one that was found whole when it was staged
/// (they are two names of one file) need not be read again.
pub async fn swapped(
    transport: &dyn Transport,
    paths: &NodePaths,
    artifact: &ArtifactRef,
    known: Option<&Fingerprint>,
) -> Answer<bool> {
    let server = match server_file(paths, artifact) {
        Ok(server) => server,
        Err(because) => return Answer::Failed(because),
    };
    let (size, known) = (server.size_bytes.to_string(), Fingerprint::word(known));
    let words = [text(paths.live()), size, server.sha256.0.clone(), known];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let command = shell::script(include_str!("live.sh"), &words);
    let answer = shell::run(transport, "looking at the live binary", &command, DIGEST_LIMIT).await;
    answer.and_then(|said| match said.trim() {
        "live" => Answer::Done(true),
        "other" => Answer::Done(false),
        said => Answer::Unknown(format!(
            "the look at {} on {} answered with `{said}`, which says nothing",
            paths.live().display(),
            transport.name()
        )),
    })
}

/// Asks a binary on the host for its version and gives what it printed.
pub async fn asks_version(
    transport: &dyn Transport,
    binary: &Path,
    args: &[String],
) -> Answer<String> {
    let words = std::iter::once(text(binary)).chain(args.iter().cloned());
    let command = Command { clean_env: true, ..Command::new(words) };
    let (host, binary) = (transport.name(), binary.display());
    match transport.run(&command, VERSION_LIMIT).await {
        Answer::Done(output) if output.ok() => {
            let mut printed = output.text();
            printed.push_str(&String::from_utf8_lossy(&output.stderr));
            Answer::Done(printed.trim().to_owned())
        }
        Answer::Done(output) => Answer::Failed(format!(
            "{binary} on {host} does not tell its version: {}",
            shell::why(&output)
        )),
        // The question changes nothing, so an unknown end is a plain failure to learn the version.
        Answer::Failed(because) | Answer::Unknown(because) => {
            Answer::Failed(format!("{binary} on {host} does not tell its version: {because}"))
        }
    }
}

/// The artifact as this member needs it: packages only where they are what its program comes with.
fn needed(paths: &NodePaths, artifact: &ArtifactRef) -> ArtifactRef {
    let own = packages::files_of(paths, artifact);
    let needs =
        |file: &&ArtifactFile| DebName::of(&file.name).is_none() || own.contains(&file.name);
    ArtifactRef {
        files: artifact.files.iter().filter(needs).cloned().collect(),
        ..artifact.clone()
    }
}

fn server_file<'a>(
    paths: &NodePaths,
    artifact: &'a ArtifactRef,
) -> Result<&'a ArtifactFile, String> {
    artifact.files.iter().find(|file| file.name == paths.server()).ok_or_else(|| {
        let names: Vec<&str> = artifact.files.iter().map(|file| file.name.as_str()).collect();
        format!(
            "the artifact of {} {} has no file `{}` for {} (it has: {})",
            artifact.pack,
            artifact.release,
            paths.server(),
            paths.live().display(),
            names.join(", ")
        )
    })
}

/// The files on the host: those of the folder in the artifact's order, then the binary beside the live one.
fn targets(paths: &NodePaths, artifact: &ArtifactRef) -> Vec<PathBuf> {
    let folder = paths.artifact_dir(&artifact.pack, &artifact.release);
    let tools = artifact.files.iter().map(|file| folder.join(&file.name));
    tools.chain([paths.beside(&artifact.release)]).collect()
}

fn wanted<'a>(paths: &NodePaths, artifact: &'a ArtifactRef) -> Vec<&'a Digest> {
    let server = artifact.files.iter().find(|file| file.name == paths.server());
    artifact.files.iter().chain(server).map(|file| &file.sha256).collect()
}

fn enough_space(
    facts: &HostFacts,
    artifact: &ArtifactRef,
    lacking: &[usize],
    host: &str,
    folder: &Path,
) -> Result<(), String> {
    let need: u64 =
        lacking.iter().filter_map(|at| artifact.files.get(*at)).map(|file| file.size_bytes).sum();
    let need = need.saturating_add(SPARE_BYTES);
    let mib = |bytes: u64| bytes.div_ceil(1024 * 1024);
    match facts.free_bytes {
        Some(free) if free < need => Err(format!(
            "{} on {host} has {} MiB free, {} MiB are needed to stage {} {}: free some space and stage again",
            folder.display(),
            mib(free),
            mib(need),
            artifact.pack,
            artifact.release
        )),
        Some(_) => Ok(()),
        None => Err(format!("cannot tell how much space {} on {host} has", folder.display())),
    }
}

async fn copy(
    transport: &dyn Transport,
    paths: &NodePaths,
    artifact: &ArtifactRef,
    cache: &Cache,
    lacking: &[usize],
    machine: &str,
) -> Answer<u64> {
    let local = match cache.bring(artifact).await {
        Ok(local) => local,
        Err(error) => return Answer::Failed(error.sentence()),
    };
    // What a package is made for, dpkg tells on the host.
    let programs = artifact.files.iter().zip(&local);
    for (file, path) in programs.filter(|(file, _)| DebName::of(&file.name).is_none()) {
        let objection = match program::look(path) {
            Ok((program, size)) => program::objection(&program, size, machine),
            Err(error) => Some(format!("cannot be read: {error}")),
        };
        if let Some(objection) = objection {
            return Answer::Failed(format!(
                "`{}` of {} {} {objection}: it was not staged on {}",
                file.name,
                artifact.pack,
                artifact.release,
                transport.name()
            ));
        }
    }
    let folder = paths.artifact_dir(&artifact.pack, &artifact.release);
    let mut copied = 0;
    for at in lacking {
        let answer = match artifact.files.get(*at).zip(local.get(*at)) {
            Some((file, source)) => put(transport, source, &folder.join(&file.name)).await,
            // The target after the files is the binary beside the live one: a second name for the server's file.
            None => {
                link(transport, &folder.join(paths.server()), &paths.beside(&artifact.release))
                    .await
            }
        };
        match answer {
            Answer::Done(()) => copied += artifact.files.get(*at).map_or(0, |file| file.size_bytes),
            Answer::Failed(because) => return Answer::Failed(because),
            Answer::Unknown(because) => return Answer::Unknown(because),
        }
    }
    Answer::Done(copied)
}

async fn put(transport: &dyn Transport, source: &Path, target: &Path) -> Answer<()> {
    let folder = target.parent().unwrap_or_else(|| Path::new("/"));
    let make = Command { clean_env: true, ..Command::new(["mkdir", "-p", "--", &text(folder)]) };
    match shell::run(transport, "making the folder of the release", &make, LINK_LIMIT).await {
        Answer::Done(_) => transport.put(source, target, PROGRAM_MODE).await,
        Answer::Failed(because) => Answer::Failed(because),
        Answer::Unknown(because) => Answer::Unknown(because),
    }
}

async fn link(transport: &dyn Transport, file: &Path, name: &Path) -> Answer<()> {
    let command = shell::script(include_str!("link.sh"), &[&text(file), &text(name)]);
    shell::run(transport, "naming the staged binary", &command, LINK_LIMIT).await.map(|_| ())
}

async fn facts(
    transport: &dyn Transport,
    folder: &Path,
    files: &[PathBuf],
    known: &Prints,
) -> Answer<HostFacts> {
    let each = files.iter().enumerate().flat_map(|(at, file)| {
        [text(file), Fingerprint::word(known.0.get(at).and_then(Option::as_ref))]
    });
    let words: Vec<String> = std::iter::once(text(folder)).chain(each).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let command = shell::script(include_str!("facts.sh"), &words);
    shell::run(transport, "looking at the staged files", &command, DIGEST_LIMIT)
        .await
        .map(|text| read_facts(&text, files.len()))
}

fn read_facts(text: &str, files: usize) -> HostFacts {
    let mut facts = HostFacts {
        machine: String::new(),
        free_bytes: None,
        found: vec![Found::Nothing; files],
        prints: Prints(vec![None; files]),
    };
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["machine", name] => (*name).clone_into(&mut facts.machine),
            ["free", kib] => {
                facts.free_bytes = kib.parse::<u64>().ok().map(|kib| kib.saturating_mul(1024))
            }
            ["file", number, digest] => {
                let slot = number.parse::<usize>().ok().and_then(|at| facts.found.get_mut(at));
                match (slot, *digest) {
                    (Some(slot), "same") => *slot = Found::Same,
                    (Some(slot), digest) if digest.len() == 64 => {
                        *slot = Found::Content(Digest::new(digest));
                    }
                    _ => {}
                }
            }
            ["print", number, ..] => {
                let slot = number.parse::<usize>().ok().and_then(|at| facts.prints.0.get_mut(at));
                let print = line.splitn(3, ' ').nth(2);
                if let (Some(slot), Some(print)) = (slot, print) {
                    *slot = Some(Fingerprint(print.to_owned()));
                }
            }
            _ => {}
        }
    }
    facts
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::ArtifactSource;

    #[test]
    fn reads_what_the_host_told() {
        let digest = "a".repeat(64);
        let text = format!(
            "machine x86_64\nfree 2048\nfile 0 {digest}\nprint 0 1:2:3:2026-01-01 00:00:00.5 +0000\nfile 1 -\n\
             file 2 unreadable\nfile 3 same\nfile 9 {digest}\n"
        );
        let facts = read_facts(&text, 4);
        assert_eq!(facts.machine, "x86_64");
        assert_eq!(facts.free_bytes, Some(2 * 1024 * 1024));
        let wanted = Digest::new(digest);
        let whole: Vec<bool> = (0..5).map(|at| facts.is_whole(at, &wanted)).collect();
        assert_eq!(whole, [true, false, false, true, false]);
        assert!(!facts.is_whole(0, &Digest::new("b".repeat(64))));
        let print = Fingerprint("1:2:3:2026-01-01 00:00:00.5 +0000".to_owned());
        assert_eq!(facts.prints.0, [Some(print), None, None, None]);
    }

    #[test]
    fn a_disk_that_is_too_small_is_refused_with_the_numbers() {
        let file = |name: &str| ArtifactFile {
            name: name.to_owned(),
            sha256: Digest::new("0"),
            size_bytes: 100 << 20,
        };
        let artifact = ArtifactRef {
            pack: "etcd".into(),
            release: "3.4.23".parse().unwrap(),
            source: ArtifactSource::Folder("/nowhere".into()),
            files: vec![file("etcd"), file("etcdctl")],
        };
        let said = |free_bytes: Option<u64>, lacking: &[usize]| {
            let facts = HostFacts {
                machine: String::new(),
                free_bytes,
                found: Vec::new(),
                prints: Prints::default(),
            };
            enough_space(&facts, &artifact, lacking, "db-1", Path::new("/opt/bin"))
                .err()
                .unwrap_or_default()
        };
        assert_eq!(said(Some(264 << 20), &[0, 1, 2]), "");
        assert_eq!(said(Some(164 << 20), &[1]), "");
        assert!(
            said(Some(263 << 20), &[0, 1])
                .contains("/opt/bin on db-1 has 263 MiB free, 264 MiB are needed")
        );
        assert!(said(None, &[0]).contains("cannot tell"));
    }
}
