//! Points in time and spans of time: the civil calendar (proleptic Gregorian, UTC), and the text forms of Postgres.
//!
//! Everything is integer arithmetic on microseconds since the epoch. There is no time zone but UTC and the fixed offset that a
//! literal may carry.

use std::fmt::Write as _;

use super::Interval;
use crate::engine::error::{SqlError, SqlState};

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
    let (year, era) = if civil.year > 0 {
        (civil.year, "")
    } else {
        (1 - civil.year, " BC")
    };
    let _ = write!(out, "{year:04}-{:02}-{:02} ", civil.month, civil.day);
    write_clock(out, civil.micros);
    let _ = write!(out, "+00{era}");
}

/// `15:24:29.724`, without trailing zeros.
fn write_clock(out: &mut String, micros: i64) {
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

/// Reads `2026-08-04 15:24:29.724+00`, ISO 8601, a date alone, and an offset or `Z` or `UTC`; without one it is UTC.
pub(crate) fn parse_timestamp(text: &str) -> Result<i64, SqlError> {
    let invalid = || {
        SqlError::new(
            SqlState::InvalidDatetimeFormat,
            format!("invalid input syntax for type timestamp with time zone: \"{text}\""),
        )
    };
    let out_of_range = || {
        SqlError::new(
            SqlState::DatetimeFieldOverflow,
            format!("date/time field value out of range: \"{text}\""),
        )
    };
    let rest = text.trim();
    if rest == "epoch" {
        return Ok(0);
    }
    let (rest, before_christ) = match rest.strip_suffix(" BC") {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let mut scanner = Scanner(rest);
    let year = scanner.digits(4, 6).ok_or_else(invalid)?;
    let month = scanner.after('-').ok_or_else(invalid)?;
    let day = scanner.after('-').ok_or_else(invalid)?;
    let mut micros = 0;
    let mut offset = 0;
    if scanner.take('T') || scanner.take('t') || scanner.spaces() {
        if !scanner.0.is_empty() && scanner.0.starts_with(|c: char| c.is_ascii_digit()) {
            let (hour, minute) = (
                scanner.digits(1, 2).ok_or_else(invalid)?,
                scanner.after(':').ok_or_else(invalid)?,
            );
            let second = if scanner.take(':') {
                scanner.digits(2, 2).ok_or_else(invalid)?
            } else {
                0
            };
            let fraction = scanner.fraction().ok_or_else(invalid)?;
            if hour > 24 || minute > 59 || second > 60 {
                return Err(out_of_range());
            }
            micros = hour * HOUR + minute * MINUTE + second * SECOND + fraction;
        }
        scanner.spaces();
        offset = scanner.offset().ok_or_else(invalid)?;
    }
    scanner.spaces();
    if !scanner.0.is_empty() {
        return Err(invalid());
    }
    let year = if before_christ { 1 - year } else { year };
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return Err(out_of_range());
    }
    let civil = Civil {
        year,
        month,
        day,
        micros,
    };
    civil
        .micros()
        .and_then(|micros| micros.checked_sub(offset))
        .ok_or_else(out_of_range)
}

/// What is left of a literal.
struct Scanner<'a>(&'a str);

impl Scanner<'_> {
    fn take(&mut self, expected: char) -> bool {
        match self.0.strip_prefix(expected) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn spaces(&mut self) -> bool {
        let rest = self.0.trim_start();
        let found = rest.len() < self.0.len();
        self.0 = rest;
        found
    }

    fn digits(&mut self, min: usize, max: usize) -> Option<i64> {
        let count = self.0.bytes().take_while(u8::is_ascii_digit).count();
        if count < min || count > max {
            return None;
        }
        let (digits, rest) = self.0.split_at(count);
        self.0 = rest;
        digits.parse().ok()
    }

    fn after(&mut self, separator: char) -> Option<i64> {
        if !self.take(separator) {
            return None;
        }
        self.digits(1, 2)
    }

    /// `.724` as microseconds, rounded; nothing is 0.
    fn fraction(&mut self) -> Option<i64> {
        if !self.take('.') {
            return Some(0);
        }
        let count = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.0.split_at(count);
        self.0 = rest;
        fraction_micros(digits)
    }

    /// `+02`, `-05:30`, `Z`, `UTC`; nothing is UTC.
    fn offset(&mut self) -> Option<i64> {
        for utc in ["UTC", "utc", "GMT", "Z", "z"] {
            if let Some(rest) = self.0.strip_prefix(utc) {
                self.0 = rest;
                return Some(0);
            }
        }
        let sign = if self.take('+') {
            1
        } else if self.take('-') {
            -1
        } else {
            return Some(0);
        };
        let (hours, minutes) = match self.digits(1, 4)? {
            packed @ 100.. => (packed / 100, packed % 100),
            hours if self.take(':') => (hours, self.digits(2, 2)?),
            hours => (hours, 0),
        };
        (hours <= 15 && minutes < 60).then_some(sign * (hours * HOUR + minutes * MINUTE))
    }
}

