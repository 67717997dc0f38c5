//! Plans, observations and measured durations in the file.

use super::{SqliteStore, time};
use crate::{MEASURED_KEPT, OBSERVATIONS_KEPT, StoreError, rules};
use jiff::Timestamp;
use quorate_model::{ClusterName, Ejected, NodeName, Observation, Plan};
use rusqlite::{Connection, OptionalExtension, params};

impl SqliteStore {
    pub(super) fn keep_plan(&self, tx: &Connection, plan: &Plan) -> Result<(), StoreError> {
        let fault = |error| self.fault(&error);
        let digest = plan.digest.as_str();
        let text = self.written("a plan", plan)?;
        let sql = "INSERT INTO plans (digest, plan) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        tx.execute(sql, params![digest, text]).map_err(fault)?;
        let kept: String = tx
            .query_row("SELECT plan FROM plans WHERE digest = ?1", params![digest], |row| {
                row.get(0)
            })
            .map_err(fault)?;
        // As values: another version of the program may write the same plan with other words.
        if self.parsed::<Plan>("a plan", &kept)? == *plan {
            Ok(())
        } else {
            Err(StoreError::PlanDiffers { digest: plan.digest.clone() })
        }
    }

    pub(super) fn kept_plan(&self, tx: &Connection, asked: &str) -> Result<Plan, StoreError> {
        let fault = |error| self.fault(&error);
        // Not LIKE: its wildcards would let `%` mean every plan.
        let sql =
            "SELECT digest FROM plans WHERE substr(digest, 1, length(?1)) = ?1 ORDER BY digest";
        let mut select = tx.prepare_cached(sql).map_err(fault)?;
        let matches = select
            .query_map(params![asked], |row| row.get(0))
            .and_then(Iterator::collect::<rusqlite::Result<Vec<String>>>)
            .map_err(fault)?;
        let meant = rules::plan_meant(asked, matches)?;
        let text: String = tx
            .query_row("SELECT plan FROM plans WHERE digest = ?1", params![meant], |row| row.get(0))
            .map_err(fault)?;
        self.parsed("a plan", &text)
    }

    pub(super) fn keep_observation(
        &self,
        tx: &Connection,
        observation: &Observation,
    ) -> Result<(), StoreError> {
        let fault = |error| self.fault(&error);
        let cluster = observation.cluster.as_str();
        let text = self.written("an observation", observation)?;
        let sql = "INSERT INTO observations (cluster, taken_at, observation) VALUES (?1, ?2, ?3)";
        tx.execute(sql, params![cluster, time(observation.taken_at), text]).map_err(fault)?;
        let sql =
            "DELETE FROM observations WHERE cluster = ?1 AND id NOT IN (SELECT id FROM observations
                   WHERE cluster = ?1 ORDER BY taken_at DESC, id DESC LIMIT ?2)";
        tx.execute(sql, params![cluster, OBSERVATIONS_KEPT as i64]).map_err(fault)?;
        Ok(())
    }

    pub(super) fn newest_observation(
        &self,
        tx: &Connection,
        cluster: &ClusterName,
    ) -> Result<Option<Observation>, StoreError> {
        let sql = "SELECT observation FROM observations WHERE cluster = ?1
                   ORDER BY taken_at DESC, id DESC LIMIT 1";
        let text: Option<String> = tx
            .query_row(sql, params![cluster.as_str()], |row| row.get(0))
            .optional()
            .map_err(|error| self.fault(&error))?;
        text.map(|text| self.parsed("an observation", &text)).transpose()
    }

    pub(super) fn keep_measure(
        &self,
        tx: &Connection,
        pack: &str,
        role: &str,
        secs: f64,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        if !rules::is_duration(secs) {
            return Ok(());
        }
        let fault = |error| self.fault(&error);
        let sql = "INSERT INTO measured (pack, role, at, secs) VALUES (?1, ?2, ?3, ?4)";
        tx.execute(sql, params![pack, role, time(at), secs]).map_err(fault)?;
        let sql = "DELETE FROM measured WHERE pack = ?1 AND role = ?2 AND id NOT IN (SELECT id FROM measured
                   WHERE pack = ?1 AND role = ?2 ORDER BY at DESC, id DESC LIMIT ?3)";
        tx.execute(sql, params![pack, role, MEASURED_KEPT as i64]).map_err(fault)?;
        Ok(())
    }

    pub(super) fn kept_measures(
        &self,
        tx: &Connection,
        pack: &str,
        role: &str,
    ) -> Result<Vec<f64>, StoreError> {
        let fault = |error| self.fault(&error);
        let sql =
            "SELECT secs FROM measured WHERE pack = ?1 AND role = ?2 ORDER BY at DESC, id DESC";
        let mut select = tx.prepare_cached(sql).map_err(fault)?;
        select
            .query_map(params![pack, role], |row| row.get(0))
            .and_then(Iterator::collect::<rusqlite::Result<Vec<f64>>>)
            .map_err(fault)
    }

    pub(super) fn keep_ejected(
        &self,
        tx: &Connection,
        ejected: &Ejected,
    ) -> Result<(), StoreError> {
        let text = self.written("an ejection", ejected)?;
        let (cluster, node) = (ejected.cluster.as_str(), ejected.node.as_str());
        let sql = "INSERT OR REPLACE INTO ejected (cluster, node, ejected) VALUES (?1, ?2, ?3)";
        tx.execute(sql, params![cluster, node, text]).map_err(|error| self.fault(&error))?;
        Ok(())
    }

    pub(super) fn kept_ejected(
        &self,
        tx: &Connection,
        cluster: &ClusterName,
    ) -> Result<Vec<Ejected>, StoreError> {
        let fault = |error| self.fault(&error);
        let sql = "SELECT ejected FROM ejected WHERE cluster = ?1 ORDER BY node";
        let mut select = tx.prepare_cached(sql).map_err(fault)?;
        let texts = select
            .query_map(params![cluster.as_str()], |row| row.get(0))
            .and_then(Iterator::collect::<rusqlite::Result<Vec<String>>>)
            .map_err(fault)?;
        texts.iter().map(|text| self.parsed("an ejection", text)).collect()
    }

    pub(super) fn drop_ejected(
        &self,
        tx: &Connection,
        cluster: &ClusterName,
        node: &NodeName,
    ) -> Result<(), StoreError> {
        let sql = "DELETE FROM ejected WHERE cluster = ?1 AND node = ?2";
        tx.execute(sql, params![cluster.as_str(), node.as_str()])
            .map_err(|error| self.fault(&error))?;
        Ok(())
    }
}
