//! Values as bytes whose bytewise order is Postgres' order, and which can be read back.
//!
//! One encoding serves wherever the engine keeps many rows: keys of groups (in memory and on disk), the index of a top-k, the
//! contents of a query. A million rows are then a million short allocations, and comparing two is one `memcmp`. The
//! encoding knows no types: each value begins with a tag.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::Arc;

use compact_bytes::CompactBytes;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::value::{Interval, OrderedDouble, Row, Value};

/// A row of values, packed; orders as its values do, ascending, NULLs last. Short rows, and the key of most users is one, are
/// held in place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Packed(CompactBytes);

impl Ord for Packed {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl PartialOrd for Packed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Bytes hash, compare and order as the rows they are.
impl Borrow<[u8]> for Packed {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// How one value of a packed row is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Direction {
    /// Largest first: all bytes are inverted.
    pub(crate) descending: bool,
    /// NULLs before everything else.
    pub(crate) nulls_first: bool,
}

impl Direction {
    /// What an ORDER BY without further words means.
    pub(crate) const ASCENDING: Direction = Direction {
        descending: false,
        nulls_first: false,
    };

    fn mask(self) -> u8 {
        if self.descending { 0xff } else { 0 }
    }
}

/// Bytes that are no packed values: they come from a damaged store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a packed value does not end where it should")]
pub(crate) struct NotPacked;

const NULL_LOW: u8 = 0x00;
const BOOL: u8 = 0x10;
const BIGINT: u8 = 0x20;
const DOUBLE: u8 = 0x30;
const NUMERIC: u8 = 0x40;
const TEXT: u8 = 0x50;
const TIMESTAMPTZ: u8 = 0x60;
const TIMESTAMP: u8 = 0x64;
const DATE: u8 = 0x68;
const INTERVAL: u8 = 0x70;
const NULL_HIGH: u8 = 0xf0;

impl Packed {
    /// Packs values.
    pub(crate) fn row(values: &[Value]) -> Self {
        let mut bytes = Vec::with_capacity(16 * values.len());
        for value in values {
            encode(value, Direction::ASCENDING, &mut bytes);
        }
        Packed::from_bytes(&bytes)
    }

    /// Takes bytes that [`encode`] wrote.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        Packed(CompactBytes::new(bytes))
    }

    /// The bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The values, all of them ascending.
    ///
    /// # Errors
    /// The bytes were not packed by this module.
    pub(crate) fn values(&self) -> Result<Vec<Value>, NotPacked> {
        let mut rest = self.as_bytes();
        let mut values = Vec::new();
        while !rest.is_empty() {
            values.push(decode(&mut rest, Direction::ASCENDING)?);
        }
        Ok(values)
    }

    /// The row that was packed.
    pub(crate) fn unpack(&self) -> Row {
        self.values()
            .expect("packed by this module, or checked when it was read from the store")
            .into_iter()
            .collect()
    }
}

