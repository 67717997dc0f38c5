//! What is left of a probe whose process died: what its keys must hold, kept in a file once a second, and the account of it.
//!
//! Why: a controller may die at any moment, and acknowledged writes of that time must be there all the same.
//! Invariant: the file is gone before the keys are, so that keys that were cleaned up are never taken for lost ones.

use crate::{
    account::list_at,
    calls::{Way, Words},
    ledger::{Hold, missing},
    options::{ProbeOptions, Tunnels},
    probe::{ProbeError, endpoints_of, way_of},
};
use quorate_model::{ClientFigures, Cluster, Release};
use quorate_packs::Pack;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What a probe had written, at the last full second of its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remains {
    pub(crate) prefix: String,
    pub(crate) holds: Vec<Hold>,
    pub(crate) figures: ClientFigures,
}

impl Remains {
    /// Reads the file; none when there is none.
    pub fn read(file: &Path) -> io::Result<Option<Self>> {
        match fs::read(file) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes it in the place of an earlier one. Not synced: it must outlive this process, not a power cut.
    pub(crate) fn write(&self, file: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self).map_err(io::Error::other)?;
        let new = quorate_transport::beside(file, ".new");
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&new, text)?;
        fs::rename(&new, file)
    }

    /// Compares with what every endpoint shows, removes file and keys, and gives the figures with what is lost.
    pub async fn settle(
        &self,
        file: &Path,
        pack: &Arc<Pack>,
        cluster: &Cluster,
        speaking: &Release,
        tunnels: &Tunnels,
    ) -> Result<ClientFigures, ProbeError> {
        let (view, way) = way_of(pack, cluster, speaking, tunnels)?;
        let limit = ProbeOptions::new(speaking.clone()).read_back_limit;
        let (mut lost, mut shown) = (BTreeSet::new(), None);
        for endpoint in endpoints_of(cluster, &view, tunnels)? {
            let url = endpoint.url;
            if let Ok(pairs) = list_at(&way, &self.prefix, &url, limit).await {
                lost.extend(missing(&self.holds, &pairs));
                shown = Some(url);
            }
        }
        let Some(url) = shown else {
            return Err(ProbeError::NotReadBack { account: Box::default() });
        };
        let figures = ClientFigures {
            writes_lost: u64::try_from(lost.len()).unwrap_or(u64::MAX),
            ..self.figures.clone()
        };
        forget(file);
        self.clean(&way, &url, limit).await;
        Ok(figures)
    }

    async fn clean(&self, way: &Way, url: &str, limit: std::time::Duration) {
        let words = Words { endpoint: url, prefix: &self.prefix, ..Words::default() };
        if let Err(because) = way.clean(words, limit).await {
            tracing::warn!(
                prefix = self.prefix,
                because,
                "keys of an earlier probe are still there"
            );
        }
    }
}

/// The place of a living probe's remains.
#[derive(Debug)]
pub(crate) struct Keeper {
    file: PathBuf,
    /// Its keys are removed, or about to be: nothing is kept any more. Held while the file is written, so that a write that
    /// was begun earlier never brings a removed file back.
    over: Mutex<bool>,
}

impl Keeper {
    pub(crate) fn new(file: PathBuf) -> Self {
        Self { file, over: Mutex::new(false) }
    }

    fn over(&self) -> MutexGuard<'_, bool> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn keep(&self, remains: &Remains) {
        let over = self.over();
        if *over {
            return;
        }
        if let Err(error) = remains.write(&self.file) {
            tracing::warn!(file = %self.file.display(), %error, "the client's account cannot be kept");
        }
    }

    pub(crate) fn forget(&self) {
        *self.over() = true;
        forget(&self.file);
    }
}

/// Removes the file; that there is none is fine.
fn forget(file: &Path) {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(file = %file.display(), %error, "what is kept of the client cannot be removed");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again_and_a_damaged_file_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/client.json");
        assert_eq!(Remains::read(&file).unwrap(), None);
        let remains = Remains {
            prefix: "p/1/".into(),
            holds: vec![Hold { key: "p/1/0000-0".into(), acked: 7, maybe: None, rests: false }],
            figures: ClientFigures { writes_acked: 7, ..ClientFigures::default() },
        };
        for _ in 0..2 {
            remains.write(&file).unwrap();
            assert_eq!(Remains::read(&file).unwrap(), Some(remains.clone()));
        }
        fs::write(&file, "{").unwrap();
        assert!(Remains::read(&file).is_err());
        let keeper = Keeper::new(file.clone());
        keeper.keep(&remains);
        assert!(file.exists());
        keeper.forget();
        keeper.forget();
        keeper.keep(&remains);
        assert!(!file.exists(), "what is over is not kept again");
    }
}
