//! Why a release could not be had, and what to do about it.

use quorate_model::{Digest, PackName, Release};
use std::{fmt::Write as _, path::PathBuf};

/// A release or one of its files could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The disk refused.
    #[error("cannot {doing} {}", path.display())]
    Disk {
        /// A verb: `read`.
        doing: &'static str,
        /// What it was about.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The bytes are not those that were planned or declared.
    #[error("{what} has digest {} but {} was expected: it is damaged, cut short or another file", actual.told_apart(expected).0, actual.told_apart(expected).1)]
    Damaged {
        /// The file or address.
        what: String,
        /// As planned.
        expected: Digest,
        /// As found.
        actual: Digest,
    },
    /// The web did not give it.
    #[error("cannot fetch {url}: {because}")]
    Fetch {
        /// The address.
        url: String,
        /// Why.
        because: String,
    },
    /// An archive that must not be unpacked, or that holds nothing useful.
    #[error("the archive {archive} was refused: {because}")]
    Archive {
        /// Its name.
        archive: String,
        /// Why.
        because: String,
    },
    /// A file grew past what any release needs.
    #[error("{what} is larger than {} MiB and was not taken", limit_bytes / 1024 / 1024)]
    TooLarge {
        /// The file or address.
        what: String,
        /// The bound.
        limit_bytes: u64,
    },
    /// Something given cannot be used.
    #[error("{0}")]
    Input(String),
    /// No source has the release.
    #[error("{pack} {release} cannot be had")]
    NotAtHand {
        /// The product.
        pack: PackName,
        /// The release.
        release: Release,
        /// What was tried and what came of it, a line each.
        tried: Vec<String>,
    },
}

impl ArtifactError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Disk { .. } => None,
            Self::Damaged { .. } => Some("get the file again, or compare its SHA-256 with the one that its makers publish".to_owned()),
            Self::Fetch { .. } => Some("check the address and the network, or put the files into a folder and give it with --artifacts".to_owned()),
            Self::Archive { .. } | Self::TooLarge { .. } => Some("unpack the binaries by hand into DIR/<pack>/<release>/ and give the folder with --artifacts DIR".to_owned()),
            Self::Input(_) => None,
            Self::NotAtHand { pack, release, .. } => {
                Some(format!("put its binaries into DIR/{pack}/{release}/ and give the folder with --artifacts DIR"))
            }
        }
    }

    /// The whole story in one sentence: the error, its causes, what was tried.
    pub fn sentence(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            // Writing to a text cannot fail.
            let _ = write!(text, ": {cause}");
            source = cause.source();
        }
        if let Self::NotAtHand { tried, .. } = self {
            let _ = write!(text, "; tried: {}", tried.join("; "));
        }
        text
    }

    pub(crate) fn disk(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Disk { doing, path, cause }
    }
}
