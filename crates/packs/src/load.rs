//! Files to packs: reads, merges what they include, and checks.
//!
//! A file that has the key `pack` is a pack; the other files of its folder are parts of it when it includes them.

use crate::{
    Pack, PackFile,
    lint::lint_pack,
    merge::{Merged, merge},
};
use quorate_model::PackName;
use quorate_syntax::{Diagnostic, Tree, nearest, parse, read_tree};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock},
};

/// The files of `packs/` at the root of the repository, each with its name below that folder.
static BUILTIN_FILES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

static BUILTIN: LazyLock<Packs> = LazyLock::new(|| {
    // Linted by a test, not at every start: a start must cost as little as it can.
    let loaded = read(&builtin_files(), Care::Read);
    let mut packs = Packs::default();
    packs.add(loaded.packs);
    packs
});

/// The files of the built-in packs, name and text.
pub fn builtin_files() -> Vec<(String, String)> {
    BUILTIN_FILES.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

/// Every pack at hand, by name.
#[derive(Debug, Default, Clone)]
pub struct Packs {
    packs: BTreeMap<PackName, Arc<Pack>>,
}

impl Packs {
    /// The packs that are compiled in.
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }
    /// The built-in packs, with those of these files added or in their place. A file is `(name, text)`.
    pub fn load(extra: &[(String, String)]) -> Result<Self, Vec<Diagnostic>> {
        let loaded = read(extra, Care::Lint);
        if loaded.found.iter().any(Diagnostic::is_error) {
            return Err(loaded.found);
        }
        let mut packs = Self::builtin().clone();
        packs.add(loaded.packs);
        Ok(packs)
    }
    fn add(&mut self, packs: Vec<Pack>) {
        self.packs.extend(packs.into_iter().map(|pack| (pack.pack.clone(), Arc::new(pack))));
    }
    /// Finds a pack by its name.
    pub fn get(&self, name: &PackName) -> Option<&Pack> {
        self.packs.get(name).map(AsRef::as_ref)
    }
    /// Finds a pack by its name, to be kept by whoever uses it for long.
    pub fn shared(&self, name: &PackName) -> Option<Arc<Pack>> {
        self.packs.get(name).cloned()
    }
    /// All packs, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Pack> {
        self.packs.values().map(AsRef::as_ref)
    }
    /// Names of all packs.
    pub fn names(&self) -> impl Iterator<Item = &PackName> {
        self.packs.keys()
    }
    /// The known pack whose name is most like this one.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.packs.keys().map(PackName::as_str))
    }
}

/// Checks pack files and says everything that is wrong with them, in the order of the files.
pub fn lint(files: &[(String, String)]) -> Vec<Diagnostic> {
    let order = |file: &str| files.iter().position(|(name, _)| name == file);
    let mut found = read(files, Care::Lint).found;
    found.sort_by(|a, b| {
        (order(&a.file), a.line, a.column).cmp(&(order(&b.file), b.line, b.column))
    });
    found
}

struct Loaded {
    packs: Vec<Pack>,
    found: Vec<Diagnostic>,
}

/// How closely files are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Care {
    /// Read and merged.
    Read,
    /// And linted.
    Lint,
}

fn read(files: &[(String, String)], care: Care) -> Loaded {
    let mut found = Vec::new();
    let mut trees = BTreeMap::new();
    let mut broken = BTreeSet::new();
    for (name, text) in files {
        match parse(name, text) {
            Ok(tree) => drop(trees.insert(name.clone(), tree)),
            Err(diagnostic) => {
                broken.insert(name.clone());
                found.push(diagnostic);
            }
        }
    }
    let mut packs: Vec<Pack> = Vec::new();
    let mut used = BTreeSet::new();
    for root in trees.values().filter(|tree| tree.get("pack").is_some()) {
        let Merged { tree, files } = merge(root, &trees, &broken, &mut found);
        used.extend(files);
        match read_tree::<PackFile>(&tree) {
            Ok(file) => {
                if care == Care::Lint {
                    found.extend(lint_pack(&file, &tree));
                }
                found.extend(twin(&file, &tree, &packs));
                packs.push(Pack::new(file));
            }
            Err(diagnostics) => found.extend(diagnostics),
        }
    }
    found.extend(
        trees
            .iter()
            .filter(|(name, _)| !used.contains(*name))
            .map(|(name, tree)| stray(name, tree)),
    );
    Loaded { packs, found }
}

/// Two packs of one name among the files: one of them would silently win.
fn twin(file: &PackFile, tree: &Tree, packs: &[Pack]) -> Option<Diagnostic> {
    let before = packs.iter().find(|pack| pack.pack == file.pack)?;
    let place = tree.nearest(&["pack".into()]);
    let message = format!("there is another pack `{}` among these files", before.pack);
    Some(Diagnostic::error(place.file.as_ref(), place.at(), "pack-twin", message))
}

fn stray(name: &str, tree: &Tree) -> Diagnostic {
    let message =
        "this file belongs to no pack: it has no key `pack`, and no pack of its folder includes it";
    Diagnostic::error(name, tree.place.at(), "pack-stray", message)
        .with_hint("name it under `include` of the folder's `pack.yaml`")
}