/// Digits after the point as microseconds, rounded half up.
fn fraction_micros(digits: &str) -> Option<i64> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let micros: i64 = format!("{:0<6.6}", digits).parse().ok()?;
    let round_up = digits.as_bytes().get(6).is_some_and(|digit| *digit >= b'5');
    Some(micros + i64::from(round_up))
}

impl Interval {
    /// Reads `1 hour`, `2 days 03:04:05.6`, `-1 month`, `90` (seconds), `1 day ago`.
    ///
    /// # Errors
    /// 22007 for any other text, 22008 for what does not fit.
    pub fn parse(text: &str) -> Result<Self, SqlError> {
        let invalid = || {
            SqlError::new(
                SqlState::InvalidDatetimeFormat,
                format!("invalid input syntax for type interval: \"{text}\""),
            )
        };
        let overflow = || {
            SqlError::new(
                SqlState::DatetimeFieldOverflow,
                format!("interval field value out of range: \"{text}\""),
            )
        };
        let mut total = Parts::default();
        let mut words = split_words(text).into_iter().peekable();
        let mut empty = true;
        let mut ago = false;
        while let Some(word) = words.next() {
            if ago {
                return Err(invalid());
            }
            if word.eq_ignore_ascii_case("ago") && !empty {
                ago = true;
                continue;
            }
            if word == "@" && empty {
                continue;
            }
            empty = false;
            if word.contains(':') {
                total.micros += parse_clock(word).ok_or_else(invalid)?;
                continue;
            }
            let number = Fraction::parse(word).ok_or_else(invalid)?;
            let unit = match words.peek() {
                Some(next) if next.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                    words.next().unwrap_or("s")
                }
                _ => "s",
            };
            total.add(number, unit).ok_or_else(invalid)?;
        }
        if empty {
            return Err(invalid());
        }
        if ago {
            total = Parts {
                months: -total.months,
                days: -total.days,
                micros: -total.micros,
            };
        }
        total.interval().ok_or_else(overflow)
    }

    /// Its length in microseconds when a month has 30 days and a day 24 hours, as Postgres compares intervals.
    pub fn total_micros(self) -> i128 {
        let days = i128::from(self.months) * 30 + i128::from(self.days);
        days * i128::from(DAY) + i128::from(self.micros)
    }

    /// `1 year 2 mons -3 days +04:05:06.789`
    pub(crate) fn write(self, out: &mut String) {
        let start = out.len();
        let mut negative_before = false;
        let fields = [
            (self.months / 12, "year"),
            (self.months % 12, "mon"),
            (self.days, "day"),
        ];
        for (count, unit) in fields.into_iter().filter(|(count, _)| *count != 0) {
            let space = if out.len() > start { " " } else { "" };
            let plus = if negative_before && count > 0 {
                "+"
            } else {
                ""
            };
            let plural = if count == 1 { "" } else { "s" };
            let _ = write!(out, "{space}{plus}{count} {unit}{plural}");
            negative_before = count < 0;
        }
        if out.len() > start && self.micros == 0 {
            return;
        }
        if out.len() > start {
            out.push(' ');
        }
        if self.micros < 0 {
            out.push('-');
        } else if negative_before {
            out.push('+');
        }
        // The magnitude of i64::MIN does not fit; hours, minutes and the rest of it do.
        let magnitude = self.micros.unsigned_abs();
        let (hours, rest) = (magnitude / HOUR as u64, (magnitude % HOUR as u64) as i64);
        let _ = write!(out, "{hours:02}");
        let mut clock = String::new();
        write_clock(&mut clock, rest);
        out.push_str(&clock[2..]);
    }
}

/// The fields while they are summed up, wide enough for any text.
#[derive(Default, Clone, Copy)]
struct Parts {
    months: i128,
    days: i128,
    micros: i128,
}

impl Parts {
    fn add(&mut self, number: Fraction, unit: &str) -> Option<()> {
        let lower = unit.to_ascii_lowercase();
        let unit = lower.trim_end_matches('s');
        let micros_of_unit = match unit {
            "microsecond" | "u" | "us" | "usec" => 1,
            "millisecond" | "m" if lower == "ms" || unit == "millisecond" => 1_000,
            "msec" => 1_000,
            "" | "second" | "sec" => SECOND,
            "minute" | "min" | "m" => MINUTE,
            "hour" | "hr" | "h" => HOUR,
            _ => {
                return self.add_days_or_months(number, unit);
            }
        };
        self.micros += number.times(micros_of_unit.into())?;
        Some(())
    }

