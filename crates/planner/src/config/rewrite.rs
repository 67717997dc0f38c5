//! Brings settings over: in arguments, environment variables and the flat keys of a YAML file.

use super::{
    Hit,
    settings::{NodeSettings, Place, value_after},
};
use crate::digest::text_digest;
use quorate_model::{ConfigChange, FileRewrite, ServiceSpec, SettingSource};
use std::collections::BTreeMap;

/// One setting to take away and settings to add in the same place.
pub(crate) struct Edit {
    place: Option<Place>,
    key: String,
    remove: bool,
    set: BTreeMap<String, String>,
}

/// A member's configuration as it shall be.
#[derive(Debug, Clone)]
pub(crate) struct Rewritten {
    pub(crate) change: ConfigChange,
    /// A file would have to change and its content is not known.
    pub(crate) file_unread: bool,
}

impl Default for Rewritten {
    fn default() -> Self {
        let change = ConfigChange { service: None, files: Vec::new(), diff: Vec::new() };
        Self { change, file_unread: false }
    }
}

impl Rewritten {
    pub(crate) fn is_empty(&self) -> bool {
        self.change.diff.is_empty() && !self.file_unread
    }
}

/// The edit that a rule's rewrite asks for.
pub(super) fn of(hit: &Hit<'_>) -> Edit {
    let value = hit.place.as_ref().map_or("", |place| place.setting.value.as_str());
    let rewrite = hit.rule.rewrite.as_ref();
    let set = rewrite.into_iter().flat_map(|rewrite| &rewrite.set);
    Edit {
        place: hit.place.clone(),
        key: hit.rule.key.clone(),
        remove: rewrite.is_some_and(|rewrite| rewrite.remove),
        set: set.map(|(key, template)| (key.clone(), template.replace("{value}", value))).collect(),
    }
}

/// The rewrite in a few words; an empty text means: leave it out.
pub(super) fn shown(hit: &Hit<'_>) -> String {
    of(hit).set.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

impl NodeSettings {
    /// The configuration after these edits. Nothing is changed until it is accepted.
    pub(super) fn rewritten(&self, edits: impl Iterator<Item = Edit>) -> Rewritten {
        let mut after = self.clone();
        let mut result = Rewritten::default();
        for edit in edits {
            match edit.place.as_ref().map_or_else(|| self.home(), |place| place.setting.source) {
                SettingSource::Flag => after.edit_argv(&edit, &mut result.change.diff),
                SettingSource::Env => after.edit_env(&edit, &mut result.change.diff),
                SettingSource::File if after.file.is_some() => {
                    after.edit_file(&edit, &mut result.change.diff)
                }
                SettingSource::File => result.file_unread = true,
            }
        }
        if after.service != self.service {
            result.change.service = after.service;
        }
        if let (Some((path, before)), Some((_, content))) = (&self.file, after.file)
            && *before != content
        {
            let expect_sha256 = text_digest(before);
            result.change.files.push(FileRewrite { path: path.clone(), expect_sha256, content });
        }
        result
    }

    /// The configuration with these settings, each said where the member says it now, else where it would be added.
    pub(crate) fn with(&self, settings: &BTreeMap<String, String>) -> Rewritten {
        self.rewritten(settings.iter().map(|(key, value)| Edit {
            place: self.places(key).into_iter().find(|place| place.stays),
            key: key.clone(),
            remove: true,
            set: BTreeMap::from([(key.clone(), value.clone())]),
        }))
    }

    /// Takes the rewrite for given: later hops start from it.
    pub(super) fn accept(&mut self, rewritten: Rewritten) {
        if let Some(service) = rewritten.change.service {
            self.service = Some(service);
        }
        for file in rewritten.change.files {
            self.file = Some((file.path, file.content));
        }
    }

    /// Where a setting that nobody set is added: in the file when the member reads one, since it ignores the rest then.
    fn home(&self) -> SettingSource {
        if self.file.is_some() { SettingSource::File } else { SettingSource::Flag }
    }

    fn edit_argv(&mut self, edit: &Edit, diff: &mut Vec<String>) {
        let Some(ServiceSpec::Process { argv, .. }) = &mut self.service else { return };
        if edit.remove {
            remove_flag(argv, &edit.key, diff);
        }
        for (key, value) in &edit.set {
            let word = format!("--{key}={value}");
            if !argv.contains(&word) {
                diff.push(format!("+ {word}"));
                argv.push(word);
            }
        }
    }

    fn edit_env(&mut self, edit: &Edit, diff: &mut Vec<String>) {
        let old = self.variable(&edit.key);
        let new: Vec<_> = edit.set.iter().map(|(key, value)| (self.variable(key), value)).collect();
        let Some(ServiceSpec::Process { env, .. }) = &mut self.service else { return };
        if edit.remove
            && let Some(value) = env.remove(&old)
        {
            diff.push(format!("- {old}={value}"));
        }
        for (key, value) in new {
            diff.push(format!("+ {key}={value}"));
            env.insert(key, value.clone());
        }
    }

    fn edit_file(&mut self, edit: &Edit, diff: &mut Vec<String>) {
        let Some((_, text)) = &mut self.file else { return };
        if edit.remove {
            *text = without_key(text, &edit.key, diff);
        }
        for (key, value) in &edit.set {
            let line = format!("{key}: {value}");
            diff.push(format!("+ {line}"));
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(&line);
            text.push('\n');
        }
    }
}

fn remove_flag(argv: &mut Vec<String>, key: &str, diff: &mut Vec<String>) {
    let mut at = 1;
    while at < argv.len() {
        let word = &argv[at];
        let name = word.split_once('=').map_or(word.as_str(), |(name, _)| name);
        if !word.starts_with('-') || name.trim_start_matches('-') != key {
            at += 1;
            continue;
        }
        let with_value = !word.contains('=') && value_after(argv, at).is_some();
        let removed: Vec<String> = argv.drain(at..=at + usize::from(with_value)).collect();
        diff.push(format!("- {}", removed.join(" ")));
    }
}

/// A top-level key of a YAML file and the indented lines that belong to it, taken out; everything else stays as written.
fn without_key(text: &str, key: &str, diff: &mut Vec<String>) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut inside = false;
    for line in text.split_inclusive('\n') {
        let begins = line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(':'));
        let belongs = inside && line.starts_with([' ', '\t', '-']);
        inside = begins || belongs;
        if inside {
            diff.push(format!("- {}", line.trim_end()));
        } else {
            kept.push_str(line);
        }
    }
    kept
}
