//! The worker: takes commands, makes them durable, then visible. It never looks at a clock: the time is an argument.

mod commit;
mod views;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use hashbrown::HashSet;
use tokio::sync::watch;

use self::commit::News;
use self::views::restore;
use super::catalog::{Catalog, Kind};
use super::dataflow::scan::{Scan, Shape};
use super::dataflow::{Dataflows, Past, ViewId};
use super::definition::Replan;
use super::error::SqlError;
use super::feed::Feed;
use super::handle::Command;
use super::plan::Query;
use super::store::batch::{Identity, Partition, Position};
use super::store::{BlockInfo, Store, StoreError};
use super::value::{Row, Value};
use super::{Config, OpenError, Published, relations};

/// Changes that one transaction takes when several batches wait: enough to make its cost small, few enough that subscribers
/// are not left waiting.
const GROUP_ROWS_MAX: usize = 32_768;

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

    /// How many changes are retained.
    pub(crate) fn retained(&self) -> usize {
        self.blocks.iter().map(|info| info.rows).sum()
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
