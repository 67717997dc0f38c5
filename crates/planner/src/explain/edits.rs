//! The rewrite of a configuration file as a command.

use super::shell;
use quorate_model::FileRewrite;

/// The file as planned on, with the edits that it carries after this step.
pub(super) fn command(file: &FileRewrite) -> String {
    let mut edits: Vec<_> = file.after.iter().collect();
    edits.sort_by_key(|edit| edit.at);
    let edits = edits.into_iter().map(|edit| {
        format!(" {} {} {}", edit.at, shell::word(&edit.remove), shell::word(&edit.insert))
    });
    let head = format!("rewrite {} {}", shell::word(&file.path), file.original_sha256);
    std::iter::once(head).chain(edits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::{Digest, TextEdit};
    use std::{fs, path::Path, process::Command};

    const TEXT: &str = "debug: true\nname: five\nb\n";

    fn edit(at: u64, remove: &str, insert: &str) -> TextEdit {
        TextEdit { at, remove: remove.into(), insert: insert.into() }
    }

    /// Carries the commands out in a real shell, one after the other; tells whether all of them went well.
    fn typed(path: &Path, hops: &[Vec<TextEdit>]) -> bool {
        let original_sha256 =
            Digest::new("2ce2104483764f748ae8091ce150bf599e48966dc8ab963eb72d60d1d6635e64");
        let commands = hops.iter().map(|after| {
            command(&FileRewrite {
                path: path.display().to_string(),
                original_sha256: original_sha256.clone(),
                before: Vec::new(),
                after: after.clone(),
            })
        });
        let commands: Vec<String> = commands.collect();
        let script = format!("{}\n{}", include_str!("hands.sh"), commands.join(" &&\n"));
        Command::new("sh").args(["-c", &script]).output().expect("a shell").status.success()
    }

    #[test]
    fn edits_are_typed_from_one_state_to_the_next_and_typed_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it's a file.yml");
        let held = || fs::read_to_string(&path).unwrap();
        fs::write(&path, TEXT).unwrap();
        let (first, second) = (edit(0, "debug: true\n", ""), edit(23, "b", "bb: 'x'"));
        assert!(typed(&path, &[vec![first.clone()], vec![first.clone()]]));
        assert_eq!(held(), "name: five\nb\n");
        let both = vec![second, first, edit(25, "", "last: 1\n")];
        assert!(typed(&path, &[both.clone(), both]));
        assert_eq!(held(), "name: five\nbb: 'x'\nlast: 1\n");
        // And the way back.
        assert!(typed(&path, &[vec![]]));
        assert_eq!(held(), TEXT);
    }

    #[test]
    fn a_file_that_somebody_changed_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("five.yml");
        fs::write(&path, "other: 1\n").unwrap();
        assert!(!typed(&path, &[vec![edit(0, "debug: true\n", "")]]));
        fs::write(&path, TEXT).unwrap();
        assert!(typed(&path, &[vec![edit(0, "debug: true\n", "")]]));
        fs::write(&path, "mine: 1\n").unwrap();
        assert!(!typed(&path, &[vec![]]));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine: 1\n");
    }
}
