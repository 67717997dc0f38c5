//! Checks of the knowledge: lines, releases, protocols, rules, known issues, settings.

use super::Lint;
use crate::Verdict;
use quorate_model::Release;
use quorate_syntax::Step;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(lint: &mut Lint<'_>) {
    lines(lint);
    releases(lint);
    ids(lint);
    rules(lint);
    known_issues(lint);
    settings(lint);
    setting_changes(lint);
    protocols(lint);
}

/// Whether the text is a date, `2019-08-30`.
fn is_date(text: &str) -> bool {
    let mut parts = text.split('-');
    let mut part = |len: usize, most: u32| {
        parts.next().is_some_and(|part| {
            let digits = part.len() == len && part.bytes().all(|b| b.is_ascii_digit());
            digits && part.parse().is_ok_and(|n: u32| (1..=most).contains(&n))
        })
    };
    let good = part(4, 9999) && part(2, 12) && part(2, 31);
    good && parts.next().is_none()
}

fn date(lint: &mut Lint<'_>, path: &[Step<'_>], text: Option<&String>) {
    if let Some(text) = text.filter(|text| !is_date(text)) {
        lint.error(path, "pack-date", format!("`{text}` is no date: write `2019-08-30`"));
    }
}

fn lines(lint: &mut Lint<'_>) {
    let pack = lint.pack;
    let parts = pack.scheme.line_parts;
    let mut before: Option<Release> = None;
    for (i, line) in pack.lines.iter().enumerate() {
        let path = ["lines".into(), i.into()];
        let at = [path[0], path[1], "line".into()];
        match line.line.parse::<Release>() {
            Ok(release) if release.numbers().len() == parts && release.pre().is_none() => {
                if before.as_ref().is_some_and(|before| *before >= release) {
                    let message =
                        format!("the line `{}` stands after a line that is not older", line.line);
                    lint.error_hint(
                        &at,
                        "pack-lines",
                        message,
                        "lines go from the oldest to the newest, each once",
                    );
                }
                before = Some(release);
            }
            _ => {
                let message = format!(
                    "`{}` is no release line of this scheme: it takes {parts} numbers",
                    line.line
                );
                lint.error(&at, "pack-lines", message);
            }
        }
        date(lint, &[path[0], path[1], "released".into()], line.released.as_ref());
        date(lint, &[path[0], path[1], "end_of_support".into()], line.end_of_support.as_ref());
        if let (Some(from), Some(until)) = (&line.released, &line.end_of_support)
            && until < from
        {
            let message =
                format!("the support of line `{}` ends before its first release", line.line);
            lint.error(&[path[0], path[1], "end_of_support".into()], "pack-date", message);
        }
    }
}

fn releases(lint: &mut Lint<'_>) {
    let pack = lint.pack;
    let lines: BTreeSet<_> = pack.lines.iter().map(|line| line.line.as_str()).collect();
    let mut seen = BTreeSet::new();
    for (i, known) in pack.releases.iter().enumerate() {
        let at = ["releases".into(), i.into(), "release".into()];
        if !seen.insert(&known.release) {
            lint.error(
                &at,
                "pack-releases",
                format!("the release {} is listed twice", known.release),
            );
        }
        let line = known.release.line(pack.scheme.line_parts);
        if !lines.contains(line.as_str()) {
            let message = format!(
                "the release {} belongs to line {line}, which `lines` does not name",
                known.release
            );
            lint.error(&at, "pack-releases", message);
        }
        date(lint, &[at[0], at[1], "date".into()], known.date.as_ref());
    }
}

/// Ids are one namespace: plans, reports and people name rules, issues and settings by them.
fn ids(lint: &mut Lint<'_>) {
    let pack = lint.pack;
    let rules = pack.rules.iter().map(|rule| rule.id.as_str()).collect::<Vec<_>>();
    let issues = pack.known_issues.iter().map(|issue| issue.id.as_str()).collect();
    let settings = pack.config.iter().map(|rule| rule.id.as_str()).collect();
    let changes = pack.setting_changes.iter().map(|change| change.id.as_str()).collect();
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    if let Some(refusal) = &pack.default_refusal {
        seen.insert(&refusal.id, "default_refusal");
    }
    for (section, ids) in [
        ("rules", rules),
        ("known_issues", issues),
        ("config", settings),
        ("setting_changes", changes),
    ] {
        for (i, id) in ids.into_iter().enumerate() {
            let at = [section.into(), i.into(), "id".into()];
            lint.not_empty(&at, id, "the id");
            if let Some(before) = seen.insert(id, section) {
                lint.error(
                    &at,
                    "pack-duplicate-id",
                    format!("the id `{id}` is used already, in `{before}`"),
                );
            }
        }
    }
}

