//! Arithmetic with Postgres' errors: bigint and numeric overflow, division by zero, and the number of digits of a quotient.

use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};

use super::{Function, mistyped};
use crate::engine::error::{SqlError, SqlState};
use crate::engine::value::{Interval, OrderedDouble, Value, time};

/// Digits after the point that a `numeric` can have here.
const SCALE_MAX: i64 = 28;

pub(super) fn unary(function: Function, value: &Value) -> Result<Value, SqlError> {
    use Function::{Abs, Ceil, Floor, Negate, Round};
    Ok(match (function, value) {
        (Negate, Value::BigInt(int)) => {
            Value::BigInt(int.checked_neg().ok_or_else(|| out_of_range("bigint"))?)
        }
        (Negate, Value::Numeric(numeric)) => Value::Numeric(with_scale(-*numeric, 0)),
        (Negate, Value::Double(double)) => Value::Double(OrderedDouble(-double.0)),
        (Negate, Value::Interval(interval)) => Value::Interval(negated(*interval)?),
        (Abs, Value::BigInt(int)) => {
            Value::BigInt(int.checked_abs().ok_or_else(|| out_of_range("bigint"))?)
        }
        (Abs, Value::Numeric(numeric)) => Value::Numeric(numeric.abs()),
        (Abs, Value::Double(double)) => Value::Double(OrderedDouble(double.0.abs())),
        (Floor, Value::Numeric(numeric)) => Value::Numeric(with_scale(numeric.floor(), 0)),
        (Floor, Value::Double(double)) => Value::Double(OrderedDouble(double.0.floor())),
        (Ceil, Value::Numeric(numeric)) => Value::Numeric(with_scale(numeric.ceil(), 0)),
        (Ceil, Value::Double(double)) => Value::Double(OrderedDouble(double.0.ceil())),
        (Round, Value::Numeric(numeric)) => Value::Numeric(rounded(*numeric, 0)),
        (Round, Value::Double(double)) => Value::Double(OrderedDouble(double.0.round_ties_even())),
        (Floor | Ceil | Round, Value::BigInt(int)) => Value::BigInt(*int),
        _ => return Err(mistyped(function)),
    })
}

pub(super) fn binary(function: Function, left: &Value, right: &Value) -> Result<Value, SqlError> {
    match (left, right) {
        (Value::BigInt(left), Value::BigInt(right)) => bigint(function, *left, *right),
        (Value::Numeric(left), Value::Numeric(right)) => numeric(function, *left, *right),
        (Value::Double(left), Value::Double(right)) => double(function, left.0, right.0),
        _ => temporal(function, left, right),
    }
}

fn bigint(function: Function, left: i64, right: i64) -> Result<Value, SqlError> {
    let result = match function {
        Function::Add => left.checked_add(right),
        Function::Subtract => left.checked_sub(right),
        Function::Multiply => left.checked_mul(right),
        Function::Divide if right == 0 => return Err(division_by_zero()),
        Function::Divide => left.checked_div(right),
        Function::Modulo if right == 0 => return Err(division_by_zero()),
        // The smallest bigint modulo -1 is 0, though the quotient does not fit.
        Function::Modulo => Some(left.wrapping_rem(right)),
        Function::BitAnd => Some(left & right),
        Function::BitOr => Some(left | right),
        _ => return Err(mistyped(function)),
    };
    result
        .map(Value::BigInt)
        .ok_or_else(|| out_of_range("bigint"))
}

fn numeric(function: Function, left: Decimal, right: Decimal) -> Result<Value, SqlError> {
    let result = match function {
        Function::Add => left.checked_add(right),
        Function::Subtract => left.checked_sub(right),
        Function::Multiply => left.checked_mul(right),
        Function::Divide => return divide_numeric(left, right).map(Value::Numeric),
        Function::Modulo if right.is_zero() => return Err(division_by_zero()),
        Function::Modulo => left.checked_rem(right),
        _ => return Err(mistyped(function)),
    };
    // Zero has as many digits after the point as anything else.
    let scale = match function {
        Function::Multiply => left.scale() + right.scale(),
        _ => left.scale().max(right.scale()),
    };
    result
        .map(|result| Value::Numeric(with_scale(result, scale)))
        .ok_or_else(numeric_overflow)
}

