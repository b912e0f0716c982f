//! The worker: takes commands, makes them durable, then visible. It never looks at a clock: the time is an argument.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use hashbrown::HashSet;
use tokio::sync::{oneshot, watch};

use super::catalog::{Catalog, Kind, Relation};
use super::dataflow::scan::{Scan, Shape};
use super::dataflow::{Dataflows, Past, PreparedBatch, ViewId};
use super::definition::Replan;
use super::error::{SqlError, SqlState};
use super::feed::Feed;
use super::handle::{Appended, Command};
use super::plan::Query;
use super::store::batch::{Batch, Identity, Partition, Position};
use super::store::block::Block;
use super::store::pieces::Encoded;
use super::store::{self, BlockInfo, Store, StoreError, StoredView};
use super::value::{Row, Value};
use super::{Config, OpenError, Published, relations};

/// The log is sealed when it has so many changes: a few minutes of Wikimedia's stream. A larger block compresses no better and
/// is more to hold in memory at once, and large batches would be written twice; a smaller one means more of them to visit at a
/// restart.
const SEAL_ROWS: usize = 8_192;

/// A block of so many rows is encoded on a thread of its own: it takes a millisecond, and starting one a twentieth of that.
const ENCODED_APART_ROWS: usize = 1_024;

/// Changes that one transaction takes when several batches wait: enough to make its cost small, few enough that subscribers
/// are not left waiting.
const GROUP_ROWS_MAX: usize = 32_768;

/// Retained changes, whatever their age: two days of Wikimedia's stream, about a gigabyte. When a recording brings more, the
/// oldest leave early; what all-time aggregates have counted stays.
const RETAINED_CHANGES_MAX: usize = 6_000_000;

/// Rows that leave by themselves are taken away at their own millisecond, but in rounds of at least this many, so that a busy
/// hour that ends does not wake the worker a thousand times a second.
const WAKE_EVERY_MS: u64 = 50;

/// The state of the engine.
pub(crate) struct Worker {
    store: Store,
    dataflows: Dataflows,
    catalog: Arc<Catalog>,
    published: Published,
    /// The retained blocks, the oldest first; the ones that are not sealed are the last ones.
    blocks: VecDeque<BlockInfo>,
    /// Who the retained changes are.
    seen: HashSet<Identity>,
    /// How often the log has been sealed.
    seal: u64,
    positions: BTreeMap<Partition, Position>,
    retain_ms: u64,
    last_oid: u32,
    replan: Replan,
}

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
struct News {
    block: Option<Block>,
    identities: Vec<Identity>,
    positions: BTreeMap<Partition, Position>,
}

impl Worker {
    /// Opens the store and brings its views up to date; answers also with where the catalog is published.
    pub(crate) fn open(
        config: &Config,
        replan: Replan,
        now_ms: u64,
    ) -> Result<(Self, watch::Receiver<Arc<Catalog>>), OpenError> {
        let (store, contents) = Store::open(&config.data_dir)?;
        let damaged = |reason: String| OpenError::Damaged {
            path: store.path().to_owned(),
            reason,
        };
        let mut catalog = relations::catalog();
        let mut views = Vec::new();
        for view in &contents.views {
            let relation = restore(view, &catalog, replan).map_err(|error| OpenError::View {
                path: store.path().to_owned(),
                name: view.name.clone(),
                reason: error.to_string(),
            })?;
            if let Kind::View { query, .. } = &relation.kind {
                let (name, oid) = (relation.name.clone(), relation.oid);
                views.push((ViewId { name, oid }, query.plan.clone()));
            }
            catalog
                .relations
                .insert(relation.name.clone(), Arc::new(relation));
        }
        let retained = contents.blocks.iter().map(|info| info.rows).sum();
        let mut seen = HashSet::with_capacity(retained);
        for info in &contents.blocks {
            seen.extend(
                store
                    .identities(*info)
                    .map_err(|error| damaged(error.to_string()))?,
            );
        }
        let mut dataflows = Dataflows::new(contents.last_ms.max(now_ms));
        for (partition, position) in &contents.positions {
            dataflows.update_position(position_row(partition, *position), 0, 1);
        }
        let past = Past {
            store: &store,
            blocks: &contents.blocks,
            groups_are_stored: true,
        };
        dataflows
            .create_views(views, &past)
            .map_err(|error| damaged(error.to_string()))?;
        let catalog = Arc::new(catalog);
        let (published, receiver) = watch::channel(catalog.clone());
        let worker = Worker {
            store,
            dataflows,
            catalog,
            published,
            blocks: contents.blocks.into(),
            seen,
            seal: contents.seal,
            positions: contents.positions,
            retain_ms: u64::try_from(config.retain.as_millis()).unwrap_or(u64::MAX),
            last_oid: contents.last_oid.max(relations::FIRST_VIEW_OID - 1),
            replan,
        };
        Ok((worker, receiver))
    }

