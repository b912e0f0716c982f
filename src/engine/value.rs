//! The values of the engine, their types, and rows of them.
//!
//! A value knows its Postgres text form, because text is all that leaves the engine; it does not know where it came from.
//! `Ord` is a total order for the dataflow's own use; what SQL calls order (numbers by what they are worth, text bytewise, NULLs
//! where ORDER BY wants them) is [`Value::sql_cmp`].

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::error::{SqlError, SqlState};

mod interval;
pub mod time;

/// The type of a column or an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Type {
    /// `boolean`
    Bool,
    /// `bigint`: every integer of the engine, as today's ids outgrow 32 bits.
    BigInt,
    /// `double precision`
    Double,
    /// `numeric`
    Numeric,
    /// `text`
    Text,
    /// `timestamp with time zone`, microseconds since the epoch, shown in UTC.
    TimestampTz,
    /// `timestamp without time zone`: what a clock in UTC shows.
    Timestamp,
    /// `date`
    Date,
    /// `interval`
    Interval,
}

/// One column of a relation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Column {
    /// The name, as SQL folds it.
    pub name: Arc<str>,
    /// Its type.
    pub ty: Type,
    /// May hold NULL.
    pub nullable: bool,
}

/// One value of one column.
///
/// Text is shared, so that a name that stands in several views is held once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Value {
    /// SQL's NULL, of any type.
    Null,
    /// `boolean`
    Bool(bool),
    /// `bigint`
    BigInt(i64),
    /// `double precision`, by its bits made totally ordered.
    Double(OrderedDouble),
    /// `numeric`, exact.
    Numeric(Decimal),
    /// `text`
    Text(Arc<str>),
    /// `timestamp with time zone`: microseconds since the epoch.
    TimestampTz(i64),
    /// `timestamp without time zone`: microseconds since the epoch by a clock in UTC.
    Timestamp(i64),
    /// `date`: days since the epoch.
    Date(i32),
    /// `interval`
    Interval(Interval),
}

/// A span of time in Postgres' three fields, which do not convert into each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Interval {
    /// Whole months.
    pub months: i32,
    /// Whole days.
    pub days: i32,
    /// Microseconds.
    pub micros: i64,
}

/// A double whose NaN equals itself and sorts last, as in Postgres.
#[derive(Debug, Clone, Copy)]
pub struct OrderedDouble(pub f64);

impl OrderedDouble {
    fn key(self) -> u64 {
        let double = if self.0.is_nan() {
            f64::NAN
        } else {
            self.0 + 0.0
        };
        let bits = double.to_bits();
        if bits >> 63 == 1 {
            !bits
        } else {
            bits | (1 << 63)
        }
    }
}

impl PartialEq for OrderedDouble {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for OrderedDouble {}

impl PartialOrd for OrderedDouble {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OrderedDouble {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl std::hash::Hash for OrderedDouble {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// One row, shared: the worker, the indexes and every subscriber hold the same one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Row(Arc<[Value]>);

impl Row {
    /// The row's values, in column order.
    pub fn values(&self) -> &[Value] {
        &self.0
    }

