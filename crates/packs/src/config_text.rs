//! Edits a flat YAML configuration file by the lines of its settings, so that everything else stays as people wrote it.
//!
//! Invariant: an edit is taken only on the very text that it was made for, and can be taken back to the last byte. The file
//! as a whole never leaves its host: a plan knows it by its digest.
//! Absent on purpose: understanding YAML. Whoever finds spans parses the file with and without them, and trusts no span
//! that changes anything else.

use quorate_model::{ConfigSpan, Digest, FileRewrite, SettingSource, TextEdit};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

/// Where a text says these settings. One that holds a comment which would be lost is left out: it is a person's to change.
pub fn spans(text: &str, keys: &BTreeSet<&str>) -> Vec<ConfigSpan> {
    let mut found: Vec<ConfigSpan> = Vec::new();
    let mut open: Option<(&str, usize, usize)> = None;
    let mut close = |span: Option<(&str, usize, usize)>| {
        let Some((key, at, end)) = span.filter(|(key, ..)| keys.contains(key)) else { return };
        if let Some(said) = text.get(at..end).and_then(without_comment) {
            let (key, at) = (key.to_owned(), u64::try_from(at).unwrap_or(u64::MAX));
            found.push(ConfigSpan { source: SettingSource::File, key, at, text: said.to_owned() });
        }
    };
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let end = at + line.len();
        let said = line.trim();
        // A comment or an empty line belongs to a setting only when more of the setting follows it.
        if !said.is_empty() && !said.starts_with('#') {
            let goes_on = line.starts_with([' ', '\t']) || said == "-" || line.starts_with("- ");
            match &mut open {
                Some((.., last)) if goes_on => *last = end,
                _ => {
                    close(open.take());
                    open = key_of(line).map(|key| (key, at, end));
                }
            }
        }
        at = end;
    }
    close(open);
    found
}

/// A span up to a comment at the end of its line. With a comment anywhere else there is none.
fn without_comment(span: &str) -> Option<&str> {
    if !span.contains('#') {
        return Some(span);
    }
    if span.trim_end().lines().count() != 1 {
        return None;
    }
    let value = span.split_once(':')?.1.trim_start();
    let end = match value.chars().next()? {
        quote @ ('"' | '\'') => {
            let (inside, _) = value.get(1..)?.split_once(quote)?;
            // An escape may hold a quote that ends nothing.
            (!inside.contains('\\')).then_some(inside.len() + 2)?
        }
        '[' | '{' | '|' | '>' | '&' | '*' | '!' | '#' => return None,
        _ => value.find(" #")?,
    };
    let rest = value.get(end..)?;
    let is_comment = rest.starts_with([' ', '\t']) && rest.trim_start().starts_with('#');
    span.get(..span.len() - rest.len()).filter(|_| is_comment).map(str::trim_end)
}

/// The key at the beginning of a line without indentation.
fn key_of(line: &str) -> Option<&str> {
    let (key, rest) = line.split_once(':')?;
    let key = key.trim_end();
    let bare = ['"', '\'']
        .iter()
        .find_map(|quote| key.strip_prefix(*quote)?.strip_suffix(*quote))
        .unwrap_or(key);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_key = !bare.is_empty() && bare.chars().all(plain);
    (is_key && (rest.is_empty() || rest.starts_with(char::is_whitespace))).then_some(bare)
}

/// A setting under another name, its value as it was written.
pub fn renamed(said: &str, key: &str) -> Option<String> {
    said.split_once(':').map(|(_, value)| format!("{key}:{value}"))
}

/// A setting as a line, without its end.
pub fn line(key: &str, value: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    if !value.is_empty() && value.chars().all(bare) && !value.starts_with('-') {
        return format!("{key}: {value}");
    }
    // JSON is YAML, and quotes whatever YAML would take for something else.
    let quoted = serde_json::to_string(value).unwrap_or_default();
    let is_json = serde_json::from_str::<serde_json::Value>(value).is_ok();
    if is_json { format!("{key}: {value}") } else { format!("{key}: {quoted}") }
}

/// A text with these edits; nothing when it is not the text that they were made for.
pub fn edited(text: &str, edits: &[TextEdit]) -> Option<String> {
    let pieces = edits.iter().map(|edit| (edit.at, edit.remove.as_str(), edit.insert.as_str()));
    replaced(text, pieces)
}

