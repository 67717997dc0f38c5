//! Finds what the files of a systemd unit say: the flags of its command line and the variables of its process.
//!
//! Invariant: a place is given only for words that mean what they say; a quoted, expanded or doubled one is a person's.
//! Absent on purpose: which files a unit has, which systemd itself knows best.

use quorate_model::{ConfigSpan, SettingSource};

/// A setting where a file says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Where it stands: its name there is the key, `--debug`, `ETCD_DEBUG`; none for a place that takes further flags.
    pub span: ConfigSpan,
    /// Its value, empty for a bare flag.
    pub value: String,
}

/// What a unit with its drop-ins says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct UnitSays {
    /// The file, by its place in what was given, and what it says.
    pub said: Vec<(usize, Said)>,
    /// Variables whose words become flags: `$DAEMON_ARGS`.
    pub expanded: Vec<String>,
}

/// Reads a unit's own file and its drop-ins, in the order in which systemd reads them.
pub fn unit(files: &[&str]) -> UnitSays {
    let (mut commands, mut variables) = (Vec::new(), Vec::new());
    for (file, text) in files.iter().enumerate() {
        for assignment in assignments(text) {
            let list = match assignment.key {
                "ExecStart" => &mut commands,
                "Environment" => &mut variables,
                _ => continue,
            };
            match assignment.value.trim().is_empty() {
                // An empty value forgets what was said before.
                true => list.clear(),
                false => list.push((file, assignment)),
            }
        }
    }
    let mut says = UnitSays::default();
    for (file, assignment) in &variables {
        says.said.extend(variable(assignment).map(|said| (*file, said)));
    }
    // A unit with several commands says nowhere which of them is the product.
    if let [(file, command)] = commands.as_slice() {
        let words = words(command.value);
        let expanded = |word: &Word<'_>| {
            let name = word.text.strip_prefix('$')?;
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            (!name.is_empty() && name.chars().all(is_name)).then(|| name.to_owned())
        };
        says.expanded = words.iter().filter_map(expanded).collect();
        let found = flags(command.text, command.value_at, words.get(1..).unwrap_or_default());
        says.said.extend(found.into_iter().map(|said| (*file, said)));
        let end = command.value_at + command.value.trim_end().len();
        says.said.push((*file, place(end)));
    }
    says
}

/// Reads an environment file: its variables, and the flags in those that a command line expands to words.
pub fn environment(text: &str, expanded: &[String]) -> Vec<Said> {
    let mut said = Vec::new();
    let mut at = 0;
    let mut goes_on = false;
    for line in text.split_inclusive('\n') {
        let (start, end) = (at, at + line.len());
        at = end;
        let continued = goes_on;
        let whole = line.trim_end_matches(['\n', '\r']);
        goes_on = whole.ends_with('\\');
        if continued || goes_on || whole.starts_with(['#', ';']) {
            continue;
        }
        let Some((name, raw)) = whole.split_once('=') else { continue };
        let Some(value) = bare_or_quoted(raw) else { continue };
        if expanded.iter().any(|own| own == name) {
            let quoted = raw.trim_start().starts_with('"');
            let value_at = start + name.len() + 1 + raw.find('"').map_or(0, |quote| quote + 1);
            // Without quotes a second word would not belong to it.
            if quoted {
                said.extend(flags(text, value_at, &words(value)));
                said.push(place(value_at + value.len()));
            }
            continue;
        }
        let span = span(SettingSource::Env, name, start, line);
        said.push(Said { span, value: value.to_owned() });
    }
    said
}

/// A variable as a line of an environment file. None for a value that cannot be said in one.
pub fn environment_line(name: &str, value: &str) -> Option<String> {
    let bare = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@+".contains(c);
    if !value.is_empty() && value.chars().all(bare) {
        return Some(format!("{name}={value}"));
    }
    let sayable = !value.contains(['"', '\\', '\n', '\r', '$', '`']);
    sayable.then(|| format!("{name}=\"{value}\""))
}

/// A variable as a line of a unit.
pub fn unit_line(name: &str, value: &str) -> Option<String> {
    plain(value).then(|| format!("Environment={name}={value}"))
}

/// A flag as a word of a command line.
pub fn flag_word(name: &str, value: &str) -> Option<String> {
    plain(value).then(|| format!("{name}={value}"))
}

/// Whether a word means itself: to systemd, and to a shell.
fn plain(word: &str) -> bool {
    !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || "\"'\\$%;`".contains(c))
}

