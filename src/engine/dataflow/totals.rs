//! What is known of a group: running totals from which every aggregate follows.
//!
//! Totals add up and negate, so they are a *difference* in the sense of differential dataflow: a batch becomes one update a
//! group, a row that leaves is its own totals negated, and the past of a group is a number that can be stored. `min`, `max`
//! and the DISTINCT forms need to know the values themselves; their totals are multisets, which add up as well but are never
//! stored.

use std::collections::BTreeMap;

use differential_dataflow::difference::{Abelian, IsZero, Monoid, Semigroup};

use super::sum::Sum;
use crate::engine::error::{SqlError, SqlState};
use crate::engine::packed::{Packed, normalised};
use crate::engine::plan::{Aggregate, AggregateFunction};
use crate::engine::store::column::{BadColumn, put_varint, take_varint};
use crate::engine::value::Value;

/// The totals of a group, or a change of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Rows of the group, which also is `count(*)`.
    rows: i64,
    /// One for each aggregate that is not `count(*)`; none at all is short for all of them empty.
    parts: Box<[Part]>,
}

/// The running total of one aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Count(i64),
    Sum(Sum),
    Values(BTreeMap<Packed, i64>),
}

impl IsZero for Totals {
    fn is_zero(&self) -> bool {
        self.rows == 0 && self.parts.iter().all(Part::is_zero)
    }
}

impl Semigroup for Totals {
    fn plus_equals(&mut self, other: &Self) {
        self.rows += other.rows;
        if self.parts.is_empty() {
            self.parts = other.parts.clone();
            return;
        }
        for (part, other) in self.parts.iter_mut().zip(&other.parts) {
            part.add(other);
        }
    }
}

impl Monoid for Totals {
    fn zero() -> Self {
        Totals::default()
    }
}

impl Abelian for Totals {
    fn negate(&mut self) {
        self.rows = -self.rows;
        self.parts.iter_mut().for_each(Part::negate);
    }
}

impl Part {
    fn is_zero(&self) -> bool {
        match self {
            Part::Count(count) => *count == 0,
            Part::Sum(sum) => sum.is_zero(),
            Part::Values(values) => values.is_empty(),
        }
    }

    fn add(&mut self, other: &Part) {
        match (self, other) {
            (Part::Count(count), Part::Count(other)) => *count += other,
            (Part::Sum(sum), Part::Sum(other)) => sum.add(other),
            (Part::Values(values), Part::Values(other)) => {
                for (value, diff) in other {
                    let count = values.entry(value.clone()).or_default();
                    *count += diff;
                    if *count == 0 {
                        values.remove(value);
                    }
                }
            }
            _ => unreachable!("parts of one aggregate are of one kind"),
        }
    }

    fn negate(&mut self) {
        match self {
            Part::Count(count) => *count = -*count,
            Part::Sum(sum) => sum.negate(),
            Part::Values(values) => values.values_mut().for_each(|count| *count = -*count),
        }
    }
}

/// The aggregates of one operator: from rows to totals, from totals to values.
#[derive(Debug, Clone)]
pub(crate) struct Aggregates {
    functions: Vec<Aggregate>,
}

impl Aggregates {
    pub(crate) fn new(functions: &[Aggregate]) -> Self {
        Aggregates {
            functions: functions.to_vec(),
        }
    }

    /// Every total can be stored.
    pub(crate) fn are_accumulable(&self) -> bool {
        self.functions.iter().all(Aggregate::is_accumulable)
    }

    /// The aggregates, in the order of their columns.
    pub(crate) fn functions(&self) -> &[Aggregate] {
        &self.functions
    }

    /// A group's row can always be made: only sums can be out of range.
    pub(crate) fn cannot_fail(&self) -> bool {
        use AggregateFunction::{Count, Max, Min};
        let is_safe = |f: &Aggregate| matches!(f.function, Count | Min | Max);
        self.functions.iter().all(is_safe)
    }

    /// What `diff` copies of a row add to their group.
    ///
    /// # Errors
    /// An argument or a FILTER cannot be evaluated.
    pub(crate) fn of_row(&self, row: &[Value], diff: i64) -> Result<Totals, SqlError> {
        let parts = self
            .functions
            .iter()
            .filter(|function| !is_row_count(function))
            .map(|function| part_of_row(function, row, diff))
            .collect::<Result<_, _>>()?;
        Ok(Totals { rows: diff, parts })
    }

    /// The aggregates' values; `None` when the group has no rows.
    ///
    /// # Errors
    /// A value is out of its type's range.
    pub(crate) fn finish(&self, totals: &Totals) -> Result<Option<Vec<Value>>, SqlError> {
        if totals.rows == 0 {
            return Ok(None);
        }
        self.values(totals).map(Some)
    }

    /// The aggregates' values over no rows.
    pub(crate) fn of_nothing(&self) -> Vec<Value> {
        self.functions
            .iter()
            .map(|function| match function.function {
                AggregateFunction::Count => Value::BigInt(0),
                _ => Value::Null,
            })
            .collect()
    }

    fn values(&self, totals: &Totals) -> Result<Vec<Value>, SqlError> {
        let mut parts = totals.parts.iter();
        self.functions
            .iter()
            .map(|function| {
                if is_row_count(function) {
                    return Ok(Value::BigInt(totals.rows));
                }
                let part = parts
                    .next()
                    .expect("as many parts as aggregates that need one");
                value_of_part(function, part)
            })
            .collect()
    }