impl AsRef<[u8]> for Packed {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// The form in which values are one group: Postgres calls 1.0 and 1.00 equal, and 0 and -0.
pub(crate) fn normalised(value: Value) -> Value {
    match value {
        Value::Numeric(decimal) => Value::Numeric(decimal.normalize()),
        Value::Double(double) => Value::Double(OrderedDouble(double.0 + 0.0)),
        other => other,
    }
}

/// Appends a value.
pub(crate) fn encode(value: &Value, direction: Direction, out: &mut Vec<u8>) {
    let start = out.len();
    match value {
        Value::Null => out.push(if direction.nulls_first != direction.descending {
            NULL_LOW
        } else {
            NULL_HIGH
        }),
        Value::Bool(bool) => out.extend([BOOL, u8::from(*bool)]),
        Value::BigInt(int) => tagged(BIGINT, &ordered_i64(*int), out),
        Value::Double(double) => tagged(DOUBLE, &ordered_f64(double.0), out),
        Value::Numeric(decimal) => tagged(NUMERIC, &ordered_decimal(*decimal), out),
        Value::Text(text) => encode_text(text, out),
        Value::TimestampTz(micros) => tagged(TIMESTAMPTZ, &ordered_i64(*micros), out),
        Value::Timestamp(micros) => tagged(TIMESTAMP, &ordered_i64(*micros), out),
        Value::Date(days) => tagged(DATE, &ordered_i64((*days).into()), out),
        Value::Interval(interval) => encode_interval(*interval, out),
    }
    if direction.descending {
        out[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
}

/// Takes one value off the front.
///
/// # Errors
/// The bytes were not written by [`encode`] with the same direction.
pub(crate) fn decode(rest: &mut &[u8], direction: Direction) -> Result<Value, NotPacked> {
    let mask = direction.mask();
    let [tag] = take::<1>(rest, mask)?;
    Ok(match tag {
        NULL_LOW | NULL_HIGH => Value::Null,
        BOOL => Value::Bool(take::<1>(rest, mask)? != [0]),
        BIGINT => Value::BigInt(i64_of(take(rest, mask)?)),
        DOUBLE => Value::Double(OrderedDouble(f64_of(take(rest, mask)?))),
        NUMERIC => Value::Numeric(decimal_of(take(rest, mask)?)?),
        TEXT => Value::Text(decode_text(rest, mask)?),
        TIMESTAMPTZ => Value::TimestampTz(i64_of(take(rest, mask)?)),
        TIMESTAMP => Value::Timestamp(i64_of(take(rest, mask)?)),
        DATE => Value::Date(i32::try_from(i64_of(take(rest, mask)?)).map_err(|_| NotPacked)?),
        INTERVAL => decode_interval(rest, mask)?,
        _ => return Err(NotPacked),
    })
}

fn tagged(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    out.extend_from_slice(bytes);
}

fn take<const N: usize>(rest: &mut &[u8], mask: u8) -> Result<[u8; N], NotPacked> {
    let (bytes, after) = rest.split_first_chunk::<N>().ok_or(NotPacked)?;
    *rest = after;
    Ok(bytes.map(|byte| byte ^ mask))
}

const SIGN: u64 = 1 << 63;

fn ordered_i64(int: i64) -> [u8; 8] {
    (int.cast_unsigned() ^ SIGN).to_be_bytes()
}

fn i64_of(bytes: [u8; 8]) -> i64 {
    (u64::from_be_bytes(bytes) ^ SIGN).cast_signed()
}

fn ordered_f64(double: f64) -> [u8; 8] {
    let bits = if double.is_nan() { f64::NAN } else { double }.to_bits();
    let ordered = if bits & SIGN == 0 { bits | SIGN } else { !bits };
    ordered.to_be_bytes()
}

fn f64_of(bytes: [u8; 8]) -> f64 {
    let ordered = u64::from_be_bytes(bytes);
    f64::from_bits(if ordered & SIGN == 0 {
        !ordered
    } else {
        ordered ^ SIGN
    })
}

/// Text ends in two zero bytes; a zero byte within it (JSON has `\u0000`) is followed by 0xff.
fn encode_text(text: &str, out: &mut Vec<u8>) {
    out.push(TEXT);
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte == 0) {
        out.extend_from_slice(&rest[..=at]);
        out.push(0xff);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.extend([0, 0]);
}

fn decode_text(rest: &mut &[u8], mask: u8) -> Result<Arc<str>, NotPacked> {
    let mut text = Vec::new();
    loop {
        let end = rest
            .iter()
            .position(|byte| *byte == mask)
            .ok_or(NotPacked)?;
        text.extend(rest[..end].iter().map(|byte| byte ^ mask));
        *rest = &rest[end + 1..];
        match take::<1>(rest, mask)? {
            [0] => break,
            [0xff] => text.push(0),
            _ => return Err(NotPacked),
        }
    }
    String::from_utf8(text)
        .map(Arc::from)
        .map_err(|_| NotPacked)
}

/// A sign byte, the magnitude at the scale of 28 in 24 bytes (96 bits times 10^28 are 190 bits), and the scale itself, so that
/// 1.0 and 1.00 are neighbours and both can be read back.
fn ordered_decimal(decimal: Decimal) -> [u8; 26] {
    let mut magnitude = Limbs::from(decimal.mantissa().unsigned_abs());
    (decimal.scale()..Decimal::MAX_SCALE).for_each(|_| magnitude.times_ten());
    let mut bytes = [0; 26];
    bytes[0] = 0x80;
    bytes[1..25].copy_from_slice(&magnitude.to_be_bytes());
    if decimal.mantissa() < 0 {
        bytes[..25].iter_mut().for_each(|byte| *byte = !*byte);
    }
    bytes[25] = u8::try_from(decimal.scale()).expect("a scale is at most 28");
    bytes
}

fn decimal_of(mut bytes: [u8; 26]) -> Result<Decimal, NotPacked> {
    let negative = bytes[0] < 0x80;
    if negative {
        bytes[..25].iter_mut().for_each(|byte| *byte = !*byte);
    }
    let scale = u32::from(bytes[25]);
    let mut magnitude = Limbs::from_be_bytes(&bytes[1..25]);
    (scale..Decimal::MAX_SCALE).for_each(|_| magnitude.divide_by_ten());
    let mantissa = magnitude.to_i128().ok_or(NotPacked)?;
    Decimal::try_from_i128_with_scale(if negative { -mantissa } else { mantissa }, scale)
        .map_err(|_| NotPacked)
}

/// An unsigned number of 192 bits, the lowest limb first.
struct Limbs([u64; 3]);

impl From<u128> for Limbs {
    fn from(number: u128) -> Self {
        Limbs([number as u64, (number >> 64) as u64, 0])
    }
}

impl Limbs {
    fn times_ten(&mut self) {
        let mut carry = 0;
        for limb in &mut self.0 {
            let product = u128::from(*limb) * 10 + carry;
            *limb = product as u64;
            carry = product >> 64;
        }
    }

    fn divide_by_ten(&mut self) {
        let mut remainder = 0;
        for limb in self.0.iter_mut().rev() {
            let dividend = (remainder << 64) | u128::from(*limb);
            *limb = (dividend / 10) as u64;
            remainder = dividend % 10;
        }
    }

    fn to_i128(&self) -> Option<i128> {
        let number = u128::from(self.0[1]) << 64 | u128::from(self.0[0]);
        (self.0[2] == 0).then(|| i128::try_from(number).ok())?
    }

    fn to_be_bytes(&self) -> [u8; 24] {
        let mut bytes = [0; 24];
        for (chunk, limb) in bytes.chunks_exact_mut(8).zip(self.0.iter().rev()) {
            chunk.copy_from_slice(&limb.to_be_bytes());
        }
        bytes
    }

    fn from_be_bytes(bytes: &[u8]) -> Self {
        let mut limbs = [0; 3];
        for (chunk, limb) in bytes.chunks_exact(8).zip(limbs.iter_mut().rev()) {
            *limb = u64::from_be_bytes(chunk.try_into().expect("chunks of eight bytes"));
        }
        Limbs(limbs)
    }
}

const DAY_MICROS: i128 = 24 * 60 * 60 * 1_000_000;

/// Intervals compare with months of 30 days and days of 24 hours; the fields follow, to be read back.
fn encode_interval(interval: Interval, out: &mut Vec<u8>) {
    let days = i128::from(interval.months) * 30 + i128::from(interval.days);
    let span = days * DAY_MICROS + i128::from(interval.micros);
    out.push(INTERVAL);
    out.extend((span.cast_unsigned() ^ (1 << 127)).to_be_bytes());
    out.extend(interval.months.to_be_bytes());
    out.extend(interval.days.to_be_bytes());
    out.extend(interval.micros.to_be_bytes());
}

fn decode_interval(rest: &mut &[u8], mask: u8) -> Result<Value, NotPacked> {
    take::<16>(rest, mask)?;
    Ok(Value::Interval(Interval {
        months: i32::from_be_bytes(take(rest, mask)?),
        days: i32::from_be_bytes(take(rest, mask)?),
        micros: i64::from_be_bytes(take(rest, mask)?),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::BigInt),
            any::<f64>().prop_map(|double| Value::Double(OrderedDouble(double))),
            (any::<i64>(), 0..=28_u32)
                .prop_map(|(mantissa, scale)| Value::Numeric(Decimal::new(mantissa, scale))),
            Just(Value::Numeric(Decimal::MAX)),
            Just(Value::Numeric(Decimal::MIN)),
            "[a-c\u{0}\u{1}ü]{0,4}".prop_map(|text| Value::Text(text.into())),
            any::<i64>().prop_map(Value::TimestampTz),
            any::<i64>().prop_map(Value::Timestamp),
            any::<i32>().prop_map(Value::Date),
            (any::<i32>(), any::<i32>(), any::<i64>()).prop_map(|(months, days, micros)| {
                Value::Interval(Interval {
                    months,
                    days,
                    micros,
                })
            }),
        ]
    }

    fn direction() -> impl Strategy<Value = Direction> {
        (any::<bool>(), any::<bool>()).prop_map(|(descending, nulls_first)| Direction {
            descending,
            nulls_first,
        })
    }

    fn encoded(value: &Value, direction: Direction) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(value, direction, &mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn values_are_read_back(values in prop::collection::vec((value(), direction()), 0..5)) {
            let mut bytes = Vec::new();
            for (value, direction) in &values {
                encode(value, *direction, &mut bytes);
            }
            let mut rest = &*bytes;
            for (value, direction) in &values {
                let back = decode(&mut rest, *direction).unwrap();
                prop_assert_eq!(&back, value);
                // Not only equal: a numeric keeps its scale.
                prop_assert_eq!(format!("{back:?}"), format!("{value:?}"));
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn bytes_order_as_values_do(a in any::<i64>(), b in any::<i64>(), scale in (0..=28_u32, 0..=28_u32),
                                    texts in ("[a-c\u{0}\u{1}ü]{0,4}", "[a-c\u{0}\u{1}ü]{0,4}"), doubles in any::<(f64, f64)>()) {
            let asc = Direction::ASCENDING;
            let desc = Direction { descending: true, nulls_first: true };
            let pairs = [
                (Value::BigInt(a), Value::BigInt(b)),
                (Value::Numeric(Decimal::new(a, scale.0)), Value::Numeric(Decimal::new(b, scale.1))),
                (Value::Text(texts.0.into()), Value::Text(texts.1.into())),
                (Value::Double(OrderedDouble(doubles.0)), Value::Double(OrderedDouble(doubles.1))),
            ];
            for (left, right) in pairs {
                if left != right {
                    prop_assert_eq!(encoded(&left, asc).cmp(&encoded(&right, asc)), left.cmp(&right));
                    prop_assert_eq!(encoded(&left, desc).cmp(&encoded(&right, desc)), right.cmp(&left));
                }
            }
        }

        #[test]
        fn nulls_stand_where_they_were_put(value in value(), direction in direction()) {
            prop_assume!(value != Value::Null);
            let null_is_less = encoded(&Value::Null, direction) < encoded(&value, direction);
            prop_assert_eq!(null_is_less, direction.nulls_first);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = Packed::from_bytes(&bytes).values();
        }
    }
}