/// At least so many digits after the point, as far as they fit; zero has no sign.
fn with_scale(mut number: Decimal, scale: u32) -> Decimal {
    if number.scale() < scale {
        number.rescale(scale.min(SCALE_MAX as u32));
    }
    if number.is_zero() {
        number.set_sign_positive(true);
    }
    number
}

/// A quotient with as many digits as Postgres gives it: at least sixteen that count, at least as many after the point as either
/// side has.
pub(crate) fn divide_numeric(left: Decimal, right: Decimal) -> Result<Decimal, SqlError> {
    if right.is_zero() {
        return Err(division_by_zero());
    }
    let ((left_weight, left_first), (right_weight, right_first)) = (leading(left), leading(right));
    let weight = left_weight - right_weight - i64::from(left_first <= right_first);
    let scale = (16 - weight * 4)
        .max(left.scale().into())
        .max(right.scale().into())
        .clamp(0, SCALE_MAX);
    let quotient = left.checked_div(right).ok_or_else(numeric_overflow)?;
    Ok(rounded(quotient, scale as u32))
}

/// The first of the number's digits in base 10,000 and which power of the base it counts.
fn leading(number: Decimal) -> (i64, i64) {
    let digits = number.mantissa().unsigned_abs().to_string();
    if number.is_zero() {
        return (0, 0);
    }
    let exponent = digits.len() as i64 - 1 - i64::from(number.scale());
    let count = exponent.rem_euclid(4) as usize + 1;
    let first = format!("{digits:0<count$.count$}");
    (exponent.div_euclid(4), first.parse().unwrap_or(0))
}

/// Rounded half away from zero to `scale` digits, with zeros up to there.
fn rounded(number: Decimal, scale: u32) -> Decimal {
    let result = number.round_dp_with_strategy(scale, RoundingStrategy::MidpointAwayFromZero);
    with_scale(result, scale)
}

pub(super) fn round_to(number: &Value, digits: &Value) -> Result<Value, SqlError> {
    let (Value::Numeric(number), Value::BigInt(digits)) = (number, digits) else {
        return Err(mistyped(Function::Round));
    };
    if *digits >= 0 {
        let scale = (*digits).min(SCALE_MAX) as u32;
        return Ok(Value::Numeric(rounded(*number, scale)));
    }
    // Digits before the point: divide, round, and multiply back.
    let power = u32::try_from(-*digits)
        .ok()
        .and_then(|power| 10_i64.checked_pow(power));
    let Some(power) = power.map(Decimal::from) else {
        return Ok(Value::Numeric(Decimal::ZERO));
    };
    let quotient = number.checked_div(power).ok_or_else(numeric_overflow)?;
    rounded(quotient, 0)
        .checked_mul(power)
        .map(Value::Numeric)
        .ok_or_else(numeric_overflow)
}

fn double(function: Function, left: f64, right: f64) -> Result<Value, SqlError> {
    let result = match function {
        Function::Add => left + right,
        Function::Subtract => left - right,
        Function::Multiply => left * right,
        Function::Divide if right == 0.0 && !left.is_nan() => return Err(division_by_zero()),
        Function::Divide => left / right,
        _ => return Err(mistyped(function)),
    };
    if result.is_infinite() && left.is_finite() && right.is_finite() {
        return Err(SqlError::new(
            SqlState::NumericValueOutOfRange,
            "value out of range: overflow",
        ));
    }
    Ok(Value::Double(OrderedDouble(result)))
}

