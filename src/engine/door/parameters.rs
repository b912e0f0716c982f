//! A statement's parameters: their types as clients name them, and their values in text or binary form.

use bytes::{Buf, Bytes};

use super::encoding::{Format, POSTGRES_EPOCH_DAYS, POSTGRES_EPOCH_MICROS, oid_of};
use crate::engine::error::{SqlError, SqlState};
use crate::engine::value::{Interval, Type, Value};

/// A parameter's value and type.
pub(crate) type Parameter = (Value, Type);

/// The engine's types of parameters that a client has declared by number; 0 and `unknown` are left to the statement.
pub(crate) fn known(oids: &[u32]) -> Result<Vec<Option<Type>>, SqlError> {
    oids.iter()
        .map(|oid| match oid {
            0 | 705 => Ok(None),
            oid => type_of(*oid).map(Some),
        })
        .collect()
}

/// The numbers to tell the client: its own where it gave one, the statement's otherwise.
pub(crate) fn oids(declared: &[u32], types: &[Option<Type>]) -> Vec<u32> {
    let oid = |(at, ty): (usize, &Option<Type>)| match declared.get(at) {
        None | Some(0 | 705) => oid_of(ty.unwrap_or(Type::Text)),
        Some(oid) => *oid,
    };
    types.iter().enumerate().map(oid).collect()
}

/// The engine's type for a number in pg_type.
fn type_of(oid: u32) -> Result<Type, SqlError> {
    Ok(match oid {
        16 => Type::Bool,
        20 | 21 | 23 | 26 => Type::BigInt,
        18 | 19 | 25 | 114 | 705 | 1042 | 1043 | 2950 | 3802 => Type::Text,
        700 | 701 => Type::Double,
        1082 => Type::Date,
        1114 => Type::Timestamp,
        1184 => Type::TimestampTz,
        1186 => Type::Interval,
        1700 => Type::Numeric,
        other => {
            return Err(SqlError::unsupported(format!(
                "a parameter of type {other}"
            )));
        }
    })
}

/// The values that a Bind brings.
pub(crate) fn bound(
    oids: &[u32],
    values: &[Option<Bytes>],
    formats: &[Format],
) -> Result<Vec<Parameter>, SqlError> {
    check_count(values.len(), oids.len())?;
    oids.iter()
        .zip(values)
        .enumerate()
        .map(|(at, (oid, bytes))| {
            let ty = type_of(*oid)?;
            let Some(bytes) = bytes else {
                return Ok((Value::Null, ty));
            };
            let text = match Format::of(formats, at) {
                Format::Text => utf8(bytes.clone())?,
                Format::Binary => binary_text(*oid, bytes.clone())?,
            };
            Ok((Value::parse(&text, ty)?, ty))
        })
        .collect()
}

/// The values that an EXECUTE brings.
pub(crate) fn typed(values: Vec<Value>, oids: &[u32]) -> Result<Vec<Parameter>, SqlError> {
    check_count(values.len(), oids.len())?;
    values
        .into_iter()
        .zip(oids)
        .map(|(value, oid)| {
            let ty = type_of(*oid)?;
            let value = match value.text() {
                Some(text) => Value::parse(&text, ty)?,
                None => Value::Null,
            };
            Ok((value, ty))
        })
        .collect()
}

fn check_count(given: usize, wanted: usize) -> Result<(), SqlError> {
    if given == wanted {
        return Ok(());
    }
    Err(SqlError::new(
        SqlState::ProtocolViolation,
        format!("{given} parameters are given, but the statement takes {wanted}"),
    ))
}

fn utf8(bytes: Bytes) -> Result<String, SqlError> {
    String::from_utf8(bytes.into())
        .map_err(|_| SqlError::new(SqlState::CharacterNotInRepertoire, "parameter is not UTF-8"))
}

/// The text of a parameter that came in binary form, as the type that the client declared or was told would write it.
fn binary_text(oid: u32, mut bytes: Bytes) -> Result<String, SqlError> {
    let malformed = || {
        SqlError::new(
            SqlState::InvalidBinaryRepresentation,
            format!("binary parameter of type {oid} is malformed"),
        )
    };
    let fixed = |length: usize| {
        if bytes.len() == length {
            Ok(())
        } else {
            Err(malformed())
        }
    };
    let of = |value: Value| value.text().unwrap_or_default().into_owned();
    match oid {
        16 => fixed(1).map(|()| of(Value::Bool(bytes[0] != 0))),
        20 => fixed(8).map(|()| bytes.get_i64().to_string()),
        21 => fixed(2).map(|()| bytes.get_i16().to_string()),
        23 => fixed(4).map(|()| bytes.get_i32().to_string()),
        26 => fixed(4).map(|()| bytes.get_u32().to_string()),
        700 => fixed(4).map(|()| f64::from(bytes.get_f32()).to_string()),
        701 => fixed(8).map(|()| bytes.get_f64().to_string()),
        1082 => fixed(4).map(|()| {
            let days = bytes.get_i32().saturating_add(POSTGRES_EPOCH_DAYS);
            of(Value::Date(days))
        }),
        1186 => fixed(16).map(|()| {
            let (micros, days, months) = (bytes.get_i64(), bytes.get_i32(), bytes.get_i32());
            of(Value::Interval(Interval {
                months,
                days,
                micros,
            }))
        }),
        2950 => fixed(16).map(|()| uuid_text(bytes.get_u128())),
        1114 | 1184 => fixed(8).map(|()| {
            let micros = bytes.get_i64().saturating_add(POSTGRES_EPOCH_MICROS);
            of(match oid {
                1114 => Value::Timestamp(micros),
                _ => Value::TimestampTz(micros),
            })
        }),
        1700 => numeric_text(&mut bytes).ok_or_else(malformed),
        3802 if bytes.first() == Some(&1) => utf8(bytes.split_off(1)),
        0 | 18 | 19 | 25 | 114 | 705 | 1042 | 1043 => utf8(bytes),
        other => Err(SqlError::unsupported(format!(
            "a binary parameter of type {other}"
        ))),
    }
}

