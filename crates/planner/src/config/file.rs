//! A configuration file, or a file of a unit, across the hops of a plan: known by its digest and the places of settings,
//! changed by edits.
//!
//! Invariant: whatever was not seen of the file stays as it is; a secret is never known here, so it cannot be written.

use quorate_model::{
    ConfigFileSeen, ConfigSpan, Digest, FileForm, FileRewrite, Setting, SettingSource, TextEdit,
};
use quorate_packs::{
    config_text::{line, renamed, spans},
    unit_text::{environment_line, flag_word, unit_line},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// A file with what the hops so far have made of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ConfigText {
    path: String,
    form: FileForm,
    sha256: Option<Digest>,
    unread: Option<String>,
    by_hand: Option<String>,
    /// In the order of the file, its end last where lines can be added.
    slots: Vec<Slot>,
    /// The last line has no end, so that a line that is added begins with one.
    open_end: bool,
    /// Settings that hops have changed: their values, none for those that are gone.
    changed: BTreeMap<String, Option<String>>,
}

/// A place of the file at which a setting stands or is added.
#[derive(Debug, Clone, PartialEq)]
struct Slot {
    at: u64,
    original: String,
    source: SettingSource,
    /// Settings that stand there, each with its text.
    now: Vec<(String, String)>,
}

/// A setting that shall stand in the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted<'a> {
    pub(super) key: &'a str,
    /// As it is said where it stands: `--debug`, `ETCD_DEBUG`; in a file of the product it is the key.
    pub(super) name: String,
    pub(super) value: &'a str,
    /// The value of the old setting, unchanged.
    pub(super) as_it_was: bool,
}

impl ConfigText {
    pub(super) fn new(seen: &ConfigFileSeen) -> Self {
        let slot = |span: &ConfigSpan| {
            let own = (!span.key.is_empty()).then(|| (span.key.clone(), own_text(span)));
            Slot {
                at: span.at,
                original: span.text.clone(),
                source: span.source,
                now: own.into_iter().collect(),
            }
        };
        let mut slots: Vec<Slot> = seen.spans.iter().map(slot).collect();
        let at_end = match seen.form {
            FileForm::Yaml => Some(SettingSource::File),
            FileForm::Environment => Some(SettingSource::Env),
            // The last lines of a unit belong to another section.
            FileForm::Unit => None,
        };
        slots.extend(at_end.map(|source| Slot {
            at: seen.size_bytes,
            original: String::new(),
            source,
            now: Vec::new(),
        }));
        Self {
            path: seen.path.clone(),
            form: seen.form,
            sha256: seen.sha256.clone(),
            unread: seen.unread.clone(),
            by_hand: seen.by_hand.clone().or_else(|| seen.unread.clone()),
            slots,
            open_end: seen.open_end,
            changed: BTreeMap::new(),
        }
    }

