//! Leases in the file. The decisions are those of `rules.rs`; the write lock of the transaction makes them exclusive.

use super::{SqliteStore, journal::signed};
use crate::{
    StoreError,
    rules::{self, LeaseSlot, Take},
};
use jiff::Timestamp;
use quorate_model::{ClusterName, Generation, Lease};
use rusqlite::{Connection, OptionalExtension, params};
use std::time::Duration;

impl SqliteStore {
    pub(super) fn slot(
        &self,
        tx: &Connection,
        cluster: &ClusterName,
    ) -> Result<LeaseSlot, StoreError> {
        let sql = "SELECT generation, lease FROM leases WHERE cluster = ?1";
        let found: Option<(i64, Option<String>)> = tx
            .query_row(sql, params![cluster.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .map_err(|error| self.fault(&error))?;
        let Some((generation, held)) = found else { return Ok(LeaseSlot::default()) };
        let held = held.map(|text| self.parsed("a lease", &text)).transpose()?;
        Ok(LeaseSlot { generation: Generation(generation.unsigned_abs()), held })
    }

    pub(super) fn give_lease(&self, tx: &Connection, take: &Take<'_>) -> Result<Lease, StoreError> {
        let lease = rules::taken(take, &self.slot(tx, take.cluster)?)?;
        self.keep_slot(tx, &lease, true)?;
        Ok(lease)
    }

    pub(super) fn prolong_lease(
        &self,
        tx: &Connection,
        lease: &Lease,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Lease, StoreError> {
        let lease = rules::renewed(lease, &self.slot(tx, &lease.cluster)?, now, ttl)?;
        self.keep_slot(tx, &lease, true)?;
        Ok(lease)
    }

    pub(super) fn end_lease(&self, tx: &Connection, lease: &Lease) -> Result<(), StoreError> {
        if rules::must_release(lease, &self.slot(tx, &lease.cluster)?)? {
            self.keep_slot(tx, lease, false)?;
        }
        Ok(())
    }

    fn keep_slot(&self, tx: &Connection, lease: &Lease, held: bool) -> Result<(), StoreError> {
        let text = if held { Some(self.written("a lease", lease)?) } else { None };
        let sql = "INSERT INTO leases (cluster, generation, lease) VALUES (?1, ?2, ?3)
                   ON CONFLICT (cluster) DO UPDATE SET generation = excluded.generation, lease = excluded.lease";
        tx.execute(sql, params![lease.cluster.as_str(), signed(lease.generation.0), text])
            .map_err(|error| self.fault(&error))?;
        Ok(())
    }
}
