//! What a process really runs with: its flags, its environment and its configuration file, as one list of settings.
//!
//! Invariant: a secret never leaves this file unmasked.

use quorate_model::{Digest, Setting, SettingSource};
use quorate_packs::ProcessForm;
use serde_saphyr::options::DuplicateKeyPolicy;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// What stands in place of a secret.
pub const MASK: &str = "***";

/// A setting's plain name: `--log-output`, `ETCD_LOG_OUTPUT` and `log-output` are one.
pub fn plain_name(setting: &Setting, form: &ProcessForm) -> String {
    plain(setting.source, &setting.key, form)
}

/// The same, of a name as it is written.
pub fn plain(source: SettingSource, key: &str, form: &ProcessForm) -> String {
    match source {
        SettingSource::Flag => key.trim_start_matches('-').to_owned(),
        SettingSource::Env => {
            let prefix = form.env_prefix.as_deref().unwrap_or_default();
            let name = key.strip_prefix(prefix).unwrap_or(key);
            name.to_lowercase().replace('_', "-")
        }
        SettingSource::File => key.to_owned(),
    }
}

/// Flags of a command line. A word after a flag that is no flag itself is its value.
pub fn from_argv(argv: &[String]) -> Vec<Setting> {
    let mut settings: Vec<Setting> = Vec::new();
    let mut open = false;
    for word in argv.iter().skip(1) {
        let is_flag = word.len() > 1 && word.starts_with('-') && word.parse::<f64>().is_err();
        if is_flag {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            settings.push(setting(SettingSource::Flag, key, value));
            open = !word.contains('=');
        } else if let (true, Some(last)) = (open, settings.last_mut()) {
            last.value.clone_from(word);
            open = false;
        }
    }
    settings
}

/// Variables of the product.
pub fn from_env(env: &BTreeMap<String, String>, form: &ProcessForm) -> Vec<Setting> {
    let Some(prefix) = form.env_prefix.as_deref().filter(|prefix| !prefix.is_empty()) else {
        return Vec::new();
    };
    env.iter()
        .filter(|(key, _)| key.starts_with(prefix))
        .map(|(key, value)| setting(SettingSource::Env, key, value))
        .collect()
}

/// Keys of a YAML configuration file; nested ones are joined with dots. Of a key that stands there twice the last one counts,
/// as it does for programs that read such files.
pub fn from_file(text: &str) -> Result<Vec<Setting>, String> {
    let options = serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::LastWins };
    let tree: serde_json::Value = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())?;
    let mut settings = Vec::new();
    match &tree {
        serde_json::Value::Object(_) => flatten("", &tree, &mut settings),
        serde_json::Value::Null => {}
        _ => return Err("it holds no mapping of settings".into()),
    }
    Ok(settings)
}

fn flatten(path: &str, value: &serde_json::Value, into: &mut Vec<Setting>) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, value, into);
            }
        }
        serde_json::Value::Null => into.push(setting(SettingSource::File, path, "")),
        serde_json::Value::String(text) => into.push(setting(SettingSource::File, path, text)),
        other => into.push(setting(SettingSource::File, path, &other.to_string())),
    }
}

fn setting(source: SettingSource, key: &str, value: &str) -> Setting {
    Setting { source, key: key.to_owned(), value: value.to_owned() }
}

/// The value of a setting, by its plain name; a flag wins over the environment, that over the file.
pub fn value_of<'a>(settings: &'a [Setting], name: &str, form: &ProcessForm) -> Option<&'a str> {
    let of = |source: SettingSource| {
        let fits = move |s: &&Setting| s.source == source && plain_name(s, form) == name;
        settings.iter().rev().find(fits)
    };
    of(SettingSource::Flag)
        .or_else(|| of(SettingSource::Env))
        .or_else(|| of(SettingSource::File))
        .map(|s| s.value.as_str())
}

fn is_secret(setting: &Setting, form: &ProcessForm) -> bool {
    let name = plain_name(setting, form);
    let last = name.rsplit('.').next().unwrap_or(&name);
    form.secret_settings.iter().any(|secret| *secret == name || secret == last)
}

/// The values of secret settings, to be taken out of whatever repeats them.
pub fn secrets<'s>(settings: &'s [Setting], form: &ProcessForm) -> Vec<&'s str> {
    let secret = settings.iter().filter(|setting| is_secret(setting, form));
    secret.map(|setting| setting.value.as_str()).filter(|value| !value.is_empty()).collect()
}

/// Hides the values of secret settings.
pub fn mask(settings: &mut [Setting], form: &ProcessForm) {
    for setting in settings.iter_mut().filter(|setting| is_secret(setting, form)) {
        if !setting.value.is_empty() {
            setting.value = MASK.to_owned();
        }
    }
}

