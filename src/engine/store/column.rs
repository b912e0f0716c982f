//! One column of a block: typed in memory, compact and compressed on disk.
//!
//! Columns rather than rows, because a question about the past reads two or three of the twenty-two, and because equal
//! things next to each other compress several times better.

use std::sync::Arc;

use crate::engine::value::{Type, Value};

/// The values of one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Column {
    /// `boolean`
    Bool(Vec<Option<bool>>),
    /// `bigint`, and `timestamptz` as its microseconds.
    Int(Vec<Option<i64>>),
    /// `text`
    Text(Texts),
}

/// Texts one after another; a length of `None` is NULL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Texts {
    lengths: Vec<Option<u32>>,
    bytes: Vec<u8>,
}

/// Stored bytes that are no column: the store is damaged.
#[derive(Debug, thiserror::Error)]
#[error("a stored column cannot be read")]
pub(crate) struct BadColumn;

impl Texts {
    pub(crate) fn push(&mut self, text: Option<&str>) {
        // No line that reaches the engine is as long as four gigabytes; one that were would read as absent.
        let length = text.and_then(|text| u32::try_from(text.len()).ok());
        if let (Some(text), Some(_)) = (text, length) {
            self.bytes.extend_from_slice(text.as_bytes());
        }
        self.lengths.push(length);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Option<&[u8]>> {
        let mut rest = &*self.bytes;
        self.lengths.iter().map(move |length| {
            let (text, after) = rest.split_at((*length)? as usize);
            rest = after;
            Some(text)
        })
    }
}

impl Column {
    /// An empty column of that type.
    pub(crate) fn new(ty: Type) -> Self {
        match ty {
            Type::Bool => Column::Bool(Vec::new()),
            Type::Text => Column::Text(Texts::default()),
            _ => Column::Int(Vec::new()),
        }
    }

    /// Appends all of `other`, which is of the same type.
    pub(crate) fn append(&mut self, other: &Column) {
        match (self, other) {
            (Column::Bool(into), Column::Bool(from)) => into.extend_from_slice(from),
            (Column::Int(into), Column::Int(from)) => into.extend_from_slice(from),
            (Column::Text(into), Column::Text(from)) => {
                into.lengths.extend_from_slice(&from.lengths);
                into.bytes.extend_from_slice(&from.bytes);
            }
            _ => unreachable!("both columns stand at the same place of a block"),
        }
    }

    /// Keeps the rows for which `keep` is true.
    pub(crate) fn retain(&mut self, keep: &[bool]) {
        match self {
            Column::Bool(values) => retain(values, keep),
            Column::Int(values) => retain(values, keep),
            Column::Text(texts) => {
                let mut kept = Texts::default();
                for (text, _) in texts.iter().zip(keep).filter(|(_, keep)| **keep) {
                    kept.bytes.extend_from_slice(text.unwrap_or_default());
                    kept.lengths.push(text.map(|text| text.len() as u32));
                }
                *texts = kept;
            }
        }
    }

    /// The values as queries see them.
    ///
    /// # Errors
    /// A text is not UTF-8: the store is damaged.
    pub(crate) fn values(&self, ty: Type) -> Result<Vec<Value>, BadColumn> {
        Ok(match self {
            Column::Bool(values) => values
                .iter()
                .map(|value| value.map_or(Value::Null, Value::Bool))
                .collect(),
            Column::Int(values) if ty == Type::TimestampTz => values
                .iter()
                .map(|value| value.map_or(Value::Null, Value::TimestampTz))
                .collect(),
            Column::Int(values) => values
                .iter()
                .map(|value| value.map_or(Value::Null, Value::BigInt))
                .collect(),
            Column::Text(texts) => {
                let mut recent = Recent::default();
                texts
                    .iter()
                    .map(|text| {
                        text.map_or(Ok(Value::Null), |text| recent.share(text).map(Value::Text))
                    })
                    .collect::<Result<_, _>>()?
            }
        })
    }

    /// The column in its stored form, uncompressed.
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Column::Bool(values) => values
                .iter()
                .map(|value| value.map_or(2, u8::from))
                .collect(),
            Column::Int(values) => {
                let (mut bytes, mut last) = (Vec::new(), 0);
                for value in values {
                    put_varint(value.map_or(0, |value| 1 + zigzag(value, last)), &mut bytes);
                    last = value.unwrap_or(last);
                }
                bytes
            }
            Column::Text(texts) => {
                let mut bytes = Vec::with_capacity(texts.bytes.len() + 2 * texts.lengths.len());
                for length in &texts.lengths {
                    put_varint(
                        length.map_or(0, |length| 1 + u128::from(length)),
                        &mut bytes,
                    );
                }
                bytes.extend_from_slice(&texts.bytes);
                bytes
            }
        }
    }

    /// Reads the stored form of `rows` values back.
    ///
    /// # Errors
    /// The bytes are not what [`Column::encode`] wrote.
    pub(crate) fn decode(mut bytes: &[u8], ty: Type, rows: usize) -> Result<Self, BadColumn> {
        let column = match ty {
            Type::Bool => Column::Bool(
                bytes
                    .iter()
                    .map(|byte| {
                        [Some(false), Some(true), None]
                            .get(usize::from(*byte))
                            .copied()
                    })
                    .collect::<Option<_>>()
                    .ok_or(BadColumn)?,
            ),
            Type::Text => {
                let mut texts = Texts::default();
                for _ in 0..rows {
                    let length = take_varint(&mut bytes)?.checked_sub(1);
                    let length = length.map(u32::try_from).transpose();
                    texts.lengths.push(length.map_err(|_| BadColumn)?);
                }
                texts.bytes = bytes.to_vec();
                let total: usize = texts
                    .lengths
                    .iter()
                    .flatten()
                    .map(|len| *len as usize)
                    .sum();
                (total == bytes.len()).then_some(()).ok_or(BadColumn)?;
                Column::Text(texts)
            }
            _ => {
                let (mut values, mut last) = (Vec::with_capacity(rows), 0);
                for _ in 0..rows {
                    let value = match take_varint(&mut bytes)?.checked_sub(1) {
                        Some(zigzagged) => Some(unzigzag(zigzagged, last)?),
                        None => None,
                    };
                    last = value.unwrap_or(last);
                    values.push(value);
                }
                Column::Int(values)
            }
        };
        (column.len() == rows).then_some(column).ok_or(BadColumn)
    }

    fn len(&self) -> usize {
        match self {
            Column::Bool(values) => values.len(),
            Column::Int(values) => values.len(),
            Column::Text(texts) => texts.lengths.len(),
        }
    }
}

