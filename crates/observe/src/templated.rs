//! Reads the files that the operator's templates make, and tells the template's lines from people's own.
//!
//! Invariant: a line that no template makes leaves this file as its length alone; it may hold a secret.

use quorate_model::{Cluster, FileLine, Node, Release, TemplatedFile};
use quorate_packs::{Pack, config_template, config_text};
use quorate_transport::Transport;
use std::{collections::BTreeSet, path::Path};

/// Configuration files have a few kilobytes; a longer file is none.
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// Reads all of a node.
pub(crate) async fn read(
    transport: &dyn Transport,
    pack: &Pack,
    cluster: &Cluster,
    node: &Node,
    running: Option<&Release>,
) -> Vec<TemplatedFile> {
    let mut files = Vec::new();
    for template in &cluster.config {
        let known = config_template::known_lines(template, pack, cluster, node, running);
        let (path, content) = match config_template::path(template, cluster, node) {
            Ok(path) => {
                let content = transport.read(Path::new(&path)).await.into_result();
                (path, content)
            }
            Err(because) => (template.path.clone(), Err(because)),
        };
        files.push(of_content(path, content, &known));
    }
    files
}

fn of_content(
    path: String,
    content: Result<Vec<u8>, String>,
    known: &BTreeSet<String>,
) -> TemplatedFile {
    let sha256 = content.as_deref().ok().map(config_text::sha256);
    let text = content.and_then(|content| match content.len() > FILE_BYTES_MAX {
        true => Err(format!("it is longer than {FILE_BYTES_MAX} bytes")),
        false => String::from_utf8(content).map_err(|_| "it is not a text in UTF-8".to_owned()),
    });
    let line = |line: &str| FileLine {
        size_bytes: u64::try_from(line.len()).unwrap_or(u64::MAX),
        text: known.contains(line).then(|| line.to_owned()),
    };
    let (lines, unread) = match text {
        Ok(text) => (text.split_inclusive('\n').map(line).collect(), None),
        Err(because) => (Vec::new(), Some(because)),
    };
    TemplatedFile { path, sha256, lines, unread }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_of_the_template_are_told() {
        let known = BTreeSet::from(["name: a\n".to_owned(), "debug: true\n".to_owned()]);
        let seen =
            of_content("/f".into(), Ok(b"name: a\ntoken: s3cret\ndebug: true".into()), &known);
        assert_eq!(
            seen.lines
                .iter()
                .map(|line| (line.size_bytes, line.text.as_deref()))
                .collect::<Vec<_>>(),
            [(8, Some("name: a\n")), (14, None), (11, None)],
            "a line without an end is another line"
        );
        assert!(!serde_json::to_string(&seen).unwrap().contains("s3cret"));
        let unread = of_content("/f".into(), Err("there is no such file".into()), &known);
        assert_eq!(
            (unread.sha256, unread.unread.as_deref()),
            (None, Some("there is no such file"))
        );
        assert!(of_content("/f".into(), Ok(vec![0xff]), &known).unread.is_some());
    }
}
