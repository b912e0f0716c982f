//! How the groups of all-time aggregates lie in the file.
//!
//! Groups are spread over shards by a hash of their key. What changes between two seals is written as one short list, a delta,
//! and each seal also writes one shard anew, in turn: after as many seals as there are shards, every older delta is in all of
//! them, and goes. So a seal writes little however many groups there are, where a tree with an entry a group would write a
//! page for each group that changed; and a restart reads the shards, and the deltas since each was written. Totals add up,
//! which is all that this takes; what they are is not known here.

use redb::{ReadableDatabase, Table, TableDefinition};

use super::column::{BadColumn, put_varint, take_varint};
use super::pieces::{Compression, PIECE_BYTES, frame, unframe};
use super::{Store, StoreError, Transaction};

/// How many shards: with a million groups one is some 300 kB before it is compressed, written in a few milliseconds; and a
/// restart reads at most this many deltas.
pub(crate) const SHARDS: usize = 64;

/// One all-time aggregate: the number of its view, and its own within that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AggregateId {
    pub(crate) oid: u32,
    pub(crate) aggregate: u32,
}

/// View, aggregate, shard, piece; the first of its bytes are the seal at which it was written.
type ShardKey = (u32, u32, u32, u32);
/// View, aggregate, seal, piece.
type DeltaKey = (u32, u32, u64, u32);

pub(super) const SHARD_PIECES: TableDefinition<ShardKey, &[u8]> = TableDefinition::new("shards");
pub(super) const DELTA_PIECES: TableDefinition<DeltaKey, &[u8]> = TableDefinition::new("deltas");

/// The shard of a group: FNV-1a, whose result must never change, because it is stored.
pub(crate) fn shard_of(key: &[u8]) -> usize {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let hash = key.iter().fold(OFFSET, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(PRIME)
    });
    (hash >> 32) as usize % SHARDS
}

/// Groups and their totals as bytes, to be written.
#[derive(Debug, Default)]
pub(crate) struct Entries(Vec<u8>);

impl Entries {
    pub(crate) fn push(&mut self, key: &[u8], totals: &[u8]) {
        for bytes in [key, totals] {
            put_varint(bytes.len() as u128, &mut self.0);
            self.0.extend_from_slice(bytes);
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Calls `each` with every group and its totals.
fn each_entry(
    mut bytes: &[u8],
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut take = || -> Result<Option<&[u8]>, BadColumn> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let length = usize::try_from(take_varint(&mut bytes)?).map_err(|_| BadColumn)?;
        let (taken, rest) = bytes.split_at_checked(length).ok_or(BadColumn)?;
        bytes = rest;
        Ok(Some(taken))
    };
    while let Some(key) = take()? {
        let totals = take()?.ok_or(BadColumn)?;
        each(key, totals)?;
    }
    Ok(())
}

impl Transaction<'_> {
    /// Writes one shard of an aggregate as it is after `seal`.
    pub(crate) fn put_shard(
        &self,
        id: AggregateId,
        shard: usize,
        seal: u64,
        entries: Entries,
    ) -> Result<(), StoreError> {
        let mut table = self.table(SHARD_PIECES)?;
        let shard = u32::try_from(shard).expect("one of SHARDS");
        let key = |piece| (id.oid, id.aggregate, shard, piece);
        let mut bytes = Vec::new();
        put_varint(seal.into(), &mut bytes);
        bytes.extend(frame(entries.0, Compression::Zstd));
        self.put_pieces(&mut table, key, &bytes)
    }

    /// Writes what a seal changes in an aggregate.
    pub(crate) fn put_delta(
        &self,
        id: AggregateId,
        seal: u64,
        entries: Entries,
    ) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut table = self.table(DELTA_PIECES)?;
        let key = |piece| (id.oid, id.aggregate, seal, piece);
        self.put_pieces(&mut table, key, &frame(entries.0, Compression::Zstd))
    }

    /// Deletes the deltas that are in all shards once one shard of each seal up to `seal` is written.
    pub(crate) fn delete_old_deltas(&self, id: AggregateId, seal: u64) -> Result<(), StoreError> {
        let oldest = (seal + 2).saturating_sub(SHARDS as u64);
        let old = (id.oid, id.aggregate, 0, 0)..(id.oid, id.aggregate, oldest, 0);
        self.table(DELTA_PIECES)?
            .retain_in(old, |_, _| false)
            .map_err(|e| self.store.error(e))
    }

    /// Deletes all groups of a view.
    pub(super) fn delete_groups(&self, oid: u32) -> Result<(), StoreError> {
        self.table(SHARD_PIECES)?
            .retain_in((oid, 0, 0, 0)..(oid + 1, 0, 0, 0), |_, _| false)
            .map_err(|e| self.store.error(e))?;
        self.table(DELTA_PIECES)?
            .retain_in((oid, 0, 0, 0)..(oid + 1, 0, 0, 0), |_, _| false)
            .map_err(|e| self.store.error(e))
    }

