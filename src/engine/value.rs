//! The values of the engine, their types, and rows of them.
//!
//! A value knows its Postgres text form, because text is all that leaves the engine; it does not know where it came from.
//! `Ord` is a total order for the dataflow's own use; what SQL calls order (NULLs last, text bytewise) is [`Value::sql_cmp`].

use std::sync::Arc;

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
    Numeric(rust_decimal::Decimal),
    /// `text`
    Text(Arc<str>),
    /// `timestamp with time zone`: microseconds since the epoch.
    TimestampTz(i64),
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
}

impl FromIterator<Value> for Row {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Self {
        Row(values.into_iter().collect())
    }
}
