//! A run book as a person follows it: its blocks, as printed, in a plain shell that knows nothing of Quorate.

use crate::Said;
use std::{
    path::Path,
    process::{Command, Stdio},
};

/// The fenced shell blocks of a Markdown text, without the indentation of the list that they stand in.
pub fn blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        match (&mut open, line.trim()) {
            (None, "```sh") => open = Some((indent, String::new())),
            (Some((own, _)), "```") if indent == *own => {
                blocks.extend(open.take().map(|(_, block)| block));
            }
            (Some((own, block)), _) => {
                block.push_str(line.get(*own..).unwrap_or_default());
                block.push('\n');
            }
            (None, _) => {}
        }
    }
    assert!(open.is_none(), "a block has no end");
    blocks
}

/// Each block in turn in one shell; the first that fails ends it, as it would end a person's way.
pub fn script(blocks: &[String]) -> String {
    let follow = |(at, block): (usize, &String)| {
        format!("{block}[ $? -eq 0 ] || {{ echo \"block {at} failed\"; exit 1; }}\n")
    };
    blocks.iter().enumerate().map(follow).collect()
}

/// Follows a script to its end, in a shell without a terminal.
pub fn follow(folder: &Path, script: &str) -> Said {
    let file = folder.join("follow.sh");
    std::fs::write(&file, script).expect("the script");
    let mut shell = Command::new("sh");
    shell.arg(&file).current_dir(folder).stdin(Stdio::null());
    Said::from(&shell.output().expect("a shell"))
}
