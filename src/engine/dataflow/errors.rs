//! The errors of one query: evaluation fails for a row or a group, and with it the query, but nothing else.
//!
//! An error is counted like a row: it goes when the row that caused it goes, and then the query can be read again. In an
//! aggregate over all time a row never goes; its error goes when the change leaves the retained window, and at a restart.

use std::collections::BTreeMap;

use crate::engine::error::SqlError;

/// Errors and how many rows have each.
#[derive(Debug, Default)]
pub(super) struct Errors(BTreeMap<String, (SqlError, i64)>);

impl Errors {
    pub(super) fn update(&mut self, error: SqlError, diff: i64) {
        let key = error.message.clone();
        let count = &mut self.0.entry(key.clone()).or_insert((error, 0)).1;
        *count += diff;
        if *count == 0 {
            self.0.remove(&key);
        }
    }

    /// One of the errors that rows have now.
    pub(super) fn first(&self) -> Option<SqlError> {
        self.0
            .values()
            .find(|(_, count)| *count > 0)
            .map(|(error, _)| error.clone())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
