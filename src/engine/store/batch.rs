//! A batch of documents, read: its changes in columns, who they are, and how far the stream has been read with them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::block::Block;
use crate::change::{Change, NotAChange};
use crate::engine::error::{SqlError, SqlState};

/// What tells two changes apart: `meta.id`, a UUID; of anything else, a hash.
pub(crate) type Identity = u128;

/// One partition of the stream.
pub(crate) type Partition = (Arc<str>, i64);

/// How far a partition has been read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// The newest time, in milliseconds since the epoch.
    pub(crate) timestamp_ms: Option<i64>,
    /// The greatest offset.
    pub(crate) offset: Option<i64>,
}

impl Position {
    /// The further of two, each field by itself.
    pub(crate) fn max(self, other: Position) -> Position {
        Position {
            timestamp_ms: self.timestamp_ms.max(other.timestamp_ms),
            offset: self.offset.max(other.offset),
        }
    }
}

/// Documents, read.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The changes, canaries left out.
    pub(crate) block: Block,
    /// Who they are, in the block's order.
    pub(crate) identities: Vec<Identity>,
    /// How far the stream has been read, canaries included.
    pub(crate) positions: BTreeMap<Partition, Position>,
    /// The service's own probes.
    pub(crate) canaries: u64,
}

impl Default for Batch {
    fn default() -> Self {
        Batch {
            block: Block::new(),
            identities: Vec::new(),
            positions: BTreeMap::new(),
            canaries: 0,
        }
    }
}

impl Batch {
    /// Reads documents.
    ///
    /// # Errors
    /// 22P04, naming the document, when one is no JSON object: nothing of the batch is taken then.
    pub(crate) fn read(documents: &[Bytes]) -> Result<Self, SqlError> {
        let mut batch = Batch::default();
        for (at, document) in documents.iter().enumerate() {
            batch.push(document).map_err(|error| {
                SqlError::new(
                    SqlState::BadCopyFileFormat,
                    format!("document {} of the batch is no change: {error}", at + 1),
                )
            })?;
        }
        Ok(batch)
    }

    /// Reads one more document.
    ///
    /// # Errors
    /// It is no JSON object; the batch is as it was.
    pub(crate) fn push(&mut self, document: &[u8]) -> Result<(), NotAChange> {
        let change = Change::read(document)?;
        self.read_position(&change);
        if change.is_canary() {
            self.canaries += 1;
            return Ok(());
        }
        self.identities.push(identity(&change, document));
        self.block.push(&change);
        Ok(())
    }

    /// Appends what another batch has read.
    pub(crate) fn append(&mut self, other: Batch) {
        self.block
            .append(&other.block)
            .expect("a batch is in memory");
        self.identities.extend(other.identities);
        for (partition, position) in other.positions {
            let known = self.positions.entry(partition).or_default();
            *known = known.max(position);
        }
        self.canaries += other.canaries;
    }

    fn read_position(&mut self, change: &Change<'_>) {
        let meta = &change.meta;
        let Some(topic) = &meta.topic else { return };
        let position = Position {
            timestamp_ms: meta.dt_ms,
            offset: meta.offset,
        };
        let partition = (Arc::from(&**topic), meta.partition.unwrap_or(0));
        let known = self.positions.entry(partition).or_default();
        *known = known.max(position);
    }
}

/// The change's identity; without `meta.id`, equal documents are one change.
fn identity(change: &Change<'_>, document: &[u8]) -> Identity {
    match change.meta.id.as_deref() {
        Some(id) => uuid(id.as_bytes()).unwrap_or_else(|| hash(b"id", id.as_bytes())),
        None => hash(b"document", document.trim_ascii()),
    }
}

/// The number of a UUID in its canonical form.
pub(super) fn uuid(text: &[u8]) -> Option<u128> {
    let mut number = 0;
    for (at, byte) in text.iter().enumerate() {
        match (at, byte) {
            (8 | 13 | 18 | 23, b'-') => {}
            (8 | 13 | 18 | 23, _) => return None,
            (_, b'0'..=b'9') => number = number << 4 | u128::from(*byte - b'0'),
            (_, b'a'..=b'f') => number = number << 4 | u128::from(*byte - b'a' + 10),
            _ => return None,
        }
    }
    (text.len() == 36).then_some(number)
}

/// FNV-1a in 128 bits. It is stored, so it must never change; it need not withstand anyone, because whoever can write here
/// can also write a UUID.
fn hash(kind: &[u8], bytes: &[u8]) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    kind.iter()
        .chain(b":")
        .chain(bytes)
        .fold(OFFSET, |hash, byte| {
            (hash ^ u128::from(*byte)).wrapping_mul(PRIME)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(documents: &[&str]) -> Batch {
        let documents: Vec<Bytes> = documents
            .iter()
            .map(|document| Bytes::copy_from_slice(document.as_bytes()))
            .collect();
        Batch::read(&documents).unwrap()
    }

    #[test]
    fn a_uuid_is_its_own_identity() {
        let batch = read(&[
            r#"{"meta":{"id":"00000000-0000-0000-0000-0000000000ff"}}"#,
            r#"{"meta":{"id":"00000000-0000-0000-0000-0000000000FF"}}"#,
            r#"{"meta":{"id":"b"}}"#,
            r#"{"title":"b"}"#,
            r#"{"title":"b"} "#,
        ]);
        let ids = &batch.identities;
        assert_eq!(ids[0], 0xff);
        // Other texts are other identities, also when they look alike.
        assert_ne!(ids[0], ids[1]);
        assert_ne!(ids[2], ids[3]);
        assert_eq!(ids[3], ids[4]);
    }

    #[test]
    fn positions_are_the_furthest_and_count_canaries() {
        let batch = read(&[
            r#"{"meta":{"topic":"a","partition":1,"offset":7,"dt":"1970-01-01T00:00:01Z"}}"#,
            r#"{"meta":{"topic":"a","partition":1,"offset":9,"domain":"canary"}}"#,
            r#"{"meta":{"topic":"a","partition":1,"offset":8,"dt":"1970-01-01T00:00:00.5Z"}}"#,
        ]);
        let position = batch.positions[&("a".into(), 1)];
        assert_eq!(
            (position.timestamp_ms, position.offset),
            (Some(1000), Some(9))
        );
        assert_eq!((batch.canaries, batch.block.rows()), (1, 2));
    }

    #[test]
    fn one_bad_document_rejects_the_batch() {
        let documents = [Bytes::from_static(b"{}"), Bytes::from_static(b"[]")];
        let error = Batch::read(&documents).unwrap_err();
        assert_eq!(error.state, SqlState::BadCopyFileFormat);
        assert!(error.message.starts_with("document 2 "), "{error}");
    }
}
