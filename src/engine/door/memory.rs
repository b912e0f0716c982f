//! What clients make the door keep: messages that are not yet whole, documents of batches that have not ended, prepared
//! statements and portals. Each has a bound of its own; here is the bound on all of them together.

use std::sync::Arc;

use crate::engine::budget::{Budget, Share};
use crate::engine::error::{SqlError, SqlState};
use crate::engine::sql::TOKENS_MAX;

/// What all sessions together may make the door keep: eight of the largest batches. What would exceed it is refused with
/// 53200, which ends the statement, or the session if a message cannot be taken in at all; ingesters retry that.
const MEMORY_BYTES_MAX: usize = 512 << 20;

/// What is kept for each token of a statement: its part of the syntax tree and of the plan. A token has a byte at least.
const TOKEN_BYTES: usize = 64;

/// Kept memory grows by steps of this size, so that counting it costs nothing.
const STEP_BYTES: usize = 64 << 10;

/// The memory that all sessions share.
#[derive(Debug, Clone)]
pub(crate) struct Memory(Arc<Budget>);

/// A session's part of it, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Kept(Share);

impl Default for Memory {
    fn default() -> Self {
        Memory::of(MEMORY_BYTES_MAX)
    }
}

impl Memory {
    /// So much for all.
    pub(crate) fn of(bytes_max: usize) -> Memory {
        Memory(Budget::new(bytes_max))
    }

    /// Nothing yet.
    pub(crate) fn nothing(&self) -> Kept {
        Kept(self.0.share())
    }

    /// Keeps what was made of a statement's text.
    ///
    /// # Errors
    /// 53200
    pub(crate) fn statement(&self, text: &str) -> Result<Kept, SqlError> {
        let mut kept = self.nothing();
        kept.exactly(text.len() + text.len().min(TOKENS_MAX) * TOKEN_BYTES)?;
        Ok(kept)
    }
}

impl Kept {
    /// How much is kept.
    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes()
    }

    /// Keeps at least `bytes`.
    ///
    /// # Errors
    /// 53200
    pub(crate) fn at_least(&mut self, bytes: usize) -> Result<(), SqlError> {
        if bytes <= self.0.bytes() {
            return Ok(());
        }
        self.exactly(bytes.next_multiple_of(STEP_BYTES))
    }

    /// Keeps `bytes`, no more.
    ///
    /// # Errors
    /// 53200
    pub(crate) fn exactly(&mut self, bytes: usize) -> Result<(), SqlError> {
        self.0.resize(bytes).map_err(|_| {
            let message = "out of memory: too much is kept for all sessions together";
            SqlError::new(SqlState::OutOfMemory, message)
                .hint("Try again when others are done, or send less at a time.")
        })
    }
}