fn temporal(function: Function, left: &Value, right: &Value) -> Result<Value, SqlError> {
    use Function::{Add, Divide, Multiply, Subtract};
    use Value::{BigInt, Date, Double, Timestamp, TimestampTz};
    let moved = |micros: i64, interval: Interval| {
        time::add_interval(micros, interval)
            .ok_or_else(|| SqlError::new(SqlState::DatetimeFieldOverflow, "timestamp out of range"))
    };
    match (function, left, right) {
        (Add, TimestampTz(at), Value::Interval(by))
        | (Add, Value::Interval(by), TimestampTz(at)) => moved(*at, *by).map(TimestampTz),
        (Subtract, TimestampTz(at), Value::Interval(by)) => {
            moved(*at, negated(*by)?).map(TimestampTz)
        }
        (Add, Timestamp(at), Value::Interval(by)) | (Add, Value::Interval(by), Timestamp(at)) => {
            moved(*at, *by).map(Timestamp)
        }
        (Subtract, Timestamp(at), Value::Interval(by)) => moved(*at, negated(*by)?).map(Timestamp),
        (Add, Date(day), BigInt(days)) | (Add, BigInt(days), Date(day)) => later(*day, Some(*days)),
        (Subtract, Date(day), BigInt(days)) => later(*day, days.checked_neg()),
        (Subtract, Date(end), Date(start)) => Ok(BigInt(i64::from(*end) - i64::from(*start))),
        (Subtract, TimestampTz(end), TimestampTz(start))
        | (Subtract, Timestamp(end), Timestamp(start)) => {
            let micros = end
                .checked_sub(*start)
                .ok_or_else(|| out_of_range("interval"))?;
            Ok(Value::Interval(Interval {
                months: 0,
                days: (micros / time::DAY) as i32,
                micros: micros % time::DAY,
            }))
        }
        (Add, Value::Interval(left), Value::Interval(right)) => {
            sum(*left, *right).map(Value::Interval)
        }
        (Subtract, Value::Interval(left), Value::Interval(right)) => {
            sum(*left, negated(*right)?).map(Value::Interval)
        }
        (Multiply, Value::Interval(span), BigInt(by))
        | (Multiply, BigInt(by), Value::Interval(span)) => scaled(*span, *by as f64),
        (Multiply, Value::Interval(span), Double(by))
        | (Multiply, Double(by), Value::Interval(span)) => scaled(*span, by.0),
        (Divide, Value::Interval(_), BigInt(0)) => Err(division_by_zero()),
        (Divide, Value::Interval(_), Double(by)) if by.0 == 0.0 => Err(division_by_zero()),
        (Divide, Value::Interval(span), BigInt(by)) => scaled(*span, 1.0 / *by as f64),
        (Divide, Value::Interval(span), Double(by)) => scaled(*span, 1.0 / by.0),
        _ => Err(mistyped(function)),
    }
}

/// The date so many days later.
fn later(day: i32, days: Option<i64>) -> Result<Value, SqlError> {
    days.and_then(|days| i64::from(day).checked_add(days))
        .and_then(|day| i32::try_from(day).ok())
        .filter(|day| time::in_range(time::midnight(*day)))
        .map(Value::Date)
        .ok_or_else(|| SqlError::new(SqlState::DatetimeFieldOverflow, "date out of range"))
}

fn negated(interval: Interval) -> Result<Interval, SqlError> {
    let negate = || {
        Some(Interval {
            months: interval.months.checked_neg()?,
            days: interval.days.checked_neg()?,
            micros: interval.micros.checked_neg()?,
        })
    };
    negate().ok_or_else(|| out_of_range("interval"))
}

fn sum(left: Interval, right: Interval) -> Result<Interval, SqlError> {
    let add = || {
        Some(Interval {
            months: left.months.checked_add(right.months)?,
            days: left.days.checked_add(right.days)?,
            micros: left.micros.checked_add(right.micros)?,
        })
    };
    add().ok_or_else(|| out_of_range("interval"))
}

/// An interval times a number: fractions of months become days, fractions of days time.
fn scaled(span: Interval, by: f64) -> Result<Value, SqlError> {
    let months = f64::from(span.months) * by;
    let days = f64::from(span.days) * by + months.fract() * 30.0;
    // Rounded to the microsecond before it is split, so that three tenths of ten days are three days.
    let days_micros = (days.fract() * time::DAY as f64).round();
    let whole_days = days.trunc() + (days_micros / time::DAY as f64).trunc();
    let micros = span.micros as f64 * by + days_micros % time::DAY as f64;
    let fits = |number: f64, bound: f64| number.is_finite() && number.abs() < bound;
    if !fits(months, 2e9) || !fits(whole_days, 2e9) || !fits(micros, 9.2e18) {
        return Err(out_of_range("interval"));
    }
    Ok(Value::Interval(Interval {
        months: months.trunc() as i32,
        days: whole_days as i32,
        micros: micros.round().to_i64().unwrap_or(0),
    }))
}

pub(super) fn out_of_range(ty: &str) -> SqlError {
    SqlError::new(
        SqlState::NumericValueOutOfRange,
        format!("{ty} out of range"),
    )
}

fn division_by_zero() -> SqlError {
    SqlError::new(SqlState::DivisionByZero, "division by zero")
}

fn numeric_overflow() -> SqlError {
    SqlError::new(
        SqlState::NumericValueOutOfRange,
        "value overflows numeric format",
    )
}
