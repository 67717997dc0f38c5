//! Brings settings over: in arguments, environment variables and the lines of a configuration file.

use super::{
    Hit,
    file::Wanted,
    settings::{NodeSettings, Place, value_after},
};
use quorate_model::{ConfigChange, ProcessSpec, ServiceSpec, Setting, SettingSource};
use std::collections::BTreeMap;

/// One setting to take away and settings to add in the same place.
pub(crate) struct Edit {
    place: Option<Place>,
    key: String,
    remove: bool,
    set: Vec<Set>,
}

/// A setting to add.
struct Set {
    key: String,
    value: String,
    /// The old value, unchanged.
    as_it_was: bool,
}

/// A member's configuration as it shall be.
#[derive(Debug, Clone)]
pub(crate) struct Rewritten {
    pub(crate) change: ConfigChange,
    /// Settings that would have to change and cannot be edited.
    pub(super) stays: Vec<Stays>,
    after: Option<NodeSettings>,
}

/// A setting that cannot be edited.
#[derive(Debug, Clone)]
pub(super) struct Stays {
    pub(super) source: SettingSource,
    pub(super) key: String,
    pub(super) because: String,
}

impl Default for Rewritten {
    fn default() -> Self {
        let change = ConfigChange { service: None, files: Vec::new(), diff: Vec::new() };
        Self { change, stays: Vec::new(), after: None }
    }
}

impl Rewritten {
    pub(crate) fn is_empty(&self) -> bool {
        self.change.diff.is_empty() && self.stays.is_empty()
    }

    /// Why a setting that would have to change cannot be edited.
    pub(crate) fn because(&self) -> Option<&str> {
        self.stays.first().map(|stays| stays.because.as_str())
    }
}

/// The edit that a rule's rewrite asks for.
pub(super) fn of(hit: &Hit<'_>) -> Edit {
    let value = hit.place.as_ref().map_or("", |place| place.setting.value.as_str());
    let rewrite = hit.rule.rewrite.as_ref();
    let set = rewrite.into_iter().flat_map(|rewrite| &rewrite.set);
    let set = set.map(|(key, template)| Set {
        key: key.clone(),
        value: template.replace("{value}", value),
        as_it_was: template == "{value}",
    });
    Edit {
        place: hit.place.clone(),
        key: hit.rule.key.clone(),
        remove: rewrite.is_some_and(|rewrite| rewrite.remove),
        set: set.collect(),
    }
}

/// The rewrite in a few words; an empty text means: leave it out.
pub(super) fn shown(hit: &Hit<'_>) -> String {
    let set = of(hit).set;
    set.iter().map(|set| format!("{}={}", set.key, set.value)).collect::<Vec<_>>().join(" ")
}

/// Where a setting of a unit stands is for a person to see when no file says it in plain words.
fn said_by_unit(unit: &str) -> String {
    format!(
        "no file of the unit {unit} says it in words of its own: change it where `systemctl cat {unit}` shows it"
    )
}

impl NodeSettings {
    /// The configuration after these edits. Nothing is changed until it is accepted.
    pub(super) fn rewritten(&self, edits: impl Iterator<Item = Edit>) -> Rewritten {
        let mut after = self.clone();
        let mut result = Rewritten::default();
        let diff = &mut result.change.diff;
        for edit in edits {
            let source = edit.place.as_ref().map_or_else(|| self.home(), |own| own.setting.source);
            let done = match source {
                SettingSource::Flag | SettingSource::Env if after.unit().is_some() => {
                    after.edit_unit(source, &edit, diff)
                }
                SettingSource::Flag => {
                    after.edit_argv(&edit, diff);
                    Ok(())
                }
                SettingSource::Env => {
                    after.edit_env(&edit, diff);
                    Ok(())
                }
                SettingSource::File => after.edit_file(&edit, diff),
            };
            if let Err(because) = done {
                result.stays.push(Stays { source, key: edit.key, because });
            }
        }
        if after.service != self.service {
            result.change.service.clone_from(&after.service);
        }
        if let (Some(before), Some(file)) = (&self.file, &after.file) {
            result.change.files.extend(file.since(before));
        }
        let of_unit = self.unit_files.iter().zip(&after.unit_files);
        result.change.files.extend(of_unit.filter_map(|(before, file)| file.since(before)));
        result.after = Some(after);
        result
    }

    /// The configuration with these settings, each said where the member says it now, else where it would be added.
    pub(crate) fn with(&self, settings: &BTreeMap<String, String>) -> Rewritten {
        self.rewritten(settings.iter().map(|(key, value)| self.edit(key, value)))
    }