    fn add_days_or_months(&mut self, number: Fraction, unit: &str) -> Option<()> {
        let days = match unit {
            "day" | "d" => 1,
            "week" | "w" => 7,
            _ => 0,
        };
        if days > 0 {
            // The fraction of a day is time.
            self.days += number.whole * days;
            let rest = number.fraction().times(i128::from(DAY) * days)?;
            self.days += rest / i128::from(DAY);
            self.micros += rest % i128::from(DAY);
            return Some(());
        }
        let months = match unit {
            "month" | "mon" => 1,
            "year" | "yr" | "y" => 12,
            "decade" | "dec" => 120,
            "century" | "cent" | "centurie" => 1_200,
            "millennium" | "mil" | "millennia" => 12_000,
            _ => return None,
        };
        self.months += number.whole * months;
        let rest = number.fraction();
        if months > 1 {
            self.months += rest.times(months)?;
        } else {
            // The fraction of a month is days of a month of thirty, and time.
            let micros = rest.times(30 * i128::from(DAY))?;
            self.days += micros / i128::from(DAY);
            self.micros += micros % i128::from(DAY);
        }
        Some(())
    }

    fn interval(self) -> Option<Interval> {
        Some(Interval {
            months: self.months.try_into().ok()?,
            days: self.days.try_into().ok()?,
            micros: self.micros.try_into().ok()?,
        })
    }
}

/// A decimal number: `whole` and `parts` of 10^9, of one sign.
#[derive(Clone, Copy)]
struct Fraction {
    whole: i128,
    parts: i128,
}

impl Fraction {
    const SCALE: i128 = 1_000_000_000;

    fn parse(text: &str) -> Option<Self> {
        let (sign, digits) = match text.as_bytes().first()? {
            b'-' => (-1, &text[1..]),
            b'+' => (1, &text[1..]),
            _ => (1, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() || whole.len() > 18 {
            return None;
        }
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let whole: i128 = if whole.is_empty() {
            0
        } else {
            whole.parse().ok()?
        };
        let parts: i128 = format!("{fraction:0<9.9}").parse().ok()?;
        Some(Fraction {
            whole: sign * whole,
            parts: sign * parts,
        })
    }

    fn fraction(self) -> Self {
        Fraction {
            whole: 0,
            parts: self.parts,
        }
    }

    fn times(self, factor: i128) -> Option<i128> {
        let parts = self.parts.checked_mul(factor)?;
        let half = parts.signum() * Self::SCALE / 2;
        self.whole
            .checked_mul(factor)?
            .checked_add((parts + half) / Self::SCALE)
    }
}

/// `[-]HH:MM[:SS[.fff]]` in microseconds.
fn parse_clock(text: &str) -> Option<i128> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let mut fields = digits.splitn(3, ':');
    let hours: u32 = fields.next()?.parse().ok()?;
    let minutes: u32 = fields.next()?.parse().ok()?;
    let seconds = Fraction::parse(fields.next().unwrap_or("0"))?;
    if minutes > 59 || seconds.whole > 59 || seconds.whole < 0 {
        return None;
    }
    let seconds = seconds.times(SECOND.into())?;
    Some(
        sign * (i128::from(hours) * i128::from(HOUR)
            + i128::from(minutes) * i128::from(MINUTE)
            + seconds),
    )
}

/// Splits at white space, and between a number and the unit that sticks to it (`2h`).
fn split_words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for word in text.split_ascii_whitespace() {
        let unit = word
            .find(|c: char| c.is_ascii_alphabetic())
            .filter(|at| *at > 0);
        match unit {
            Some(at) => words.extend([&word[..at], &word[at..]]),
            None => words.push(word),
        }
    }
    words
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
    fn intervals_read_and_print_as_postgres_does() {
        let table = [
            ("1 hour", "01:00:00"),
            ("1 day 02:03:04.5", "1 day 02:03:04.5"),
            ("-1 day 02:03:04", "-1 days +02:03:04"),
            ("1 year 2 months 3 days", "1 year 2 mons 3 days"),
            ("14 months", "1 year 2 mons"),
            ("90", "00:01:30"),
            ("1.5 days", "1 day 12:00:00"),
            ("1.5 hours", "01:30:00"),
            ("2h 3m 4s", "02:03:04"),
            ("250 ms", "00:00:00.25"),
            ("1 week", "7 days"),
            ("3 days ago", "-3 days"),
            ("-00:00:01", "-00:00:01"),
            ("0", "00:00:00"),
            ("100:00:00", "100:00:00"),
            ("1.5 years", "1 year 6 mons"),
            ("1.5 months", "1 mon 15 days"),
        ];
        for (text, expected) in table {
            let mut out = String::new();
            Interval::parse(text).unwrap().write(&mut out);
            assert_eq!(out, expected, "{text}");
        }
        for text in ["", "x", "1 parsec", "1 hour ago 2", "1:2:3:4", "--1"] {
            assert_eq!(
                Interval::parse(text).unwrap_err().state,
                SqlState::InvalidDatetimeFormat,
                "{text}"
            );
        }
        assert_eq!(
            Interval::parse("99999999999 days").unwrap_err().state,
            SqlState::DatetimeFieldOverflow
        );
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
