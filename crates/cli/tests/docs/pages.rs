//! What counts as documentation: the Markdown files at the root and everything below `docs/`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// One Markdown file.
pub(crate) struct Page {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// The project's folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("rooms lie two folders below the project")
        .to_owned()
}

/// Every page, in the order of their paths.
pub(crate) fn pages() -> Vec<Page> {
    let mut paths = ending_in(entries(&root()), "md");
    paths.extend(ending_in(below(&root().join("docs")), "md"));
    paths.sort();
    paths.into_iter().map(|path| Page { text: text_of(&path), path }).collect()
}

/// Texts of the source files below these folders of the project.
pub(crate) fn sources(folders: &[&str]) -> Vec<String> {
    let files = folders.iter().flat_map(|folder| ending_in(below(&root().join(folder)), "rs"));
    files.map(|path| text_of(&path)).collect()
}

fn text_of(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let found =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    found.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let (folders, mut files): (Vec<_>, Vec<_>) =
        entries(folder).into_iter().partition(|path| path.is_dir());
    files.extend(folders.iter().flat_map(|folder| below(folder)));
    files
}

fn ending_in(paths: Vec<PathBuf>, ending: &str) -> Vec<PathBuf> {
    paths.into_iter().filter(|path| path.extension().is_some_and(|end| end == ending)).collect()
}

impl Page {
    /// Lines outside of code blocks.
    fn prose(&self) -> impl Iterator<Item = &str> {
        let mut in_code = false;
        self.text.lines().filter(move |line| {
            let fence = line.trim_start().starts_with("```");
            in_code ^= fence;
            !in_code && !fence
        })
    }

    /// Targets of links as they are written, addresses of other sites left out.
    fn links(&self) -> Vec<&str> {
        self.prose()
            .flat_map(|line| line.split("](").skip(1))
            .filter_map(|rest| rest.split(')').next())
            .filter(|target| !target.contains("://"))
            .collect()
    }

    fn file_of(&self, target: &str) -> PathBuf {
        let file = target.split('#').next().unwrap_or_default();
        if file.is_empty() {
            return self.path.clone();
        }
        let joined = self.path.with_file_name(file);
        joined.canonicalize().unwrap_or(joined)
    }

    /// Files that this page links to.
    pub(crate) fn targets(&self) -> BTreeSet<PathBuf> {
        self.links()
            .into_iter()
            .map(|target| self.file_of(target))
            .filter(|file| *file != self.path)
            .collect()
    }

    /// Links that lead to no file, or to no heading of a file.
    pub(crate) fn broken_links(&self, all: &[Self]) -> Vec<String> {
        let broken = |target: &&str| {
            let file = self.file_of(target);
            let Some((_, heading)) = target.split_once('#') else { return !file.exists() };
            !all.iter().any(|page| page.path == file && page.anchors().contains(heading))
        };
        self.links()
            .into_iter()
            .filter(broken)
            .map(|target| format!("{}: `{target}` leads nowhere", self.path.display()))
            .collect()
    }

    /// Headings as links name them.
    fn anchors(&self) -> BTreeSet<String> {
        let anchor = |line: &str| {
            let text = line.trim_start_matches('#').trim().to_lowercase();
            let kept =
                text.chars().filter(|one| one.is_alphanumeric() || matches!(one, ' ' | '-' | '_'));
            kept.map(|one| if one == ' ' { '-' } else { one }).collect::<String>()
        };
        self.prose().filter(|line| line.starts_with('#')).map(anchor).collect()
    }

    /// Code blocks of one language, each with the line where it begins.
    pub(crate) fn blocks(&self, language: &str) -> Vec<(usize, String)> {
        let mut found: Vec<(usize, String)> = Vec::new();
        let mut inside: Option<bool> = None;
        for (index, line) in self.text.lines().enumerate() {
            match (line.strip_prefix("```"), inside) {
                (Some(_), Some(_)) => inside = None,
                (Some(word), None) => {
                    inside = Some(word == language);
                    if word == language {
                        found.push((index + 2, String::new()));
                    }
                }
                (None, Some(true)) => {
                    if let Some((_, block)) = found.last_mut() {
                        block.push_str(line);
                        block.push('\n');
                    }
                }
                (None, _) => {}
            }
        }
        found
    }
}
