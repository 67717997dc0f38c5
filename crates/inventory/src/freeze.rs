//! Freeze windows: times of the week in which runs may not start, `Fri 12:00 - Mon 06:00 [Europe/Berlin]`.
//!
//! Invariant: pure. The time comes in; zones come from the database inside the program, not from the machine.

use jiff::{
    Timestamp, ToSpan,
    civil::{Time, Weekday},
    tz::{TimeZone, TimeZoneDatabase},
};
use quorate_model::Policy;
use std::{fmt, str::FromStr, sync::LazyLock};

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// A weekly window, from a day and time up to another, in one time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    from: Moment,
    until: Moment,
    zone: TimeZone,
    text: String,
}

/// A day and time of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    day: Weekday,
    time: Time,
}

/// The text is no freeze window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no freeze window: {because}")]
pub struct WindowError {
    /// What was given.
    pub text: String,
    /// The part that is wrong.
    pub because: String,
}

impl Window {
    /// Reads `Fri 12:00 - Mon 06:00`, with a time zone after it when it is not UTC, in brackets or without.
    pub fn parse(text: &str) -> Result<Self, WindowError> {
        let wrong = |because: String| WindowError { text: text.to_owned(), because };
        let words: Vec<&str> = text.split_whitespace().collect();
        let (from_day, from_time, until_day, until_time, zone) = match words.as_slice() {
            [fd, ft, "-", ud, ut] => (fd, ft, ud, ut, None),
            [fd, ft, "-", ud, ut, zone] => (fd, ft, ud, ut, Some(*zone)),
            _ => return Err(wrong("write `Fri 12:00 - Mon 06:00 [Europe/Berlin]`".into())),
        };
        let from = Moment::parse(from_day, from_time).map_err(&wrong)?;
        let until = Moment::parse(until_day, until_time).map_err(&wrong)?;
        if from == until {
            return Err(wrong("it ends when it begins; for a whole week write two windows".into()));
        }
        let zone = zone.map_or(Ok(TimeZone::UTC), parse_zone).map_err(&wrong)?;
        Ok(Self { from, until, zone, text: words.join(" ") })
    }

    /// The end of the window when it is open at `now`.
    pub fn is_open(&self, now: Timestamp) -> Option<Timestamp> {
        let here = now.to_zoned(self.zone.clone());
        let at = Moment { day: here.weekday(), time: here.time() }.minute_of_week();
        let (from, until) = (self.from.minute_of_week(), self.until.minute_of_week());
        let open =
            if from < until { (from..until).contains(&at) } else { at >= from || at < until };
        if !open {
            return None;
        }
        let days = i32::from(self.until.day.since(Weekday::Monday))
            - i32::from(here.weekday().since(Weekday::Monday));
        // The end lies later today, or on a day of the coming week.
        let past = days < 0 || (days == 0 && self.until.time <= here.time());
        let date = here.date().checked_add((if past { days + 7 } else { days }).days()).ok()?;
        date.to_datetime(self.until.time)
            .to_zoned(self.zone.clone())
            .ok()
            .map(|end| end.timestamp())
    }
}

/// The end of the window when it is open at `now`.
pub fn is_open(window: &Window, now: Timestamp) -> Option<Timestamp> {
    window.is_open(now)
}

/// An open freeze window of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// The window as written.
    pub window: String,
    /// When it ends.
    pub until: Timestamp,
}

/// The open freeze window of a policy that ends last. A window that does not parse counts as open for a day:
/// somebody meant to forbid something, and a plan file may come from elsewhere.
pub fn frozen(policy: &Policy, now: Timestamp) -> Option<Frozen> {
    let open = |text: &String| {
        let until = match Window::parse(text) {
            Ok(window) => window.is_open(now)?,
            Err(_) => now.checked_add(24.hours()).unwrap_or(now),
        };
        Some(Frozen { window: text.clone(), until })
    };
    policy.freeze.iter().filter_map(open).max_by_key(|frozen| frozen.until)
}

fn parse_zone(word: &str) -> Result<TimeZone, String> {
    let name = word.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(word);
    if name.eq_ignore_ascii_case("utc") {
        return Ok(TimeZone::UTC);
    }
    ZONES.get(name).map_err(|_| format!("`{name}` is no time zone"))
}

impl Moment {
    fn parse(day: &str, time: &str) -> Result<Self, String> {
        let short = day.to_lowercase();
        let day =
            DAYS.iter().find(|(name, _)| *name == short).map(|(_, day)| *day).ok_or_else(|| {
                format!("`{day}` is no day: write Mon, Tue, Wed, Thu, Fri, Sat or Sun")
            })?;
        let no_time = || format!("`{time}` is no time: write 06:00");
        let (hour, minute) = time.split_once(':').ok_or_else(no_time)?;
        let number = |text: &str| {
            let digits = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| text.parse::<i8>().ok()).flatten()
        };
        let (hour, minute) = number(hour).zip(number(minute)).ok_or_else(no_time)?;
        let time = Time::new(hour, minute, 0, 0).map_err(|_| no_time())?;
        Ok(Self { day, time })
    }
    fn minute_of_week(self) -> i32 {
        let day = i32::from(self.day.since(Weekday::Monday));
        (day * 24 + i32::from(self.time.hour())) * 60 + i32::from(self.time.minute())
    }
}