/// The canonical form of a UUID.
fn uuid_text(uuid: u128) -> String {
    let digits = format!("{uuid:032x}");
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32];
    groups.map(|group| &digits[group]).join("-")
}

fn numeric_text(bytes: &mut Bytes) -> Option<String> {
    if bytes.len() < 8 {
        return None;
    }
    let (count, weight) = (usize::from(bytes.get_u16()), bytes.get_i16());
    let (sign, scale) = (bytes.get_u16(), usize::from(bytes.get_u16()));
    if bytes.len() != count * 2 || scale > 1_000 || !(-250..=250).contains(&weight) {
        return None;
    }
    let digits: Vec<u16> = (0..count).map(|_| bytes.get_u16()).collect();
    let digit_at = |at: i32| {
        usize::try_from(i32::from(weight) - at)
            .ok()
            .and_then(|at| digits.get(at))
            .copied()
            .unwrap_or(0)
    };
    let whole: String = (0..=i32::from(weight).max(0))
        .rev()
        .map(|at| format!("{:04}", digit_at(at)))
        .collect();
    let fraction: String = (1..=scale.div_ceil(4) as i32)
        .map(|at| format!("{:04}", digit_at(-at)))
        .collect();
    let sign = match sign {
        0 => "",
        0x4000 => "-",
        _ => return None,
    };
    if digits.iter().any(|digit| *digit > 9_999) {
        return None;
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    Some(match scale {
        0 => format!("{sign}{whole}"),
        scale => format!("{sign}{whole}.{}", &fraction[..scale]),
    })
}

#[cfg(test)]
mod tests {
    use super::super::encoding::numeric;
    use super::*;
    use bytes::BytesMut;
    use proptest::prelude::*;
    use rust_decimal::Decimal;

    #[test]
    fn binary_forms_mean_what_their_text_means() {
        let interval = [
            &3_723_000_000_i64.to_be_bytes()[..],
            &2_i32.to_be_bytes(),
            &14_i32.to_be_bytes(),
        ]
        .concat();
        let table: [(u32, &[u8], &str); 8] = [
            (16, &[1], "t"),
            (21, &(-5_i16).to_be_bytes(), "-5"),
            (26, &u32::MAX.to_be_bytes(), "4294967295"),
            (1082, &9_000_i32.to_be_bytes(), "2024-08-22"),
            (1184, &0_i64.to_be_bytes(), "2000-01-01 00:00:00+00"),
            (1186, &interval, "1 year 2 mons 2 days 01:02:03"),
            (
                2950,
                &0x0123_4567_89ab_cdef_0123_4567_89ab_cdef_u128.to_be_bytes(),
                "01234567-89ab-cdef-0123-456789abcdef",
            ),
            (3802, b"\x01{}", "{}"),
        ];
        for (oid, bytes, text) in table {
            let bytes = Bytes::copy_from_slice(bytes);
            assert_eq!(binary_text(oid, bytes).unwrap(), text, "{oid}");
        }
        assert!(binary_text(20, Bytes::from_static(b"1234567")).is_err());
    }

    proptest! {
        #[test]
        fn numerics_survive_the_round_trip(mantissa in -(1_i128 << 95)..(1_i128 << 95), scale in 0_u32..28) {
            let decimal = Decimal::from_i128_with_scale(mantissa, scale);
            let mut bytes = BytesMut::new();
            numeric(&mut bytes, decimal.mantissa(), decimal.scale());
            let text = binary_text(1700, bytes.freeze()).unwrap();
            prop_assert_eq!(text.parse::<Decimal>().unwrap(), decimal);
        }

        #[test]
        fn no_parameter_makes_it_panic(
            oid in prop::sample::select(vec![0_u32, 16, 20, 21, 23, 25, 26, 700, 701, 1082, 1114, 1184, 1186, 1700, 2950, 3802, 9999]),
            bytes in prop::collection::vec(any::<u8>(), 0..24),
            format in prop::sample::select(vec![Format::Text, Format::Binary]),
        ) {
            let _ = bound(&[oid], &[Some(bytes.into())], &[format]);
        }
    }
}