    /// The totals as they are stored.
    pub(crate) fn encode(totals: &Totals) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4);
        put_i128(totals.rows.into(), &mut bytes);
        for part in &totals.parts {
            match part {
                Part::Count(count) => {
                    bytes.push(b'c');
                    put_i128((*count).into(), &mut bytes);
                }
                Part::Sum(sum) => {
                    bytes.push(b's');
                    sum.encode(&mut bytes);
                }
                Part::Values(_) => unreachable!("multisets are never stored"),
            }
        }
        bytes
    }

    /// Reads stored totals.
    ///
    /// # Errors
    /// They are not those of these aggregates.
    pub(crate) fn decode(&self, mut bytes: &[u8]) -> Result<Totals, BadColumn> {
        let rows = take_i64(&mut bytes)?;
        let mut parts = Vec::new();
        for function in self
            .functions
            .iter()
            .filter(|function| !is_row_count(function))
        {
            let (tag, rest) = bytes.split_first().ok_or(BadColumn)?;
            bytes = rest;
            parts.push(match (tag, function.function) {
                (b'c', AggregateFunction::Count) => Part::Count(take_i64(&mut bytes)?),
                (b's', AggregateFunction::Sum | AggregateFunction::Avg) => {
                    Part::Sum(Sum::decode(&mut bytes)?)
                }
                _ => return Err(BadColumn),
            });
        }
        let parts = parts.into();
        bytes
            .is_empty()
            .then_some(Totals { rows, parts })
            .ok_or(BadColumn)
    }
}

/// `count(*)`, which is the number of rows itself.
fn is_row_count(aggregate: &Aggregate) -> bool {
    aggregate.function == AggregateFunction::Count
        && aggregate.argument.is_none()
        && aggregate.filter.is_none()
}

fn part_of_row(aggregate: &Aggregate, row: &[Value], diff: i64) -> Result<Part, SqlError> {
    let counts = match &aggregate.filter {
        Some(filter) => filter.is_true(row)?,
        None => true,
    };
    let argument = match &aggregate.argument {
        _ if !counts => Value::Null,
        Some(argument) => argument.eval(row)?,
        None => Value::Bool(true),
    };
    if aggregate.function == AggregateFunction::Array {
        let keys = aggregate.order.iter().map(|key| key.expr.eval(row));
        let ordered = keys
            .chain([Ok(argument)])
            .map(|value| value.map(normalised))
            .collect::<Result<Vec<_>, _>>()?;
        let ordered = counts.then(|| (Packed::row(&ordered), diff));
        return Ok(Part::Values(ordered.into_iter().collect()));
    }
    // The other aggregates do not see NULLs.
    let seen = argument != Value::Null;
    Ok(if !aggregate.is_accumulable() {
        let value = Packed::row(&[normalised(argument)]);
        Part::Values(seen.then_some((value, diff)).into_iter().collect())
    } else if aggregate.function == AggregateFunction::Count {
        Part::Count(if seen { diff } else { 0 })
    } else {
        Part::Sum(Sum::of(&argument, diff)?)
    })
}

fn value_of_part(aggregate: &Aggregate, part: &Part) -> Result<Value, SqlError> {
    use AggregateFunction::{Array, Avg, Count, Max, Min, Sum as Total};
    let value_of =
        |packed: Option<&Packed>| packed.map_or(Value::Null, |p| p.unpack().values()[0].clone());
    match (aggregate.function, part) {
        (Count, Part::Count(count)) => Ok(Value::BigInt(*count)),
        (Count, Part::Values(values)) => i64::try_from(values.len())
            .map(Value::BigInt)
            .map_err(|_| SqlError::new(SqlState::NumericValueOutOfRange, "bigint out of range")),
        (Min, Part::Values(values)) => Ok(value_of(values.keys().next())),
        (Max, Part::Values(values)) => Ok(value_of(values.keys().next_back())),
        (Array, Part::Values(values)) => {
            let copies = |count: i64| usize::try_from(count).unwrap_or(0);
            let rows = values
                .iter()
                .flat_map(|(row, count)| std::iter::repeat_n(row.unpack(), copies(*count)));
            Ok(aggregate.array_of(rows.collect()))
        }
        (Total, Part::Sum(sum)) => sum.total(),
        (Avg, Part::Sum(sum)) => sum.average(),
        (Total | Avg, Part::Values(values)) => {
            let mut sum = Sum::default();
            for value in values.keys() {
                sum.add(&Sum::of(&value_of(Some(value)), 1)?);
            }
            if aggregate.function == Avg {
                sum.average()
            } else {
                sum.total()
            }
        }
        _ => unreachable!("the parts were made by the same aggregates"),
    }
}

/// Signed numbers, small ones short.
pub(super) fn put_i128(number: i128, out: &mut Vec<u8>) {
    put_varint(((number << 1) ^ (number >> 127)).cast_unsigned(), out);
}

fn take_i128(bytes: &mut &[u8]) -> Result<i128, BadColumn> {
    let zigzagged = take_varint(bytes)?;
    Ok((zigzagged >> 1).cast_signed() ^ -(zigzagged & 1).cast_signed())
}

pub(super) fn take_i64(bytes: &mut &[u8]) -> Result<i64, BadColumn> {
    i64::try_from(take_i128(bytes)?).map_err(|_| BadColumn)
}
