//! Bad luck that befalls a cluster.

use super::{
    Process, World,
    member::{BOOT, CATCH_UP_PER_SEC, SLOW_CATCH_UP_PER_SEC},
};
use crate::clock::Millis;
use serde::Serialize;

/// One piece of bad luck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// A process dies and comes back by itself after so long, when it comes back at all.
    Dies { member: usize, back_after: Option<Millis> },
    /// The controller cannot reach a member.
    Cut { member: usize },
    /// The controller reaches it again.
    Joined { member: usize },
    /// Its peers cannot reach a member.
    Isolated { member: usize },
    /// Its peers reach it again.
    Together { member: usize },
    /// A disk is full.
    DiskFull { member: usize },
    /// It has room again.
    DiskFree { member: usize },
    /// The next start takes longer.
    SlowBoot { member: usize, by: Millis },
    /// A member catches up slowly from now on.
    SlowCatchUp { member: usize },
    /// A member is suddenly behind.
    Behind { member: usize, entries: u64 },
    /// A staged file rots.
    Rots { member: usize },
    /// The members elect another leader for reasons of their own.
    LeaderMoves { to: usize },
}

impl World {
    /// Lets it happen.
    pub fn fault(&mut self, fault: Fault) {
        let now = self.now;
        match fault {
            Fault::Dies { member, back_after } => {
                let member = &mut self.members[member];
                if member.process != Process::Down {
                    member.stop();
                    member.revive_at = back_after.map(|after| now + after);
                }
            }
            Fault::Cut { member } => self.members[member].cut = true,
            Fault::Joined { member } => self.members[member].cut = false,
            Fault::Isolated { member } => self.members[member].isolated = true,
            Fault::Together { member } => self.members[member].isolated = false,
            Fault::DiskFull { member } => self.members[member].disk_full = true,
            Fault::DiskFree { member } => self.members[member].disk_full = false,
            Fault::SlowBoot { member, by } => self.members[member].slow_boot = by,
            Fault::SlowCatchUp { member } => {
                self.members[member].catch_up_per_sec = SLOW_CATCH_UP_PER_SEC
            }
            Fault::Behind { member, entries } => {
                if self.leader != Some(member) {
                    self.members[member].fall_behind(entries);
                }
            }
            Fault::Rots { member } => {
                self.members[member].staged.iter_mut().for_each(|staged| staged.damaged = true);
            }
            Fault::LeaderMoves { to } => {
                if self.leader.is_some() && self.members[to].voter && self.takes_part(to) {
                    self.leader = Some(to);
                    self.members[to].lead();
                }
            }
        }
        self.settle();
    }

    /// All bad luck ends: what died comes back, what was cut is joined. What a controller stopped stays as it left it.
    pub fn heal(&mut self) {
        let now = self.now;
        for member in &mut self.members {
            member.cut = false;
            member.isolated = false;
            member.disk_full = false;
            member.slow_boot = 0;
            member.catch_up_per_sec = CATCH_UP_PER_SEC;
            match &mut member.process {
                Process::Down if !member.down_by_us => member.start(now),
                Process::Starting { ready_at } => *ready_at = (*ready_at).min(now + BOOT),
                Process::Down | Process::Up => {}
            }
        }
        self.settle();
    }
}