fn rules(lint: &mut Lint<'_>) {
    let pack = lint.pack;
    for (i, rule) in pack.rules.iter().enumerate() {
        let path = ["rules".into(), i.into()];
        let at = |key| [path[0], path[1], Step::Key(key)];
        lint.not_empty(&at("text"), &rule.text, "the text of the rule");
        lint.not_empty(&at("because"), &rule.because, "`because` of the rule");
        lint.sources(&path, &rule.sources, &format!("the rule `{}`", rule.id));
        match (rule.verdict, &rule.condition) {
            (Verdict::Condition, None) => {
                lint.error(
                    &path,
                    "pack-verdict",
                    format!("the rule `{}` is a condition without `condition`", rule.id),
                );
            }
            (Verdict::Allow | Verdict::Block, Some(_)) => {
                let message = format!(
                    "the rule `{}` has a `condition`, which its verdict never asks",
                    rule.id
                );
                let hint = "say `verdict: condition`, or put it under `applies_when`";
                lint.error_hint(&at("condition"), "pack-verdict", message, hint);
            }
            _ => {}
        }
        for (j, cure) in rule.cures.iter().enumerate() {
            if !pack.recipes.cures.contains_key(cure) {
                let known = pack.recipes.cures.keys().map(String::as_str);
                let hint = quorate_syntax::nearest(cure, known)
                    .map(|near| format!("did you mean `{near}`?"));
                let hint = hint.unwrap_or_else(|| "describe it under `recipes.cures`".to_owned());
                let at = [path[0], path[1], "cures".into(), j.into()];
                lint.error_hint(
                    &at,
                    "pack-unknown-cure",
                    format!("the cure `{cure}` is not known"),
                    hint,
                );
            }
        }
        for (j, id) in rule.rewrites.iter().enumerate() {
            let at = [path[0], path[1], "rewrites".into(), j.into()];
            match pack.config.iter().find(|setting| setting.id == *id) {
                Some(setting) if setting.rewrite.is_some() => {}
                Some(_) => lint.error_hint(
                    &at,
                    "pack-unknown-rewrite",
                    format!("the setting `{id}` has no `rewrite`"),
                    "say under `config` how it is brought over",
                ),
                None => lint.error_hint(
                    &at,
                    "pack-unknown-rewrite",
                    format!("the setting `{id}` is not known"),
                    "name the `id` of an entry under `config`",
                ),
            }
        }
    }
    if let Some(refusal) = &pack.default_refusal {
        let path = ["default_refusal".into()];
        lint.not_empty(&[path[0], "text".into()], &refusal.text, "the text of the refusal");
        lint.not_empty(&[path[0], "because".into()], &refusal.because, "`because` of the refusal");
        lint.sources(&path, &refusal.sources, "the default refusal");
    } else if !pack.rules.is_empty() {
        let hint = "add `default_refusal`, so that a refused hop can say by which rule".to_owned();
        lint.warn(
            &["rules".into()],
            "pack-refusal",
            "nothing says why a hop without a rule is refused",
            Some(hint),
        );
    }
}

fn known_issues(lint: &mut Lint<'_>) {
    let pack = lint.pack;
    for (i, issue) in pack.known_issues.iter().enumerate() {
        let path = ["known_issues".into(), i.into()];
        lint.not_empty(&[path[0], path[1], "text".into()], &issue.text, "the text of the issue");
        lint.not_empty(
            &[path[0], path[1], "advice".into()],
            &issue.advice,
            "the advice of the issue",
        );
        lint.sources(&path, &issue.sources, &format!("the known issue `{}`", issue.id));
    }
}

fn settings(lint: &mut Lint<'_>) {
    let pack = lint.pack;
    for (i, rule) in pack.config.iter().enumerate() {
        let path = ["config".into(), i.into()];
        lint.not_empty(&[path[0], path[1], "text".into()], &rule.text, "the text of the setting");
        lint.sources(&path, &rule.sources, &format!("the setting `{}`", rule.id));
        plain_name(lint, &[path[0], path[1], "key".into()], &rule.key);
    }
}

fn plain_name(lint: &mut Lint<'_>, path: &[Step<'_>], key: &str) {
    let dashed = key.starts_with('-') || key.contains('_') || key.contains(char::is_uppercase);
    if dashed || key.is_empty() {
        let message = format!("`{key}` is no plain name of a setting");
        let hint = "write `log-output` for `--log-output` and `ETCD_LOG_OUTPUT`";
        lint.error_hint(path, "pack-setting", message, hint);
    }
}

fn setting_changes(lint: &mut Lint<'_>) {
    let pack = lint.pack;
    for (i, change) in pack.setting_changes.iter().enumerate() {
        let path = ["setting_changes".into(), i.into()];
        let at = |key| [path[0], path[1], Step::Key(key)];
        lint.not_empty(&at("text"), &change.text, "the text of the change");
        lint.not_empty(&at("because"), &change.because, "`because` of the change");
        lint.not_empty(&at("seen"), &change.seen, "`seen` of the change");
        lint.sources(&path, &change.sources, &format!("the change `{}`", change.id));
        plain_name(lint, &at("key"), &change.key);
    }
}

fn protocols(lint: &mut Lint<'_>) {
    let pack = lint.pack;
    for (i, protocol) in pack.protocols.iter().enumerate() {
        let path = ["protocols".into(), i.into()];
        lint.not_empty(
            &[path[0], path[1], "because".into()],
            &protocol.because,
            "`because` of the protocol",
        );
        lint.sources(&path, &protocol.sources, &format!("the protocol `{}`", protocol.name));
        for (j, speaks) in protocol.speaks.iter().enumerate() {
            if speaks.min > speaks.max {
                let message = format!(
                    "the lowest version {} is above the highest {}",
                    speaks.min, speaks.max
                );
                lint.error(
                    &[path[0], path[1], "speaks".into(), j.into()],
                    "pack-protocol",
                    message,
                );
            }
        }
    }
    for (i, assumption) in pack.assumptions.iter().enumerate() {
        let at = ["assumptions".into(), i.into(), "because".into()];
        lint.not_empty(&at, &assumption.because, "`because` of the assumption");
    }
}

#[cfg(test)]
mod tests {
    use super::is_date;

    #[test]
    fn dates_are_whole_dates() {
        assert!(is_date("2019-08-30"));
        for text in
            ["2019-8-30", "2019-13-01", "2019-08", "2019-08-30-1", "", "yesterday", "2019-00-10"]
        {
            assert!(!is_date(text), "{text}");
        }
    }
}
