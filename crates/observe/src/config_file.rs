//! Reads a member's configuration file: what it sets, and where it says what a coming release may have to change.
//!
//! Invariant: the text leaves this file only as masked settings and as the lines of settings that the pack's rules speak of;
//! never as a whole, never a secret. A span is given only when the file without it means the same but for that setting.

use crate::process::settings;
use quorate_model::{ConfigFileSeen, ConfigSpan, FileForm, Setting};
use quorate_packs::{Pack, ProcessForm, config_text};
use quorate_transport::Transport;
use std::{collections::BTreeSet, path::Path};

/// Configuration files of the products we know have a few kilobytes; a longer file is none.
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// A key that no product has: a file to which it can be added takes other lines at its end too.
const NEW_LINE: &str = "quorate-was-here: true\n";

/// What was read of a configuration file.
pub(crate) struct ConfigFile {
    pub(crate) seen: ConfigFileSeen,
    /// What it sets, secrets not yet masked, or why that is not known.
    pub(crate) settings: Result<Vec<Setting>, String>,
}

/// Reads it.
pub(crate) async fn read(
    transport: &dyn Transport,
    path: &Path,
    pack: &Pack,
    form: &ProcessForm,
) -> ConfigFile {
    let content = transport.read(path).await.into_result();
    let content = content.and_then(|content| match content.len() > FILE_BYTES_MAX {
        true => Err(format!("it is longer than {FILE_BYTES_MAX} bytes")),
        false => Ok(content),
    });
    of_content(path, content.as_deref(), pack, form)
}

fn of_content(
    path: &Path,
    content: Result<&[u8], &String>,
    pack: &Pack,
    form: &ProcessForm,
) -> ConfigFile {
    let mut seen = ConfigFileSeen {
        path: path.to_string_lossy().into_owned(),
        form: FileForm::Yaml,
        sha256: content.ok().map(config_text::sha256),
        size_bytes: content.map_or(0, |content| u64::try_from(content.len()).unwrap_or_default()),
        open_end: content.is_ok_and(|content| !content.is_empty() && !content.ends_with(b"\n")),
        spans: Vec::new(),
        unread: None,
        by_hand: None,
    };
    let text = content.map_err(Clone::clone).and_then(|content| {
        std::str::from_utf8(content).map_err(|_| "it is not a text in UTF-8".to_owned())
    });
    let settings = text.clone().and_then(settings::from_file);
    match (&text, &settings) {
        (Ok(text), Ok(_)) => match sound_spans(text, pack, form) {
            Some(spans) => seen.spans = spans,
            None => seen.by_hand = Some("its lines cannot be told apart".to_owned()),
        },
        (Err(because), _) | (_, Err(because)) => seen.unread = Some(because.clone()),
    }
    ConfigFile { seen, settings }
}

/// Settings that a plan may have to change: those that the pack speaks of, but for secret ones.
pub(crate) fn spoken_of<'p>(pack: &'p Pack, form: &ProcessForm) -> BTreeSet<&'p str> {
    let named = pack.config.iter().flat_map(|rule| {
        let set = rule.rewrite.iter().flat_map(|rewrite| rewrite.set.keys());
        std::iter::once(rule.key.as_str()).chain(set.map(String::as_str))
    });
    let changed = pack.setting_changes.iter().map(|change| change.key.as_str());
    let rejoin = pack.recipes.rejoin.iter().flat_map(|way| way.settings.keys().map(String::as_str));
    let is_secret = |key: &&str| form.secret_settings.iter().any(|secret| secret == key);
    named.chain(changed).chain(rejoin).filter(|key| !is_secret(key)).collect()
}