    /// Runs waiting commands at the time `now_ms`. Appends that wait next to each other become one transaction.
    pub(crate) fn run(&mut self, commands: &mut Vec<Command>, now_ms: u64) {
        let mut commands = commands.drain(..).peekable();
        while let Some(command) = commands.next() {
            // Whoever asked and no longer waits needs no answer.
            match command {
                Command::Append { batch, reply } => {
                    let mut rows = batch.block.rows();
                    let mut appends = vec![(*batch, reply)];
                    while rows < GROUP_ROWS_MAX
                        && let Some(Command::Append { .. }) = commands.peek()
                    {
                        let Some(Command::Append { batch, reply }) = commands.next() else {
                            break;
                        };
                        rows += batch.block.rows();
                        appends.push((*batch, reply));
                    }
                    self.append(appends, now_ms);
                }
                Command::Subscribe { query, reply } => {
                    drop(reply.send(self.subscribe(&query, now_ms)));
                }
                Command::Scan { shape, reply } => drop(reply.send(self.scan(*shape, now_ms))),
                Command::CreateView {
                    name,
                    sql,
                    query,
                    reply,
                } => drop(reply.send(self.create_view(name, sql, query, now_ms))),
                Command::DropView { name, reply } => drop(reply.send(self.drop_view(&name))),
            }
        }
    }

    /// Lets time pass.
    pub(crate) fn advance(&mut self, now_ms: u64) {
        if self.expired(now_ms) > 0 {
            let time = now_ms.max(self.dataflows.closed_ms() + 1);
            if let Err(error) = self.commit(News::default(), time) {
                tracing::warn!(%error, "old changes stay until the store can be written");
            }
        }
        self.dataflows.close(now_ms);
    }

    /// How long nothing happens by itself, if something will.
    pub(crate) fn idle_ms_max(&self, now_ms: u64) -> Option<u64> {
        let wake = self.dataflows.next_wake_ms()?;
        Some(wake.saturating_sub(now_ms).max(WAKE_EVERY_MS))
    }

