//! A pack, ready for use: its file, its digest, and every expression and template parsed.

use crate::{
    PackFile, PerRelease, TemplateValue,
    eval::{Programs, Scope, Truth},
    spots::{Kind, spots},
    template,
};
use minijinja::Environment;
use quorate_model::{Digest, Release};
use regex::Regex;
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Deref,
    sync::OnceLock,
};

/// Everything Quorate knows of one product, ready for use.
#[derive(Debug)]
pub struct Pack {
    file: PackFile,
    digest: Digest,
    programs: Programs,
    templates: Environment<'static>,
    /// Names that each template looks up, read from it at its first use.
    names: HashMap<String, OnceLock<Option<HashSet<String>>>>,
    upstream: Option<Regex>,
}

impl Deref for Pack {
    type Target = PackFile;
    fn deref(&self) -> &PackFile {
        &self.file
    }
}

impl Pack {
    /// Parses everything that the file holds. What does not parse is left out here and named by the linter.
    pub(crate) fn new(file: PackFile) -> Self {
        let mut templates = template::environment();
        let mut cel = Vec::new();
        for spot in spots(&file) {
            match spot.kind {
                Kind::Cel(_) => cel.push(spot.text),
                Kind::Template => {
                    drop(templates.add_template_owned(spot.text.to_owned(), spot.text.to_owned()))
                }
                Kind::Regex => {}
            }
        }
        let programs = Programs::new(file.scheme.line_parts, cel);
        let upstream = file.scheme.upstream.as_deref().and_then(|text| Regex::new(text).ok());
        let digest = digest(&file);
        let names = templates.templates().map(|(text, _)| (text.to_owned(), OnceLock::new()));
        let names = names.collect();
        Self { file, digest, programs, templates, names, upstream }
    }
    /// SHA-256 over the pack's canonical JSON: the same knowledge has the same digest, however it is spread over files.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }
    /// The pack as it was written.
    pub fn file(&self) -> &PackFile {
        &self.file
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
    /// Evaluates an expression over a scope that is already there: cheaper for many expressions over one answer.
    pub fn value_in(&self, cel: &str, scope: &Scope) -> Result<serde_json::Value, String> {
        self.programs.value(cel, scope)
    }
    /// Fills in a template of this pack.
    pub fn render(&self, template: &str, context: &TemplateValue) -> Result<String, String> {
        match self.templates.get_template(template) {
            Ok(parsed) => parsed.render(context.clone()).map_err(|error| template::explain(&error)),
            Err(_) => template::render(template, context),
        }
    }
    /// The names that a template of this pack looks up: other words need not be put together for it. Nothing when its
    /// text alone does not say.
    pub fn names_in(&self, template: &str) -> Option<&HashSet<String>> {
        let read = || template::names(&self.templates.get_template(template).ok()?);
        self.names.get(template)?.get_or_init(read).as_ref()
    }
    /// The words that differ by release, for one release; the first entry that fits counts.
    pub fn vars_for(&self, release: &Release) -> BTreeMap<String, String> {
        let word = |words: &[PerRelease]| {
            words.iter().find(|word| word.releases.contains(release)).map(|word| word.value.clone())
        };
        self.vars.iter().filter_map(|(name, words)| Some((name.clone(), word(words)?))).collect()
    }
    /// The upstream release in a version text, as a distribution or the product itself writes it.
    pub fn upstream(&self, version: &str) -> Option<Release> {
        let version = version.trim();
        match &self.upstream {
            Some(pattern) => pattern.captures(version)?.name("release")?.as_str().parse().ok(),
            None => version.parse().ok(),
        }
    }
    /// The release that a program named when it was asked for its version: `etcd Version: 3.4.23` says 3.4.23.
    pub fn release_said(&self, printed: &str) -> Option<Release> {
        let first = printed.lines().find(|line| !line.trim().is_empty())?;
        let bare = |word: &str| word.trim_start_matches('v').trim_end_matches(',').to_owned();
        first
            .split_whitespace()
            .find_map(|word| self.upstream(&bare(word)))
            .or_else(|| self.upstream(first))
    }
    /// The release line of a release: `3.4`.
    pub fn line(&self, release: &Release) -> String {
        release.line(self.scheme.line_parts)
    }
    /// The position of a release's line in `lines`, oldest first.
    pub fn line_index(&self, release: &Release) -> Option<usize> {
        let line = self.line(release);
        self.lines.iter().position(|known| known.line == line)
    }
}

/// Struct fields keep their order and maps are sorted, so that the JSON of equal packs is equal.
fn digest(file: &PackFile) -> Digest {
    let canonical = serde_json::to_vec(file).unwrap_or_default();
    Digest::new(hex::encode(Sha256::digest(&canonical)))
}
