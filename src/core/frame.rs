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

/// What a view holds: the sum of its frames.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// When the state last changed, in milliseconds since the epoch.
    pub timestamp_ms: u64,
    /// The rows and how often each is there.
    pub rows: Arc<BTreeMap<Row, NonZeroU64>>,
}
