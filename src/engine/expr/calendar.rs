//! `date_trunc` and `extract`, in UTC.

use rust_decimal::Decimal;

use super::{Function, mistyped};
use crate::engine::error::{SqlError, SqlState};
use crate::engine::value::time::{self, Civil, DAY, HOUR, MINUTE, SECOND};
use crate::engine::value::{Interval, Value};

/// A field of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// Seconds since the epoch; only to extract.
    Epoch,
    /// A millionth of a second.
    Microseconds,
    /// A thousandth of a second.
    Milliseconds,
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A week, from Monday.
    Week,
    /// The day of the week, Sunday is 0; only to extract.
    DayOfWeek,
    /// The day of the week, Monday is 1 and Sunday 7; only to extract.
    IsoDayOfWeek,
    /// The day of the year; only to extract.
    DayOfYear,
    /// A month.
    Month,
    /// Three months.
    Quarter,
    /// A year.
    Year,
    /// Ten years.
    Decade,
    /// A hundred years.
    Century,
}

impl Field {
    /// The field of that name, in lower case.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name.trim_end_matches('s') {
            "epoch" => Field::Epoch,
            "microsecond" => Field::Microseconds,
            "millisecond" => Field::Milliseconds,
            "second" => Field::Second,
            "minute" => Field::Minute,
            "hour" => Field::Hour,
            "day" => Field::Day,
            "week" => Field::Week,
            "dow" => Field::DayOfWeek,
            "isodow" => Field::IsoDayOfWeek,
            "doy" => Field::DayOfYear,
            "month" => Field::Month,
            "quarter" => Field::Quarter,
            "year" => Field::Year,
            "decade" => Field::Decade,
            "century" | "centurie" => Field::Century,
            _ => return None,
        })
    }

    /// A part of a day, which a date has not.
    pub fn is_within_day(self) -> bool {
        use Field::{Hour, Microseconds, Milliseconds, Minute, Second};
        matches!(self, Microseconds | Milliseconds | Second | Minute | Hour)
    }

    /// Whether `date_trunc` knows it.
    pub fn truncates(self) -> bool {
        !matches!(
            self,
            Field::Epoch | Field::DayOfWeek | Field::IsoDayOfWeek | Field::DayOfYear
        )
    }
}

/// Days since the Monday before.
fn since_monday(micros: i64) -> i64 {
    // The epoch was a Thursday.
    (micros.div_euclid(DAY) + 3).rem_euclid(7)
}

pub(super) fn date_trunc(field: Field, value: &Value) -> Result<Value, SqlError> {
    match value {
        Value::TimestampTz(micros) => truncated(field, *micros)
            .map(Value::TimestampTz)
            .ok_or_else(out_of_range),
        Value::Timestamp(micros) => truncated(field, *micros)
            .map(Value::Timestamp)
            .ok_or_else(out_of_range),
        Value::Interval(interval) => truncated_interval(field, *interval).map(Value::Interval),
        _ => Err(mistyped(Function::DateTrunc(field))),
    }
}

fn truncated(field: Field, micros: i64) -> Option<i64> {
    let floor = |unit: i64| Some(micros.div_euclid(unit) * unit);
    let civil = Civil::of(micros);
    let first_of = |year: i64, month: i64| {
        Civil {
            year,
            month,
            day: 1,
            micros: 0,
        }
        .micros()
    };
    match field {
        Field::Microseconds => Some(micros),
        Field::Milliseconds => floor(1_000),
        Field::Second => floor(SECOND),
        Field::Minute => floor(MINUTE),
        Field::Hour => floor(HOUR),
        Field::Day => floor(DAY),
        Field::Week => floor(DAY)?.checked_sub(since_monday(micros) * DAY),
        Field::Month => first_of(civil.year, civil.month),
        Field::Quarter => first_of(civil.year, (civil.month - 1) / 3 * 3 + 1),
        Field::Year => first_of(civil.year, 1),
        Field::Decade => first_of(civil.year.div_euclid(10) * 10, 1),
        // Centuries begin with a year 1.
        Field::Century => first_of((civil.year - 1).div_euclid(100) * 100 + 1, 1),
        Field::Epoch | Field::DayOfWeek | Field::IsoDayOfWeek | Field::DayOfYear => None,
    }
}

fn truncated_interval(field: Field, interval: Interval) -> Result<Interval, SqlError> {
    let Interval {
        months,
        days,
        micros,
    } = interval;
    let of_months = |unit: i32| Interval {
        months: months / unit * unit,
        days: 0,
        micros: 0,
    };
    let of_micros = |unit: i64| Interval {
        micros: micros / unit * unit,
        ..interval
    };
    Ok(match field {
        Field::Microseconds => interval,
        Field::Milliseconds => of_micros(1_000),
        Field::Second => of_micros(SECOND),
        Field::Minute => of_micros(MINUTE),
        Field::Hour => of_micros(HOUR),
        Field::Day => Interval {
            months,
            days,
            micros: 0,
        },
        Field::Month => of_months(1),
        Field::Quarter => of_months(3),
        Field::Year => of_months(12),
        Field::Decade => of_months(120),
        Field::Century => of_months(1_200),
        _ => return Err(SqlError::unsupported("truncating an interval to weeks")),
    })
}