/// A text before these edits; nothing when it does not carry them.
pub fn reverted(text: &str, edits: &[TextEdit]) -> Option<String> {
    let (mut added, mut taken) = (0_u64, 0_u64);
    let mut pieces = Vec::new();
    for TextEdit { at, remove, insert } in edits {
        pieces.push((
            (*at).checked_add(added)?.checked_sub(taken)?,
            insert.as_str(),
            remove.as_str(),
        ));
        added = added.checked_add(u64::try_from(insert.len()).ok()?)?;
        taken = taken.checked_add(u64::try_from(remove.len()).ok()?)?;
    }
    replaced(text, pieces.into_iter())
}

fn replaced<'t>(
    text: &str,
    pieces: impl Iterator<Item = (u64, &'t str, &'t str)>,
) -> Option<String> {
    let mut result = String::with_capacity(text.len());
    let mut done = 0;
    for (at, old, new) in pieces {
        let at = usize::try_from(at).ok()?;
        result.push_str(text.get(done..at)?);
        done = at.checked_add(old.len())?;
        if text.get(at..done)? != old {
            return None;
        }
        result.push_str(new);
    }
    result.push_str(text.get(done..)?);
    Some(result)
}

/// A text with these settings in the place of its own; nothing when it says them in a way that cannot be edited by lines.
pub fn with(text: &str, settings: &[(&str, &str)]) -> Option<String> {
    let keys: BTreeSet<&str> = settings.iter().map(|(key, _)| *key).collect();
    let edits: Vec<TextEdit> = spans(text, &keys)
        .into_iter()
        .map(|ConfigSpan { source: _, key: _, at, text }| TextEdit {
            at,
            remove: text,
            insert: String::new(),
        })
        .collect();
    let mut text = edited(text, &edits)?;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for (key, value) in settings {
        text.push_str(&line(key, value));
        text.push('\n');
    }
    Some(text)
}

/// The text that a file was when it was looked at, whichever of these rewrites it has been through since.
pub fn original(rewrites: &[&FileRewrite], content: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(content).ok()?;
    rewrites.iter().flat_map(|own| [(own, &own.before), (own, &own.after)]).find_map(
        |(own, edits)| {
            reverted(text, edits).filter(|text| sha256(text.as_bytes()) == own.original_sha256)
        },
    )
}

/// What a file is to a rewrite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileState {
    /// It is as it shall be.
    After,
    /// It is as the plan expects it before; this is what it shall hold.
    Before(String),
    /// Somebody has changed it.
    Other,
}

/// What a file is to a rewrite, proved by the digest of what it was made from.
pub fn state(rewrite: &FileRewrite, content: &[u8]) -> FileState {
    let FileRewrite { path: _, original_sha256, before, after } = rewrite;
    let Ok(text) = std::str::from_utf8(content) else { return FileState::Other };
    let original = |edits: &[TextEdit]| {
        reverted(text, edits).filter(|text| sha256(text.as_bytes()) == *original_sha256)
    };
    if original(after).is_some() {
        return FileState::After;
    }
    match original(before).and_then(|original| edited(&original, after)) {
        Some(text) => FileState::Before(text),
        None => FileState::Other,
    }
}

