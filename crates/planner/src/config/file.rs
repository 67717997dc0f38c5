//! A configuration file across the hops of a plan: known by its digest and the places of settings, changed by edits.
//!
//! Invariant: whatever was not seen of the file stays as it is; a secret is never known here, so it cannot be written.

use quorate_model::{ConfigFileSeen, Digest, FileRewrite, Setting, SettingSource, TextEdit};
use quorate_packs::config_text::{line, renamed};
use std::collections::BTreeMap;

/// A file with what the hops so far have made of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ConfigText {
    path: String,
    sha256: Option<Digest>,
    unread: Option<String>,
    by_hand: Option<String>,
    /// In the order of the file, its end last.
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
    /// Settings that stand there, each with its text.
    now: Vec<(String, String)>,
}

/// A setting that shall stand in the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted<'a> {
    pub(super) key: &'a str,
    pub(super) value: &'a str,
    /// The value of the old setting, unchanged.
    pub(super) as_it_was: bool,
}

impl ConfigText {
    pub(super) fn new(seen: &ConfigFileSeen) -> Self {
        let slot = |span: &quorate_model::ConfigSpan| Slot {
            at: span.at,
            original: span.text.clone(),
            now: vec![(span.key.clone(), span.text.trim_end().to_owned())],
        };
        let mut slots: Vec<Slot> = seen.spans.iter().map(slot).collect();
        slots.push(Slot { at: seen.size_bytes, original: String::new(), now: Vec::new() });
        Self {
            path: seen.path.clone(),
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

    /// Takes a setting out and puts others in its place. What it cannot do, it does not begin.
    pub(super) fn edit(
        &mut self,
        remove: Option<&str>,
        set: &[Wanted<'_>],
        diff: &mut Vec<String>,
    ) -> Result<(), String> {
        if let Some(because) = &self.by_hand {
            return Err(format!("{}: {because}", self.path));
        }
        let at = match remove {
            Some(key) => Some(self.slot_of(key).ok_or_else(|| self.no_place(key))?),
            None => None,
        };
        let old = at.and_then(|at| self.take(at, remove.unwrap_or_default()));
        if let (Some(key), Some(old)) = (remove, &old) {
            diff.extend(old.lines().map(|line| format!("- {line}")));
            self.changed.insert(key.to_owned(), None);
        }
        for Wanted { key, value, as_it_was } in set {
            let as_written = old.as_deref().filter(|_| *as_it_was);
            let text =
                as_written.and_then(|old| renamed(old, key)).unwrap_or_else(|| line(key, value));
            self.put(at, key, text, diff);
            self.changed.insert((*key).to_owned(), Some((*value).to_owned()));
        }
        Ok(())
    }

    fn no_place(&self, key: &str) -> String {
        format!(
            "{}: the lines of `{key}` cannot be told apart from what stands around them",
            self.path
        )
    }

    fn slot_of(&self, key: &str) -> Option<usize> {
        self.slots.iter().position(|slot| slot.now.iter().any(|(own, _)| own == key))
    }

    fn take(&mut self, at: usize, key: &str) -> Option<String> {
        let slot = self.slots.get_mut(at)?;
        let place = slot.now.iter().position(|(own, _)| own == key)?;
        Some(slot.now.remove(place).1)
    }

    /// In the place of its own line, else of the one that it follows, else at the end.
    fn put(&mut self, beside: Option<usize>, key: &str, text: String, diff: &mut Vec<String>) {
        let own = self.slot_of(key);
        let at = own.or(beside).unwrap_or(self.slots.len().saturating_sub(1));
        let before = own.and_then(|own| self.take(own, key));
        if before.as_ref() != Some(&text) {
            diff.extend(before.iter().flat_map(|old| old.lines()).map(|line| format!("- {line}")));
            diff.extend(text.lines().map(|line| format!("+ {line}")));
        }
        if let Some(slot) = self.slots.get_mut(at) {
            slot.now.push((key.to_owned(), text));
        }
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

impl Slot {
    fn text(&self, open_end: bool) -> String {
        let texts: Vec<&str> = self.now.iter().map(|(_, text)| text.as_str()).collect();
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