pub(super) fn extract(field: Field, value: &Value) -> Result<Value, SqlError> {
    match value {
        Value::TimestampTz(micros) | Value::Timestamp(micros) => {
            Ok(Value::Numeric(extracted(field, *micros)))
        }
        // A day has no fraction of a second.
        Value::Date(days) => Ok(Value::Numeric(
            extracted(field, time::midnight(*days)).normalize(),
        )),
        Value::Interval(interval) => extracted_interval(field, *interval).map(Value::Numeric),
        _ => Err(mistyped(Function::Extract(field))),
    }
}

fn extracted(field: Field, micros: i64) -> Decimal {
    let civil = Civil::of(micros);
    let of_minute = civil.micros % MINUTE;
    let days = micros.div_euclid(DAY);
    match field {
        Field::Epoch => Decimal::new(micros, 6),
        Field::Microseconds => of_minute.into(),
        Field::Milliseconds => Decimal::new(of_minute, 3),
        Field::Second => Decimal::new(of_minute, 6),
        Field::Minute => (civil.micros % HOUR / MINUTE).into(),
        Field::Hour => (civil.micros / HOUR).into(),
        Field::Day => civil.day.into(),
        Field::Week => iso_week(days).into(),
        Field::DayOfWeek => ((since_monday(micros) + 1) % 7).into(),
        Field::IsoDayOfWeek => (since_monday(micros) + 1).into(),
        Field::DayOfYear => (days - first_day(civil.year) + 1).into(),
        Field::Month => civil.month.into(),
        Field::Quarter => ((civil.month - 1) / 3 + 1).into(),
        Field::Year => shown_year(civil.year).into(),
        Field::Decade => civil.year.div_euclid(10).into(),
        Field::Century => {
            let year = shown_year(civil.year);
            if year > 0 {
                ((year + 99) / 100).into()
            } else {
                (-((99 - year) / 100)).into()
            }
        }
    }
}

/// There is no year 0: before year 1 comes 1 BC, which is written -1.
fn shown_year(year: i64) -> i64 {
    if year > 0 { year } else { year - 1 }
}

/// The first of January, in days since the epoch.
fn first_day(year: i64) -> i64 {
    let first = Civil {
        year,
        month: 1,
        day: 1,
        micros: 0,
    };
    first.micros().map_or(0, |micros| micros.div_euclid(DAY))
}

/// ISO weeks belong to the year that holds their Thursday.
fn iso_week(days: i64) -> i64 {
    let thursday = days - since_monday(days * DAY) + 3;
    let year = Civil::of(thursday * DAY).year;
    (thursday - first_day(year)) / 7 + 1
}

fn extracted_interval(field: Field, interval: Interval) -> Result<Decimal, SqlError> {
    let Interval {
        months,
        days,
        micros,
    } = interval;
    Ok(match field {
        Field::Epoch => {
            // A year has 365.25 days here, a month 30, as in Postgres.
            let years = i128::from(months / 12) * i128::from(DAY) * 1_461 / 4;
            let rest = (i128::from(months % 12) * 30 + i128::from(days)) * i128::from(DAY);
            Decimal::try_from_i128_with_scale(years + rest + i128::from(micros), 6)
                .map_err(|_| out_of_range())?
        }
        Field::Microseconds => (micros % MINUTE).into(),
        Field::Milliseconds => Decimal::new(micros % MINUTE, 3),
        Field::Second => Decimal::new(micros % MINUTE, 6),
        Field::Minute => (micros % HOUR / MINUTE).into(),
        Field::Hour => (micros / HOUR).into(),
        Field::Day => days.into(),
        Field::Month => (months % 12).into(),
        Field::Quarter => (months % 12 / 3 + 1).into(),
        Field::Year => (months / 12).into(),
        Field::Decade => (months / 120).into(),
        Field::Century => (months / 1_200).into(),
        _ => return Err(SqlError::unsupported("that field of an interval")),
    })
}

pub(super) fn to_timestamp(value: &Value) -> Result<Value, SqlError> {
    let Value::Double(seconds) = value else {
        return Err(mistyped(Function::ToTimestamp));
    };
    let micros = (seconds.0 * SECOND as f64).round();
    if !micros.is_finite() || micros.abs() >= 9.2e18 || !time::in_range(micros as i64) {
        return Err(out_of_range());
    }
    Ok(Value::TimestampTz(micros as i64))
}

pub(super) fn milliseconds(value: &Value) -> Result<Value, SqlError> {
    match value {
        Value::TimestampTz(micros) => Ok(Value::BigInt(micros.div_euclid(1_000))),
        _ => Err(mistyped(Function::Milliseconds)),
    }
}

fn out_of_range() -> SqlError {
    SqlError::new(SqlState::DatetimeFieldOverflow, "timestamp out of range")
}
