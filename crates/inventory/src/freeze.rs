//! Windows of the week, `Fri 12:00 - Mon 06:00 [Europe/Berlin]`: in a freeze window runs may not begin, in a maintenance window they may.
//!
//! Invariant: pure. The time comes in; zones come from the database inside the program, not from the machine.
//! A window is what the clocks of its zone show: the hour that autumn repeats counts twice, the one that spring skips never.
//! Read next: `calendar.rs`, what the windows of a policy say together.

use jiff::{
    Timestamp, ToSpan,
    civil::{Time, Weekday},
    tz::{TimeZone, TimeZoneDatabase},
};
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

/// The text is no window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no window of the week: {because}")]
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

    /// Whether it is open at `now`.
    pub fn is_open(&self, now: Timestamp) -> bool {
        let here = now.to_zoned(self.zone.clone());
        let at = Moment { day: here.weekday(), time: here.time() }.minute_of_week();
        let (from, until) = (self.from.minute_of_week(), self.until.minute_of_week());
        if from < until { (from..until).contains(&at) } else { at >= from || at < until }
    }

    /// When it opens or closes next, after `now`.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let open = self.is_open(now);
        let mut edges = self.edges(now);
        edges.sort_unstable();
        edges.into_iter().find(|at| *at > now && self.is_open(*at) != open)
    }

    /// Instants at which it may open or close, in no order: where the clocks show one of its ends, once or twice, and where
    /// they are put forward or back.
    fn edges(&self, now: Timestamp) -> Vec<Timestamp> {
        let today = now.to_zoned(self.zone.clone()).date();
        let mut edges = Vec::new();
        // From yesterday, for what is left of a window, over two weeks: spring can swallow one week's window whole.
        for date in (-1..=15).filter_map(|days: i32| today.checked_add(days.days()).ok()) {
            for end in [self.from, self.until].iter().filter(|end| end.day == date.weekday()) {
                let at = self.zone.to_ambiguous_timestamp(date.to_datetime(end.time));
                edges.extend([at.earlier(), at.later()].into_iter().flatten());
            }
        }
        // Two cover the same stretch: no zone changes its clocks more often than that.
        edges.extend(self.zone.following(now).take(2).map(|change| change.timestamp()));
        edges
    }
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
        let (window, now) = (Window::parse(window).unwrap(), now.parse().unwrap());
        window.is_open(now).then(|| window.next_change(now).unwrap().to_string())
    }
    fn opens(window: &str, now: &str) -> Option<String> {
        let (window, now) = (Window::parse(window).unwrap(), now.parse().unwrap());
        (!window.is_open(now)).then(|| window.next_change(now).unwrap().to_string())
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
    fn a_closed_window_opens_on_its_day() {
        let weekend = "Fri 12:00 - Mon 06:00";
        assert_eq!(opens(weekend, "2026-11-20T11:59:59Z").as_deref(), Some("2026-11-20T12:00:00Z"));
        assert_eq!(opens(weekend, "2026-11-23T06:00:00Z").as_deref(), Some("2026-11-27T12:00:00Z"));
        assert_eq!(opens(weekend, "2026-11-21T00:00:00Z"), None);
    }

    // On 2026-10-25 Berlin's clocks go back from 03:00 to 02:00, at 01:00Z.
    #[test]
    fn the_hour_that_autumn_repeats_counts_twice() {
        let whole = "Sun 02:00 - Sun 04:00 Europe/Berlin";
        assert_eq!(opens(whole, "2026-10-24T00:00:00Z").as_deref(), Some("2026-10-25T00:00:00Z"));
        assert_eq!(until(whole, "2026-10-25T00:00:00Z").as_deref(), Some("2026-10-25T03:00:00Z"));
        let half = "Sun 02:00 - Sun 02:30 Europe/Berlin";
        assert_eq!(until(half, "2026-10-25T00:10:00Z").as_deref(), Some("2026-10-25T00:30:00Z"));
        assert_eq!(opens(half, "2026-10-25T00:40:00Z").as_deref(), Some("2026-10-25T01:00:00Z"));
        assert_eq!(until(half, "2026-10-25T01:10:00Z").as_deref(), Some("2026-10-25T01:30:00Z"));
        assert_eq!(opens(half, "2026-10-25T01:30:00Z").as_deref(), Some("2026-11-01T01:00:00Z"));
    }

    // On 2026-03-29 they go forward from 02:00 to 03:00, at 01:00Z.
    #[test]
    fn the_hour_that_spring_skips_never_comes() {
        let whole = "Sun 02:00 - Sun 04:00 Europe/Berlin";
        assert_eq!(opens(whole, "2026-03-29T00:00:00Z").as_deref(), Some("2026-03-29T01:00:00Z"));
        assert_eq!(until(whole, "2026-03-29T01:00:00Z").as_deref(), Some("2026-03-29T02:00:00Z"));
        let skipped = "Sun 02:10 - Sun 02:50 Europe/Berlin";
        assert_eq!(opens(skipped, "2026-03-28T00:00:00Z").as_deref(), Some("2026-04-05T00:10:00Z"));
        let over = "Sun 02:30 - Sun 03:10 Europe/Berlin";
        assert_eq!(until(over, "2026-03-29T01:00:00Z").as_deref(), Some("2026-03-29T01:10:00Z"));
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_refused(text in ".{0,60}") {
            let _ = Window::parse(&text);
        }

        #[test]
        fn a_window_changes_later_within_two_weeks_and_not_before(
            (fd, fh, fm) in (0usize..7, 0u8..24, 0u8..60),
            (ud, uh, um) in (0usize..7, 0u8..24, 0u8..60),
            secs in 1_500_000_000i64..2_500_000_000,
            part in 0.0f64..1.0,
        ) {
            prop_assume!((fd, fh, fm) != (ud, uh, um));
            let text = format!(
                "{} {fh:02}:{fm:02} - {} {uh:02}:{um:02} [Europe/Berlin]", DAYS[fd].0, DAYS[ud].0
            );
            let window = Window::parse(&text).unwrap();
            let now = Timestamp::from_second(secs).unwrap();
            let change = window.next_change(now).unwrap();
            prop_assert!(change > now);
            prop_assert!(change.as_second() - secs <= (14 * 24 + 1) * 3600);
            prop_assert_ne!(window.is_open(change), window.is_open(now));
            let between = now + (change - now).total(jiff::Unit::Second).map(|all| {
                jiff::SignedDuration::from_secs_f64(all * part)
            }).unwrap();
            prop_assert_eq!(window.is_open(between), window.is_open(now), "it changed in between");
        }
    }
}
