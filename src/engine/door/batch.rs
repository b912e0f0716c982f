//! Documents on their way to the engine: read, gathered, bounded.

use super::memory::{Kept, Memory};
use crate::change::NotAChange;
use crate::engine::error::{SqlError, SqlState};
use crate::engine::store;

/// The longest document: the largest changes seen are a few kilobytes, and nothing documents a maximum. A longer one is
/// refused (54000), so that one row cannot fill the memory.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 1 << 20;

/// The largest COPY, and the most that a transaction may gather: some 50,000 changes, which is one transaction on disk. A larger
/// one is refused (54000): send several.
pub(crate) const BATCH_BYTES_MAX: usize = 64 << 20;

/// Documents gathered for one batch, within [`BATCH_BYTES_MAX`]: read as they come, while their sender is still busy with the next.
#[derive(Debug)]
pub(crate) struct Batch {
    parts: Vec<Part>,
    kept: Kept,
}

/// What came between two savepoints.
#[derive(Debug, Default)]
struct Part {
    read: store::batch::Batch,
    documents: usize,
    bytes: usize,
}

impl Part {
    fn append(&mut self, other: Part) {
        self.read.append(other.read);
        self.documents += other.documents;
        self.bytes += other.bytes;
    }
}

impl Batch {
    /// No documents yet.
    pub(crate) fn new(memory: &Memory) -> Batch {
        Batch {
            parts: vec![Part::default()],
            kept: memory.nothing(),
        }
    }

    /// Counts what is not yet a document, too.
    pub(crate) fn keep_beside(&mut self, bytes: usize) -> Result<(), SqlError> {
        self.kept.at_least(self.bytes() + bytes)
    }

    /// Reads a document, which must be one JSON object; `place` says where it stands when it is not.
    pub(crate) fn push(
        &mut self,
        document: &[u8],
        place: impl Fn() -> String,
    ) -> Result<(), SqlError> {
        if document.len() > DOCUMENT_BYTES_MAX {
            return Err(SqlError::new(
                SqlState::ProgramLimitExceeded,
                format!(
                    "change {} is longer than {DOCUMENT_BYTES_MAX} bytes",
                    place()
                ),
            ));
        }
        self.make_room(document.len())?;
        let part = self.parts.last_mut().expect("there is always one");
        part.bytes += document.len();
        part.documents += 1;
        part.read.push(document).map_err(|error| {
            let reason = match error {
                NotAChange::NotAnObject => "it is not a JSON object".to_owned(),
                NotAChange::Json(error) => error.to_string(),
                NotAChange::Utf8(error) => error.to_string(),
            };
            SqlError::new(
                SqlState::InvalidTextRepresentation,
                format!("invalid change {}: {reason}", place()),
            )
            .hint("Each row of wikirecent is one JSON object, as Wikimedia's stream sends it.")
        })
    }

    /// Adds another batch's documents.
    pub(crate) fn extend(&mut self, other: Batch) -> Result<(), SqlError> {
        self.make_room(other.bytes())?;
        let last = self.parts.last_mut().expect("there is always one");
        other.parts.into_iter().for_each(|part| last.append(part));
        Ok(())
    }

    fn make_room(&mut self, bytes: usize) -> Result<(), SqlError> {
        let bytes = self.bytes() + bytes;
        if bytes > BATCH_BYTES_MAX {
            return Err(SqlError::new(
                SqlState::ProgramLimitExceeded,
                format!("batch is larger than {BATCH_BYTES_MAX} bytes"),
            )
            .hint("Send the changes in several COPYs or transactions."));
        }
        self.kept.at_least(bytes)
    }

    /// Marks a place to which [`Batch::truncate`] can come back.
    pub(crate) fn mark(&mut self) -> usize {
        let mark = self.parts.len();
        self.parts.push(Part::default());
        mark
    }

    /// Forgets the documents that came after a mark.
    pub(crate) fn truncate(&mut self, mark: usize) {
        self.parts.truncate(mark);
        self.parts.push(Part::default());
    }

    /// Forgets a mark and those after it, and keeps the documents.
    pub(crate) fn unmark(&mut self, mark: usize) {
        let after = self.parts.split_off(mark);
        let last = self.parts.last_mut().expect("no mark is the first part");
        after.into_iter().for_each(|part| last.append(part));
    }

    /// How many documents.
    pub(crate) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.documents).sum()
    }

    fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.bytes).sum()
    }

    /// What was read, and what it is counted as until it is somebody else's.
    pub(crate) fn into_read(self) -> (store::batch::Batch, Kept) {
        let mut parts = self.parts.into_iter().map(|part| part.read);
        let mut all = parts.next().expect("there is always one");
        parts.for_each(|part| all.append(part));
        (all, self.kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of the longest.
    fn document() -> Vec<u8> {
        let mut document = vec![b' '; DOCUMENT_BYTES_MAX];
        document[..2].copy_from_slice(b"{}");
        document
    }

    #[test]
    fn what_came_after_a_mark_can_be_forgotten() {
        let mut batch = Batch::new(&Memory::default());
        let push = |batch: &mut Batch, id| {
            let document = format!(r#"{{"meta":{{"id":"{id}","topic":"t","offset":{id}}}}}"#);
            batch.push(document.as_bytes(), String::new).unwrap();
        };
        push(&mut batch, 1);
        let mark = batch.mark();
        push(&mut batch, 2);
        batch.truncate(mark);
        push(&mut batch, 3);
        batch.truncate(mark);
        push(&mut batch, 4);
        batch.mark();
        batch.unmark(mark);
        assert_eq!(batch.len(), 2);
        let (read, _) = batch.into_read();
        assert_eq!((read.block.rows(), read.identities.len()), (2, 2));
        assert_eq!(read.positions[&("t".into(), 0)].offset, Some(4));
    }

    #[test]
    fn a_batch_is_bounded() {
        let mut batch = Batch::new(&Memory::default());
        let document = document();
        let fits = BATCH_BYTES_MAX / DOCUMENT_BYTES_MAX;
        for _ in 0..fits {
            batch.push(&document, String::new).unwrap();
        }
        let error = batch.push(&document, String::new).unwrap_err();
        assert_eq!(error.state, SqlState::ProgramLimitExceeded);
    }

    #[test]
    fn batches_together_are_bounded() {
        let memory = Memory::of(3 * DOCUMENT_BYTES_MAX);
        let (mut ann, mut bob) = (Batch::new(&memory), Batch::new(&memory));
        let document = document();
        ann.push(&document, String::new).unwrap();
        ann.push(&document, String::new).unwrap();
        bob.push(&document, String::new).unwrap();
        let error = bob.push(&document, String::new).unwrap_err();
        assert_eq!(error.state, SqlState::OutOfMemory);
        drop(ann);
        bob.push(&document, String::new).unwrap();
    }
}