    /// About how much memory it takes, as if it shared nothing.
    pub fn bytes(&self) -> usize {
        const SHARED: usize = 2 * size_of::<usize>();
        let text = |value: &Value| match value {
            Value::Text(text) => SHARED + text.len(),
            _ => 0,
        };
        SHARED + size_of_val(&*self.0) + self.0.iter().map(text).sum::<usize>()
    }
}

impl FromIterator<Value> for Row {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Self {
        Row(values.into_iter().collect())
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Bool => "boolean",
            Type::BigInt => "bigint",
            Type::Double => "double precision",
            Type::Numeric => "numeric",
            Type::Text => "text",
            Type::TimestampTz => "timestamp with time zone",
            Type::Timestamp => "timestamp without time zone",
            Type::Date => "date",
            Type::Interval => "interval",
        })
    }
}

impl Value {
    /// The value's Postgres text form; `None` for NULL.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Value::Null => return None,
            Value::Bool(true) => Cow::Borrowed("t"),
            Value::Bool(false) => Cow::Borrowed("f"),
            Value::Text(text) => Cow::Borrowed(text),
            Value::BigInt(int) => Cow::Owned(int.to_string()),
            Value::Numeric(numeric) => Cow::Owned(numeric.to_string()),
            Value::Double(double) => Cow::Owned(double_text(double.0)),
            Value::TimestampTz(micros) => {
                let mut text = String::with_capacity(32);
                time::write_timestamp(&mut text, *micros);
                Cow::Owned(text)
            }
            Value::Timestamp(micros) => {
                let mut text = String::with_capacity(32);
                time::write_local(&mut text, *micros);
                Cow::Owned(text)
            }
            Value::Date(days) => {
                let mut text = String::with_capacity(16);
                time::write_date(&mut text, *days);
                Cow::Owned(text)
            }
            Value::Interval(interval) => {
                let mut text = String::with_capacity(32);
                interval.write(&mut text);
                Cow::Owned(text)
            }
        })
    }

    /// Reads a value of the type from its text form, as a literal, a parameter or a cast has it.
    ///
    /// # Errors
    /// 22P02 or 22007 for text that has not the type's form, 22003 or 22008 for what does not fit.
    pub fn parse(text: &str, ty: Type) -> Result<Value, SqlError> {
        let invalid = || {
            SqlError::new(
                SqlState::InvalidTextRepresentation,
                format!("invalid input syntax for type {ty}: \"{text}\""),
            )
        };
        let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace());
        Ok(match ty {
            Type::Text => Value::Text(text.into()),
            Type::Bool => Value::Bool(parse_bool(trimmed).ok_or_else(invalid)?),
            Type::BigInt => Value::BigInt(match trimmed.parse() {
                Ok(int) => int,
                Err(error) => {
                    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
                    return Err(match error.kind() {
                        PosOverflow | NegOverflow => SqlError::new(
                            SqlState::NumericValueOutOfRange,
                            format!("value \"{text}\" is out of range for type {ty}"),
                        ),
                        _ => invalid(),
                    });
                }
            }),
            Type::Numeric => Value::Numeric(parse_numeric(trimmed).ok_or_else(invalid)?),
            Type::Double => match trimmed.parse::<f64>() {
                Ok(double)
                    if double.is_infinite() && trimmed.contains(|c: char| c.is_ascii_digit()) =>
                {
                    return Err(SqlError::new(
                        SqlState::NumericValueOutOfRange,
                        format!("\"{text}\" is out of range for type {ty}"),
                    ));
                }
                Ok(double) => Value::Double(OrderedDouble(double)),
                Err(_) => return Err(invalid()),
            },
            Type::TimestampTz => Value::TimestampTz(time::parse_timestamp(text)?),
            Type::Timestamp => Value::Timestamp(time::parse_local(text, ty)?),
            Type::Date => Value::Date(time::day_of(time::parse_local(text, ty)?)),
            Type::Interval => Value::Interval(Interval::parse(text)?),
        })
    }

    /// The value's type; NULL has none of its own.
    pub fn ty(&self) -> Option<Type> {
        Some(match self {
            Value::Null => return None,
            Value::Bool(_) => Type::Bool,
            Value::BigInt(_) => Type::BigInt,
            Value::Double(_) => Type::Double,
            Value::Numeric(_) => Type::Numeric,
            Value::Text(_) => Type::Text,
            Value::TimestampTz(_) => Type::TimestampTz,
            Value::Timestamp(_) => Type::Timestamp,
            Value::Date(_) => Type::Date,
            Value::Interval(_) => Type::Interval,
        })
    }

    /// SQL's order of two values of one type; `None` when either is NULL.
    pub fn sql_cmp(&self, other: &Value) -> Option<Ordering> {
        Some(match (self, other) {
            (Value::Null, _) | (_, Value::Null) => return None,
            (Value::Interval(left), Value::Interval(right)) => {
                left.total_micros().cmp(&right.total_micros())
            }
            // One type on both sides is what the planner makes; between numbers there is an order all the same.
            (Value::BigInt(left), Value::Numeric(right)) => Decimal::from(*left).cmp(right),
            (Value::Numeric(left), Value::BigInt(right)) => left.cmp(&Decimal::from(*right)),
            (Value::BigInt(left), Value::Double(right)) => OrderedDouble(*left as f64).cmp(right),
            (Value::Double(left), Value::BigInt(right)) => left.cmp(&OrderedDouble(*right as f64)),
            (Value::Numeric(left), Value::Double(right)) => {
                OrderedDouble(left.to_f64().unwrap_or(f64::NAN)).cmp(right)
            }
            (Value::Double(left), Value::Numeric(right)) => {
                left.cmp(&OrderedDouble(right.to_f64().unwrap_or(f64::NAN)))
            }
            (left, right) => left.cmp(right),
        })
    }
}

/// Postgres takes every prefix of these words that is not ambiguous.
fn parse_bool(text: &str) -> Option<bool> {
    let lower = text.to_ascii_lowercase();
    let begins = |word: &str, min: usize| lower.len() >= min && word.starts_with(&lower);
    if begins("true", 1) || begins("yes", 1) || begins("on", 2) || lower == "1" {
        Some(true)
    } else if begins("false", 1) || begins("no", 1) || begins("off", 2) || lower == "0" {
        Some(false)
    } else {
        None
    }
}

fn parse_numeric(text: &str) -> Option<Decimal> {
    let begins_well = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    if !begins_well || text.contains('_') {
        return None;
    }
    if text.contains(['e', 'E']) {
        Decimal::from_scientific(text).ok()
    } else {
        Decimal::from_str(text).ok()
    }
}

/// The shortest digits that read back as the same double, with an exponent where Postgres writes one.
fn double_text(double: f64) -> String {
    if double.is_nan() {
        return "NaN".to_owned();
    }
    if double.is_infinite() {
        let sign = if double < 0.0 { "-" } else { "" };
        return format!("{sign}Infinity");
    }
    let scientific = format!("{double:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if double != 0.0 && !(-4..15).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    format!("{double}")
}
