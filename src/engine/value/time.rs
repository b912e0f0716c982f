//! Points in time: the civil calendar (proleptic Gregorian, UTC), and the text forms of Postgres.
//!
//! Everything is integer arithmetic on microseconds since the epoch. There is no time zone but UTC and the fixed offset that a
//! literal may carry.

use std::fmt::Write as _;

mod parse;

use super::Interval;
pub(crate) use parse::{parse_local, parse_timestamp};

/// Microseconds of a second.
pub const SECOND: i64 = 1_000_000;
/// Microseconds of a minute.
pub const MINUTE: i64 = 60 * SECOND;
/// Microseconds of an hour.
pub const HOUR: i64 = 60 * MINUTE;
/// Microseconds of a day.
pub const DAY: i64 = 24 * HOUR;

/// The last whole year whose microseconds since 1970 fit in 64 bits (Postgres counts from 2000, and has thirty years more).
const YEAR_MAX: i64 = 294_246;
/// Postgres' first year (4713 BC is -4712).
const YEAR_MIN: i64 = -4_712;

/// A day of the calendar and the time of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Civil {
    /// Astronomical: the year before 1 is 0.
    pub(crate) year: i64,
    /// From 1.
    pub(crate) month: i64,
    /// From 1.
    pub(crate) day: i64,
    /// Microseconds since midnight.
    pub(crate) micros: i64,
}

impl Civil {
    /// The calendar's name for a point in time.
    pub(crate) fn of(micros: i64) -> Self {
        let days = micros.div_euclid(DAY);
        // Howard Hinnant's `civil_from_days`: years begin in March, so that the leap day is a year's last.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * of_year + 2) / 153;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        };
        Civil {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: of_year - (153 * month_from_march + 2) / 5 + 1,
            micros: micros.rem_euclid(DAY),
        }
    }

    /// The point in time; `None` when it is out of Postgres' range.
    pub(crate) fn micros(self) -> Option<i64> {
        if !(YEAR_MIN..=YEAR_MAX).contains(&self.year) {
            return None;
        }
        let year = if self.month <= 2 {
            self.year - 1
        } else {
            self.year
        };
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let month_from_march = (self.month + 9) % 12;
        let of_year = (153 * month_from_march + 2) / 5 + self.day - 1;
        let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
        (era * 146_097 + of_era - 719_468)
            .checked_mul(DAY)?
            .checked_add(self.micros)
    }

    /// Months later (or earlier), at most the last day of that month.
    fn plus_months(self, months: i64) -> Self {
        let month = self.year * 12 + self.month - 1 + months;
        let (year, month) = (month.div_euclid(12), month.rem_euclid(12) + 1);
        Civil {
            year,
            month,
            day: self.day.min(days_in_month(year, month)),
            micros: self.micros,
        }
    }
}

/// How many days a month has.
pub(crate) fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// A point in time plus an interval: first its months, then its days, then the rest.
pub(crate) fn add_interval(micros: i64, interval: Interval) -> Option<i64> {
    let moved = if interval.months == 0 {
        micros
    } else {
        Civil::of(micros)
            .plus_months(interval.months.into())
            .micros()?
    };
    let moved = moved
        .checked_add(i64::from(interval.days).checked_mul(DAY)?)?
        .checked_add(interval.micros)?;
    in_range(moved).then_some(moved)
}

/// Within the years of Postgres.
pub(crate) fn in_range(micros: i64) -> bool {
    (YEAR_MIN..=YEAR_MAX).contains(&Civil::of(micros).year)
}

/// `2026-08-04 15:24:29.724+00`
pub(crate) fn write_timestamp(out: &mut String, micros: i64) {
    let civil = Civil::of(micros);
    let era = write_day(out, civil);
    out.push(' ');
    write_clock(out, civil.micros);
    let _ = write!(out, "+00{era}");
}

/// `2026-08-04 15:24:29.724`
pub(crate) fn write_local(out: &mut String, micros: i64) {
    let civil = Civil::of(micros);
    let era = write_day(out, civil);
    out.push(' ');
    write_clock(out, civil.micros);
    out.push_str(era);
}

