//! A file that a template makes, across the hops of a plan: what the template changes is merged with what people changed.
//!
//! Invariant: a line that the template does not make is kept, byte for byte, in its place; where the template changes the lines
//! around it in a way that cannot be merged, the hop is refused.

use quorate_model::{ConfigTemplate, Digest, FileLine, FileRewrite, TemplatedFile, TextEdit};
use std::collections::BTreeSet;

/// A file with what the hops so far have made of it.
#[derive(Debug, Clone)]
pub(super) struct Templated {
    pub(super) template: ConfigTemplate,
    path: String,
    sha256: Option<Digest>,
    unread: Option<String>,
    /// As they were seen.
    lines: Vec<FileLine>,
    now: Vec<Line>,
}

/// A line of the file as it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    /// The one that was seen at this place.
    Kept(usize),
    /// A new one.
    New(String),
}

/// What a hop makes of the file.
#[derive(Debug, PartialEq)]
pub(super) struct Merged {
    pub(super) rewrite: FileRewrite,
    pub(super) removed: Vec<String>,
    pub(super) inserted: Vec<String>,
}

impl Templated {
    pub(super) fn new(
        template: &ConfigTemplate,
        path: String,
        seen: Option<&TemplatedFile>,
    ) -> Self {
        let lines = seen.map(|seen| seen.lines.clone()).unwrap_or_default();
        let unseen = || Some("it was not looked at".to_owned());
        Self {
            template: template.clone(),
            path,
            sha256: seen.and_then(|seen| seen.sha256.clone()),
            unread: seen.map_or_else(unseen, |seen| seen.unread.clone()),
            now: (0..lines.len()).map(Line::Kept).collect(),
            lines,
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Why it is not known what it says.
    pub(super) fn unread(&self) -> Option<&str> {
        self.unread.as_deref()
    }

    /// Merges what the template makes of one release and of the next with the file; none when nothing changes. The error is
    /// why that cannot be done.
    pub(super) fn cross(&mut self, before: &str, after: &str) -> Result<Option<Merged>, String> {
        let Some(original_sha256) = self.sha256.clone().filter(|_| before != after) else {
            return Ok(None);
        };
        let local: Vec<String> = self.now.iter().map(|line| self.text(line)).collect();
        let text =
            diffy::merge(before, &local.concat(), after).map_err(|text| self.conflict(&text))?;
        let new: Vec<&str> = text.split_inclusive('\n').collect();
        let old: Vec<&str> = local.iter().map(String::as_str).collect();
        let (mut now, mut removed, mut inserted) = (Vec::new(), Vec::new(), Vec::new());
        for op in similar::capture_diff_slices(similar::Algorithm::Myers, &old, &new) {
            let (tag, was, is) = op.as_tag_tuple();
            if tag == similar::DiffTag::Equal {
                now.extend(self.now.get(was).unwrap_or_default().iter().cloned());
                continue;
            }
            for line in self.now.get(was.clone()).unwrap_or_default() {
                if self.is_own(line) {
                    return Err(self.cannot_keep());
                }
            }
            removed.extend(old.get(was).unwrap_or_default().iter().map(|line| (*line).to_owned()));
            let added = new.get(is).unwrap_or_default().iter().map(|line| (*line).to_owned());
            inserted.extend(added.clone());
            now.extend(added.map(Line::New));
        }
        if inserted.iter().any(|line| line.starts_with(MARK)) {
            return Err(self.cannot_keep());
        }
        let (before, after) = (self.edits(&self.now), self.edits(&now));
        self.now = now;
        if removed.is_empty() && inserted.is_empty() {
            return Ok(None);
        }
        let rewrite = FileRewrite { path: self.path.clone(), original_sha256, before, after };
        Ok(Some(Merged { rewrite, removed, inserted }))
    }

    /// A line as it takes part in the merge: one that people wrote stands for itself alone.
    fn text(&self, line: &Line) -> String {
        match line {
            Line::New(text) => text.clone(),
            Line::Kept(at) => match self.lines.get(*at).and_then(|line| line.text.clone()) {
                Some(text) => text,
                None => format!("{MARK}{at}\n"),
            },
        }
    }

    fn is_own(&self, line: &Line) -> bool {
        matches!(line, Line::Kept(at) if self.lines.get(*at).is_none_or(|line| line.text.is_none()))
    }

    fn cannot_keep(&self) -> String {
        format!("{} was changed by people in a way that cannot be merged by lines", self.path)
    }

    /// Names the lines that people changed and the template changes too.
    fn conflict(&self, text: &str) -> String {
        let mut inside = false;
        let mut own = BTreeSet::new();
        for line in text.lines() {
            inside = (inside || line.starts_with("<<<<<<<")) && !line.starts_with(">>>>>>>");
            let at = line.strip_prefix(MARK).and_then(|at| at.parse::<usize>().ok());
            own.extend(at.filter(|_| inside).map(|at| at + 1));
        }
        let own: Vec<String> = own.iter().map(ToString::to_string).collect();
        let where_it_is = match own.as_slice() {
            [] => "lines of the template were taken out by people".to_owned(),
            [one] => format!("line {one} was written by people"),
            several => format!("lines {} were written by people", several.join(", ")),
        };
        format!("{}: {where_it_is} where the template changes, too", self.path)
    }

    /// The edits that lead from the file as it was seen to these lines.
    fn edits(&self, lines: &[Line]) -> Vec<TextEdit> {
        let mut edits = Vec::new();
        let (mut next, mut insert) = (0, String::new());
        let kept = lines.iter().map(Some).chain([None]);
        for line in kept {
            let upto = match line {
                Some(Line::New(text)) => {
                    insert.push_str(text);
                    continue;
                }
                Some(Line::Kept(at)) => *at,
                None => self.lines.len(),
            };
            let gone = self.lines.get(next..upto).unwrap_or_default();
            let remove: String = gone.iter().filter_map(|line| line.text.as_deref()).collect();
            if !remove.is_empty() || !insert.is_empty() {
                let before = self.lines.get(..next).unwrap_or_default();
                let at = before.iter().map(|line| line.size_bytes).sum();
                edits.push(TextEdit { at, remove, insert: std::mem::take(&mut insert) });
            }
            next = upto + 1;
        }
        edits
    }
}

/// Begins what stands for a line of people's own: no line of a configuration file holds it.
const MARK: char = '\u{0}';

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use quorate_packs::config_text::{self, FileState};

    fn templated(text: &str, known: &str) -> Templated {
        let known: BTreeSet<&str> = known.split_inclusive('\n').collect();
        let line = |line: &str| FileLine {
            size_bytes: u64::try_from(line.len()).unwrap(),
            text: known.contains(line).then(|| line.to_owned()),
        };
        let seen = TemplatedFile {
            path: "/f".into(),
            sha256: Some(config_text::sha256(text.as_bytes())),
            lines: text.split_inclusive('\n').map(line).collect(),
            unread: None,
        };
        let template =
            ConfigTemplate { path: "/f".into(), template: "f.j2".into(), text: String::new() };
        Templated::new(&template, "/f".into(), Some(&seen))
    }

    /// The file after the hop, proved as a run proves it; and back again.
    #[track_caller]
    fn written(merged: &Merged, text: &str) -> String {
        let rewrite = &merged.rewrite;
        let FileState::Before(after) = config_text::state(rewrite, text.as_bytes()) else {
            panic!("not the file that was seen: {rewrite:?}")
        };
        let back = FileRewrite {
            before: rewrite.after.clone(),
            after: rewrite.before.clone(),
            ..rewrite.clone()
        };
        assert_eq!(config_text::state(&back, after.as_bytes()), FileState::Before(text.into()));
        after
    }

    const OLD: &str = "name: a\ndebug: true\nlog-output: stderr\nport: 1\n";
    const NEW: &str = "name: a\nlog-level: debug\nlog-outputs: [stderr]\nport: 1\n";

    #[test]
    fn a_file_as_the_template_made_it_becomes_what_the_template_makes_now() {
        let mut file = templated(OLD, OLD);
        let merged = file.cross(OLD, NEW).unwrap().unwrap();
        assert_eq!(written(&merged, OLD), NEW);
        assert_eq!(file.cross(NEW, NEW), Ok(None));
        let last = file.cross(NEW, "name: a\nport: 1\n").unwrap().unwrap();
        assert_eq!(written(&last, NEW), "name: a\nport: 1\n");
    }

    #[test]
    fn what_people_added_stays_in_its_place_and_is_not_known() {
        let text = "# ours\nname: a\ndebug: true\nlog-output: stderr\nport: 1\ntoken: s3cret";
        let mut file = templated(text, OLD);
        let merged = file.cross(OLD, NEW).unwrap().unwrap();
        assert_eq!(
            written(&merged, text),
            "# ours\nname: a\nlog-level: debug\nlog-outputs: [stderr]\nport: 1\ntoken: s3cret"
        );
        assert!(!format!("{merged:?}{file:?}").contains("s3cret"));
    }

    #[test]
    fn what_both_changed_is_refused_and_named() {
        let text = OLD.replace("debug: true", "debug: false # quieter");
        let said = templated(&text, OLD).cross(OLD, NEW).unwrap_err();
        assert_eq!(said, "/f: line 2 was written by people where the template changes, too");
        let text = OLD.replace("debug: true\n", "");
        let said = templated(&text, OLD).cross(OLD, NEW).unwrap_err();
        assert!(said.contains("taken out by people"), "{said}");
    }

    proptest! {
        #[test]
        fn no_line_of_peoples_own_is_ever_lost(
            base in prop::collection::vec("[a-d]\n", 0..8),
            local in prop::collection::vec("[a-f]\n", 0..8),
            new in prop::collection::vec("[a-d]\n", 0..8),
        ) {
            let (base, text, new) = (base.concat(), local.concat(), new.concat());
            let mut file = templated(&text, &base);
            if let Ok(Some(merged)) = file.cross(&base, &new) {
                let after = written(&merged, &text);
                let own = |text: &str| -> Vec<String> {
                    let known: BTreeSet<&str> = base.split_inclusive('\n').chain(new.split_inclusive('\n')).collect();
                    text.split_inclusive('\n').filter(|line| !known.contains(line)).map(str::to_owned).collect()
                };
                prop_assert_eq!(own(&after), own(&text));
            }
        }
    }
}
