//! One member: its process, its files, its network, and how far behind it is.

use crate::{
    clock::Millis,
    product::{Product, Rel},
};
use quorate_model::NodeName;

/// Entries that the cluster writes in a second; a member that is away falls behind by as many.
const WRITES_PER_SEC: u64 = 50;
/// Entries that a member applies in a second when it catches up.
pub(crate) const CATCH_UP_PER_SEC: u64 = 2000;
/// The same on a bad day.
pub(crate) const SLOW_CATCH_UP_PER_SEC: u64 = 60;
/// Entries that count as caught up, as the pack says.
pub(crate) const MAX_LAG: u64 = 10;
/// A process is ready after this.
pub(crate) const BOOT: Millis = 200;

/// A member's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// Not there.
    Down,
    /// Reads its log until then.
    Starting {
        /// When it is ready.
        ready_at: Millis,
    },
    /// Serves.
    Up,
}

/// What lies beside the live binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Staged {
    pub(crate) release: Rel,
    pub(crate) damaged: bool,
}

/// One member.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its name.
    pub name: NodeName,
    /// Whether it has a vote.
    pub voter: bool,
    /// It keeps no data and has no part in the quorum.
    pub client: bool,
    /// Its process.
    pub process: Process,
    /// The release that runs, or ran last.
    pub runs: Rel,
    /// The release whose files are live.
    pub live: Rel,
    /// The live file is not what its digest promises.
    pub live_damaged: bool,
    /// A controller stopped it and it has not served since.
    pub down_by_us: bool,
    /// The controller cannot reach it.
    pub cut: bool,
    /// Its peers cannot reach it.
    pub isolated: bool,
    /// Its disk takes no more.
    pub disk_full: bool,
    /// It needs this much longer to be ready.
    pub slow_boot: Millis,
    /// It died of a fault and comes back by itself then.
    pub(crate) revive_at: Option<Millis>,
    pub(crate) catch_up_per_sec: u64,
    pub(crate) staged: Vec<Staged>,
    /// Thousandths of an entry, so that short spans of time are not lost.
    lag_milli: u64,
}

impl Member {
    pub(crate) fn healthy(name: &NodeName, voter: bool, release: Rel) -> Self {
        Self {
            name: name.clone(),
            voter,
            client: false,
            process: Process::Up,
            runs: release,
            live: release,
            live_damaged: false,
            down_by_us: false,
            cut: false,
            isolated: false,
            disk_full: false,
            slow_boot: 0,
            revive_at: None,
            catch_up_per_sec: CATCH_UP_PER_SEC,
            staged: Vec::new(),
            lag_milli: 0,
        }
    }
    pub(crate) fn client(name: &NodeName, release: Rel) -> Self {
        Self { client: true, ..Self::healthy(name, false, release) }
    }
    /// Whether it runs and its peers reach it.
    pub fn takes_part(&self) -> bool {
        self.process == Process::Up && !self.isolated
    }
    /// Entries that it is behind.
    pub fn lag(&self) -> u64 {
        self.lag_milli / 1000
    }
    /// Whether it is as far as others may rely on.
    pub fn caught_up(&self) -> bool {
        self.lag() <= MAX_LAG
    }
    /// Whether the files of that release lie beside the live ones, undamaged.
    pub(crate) fn holds_staged(&self, release: Rel) -> bool {
        self.staged.iter().any(|staged| staged.release == release && !staged.damaged)
    }
    pub(crate) fn fall_behind(&mut self, entries: u64) {
        if !self.client {
            self.lag_milli += entries * 1000;
        }
    }
    pub(crate) fn lead(&mut self) {
        self.lag_milli = 0;
    }
    pub(crate) fn next_change(&self) -> Option<Millis> {
        match self.process {
            Process::Starting { ready_at } => Some(ready_at),
            Process::Down => self.revive_at,
            Process::Up => None,
        }
    }
    pub(crate) fn pass(&mut self, passed: Millis, _now: Millis) {
        if self.client {
            // Nothing is replicated to it.
        } else if self.takes_part() {
            self.lag_milli =
                self.lag_milli.saturating_sub(passed * (self.catch_up_per_sec - WRITES_PER_SEC));
        } else {
            self.lag_milli += passed * WRITES_PER_SEC;
        }
    }
    /// Begins to start what lies on disk.
    pub(crate) fn start(&mut self, now: Millis) {
        if self.process == Process::Down {
            self.revive_at = None;
            self.process =
                Process::Starting { ready_at: now + BOOT + std::mem::take(&mut self.slow_boot) };
        }
    }
    pub(crate) fn stop(&mut self) {
        self.process = Process::Down;
        self.revive_at = None;
    }
    /// A start that is due ends: the member joins, or leaves again because the cluster is not of its time.
    pub(crate) fn finish_start(&mut self, now: Millis, cluster_line: u32) {
        if self.process == Process::Down && self.revive_at.is_some_and(|at| at <= now) {
            self.start(now);
        }
        let Process::Starting { ready_at } = self.process else { return };
        if ready_at > now {
            return;
        }
        let own = Product::get().line(self.live);
        // A client that was left behind still speaks to servers of the next line.
        let old = self.client && own + 1 == cluster_line;
        let fits = old || own == cluster_line || own == cluster_line + 1;
        if !fits || self.live_damaged {
            self.process = Process::Down;
            return;
        }
        self.process = Process::Up;
        self.runs = self.live;
        self.down_by_us = false;
    }
}