    /// A file that the member will read and nobody has looked at.
    pub(super) fn unseen(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            form: FileForm::Yaml,
            sha256: None,
            unread: Some("it was not seen".into()),
            by_hand: Some("it was not seen".into()),
            slots: Vec::new(),
            open_end: false,
            changed: BTreeMap::new(),
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// From now on a template says what it holds, and edits would be lost with the next rendering.
    pub(super) fn belongs_to(&mut self, template: &Path) {
        let template = template.display();
        self.by_hand = Some(format!("it is made from {template}: say it there for this release"));
    }

    /// Takes note of the settings in lines that a template has taken out and put in.
    pub(super) fn rendered(&mut self, removed: &str, inserted: &str, keys: &BTreeSet<&str>) {
        let said = |text: &str| spans(text, keys);
        self.changed.extend(said(removed).into_iter().map(|span| (span.key, None)));
        self.changed.extend(said(inserted).into_iter().map(|span| {
            let value = span.text.split_once(':').map_or("", |(_, value)| value).trim();
            let quoted = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
            let bare = quoted('"').or_else(|| quoted('\'')).unwrap_or(value);
            (span.key, Some(bare.to_owned()))
        }));
    }

    /// Why it is not known what it says.
    pub(super) fn unread(&self) -> Option<&str> {
        self.unread.as_deref()
    }

    /// What a hop has made of a setting: its value, or gone.
    pub(super) fn rewritten(&self, key: &str) -> Option<Option<&str>> {
        self.changed.get(key).map(|value| value.as_deref())
    }

    /// What hops have set in it.
    pub(super) fn settings(&self) -> impl Iterator<Item = Setting> {
        let set = self.changed.iter().filter_map(|(key, value)| Some((key, value.clone()?)));
        set.map(|(key, value)| Setting { source: SettingSource::File, key: key.clone(), value })
    }

    /// Whether it says this setting at a place of its own.
    pub(super) fn says(&self, source: SettingSource, key: &str) -> bool {
        self.slot_of(source, key).is_some()
    }

    /// Whether it says settings of this source, and further ones can be added.
    pub(super) fn takes(&self, source: SettingSource) -> bool {
        let own = || self.slots.iter().filter(|slot| slot.source == source);
        self.end_of(source).is_some() && own().any(|slot| !slot.now.is_empty())
    }

    /// Takes a setting out and puts others in its place. What it cannot do, it does not begin.
    pub(super) fn edit(
        &mut self,
        source: SettingSource,
        remove: Option<&str>,
        set: &[Wanted<'_>],
        diff: &mut Vec<String>,
    ) -> Result<(), String> {
        if let Some(because) = &self.by_hand {
            return Err(format!("{}: {because}", self.path));
        }
        let mut after = self.clone();
        let mut told = Vec::new();
        after.edit_all(source, remove, set, &mut told)?;
        *self = after;
        diff.extend(told);
        Ok(())
    }

    fn edit_all(
        &mut self,
        source: SettingSource,
        remove: Option<&str>,
        set: &[Wanted<'_>],
        diff: &mut Vec<String>,
    ) -> Result<(), String> {
        let at = match remove {
            Some(key) => Some(self.slot_of(source, key).ok_or_else(|| self.no_place(key))?),
            None => None,
        };
        let old = at.and_then(|at| self.take(at, remove.unwrap_or_default()));
        if let (Some(key), Some(old)) = (remove, &old) {
            diff.extend(shown("-", old));
            self.changed.insert(key.to_owned(), None);
        }
        for wanted in set {
            let text = self.text_of(source, wanted, old.as_deref())?;
            self.put(source, at, wanted.key, text, diff)?;
            self.changed.insert(wanted.key.to_owned(), Some(wanted.value.to_owned()));
        }
        Ok(())
    }

    /// How the file says a setting.
    fn text_of(
        &self,
        source: SettingSource,
        wanted: &Wanted<'_>,
        old: Option<&str>,
    ) -> Result<String, String> {
        let Wanted { key, name, value, as_it_was } = wanted;
        let text = match (source, self.form) {
            (SettingSource::File, _) => {
                let as_written = old.filter(|_| *as_it_was).and_then(|old| renamed(old, key));
                Some(as_written.unwrap_or_else(|| line(key, value)))
            }
            (SettingSource::Env, FileForm::Environment) => environment_line(name, value),
            (SettingSource::Env, _) => unit_line(name, value),
            (SettingSource::Flag, _) => {
                let lead = old.map_or(" ", lead);
                flag_word(name, value).map(|word| format!("{lead}{word}"))
            }
        };
        text.ok_or_else(|| {
            format!("{}: `{name}` with its value cannot be said there without quotes", self.path)
        })
    }

    fn no_place(&self, key: &str) -> String {
        match self.form {
            FileForm::Yaml => format!(
                "{}: the lines of `{key}` cannot be told apart from what stands around them",
                self.path
            ),
            FileForm::Environment | FileForm::Unit => format!(
                "{}: the words of `{key}` cannot be told apart from what stands around them",
                self.path
            ),
        }
    }

    fn slot_of(&self, source: SettingSource, key: &str) -> Option<usize> {
        let says =
            |slot: &Slot| slot.source == source && slot.now.iter().any(|(own, _)| own == key);
        self.slots.iter().position(says)
    }

    /// Where settings of a source are added.
    fn end_of(&self, source: SettingSource) -> Option<usize> {
        self.slots.iter().rposition(|slot| slot.source == source && slot.original.is_empty())
    }

    fn take(&mut self, at: usize, key: &str) -> Option<String> {
        let slot = self.slots.get_mut(at)?;
        let place = slot.now.iter().position(|(own, _)| own == key)?;
        Some(slot.now.remove(place).1)
    }

    /// In the place of its own line, else of the one that it follows, else at the end.
    fn put(
        &mut self,
        source: SettingSource,
        beside: Option<usize>,
        key: &str,
        text: String,
        diff: &mut Vec<String>,
    ) -> Result<(), String> {
        let own = self.slot_of(source, key);
        let at = own.or(beside).or_else(|| self.end_of(source));
        let at = at.ok_or_else(|| self.no_place(key))?;
        let before = own.and_then(|own| self.take(own, key));
        if before.as_ref() != Some(&text) {
            diff.extend(before.iter().flat_map(|old| shown("-", old)));
            diff.extend(shown("+", &text));
        }
        if let Some(slot) = self.slots.get_mut(at) {
            slot.now.push((key.to_owned(), text));
        }
        Ok(())
    }

    /// Everything that was done to it.
    pub(super) fn edits(&self) -> Vec<TextEdit> {
        let edit = |slot: &Slot| TextEdit {
            at: slot.at,
            remove: slot.original.clone(),
            insert: slot.text(self.open_end),
        };
        self.slots.iter().map(edit).filter(|edit| edit.remove != edit.insert).collect()
    }

    /// The rewrite that leads from an earlier state to this one.
    pub(super) fn since(&self, before: &Self) -> Option<FileRewrite> {
        let (before, after) = (before.edits(), self.edits());
        let original_sha256 = self.sha256.clone()?;
        (before != after).then(|| FileRewrite {
            path: self.path.clone(),
            original_sha256,
            before,
            after,
        })
    }
}

/// A setting's own text: words with the blank before them, lines without their end.
fn own_text(span: &ConfigSpan) -> String {
    match span.source {
        SettingSource::Flag => span.text.clone(),
        SettingSource::Env | SettingSource::File => span.text.trim_end().to_owned(),
    }
}

/// The blank before the first word, with the end of a line that goes on.
fn lead(words: &str) -> &str {
    let blank = |c: char| c.is_whitespace() || c == '\\';
    &words[..words.len() - words.trim_start_matches(blank).len()]
}

/// A text in a difference, line by line; words stand on one.
fn shown<'t>(sign: &'t str, text: &'t str) -> impl Iterator<Item = String> + 't {
    text.strip_prefix(lead(text)).unwrap_or(text).lines().map(move |line| format!("{sign} {line}"))
}

impl Slot {
    fn text(&self, open_end: bool) -> String {
        let texts: Vec<&str> = self.now.iter().map(|(_, text)| text.as_str()).collect();
        if self.source == SettingSource::Flag {
            return texts.concat();
        }
        let end = if self.original.ends_with("\r\n") { "\r\n" } else { "\n" };
        if texts.is_empty() {
            return String::new();
        }
        let lines = texts.join(end);
        match self.original.as_str() {
            "" if open_end => format!("\n{lines}\n"),
            "" => format!("{lines}\n"),
            original if original.ends_with('\n') => {
                let trail = &original[original.trim_end().len()..];
                format!("{lines}{trail}")
            }
            _ => lines,
        }
    }
}
