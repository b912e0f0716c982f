//! Points in time from their text forms.

use super::{Civil, HOUR, MINUTE, SECOND, days_in_month};
use crate::engine::error::{SqlError, SqlState};
use crate::engine::value::Type;

/// Reads `2026-08-04 15:24:29.724+00`, ISO 8601, a date alone, and an offset or `Z` or `UTC`; without one it is UTC.
pub(crate) fn parse_timestamp(text: &str) -> Result<i64, SqlError> {
    let (local, offset) = parse(text, Type::TimestampTz)?;
    local.checked_sub(offset).ok_or_else(|| out_of_range(text))
}

/// Reads the same for a type that knows no time zone: what a clock there shows, whatever its offset.
pub(crate) fn parse_local(text: &str, ty: Type) -> Result<i64, SqlError> {
    parse(text, ty).map(|(local, _)| local)
}

fn out_of_range(text: &str) -> SqlError {
    SqlError::new(
        SqlState::DatetimeFieldOverflow,
        format!("date/time field value out of range: \"{text}\""),
    )
}

/// Local time and its offset from UTC, in microseconds.
fn parse(text: &str, ty: Type) -> Result<(i64, i64), SqlError> {
    let invalid = || {
        SqlError::new(
            SqlState::InvalidDatetimeFormat,
            format!("invalid input syntax for type {ty}: \"{text}\""),
        )
    };
    let out_of_range = || out_of_range(text);
    let rest = text.trim();
    if rest == "epoch" {
        return Ok((0, 0));
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
    }
    // A date alone may have an offset, too.
    let offset = scanner.offset().ok_or_else(invalid)?;
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
    let local = civil.micros().ok_or_else(out_of_range)?;
    Ok((local, offset))
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
