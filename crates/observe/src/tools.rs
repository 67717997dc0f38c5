//! Where the tools of each release lie, for probes that are commands: what `{artifact}` stands for.

use quorate_model::Release;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Folders of tools by release.
#[derive(Debug, Clone, Default)]
pub struct Tools {
    folders: BTreeMap<Release, PathBuf>,
}

impl Tools {
    /// No tools at hand but those beside the running binary.
    pub fn none() -> Self {
        Self::default()
    }

    /// Tools in these folders.
    pub fn new(folders: BTreeMap<Release, PathBuf>) -> Self {
        Self { folders }
    }

    /// The folder for a release: its own, else the nearest older one (newer servers understand older tools), else the
    /// oldest newer one.
    pub fn folder(&self, release: Option<&Release>) -> Option<&Path> {
        let Some(release) = release else {
            return self.folders.values().next().map(PathBuf::as_path);
        };
        let older = self.folders.range(..=release.clone()).next_back();
        older.or_else(|| self.folders.iter().next()).map(|(_, folder)| folder.as_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_nearest_tool() {
        let release = |text: &str| text.parse::<Release>().unwrap();
        let folders = ["3.4.23", "3.5.16"].map(|text| (release(text), PathBuf::from(text)));
        let tools = Tools::new(BTreeMap::from(folders));
        let folder = |text: &str| tools.folder(Some(&release(text))).unwrap().to_owned();
        assert_eq!(folder("3.4.23"), Path::new("3.4.23"));
        assert_eq!(folder("3.4.30"), Path::new("3.4.23"));
        assert_eq!(folder("3.6.0"), Path::new("3.5.16"));
        assert_eq!(folder("3.3.25"), Path::new("3.4.23"));
        assert_eq!(Tools::none().folder(Some(&release("3.4.23"))), None);
    }
}
