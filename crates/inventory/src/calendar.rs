//! The calendar of a policy: whether a run that needs so much time may begin now, and when it may if not.
//!
//! A *stretch* is time in which work may go on: inside a maintenance window, when there are any, and outside every freeze window.
//! A run begins only where what is left of the stretch holds it; windows that touch make one stretch.
//! Invariant: pure. A window that nobody can read never permits anything: somebody meant to limit, and a plan file may come from
//! elsewhere.
//! Read next: `freeze.rs`, one window.

use crate::freeze::Window;
use jiff::{SignedDuration, Timestamp};
use quorate_model::Policy;
use std::time::Duration;

/// How far ahead the calendar is read. The week repeats itself, and clocks are put forward in one of them: what two weeks do not
/// hold will not come.
const AHEAD: SignedDuration = SignedDuration::from_hours(15 * 24);

/// Time in which work may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// When it begins.
    pub from: Timestamp,
    /// When it ends; none when no end is in sight.
    pub until: Option<Timestamp>,
}

/// Why no run begins now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// A freeze window is open.
    Frozen {
        /// As written.
        window: String,
        /// When it closes; none for one that nobody can read.
        until: Option<Timestamp>,
    },
    /// There are maintenance windows, and none is open.
    Outside {
        /// As written.
        windows: Vec<String>,
    },
    /// What is left does not hold the run.
    TooShort {
        /// What the run needs.
        needs: Duration,
        /// What is left.
        left: Duration,
        /// When the time is over.
        until: Timestamp,
        /// The freeze window that opens then; none when a maintenance window closes.
        freeze: Option<String>,
    },
}

/// The windows of a policy.
#[derive(Debug)]
pub struct Calendar<'a> {
    policy: &'a Policy,
    windows: Vec<Window>,
    freezes: Vec<Window>,
}

impl<'a> Calendar<'a> {
    /// The windows of this policy.
    pub fn of(policy: &'a Policy) -> Self {
        let read = |texts: &[String]| texts.iter().flat_map(|text| Window::parse(text)).collect();
        Self { policy, windows: read(&policy.windows), freezes: read(&policy.freeze) }
    }

    /// Whether a run that needs so much time may begin now.
    pub fn may_begin(&self, needs: Duration, now: Timestamp) -> Result<(), Closed> {
        if let Some(frozen) = self.frozen(now) {
            return Err(frozen);
        }
        if !self.is_open(now) {
            return Err(Closed::Outside { windows: self.policy.windows.clone() });
        }
        let Some(until) = self.stretch_end(now) else { return Ok(()) };
        let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
        if needs <= left {
            return Ok(());
        }
        let freeze = self.freezes.iter().find(|window| window.is_open(until));
        let freeze = freeze.map(ToString::to_string);
        Err(Closed::TooShort { needs, left, until, freeze })
    }

    /// The next stretch after `now` that holds a run of this length; none when no week has one.
    pub fn next_stretch(&self, needs: Duration, now: Timestamp) -> Option<Stretch> {
        let end = now.checked_add(AHEAD).ok()?;
        let mut at = now;
        loop {
            at = self.next_change(at).filter(|at| *at <= end)?;
            if self.is_open(at) && self.may_begin(needs, at).is_ok() {
                return Some(Stretch { from: at, until: self.stretch_end(at) });
            }
        }
    }

    /// The open freeze window that closes last.
    fn frozen(&self, now: Timestamp) -> Option<Closed> {
        if let Some(window) = self.policy.freeze.iter().find(|text| Window::parse(text).is_err()) {
            return Some(Closed::Frozen { window: window.clone(), until: None });
        }
        let open = self.freezes.iter().filter(|window| window.is_open(now));
        let last = open.max_by_key(|window| window.next_change(now))?;
        Some(Closed::Frozen { window: last.to_string(), until: last.next_change(now) })
    }

    fn is_open(&self, at: Timestamp) -> bool {
        let permitted =
            self.policy.windows.is_empty() || self.windows.iter().any(|window| window.is_open(at));
        permitted && self.frozen(at).is_none()
    }

    /// When the stretch that is open now ends; none when it does not within the time ahead.
    fn stretch_end(&self, now: Timestamp) -> Option<Timestamp> {
        let end = now.checked_add(AHEAD).ok()?;
        let mut at = now;
        loop {
            at = self.next_change(at).filter(|at| *at <= end)?;
            if !self.is_open(at) {
                return Some(at);
            }
        }
    }

