//! The rows of a query, once: what a SELECT, a cursor or a portal gives out.

use super::memory::Kept;
use crate::engine::feed::Held;
use crate::engine::value::Row;

/// Rows on their way to a client, and what they are counted as.
#[derive(Debug)]
pub(crate) struct Answer {
    rows: std::vec::IntoIter<Row>,
    _held: Option<Held>,
    _kept: Option<Kept>,
}

impl Answer {
    /// Rows that are shared with the engine.
    pub(crate) fn held(rows: Vec<Row>, held: Held) -> Answer {
        Answer {
            rows: rows.into_iter(),
            _held: Some(held),
            _kept: None,
        }
    }

    /// Rows that are the session's own.
    pub(crate) fn kept(rows: Vec<Row>, kept: Kept) -> Answer {
        Answer {
            rows: rows.into_iter(),
            _held: None,
            _kept: Some(kept),
        }
    }

    /// The next row.
    pub(crate) fn next(&mut self) -> Option<Row> {
        self.rows.next()
    }

    /// There is no next row.
    pub(crate) fn is_over(&self) -> bool {
        self.rows.len() == 0
    }
}