    /// The same, and without these.
    pub(crate) fn changed(&self, set: &BTreeMap<String, String>, unset: &[String]) -> Rewritten {
        let gone = unset.iter().filter_map(|key| {
            let place = self.places(key).into_iter().find(|place| place.stays)?;
            Some(Edit { place: Some(place), key: key.clone(), remove: true, set: Vec::new() })
        });
        let same = |key: &str, value: &str| {
            let mut places = self.places(key).into_iter().filter(|place| place.stays);
            places.next().is_some_and(|place| place.setting.value == value)
        };
        let new = set.iter().filter(|(key, value)| !same(key, value));
        self.rewritten(new.map(|(key, value)| self.edit(key, value)).chain(gone))
    }

    fn edit(&self, key: &str, value: &str) -> Edit {
        Edit {
            place: self.places(key).into_iter().find(|place| place.stays),
            key: key.to_owned(),
            remove: true,
            set: vec![Set { key: key.to_owned(), value: value.to_owned(), as_it_was: false }],
        }
    }

    fn unit(&self) -> Option<&str> {
        match &self.service {
            Some(ServiceSpec::Systemd(unit)) => Some(&unit.unit),
            Some(ServiceSpec::Process(_)) | None => None,
        }
    }

    /// Takes the rewrite for given: later hops start from it.
    pub(super) fn accept(&mut self, rewritten: Rewritten) {
        if let Some(after) = rewritten.after {
            *self = after;
        }
    }

    /// Where a setting that nobody set is added: where the member takes its settings from.
    fn home(&self) -> SettingSource {
        if self.file.is_some() {
            return SettingSource::File;
        }
        let declared = self.declared();
        let said =
            |source| declared.iter().any(|own| own.source == source && !self.plain(own).is_empty());
        match said(SettingSource::Env) && !said(SettingSource::Flag) {
            true => SettingSource::Env,
            false => SettingSource::Flag,
        }
    }

    fn edit_argv(&mut self, edit: &Edit, diff: &mut Vec<String>) {
        let by_file = self.file.is_some();
        let Some(ServiceSpec::Process(ProcessSpec { argv, .. })) = &mut self.service else {
            return;
        };
        if edit.remove {
            remove_flag(argv, &edit.key, diff);
        }
        // Beside a file a flag changes nothing: it only must not be one that the release does not know.
        for Set { key, value, .. } in edit.set.iter().filter(|_| !by_file) {
            let word = format!("--{key}={value}");
            if !argv.contains(&word) {
                diff.push(format!("+ {word}"));
                argv.push(word);
            }
        }
    }

    fn edit_env(&mut self, edit: &Edit, diff: &mut Vec<String>) {
        let old = self.variable(&edit.key);
        let new: Vec<_> =
            edit.set.iter().map(|set| (self.variable(&set.key), &set.value)).collect();
        let Some(ServiceSpec::Process(ProcessSpec { env, .. })) = &mut self.service else { return };
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

    fn edit_file(&mut self, edit: &Edit, diff: &mut Vec<String>) -> Result<(), String> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let set: Vec<Wanted<'_>> = edit.set.iter().map(|set| set.wanted(set.key.clone())).collect();
        file.edit(SettingSource::File, edit.remove.then_some(edit.key.as_str()), &set, diff)
    }

    /// In the file of the unit that says the setting; a new one where the unit says others of its kind.
    fn edit_unit(
        &mut self,
        source: SettingSource,
        edit: &Edit,
        diff: &mut Vec<String>,
    ) -> Result<(), String> {
        let name = |key: &str| match source {
            SettingSource::Env => self.variable(key),
            SettingSource::Flag | SettingSource::File => format!("--{key}"),
        };
        // Beside a file flags and variables change nothing.
        let set = edit.set.iter().filter(|_| self.file.is_none());
        let set: Vec<Wanted<'_>> = set.map(|set| set.wanted(name(&set.key))).collect();
        let said = |(source, key, value): (_, String, &str)| Setting {
            source,
            key,
            value: value.to_owned(),
        };
        let new: Vec<Setting> =
            set.iter().map(|set| said((source, set.name.clone(), set.value))).collect();
        let remove = edit.place.is_some() && edit.remove;
        let found = match edit.place {
            Some(_) => self.unit_files.iter().position(|file| file.says(source, &edit.key)),
            None => self.unit_files.iter().rposition(|file| file.takes(source)),
        };
        let unit = self.unit().unwrap_or_default();
        let at = found.ok_or_else(|| said_by_unit(unit))?;
        let Some(file) = self.unit_files.get_mut(at) else { return Ok(()) };
        file.edit(source, remove.then_some(edit.key.as_str()), &set, diff)?;
        let is_old = |own: &Setting| {
            let key = self.plain(own);
            let replaced = edit.set.iter().any(|set| set.key == key);
            own.source == source && (replaced || (remove && key == edit.key))
        };
        let old: Vec<bool> = self.running.iter().map(is_old).collect();
        let mut old = old.into_iter();
        self.running.retain(|_| !old.next().unwrap_or_default());
        self.running.extend(new);
        Ok(())
    }
}

impl Set {
    fn wanted(&self, name: String) -> Wanted<'_> {
        Wanted { key: &self.key, name, value: &self.value, as_it_was: self.as_it_was }
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
