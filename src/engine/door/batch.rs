//! Documents on their way to the engine: checked, gathered, bounded.

use bytes::Bytes;
use serde::de::IgnoredAny;

use super::memory::{Kept, Memory};
use crate::engine::error::{SqlError, SqlState};

/// The longest document: the largest changes seen are a few kilobytes, and nothing documents a maximum. A longer one is
/// refused (54000), so that one row cannot fill the memory.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 1 << 20;

/// The largest COPY, and the most that a transaction may gather: some 50,000 changes, which is one transaction on disk. A larger
/// one is refused (54000): send several.
pub(crate) const BATCH_BYTES_MAX: usize = 64 << 20;

/// Documents gathered for one batch, within [`BATCH_BYTES_MAX`].
#[derive(Debug)]
pub(crate) struct Batch {
    documents: Vec<Bytes>,
    bytes: usize,
    kept: Kept,
}

impl Batch {
    /// No documents yet.
    pub(crate) fn new(memory: &Memory) -> Batch {
        Batch {
            documents: Vec::new(),
            bytes: 0,
            kept: memory.nothing(),
        }
    }

    /// Counts what is not yet a document, too.
    pub(crate) fn keep_beside(&mut self, bytes: usize) -> Result<(), SqlError> {
        self.kept.at_least(self.bytes + bytes)
    }

    /// Adds a document that has been checked.
    pub(crate) fn push(&mut self, document: Bytes) -> Result<(), SqlError> {
        self.bytes += document.len();
        if self.bytes > BATCH_BYTES_MAX {
            return Err(SqlError::new(
                SqlState::ProgramLimitExceeded,
                format!("batch is larger than {BATCH_BYTES_MAX} bytes"),
            )
            .hint("Send the changes in several COPYs or transactions."));
        }
        self.kept.at_least(self.bytes)?;
        self.documents.push(document);
        Ok(())
    }

    /// Adds another batch's documents.
    pub(crate) fn extend(&mut self, other: Batch) -> Result<(), SqlError> {
        other
            .documents
            .into_iter()
            .try_for_each(|document| self.push(document))
    }

    /// Forgets all but the first `count` documents.
    pub(crate) fn truncate(&mut self, count: usize) {
        let dropped = self.documents.iter().skip(count);
        self.bytes -= dropped.map(Bytes::len).sum::<usize>();
        self.documents.truncate(count);
    }

    /// How many documents.
    pub(crate) fn len(&self) -> usize {
        self.documents.len()
    }

    /// The documents, and what they are counted as until they are somebody else's.
    pub(crate) fn into_documents(self) -> (Vec<Bytes>, Kept) {
        (self.documents, self.kept)
    }
}

/// Checks that text is one JSON object, and says by `place` where it stands when it is not.
pub(crate) fn check_document(text: &[u8], place: impl Fn() -> String) -> Result<(), SqlError> {
    let invalid = |reason: String| {
        SqlError::new(
            SqlState::InvalidTextRepresentation,
            format!("invalid change {}: {reason}", place()),
        )
        .hint("Each row of wikirecent is one JSON object, as Wikimedia's stream sends it.")
    };
    if text.len() > DOCUMENT_BYTES_MAX {
        return Err(SqlError::new(
            SqlState::ProgramLimitExceeded,
            format!(
                "change {} is longer than {DOCUMENT_BYTES_MAX} bytes",
                place()
            ),
        ));
    }
    if text.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(invalid("it is not a JSON object".to_owned()));
    }
    serde_json::from_slice::<IgnoredAny>(text)
        .map(|_| ())
        .map_err(|error| invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_bounded() {
        let mut batch = Batch::new(&Memory::default());
        let document = Bytes::from(vec![b' '; DOCUMENT_BYTES_MAX]);
        let fits = BATCH_BYTES_MAX / DOCUMENT_BYTES_MAX;
        for _ in 0..fits {
            batch.push(document.clone()).unwrap();
        }
        let error = batch.push(document).unwrap_err();
        assert_eq!(error.state, SqlState::ProgramLimitExceeded);
    }

    #[test]
    fn batches_together_are_bounded() {
        let memory = Memory::of(3 * DOCUMENT_BYTES_MAX);
        let (mut ann, mut bob) = (Batch::new(&memory), Batch::new(&memory));
        let document = Bytes::from(vec![b' '; DOCUMENT_BYTES_MAX]);
        ann.push(document.clone()).unwrap();
        ann.push(document.clone()).unwrap();
        bob.push(document.clone()).unwrap();
        let error = bob.push(document.clone()).unwrap_err();
        assert_eq!(error.state, SqlState::OutOfMemory);
        drop(ann);
        bob.push(document).unwrap();
    }
}