impl FromStr for Window {
    type Err = WindowError;
    fn from_str(text: &str) -> Result<Self, WindowError> {
        Self::parse(text)
    }
}
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn until(window: &str, now: &str) -> Option<String> {
        let window = Window::parse(window).unwrap();
        window.is_open(now.parse().unwrap()).map(|end| end.to_string())
    }

    // 2026-11-20 is a Friday.
    #[test]
    fn a_window_over_the_weekend_is_open_until_monday() {
        let weekend = "Fri 12:00 - Mon 06:00";
        assert_eq!(until(weekend, "2026-11-20T11:59:59Z"), None);
        assert_eq!(until(weekend, "2026-11-20T12:00:00Z").as_deref(), Some("2026-11-23T06:00:00Z"));
        assert_eq!(until(weekend, "2026-11-22T23:00:00Z").as_deref(), Some("2026-11-23T06:00:00Z"));
        assert_eq!(until(weekend, "2026-11-23T05:59:59Z").as_deref(), Some("2026-11-23T06:00:00Z"));
        assert_eq!(until(weekend, "2026-11-23T06:00:00Z"), None);
    }

    #[test]
    fn a_window_within_a_week_does_not_wrap() {
        assert_eq!(
            until("Tue 08:00 - Thu 18:00", "2026-11-18T12:00:00Z").as_deref(),
            Some("2026-11-19T18:00:00Z")
        );
        assert_eq!(until("Tue 08:00 - Thu 18:00", "2026-11-20T12:00:00Z"), None);
    }

    #[test]
    fn a_window_of_nearly_a_week_ends_on_its_own_day_a_week_later() {
        assert_eq!(
            until("Fri 12:00 - Fri 10:00", "2026-11-20T13:00:00Z").as_deref(),
            Some("2026-11-27T10:00:00Z")
        );
        assert_eq!(until("Fri 12:00 - Fri 10:00", "2026-11-20T11:00:00Z"), None);
    }

    #[test]
    fn the_time_zone_counts_with_its_summer_time() {
        let berlin = "Fri 12:00 - Mon 06:00 [Europe/Berlin]";
        assert_eq!(until(berlin, "2026-11-20T11:00:00Z").as_deref(), Some("2026-11-23T05:00:00Z"));
        assert_eq!(until(berlin, "2026-07-10T10:00:00Z").as_deref(), Some("2026-07-13T04:00:00Z"));
        assert_eq!(until("Fri 12:00 - Mon 06:00 Europe/Berlin", "2026-07-10T09:59:00Z"), None);
    }

    #[test]
    fn says_what_is_wrong_with_a_window() {
        let because = |text| Window::parse(text).unwrap_err().because;
        assert_eq!(because("weekends"), "write `Fri 12:00 - Mon 06:00 [Europe/Berlin]`");
        assert_eq!(
            because("Fry 12:00 - Mon 06:00"),
            "`Fry` is no day: write Mon, Tue, Wed, Thu, Fri, Sat or Sun"
        );
        assert_eq!(because("Fri 25:00 - Mon 06:00"), "`25:00` is no time: write 06:00");
        assert_eq!(because("Fri noon - Mon 06:00"), "`noon` is no time: write 06:00");
        assert_eq!(because("Fri 12:00 - Mon 06:00 [Berlin]"), "`Berlin` is no time zone");
        assert_eq!(
            because("Fri 12:00 - Fri 12:00"),
            "it ends when it begins; for a whole week write two windows"
        );
    }

    #[test]
    fn a_policy_is_frozen_by_the_window_that_ends_last_and_by_one_that_nobody_can_read() {
        let now = "2026-11-21T00:00:00Z".parse().unwrap();
        let windows = ["Fri 12:00 - Sat 06:00", "Fri 12:00 - Mon 06:00", "Tue 00:00 - Wed 00:00"];
        let freeze = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let policy = Policy { freeze: freeze(&windows), ..Policy::default() };
        assert_eq!(frozen(&policy, now).unwrap().window, "Fri 12:00 - Mon 06:00");
        let policy = Policy { freeze: freeze(&["?"]), ..Policy::default() };
        assert!(frozen(&policy, now).is_some());
        assert_eq!(frozen(&Policy::default(), now), None);
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_refused(text in ".{0,60}") {
            let _ = Window::parse(&text);
        }

        #[test]
        fn an_open_window_ends_later_and_within_a_week(
            (fd, fh, ud, uh) in (0usize..7, 0u8..24, 0usize..7, 0u8..24),
            secs in 1_500_000_000i64..2_500_000_000,
        ) {
            prop_assume!((fd, fh) != (ud, uh));
            let text = format!("{} {fh:02}:00 - {} {uh:02}:00 [Europe/Berlin]", DAYS[fd].0, DAYS[ud].0);
            let window = Window::parse(&text).unwrap();
            let now = Timestamp::from_second(secs).unwrap();
            if let Some(end) = window.is_open(now) {
                prop_assert!(end > now);
                prop_assert!(end.as_second() - secs <= (7 * 24 + 1) * 3600);
                prop_assert!(window.is_open(end).is_none(), "a window is over when it ends");
            }
        }
    }
}
