//! `inventory` of a fleet file to sources, and what is refused there.

use super::{AnswerError, ConsulFile, HostEntry, Source, SourceFile, SourceKind, SourceLimits};
use crate::{check::wrong_address, hosts::ListedHost, read::below};
use jiff::Timestamp;
use quorate_model::{Secret, TlsSpec};
use quorate_syntax::{Diagnostic, SECRET_IN_FILE, Step, Tree, read_tree};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

/// Longest time of any limit of a source: thirty days. An older answer says nothing of the hosts of today.
const SECS_MAX: f64 = 30.0 * 24.0 * 3600.0;
/// The name of the key.
const INVENTORY: &str = "inventory";

/// Reads the sources of a fleet file. Relative paths start at `folder`.
pub fn read_sources(
    file_name: &str,
    text: &str,
    folder: &Path,
) -> Result<Vec<Source>, Vec<Diagnostic>> {
    let tree = quorate_syntax::parse(file_name, text).map_err(|diagnostic| vec![diagnostic])?;
    sources_of(&tree, folder)
}

/// Reads the sources of a fleet file's tree.
pub(crate) fn sources_of(tree: &Tree, folder: &Path) -> Result<Vec<Source>, Vec<Diagnostic>> {
    let Some(inventory) = tree.get(INVENTORY) else { return Ok(Vec::new()) };
    refuse_tokens(inventory)?;
    let files: Vec<SourceFile> = read_tree(inventory)?;
    let mut found = Vec::new();
    let mut sources = Vec::new();
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    for (index, file) in files.into_iter().enumerate() {
        let mut reading = Reading { tree: inventory, index, found: &mut found };
        if let Some(before) = names.insert(file.name.clone(), index) {
            let line = inventory.nearest(&[before.into(), "name".into()]).line;
            let message = format!("another source is called `{}`", file.name);
            reading.error(&["name"], message, Some(format!("the first is on line {line}")));
        }
        sources.extend(reading.source(file, folder));
    }
    if found.is_empty() { Ok(sources) } else { Err(found) }
}

/// A token in the file is refused before any message could repeat it.
fn refuse_tokens(inventory: &Tree) -> Result<(), Vec<Diagnostic>> {
    let tokens = inventory.items().iter().filter_map(|one| one.get("consul")?.get("token"));
    let found: Vec<_> = tokens
        .filter(|token| token.as_text().is_some())
        .map(|token| {
            let place = &token.place;
            let message = "a token stands in the fleet file";
            Diagnostic::error(place.file.as_ref(), place.at(), SECRET_IN_FILE, message).with_hint(
                "write `token: {file: PATH}` or `token: {env: NAME}`, and change the token",
            )
        })
        .collect();
    if found.is_empty() { Ok(()) } else { Err(found) }
}

/// Answers the sources that the fleet file answers itself, takes the hosts of the others from what was asked before, and refuses
/// a host that two sources list.
pub(crate) fn hosts_of(
    tree: &Tree,
    sources: &[Source],
    asked: &[ListedHost],
) -> Result<Vec<ListedHost>, Vec<Diagnostic>> {
    let mut hosts: Vec<ListedHost> = Vec::new();
    let mut found = Vec::new();
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    for (index, source) in sources.iter().enumerate() {
        let place = tree.nearest(&[INVENTORY.into(), index.into()]);
        let mut error = |message: String, hint: String| {
            let wrong = Diagnostic::error(place.file.as_ref(), place.at(), "inventory", message);
            found.push(wrong.with_hint(hint));
        };
        let new = match &source.kind {
            SourceKind::Hosts(_) => source.hosts("", Timestamp::UNIX_EPOCH),
            _ => Ok(asked.iter().filter(|host| host.source == source.name).cloned().collect()),
        };
        match new {
            Ok(new) => {
                for host in new {
                    let owner = owners.insert(host.name.clone(), source.name.clone());
                    if let Some(owner) = owner.filter(|owner| *owner != source.name) {
                        error(
                            format!("the host `{}` is listed by `{owner}` and by `{}`", host.name, source.name),
                            "leave it out of one of them, or give it another name there with `facts: {name: …}`".into(),
                        );
                    }
                    hosts.push(host);
                }
            }
            Err(AnswerError { because, hint }) => {
                error(format!("the source `{}` cannot be used: {because}", source.name), hint);
            }
        }
    }
    if found.is_empty() { Ok(hosts) } else { Err(found) }
}

struct Reading<'a> {
    tree: &'a Tree,
    index: usize,
    found: &'a mut Vec<Diagnostic>,
}

