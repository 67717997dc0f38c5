//! What one seed means: the cluster, the upgrade, and everything bad that happens to it.

use crate::{
    chance::Chance,
    clock::Millis,
    product::{Product, Rel},
    world::Fault,
};
use serde::Serialize;

/// A member needs about this long to move, soak included; bad luck is spread over as much time as the upgrade takes.
const PER_MEMBER: Millis = 4_000;

/// Where in a turn a controller dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CrashPoint {
    /// The events were not written.
    BeforeAppend,
    /// The events are durable, the effect was not begun.
    AfterAppend,
    /// The effect was begun, nobody heard the answer.
    AfterEffect,
}

/// How a second person behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SecondOperator {
    /// When they come.
    pub at: Millis,
    /// They take the lease away from whoever holds it.
    pub breaks_lease: bool,
    /// They make a plan of their own instead of resuming the run.
    pub own_plan: bool,
}

/// Everything that a seed decides before the run begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scenario {
    /// Members.
    pub size: usize,
    /// How many of them have no vote.
    pub learners: usize,
    /// Nodes without a vote beside them, that keep no data.
    pub clients: usize,
    /// Where the cluster is.
    pub from: Rel,
    /// Where it shall go.
    pub to: Rel,
    /// Bad luck, by time.
    pub faults: Vec<(Millis, Fault)>,
    /// When all bad luck ends.
    pub calm_from: Millis,
    /// Acts that the network hurts, in a hundred.
    pub hurt_percent: u64,
    /// The controller dies at these appends, counted over all controllers.
    pub crashes: Vec<(u32, CrashPoint)>,
    /// The controller's machine stands still: from when, for how long.
    pub stalls: Vec<(Millis, Millis)>,
    /// Somebody else comes.
    pub second: Option<SecondOperator>,
}

impl Scenario {
    /// Draws a scenario.
    pub fn draw(chance: &mut Chance) -> Self {
        let size = *[3, 3, 3, 4, 5, 5, 6, 7].get(chance.place(8)).unwrap_or(&3);
        let learners = if size > 3 && chance.percent(40) { 1 } else { 0 };
        let last = Product::get().releases.len() - 1;
        let from = chance.place(last);
        let to = from + 1 + chance.place((last - from).min(2));
        // Half of the clusters have clients; more of them would only repeat the same.
        let clients = if chance.percent(50) { 3 + chance.place(8) } else { 0 };
        let mut drawn = Self { clients, ..Self::calm(size, learners, from, to) };
        // One run in eight has a good day: it must converge.
        if chance.percent(12) {
            return drawn;
        }
        let lanes = drawn.clients.div_ceil(2);
        drawn.calm_from = u64::try_from(size + lanes).unwrap_or(3) * PER_MEMBER * 2;
        drawn.draw_faults(chance);
        drawn.hurt_percent = *[0, 0, 3, 10, 25].get(chance.place(5)).unwrap_or(&0);
        if chance.percent(40) {
            for _ in 0..=chance.place(2) {
                let point = match chance.place(3) {
                    0 => CrashPoint::BeforeAppend,
                    1 => CrashPoint::AfterAppend,
                    _ => CrashPoint::AfterEffect,
                };
                drawn.crashes.push((u32::try_from(chance.between(1, 160)).unwrap_or(1), point));
            }
        }
        if chance.percent(25) {
            let at = chance.between(500, drawn.calm_from);
            drawn.stalls.push((at, chance.between(2_000, 40_000)));
        }
        if chance.percent(35) {
            drawn.second = Some(SecondOperator {
                at: chance.between(500, drawn.calm_from),
                breaks_lease: chance.percent(40),
                own_plan: chance.percent(50),
            });
        }
        drawn
    }

    /// A good day.
    pub fn calm(size: usize, learners: usize, from: Rel, to: Rel) -> Self {
        Self {
            size,
            learners,
            clients: 0,
            from,
            to,
            faults: Vec::new(),
            calm_from: 0,
            hurt_percent: 0,
            crashes: Vec::new(),
            stalls: Vec::new(),
            second: None,
        }
    }

    fn draw_faults(&mut self, chance: &mut Chance) {
        for _ in 0..chance.place(7 + self.clients / 2) {
            let at = chance.between(200, self.calm_from);
            let member = chance.place(self.size + self.clients);
            let lasts = chance.between(200, 25_000);
            match chance.place(10) {
                0 | 1 => {
                    let back_after = chance.percent(70).then_some(lasts);
                    self.faults.push((at, Fault::Dies { member, back_after }));
                }
                2 => {
                    self.faults.push((at, Fault::Cut { member }));
                    self.faults.push((at + lasts, Fault::Joined { member }));
                }
                3 => {
                    self.faults.push((at, Fault::Isolated { member }));
                    self.faults.push((at + lasts, Fault::Together { member }));
                }
                4 => {
                    self.faults.push((at, Fault::DiskFull { member }));
                    self.faults.push((at + lasts, Fault::DiskFree { member }));
                }
                5 => self.faults.push((at, Fault::SlowBoot { member, by: lasts * 3 })),
                6 => self.faults.push((at, Fault::SlowCatchUp { member })),
                7 => self.faults.push((at, Fault::Behind { member, entries: lasts })),
                8 => self.faults.push((at, Fault::Rots { member })),
                _ => self.faults.push((at, Fault::LeaderMoves { to: member })),
            }
        }
        self.faults.sort_by_key(|(at, _)| *at);
    }
}
