//! The clock of one gate: good looks in a row, healthy time, and an end.

use crate::Verdict;
use jiff::{SignedDuration, Timestamp};
use quorate_model::{Gate, NodeName, Unsafe, WaitingOn};
use std::time::Duration;

/// An invariant that breaks because of another member halts the run this long after it was last seen to hold, and not
/// before a second look has seen it broken. A single lost answer on a busy host is no reason to wake anybody; a second member that is really gone is one, and must be told within five seconds: this leaves
/// the other three to the looks themselves, which wait for a host that does not answer.
pub(crate) const GUARD_PATIENCE: Duration = Duration::from_secs(2);

/// The same in a wave of nodes beside each other. None of them has a vote, so nobody who counts is down by our doing, and none
/// is stopped while the servers are not seen to be well: patience costs time alone. Servers that take back the sessions of a
/// whole wave answer late for some seconds, and an election takes a few more; past this somebody should look.
pub(crate) const BESIDE_PATIENCE: Duration = Duration::from_secs(20);

/// Between the answer to a slow look and the next look: nobody is asked without any pause.
const BREATH: Duration = Duration::from_millis(100);

/// The first looks at a gate come this close: a member that starts quickly is not kept waiting.
const FIRST_LOOKS: Duration = Duration::from_millis(25);

/// Until something was seen to hold, looks come a quarter of the time apart that has passed, the policy's pace at most:
/// a start of 200 ms is seen within 50, one of a minute costs no more looks than before.
const PACE: u32 = 4;

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
    /// It will never hold: what it waits for has ended.
    Ended(String),
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
    /// How long something else may be seen broken before the run halts.
    patience: Duration,
    last: String,
}

impl GateClock {
    pub(crate) fn new(
        gate: Gate,
        node: Option<NodeName>,
        patience: Duration,
        now: Timestamp,
    ) -> Self {
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
            patience,
            last,
        }
    }

    /// When looks at it began.
    pub(crate) fn began(&self) -> Timestamp {
        self.began
    }

    /// Whether the last look saw that it does not hold.
    pub(crate) fn holds_not(&self) -> bool {
        self.good_in_row == 0
    }

    /// A look is asked for; a cluster in an election may take seconds to answer it.
    pub(crate) fn asked(&mut self, now: Timestamp) {
        self.asked_at = now;
    }

    /// Takes one look into account. Only a `whole` one, which saw everything that the gate asks, opens it.
    pub(crate) fn look(&mut self, whole: bool, verdict: Verdict, now: Timestamp) -> GateSays {
        let waiting = match verdict {
            Verdict::Holds => return self.good(whole, now),
            Verdict::NotYet(on) => {
                self.safe();
                on
            }
            Verdict::Unseen(what) => WaitingOn::Unseen { node: self.node.clone(), what },
            Verdict::Differs(differs) => {
                WaitingOn::Unseen { node: self.node.clone(), what: differs.join("; ") }
            }
            Verdict::Ended(because) => return GateSays::Ended(because),
            Verdict::Unsafe(reason) => {
                self.unsafe_in_row += 1;
                self.good_in_row = 0;
                self.good_since = None;
                if self.unsafe_in_row >= 2 && since(self.safe_at, now) >= self.patience {
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

    /// Looks are asked for at an even pace once the gate holds: several looks close together would be one. One that took
    /// long is followed by the next after a breath.
    fn next_look(&self, now: Timestamp) -> Timestamp {
        let every = match self.good_in_row {
            0 => self.gate.look_every.min(FIRST_LOOKS.max(since(self.began, now) / PACE)),
            _ => self.gate.look_every,
        };
        after(self.asked_at, every).max(after(now, every.min(BREATH)))
    }

    /// Whether a good answer to a look that is asked for now would open the gate.
    pub(crate) fn may_open(&self, now: Timestamp) -> bool {
        let soaked = self.good_since.map_or(Duration::ZERO, |from| since(from, now));
        self.good_in_row + 1 >= self.gate.good_looks && soaked >= self.gate.soak
    }

    fn safe(&mut self) {
        self.safe_at = self.asked_at;
        self.unsafe_in_row = 0;
    }

    fn good(&mut self, whole: bool, now: Timestamp) -> GateSays {
        self.safe();
        self.good_in_row += 1;
        let from = *self.good_since.get_or_insert(now);
        let left = self.gate.soak.saturating_sub(since(from, now));
        let enough = self.good_in_row >= self.gate.good_looks;
        if enough && left.is_zero() {
            // Time ran out while a partial look was under way: the whole one follows at once.
            return if whole { GateSays::Open } else { GateSays::LookAt(now, None) };
        }
        let next =
            if enough { after(now, left).min(self.next_look(now)) } else { self.next_look(now) };
        let waiting = (!left.is_zero()).then(|| WaitingOn::Soak {
            node: self.node.clone(),
            left_secs: left.as_secs() + u64::from(left.subsec_nanos() > 0),
        });
        GateSays::LookAt(next, waiting)
    }
}
