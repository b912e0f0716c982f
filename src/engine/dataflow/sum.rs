//! Sums that can be taken back: adding a value and its negation leaves exactly nothing.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::totals::{put_i128, take_i64};
use crate::engine::error::{SqlError, SqlState};
use crate::engine::expr::divide_numeric;
use crate::engine::store::column::BadColumn;
use crate::engine::value::{OrderedDouble, Value};

/// The sum of some numbers, all of one type, and how many they are.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sum {
    count: i64,
    /// Of integers and numerics: by scale, how many, and the sum of their mantissas, so that no sum is rounded on the way.
    exact: BTreeMap<u8, (i64, i128)>,
    doubles: Option<Box<Doubles>>,
}

impl Eq for Sum {}

/// The sum of doubles. Finite ones are added as doubles are, so the last bits depend on the order; the others are counted,
/// because an infinity could not be taken back.
#[derive(Debug, Clone, Default, PartialEq)]
struct Doubles {
    finite: f64,
    nans: i64,
    infinities: i64,
    negative_infinities: i64,
}

impl Sum {
    /// What `diff` copies of a value add; NULL adds nothing.
    pub(super) fn of(value: &Value, diff: i64) -> Result<Self, SqlError> {
        let exact = |scale, mantissa: i128| {
            let total = mantissa.checked_mul(diff.into()).ok_or_else(out_of_range)?;
            Ok(Sum {
                count: diff,
                exact: [(scale, (diff, total))].into(),
                doubles: None,
            })
        };
        match value {
            Value::Null => Ok(Sum::default()),
            Value::BigInt(int) => exact(0, (*int).into()),
            Value::Numeric(decimal) => exact(
                u8::try_from(decimal.scale()).map_err(|_| out_of_range())?,
                decimal.mantissa(),
            ),
            Value::Double(double) => Ok(Sum {
                count: diff,
                exact: BTreeMap::new(),
                doubles: Some(Box::new(Doubles::of(double.0, diff))),
            }),
            _ => Err(SqlError::new(
                SqlState::DatatypeMismatch,
                "only numbers can be summed",
            )),
        }
    }

    pub(super) fn is_zero(&self) -> bool {
        self.count == 0 && self.exact.is_empty()
    }

    pub(super) fn add(&mut self, other: &Sum) {
        self.count += other.count;
        for (scale, (count, total)) in &other.exact {
            let known = self.exact.entry(*scale).or_default();
            known.0 += count;
            // 2^31 values of 96 bits fit; the sum of more is out of a numeric's range long before.
            known.1 = known.1.wrapping_add(*total);
            if *known == (0, 0) {
                self.exact.remove(scale);
            }
        }
        if let Some(other) = &other.doubles {
            self.doubles.get_or_insert_default().add(other);
        }
        if self.count == 0 {
            self.doubles = None;
        }
    }

    pub(super) fn negate(&mut self) {
        self.count = -self.count;
        for (count, total) in self.exact.values_mut() {
            (*count, *total) = (-*count, total.wrapping_neg());
        }
        if let Some(doubles) = &mut self.doubles {
            doubles.negate();
        }
    }

    /// SQL's `sum`: NULL over nothing.
    pub(super) fn total(&self) -> Result<Value, SqlError> {
        match (&self.doubles, self.count) {
            (_, 0) => Ok(Value::Null),
            (Some(doubles), _) => Ok(Value::Double(OrderedDouble(doubles.total()))),
            (None, _) => self.exact_total().map(Value::Numeric),
        }
    }

    /// SQL's `avg`: NULL over nothing.
    pub(super) fn average(&self) -> Result<Value, SqlError> {
        match (&self.doubles, self.count) {
            (_, 0) => Ok(Value::Null),
            (Some(doubles), count) => {
                Ok(Value::Double(OrderedDouble(doubles.total() / count as f64)))
            }
            (None, count) => {
                divide_numeric(self.exact_total()?, Decimal::from(count)).map(Value::Numeric)
            }
        }
    }

    fn exact_total(&self) -> Result<Decimal, SqlError> {
        self.exact
            .iter()
            .try_fold(Decimal::ZERO, |sum, (scale, (_, total))| {
                let part = Decimal::try_from_i128_with_scale(*total, (*scale).into());
                sum.checked_add(part.ok()?)
            })
            .ok_or_else(out_of_range)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_i128(self.count.into(), out);
        put_i128(self.exact.len() as i128, out);
        for (scale, (count, total)) in &self.exact {
            out.push(*scale);
            put_i128((*count).into(), out);
            out.extend(total.to_be_bytes());
        }
        out.push(u8::from(self.doubles.is_some()));
        if let Some(doubles) = &self.doubles {
            out.extend(doubles.finite.to_be_bytes());
            for count in [
                doubles.nans,
                doubles.infinities,
                doubles.negative_infinities,
            ] {
                put_i128(count.into(), out);
            }
        }
    }

    pub(super) fn decode(bytes: &mut &[u8]) -> Result<Self, BadColumn> {
        let mut sum = Sum {
            count: take_i64(bytes)?,
            ..Sum::default()
        };
        for _ in 0..take_i64(bytes)? {
            let [scale] = take::<1>(bytes)?;
            let count = take_i64(bytes)?;
            sum.exact
                .insert(scale, (count, i128::from_be_bytes(take(bytes)?)));
        }
        if take::<1>(bytes)? == [1] {
            sum.doubles = Some(Box::new(Doubles {
                finite: f64::from_be_bytes(take(bytes)?),
                nans: take_i64(bytes)?,
                infinities: take_i64(bytes)?,
                negative_infinities: take_i64(bytes)?,
            }));
        }
        Ok(sum)
    }
}

impl Doubles {
    fn of(double: f64, diff: i64) -> Self {
        let mut doubles = Doubles::default();
        match double {
            nan if nan.is_nan() => doubles.nans = diff,
            f64::INFINITY => doubles.infinities = diff,
            f64::NEG_INFINITY => doubles.negative_infinities = diff,
            finite => doubles.finite = finite * diff as f64,
        }
        doubles
    }

    fn add(&mut self, other: &Doubles) {
        self.finite += other.finite;
        self.nans += other.nans;
        self.infinities += other.infinities;
        self.negative_infinities += other.negative_infinities;
    }

    fn negate(&mut self) {
        self.finite = -self.finite;
        self.nans = -self.nans;
        self.infinities = -self.infinities;
        self.negative_infinities = -self.negative_infinities;
    }

    fn total(&self) -> f64 {
        match (self.nans, self.infinities, self.negative_infinities) {
            (0, 0, 0) => self.finite,
            (0, _, 0) => f64::INFINITY,
            (0, 0, _) => f64::NEG_INFINITY,
            _ => f64::NAN,
        }
    }
}

fn out_of_range() -> SqlError {
    SqlError::new(SqlState::NumericValueOutOfRange, "numeric out of range")
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], BadColumn> {
    let (taken, rest) = bytes.split_first_chunk::<N>().ok_or(BadColumn)?;
    *bytes = rest;
    Ok(*taken)
}