/// A value without its quotes, when nothing in it has a meaning of its own.
fn bare_or_quoted(raw: &str) -> Option<&str> {
    let raw = raw.trim();
    let inside = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(raw);
    (!inside.contains(['"', '\'', '\\'])).then_some(inside)
}

/// A line `key=value` of the section `[Service]`, with the lines that it goes on over.
struct Assignment<'t> {
    text: &'t str,
    key: &'t str,
    at: usize,
    end: usize,
    value: &'t str,
    value_at: usize,
}

fn assignments(text: &str) -> Vec<Assignment<'_>> {
    let mut found: Vec<Assignment<'_>> = Vec::new();
    let (mut in_service, mut goes_on, mut at) = (false, false, 0);
    for line in text.split_inclusive('\n') {
        let (start, end) = (at, at + line.len());
        at = end;
        let whole = line.trim_end_matches(['\n', '\r']);
        let continued = std::mem::replace(&mut goes_on, whole.ends_with('\\'));
        if continued {
            if let (true, Some(last)) = (in_service, found.last_mut()) {
                last.end = end;
                last.value = text.get(last.value_at..end).unwrap_or_default();
            }
            continue;
        }
        let said = whole.trim_start();
        if said.starts_with(['#', ';']) || said.is_empty() {
            goes_on = false;
        } else if said.starts_with('[') {
            in_service = said.trim_end() == "[Service]";
        } else if let (true, Some((key, _))) = (in_service, whole.split_once('=')) {
            let value_at = start + key.len() + 1;
            let value = text.get(value_at..end).unwrap_or_default();
            found.push(Assignment { text, key: key.trim(), at: start, end, value, value_at });
        }
    }
    found
}

/// The variable of a line that says one alone.
fn variable(assignment: &Assignment<'_>) -> Option<Said> {
    let words = words(assignment.value);
    let [word] = words.as_slice() else { return None };
    let (name, value) = word.text.split_once('=')?;
    let line = assignment.text.get(assignment.at..assignment.end)?;
    let said = span(SettingSource::Env, name, assignment.at, line);
    (plain(name) && (value.is_empty() || plain(value)))
        .then(|| Said { span: said, value: value.to_owned() })
}

/// A word of a value: where it stands, and where the blank before it begins.
struct Word<'t> {
    lead: usize,
    end: usize,
    text: &'t str,
}

/// Splits a value at blanks and line continuations; quotes hold words together.
fn words(value: &str) -> Vec<Word<'_>> {
    let mut found = Vec::new();
    let (mut lead, mut start, mut quote) = (0, None, None);
    let mut chars = value.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let breaks = c == '\\' && matches!(chars.peek(), Some((_, '\n')));
        let blank = c.is_whitespace() || breaks;
        match (start, quote) {
            (None, _) if blank => {}
            (None, _) => {
                start = Some(at);
                quote = Some(c).filter(|c| matches!(c, '"' | '\''));
            }
            (Some(_), Some(open)) => {
                if c == open {
                    quote = None;
                }
            }
            (Some(from), None) if blank => {
                found.push(Word { lead, end: at, text: value.get(from..at).unwrap_or_default() });
                (lead, start) = (at, None);
            }
            (Some(_), None) => quote = Some(c).filter(|c| matches!(c, '"' | '\'')),
        }
    }
    if let Some(from) = start {
        let text = value.get(from..).unwrap_or_default();
        found.push(Word { lead, end: value.len(), text });
    }
    found
}

/// Flags among words: `--key=value`, `--key value`, a bare `--key`.
fn flags(text: &str, value_at: usize, words: &[Word<'_>]) -> Vec<Said> {
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        if !word.text.starts_with('-') || !plain(word.text) {
            continue;
        }
        let next = words.get(at + 1).filter(|next| !next.text.starts_with(['-', '$']));
        let (name, value, end) = match (word.text.split_once('='), next) {
            (Some((name, value)), _) => (name, value, word.end),
            (None, Some(next)) if plain(next.text) => (word.text, next.text, next.end),
            (None, Some(_)) => continue,
            (None, None) => (word.text, "", word.end),
        };
        let start = value_at + word.lead;
        if let Some(said) = text.get(start..value_at + end) {
            let span = span(SettingSource::Flag, name, start, said);
            found.push(Said { span, value: value.to_owned() });
        }
    }
    found
}

/// A place that takes further flags.
fn place(at: usize) -> Said {
    Said { span: span(SettingSource::Flag, "", at, ""), value: String::new() }
}

