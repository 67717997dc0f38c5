//! The default store: one SQLite file in the state folder, written through before anything is done.
//!
//! Invariant: `append` returns only after the events are on the disk (write-ahead log, `synchronous = FULL`):
//! intent must be durable before the act.

mod fault;
mod journal;
mod keep;
mod lease;
mod schema;

pub use schema::SCHEMA;

use crate::{Store, StoreError};
use jiff::Timestamp;
use quorate_model::{
    ClusterName, Digest, Ejected, Holder, Lease, NodeName, Observation, Plan, Recorded, RunEvent,
    RunHeader, RunId, Seq,
};
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use schema::FileForm;
use std::{
    fs::{DirBuilder, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Five seconds: another quorate holds the file for milliseconds, a slow disk's sync for one or two seconds.
/// Past this something is stuck, and a person should hear of it.
const BUSY_LIMIT: Duration = Duration::from_secs(5);
/// The switch to the write-ahead log does not always wait for a lock; this many more tries cover programs that open a new
/// file at the same moment.
const WAL_TRIES: u32 = 50;
/// Between those tries.
const WAL_PAUSE: Duration = Duration::from_millis(20);

/// A store in one SQLite file. Several processes may use the file at once.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl SqliteStore {
    /// Opens the file, and makes it and its folder (for this user alone) when they are missing.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        make_file(path).map_err(|error| fault::files(path, &error))?;
        let sqlite = |error: rusqlite::Error| fault::sqlite(path, &error);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
        connection.busy_timeout(BUSY_LIMIT).map_err(sqlite)?;
        match schema::form(&mut connection).map_err(sqlite)? {
            FileForm::Known => {}
            FileForm::Newer(found) => {
                return Err(StoreError::Newer { path: path.to_owned(), found, known: SCHEMA });
            }
            FileForm::Foreign => return Err(fault::not_ours(path)),
        }
        write_ahead(&connection, path)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(sqlite)?;
        connection.pragma_update(None, "foreign_keys", true).map_err(sqlite)?;
        schema::migrate(&mut connection).map_err(sqlite)?;
        Ok(Self { path: path.to_owned(), connection: Mutex::new(connection) })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` in one transaction that holds the write lock from its beginning, so that what it reads stays true.
    fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.transaction(TransactionBehavior::Immediate, work)
    }

    /// Runs `work` on one unchanging view.
    fn read<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.transaction(TransactionBehavior::Deferred, work)
    }

    fn transaction<T>(
        &self,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // A panic in `work` has rolled its transaction back, so the connection is as good as before.
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction =
            connection.transaction_with_behavior(behavior).map_err(|error| self.fault(&error))?;
        let value = work(&transaction)?;
        transaction.commit().map_err(|error| self.fault(&error))?;
        Ok(value)
    }

    fn fault(&self, error: &rusqlite::Error) -> StoreError {
        fault::sqlite(&self.path, error)
    }

    fn parsed<T: serde::de::DeserializeOwned>(
        &self,
        what: &str,
        text: &str,
    ) -> Result<T, StoreError> {
        serde_json::from_str(text).map_err(|error| fault::unread(&self.path, what, &error))
    }

    fn written<T: serde::Serialize>(&self, what: &str, value: &T) -> Result<String, StoreError> {
        serde_json::to_string(value).map_err(|error| {
            fault::unusable(
                &self.path,
                format!("{what} cannot be written as JSON: {error}"),
                "report this as a bug",
            )
        })
    }

    fn moment(&self, text: &str) -> Result<Timestamp, StoreError> {
        text.parse().map_err(|error: jiff::Error| fault::unread(&self.path, "a time", &error))
    }
}

/// Nine digits always, so that the order of the texts is the order of the times.
fn time(at: Timestamp) -> String {
    format!("{at:.9}")
}

fn make_file(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        // For this user alone: observations and plans tell where everything is and how it is reached.
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            OpenOptions::new().read(true).write(true).open(path).map(|_| ())
        }
        Err(error) => Err(error),
    }
}

fn write_ahead(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let mut tries = WAL_TRIES;
    loop {
        tries -= 1;
        let mode =
            connection.query_row("PRAGMA journal_mode = WAL", (), |row| row.get::<_, String>(0));
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => {
                return Err(fault::unusable(
                    path,
                    format!(
                        "its file system offers no shared memory for a write-ahead log (got `{mode}`)"
                    ),
                    "keep the state on a local disk: name a folder with `--state DIR`",
                ));
            }
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && tries > 0 =>
            {
                std::thread::sleep(WAL_PAUSE);
            }
            Err(error) => return Err(fault::sqlite(path, &error)),
        }
    }
}

impl Store for SqliteStore {
    fn append(
        &self,
        run: &RunId,
        lease: Option<&Lease>,
        expected: Seq,
        at: Timestamp,
        events: &[RunEvent],
    ) -> Result<Seq, StoreError> {
        self.write(|tx| self.append_events(tx, run, lease, expected, at, events))
    }
    fn journal(&self, run: &RunId, after: Seq) -> Result<Vec<Recorded>, StoreError> {
        self.read(|tx| self.events_after(tx, run, after))
    }
    fn create_run(
        &self,
        run: &RunId,
        cluster: &ClusterName,
        plan: &Digest,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(|tx| self.add_run(tx, run, cluster, plan, at))
    }
    fn runs(&self) -> Result<Vec<RunHeader>, StoreError> {
        self.read(|tx| self.headers(tx))
    }
    fn save_plan(&self, plan: &Plan) -> Result<(), StoreError> {
        self.write(|tx| self.keep_plan(tx, plan))
    }
    fn plan(&self, digest: &str) -> Result<Plan, StoreError> {
        self.read(|tx| self.kept_plan(tx, digest))
    }
    fn save_observation(&self, observation: &Observation) -> Result<(), StoreError> {
        self.write(|tx| self.keep_observation(tx, observation))
    }
    fn last_observation(&self, cluster: &ClusterName) -> Result<Option<Observation>, StoreError> {
        self.read(|tx| self.newest_observation(tx, cluster))
    }
    fn take_lease(
        &self,
        cluster: &ClusterName,
        run: &RunId,
        holder: &Holder,
        now: Timestamp,
        ttl: Duration,
        break_held: bool,
    ) -> Result<Lease, StoreError> {
        let take = crate::rules::Take { cluster, run, holder, now, ttl, break_held };
        self.write(|tx| self.give_lease(tx, &take))
    }
    fn renew_lease(
        &self,
        lease: &Lease,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Lease, StoreError> {
        self.write(|tx| self.prolong_lease(tx, lease, now, ttl))
    }
    fn release_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        self.write(|tx| self.end_lease(tx, lease))
    }
    fn lease(&self, cluster: &ClusterName) -> Result<Option<Lease>, StoreError> {
        self.read(|tx| Ok(self.slot(tx, cluster)?.held))
    }
    fn measured(&self, pack: &str, role: &str) -> Result<Vec<f64>, StoreError> {
        self.read(|tx| self.kept_measures(tx, pack, role))
    }
    fn save_measured(
        &self,
        pack: &str,
        role: &str,
        secs: f64,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(|tx| self.keep_measure(tx, pack, role, secs, at))
    }
    fn ejected(&self, cluster: &ClusterName) -> Result<Vec<Ejected>, StoreError> {
        self.read(|tx| self.kept_ejected(tx, cluster))
    }
    fn save_ejected(&self, ejected: &Ejected) -> Result<(), StoreError> {
        self.write(|tx| self.keep_ejected(tx, ejected))
    }
    fn forget_ejected(&self, cluster: &ClusterName, node: &NodeName) -> Result<(), StoreError> {
        self.write(|tx| self.drop_ejected(tx, cluster, node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store whose file may not grow any more, as on a full disk.
    #[test]
    fn a_full_disk_is_told_and_the_journal_before_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("state.db")).unwrap();
        let (run, cluster) = (RunId::new("r1"), ClusterName::new("demo"));
        let at = Timestamp::UNIX_EPOCH;
        store.create_run(&run, &cluster, &Digest::new("d"), at).unwrap();
        let note = |text: &str| RunEvent::Note { by: "anna".into(), text: text.into() };
        store.append(&run, None, Seq(0), at, &[note("before")]).unwrap();
        {
            let connection = store.connection.lock().unwrap();
            let pages: u32 =
                connection.query_row("PRAGMA page_count", (), |row| row.get(0)).unwrap();
            let max = format!("PRAGMA max_page_count = {pages}");
            connection.query_row(&max, (), |row| row.get::<_, u32>(0)).unwrap();
        }
        let big = note(&"x".repeat(1_000_000));
        let error = store.append(&run, None, Seq(1), at, &[note("half"), big]).unwrap_err();
        assert!(error.to_string().contains("the disk is full"), "{error}");
        assert!(error.hint().unwrap().contains("make room"), "{error:?}");
        let journal = store.journal(&run, Seq(0)).unwrap();
        assert_eq!(journal.len(), 1);
        assert_eq!(journal[0].event, note("before"));
    }

    #[test]
    fn settings_that_durability_hangs_on_are_set() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("state.db")).unwrap();
        let connection = store.connection.lock().unwrap();
        let number = |pragma: &str| -> i64 {
            connection.query_row(&format!("PRAGMA {pragma}"), (), |row| row.get(0)).unwrap()
        };
        let mode: String =
            connection.query_row("PRAGMA journal_mode", (), |row| row.get(0)).unwrap();
        assert_eq!((mode.as_str(), number("synchronous"), number("foreign_keys")), ("wal", 2, 1));
        assert_eq!(number("user_version"), i64::from(SCHEMA));
    }

    #[test]
    fn a_journal_cannot_be_changed_even_by_hand() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("state.db")).unwrap();
        let (run, at) = (RunId::new("r1"), Timestamp::UNIX_EPOCH);
        store.create_run(&run, &"demo".into(), &Digest::new("d"), at).unwrap();
        let note = RunEvent::Note { by: "anna".into(), text: "hm".into() };
        store.append(&run, None, Seq(0), at, &[note]).unwrap();
        let connection = store.connection.lock().unwrap();
        for change in ["DELETE FROM events", "UPDATE events SET seq = 2"] {
            let error = connection.execute(change, ()).unwrap_err();
            assert!(error.to_string().contains("a journal only grows"), "{error}");
        }
    }
}
