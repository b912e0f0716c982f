//! Values on the wire: which PostgreSQL types the engine's types are, and their binary forms.
//! The text form is the value's own ([`Value::text`]).

use std::sync::Arc;

use bytes::{BufMut, BytesMut};

use super::backend::{Outbox, patched};
use super::copy_syntax::Syntax;
use crate::copy_text;
use crate::engine::error::{SqlError, SqlState};
use crate::engine::sql::CopyOptions;
use crate::engine::value::{Column, Row, Type, Value};

/// Microseconds from 1970 to 2000, where PostgreSQL's binary time stamps begin.
pub(crate) const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Days from 1970 to 2000.
pub(crate) const POSTGRES_EPOCH_DAYS: i32 = 10_957;

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// Its type.
    pub(crate) ty: FieldType,
}

/// The type of a column of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldType {
    /// One of the engine's.
    Value(Type),
    /// `mz_timestamp`: `numeric(39,0)`, as Materialize describes it.
    Timestamp,
}

/// The form of a value on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// As people read it.
    Text = 0,
    /// As PostgreSQL's types send it.
    Binary = 1,
}

impl Format {
    /// The formats that a Bind asks for: none is text, one is for all.
    pub(crate) fn list(codes: &[i16]) -> Result<Vec<Format>, SqlError> {
        let format = |code: &i16| match code {
            0 => Ok(Format::Text),
            1 => Ok(Format::Binary),
            other => Err(SqlError::new(
                SqlState::ProtocolViolation,
                format!("format code {other} is unknown"),
            )),
        };
        codes.iter().map(format).collect()
    }

    /// The format of one column.
    pub(crate) fn of(formats: &[Format], at: usize) -> Format {
        match formats {
            [] => Format::Text,
            [all] => *all,
            each => each.get(at).copied().unwrap_or(Format::Text),
        }
    }
}

impl Field {
    /// A column of text.
    pub(crate) fn text(name: &str) -> Field {
        Field {
            name: name.into(),
            ty: FieldType::Value(Type::Text),
        }
    }

    /// A column of truth values.
    pub(crate) fn bool(name: &str) -> Field {
        Field {
            name: name.into(),
            ty: FieldType::Value(Type::Bool),
        }
    }

    /// The columns of a query's result.
    pub(crate) fn of_columns(columns: &[Column]) -> Vec<Field> {
        let field = |column: &Column| Field {
            name: column.name.clone(),
            ty: FieldType::Value(column.ty),
        };
        columns.iter().map(field).collect()
    }
}

impl FieldType {
    /// The number of the type in pg_type.
    pub(crate) fn oid(self) -> u32 {
        match self {
            FieldType::Value(ty) => oid_of(ty),
            FieldType::Timestamp => oid_of(Type::Numeric),
        }
    }

    /// How many bytes its binary form takes; -1 varies.
    pub(crate) fn size(self) -> i16 {
        match self {
            FieldType::Value(Type::Bool) => 1,
            FieldType::Value(Type::Date) => 4,
            FieldType::Value(Type::BigInt | Type::Double | Type::TimestampTz | Type::Timestamp) => {
                8
            }
            FieldType::Value(Type::Interval) => 16,
            FieldType::Value(Type::Text | Type::Numeric) | FieldType::Timestamp => -1,
        }
    }

    /// Precision and scale, for `numeric(39,0)`.
    pub(crate) fn modifier(self) -> i32 {
        match self {
            FieldType::Value(_) => -1,
            FieldType::Timestamp => (39 << 16) + 4,
        }
    }
}

/// The number of a type in pg_type.
pub(crate) fn oid_of(ty: Type) -> u32 {
    match ty {
        Type::Bool => 16,
        Type::BigInt => 20,
        Type::Text => 25,
        Type::Double => 701,
        Type::Date => 1082,
        Type::Timestamp => 1114,
        Type::TimestampTz => 1184,
        Type::Interval => 1186,
        Type::Numeric => 1700,
    }
}

/// Writes one row's columns for a DataRow message.
pub(crate) fn data_row(bytes: &mut BytesMut, row: &Row, formats: &[Format]) {
    let values = row.values();
    bytes.put_i16(values.len() as i16);
    for (at, value) in values.iter().enumerate() {
        column(bytes, value, Format::of(formats, at));
    }
}

/// Writes one column with its length before it.
pub(crate) fn column(bytes: &mut BytesMut, value: &Value, format: Format) {
    if *value == Value::Null {
        bytes.put_i32(-1);
        return;
    }
    patched(bytes, 0, |bytes| match format {
        Format::Text => bytes.put_slice(value.text().unwrap_or_default().as_bytes()),
        Format::Binary => binary(bytes, value),
    });
}

fn binary(bytes: &mut BytesMut, value: &Value) {
    match value {
        Value::Null => {}
        Value::Bool(bool) => bytes.put_u8(u8::from(*bool)),
        Value::BigInt(int) => bytes.put_i64(*int),
        Value::Double(double) => bytes.put_f64(double.0),
        Value::Numeric(decimal) => numeric(bytes, decimal.mantissa(), decimal.scale()),
        Value::Text(text) => bytes.put_slice(text.as_bytes()),
        Value::TimestampTz(micros) | Value::Timestamp(micros) => {
            bytes.put_i64(micros.saturating_sub(POSTGRES_EPOCH_MICROS));
        }
        Value::Date(days) => bytes.put_i32(days.saturating_sub(POSTGRES_EPOCH_DAYS)),
        Value::Interval(interval) => {
            bytes.put_i64(interval.micros);
            bytes.put_i32(interval.days);
            bytes.put_i32(interval.months);
        }
    }
}

