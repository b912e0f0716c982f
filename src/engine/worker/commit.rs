//! How changes become durable and then visible: one transaction for what comes, what leaves, and what follows from both.

use std::collections::BTreeMap;

use hashbrown::HashSet;
use tokio::sync::oneshot;

use super::{Worker, position_row};
use crate::engine::dataflow::PreparedBatch;
use crate::engine::error::SqlError;
use crate::engine::handle::Appended;
use crate::engine::store::batch::{Batch, Identity, Partition, Position};
use crate::engine::store::block::Block;
use crate::engine::store::pieces::Encoded;
use crate::engine::store::{self, BlockInfo, StoreError};

/// The log is sealed when it has so many changes: a few minutes of Wikimedia's stream. A larger block compresses no better and
/// is more to hold in memory at once, and large batches would be written twice; a smaller one means more of them to visit at a
/// restart.
const SEAL_ROWS: usize = 8_192;

/// A block of so many rows is encoded on a thread of its own: it takes a millisecond, and starting one a twentieth of that.
const ENCODED_APART_ROWS: usize = 1_024;

/// Retained changes, whatever their age: two days of Wikimedia's stream, about a gigabyte. When a recording brings more, the
/// oldest leave early; what all-time aggregates have counted stays.
const RETAINED_CHANGES_MAX: usize = 6_000_000;

/// One append, as far as it is new.
struct Taken {
    appended: Appended,
    reply: oneshot::Sender<Result<Appended, SqlError>>,
}

/// The block that a transaction writes: what is new, or the log and what is new.
struct Written<'a> {
    info: BlockInfo,
    /// The blocks of the log that are in it.
    log: Vec<BlockInfo>,
    new: (&'a Block, &'a [Identity]),
    merged: Option<(Block, Vec<Identity>)>,
}

impl Written<'_> {
    fn block(&self) -> (&Block, &[Identity]) {
        match &self.merged {
            Some((block, identities)) => (block, identities),
            None => self.new,
        }
    }
}

/// What a transaction brings.
#[derive(Default)]
pub(super) struct News {
    block: Option<Block>,
    identities: Vec<Identity>,
    positions: BTreeMap<Partition, Position>,
}

/// When the log becomes a sealed block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sealing {
    /// When it is long enough.
    InTime,
    /// Whatever its length.
    Now,
}

impl Worker {
    /// Makes appends durable and visible in one transaction, and answers each.
    pub(super) fn append(
        &mut self,
        appends: Vec<(Batch, oneshot::Sender<Result<Appended, SqlError>>)>,
        now_ms: u64,
    ) {
        let time = now_ms.max(self.dataflows.closed_ms() + 1);
        let mut news = News::default();
        let mut new = HashSet::new();
        let mut taken = Vec::with_capacity(appends.len());
        for (batch, reply) in appends {
            let appended = self.take(batch, &mut new, &mut news, time);
            taken.push(Taken { appended, reply });
        }
        let done = self.commit(news, time).map_err(StoreError::into_sql);
        for Taken { appended, reply } in taken {
            let answer = done.clone().map(|()| appended);
            drop(reply.send(answer));
        }
    }

    /// Adds to `news` what of a batch is new. `new` holds who is in `news` already.
    fn take(
        &self,
        batch: Batch,
        new: &mut HashSet<Identity>,
        news: &mut News,
        time: u64,
    ) -> Appended {
        let Batch {
            mut block,
            mut identities,
            positions,
            canaries,
        } = batch;
        let keep: Vec<bool> = identities
            .iter()
            .map(|identity| !self.seen.contains(identity) && new.insert(*identity))
            .collect();
        let repeats = keep.iter().filter(|keep| !**keep).count();
        if repeats > 0 {
            block.retain(&keep);
            let mut keep = keep.iter();
            identities.retain(|_| keep.next().is_some_and(|keep| *keep));
        }
        let appended = Appended {
            kept: identities.len() as u64,
            repeats: repeats as u64,
            canaries,
            timestamp_ms: time,
        };
        for (partition, position) in positions {
            let known = news.positions.entry(partition).or_default();
            *known = known.max(position);
        }
        news.identities.extend(identities);
        match &mut news.block {
            None => news.block = Some(block),
            Some(all) => all.append(&block).expect("a batch is in memory"),
        }
        appended
    }

    /// How many of the oldest blocks are to leave at `time`.
    pub(super) fn expired(&self, time: u64) -> usize {
        let mut rows = self.retained();
        self.blocks
            .iter()
            .take_while(|info| {
                let is_old = info.last_ms.saturating_add(self.retain_ms) < time;
                let is_over = rows > RETAINED_CHANGES_MAX;
                rows -= info.rows;
                is_old || is_over
            })
            .count()
    }

    /// One transaction: what is new comes, what is old leaves, and the log is sealed when it is long enough. Then, and only
    /// if it is durable, all of it becomes visible at `time`.
    pub(super) fn commit(&mut self, news: News, time: u64) -> Result<(), StoreError> {
        self.commit_sealing(news, time, Sealing::InTime)
    }