/// Hides secrets in a command line.
pub fn masked_argv(argv: &[String], form: &ProcessForm) -> Vec<String> {
    let mut hide_next = false;
    let mask_word = |word: &String| {
        let hidden = std::mem::take(&mut hide_next);
        let key = word.split_once('=').map_or(word.as_str(), |(key, _)| key);
        let secret =
            word.starts_with('-') && is_secret(&setting(SettingSource::Flag, key, ""), form);
        match (secret, word.contains('=')) {
            (true, true) => format!("{key}={MASK}"),
            (true, false) => {
                hide_next = true;
                word.clone()
            }
            (false, _) if hidden && !word.starts_with('-') => MASK.to_owned(),
            (false, _) => word.clone(),
        }
    };
    argv.iter().map(mask_word).collect()
}

/// Digest over the settings without what must differ between members: the name, the folder and the addresses.
pub fn digest(settings: &[Setting], form: &ProcessForm) -> Digest {
    let own = [&form.name_setting, &form.data_setting, &form.file_setting];
    let mut lines: Vec<String> = settings
        .iter()
        .map(|setting| (plain_name(setting, form), setting.value.as_str()))
        .filter(|(name, value)| {
            let is_own = own.iter().any(|own| own.as_deref() == Some(name))
                || form.own_settings.contains(name);
            !is_own && !value.contains("://")
        })
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect();
    lines.sort();
    Digest::new(hex::encode(Sha256::digest(lines.concat().as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> ProcessForm {
        ProcessForm {
            names: vec!["etcd".into()],
            env_prefix: Some("ETCD_".into()),
            file_setting: Some("config-file".into()),
            data_setting: Some("data-dir".into()),
            more_data_settings: Vec::new(),
            peer_setting: None,
            name_setting: Some("name".into()),
            own_settings: Vec::new(),
            secret_settings: vec!["auth-token".into()],
        }
    }

    fn argv(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    fn shown(settings: &[Setting]) -> String {
        settings.iter().map(|s| format!("{}={}", s.key, s.value)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn reads_flags_in_every_form() {
        let settings = from_argv(&argv(
            "/bin/etcd --name m1 -data-dir=/d --debug --snapshot-count -1 --enable-v2=false",
        ));
        assert_eq!(
            shown(&settings),
            "--name=m1 -data-dir=/d --debug= --snapshot-count=-1 --enable-v2=false"
        );
    }

    #[test]
    fn reads_a_configuration_file() {
        let settings = from_file(
            "name: m1\nclient-transport-security:\n  cert-file: /c\n  client-cert-auth: true\nsnapshot-count: 5\n",
        );
        assert_eq!(
            shown(&settings.unwrap()),
            "name=m1 client-transport-security.cert-file=/c client-transport-security.client-cert-auth=true snapshot-count=5"
        );
        assert!(from_file("- a\n- b").is_err());
        assert!(from_file("a: [").is_err());
        assert!(from_file("").unwrap().is_empty());
    }

    #[test]
    fn a_flag_wins_over_the_environment() {
        let env = BTreeMap::from([("ETCD_NAME".into(), "e".into()), ("HOME".into(), "/".into())]);
        let mut settings = from_env(&env, &form());
        assert_eq!(shown(&settings), "ETCD_NAME=e");
        assert_eq!(value_of(&settings, "name", &form()), Some("e"));
        settings.extend(from_argv(&argv("etcd --name f")));
        assert_eq!(value_of(&settings, "name", &form()), Some("f"));
        assert_eq!(value_of(&settings, "data-dir", &form()), None);
    }

    #[test]
    fn secrets_are_masked_everywhere() {
        for line in ["etcd --auth-token s3cret --name a", "etcd --auth-token=s3cret --name a"] {
            let words = argv(line);
            assert!(!masked_argv(&words, &form()).concat().contains("s3cret"), "{line}");
            let mut settings = from_argv(&words);
            assert_eq!(secrets(&settings, &form()), ["s3cret"]);
            mask(&mut settings, &form());
            assert!(!shown(&settings).contains("s3cret"), "{line}");
            assert!(shown(&settings).contains("--name=a"));
        }
        let env = BTreeMap::from([("ETCD_AUTH_TOKEN".into(), "s3cret".into())]);
        let mut settings = from_env(&env, &form());
        mask(&mut settings, &form());
        assert_eq!(shown(&settings), "ETCD_AUTH_TOKEN=***");
    }

    #[test]
    fn two_members_configured_alike_have_one_digest() {
        let of = |line: &str| digest(&from_argv(&argv(line)), &form());
        let a =
            of("etcd --name a --data-dir /a --listen-client-urls http://h1:1 --snapshot-count 5");
        let b =
            of("etcd --name b --data-dir /b --listen-client-urls http://h2:1 --snapshot-count 5");
        let c =
            of("etcd --name b --data-dir /b --listen-client-urls http://h2:1 --snapshot-count 6");
        assert_eq!(a, b);
        assert_ne!(a, c);
    }
}