/// A numeric's binary form: digits of base 10,000, the weight of the first, sign and scale.
pub(crate) fn numeric(bytes: &mut BytesMut, mantissa: i128, scale: u32) {
    const BASE: u128 = 10_000;
    const NEGATIVE: u16 = 0x4000;
    let fraction_digits = scale.div_ceil(4);
    let mut rest = mantissa.unsigned_abs();
    let mut digits = Vec::new();
    let padding = fraction_digits * 4 - scale;
    if padding > 0 {
        let unit = 10_u128.pow(4 - padding);
        digits.push((rest % unit * 10_u128.pow(padding)) as u16);
        rest /= unit;
    }
    while rest > 0 {
        digits.push((rest % BASE) as u16);
        rest /= BASE;
    }
    while digits.last() == Some(&0) {
        digits.pop();
    }
    let weight = digits.len() as i32 - fraction_digits as i32 - 1;
    let trailing = digits.iter().take_while(|digit| **digit == 0).count();
    let digits = &digits[trailing..];
    bytes.put_u16(digits.len() as u16);
    bytes.put_i16(if digits.is_empty() { 0 } else { weight as i16 });
    bytes.put_u16(if mantissa < 0 { NEGATIVE } else { 0 });
    bytes.put_u16(scale as u16);
    for digit in digits.iter().rev() {
        bytes.put_u16(*digit);
    }
}

/// One line of `COPY ... TO STDOUT`, written column by column; its buffer is used again for the next line.
#[derive(Debug)]
pub(crate) struct Line {
    syntax: Syntax,
    bytes: Vec<u8>,
    columns: usize,
}

impl Line {
    /// Lines in the form that the options ask for.
    pub(crate) fn new(options: &CopyOptions) -> Result<Line, SqlError> {
        Ok(Line {
            syntax: Syntax::new(options, "COPY TO STDOUT")?,
            bytes: Vec::new(),
            columns: 0,
        })
    }

    /// Appends a column.
    pub(crate) fn put(&mut self, value: &Value) {
        let (Syntax::Text { delimiter, null }
        | Syntax::Csv {
            delimiter, null, ..
        }) = &self.syntax;
        if self.columns > 0 {
            self.bytes.push(*delimiter);
        }
        self.columns += 1;
        let Some(text) = value.text() else {
            self.bytes.extend_from_slice(null);
            return;
        };
        match &self.syntax {
            Syntax::Text { delimiter, .. } => {
                let start = self.bytes.len();
                copy_text::encode_column(&mut self.bytes, Some(&text));
                // A tab is escaped already; another delimiter is not.
                if *delimiter != b'\t' && self.bytes[start..].contains(delimiter) {
                    let column = self.bytes.split_off(start);
                    for byte in column {
                        if byte == *delimiter {
                            self.bytes.push(b'\\');
                        }
                        self.bytes.push(byte);
                    }
                }
            }
            Syntax::Csv {
                delimiter,
                quote,
                escape,
                null,
            } => {
                let special = [*delimiter, *quote, b'\n', b'\r'];
                let needs_quotes = text.as_bytes() == null.as_slice()
                    || &*text == "\\."
                    || text.bytes().any(|byte| special.contains(&byte));
                if !needs_quotes {
                    self.bytes.extend_from_slice(text.as_bytes());
                    return;
                }
                self.bytes.push(*quote);
                for byte in text.bytes() {
                    if byte == *quote || byte == *escape {
                        self.bytes.push(*escape);
                    }
                    self.bytes.push(byte);
                }
                self.bytes.push(*quote);
            }
        }
    }

    /// Ends the line and sends it.
    pub(crate) fn send(&mut self, out: &mut Outbox) {
        self.bytes.push(b'\n');
        out.copy_row(|bytes| bytes.put_slice(&self.bytes));
        self.bytes.clear();
        self.columns = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_decimal::Decimal;

    #[test]
    fn the_time_of_a_change_is_encoded_as_materialize_does() {
        let mut bytes = BytesMut::new();
        numeric(&mut bytes, 1_795_330_294_841, 0);
        assert_eq!(
            bytes[..],
            b"\x00\x04\x00\x03\x00\x00\x00\x00\x00\x01\x1f\x11\x0b\xd5\x12\xe9"[..]
        );
    }

    #[test]
    fn numerics_as_postgres_writes_them() {
        let table: [(&str, &[u16]); 6] = [
            ("0", &[0, 0, 0, 0]),
            ("0.00", &[0, 0, 0, 2]),
            ("1.5", &[2, 0, 0, 1, 1, 5_000]),
            ("-12345.678", &[3, 1, 0x4000, 3, 1, 2_345, 6_780]),
            ("10000", &[1, 1, 0, 0, 1]),
            ("0.00001", &[1, 0xfffe, 0, 5, 1_000]),
        ];
        for (text, words) in table {
            let decimal: Decimal = text.parse().unwrap();
            let mut bytes = BytesMut::new();
            numeric(&mut bytes, decimal.mantissa(), decimal.scale());
            let expected: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            assert_eq!(bytes[..], expected[..], "{text}");
        }
    }
}