    /// When any window opens or closes next.
    fn next_change(&self, at: Timestamp) -> Option<Timestamp> {
        self.windows.iter().chain(&self.freezes).filter_map(|window| window.next_change(at)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn policy(windows: &[&str], freeze: &[&str]) -> Policy {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Policy { windows: texts(windows), freeze: texts(freeze), ..Policy::default() }
    }
    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }
    /// What the calendar says at a moment to a run of a length, and when the next stretch begins.
    fn ask(policy: &Policy, needs: Duration, now: &str) -> (Result<(), Closed>, Option<String>) {
        let calendar = Calendar::of(policy);
        let next = calendar.next_stretch(needs, at(now));
        (calendar.may_begin(needs, at(now)), next.map(|next| next.from.to_string()))
    }

    #[test]
    fn without_windows_everything_may_begin() {
        assert_eq!(ask(&policy(&[], &[]), HOUR * 1000, "2026-11-20T12:00:00Z"), (Ok(()), None));
    }

    // 2026-11-22 is a Sunday; Berlin is an hour ahead of UTC.
    #[test]
    fn a_run_begins_only_inside_a_maintenance_window() {
        let policy = policy(&["Sun 02:00 - Sun 04:00 Europe/Berlin"], &[]);
        let (closed, next) = ask(&policy, HOUR, "2026-11-22T00:59:59Z");
        assert_eq!(closed, Err(Closed::Outside { windows: policy.windows.clone() }));
        assert_eq!(next.as_deref(), Some("2026-11-22T01:00:00Z"));
        assert_eq!(ask(&policy, HOUR, "2026-11-22T01:00:00Z").0, Ok(()));
        assert_eq!(ask(&policy, HOUR, "2026-11-22T02:00:00Z").0, Ok(()), "to the second");
        assert_eq!(
            ask(&policy, HOUR, "2026-11-22T03:00:00Z").1.as_deref(),
            Some("2026-11-29T01:00:00Z")
        );
    }

    #[test]
    fn a_run_must_be_over_when_the_window_closes() {
        let policy = policy(&["Sun 02:00 - Sun 04:00"], &[]);
        let (closed, next) = ask(&policy, HOUR, "2026-11-22T03:00:01Z");
        let left = Duration::from_secs(3599);
        let until = at("2026-11-22T04:00:00Z");
        assert_eq!(closed, Err(Closed::TooShort { needs: HOUR, left, until, freeze: None }));
        assert_eq!(next.as_deref(), Some("2026-11-29T02:00:00Z"));
        let (closed, next) = ask(&policy, HOUR * 3, "2026-11-22T02:00:00Z");
        assert!(matches!(closed, Err(Closed::TooShort { .. })));
        assert_eq!(next, None, "no window of the week holds three hours");
    }

    #[test]
    fn a_run_must_be_over_when_a_freeze_begins() {
        let policy = policy(&[], &["Fri 12:00 - Mon 06:00"]);
        assert_eq!(ask(&policy, HOUR, "2026-11-20T11:00:00Z").0, Ok(()));
        let (closed, next) = ask(&policy, HOUR, "2026-11-20T11:30:00Z");
        let freeze = Some("Fri 12:00 - Mon 06:00".to_owned());
        let (left, until) = (HOUR / 2, at("2026-11-20T12:00:00Z"));
        assert_eq!(closed, Err(Closed::TooShort { needs: HOUR, left, until, freeze }));
        assert_eq!(next.as_deref(), Some("2026-11-23T06:00:00Z"));
    }

    #[test]
    fn a_freeze_window_wins_over_a_maintenance_window() {
        let policy = policy(&["Fri 10:00 - Fri 14:00"], &["Fri 12:00 - Mon 06:00"]);
        assert_eq!(ask(&policy, HOUR, "2026-11-20T11:00:00Z").0, Ok(()));
        assert!(matches!(ask(&policy, HOUR, "2026-11-20T12:00:00Z").0, Err(Closed::Frozen { .. })));
    }

    #[test]
    fn windows_that_touch_are_one() {
        let week = policy(&["Mon 00:00 - Thu 00:00", "Thu 00:00 - Mon 00:00"], &[]);
        assert_eq!(ask(&week, HOUR * 1000, "2026-11-18T23:59:00Z").0, Ok(()));
        let night = policy(&["Sat 22:00 - Sun 00:00", "Sun 00:00 - Sun 02:00"], &[]);
        assert_eq!(ask(&night, HOUR * 4, "2026-11-21T22:00:00Z").0, Ok(()));
    }

    #[test]
    fn in_spring_the_window_of_two_hours_holds_one() {
        let policy = policy(&["Sun 02:00 - Sun 04:00 Europe/Berlin"], &[]);
        let two = HOUR * 2;
        let (closed, next) = ask(&policy, two, "2026-03-29T01:00:00Z");
        let until = at("2026-03-29T02:00:00Z");
        assert_eq!(closed, Err(Closed::TooShort { needs: two, left: HOUR, until, freeze: None }));
        assert_eq!(next.as_deref(), Some("2026-04-05T00:00:00Z"));
        assert_eq!(
            ask(&policy, HOUR * 3, "2026-10-25T00:00:00Z").0,
            Ok(()),
            "autumn gives an hour"
        );
    }

    #[test]
    fn the_freeze_that_closes_last_is_named_and_one_that_nobody_can_read_is_closed_for_good() {
        let overlapping =
            ["Fri 12:00 - Sat 06:00", "Fri 12:00 - Mon 06:00", "Tue 00:00 - Wed 00:00"];
        let (closed, next) = ask(&policy(&[], &overlapping), HOUR, "2026-11-21T00:00:00Z");
        let until = Some(at("2026-11-23T06:00:00Z"));
        let window = "Fri 12:00 - Mon 06:00".to_owned();
        assert_eq!(closed, Err(Closed::Frozen { window, until }));
        assert_eq!(next.as_deref(), Some("2026-11-23T06:00:00Z"));
        let (closed, next) = ask(&policy(&[], &["?"]), HOUR, "2026-11-21T00:00:00Z");
        assert_eq!(closed, Err(Closed::Frozen { window: "?".into(), until: None }));
        assert_eq!(next, None);
        let (closed, _) = ask(&policy(&["?"], &[]), HOUR, "2026-11-21T00:00:00Z");
        assert_eq!(closed, Err(Closed::Outside { windows: vec!["?".into()] }));
    }
}
