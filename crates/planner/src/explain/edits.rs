//! The rewrite of a configuration file as commands: each edit proves in its place that the text is the expected one.

use super::shell;
use quorate_model::{FileRewrite, TextEdit};

/// One command an edit. They go from the file's end to its start, so that no edit moves the place of another.
pub(super) fn commands(file: &FileRewrite) -> Vec<String> {
    let path = shell::word(&file.path);
    let untouched = file.before.is_empty();
    let proof = untouched.then(|| format!("known_file {path} {}", file.original_sha256));
    let mut edits = steps(&file.before, &file.after);
    edits.sort_by_key(|edit| std::cmp::Reverse(edit.at));
    let edits = edits.into_iter().map(|TextEdit { at, remove, insert }| {
        format!("edit {path} {at} {} {}", shell::word(&remove), shell::word(&insert))
    });
    proof.into_iter().chain(edits).collect()
}

/// The edits that lead from one state of the file to the other, at places in the first.
fn steps(before: &[TextEdit], after: &[TextEdit]) -> Vec<TextEdit> {
    let moved = |at: u64| {
        let earlier = before.iter().filter(|edit| edit.at < at);
        earlier.fold(at, |at, edit| (at + size(&edit.insert)).saturating_sub(size(&edit.remove)))
    };
    let held = |edit: &TextEdit| {
        let same = before.iter().find(|own| own.at == edit.at && own.remove == edit.remove);
        same.map_or_else(|| edit.remove.clone(), |own| own.insert.clone())
    };
    let taken_back = before.iter().filter(|own| {
        !after.iter().any(|edit| edit.at == own.at && edit.remove == own.remove)
    });
    let taken_back = taken_back.map(|own| TextEdit {
        at: moved(own.at),
        remove: own.insert.clone(),
        insert: own.remove.clone(),
    });
    let made = after.iter().map(|edit| TextEdit {
        at: moved(edit.at),
        remove: held(edit),
        insert: edit.insert.clone(),
    });
    made.chain(taken_back).filter(|edit| edit.remove != edit.insert).collect()
}

fn size(text: &str) -> u64 {
    text.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::Digest;
    use std::process::Command;

    fn edit(at: u64, remove: &str, insert: &str) -> TextEdit {
        TextEdit { at, remove: remove.into(), insert: insert.into() }
    }

    /// Carries the commands out in a real shell, twice, and gives what the file then holds.
    fn typed(content: &str, before: Vec<TextEdit>, after: Vec<TextEdit>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it's a file.yml");
        std::fs::write(&path, content).unwrap();
        let sum = Command::new("sha256sum").arg("--").arg(&path).output().unwrap();
        let sum = String::from_utf8(sum.stdout).unwrap();
        let sum = sum.trim_start_matches('\\').split(' ').next().unwrap().to_owned();
        let path = path.display().to_string();
        let rewrite =
            FileRewrite { path: path.clone(), original_sha256: Digest::new(sum), before, after };
        let lines = commands(&rewrite).join(" &&\n");
        let script = format!("{}\n{lines} &&\n{lines}", include_str!("hands.sh"));
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn edits_are_typed_from_one_state_to_the_other() {
        let (first, second) = (edit(0, "debug: true\n", ""), edit(23, "b", "bb: 'x'"));
        let text = "debug: true\nname: five\nb\n";
        assert_eq!(typed(text, vec![], vec![first.clone()]), "name: five\nb\n");
        let whole = typed(text, vec![], vec![first.clone(), second.clone()]);
        assert_eq!(whole, "name: five\nbb: 'x'\n");
        // A hop later the first edit is there already.
        let middle = "name: five\nb\n";
        assert_eq!(typed(middle, vec![first.clone()], vec![first.clone(), second.clone()]), whole);
        // And the way back.
        assert_eq!(typed(&whole, vec![first.clone(), second.clone()], vec![first]), middle);
    }

    #[test]
    fn a_text_that_is_only_added_is_added_once() {
        assert_eq!(typed("a\n", vec![], vec![edit(2, "", "b\n")]), "a\nb\n");
    }
}