/// `2026-08-04`
pub(crate) fn write_date(out: &mut String, days: i32) {
    let era = write_day(out, Civil::of(midnight(days)));
    out.push_str(era);
}

/// Writes the day; what tells its era comes after the time.
fn write_day(out: &mut String, civil: Civil) -> &'static str {
    let (year, era) = if civil.year > 0 {
        (civil.year, "")
    } else {
        (1 - civil.year, " BC")
    };
    let _ = write!(out, "{year:04}-{:02}-{:02}", civil.month, civil.day);
    era
}

/// The day of a point in time, in days since the epoch. Days outside Postgres' years do not come here.
pub(crate) fn day_of(micros: i64) -> i32 {
    i32::try_from(micros.div_euclid(DAY)).unwrap_or(i32::MAX)
}

/// The first moment of a day.
pub(crate) fn midnight(days: i32) -> i64 {
    i64::from(days).saturating_mul(DAY)
}

/// `15:24:29.724`, without trailing zeros.
pub(super) fn write_clock(out: &mut String, micros: i64) {
    let _ = write!(
        out,
        "{:02}:{:02}:{:02}",
        micros / HOUR,
        micros % HOUR / MINUTE,
        micros % MINUTE / SECOND
    );
    let fraction = micros % SECOND;
    if fraction != 0 {
        let digits = format!("{fraction:06}");
        let _ = write!(out, ".{}", digits.trim_end_matches('0'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timestamp(text: &str) -> String {
        let mut out = String::new();
        match parse_timestamp(text) {
            Ok(micros) => write_timestamp(&mut out, micros),
            Err(error) => out = format!("{}: {error}", error.state.code()),
        }
        out
    }

    #[test]
    fn timestamps_read_and_print_as_postgres_does() {
        let table = [
            ("2026-08-04T15:24:29.724Z", "2026-08-04 15:24:29.724+00"),
            ("2026-08-04 15:24:29", "2026-08-04 15:24:29+00"),
            (
                "2026-08-04 15:24:29.1234567+02",
                "2026-08-04 13:24:29.123457+00",
            ),
            ("2026-08-04 15:24-05:30", "2026-08-04 20:54:00+00"),
            ("2024-02-29", "2024-02-29 00:00:00+00"),
            ("epoch", "1970-01-01 00:00:00+00"),
            ("0001-01-01 00:00:00+00", "0001-01-01 00:00:00+00"),
            ("0044-03-15 BC", "0044-03-15 00:00:00+00 BC"),
            ("1969-12-31 23:59:59.5 UTC", "1969-12-31 23:59:59.5+00"),
            (
                "2023-02-29",
                "22008: date/time field value out of range: \"2023-02-29\"",
            ),
            (
                "today-ish",
                "22007: invalid input syntax for type timestamp with time zone: \"today-ish\"",
            ),
            (
                "2026-08-04 15:24:29 nonsense",
                "22007: invalid input syntax for type timestamp with time zone: \"2026-08-04 15:24:29 nonsense\"",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(timestamp(text), expected, "{text}");
        }
    }

    #[test]
    fn the_calendar_is_its_own_inverse() {
        for day in (-2_000_000..3_000_000_i64).step_by(97) {
            let micros = day * DAY + 12_345;
            if in_range(micros) {
                assert_eq!(Civil::of(micros).micros(), Some(micros));
            }
        }
    }

    #[test]
    fn months_end_where_they_end() {
        let add = |text: &str, interval: &str| {
            let mut out = String::new();
            let moved = add_interval(
                parse_timestamp(text).unwrap(),
                Interval::parse(interval).unwrap(),
            );
            write_timestamp(&mut out, moved.unwrap());
            out
        };
        assert_eq!(add("2024-01-31", "1 month"), "2024-02-29 00:00:00+00");
        assert_eq!(add("2024-03-31", "-1 month"), "2024-02-29 00:00:00+00");
        assert_eq!(add("2024-12-15", "1 month"), "2025-01-15 00:00:00+00");
        assert_eq!(add("2024-02-29", "1 year"), "2025-02-28 00:00:00+00");
    }
}
