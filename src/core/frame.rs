//! Rows, frames and the state that frames add up to.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;

use crate::copy_text::{self, DecodeError};

/// One row as the engine wrote it: its columns in COPY text form, without the newline.
///
/// Equal rows have equal bytes, because an engine has one way of writing a value; so rows are gathered, compared and shared
/// without being decoded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Row(Bytes);

impl Row {
    /// A row from COPY text.
    ///
    /// # Errors
    /// A column that cannot be decoded: whoever holds a row can read it.
    pub fn from_copy_text(text: Bytes) -> Result<Self, DecodeError> {
        copy_text::columns(&text).try_for_each(|raw| copy_text::decode_column(raw).map(drop))?;
        Ok(Row(text))
    }

    /// The row's columns; `None` is NULL.
    pub fn columns(&self) -> impl Iterator<Item = Option<Cow<'_, str>>> {
        copy_text::columns(&self.0)
            .map(|raw| copy_text::decode_column(raw).expect("checked when the row was made"))
    }

    /// The row in COPY text form.
    pub fn as_copy_text(&self) -> &[u8] {
        &self.0
    }
}

/// One column of a view, as the engine describes it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, by the name that SQL gives it: `text`, `bigint`, `boolean`, `timestamp with time zone`, ...
    #[serde(rename = "type")]
    pub ty: String,
}

/// All changes of a view at one time, consolidated: a row stands in `deleted` or in `inserted`, never in both.
///
/// A row that is there several times stands there several times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Milliseconds since the epoch.
    pub timestamp_ms: u64,
    /// Rows that went.
    pub deleted: Vec<Row>,
    /// Rows that came.
    pub inserted: Vec<Row>,
}

impl Frame {
    /// Several frames as one, of the last one's time: what came and went in between is not in it.
    pub fn net<'a>(frames: impl IntoIterator<Item = &'a Frame>) -> Frame {
        let mut changes: BTreeMap<&'a Row, i64> = BTreeMap::new();
        let mut net = Frame {
            timestamp_ms: 0,
            deleted: Vec::new(),
            inserted: Vec::new(),
        };
        for frame in frames {
            net.timestamp_ms = frame.timestamp_ms;
            for row in &frame.deleted {
                *changes.entry(row).or_default() -= 1;
            }
            for row in &frame.inserted {
                *changes.entry(row).or_default() += 1;
            }
        }
        for (row, times) in changes {
            let side = if times < 0 {
                &mut net.deleted
            } else {
                &mut net.inserted
            };
            let times = usize::try_from(times.unsigned_abs()).unwrap_or(usize::MAX);
            side.extend(std::iter::repeat_n(row.clone(), times));
        }
        net
    }
}

/// What a view holds: the sum of its frames.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// When the state last changed, in milliseconds since the epoch.
    pub timestamp_ms: u64,
    /// The rows and how often each is there.
    pub rows: Arc<BTreeMap<Row, NonZeroU64>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(texts: &[&'static str]) -> Vec<Row> {
        let row = |text: &&'static str| Row::from_copy_text(Bytes::from_static(text.as_bytes()));
        texts.iter().map(|text| row(text).unwrap()).collect()
    }

    fn frame(timestamp_ms: u64, deleted: &[&'static str], inserted: &[&'static str]) -> Frame {
        Frame {
            timestamp_ms,
            deleted: rows(deleted),
            inserted: rows(inserted),
        }
    }

    #[test]
    fn the_net_of_frames_is_what_is_left_of_them() {
        let frames = [
            frame(1, &["a\t1"], &["a\t2", "twice", "twice"]),
            frame(2, &["a\t2"], &["a\t3"]),
            frame(5, &["twice", "gone"], &["a\t1"]),
        ];
        let net = Frame::net(&frames);
        assert_eq!(net, frame(5, &["gone"], &["a\t3", "twice"]));
    }
}