/// The spans that can be taken out without any other change; none at all when nothing can be added to the file.
fn sound_spans(text: &str, pack: &Pack, form: &ProcessForm) -> Option<Vec<ConfigSpan>> {
    let keys = spoken_of(pack, form);
    let means = |text: &str| settings::from_file(text).ok();
    let all = means(text)?;
    let open_end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let longer = means(&format!("{text}{open_end}{NEW_LINE}"))?;
    if longer.len() != all.len() + 1 || !all.iter().all(|setting| longer.contains(setting)) {
        return None;
    }
    let sound = |span: &ConfigSpan| {
        let own = |setting: &&Setting| {
            let rest = setting.key.strip_prefix(span.key.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let edit = quorate_model::TextEdit {
            at: span.at,
            remove: span.text.clone(),
            insert: String::new(),
        };
        let without = config_text::edited(text, &[edit]).and_then(|text| means(&text));
        let others: Vec<&Setting> = all.iter().filter(|setting| !own(setting)).collect();
        without.is_some_and(|without| without.iter().collect::<Vec<_>>() == others)
    };
    Some(config_text::spans(text, &keys).into_iter().filter(sound).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_packs::Packs;

    fn form() -> ProcessForm {
        Packs::builtin().get(&"etcd".into()).unwrap().detect.clone().unwrap().process
    }

    fn look(content: &[u8]) -> ConfigFile {
        let packs = Packs::builtin();
        let pack = packs.get(&"etcd".into()).unwrap();
        of_content(Path::new("/etc/etcd.yaml"), Ok(content), pack, &form())
    }

    fn keys(content: &str) -> Vec<String> {
        look(content.as_bytes()).seen.spans.into_iter().map(|span| span.key).collect()
    }

    #[test]
    fn only_lines_that_rules_speak_of_are_carried_and_never_a_secret() {
        let text = "name: a\n# the old one was t0ken\ndiscovery: https://d/t0ken\nlogger: capnslog\ninitial-cluster-token: t0ken\ndebug: true # t0ken\nauth-token: jwt,t0ken";
        let ConfigFile { seen, settings } = look(text.as_bytes());
        assert_eq!(
            seen.spans.iter().map(|span| span.text.as_str()).collect::<Vec<_>>(),
            ["logger: capnslog\n", "debug: true"]
        );
        assert!(!serde_json::to_string(&seen).unwrap().contains("t0ken"), "{seen:?}");
        assert!(seen.open_end && seen.by_hand.is_none() && seen.sha256.is_some());
        assert_eq!(settings.unwrap().len(), 6);
    }

    #[test]
    fn of_a_setting_that_is_said_twice_the_last_counts_as_it_does_for_the_product() {
        let ConfigFile { seen, settings } = look(b"logger: capnslog\ndebug: true\nlogger: zap\n");
        let settings = settings.unwrap();
        assert_eq!(settings::value_of(&settings, "logger", &form()), Some("zap"));
        assert_eq!(seen.spans.len(), 1, "which of the two is meant is for a person to say");
    }

    #[test]
    fn a_span_that_is_not_the_whole_setting_is_no_span() {
        // Without its first line the rest would hang on the setting before it.
        assert_eq!(keys("log-output: [a,\nb]\nlogger: zap\n"), ["logger"]);
        // A line of a text that only looks like a setting.
        assert!(keys("note: |\n  x\n\n# debug: 1\n").is_empty());
        assert!(keys("a: \"x\ndebug: true\n y\"\n").is_empty());
    }

    #[test]
    fn a_file_to_which_no_line_can_be_added_is_for_a_person() {
        for text in ["{debug: true, logger: capnslog}\n", "debug: true\n...\n"] {
            let seen = look(text.as_bytes()).seen;
            assert!(seen.spans.is_empty() && seen.by_hand.is_some(), "{text}: {seen:?}");
        }
        for content in [&b"debug: \xff\n"[..], b"debug: [\n"] {
            let ConfigFile { seen, settings } = look(content);
            assert!(settings.is_err() && seen.unread.is_some() && seen.sha256.is_some());
        }
        assert_eq!(look(b"").seen.by_hand, None);
    }
}