    /// Puts bytes in pieces in the place of those that are there.
    fn put_pieces<K>(
        &self,
        table: &mut Table<'_, K, &'static [u8]>,
        key: impl Fn(u32) -> K,
        bytes: &[u8],
    ) -> Result<(), StoreError>
    where
        K: for<'k> redb::Key<SelfType<'k> = K> + std::borrow::Borrow<K> + 'static,
    {
        table
            .retain_in(key(0)..=key(u32::MAX), |_, _| false)
            .map_err(|e| self.store.error(e))?;
        for (piece, bytes) in (0..).zip(bytes.chunks(PIECE_BYTES)) {
            table
                .insert(key(piece), bytes)
                .map_err(|e| self.store.error(e))?;
        }
        Ok(())
    }
}

impl Store {
    /// Calls `each` with parts of the totals of every group of an aggregate: what they add up to is the group's.
    pub(crate) fn groups(
        &self,
        id: AggregateId,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let AggregateId { oid, aggregate } = id;
        let read = self.database()?.begin_read().map_err(|e| self.error(e))?;
        let table = read.open_table(SHARD_PIECES).map_err(|e| self.error(e))?;
        let mut written = [0; SHARDS];
        for (number, written) in (0..).zip(&mut written) {
            let pieces = (oid, aggregate, number, 0)..=(oid, aggregate, number, u32::MAX);
            let mut bytes = Vec::new();
            for piece in table.range(pieces).map_err(|e| self.error(e))? {
                bytes.extend_from_slice(piece.map_err(|e| self.error(e))?.1.value());
            }
            if bytes.is_empty() {
                continue;
            }
            let mut bytes = &*bytes;
            *written = u64::try_from(take_varint(&mut bytes)?).map_err(|_| BadColumn)?;
            each_entry(&unframe(bytes)?, &mut each)?;
        }
        let table = read.open_table(DELTA_PIECES).map_err(|e| self.error(e))?;
        let (mut seal, mut bytes) = (0, Vec::new());
        let deltas = (oid, aggregate, 0, 0)..=(oid, aggregate, u64::MAX, u32::MAX);
        let mut add = |seal: u64, bytes: &[u8]| {
            each_entry(&unframe(bytes)?, |key, totals| {
                if seal > written[shard_of(key)] {
                    each(key, totals)?;
                }
                Ok(())
            })
        };
        for piece in table.range(deltas).map_err(|e| self.error(e))? {
            let (key, piece) = piece.map_err(|e| self.error(e))?;
            let of = key.value().2;
            if of != seal && !bytes.is_empty() {
                add(seal, &std::mem::take(&mut bytes))?;
            }
            seal = of;
            bytes.extend_from_slice(piece.value());
        }
        if !bytes.is_empty() {
            add(seal, &bytes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    const ID: AggregateId = AggregateId {
        oid: 20_000,
        aggregate: 0,
    };

    fn entries(groups: impl IntoIterator<Item = (u8, i64)>) -> Entries {
        let mut entries = Entries::default();
        for (key, total) in groups {
            entries.push(&[key], &total.to_be_bytes());
        }
        entries
    }

    fn read(store: &Store) -> BTreeMap<u8, i64> {
        let mut groups = BTreeMap::new();
        store
            .groups(ID, |key, total| {
                *groups.entry(key[0]).or_default() += i64::from_be_bytes(total.try_into().unwrap());
                Ok(())
            })
            .unwrap();
        groups.retain(|_, total| *total != 0);
        groups
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]
        #[test]
        fn what_was_sealed_adds_up(
            seals in prop::collection::vec(prop::collection::vec((any::<u8>(), -3..4_i64), 0..6), 1..3 * SHARDS),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let (mut store, _) = Store::open(dir.path()).unwrap();
            let mut groups: BTreeMap<u8, i64> = BTreeMap::new();
            for (seal, changes) in (1..).zip(&seals) {
                let mut delta: BTreeMap<u8, i64> = BTreeMap::new();
                for (key, change) in changes {
                    *delta.entry(*key).or_default() += change;
                    *groups.entry(*key).or_default() += change;
                }
                let shard = (seal % SHARDS as u64) as usize;
                let of_shard: BTreeMap<u8, i64> = groups
                    .iter()
                    .filter(|(key, _)| shard_of(&[**key]) == shard)
                    .map(|(key, total)| (*key, *total))
                    .collect();
                store
                    .transaction(|write| {
                        write.put_delta(ID, seal, entries(delta))?;
                        write.put_shard(ID, shard, seal, entries(of_shard))?;
                        write.delete_old_deltas(ID, seal)
                    })
                    .unwrap();
            }
            groups.retain(|_, total| *total != 0);
            prop_assert_eq!(read(&store), groups);
            let read = store.database().unwrap().begin_read().unwrap();
            let deltas = read.open_table(DELTA_PIECES).unwrap();
            prop_assert!(redb::ReadableTableMetadata::len(&deltas).unwrap() < SHARDS as u64);
        }
    }
}
