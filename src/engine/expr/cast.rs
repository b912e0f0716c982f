//! Casts between the engine's types. Which casts there are is the planner's business ([`crate::engine::sql`]); here is what they do.

use rust_decimal::prelude::{FromPrimitive, ToPrimitive};
use rust_decimal::{Decimal, RoundingStrategy};

use super::arithmetic::out_of_range;
use super::{Function, mistyped};
use crate::engine::error::SqlError;
use crate::engine::value::{OrderedDouble, Type, Value, time};

/// The value, which is not NULL, as a value of the type.
pub(super) fn cast(value: &Value, ty: Type) -> Result<Value, SqlError> {
    Ok(match (value, ty) {
        (Value::Text(text), _) => return Value::parse(text, ty),
        // As a column a boolean is `t`, as a text it is `true`.
        (Value::Bool(bool), Type::Text) => Value::Text(if *bool { "true" } else { "false" }.into()),
        (_, Type::Text) => Value::Text(value.text().unwrap_or_default().into()),
        (Value::Bool(bool), Type::BigInt) => Value::BigInt((*bool).into()),
        (Value::BigInt(int), Type::Bool) => Value::Bool(*int != 0),
        (Value::BigInt(int), Type::Numeric) => Value::Numeric(Decimal::from(*int)),
        (Value::BigInt(int), Type::Double) => Value::Double(OrderedDouble(*int as f64)),
        (Value::Numeric(numeric), Type::BigInt) => Value::BigInt(
            numeric
                .round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero)
                .to_i64()
                .ok_or_else(|| out_of_range("bigint"))?,
        ),
        (Value::Numeric(numeric), Type::Double) => Value::Double(OrderedDouble(
            // Through the text: the nearest double, which a division of the mantissa would miss.
            numeric.to_string().parse().unwrap_or(f64::NAN),
        )),
        (Value::Double(double), Type::BigInt) => {
            let rounded = double.0.round_ties_even();
            // The bounds are powers of two, which doubles hold exactly.
            if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&rounded) {
                return Err(out_of_range("bigint"));
            }
            Value::BigInt(rounded as i64)
        }
        (Value::Double(double), Type::Numeric) => Value::Numeric(
            // Fifteen digits count, as in Postgres.
            Decimal::from_f64(double.0).ok_or_else(|| out_of_range("numeric"))?,
        ),
        (Value::Date(days), Type::Timestamp) => Value::Timestamp(time::midnight(*days)),
        (Value::Date(days), Type::TimestampTz) => Value::TimestampTz(time::midnight(*days)),
        // There is no time zone but UTC.
        (Value::Timestamp(micros), Type::TimestampTz) => Value::TimestampTz(*micros),
        (Value::TimestampTz(micros), Type::Timestamp) => Value::Timestamp(*micros),
        (Value::Timestamp(micros) | Value::TimestampTz(micros), Type::Date) => {
            Value::Date(time::day_of(*micros))
        }
        _ => return Err(mistyped(Function::Cast(ty))),
    })
}

/// An integer that must fit into fewer bits.
pub(super) fn fits_bits(value: &Value, bits: u32) -> Result<Value, SqlError> {
    let Value::BigInt(int) = value else {
        return Err(mistyped(Function::FitsBits(bits)));
    };
    let bound = 1_i64 << (bits - 1);
    if (-bound..bound).contains(int) {
        Ok(value.clone())
    } else if bits == 16 {
        Err(out_of_range("smallint"))
    } else {
        Err(out_of_range("integer"))
    }
}
