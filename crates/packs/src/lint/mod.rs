//! Checks a pack that reads well: what serde cannot say. Each check names the file, line and column.
//!
//! Invariant: a rule without a source does not pass, and nothing that a run needs is parsed for the first time in a run.
//! Read next: `rules.rs` (knowledge), `recipes.rs` (procedures), `expressions.rs` (CEL, templates), `facts.rs` (what CEL reads).

mod expressions;
mod facts;
mod groups;
mod recipes;
mod rules;

use crate::{PACK_SCHEMA, PackFile};
use quorate_syntax::{Diagnostic, Severity, Step, Tree, nearest};

/// Checks one pack; `tree` is where it was read from.
pub(crate) fn lint_pack(pack: &PackFile, tree: &Tree) -> Vec<Diagnostic> {
    let mut lint = Lint { pack, tree, found: Vec::new() };
    lint.head();
    rules::check(&mut lint);
    recipes::check(&mut lint);
    expressions::check(&mut lint);
    facts::check(&mut lint);
    lint.found
}

struct Lint<'a> {
    pack: &'a PackFile,
    tree: &'a Tree,
    found: Vec<Diagnostic>,
}

impl Lint<'_> {
    fn say(
        &mut self,
        severity: Severity,
        path: &[Step<'_>],
        code: &'static str,
        text: String,
        hint: Option<String>,
    ) {
        let place = self.tree.nearest(path);
        let error = Diagnostic::error(place.file.as_ref(), place.at(), code, text);
        self.found.push(Diagnostic { severity, ..error }.with_hint_if(hint));
    }
    fn error(&mut self, path: &[Step<'_>], code: &'static str, text: impl Into<String>) {
        self.say(Severity::Error, path, code, text.into(), None);
    }
    fn error_hint(
        &mut self,
        path: &[Step<'_>],
        code: &'static str,
        text: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.say(Severity::Error, path, code, text.into(), Some(hint.into()));
    }
    fn warn(
        &mut self,
        path: &[Step<'_>],
        code: &'static str,
        text: impl Into<String>,
        hint: Option<String>,
    ) {
        self.say(Severity::Warning, path, code, text.into(), hint);
    }
    fn not_empty(&mut self, path: &[Step<'_>], text: &str, what: &str) {
        if text.trim().is_empty() {
            self.error(path, "pack-empty", format!("{what} is empty"));
        }
    }

    fn head(&mut self) {
        let pack = self.pack;
        if pack.schema != PACK_SCHEMA {
            let message = format!(
                "the pack has schema {}, this program reads schema {PACK_SCHEMA}",
                pack.schema
            );
            self.error(&["schema".into()], "pack-schema", message);
        }
        let name = pack.pack.as_str();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || !name.chars().all(plain) {
            self.error(
                &["pack".into()],
                "pack-name",
                format!("`{name}` is no name: use a-z, 0-9 and `-`"),
            );
        }
        self.not_empty(&["title".into()], &pack.title, "the title");
        self.not_empty(&["about".into()], &pack.about, "`about`");
        // Release lines are named by one to four numbers; a fifth is no line in any product's scheme.
        if !(1..=4).contains(&pack.scheme.line_parts) {
            let message = format!("a release line cannot have {} numbers", pack.scheme.line_parts);
            self.error(&["scheme".into(), "line_parts".into()], "pack-scheme", message);
        }
        if pack.scheme.binaries.is_empty() {
            let path = ["scheme".into(), "binaries".into()];
            self.error(&path, "pack-scheme", "the pack names no binary: the first is the server");
        }
    }

    /// Sources: at least one, each `KEY:path` with a known key.
    fn sources(&mut self, path: &[Step<'_>], sources: &[String], who: &str) {
        let path: Vec<_> = path.iter().copied().chain(["sources".into()]).collect();
        if sources.is_empty() {
            let hint = "name where it is said: a release note, a manual page, a line of the product's own code";
            self.error_hint(&path, "pack-no-source", format!("{who} names no source"), hint);
        }
        self.source_keys(&path, sources);
    }

    fn source_keys(&mut self, path: &[Step<'_>], sources: &[String]) {
        let pack = self.pack;
        for (i, source) in sources.iter().enumerate() {
            let key = source.split_once(':').map_or(source.as_str(), |(key, _)| key);
            if pack.sources.contains_key(key) {
                continue;
            }
            let path: Vec<_> = path.iter().copied().chain([i.into()]).collect();
            let hint = match nearest(key, pack.sources.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "add it under `sources`, with what it stands for".to_owned(),
            };
            self.error_hint(
                &path,
                "pack-unknown-source",
                format!("the source key `{key}` is not known"),
                hint,
            );
        }
    }
}
