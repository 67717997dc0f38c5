//! What a member runs with, and what its service would start it with, by the plain names of settings.

use crate::members::Member;
use quorate_model::{ServiceSpec, Setting, SettingSource};
use quorate_packs::Pack;

/// Facts under which an observation carries a member's configuration file.
const FILE_PATH_FACT: &str = "config_file";
const FILE_TEXT_FACT: &str = "config_text";

/// The settings of one member.
#[derive(Debug, Clone)]
pub(crate) struct NodeSettings {
    pub(super) service: Option<ServiceSpec>,
    pub(super) env_prefix: Option<String>,
    pub(super) file: Option<(String, String)>,
    /// What the running process was started with.
    running: Vec<Setting>,
}

/// A setting and whether the member would be started with it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) setting: Setting,
    pub(crate) stays: bool,
}

impl Place {
    /// As a person wrote it.
    pub(crate) fn shown(&self) -> String {
        let Setting { source, key, value } = &self.setting;
        match (source, value.is_empty()) {
            (SettingSource::File, _) => format!("{key}: {value}"),
            (_, true) => key.clone(),
            (_, false) => format!("{key}={value}"),
        }
    }
}

impl NodeSettings {
    pub(crate) fn new(pack: &Pack, member: &Member<'_>) -> Self {
        let fact = |name: &str| {
            let value = member.seen?.facts.get(name)?.as_str()?;
            Some(value.to_owned())
        };
        Self {
            service: member.node.service.clone(),
            env_prefix: pack.detect.as_ref().and_then(|detect| detect.process.env_prefix.clone()),
            file: fact(FILE_PATH_FACT).zip(fact(FILE_TEXT_FACT)),
            running: member.seen.map(|seen| seen.settings.clone()).unwrap_or_default(),
        }
    }

    /// Where a setting is said, by its plain name. What only the running process has is gone with its next start, so it
    /// is told and harms nothing.
    pub(super) fn places(&self, key: &str) -> Vec<Place> {
        let declared = self.declared();
        let mut places: Vec<Place> = declared
            .iter()
            .filter(|setting| self.plain(setting) == key)
            .map(|setting| Place { setting: setting.clone(), stays: true })
            .collect();
        for setting in self.running.iter().filter(|setting| self.plain(setting) == key) {
            let known = places.iter().any(|place| place.setting.source == setting.source);
            if !known {
                let stays = setting.source == SettingSource::File || self.service.is_none();
                places.push(Place { setting: setting.clone(), stays });
            }
        }
        places
    }

    /// What the service would start the member with.
    fn declared(&self) -> Vec<Setting> {
        let Some(ServiceSpec::Process { argv, env, .. }) = &self.service else { return Vec::new() };
        let mut settings = flags(argv);
        settings.extend(env.iter().map(|(key, value)| Setting {
            source: SettingSource::Env,
            key: key.clone(),
            value: value.clone(),
        }));
        settings
    }

    pub(super) fn plain(&self, setting: &Setting) -> String {
        match setting.source {
            SettingSource::Flag => setting.key.trim_start_matches('-').to_owned(),
            SettingSource::File => setting.key.clone(),
            SettingSource::Env => {
                let bare =
                    self.env_prefix.as_deref().and_then(|prefix| setting.key.strip_prefix(prefix));
                // A variable of another program is no setting of this one.
                bare.map(|bare| bare.to_lowercase().replace('_', "-")).unwrap_or_default()
            }
        }
    }

    /// The variable of a plain name.
    pub(super) fn variable(&self, key: &str) -> String {
        let prefix = self.env_prefix.as_deref().unwrap_or_default();
        format!("{prefix}{}", key.to_uppercase().replace('-', "_"))
    }
}

/// Reads flags as the products of our packs do: `--key=value`, `--key value`, a bare `--key`.
pub(super) fn flags(argv: &[String]) -> Vec<Setting> {
    let mut settings = Vec::new();
    for (at, word) in argv.iter().enumerate().skip(1) {
        if !word.starts_with('-') {
            continue;
        }
        let (key, value) = match word.split_once('=') {
            Some((key, value)) => (key, value.to_owned()),
            None => (word.as_str(), value_after(argv, at).cloned().unwrap_or_default()),
        };
        settings.push(Setting { source: SettingSource::Flag, key: key.to_owned(), value });
    }
    settings
}

/// The word after a flag without `=`, when it is the flag's value.
pub(super) fn value_after(argv: &[String], at: usize) -> Option<&String> {
    argv.get(at + 1).filter(|next| !next.starts_with('-'))
}
