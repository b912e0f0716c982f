//! How a block lies in the file: column by column, each cut into pieces of about a page.
//!
//! redb gives a large value a run of pages whose number is a power of two, which wastes a quarter of the disk on average;
//! pieces of one page waste nothing.

use std::fmt::Write as _;

use redb::{ReadOnlyTable, ReadableDatabase, Table, TableDefinition};

use super::batch::{Identity, uuid};
use super::block::Lazy;
use super::column::{BadColumn, Column, Texts, put_varint, take_varint};
use super::{BlockInfo, Store, StoreError};
use crate::engine::relations::{CHANGE_COLUMNS, META_ID};

/// Block, column, piece.
type PieceKey = (u64, u8, u32);

pub(super) const PIECES: TableDefinition<PieceKey, &[u8]> = TableDefinition::new("pieces");

/// What fits into a page of 4,096 bytes beside redb's own header and the key.
pub(super) const PIECE_BYTES: usize = 4_040;

/// The column after those of `recentchanges`: who the changes are.
const IDENTITIES: u8 = CHANGE_COLUMNS.len() as u8;

/// The fastest level that still finds the repetitions: what is left after it is mostly comments, which no level shrinks much.
const ZSTD_LEVEL: i32 = 1;

/// A column of one block is never larger, so a damaged length cannot exhaust the memory.
const COLUMN_BYTES_MAX: usize = 1 << 30;

/// How columns are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    /// The log: written once, read once, soon gone.
    None,
    /// Sealed blocks.
    Zstd,
}

/// A block as it will be written: every column's bytes.
pub(crate) struct Encoded(Vec<Vec<u8>>);

impl Encoded {
    /// Encodes the columns of a block and who its changes are. What takes time is the compression, and all of it can be done
    /// by whoever has the time.
    pub(super) fn new(
        columns: &[&Column],
        identities: &[Identity],
        compression: Compression,
    ) -> Self {
        let plain = columns.iter().enumerate().map(|(at, column)| match column {
            Column::Text(ids) if at == META_ID => encode_ids(ids, identities),
            column => column.encode(),
        });
        let mut framed: Vec<Vec<u8>> = plain.map(|plain| frame(plain, compression)).collect();
        let plain = identities.iter().flat_map(|id| id.to_be_bytes()).collect();
        // Random numbers do not compress.
        framed.push(frame(plain, Compression::None));
        Encoded(framed)
    }
}

/// Writes all columns of a block.
pub(super) fn write(
    store: &Store,
    pieces: &mut Table<'_, PieceKey, &'static [u8]>,
    number: u64,
    block: &Encoded,
) -> Result<(), StoreError> {
    for (column, bytes) in (0..).zip(&block.0) {
        for (piece, bytes) in (0..).zip(bytes.chunks(PIECE_BYTES)) {
            pieces
                .insert((number, column, piece), bytes)
                .map_err(|e| store.error(e))?;
        }
    }
    Ok(())
}

/// The bytes with their length in front, compressed when that is asked for.
pub(super) fn frame(plain: Vec<u8>, compression: Compression) -> Vec<u8> {
    let compressed = match compression {
        Compression::None => None,
        Compression::Zstd => zstd::bulk::compress(&plain, ZSTD_LEVEL).ok(),
    };
    let mut framed = Vec::with_capacity(compressed.as_ref().unwrap_or(&plain).len() + 6);
    match compressed {
        Some(bytes) => {
            put_varint(1 + plain.len() as u128, &mut framed);
            framed.extend(bytes);
        }
        None => {
            put_varint(0, &mut framed);
            framed.extend(plain);
        }
    }
    framed
}

pub(super) fn unframe(mut framed: &[u8]) -> Result<Vec<u8>, StoreError> {
    let Some(length) = take_varint(&mut framed)?.checked_sub(1) else {
        return Ok(framed.to_vec());
    };
    let length = usize::try_from(length)
        .ok()
        .filter(|length| *length <= COLUMN_BYTES_MAX)
        .ok_or(BadColumn)?;
    zstd::bulk::decompress(framed, length).map_err(|error| StoreError::Damaged(error.to_string()))
}

