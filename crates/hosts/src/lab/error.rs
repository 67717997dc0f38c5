//! Why a lab could not be set up, found or changed.

use crate::artifacts::ArtifactError;
use quorate_model::NodeName;
use std::{path::PathBuf, time::Duration};

/// A lab could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// What was asked makes no sense.
    #[error("{0}")]
    Input(String),
    /// The folder belongs to somebody.
    #[error("{} exists and is not empty", .0.display())]
    Taken(PathBuf),
    /// The folder has not the mark of a lab.
    #[error("{} is no lab: it lacks the mark that `lab up` leaves", .0.display())]
    NoLab(PathBuf),
    /// Somebody else than root asked for machines.
    #[error("machines need root: they are mounted, linked and booted on this machine")]
    NotRoot,
    /// Programs are missing, each with the Debian package that holds it.
    #[error("{} missing", programs(.0))]
    Programs(Vec<(&'static str, &'static str)>),
    /// The disk refused.
    #[error("cannot {doing} {}", path.display())]
    Disk {
        /// A verb: `write`.
        doing: &'static str,
        /// What it was about.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The programs could not be had.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// One member did not do what was asked.
    #[error("{node}: {because}")]
    Member {
        /// Which.
        node: NodeName,
        /// Why.
        because: String,
    },
    /// A member started and does not serve.
    #[error("{node} did not serve within {} s: {because}", waited.as_secs())]
    NotServing {
        /// Which.
        node: NodeName,
        /// For how long was waited.
        waited: Duration,
        /// What it answered last, and its last log lines.
        because: String,
    },
    /// Preparing the cluster failed.
    #[error("cannot {what}: {because}")]
    Setup {
        /// What was tried.
        what: String,
        /// Why.
        because: String,
    },
}

impl LabError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Taken(_) => {
                Some("give another folder, or take the old lab down first".to_owned())
            }
            Self::NoLab(_) => Some("`lab list` shows the labs of this user".to_owned()),
            Self::Artifact(error) => error.hint(),
            Self::NotRoot => Some(
                "run it with sudo; clusters of plain processes (`lab up etcd`) need no root"
                    .to_owned(),
            ),
            Self::Programs(missing) => {
                let mut packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
                packages.dedup();
                Some(format!("on Debian: apt-get install {}", packages.join(" ")))
            }
            Self::Input(_)
            | Self::Disk { .. }
            | Self::Member { .. }
            | Self::NotServing { .. }
            | Self::Setup { .. } => None,
        }
    }

    pub(super) fn disk(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Disk { doing, path, cause }
    }
}

fn programs(missing: &[(&str, &str)]) -> String {
    let names: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", names.join(", "))
}