impl Reading<'_> {
    fn error(&mut self, keys: &[&str], message: impl Into<String>, hint: Option<String>) {
        let path: Vec<Step<'_>> =
            [self.index.into()].into_iter().chain(keys.iter().map(|key| Step::Key(key))).collect();
        let place = self.tree.nearest(&path);
        let wrong = Diagnostic::error(place.file.as_ref(), place.at(), "inventory", message);
        self.found.push(wrong.with_hint_if(hint));
    }

    fn source(&mut self, file: SourceFile, folder: &Path) -> Option<Source> {
        let limits = self.limits(&file);
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let begins = file.name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !begins || !file.name.chars().all(fine) {
            let message = match file.name.is_empty() {
                true => "the source has no `name`".to_owned(),
                false => format!("`{}` cannot be the name of a source", file.name),
            };
            let hint =
                "use letters, digits, `-`, `_` and `.`: its answers are kept under that name";
            self.error(&["name"], message, Some(hint.into()));
        }
        let SourceFile { name, hosts, command, ansible, ec2, consul, labels, facts, sudo, .. } =
            file;
        let mut kinds: Vec<SourceKind> = Vec::new();
        kinds.extend(hosts.map(|entries| self.entries(entries)));
        kinds.extend(command.map(|argv| self.command(argv, folder)));
        kinds.extend(ansible.map(|paths| self.ansible(&paths, folder)));
        kinds.extend(ec2.map(SourceKind::Ec2));
        kinds.extend(consul.map(|consul| self.consul(consul, folder)));
        let one = "give it one of `hosts`, `command`, `ansible`, `ec2` and `consul`";
        if kinds.len() > 1 {
            let words: Vec<&str> = kinds.iter().map(SourceKind::word).collect();
            let message = format!("the source `{name}` is {} at once", words.join(" and "));
            self.error(&[], message, Some(one.into()));
        }
        let Some(kind) = kinds.pop() else {
            self.error(&[], format!("the source `{name}` says not where from"), Some(one.into()));
            return None;
        };
        if !labels.is_empty()
            && !matches!(kind, SourceKind::Ansible { .. } | SourceKind::Command { .. })
        {
            let message = format!("`labels` means variables of Ansible, `{name}` has none");
            self.error(&["labels"], message, Some("all labels of this source are kept".into()));
        }
        Some(Source { name, kind, labels, facts, sudo: sudo.unwrap_or(true), limits })
    }

    fn limits(&mut self, file: &SourceFile) -> SourceLimits {
        let default = SourceLimits::default();
        let mut time = |key: &str, secs: Option<f64>| {
            let secs = secs?;
            if !(0.0..=SECS_MAX).contains(&secs) || (key == "limit_secs" && secs == 0.0) {
                let message = format!("{secs} seconds are no `{key}`: give up to {SECS_MAX}");
                self.error(&[key], message, None);
            }
            Duration::try_from_secs_f64(secs).ok()
        };
        SourceLimits {
            answer: time("limit_secs", file.limit_secs).unwrap_or(default.answer),
            fresh: time("fresh_secs", file.fresh_secs).unwrap_or(default.fresh),
            fallback: time("fallback_secs", file.fallback_secs),
            lose_max: file.lose_max.unwrap_or(default.lose_max),
        }
    }

    fn entries(&mut self, entries: Vec<HostEntry>) -> SourceKind {
        for (n, entry) in entries.iter().enumerate() {
            let reached = entry.ssh.as_deref().unwrap_or(&entry.name);
            if reached.is_empty()
                || reached.starts_with('-')
                || reached.contains(char::is_whitespace)
            {
                let place = self.tree.nearest(&[self.index.into(), "hosts".into(), n.into()]);
                let message = format!("`{reached}` cannot be the name of a host");
                let wrong = Diagnostic::error(place.file.as_ref(), place.at(), "bad-host", message);
                self.found.push(wrong.with_hint("write it as for `ssh`: `db-1`, `anna@db-1`"));
            }
        }
        SourceKind::Hosts(entries)
    }

    fn command(&mut self, mut argv: Vec<String>, folder: &Path) -> SourceKind {
        match argv.first_mut() {
            None => self.error(&["command"], "the command has no word", None),
            // A name without a folder is looked for where programs are; anything else lies beside the file.
            Some(program) if program.contains('/') => {
                *program = below(folder, Path::new(program.as_str())).display().to_string();
            }
            Some(_) => {}
        }
        SourceKind::Command { argv, folder: folder.to_owned() }
    }

    fn ansible(&mut self, paths: &[PathBuf], folder: &Path) -> SourceKind {
        if paths.is_empty() {
            self.error(&["ansible"], "no inventory of Ansible is named", None);
        }
        // `host,host` is a list of hosts to Ansible, not a path.
        let is_list = |path: &PathBuf| path.to_string_lossy().contains(',');
        let paths = paths
            .iter()
            .map(|path| if is_list(path) { path.clone() } else { below(folder, path) })
            .collect();
        SourceKind::Ansible { paths, folder: folder.to_owned() }
    }

    fn consul(&mut self, mut consul: ConsulFile, folder: &Path) -> SourceKind {
        if let Some(because) = wrong_address(&consul.address) {
            let message = match consul.address.contains('@') {
                // What stands before the `@` may be a password.
                true => format!("the address of the agent is none: {because}"),
                false => format!("`{}` is no address of an agent: {because}", consul.address),
            };
            let hint = "write `http://127.0.0.1:8500`";
            self.error(&["consul", "address"], message, Some(hint.into()));
        }
        if let Some(Secret::File(path)) = &mut consul.token {
            *path = below(folder, path);
        }
        if let Some(TlsSpec { ca, cert, key }) = &mut consul.tls {
            for path in [Some(ca), cert.as_mut(), key.as_mut()].into_iter().flatten() {
                *path = below(folder, path);
            }
        }
        SourceKind::Consul(consul)
    }
}