    fn append(
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

    /// How many changes are retained.
    pub(crate) fn retained(&self) -> usize {
        self.blocks.iter().map(|info| info.rows).sum()
    }

    /// How many of the oldest blocks are to leave at `time`.
    fn expired(&self, time: u64) -> usize {
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
    fn commit(&mut self, news: News, time: u64) -> Result<(), StoreError> {
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
        let written = self.written(new, &expired, time)?;
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
    ) -> Result<Written<'a>, StoreError> {
        let log = self.blocks.iter().skip(expired.len());
        let mut log: Vec<BlockInfo> = log.filter(|info| !info.sealed).copied().collect();
        let log_rows: usize = log.iter().map(|info| info.rows).sum();
        // What leaves the log unsealed would take its groups with it.
        let sealed = log_rows + new.1.len() >= SEAL_ROWS || expired.iter().any(|info| !info.sealed);
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

    fn subscribe(&mut self, query: &Query, now_ms: u64) -> Result<Feed, SqlError> {
        self.advance(now_ms);
        let past = Past {
            store: &self.store,
            blocks: self.blocks.make_contiguous(),
            groups_are_stored: false,
        };
        self.dataflows.subscribe(&query.plan, &past)
    }

    /// Begins a scan; whoever asked runs it.
    fn scan(&mut self, shape: Shape, now_ms: u64) -> Result<Scan, SqlError> {
        self.advance(now_ms);
        let opened = self.store.reopen();
        let closed_ms = self.dataflows.closed_ms();
        let blocks = opened.and_then(|()| {
            let blocks = self.blocks.iter();
            let asked = blocks.filter(|info| !shape.is_over(info, closed_ms));
            asked.map(|info| self.store.block(*info)).collect()
        });
        let blocks = blocks.map_err(StoreError::into_sql)?;
        Ok(Scan::new(shape, blocks, closed_ms))
    }

    fn create_view(
        &mut self,
        name: Arc<str>,
        sql: Arc<str>,
        query: Arc<Query>,
        now_ms: u64,
    ) -> Result<Arc<Relation>, SqlError> {
        if self.catalog.get(&name).is_some() {
            return Err(SqlError::new(
                SqlState::DuplicateTable,
                format!("relation \"{name}\" already exists"),
            ));
        }
        // A view that could not be planned again would keep the engine from starting.
        (self.replan)(&sql, &self.catalog)?;
        self.advance(now_ms);
        self.seal(now_ms).map_err(StoreError::into_sql)?;
        let oid = self.last_oid + 1;
        let since_ms = self.blocks.front().map_or(now_ms, |info| info.first_ms);
        let past = Past {
            store: &self.store,
            blocks: self.blocks.make_contiguous(),
            groups_are_stored: false,
        };
        let view = ViewId {
            name: name.clone(),
            oid,
        };
        self.dataflows
            .create_views(vec![(view, query.plan.clone())], &past)?;
        let stored = StoredView {
            oid,
            name: name.to_string(),
            sql: sql.to_string(),
            since_ms,
        };
        let (dataflows, seal) = (&self.dataflows, self.seal);
        let written = self.store.transaction(|write| {
            write.put_view(&stored)?;
            dataflows.save_view(&name, write, seal)
        });
        if let Err(error) = written {
            self.dataflows.drop_view(&name);
            return Err(error.into_sql());
        }
        self.dataflows.saved();
        self.last_oid = oid;
        let columns = query.columns.clone();
        let kind = Kind::View {
            sql,
            query,
            since_ms,
        };
        let relation = Arc::new(Relation {
            oid,
            name: name.clone(),
            columns,
            kind,
        });
        Arc::make_mut(&mut self.catalog)
            .relations
            .insert(name, relation.clone());
        self.published.send_replace(self.catalog.clone());
        Ok(relation)
    }

    /// Empties the log, so that the stored groups are the whole truth: the groups of a new view are stored with all retained
    /// changes counted, and none of them must be counted again at a restart.
    fn seal(&mut self, now_ms: u64) -> Result<(), StoreError> {
        let log: Vec<BlockInfo> = self
            .blocks
            .iter()
            .filter(|info| !info.sealed)
            .copied()
            .collect();
        let (Some(first), Some(last)) = (log.first().copied(), log.last().copied()) else {
            return Ok(());
        };
        self.store.reopen()?;
        let empty = Block::new();
        let merged = self.merge(&log, (&empty, &[]))?;
        let (block, identities) = merged.expect("the log is not empty");
        let info = BlockInfo {
            number: last.number + 1,
            rows: identities.len(),
            first_ms: first.first_ms,
            last_ms: last.last_ms,
            newest_dt_us: block.newest_dt_us()?,
            sealed: true,
        };
        let encoded = store::encode(&info, &block.columns()?, &identities);
        let (dataflows, seal) = (&self.dataflows, self.seal + 1);
        self.store.transaction(|write| {
            for old in &log {
                write.delete_block(old.number)?;
            }
            write.put_block(info, &encoded)?;
            dataflows.save_groups(write, &PreparedBatch::default(), seal)?;
            write.put_time(now_ms.max(dataflows.closed_ms()))
        })?;
        self.seal = seal;
        self.dataflows.saved();
        self.blocks.retain(|info| info.sealed);
        self.blocks.push_back(info);
        Ok(())
    }

    fn drop_view(&mut self, name: &str) -> Result<(), SqlError> {
        let unknown = || {
            SqlError::new(
                SqlState::UndefinedTable,
                format!("unknown relation \"{name}\""),
            )
        };
        let relation = self.catalog.get(name).ok_or_else(unknown)?.clone();
        if !matches!(relation.kind, Kind::View { .. }) {
            return Err(SqlError::new(
                SqlState::WrongObjectType,
                format!("\"{name}\" is not a view"),
            ));
        }
        let users: Vec<String> = self
            .catalog
            .relations
            .values()
            .filter(|user| match &user.kind {
                Kind::View { query, .. } => query.plan.reads().contains(&relation.name),
                _ => false,
            })
            .map(|user| format!("\"{}\"", user.name))
            .collect();
        if !users.is_empty() {
            return Err(SqlError::new(
                SqlState::DependentObjectsStillExist,
                format!("cannot drop \"{name}\": still used by {}", users.join(", ")),
            )
            .hint("Drop the views that use it first."));
        }
        self.store
            .transaction(|write| write.delete_view(relation.oid))
            .map_err(StoreError::into_sql)?;
        self.dataflows.drop_view(&relation.name);
        Arc::make_mut(&mut self.catalog)
            .relations
            .remove(&relation.name);
        self.published.send_replace(self.catalog.clone());
        Ok(())
    }
}

/// A stored view, planned again: plans are not stored, so they may improve from one version to the next.
fn restore(view: &StoredView, catalog: &Catalog, replan: Replan) -> Result<Relation, SqlError> {
    let query = replan(&view.sql, catalog)?;
    Ok(Relation {
        oid: view.oid,
        name: view.name.as_str().into(),
        columns: query.columns.clone(),
        kind: Kind::View {
            sql: view.sql.as_str().into(),
            query: Arc::new(query),
            since_ms: view.since_ms,
        },
    })
}

/// A row of `ingest_position`.
fn position_row((topic, partition): &Partition, position: Position) -> Row {
    let int = |int: Option<i64>| int.map_or(Value::Null, Value::BigInt);
    [
        Value::Text(topic.clone()),
        Value::BigInt(*partition),
        int(position.timestamp_ms),
        int(position.offset),
    ]
    .into_iter()
    .collect()
}
