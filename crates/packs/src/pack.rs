//! A pack, ready for use: its file, its digest, and every expression and template parsed.

use crate::{
    PackFile, TemplateValue,
    eval::{Programs, Scope, Truth},
};
use quorate_model::{Digest, Release};
use std::{collections::BTreeMap, ops::Deref};

/// Everything Quorate knows of one product, ready for use.
#[derive(Debug)]
pub struct Pack {
    file: PackFile,
    digest: Digest,
    programs: Programs,
}

impl Deref for Pack {
    type Target = PackFile;
    fn deref(&self) -> &PackFile {
        &self.file
    }
}

impl Pack {
    pub(crate) fn new(file: PackFile) -> Self {
        let programs = Programs::new(file.scheme.line_parts, []);
        Self { file, digest: Digest::new(""), programs }
    }
    /// SHA-256 over the pack's canonical JSON.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }
    /// Evaluates a condition; whatever cannot be evaluated is unknown.
    pub fn holds(&self, cel: &str, scope: &Scope) -> Truth {
        self.programs.holds(cel, scope)
    }
    /// Evaluates an expression over plain variables, as probes do.
    pub fn value(
        &self,
        cel: &str,
        vars: &BTreeMap<String, serde_json::Value>,
    ) -> Result<serde_json::Value, String> {
        self.programs.value(cel, &Scope::of(vars))
    }
    /// Evaluates an expression over a scope.
    pub fn value_in(&self, cel: &str, scope: &Scope) -> Result<serde_json::Value, String> {
        self.programs.value(cel, scope)
    }
    /// Fills in a template of this pack.
    pub fn render(&self, template: &str, context: &TemplateValue) -> Result<String, String> {
        crate::render(template, context)
    }
    /// The words that differ by release, for one release.
    pub fn vars_for(&self, release: &Release) -> BTreeMap<String, String> {
        let word = |words: &[crate::PerRelease]| {
            words.iter().find(|word| word.releases.contains(release)).map(|word| word.value.clone())
        };
        self.vars.iter().filter_map(|(name, words)| Some((name.clone(), word(words)?))).collect()
    }
    /// The upstream release in a version text, distribution suffixes mapped away.
    pub fn upstream(&self, version: &str) -> Option<Release> {
        version.trim().parse().ok()
    }
    /// The release line of a release: `3.4`.
    pub fn line(&self, release: &Release) -> String {
        release.line(self.scheme.line_parts)
    }
}