fn span(source: SettingSource, key: &str, at: usize, text: &str) -> ConfigSpan {
    let at = u64::try_from(at).unwrap_or(u64::MAX);
    ConfigSpan { source, key: key.to_owned(), at, text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UNIT: &str = "[Unit]\nExecStart=none --other\n\n[Service]\nEnvironment=ETCD_NAME=%H\nEnvironment=ETCD_DEBUG=true\n# a comment --x\nExecStart=/usr/bin/etcd --debug \\\n  --log-output stdout \"--data-dir=/a b\" \\\n  --name=$NAME $DAEMON_ARGS\nRestart=always\n";

    fn shown(said: &[(usize, Said)]) -> Vec<String> {
        said.iter()
            .map(|(file, said)| {
                format!("{file} {} = {} {:?}", said.span.key, said.value, said.span.text)
            })
            .collect()
    }

    #[test]
    fn only_words_that_mean_what_they_say_have_a_place() {
        let says = unit(&[UNIT]);
        assert_eq!(
            shown(&says.said),
            [
                r#"0 ETCD_DEBUG = true "Environment=ETCD_DEBUG=true\n""#,
                r#"0 --debug =  " --debug""#,
                r#"0 --log-output = stdout " \\\n  --log-output stdout""#,
                r#"0  =  """#,
            ]
        );
        assert_eq!(says.expanded, ["DAEMON_ARGS"]);
        let end = usize::try_from(says.said.last().unwrap().1.span.at).unwrap();
        assert!(UNIT[..end].ends_with("$DAEMON_ARGS"), "further flags come last");
    }

    #[test]
    fn a_drop_in_forgets_what_the_unit_said() {
        let says = unit(&[UNIT, "[Service]\nExecStart=\nExecStart=/usr/bin/etcd --b=1\n"]);
        let flags: Vec<String> = shown(&says.said).split_off(1);
        assert_eq!(flags, [r#"1 --b = 1 " --b=1""#, r#"1  =  """#]);
        assert!(says.expanded.is_empty());
        // Two commands: nobody knows which one is meant.
        let says = unit(&[UNIT, "[Service]\nExecStart=/usr/bin/other\n"]);
        assert!(says.said.iter().all(|(_, said)| said.span.source == SettingSource::Env));
    }

    #[test]
    fn variables_and_expanded_flags_of_an_environment_file() {
        let text = "# ours\nETCD_NAME=\"m 1\"\nETCD_DEBUG=true\nETCD_X='q'\nETCD_LONG=a\\\nETCD_B=1\nDAEMON_ARGS=\"--debug --log-output=stdout\"\n";
        let said: Vec<_> = environment(text, &["DAEMON_ARGS".to_owned()])
            .into_iter()
            .map(|said| (0, said))
            .collect();
        assert_eq!(
            shown(&said),
            [
                r#"0 ETCD_NAME = m 1 "ETCD_NAME=\"m 1\"\n""#,
                r#"0 ETCD_DEBUG = true "ETCD_DEBUG=true\n""#,
                r#"0 --debug =  "--debug""#,
                r#"0 --log-output = stdout " --log-output=stdout""#,
                r#"0  =  """#,
            ]
        );
        for (_, said) in said {
            let at = usize::try_from(said.span.at).unwrap();
            assert_eq!(text.get(at..at + said.span.text.len()), Some(said.span.text.as_str()));
        }
    }

    #[test]
    fn what_cannot_be_said_plainly_is_not_said() {
        assert_eq!(environment_line("A", "b c").as_deref(), Some("A=\"b c\""));
        assert_eq!(environment_line("A", "").as_deref(), Some("A=\"\""));
        assert_eq!(environment_line("A", "b\"c"), None);
        assert_eq!(unit_line("A", "http://x:1").as_deref(), Some("Environment=A=http://x:1"));
        for value in ["a b", "50%", "$x", "a;b", ""] {
            assert_eq!((unit_line("A", value), flag_word("--a", value)), (None, None), "{value}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic_and_every_place_is_in_the_text(text in "[a-z=\"'\\\\ \n$\\-#\\[\\]]{0,80}") {
            let service = format!("[Service]\nExecStart=/x {text}\nEnvironment={text}");
            for (_, said) in unit(&[&service]).said {
                let at = usize::try_from(said.span.at).unwrap();
                prop_assert_eq!(service.get(at..at + said.span.text.len()), Some(said.span.text.as_str()));
            }
            for said in environment(&text, &["a".to_owned()]) {
                let at = usize::try_from(said.span.at).unwrap();
                prop_assert_eq!(text.get(at..at + said.span.text.len()), Some(said.span.text.as_str()));
            }
        }
    }
}