/// The digest by which a plan knows a file.
pub fn sha256(content: &[u8]) -> Digest {
    Digest::new(hex::encode(Sha256::digest(content)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(text: &str, keys: &[&str]) -> Vec<String> {
        let keys = keys.iter().copied().collect();
        spans(text, &keys)
            .into_iter()
            .map(|span| {
                let at = usize::try_from(span.at).unwrap();
                assert_eq!(text.get(at..at + span.text.len()), Some(span.text.as_str()));
                span.text
            })
            .collect()
    }

    #[test]
    fn a_setting_is_found_with_all_of_its_lines() {
        let text = "# ours\nname: a\n\"debug\": true\nlog-output:\n- stdout\n\n- x\n\n# next\ntls:\n  debug: false\n'logger' : capnslog";
        assert_eq!(
            said(text, &["debug", "logger", "log-output"]),
            ["\"debug\": true\n", "log-output:\n- stdout\n\n- x\n", "'logger' : capnslog"]
        );
        assert_eq!(said(text, &["tls"]), ["tls:\n  debug: false\n"]);
        assert!(said("debugger: 1\ndebug:true\n- debug: 1\n{debug: 1}\n", &["debug"]).is_empty());
    }

    #[test]
    fn a_comment_stays_in_the_file_or_the_setting_is_left_to_a_person() {
        assert_eq!(said("debug: true   # token abc\nx: 1\n", &["debug"]), ["debug: true"]);
        assert_eq!(said("debug: 'a'\t# token\n", &["debug"]), ["debug: 'a'"]);
        for text in
            ["debug: \"a # b\"\n", "debug: \"a\\\" # b\"\n", "debug: # x\n", "debug: [a] # x\n"]
        {
            assert!(said(text, &["debug"]).is_empty(), "{text}");
        }
        assert!(said("log-output:\n- a # token\n", &["log-output"]).is_empty());
    }

    #[test]
    fn values_are_quoted_where_yaml_would_read_something_else() {
        assert_eq!(line("a", "24h"), "a: 24h");
        assert_eq!(line("a", "true"), "a: true");
        assert_eq!(line("a", r#"["x"]"#), r#"a: ["x"]"#);
        assert_eq!(line("a", "x: y"), r#"a: "x: y""#);
        assert_eq!(line("a", ""), r#"a: """#);
        assert_eq!(renamed("\"old\": [1, 2]\n", "new").as_deref(), Some("new: [1, 2]\n"));
    }

    #[test]
    fn settings_take_the_place_of_those_in_the_text() {
        let text = "name: a\ninitial-cluster: a=http://1,b=http://2\ninitial-cluster-state: new";
        let settings = [("initial-cluster", "a=http://1"), ("initial-cluster-state", "existing")];
        assert_eq!(
            with(text, &settings).unwrap(),
            "name: a\ninitial-cluster: \"a=http://1\"\ninitial-cluster-state: existing\n"
        );
    }

    #[test]
    fn a_rewrite_knows_its_two_states_and_no_other() {
        let edit = |at: u64, remove: &str, insert: &str| TextEdit {
            at,
            remove: remove.into(),
            insert: insert.into(),
        };
        let original = "a: 1\nb: 2\nsecret: x";
        let one = vec![edit(0, "a: 1\n", "")];
        let two = vec![edit(0, "a: 1\n", ""), edit(19, "", "\nc: 3\n")];
        let rewrite = FileRewrite {
            path: "/f".into(),
            original_sha256: sha256(original.as_bytes()),
            before: one.clone(),
            after: two.clone(),
        };
        let after = "b: 2\nsecret: x\nc: 3\n";
        assert_eq!(state(&rewrite, b"b: 2\nsecret: x"), FileState::Before(after.into()));
        assert_eq!(state(&rewrite, after.as_bytes()), FileState::After);
        for other in [original, "b: 3\nsecret: x", "", "b: 2\nsecret: y\nc: 3\n"] {
            assert_eq!(state(&rewrite, other.as_bytes()), FileState::Other, "{other:?}");
        }
        for known in [original, "b: 2\nsecret: x", after] {
            let first = FileRewrite { before: Vec::new(), after: one.clone(), ..rewrite.clone() };
            let found = super::original(&[&first, &rewrite], known.as_bytes());
            assert_eq!(found.as_deref(), Some(original), "{known:?}");
        }
        let back = FileRewrite { before: two, after: one, ..rewrite };
        assert_eq!(
            state(&back, after.as_bytes()),
            FileState::Before("b: 2\nsecret: x".into()),
            "the way back is the same rewrite turned round"
        );
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in ".{0,80}", at in any::<u64>(), remove in ".{0,3}") {
            let keys = BTreeSet::from(["a", "b"]);
            for span in spans(&text, &keys) {
                prop_assert!(text.contains(&span.text));
            }
            let edits = [TextEdit { at, remove, insert: "x".into() }];
            if let Some(edited) = edited(&text, &edits) {
                prop_assert_eq!(reverted(&edited, &edits), Some(text.clone()));
            }
            let _ = reverted(&text, &edits);
        }
    }
}
