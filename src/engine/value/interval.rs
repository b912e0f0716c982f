//! Intervals: three fields that do not convert into each other, and their text form.

use std::fmt::Write as _;

use super::Interval;
use super::time::{DAY, HOUR, MINUTE, SECOND, write_clock};
use crate::engine::error::{SqlError, SqlState};

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
}
