//! What a member runs with, and what its service would start it with, by the plain names of settings.

use super::{file::ConfigText, template::Templated};
use crate::members::Member;
use quorate_model::{Cluster, ConfigTemplate, ProcessSpec, ServiceSpec, Setting, SettingSource};
use quorate_packs::{Pack, config_template};
use std::path::Path;

/// The settings of one member.
#[derive(Debug, Clone)]
pub(crate) struct NodeSettings {
    pub(super) service: Option<ServiceSpec>,
    pub(super) env_prefix: Option<String>,
    /// The setting that names the configuration file.
    file_setting: Option<String>,
    /// The configuration file that the member reads. With one, the product takes nothing from flags and variables; a flag
    /// that it does not know keeps it from starting all the same.
    pub(super) file: Option<ConfigText>,
    /// The files that say what its unit starts it with.
    pub(super) unit_files: Vec<ConfigText>,
    /// The files that the operator's templates make.
    pub(super) templated: Vec<Templated>,
    /// What the process runs with, and what its file says; of a unit, what it will be started with.
    pub(super) running: Vec<Setting>,
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
    pub(crate) fn new(pack: &Pack, cluster: &Cluster, member: &Member<'_>) -> Self {
        let form = pack.detect.as_ref().map(|detect| &detect.process);
        let seen = member.seen;
        let mut settings = Self {
            service: member.node.service.clone(),
            env_prefix: form.and_then(|form| form.env_prefix.clone()),
            file_setting: form.and_then(|form| form.file_setting.clone()),
            file: None,
            unit_files: seen
                .iter()
                .flat_map(|seen| &seen.unit_files)
                .map(ConfigText::new)
                .collect(),
            templated: Vec::new(),
            running: seen.map(|seen| seen.settings.clone()).unwrap_or_default(),
        };
        settings.file = settings.file_read(seen.and_then(|seen| seen.config_file.as_ref()));
        let made = |template: &ConfigTemplate| {
            let files = seen.map_or(&[][..], |seen| &seen.templated);
            // A path that cannot be said is told where the file was looked for.
            let path = config_template::path(template, cluster, member.node);
            let path = path.unwrap_or_else(|_| template.path.clone());
            let seen = files.iter().find(|file| file.path == path);
            Templated::new(template, path, seen)
        };
        settings.templated = cluster.config.iter().map(made).collect();
        let files = settings.file.iter_mut().chain(&mut settings.unit_files);
        for file in files {
            let own = settings.templated.iter().find(|own| own.path() == file.path());
            if let Some(own) = own {
                file.belongs_to(&own.template.template);
            }
        }
        settings
    }

    /// The file that the member will read: the one that was seen, unless its service names another by now.
    fn file_read(&self, seen: Option<&quorate_model::ConfigFileSeen>) -> Option<ConfigText> {
        let name = self.file_setting.as_deref()?;
        let declared = self.declared();
        let named = declared.iter().rev().find(|setting| self.plain(setting) == name);
        let Some(named) = named else {
            // A service that names none starts the member without; without a service nobody starts it but as it runs.
            return seen.filter(|_| self.service.is_none()).map(ConfigText::new);
        };
        let is_it = |seen: &&quorate_model::ConfigFileSeen| {
            Path::new(&seen.path).ends_with(named.value.trim_start_matches("./"))
        };
        let unseen = || ConfigText::unseen(&named.value);
        Some(seen.filter(is_it).map_or_else(unseen, ConfigText::new))
    }

    /// Where a setting is said, by its plain name. What only the running process has is gone with its next start, so it
    /// is told and harms nothing. Beside a configuration file a variable is not even read.
    pub(super) fn places(&self, key: &str) -> Vec<Place> {
        let declared = self.declared();
        let counts = |setting: &&Setting| match setting.source {
            SettingSource::Flag => true,
            SettingSource::Env => self.file.is_none(),
            SettingSource::File => self.file.is_some(),
        };
        let mut places: Vec<Place> = declared
            .iter()
            .filter(counts)
            .filter(|setting| self.plain(setting) == key)
            .map(|setting| Place { setting: setting.clone(), stays: true })
            .collect();
        let file = self.file.as_ref().and_then(|file| file.rewritten(key));
        let running = self.running.iter().filter(counts).filter(|s| self.plain(s) == key);
        for setting in running {
            let in_file = setting.source == SettingSource::File;
            let known = places.iter().any(|place| place.setting.source == setting.source);
            if known || (in_file && file.is_some()) {
                continue;
            }
            let stays = in_file || self.service.is_none();
            places.push(Place { setting: setting.clone(), stays });
        }
        let rewritten = file.flatten().map(|value| Setting {
            source: SettingSource::File,
            key: key.to_owned(),
            value: value.to_owned(),
        });
        places.extend(rewritten.map(|setting| Place { setting, stays: true }));
        places
    }

    /// Whether the member relies on the default of a setting.
    pub(super) fn relies_on_default(&self, key: &str) -> bool {
        let mut places = self.places(key).into_iter();
        !places.any(|place| self.file.is_none() || place.setting.source == SettingSource::File)
    }

    /// What the member will run with once it is started again.
    pub(super) fn once_started(&self) -> Vec<Setting> {
        let by_service = match &self.service {
            Some(ServiceSpec::Process(_)) => self.declared(),
            // A unit is started with what stands on its host; what it runs with is the best that is known of that.
            Some(ServiceSpec::Systemd(_)) | None => self.running.clone(),
        };
        let mut settings: Vec<Setting> =
            by_service.into_iter().filter(|s| s.source != SettingSource::File).collect();
        if let Some(file) = &self.file {
            let unchanged = |setting: &&Setting| {
                setting.source == SettingSource::File && file.rewritten(&setting.key).is_none()
            };
            settings.extend(self.running.iter().filter(unchanged).cloned());
            settings.extend(file.settings());
        }
        settings
    }

    /// What the service would start the member with.
    pub(super) fn declared(&self) -> Vec<Setting> {
        let Some(service) = &self.service else { return Vec::new() };
        let Some(ProcessSpec { argv, env, .. }) = service.process() else {
            let by_unit = |s: &&Setting| s.source != SettingSource::File;
            return self.running.iter().filter(by_unit).cloned().collect();
        };
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