/// The columns of one block, as they were when it was opened.
pub(super) struct StoredColumns {
    pieces: ReadOnlyTable<PieceKey, &'static [u8]>,
    info: BlockInfo,
    path: std::path::PathBuf,
}

impl StoredColumns {
    pub(super) fn open(store: &Store, info: BlockInfo) -> Result<Self, StoreError> {
        let read = store.database()?.begin_read().map_err(|e| store.error(e))?;
        let pieces = read.open_table(PIECES).map_err(|e| store.error(e))?;
        let path = store.path.clone();
        Ok(StoredColumns { pieces, info, path })
    }

    /// Who the changes are.
    pub(super) fn identities(&self) -> Result<Vec<Identity>, StoreError> {
        let bytes = self.bytes(IDENTITIES)?;
        let (numbers, rest) = bytes.as_chunks::<16>();
        if numbers.len() != self.info.rows || !rest.is_empty() {
            return Err(BadColumn.into());
        }
        Ok(numbers
            .iter()
            .map(|number| u128::from_be_bytes(*number))
            .collect())
    }

    fn bytes(&self, column: u8) -> Result<Vec<u8>, StoreError> {
        let error = |error: redb::StorageError| StoreError::Io {
            path: self.path.clone(),
            reason: error.to_string(),
        };
        let (from, to) = (
            (self.info.number, column, 0),
            (self.info.number, column + 1, 0),
        );
        let mut framed = Vec::new();
        for entry in self.pieces.range(from..to).map_err(error)? {
            framed.extend_from_slice(entry.map_err(error)?.1.value());
        }
        unframe(&framed)
    }
}

impl Lazy for StoredColumns {
    fn column(&self, at: usize) -> Result<Column, StoreError> {
        let bytes = self.bytes(u8::try_from(at).expect("a column of recentchanges"))?;
        if at == META_ID {
            return Ok(decode_ids(&bytes, &self.identities()?)?);
        }
        Ok(Column::decode(
            &bytes,
            CHANGE_COLUMNS[at].1,
            self.info.rows,
        )?)
    }
}

/// `meta.id` is stored once: the identity is it, in half the bytes. Others are written out.
fn encode_ids(ids: &Texts, identities: &[Identity]) -> Vec<u8> {
    let (mut tags, mut texts) = (Vec::with_capacity(identities.len()), Vec::new());
    for (id, identity) in ids.iter().zip(identities) {
        match id {
            Some(text) if uuid(text) == Some(*identity) => put_varint(1, &mut tags),
            Some(text) => {
                put_varint(2 + text.len() as u128, &mut tags);
                texts.extend_from_slice(text);
            }
            None => put_varint(0, &mut tags),
        }
    }
    tags.extend(texts);
    tags
}

fn decode_ids(mut bytes: &[u8], identities: &[Identity]) -> Result<Column, BadColumn> {
    let tags: Vec<u128> = identities
        .iter()
        .map(|_| take_varint(&mut bytes))
        .collect::<Result<_, _>>()?;
    let mut texts = Texts::default();
    for (tag, identity) in tags.into_iter().zip(identities) {
        match tag {
            0 => texts.push(None),
            1 => texts.push(Some(&uuid_text(*identity))),
            length => {
                let length = usize::try_from(length - 2).map_err(|_| BadColumn)?;
                let (text, rest) = bytes.split_at_checked(length).ok_or(BadColumn)?;
                bytes = rest;
                texts.push(Some(std::str::from_utf8(text).map_err(|_| BadColumn)?));
            }
        }
    }
    Ok(Column::Text(texts))
}

/// The canonical form of a UUID.
fn uuid_text(uuid: u128) -> String {
    let mut text = String::with_capacity(36);
    let groups = [(96, 8), (80, 4), (64, 4), (48, 4), (0, 12)];
    for (at, (shift, digits)) in groups.into_iter().enumerate() {
        let part = (uuid >> shift) & ((1 << (4 * digits)) - 1);
        let dash = if at == 0 { "" } else { "-" };
        write!(text, "{dash}{part:0digits$x}").expect("writing to a string does not fail");
    }
    text
}
