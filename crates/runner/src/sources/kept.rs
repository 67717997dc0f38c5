//! Answers of sources, kept in the state folder: `inventory/SOURCE.json`.
//!
//! Invariant: an answer counts only for the question that it answered. A source that is asked something else begins anew.

use crate::problem::{BAD_STATE, Problem};
use jiff::Timestamp;
use quorate_inventory::{ListedHost, Source};
use quorate_transport::{LocalTransport, Transport};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};

/// Version of the file.
const SCHEMA: u32 = 1;
/// Addresses and labels of all hosts are nobody else's business.
const MODE: u32 = 0o600;

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    schema: u32,
    source: String,
    /// SHA-256 over what was asked.
    question_sha256: String,
    pub(super) taken_at: Timestamp,
    pub(super) hosts: Vec<ListedHost>,
}

impl Kept {
    pub(super) fn new(source: &Source, taken_at: Timestamp, hosts: Vec<ListedHost>) -> Self {
        Self {
            schema: SCHEMA,
            source: source.name.clone(),
            question_sha256: digest(source),
            taken_at,
            hosts,
        }
    }

    /// What was kept of a source, when it was asked the same. A file that cannot be understood is refused: it says which hosts
    /// there were.
    pub(super) fn read(state_dir: &Path, source: &Source) -> Result<Option<Self>, Problem> {
        let path = file(state_dir, &source.name);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(&path, error.to_string())),
        };
        let kept: Self =
            serde_json::from_str(&text).map_err(|error| unusable(&path, error.to_string()))?;
        Ok(Some(kept).filter(|kept| kept.question_sha256 == digest(source)))
    }

    pub(super) async fn write(&self, state_dir: &Path) -> Result<(), Problem> {
        let path = file(state_dir, &self.source);
        let folder = path.parent().unwrap_or(state_dir);
        std::fs::create_dir_all(folder).map_err(|error| unusable(&path, error.to_string()))?;
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        let written = LocalTransport.write(&path, &text, MODE).await;
        written.into_result().map_err(|because| unusable(&path, because))
    }
}

fn file(state_dir: &Path, source: &str) -> PathBuf {
    state_dir.join("inventory").join(format!("{source}.json"))
}

fn digest(source: &Source) -> String {
    let text = serde_json::to_vec(source).unwrap_or_default();
    hex::encode(Sha256::digest(text))
}

fn unusable(path: &Path, because: String) -> Problem {
    Problem::new(BAD_STATE, format!("cannot keep the hosts of a source in {}", path.display()))
        .because(because)
        .hint("move the file away; the source is asked anew then")
}
