//! The clock of one gate: good looks in a row, healthy time, and an end.

use crate::Verdict;
use jiff::{SignedDuration, Timestamp};
use quorate_model::{Gate, NodeName, Unsafe, WaitingOn};
use std::time::Duration;

/// An invariant that breaks because of another member halts the run this long after it was last seen to hold, and not
/// before a second look has seen it broken. A single lost answer on a busy host is no reason to wake anybody; a second member that is really gone is one, and must be told within five seconds: this leaves
/// the other three to the looks themselves, which wait for a host that does not answer.
pub(crate) const GUARD_PATIENCE: Duration = Duration::from_secs(2);

/// Between the answer to a slow look and the next look: nobody is asked without any pause.
const BREATH: Duration = Duration::from_millis(100);

/// How long a step may be refused as unsafe or not yet before the run halts: a member that has just rejoined needs
/// a heartbeat or two to be counted; past this somebody should look.
pub(crate) const PRECHECK_PATIENCE: Duration = Duration::from_secs(4);

/// Adds without ever leaving the range of time.
pub(crate) fn after(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| at.checked_add(by).ok())
        .unwrap_or(Timestamp::MAX)
}

/// Time from one moment to a later one.
pub(crate) fn since(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO)
}

/// What the clock says after a look.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum GateSays {
    /// It holds.
    Open,
    /// Look again at that time.
    LookAt(Timestamp, Option<WaitingOn>),
    /// Not in time.
    TimedOut(String),
    /// Something else breaks.
    Broken(Unsafe),
}

/// One gate under way.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GateClock {
    gate: Gate,
    node: Option<NodeName>,
    began: Timestamp,
    good_in_row: u32,
    good_since: Option<Timestamp>,
    /// When the look under way was asked for: what it sees may be as old as that.
    asked_at: Timestamp,
    /// When the last look that saw nothing break was asked for, and looks in a row since then that saw it.
    safe_at: Timestamp,
    unsafe_in_row: u32,
    last: String,
}

impl GateClock {
    pub(crate) fn new(gate: Gate, node: Option<NodeName>, now: Timestamp) -> Self {
        let last = "nothing has been seen yet".to_owned();
        Self {
            gate,
            node,
            began: now,
            good_in_row: 0,
            good_since: None,
            asked_at: now,
            safe_at: now,
            unsafe_in_row: 0,
            last,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.gate.name
    }

    /// A look is asked for; a cluster in an election may take seconds to answer it.
    pub(crate) fn asked(&mut self, now: Timestamp) {
        self.asked_at = now;
    }

    /// Takes one look into account.
    pub(crate) fn look(&mut self, verdict: Verdict, now: Timestamp) -> GateSays {
        let waiting = match verdict {
            Verdict::Holds => return self.good(now),
            Verdict::NotYet(on) => {
                self.safe();
                on
            }
            Verdict::Unseen(what) => WaitingOn::Unseen { node: self.node.clone(), what },
            Verdict::Differs(differs) => {
                WaitingOn::Unseen { node: self.node.clone(), what: differs.join("; ") }
            }
            Verdict::Unsafe(reason) => {
                self.unsafe_in_row += 1;
                self.good_in_row = 0;
                self.good_since = None;
                if self.unsafe_in_row >= 2 && since(self.safe_at, now) >= GUARD_PATIENCE {
                    return GateSays::Broken(reason);
                }
                return GateSays::LookAt(self.next_look(now), None);
            }
        };
        self.good_in_row = 0;
        self.good_since = None;
        self.last = format!("{waiting}");
        if since(self.began, now) >= self.gate.limit {
            return GateSays::TimedOut(self.last.clone());
        }
        GateSays::LookAt(self.next_look(now), Some(waiting))
    }

    /// Looks are asked for at an even pace: one that took long is followed by the next after a breath.
    fn next_look(&self, now: Timestamp) -> Timestamp {
        let every = self.gate.look_every;
        after(self.asked_at, every).max(after(now, every.min(BREATH)))
    }

    fn safe(&mut self) {
        self.safe_at = self.asked_at;
        self.unsafe_in_row = 0;
    }

    fn good(&mut self, now: Timestamp) -> GateSays {
        self.safe();
        self.good_in_row += 1;
        let from = *self.good_since.get_or_insert(now);
        let left = self.gate.soak.saturating_sub(since(from, now));
        if self.good_in_row >= self.gate.good_looks && left.is_zero() {
            return GateSays::Open;
        }
        let next = if self.good_in_row >= self.gate.good_looks {
            after(now, left).min(self.next_look(now))
        } else {
            self.next_look(now)
        };
        let waiting = (!left.is_zero()).then(|| WaitingOn::Soak {
            node: self.node.clone(),
            left_secs: left.as_secs() + u64::from(left.subsec_nanos() > 0),
        });
        GateSays::LookAt(next, waiting)
    }
}