fn retain<T>(values: &mut Vec<T>, keep: &[bool]) {
    let mut keep = keep.iter();
    values.retain(|_| keep.next().is_some_and(|keep| *keep));
}

/// The texts seen last, by a cheap hash: wikis, types and busy editors repeat within a block, and are then shared.
struct Recent(Vec<Option<Arc<str>>>);

/// Some thousands of pointers: larger than the number of wikis, small enough for a processor's cache.
const RECENT_TEXTS: usize = 2048;

impl Default for Recent {
    fn default() -> Self {
        Recent(vec![None; RECENT_TEXTS])
    }
}

impl Recent {
    fn share(&mut self, text: &[u8]) -> Result<Arc<str>, BadColumn> {
        let hash = text.iter().take(24).fold(text.len() as u64, |hash, byte| {
            (hash ^ u64::from(*byte))
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(23)
        });
        let slot = &mut self.0[(hash >> 7) as usize % RECENT_TEXTS];
        if let Some(known) = slot.as_ref().filter(|known| known.as_bytes() == text) {
            return Ok(known.clone());
        }
        let shared: Arc<str> = std::str::from_utf8(text).map_err(|_| BadColumn)?.into();
        *slot = Some(shared.clone());
        Ok(shared)
    }
}

/// The difference to the value before: identifiers and times grow by little.
fn zigzag(value: i64, last: i64) -> u128 {
    let delta = i128::from(value) - i128::from(last);
    ((delta << 1) ^ (delta >> 127)).cast_unsigned()
}

fn unzigzag(zigzagged: u128, last: i64) -> Result<i64, BadColumn> {
    let delta = (zigzagged >> 1).cast_signed() ^ -(zigzagged & 1).cast_signed();
    i64::try_from(i128::from(last).checked_add(delta).ok_or(BadColumn)?).map_err(|_| BadColumn)
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
pub(crate) fn put_varint(mut number: u128, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes a number off the front.
///
/// # Errors
/// It does not end, or is longer than 128 bits.
pub(crate) fn take_varint(bytes: &mut &[u8]) -> Result<u128, BadColumn> {
    let mut number = 0;
    for shift in (0..126).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(BadColumn)?;
        *bytes = rest;
        number |= u128::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(BadColumn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn column() -> impl Strategy<Value = (Type, Column)> {
        prop_oneof![
            prop::collection::vec(any::<Option<bool>>(), 0..20)
                .prop_map(|values| (Type::Bool, Column::Bool(values))),
            prop::collection::vec(any::<Option<i64>>(), 0..20)
                .prop_map(|values| (Type::BigInt, Column::Int(values))),
            prop::collection::vec(any::<Option<String>>(), 0..20).prop_map(|values| {
                let mut texts = Texts::default();
                values.iter().for_each(|text| texts.push(text.as_deref()));
                (Type::Text, Column::Text(texts))
            }),
        ]
    }

    proptest! {
        #[test]
        fn a_column_is_read_back((ty, column) in column()) {
            let back = Column::decode(&column.encode(), ty, column.len()).unwrap();
            prop_assert_eq!(back, column);
        }

        #[test]
        fn appending_and_retaining_are_those_of_the_values((ty, column) in column(), keep in prop::collection::vec(any::<bool>(), 40)) {
            let mut both = column.clone();
            both.append(&column);
            let values = column.values(ty).unwrap();
            let twice: Vec<Value> = values.iter().chain(&values).cloned().collect();
            prop_assert_eq!(both.values(ty).unwrap(), twice.clone());
            both.retain(&keep);
            let kept: Vec<Value> = twice.into_iter().zip(&keep).filter(|(_, keep)| **keep).map(|(value, _)| value).collect();
            prop_assert_eq!(both.values(ty).unwrap(), kept);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), rows in 0..10_usize) {
            for ty in [Type::Bool, Type::BigInt, Type::Text] {
                if let Ok(column) = Column::decode(&bytes, ty, rows) {
                    let _ = column.values(ty);
                }
            }
        }
    }
}
