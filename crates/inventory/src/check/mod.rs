//! What a fleet file may not say, though it reads well: doubles, gaps, and limits that would not limit.
//!
//! Each finding points at its value. Read next: `nodes.rs`, `policy.rs`.

mod dependants;
mod nodes;
mod policy;
mod url;

pub(crate) use url::wrong_with as wrong_address;

use crate::{file::FleetFile, read::below};
use quorate_packs::Packs;
use quorate_syntax::{Diagnostic, Step, Tree};
use std::{collections::BTreeMap, path::Path};

/// Longest name: it becomes part of file names and of host names, which end at 63.
const NAME_MAX: usize = 63;

/// Says everything that is wrong with a file, in its order.
pub(crate) fn check(
    file: &FleetFile,
    tree: &Tree,
    folder: &Path,
    packs: &Packs,
) -> Vec<Diagnostic> {
    let mut check = Check { tree, folder, found: Vec::new(), owners: BTreeMap::new() };
    check.name(&["fleet".into()], "fleet", &file.fleet);
    // With an inventory alone, its hosts can be listed and worked on.
    if file.clusters.is_empty() && file.inventory.is_empty() {
        let hint = "`quorate init` adopts a running cluster, `quorate lab up` makes one";
        check.error(
            &["clusters".into()],
            "fleet-empty",
            "the fleet has no cluster",
            Some(hint.into()),
        );
    }
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for (c, cluster) in file.clusters.iter().enumerate() {
        let at = |key| ["clusters".into(), c.into(), Step::Key(key)];
        check.name(&at("name"), "cluster", cluster.name.as_str());
        if let Some(before) = names.insert(cluster.name.as_str(), c) {
            let line = check.line(&["clusters".into(), before.into(), "name".into()]);
            let message = format!("another cluster is called `{}`", cluster.name);
            check.error(
                &at("name"),
                "duplicate-cluster",
                message,
                Some(format!("the first is on line {line}")),
            );
        }
        check.pack(&at("pack"), cluster.pack.as_str(), packs);
        dependants::check(&mut check, c, cluster, packs);
        nodes::check(&mut check, c, cluster, packs);
        policy::check(&mut check, c, cluster);
    }
    let mut found = check.found;
    found.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
    // What `defaults` say wrongly is found again in every cluster, at the same place.
    found.dedup();
    at_most(found)
}

/// As many findings of one kind are shown at one place: an entry that makes three hundred nodes is wrong in one way.
const SHOWN_MAX: usize = 3;

fn at_most(found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut counts: BTreeMap<(u32, u32, &str), usize> = BTreeMap::new();
    let mut few = |one: &Diagnostic| {
        let count = counts.entry((one.line, one.column, one.code)).or_default();
        *count += 1;
        *count <= SHOWN_MAX
    };
    found.into_iter().filter(|one| few(one)).collect()
}

struct Check<'t> {
    tree: &'t Tree,
    folder: &'t Path,
    found: Vec<Diagnostic>,
    /// Who has an address, a file or a folder already: kind and value to node and line.
    owners: BTreeMap<(&'static str, String), (String, u32)>,
}

impl Check<'_> {
    fn error(
        &mut self,
        path: &[Step<'_>],
        code: &'static str,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let place = self.tree.nearest(path);
        let wrong = Diagnostic::error(place.file.as_ref(), place.at(), code, message);
        self.found.push(wrong.with_hint_if(hint));
    }
    /// A path as the fleet will have it, so that two ways to write one file are one.
    fn resolved(&self, path: &Path) -> String {
        below(self.folder, path).display().to_string()
    }
    fn line(&self, path: &[Step<'_>]) -> u32 {
        self.tree.nearest(path).line
    }

    fn name(&mut self, path: &[Step<'_>], what: &str, name: &str) {
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !begins || !name.chars().all(fine) || name.len() > NAME_MAX {
            let message = format!("`{name}` cannot be the name of a {what}");
            let hint = format!(
                "use letters, digits, `-`, `_` and `.`, a letter or digit first, at most {NAME_MAX}"
            );
            self.error(path, "bad-name", message, Some(hint));
        }
    }

    fn pack(&mut self, path: &[Step<'_>], name: &str, packs: &Packs) {
        if packs.names().any(|known| known.as_str() == name) {
            return;
        }
        let names: Vec<_> = packs.names().map(|known| known.as_str()).collect();
        let hint = match packs.nearest(name) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known packs: {}", names.join(", ")),
        };
        self.error(path, "unknown-pack", format!("there is no pack `{name}`"), Some(hint));
    }

    /// Two nodes on one address, file or folder would overwrite each other, or be one node written twice.
    fn alone(&mut self, path: &[Step<'_>], kind: &'static str, value: String, node: &str) {
        let line = self.line(path);
        if let Some((other, first)) = self.owners.get(&(kind, value.clone())) {
            let message = format!("{kind} `{value}` belongs to `{other}` already");
            let hint = format!("line {first} gives it to `{other}`: one of the two is wrong");
            self.error(path, "shared", message, Some(hint));
        } else {
            self.owners.insert((kind, value), (node.to_owned(), line));
        }
    }
}