    fn commit_sealing(
        &mut self,
        news: News,
        time: u64,
        sealing: Sealing,
    ) -> Result<(), StoreError> {
        self.store.reopen()?;
        let expired: Vec<BlockInfo> = self
            .blocks
            .iter()
            .take(self.expired(time))
            .copied()
            .collect();
        let mut leaving = Vec::new();
        for info in &expired {
            let block = self.store.block(*info)?;
            let identities = self.store.identities(*info)?;
            let prepared = self
                .dataflows
                .prepare(&block, info.newest_dt_us, -1, time)?;
            leaving.push((prepared, identities));
        }
        let positions = self.moved(&news.positions);
        let empty = Block::new();
        let new = (news.block.as_ref().unwrap_or(&empty), &*news.identities);
        let written = self.written(new, &expired, time, sealing)?;
        let is_sealed = written.info.sealed;
        let (coming, encoded) = self.prepare(new.0, &written, time)?;
        let (dataflows, seal) = (&self.dataflows, self.seal + 1);
        self.store.transaction(|write| {
            for old in written.log.iter().chain(&expired) {
                write.delete_block(old.number)?;
            }
            if written.info.rows > 0 {
                write.put_block(written.info, &encoded)?;
            }
            if is_sealed {
                dataflows.save_groups(write, &coming, seal)?;
            }
            write.put_positions(&positions)?;
            write.put_time(time)
        })?;

        self.blocks.drain(..expired.len());
        if is_sealed {
            self.seal = seal;
            self.blocks.retain(|info| info.sealed);
        }
        self.blocks
            .extend((written.info.rows > 0).then_some(written.info));
        self.dataflows.feed(coming, 1, time);
        if is_sealed {
            self.dataflows.saved();
        }
        self.seen.extend(&news.identities);
        for (prepared, identities) in leaving {
            self.dataflows.feed(prepared, -1, time);
            for identity in &identities {
                self.seen.remove(identity);
            }
        }
        for (partition, position) in positions {
            let row = position_row(&partition, position);
            if let Some(before) = self.positions.insert(partition.clone(), position) {
                self.dataflows
                    .update_position(position_row(&partition, before), time, -1);
            }
            self.dataflows.update_position(row, time, 1);
        }
        self.dataflows.close(time);
        Ok(())
    }

    /// The partitions that have been read further, and how far.
    fn moved(&self, news: &BTreeMap<Partition, Position>) -> BTreeMap<Partition, Position> {
        news.iter()
            .filter_map(|(partition, position)| {
                let before = self.positions.get(partition).copied();
                let after = before.unwrap_or_default().max(*position);
                (before != Some(after)).then(|| (partition.clone(), after))
            })
            .collect()
    }

    /// The block that a transaction writes.
    fn written<'a>(
        &self,
        new: (&'a Block, &'a [Identity]),
        expired: &[BlockInfo],
        time: u64,
        sealing: Sealing,
    ) -> Result<Written<'a>, StoreError> {
        let log = self.blocks.iter().skip(expired.len());
        let mut log: Vec<BlockInfo> = log.filter(|info| !info.sealed).copied().collect();
        let log_rows: usize = log.iter().map(|info| info.rows).sum();
        // What leaves the log unsealed would take its groups with it.
        let sealed = sealing == Sealing::Now
            || log_rows + new.1.len() >= SEAL_ROWS
            || expired.iter().any(|info| !info.sealed);
        if !sealed {
            log.clear();
        }
        let merged = self.merge(&log, new)?;
        let (block, identities) = merged.as_ref().map_or(new, |(block, ids)| (block, &**ids));
        let info = BlockInfo {
            number: self.blocks.back().map_or(0, |info| info.number + 1),
            rows: identities.len(),
            first_ms: log.first().map_or(time, |first| first.first_ms),
            last_ms: time,
            newest_dt_us: block.newest_dt_us()?,
            sealed,
        };
        Ok(Written {
            info,
            log,
            new,
            merged,
        })
    }

    /// Evaluates what is new, and encodes what is written, at the same time if it is much.
    fn prepare(
        &self,
        new: &Block,
        written: &Written<'_>,
        time: u64,
    ) -> Result<(PreparedBatch, Encoded), StoreError> {
        let (block, identities) = written.block();
        let columns = block.columns()?;
        let info = written.info;
        let encode = || store::encode(&info, &columns, identities);
        let prepare = || {
            let newest_dt_us = new.newest_dt_us()?;
            self.dataflows.prepare(new, newest_dt_us, 1, time)
        };
        if info.rows < ENCODED_APART_ROWS {
            return Ok((prepare()?, encode()));
        }
        std::thread::scope(|scope| {
            let encoding = scope.spawn(encode);
            let prepared = prepare();
            let encoded = encoding.join();
            Ok((prepared?, encoded.expect("encoding does not panic")))
        })
    }

    /// These blocks of the log and what is new, in one; `None`: there is only what is new.
    fn merge(
        &self,
        log: &[BlockInfo],
        (new, new_identities): (&Block, &[Identity]),
    ) -> Result<Option<(Block, Vec<Identity>)>, StoreError> {
        if log.is_empty() {
            return Ok(None);
        }
        let (mut merged, mut identities) = (Block::new(), Vec::new());
        for info in log {
            merged.append(&self.store.block(*info)?)?;
            identities.extend(self.store.identities(*info)?);
        }
        merged.append(new)?;
        identities.extend(new_identities);
        Ok(Some((merged, identities)))
    }

    /// Empties the log, so that the stored groups are the whole truth: the groups of a new view are stored with all retained
    /// changes counted, and none of them must be counted again at a restart.
    pub(super) fn seal(&mut self, now_ms: u64) -> Result<(), StoreError> {
        if self.blocks.iter().all(|info| info.sealed) {
            return Ok(());
        }
        let time = now_ms.max(self.dataflows.closed_ms() + 1);
        self.commit_sealing(News::default(), time, Sealing::Now)
    }
}
