//! Runs and their journals in the file.

use super::{SqliteStore, time};
use crate::{
    StoreError,
    rules::{self, Append, event_name},
    state::{TELLING, state_of},
};
use jiff::Timestamp;
use quorate_model::{ClusterName, Digest, Lease, Recorded, RunEvent, RunHeader, RunId, Seq};
use rusqlite::{Connection, OptionalExtension, Params, params};

/// A row as it stands in the file.
type EventRow = (u64, String, String);

impl SqliteStore {
    pub(super) fn append_events(
        &self,
        tx: &Connection,
        run: &RunId,
        lease: Option<&Lease>,
        expected: Seq,
        at: Timestamp,
        events: &[RunEvent],
    ) -> Result<Seq, StoreError> {
        let cluster = self.cluster_of(tx, run)?;
        let last: i64 = self.ask(
            tx,
            "SELECT coalesce(max(seq), 0) FROM events WHERE run = ?1",
            params![run.as_str()],
        )?;
        let actual = Seq(last.unsigned_abs());
        let slot = self.slot(tx, &cluster)?;
        let append = Append { run, cluster: &cluster, lease, expected, actual, events };
        rules::may_append(&append, &slot)?;
        let fault = |error| self.fault(&error);
        let mut insert = tx
            .prepare_cached(
                "INSERT INTO events (run, seq, at, name, event) VALUES (?1, ?2, ?3, ?4, ?5)",
            )
            .map_err(fault)?;
        let mut seq = actual;
        for event in events {
            seq = seq.next();
            let text = self.written("an event", event)?;
            insert
                .execute(params![run.as_str(), signed(seq.0), time(at), event_name(event), text])
                .map_err(fault)?;
        }
        Ok(seq)
    }

    pub(super) fn events_after(
        &self,
        tx: &Connection,
        run: &RunId,
        after: Seq,
    ) -> Result<Vec<Recorded>, StoreError> {
        self.cluster_of(tx, run)?;
        let sql = "SELECT seq, at, event FROM events WHERE run = ?1 AND seq > ?2 ORDER BY seq";
        self.recorded(tx, sql, params![run.as_str(), signed(after.0)])
    }

    pub(super) fn add_run(
        &self,
        tx: &Connection,
        run: &RunId,
        cluster: &ClusterName,
        plan: &Digest,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO runs (run, cluster, plan, created_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
        let row = params![run.as_str(), cluster.as_str(), plan.as_str(), time(at)];
        match tx.execute(sql, row).map_err(|error| self.fault(&error))? {
            0 => Err(StoreError::Exists { what: "run", name: run.to_string() }),
            _ => Ok(()),
        }
    }

    pub(super) fn headers(&self, tx: &Connection) -> Result<Vec<RunHeader>, StoreError> {
        let fault = |error| self.fault(&error);
        let sql =
            "SELECT run, cluster, plan, created_at FROM runs ORDER BY created_at DESC, rowid DESC";
        let mut select = tx.prepare_cached(sql).map_err(fault)?;
        let rows = select
            .query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .and_then(Iterator::collect::<rusqlite::Result<Vec<(String, String, String, String)>>>)
            .map_err(fault)?;
        let names = TELLING.map(|name| format!("'{name}'")).join(", ");
        let telling = format!(
            "SELECT seq, at, event FROM events WHERE run = ?1 AND name IN ({names}) ORDER BY seq"
        );
        rows.into_iter()
            .map(|(run, cluster, plan, created_at)| {
                let state = state_of(&self.recorded(tx, &telling, params![run])?);
                Ok(RunHeader {
                    run: run.into(),
                    cluster: cluster.into(),
                    plan: plan.into(),
                    began_at: self.moment(&created_at)?,
                    state,
                })
            })
            .collect()
    }

    fn cluster_of(&self, tx: &Connection, run: &RunId) -> Result<ClusterName, StoreError> {
        let found: Option<String> = tx
            .query_row("SELECT cluster FROM runs WHERE run = ?1", params![run.as_str()], |row| {
                row.get(0)
            })
            .optional()
            .map_err(|error| self.fault(&error))?;
        found
            .map(ClusterName::new)
            .ok_or_else(|| StoreError::Missing { what: "run", name: run.to_string() })
    }

    fn recorded(
        &self,
        tx: &Connection,
        sql: &str,
        given: impl Params,
    ) -> Result<Vec<Recorded>, StoreError> {
        let fault = |error| self.fault(&error);
        let mut select = tx.prepare_cached(sql).map_err(fault)?;
        let rows = select
            .query_map(given, |row| {
                Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?, row.get(2)?))
            })
            .and_then(Iterator::collect::<rusqlite::Result<Vec<EventRow>>>)
            .map_err(fault)?;
        rows.into_iter()
            .map(|(seq, at, event)| {
                let what = format!("event {seq} of a journal");
                Ok(Recorded {
                    seq: Seq(seq),
                    at: self.moment(&at)?,
                    event: self.parsed(&what, &event)?,
                })
            })
            .collect()
    }

    fn ask(&self, tx: &Connection, sql: &str, given: impl Params) -> Result<i64, StoreError> {
        tx.query_row(sql, given, |row| row.get(0)).map_err(|error| self.fault(&error))
    }
}

/// SQLite counts with a sign; no counter of ours comes near its end.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
