//! The maintained queries: each plan a dataflow, fed with what changes, read by whoever asks.
//!
//! Queries stand in an order: one that reads a view comes after it, is fed with what the view brought out, and at the same time.
//! A time is *closed* when every dataflow has worked it off; only then do subscribers hear of it, so they all see the same
//! world. This module knows nothing of durability: what enters here is already on disk.

mod chain;
mod changes;
mod errors;
mod hydrate;
mod join;
mod linear;
mod maintained;
mod number;
mod operators;
mod render;
pub(crate) mod scan;
mod selection;
mod skyband;
mod sum;
mod top_k;
mod totals;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use timely::WorkerConfig;
use timely::communication::Allocator;
use timely::communication::allocator::Thread;
use timely::worker::Worker as Timely;

use self::changes::Prepared;
pub(crate) use self::hydrate::Past;
use self::maintained::Maintained;
use self::operators::Time;
use self::selection::Evaluated;
use super::budget::Budget;
use super::error::{SqlError, SqlState};
use super::feed::{self, FEEDS_BYTES_MAX, Feed, Subscriber, Tick};
use super::plan::Plan;
use super::relations::INGEST_POSITION;
use super::store::block::Block;
use super::store::groups::SHARDS;
use super::store::{StoreError, Transaction};
use super::value::Row;

/// How long a dataflow outlives its last subscriber: a page that is loaded again, or a dashboard that asks every few seconds,
/// finds it still there.
const UNUSED_KEPT_MS: u64 = 15_000;

/// Time that passes is told to subscribers at least this often.
const PROGRESS_MS: u64 = 1_000;

/// What a view, or all queries that are no views together, may hold of the retained changes. A question that needs more is
/// refused: it would take the memory from the views.
const QUERY_BYTES_MAX: usize = 256 << 20;

/// Queries that are no views and are maintained at the same time. Each looks at every batch, so a thousand clients with a
/// question of their own would slow down everyone; when there are more, those without a subscriber go first, and then new
/// ones are refused.
const QUERIES_MAX: usize = 256;

/// The number of a maintained query; later ones may read earlier ones.
type QueryId = u64;

/// All maintained queries.
pub(crate) struct Dataflows {
    timely: Timely,
    queries: BTreeMap<QueryId, Maintained>,
    last_id: QueryId,
    /// Relations that queries can read, beside `recentchanges`: views, and those that the worker keeps.
    views: BTreeMap<Arc<str>, QueryId>,
    positions: BTreeMap<Row, i64>,
    position_updates: Vec<(Row, Time, i64)>,
    /// Every time up to this one is closed.
    closed_ms: Time,
    /// What waits for subscribers.
    feeds: Arc<Budget>,
}

/// A batch as it will enter every dataflow.
#[derive(Debug, Default)]
pub(crate) struct PreparedBatch(BTreeMap<QueryId, Vec<Prepared>>);

/// Which view a query is.
#[derive(Debug, Clone)]
pub(crate) struct ViewId {
    pub(crate) name: Arc<str>,
    pub(crate) oid: u32,
}

impl Dataflows {
    /// No queries yet; everything up to `closed_ms` is the past.
    pub(crate) fn new(closed_ms: Time) -> Self {
        let allocator = Allocator::Thread(Thread::default());
        Dataflows {
            timely: Timely::new(WorkerConfig::default(), allocator, None),
            queries: BTreeMap::new(),
            last_id: 0,
            views: BTreeMap::new(),
            positions: BTreeMap::new(),
            position_updates: Vec::new(),
            closed_ms,
            feeds: Budget::new(FEEDS_BYTES_MAX),
        }
    }

    /// Every time up to this one is closed.
    pub(crate) fn closed_ms(&self) -> Time {
        self.closed_ms
    }

    /// Starts maintaining views, given in an order in which each stands after those that it reads.
    ///
    /// # Errors
    /// A plan has an operator that is not maintained, or the past cannot be read. None of the views is there then.
    pub(crate) fn create_views(
        &mut self,
        views: Vec<(ViewId, Plan)>,
        past: &Past<'_>,
    ) -> Result<(), SqlError> {
        let mut created = Vec::new();
        let done = views
            .into_iter()
            .try_for_each(|(view, plan)| {
                created.push((view.name.clone(), self.install(plan, Some(view))?));
                let (name, id) = created.last().expect("just pushed").clone();
                self.views.insert(name, id);
                Ok(())
            })
            .and_then(|()| {
                let ids: Vec<QueryId> = created.iter().map(|(_, id)| *id).collect();
                self.hydrate(&ids, past)
            });
        if done.is_err() {
            for (name, id) in created {
                self.views.remove(&name);
                self.remove(id);
            }
        }
        done
    }

    /// Ends a view and whoever reads it; the caller has made sure that no other view does.
    pub(crate) fn drop_view(&mut self, name: &str) {
        let Some(id) = self.views.remove(name) else {
            return;
        };
        let gone = SqlError::new(
            SqlState::UndefinedTable,
            format!("the view \"{name}\" was dropped"),
        );
        for reader in self.readers_of(id).into_iter().chain([id]) {
            if let Some(query) = self.queries.get_mut(&reader) {
                query.fail(&gone);
            }
            self.remove(reader);
        }
    }

    fn readers_of(&self, id: QueryId) -> Vec<QueryId> {
        let reads = |(_, query): &(&QueryId, &Maintained)| query.parents.contains(&id);
        self.queries
            .iter()
            .filter(reads)
            .map(|(id, _)| *id)
            .collect()
    }

    /// A feed of a plan's rows, from the closed time on.
    ///
    /// # Errors
    /// As [`Dataflows::create_views`]; also whatever fails in one of the query's rows.
    pub(crate) fn subscribe(&mut self, plan: &Plan, past: &Past<'_>) -> Result<Feed, SqlError> {
        feed::check_room(&self.feeds)?;
        let id = match self.find(plan) {
            Some(id) => id,
            None => {
                self.make_room()?;
                let id = self.install(plan.clone(), None)?;
                if let Err(error) = self.hydrate(&[id], past) {
                    self.remove(id);
                    return Err(error);
                }
                id
            }
        };
        let as_of_ms = self.closed_ms;
        if let Some(error) = self.error_of(id) {
            return Err(error);
        }
        let query = self.queries.get_mut(&id).expect("found or installed above");
        let updates = query.rows().map(|(row, diff)| (row, as_of_ms, diff));
        let snapshot = Tick::new(updates.collect(), as_of_ms + 1, &self.feeds);
        let (subscriber, ticks) = Subscriber::new(snapshot);
        query.subscribers.push(subscriber);
        query.unused_since_ms = None;
        Ok(Feed { as_of_ms, ticks })
    }

    /// Makes room for one more query.
    fn make_room(&mut self) -> Result<(), SqlError> {
        let queries = || {
            self.queries
                .iter()
                .filter(|(_, query)| query.view.is_none())
        };
        if queries().count() < QUERIES_MAX {
            return Ok(());
        }
        let unused: Vec<QueryId> = queries()
            .filter(|(_, query)| query.subscribers.is_empty())
            .map(|(id, _)| *id)
            .collect();
        if unused.is_empty() {
            return Err(SqlError::new(
                SqlState::ConfigurationLimitExceeded,
                format!("{QUERIES_MAX} different queries are being answered already"),
            )
            .hint("Create a view for what many clients ask; all of its subscribers share one."));
        }
        unused.into_iter().for_each(|id| self.remove(id));
        Ok(())
    }

    /// What a query holds together with those it shares its bound with.
    fn held_bytes(&self, id: QueryId) -> usize {
        let query = &self.queries[&id];
        if query.view.is_some() {
            return query.held_bytes();
        }
        let others = self.queries.values().filter(|query| query.view.is_none());
        others.map(Maintained::held_bytes).sum()
    }

    /// The query that maintains these rows already.
    fn find(&self, plan: &Plan) -> Option<QueryId> {
        if let Plan::Get { name, columns } = plan
            && let Some(id) = self.views.get(name)
            && columns.iter().copied().eq(0..self.queries[id].plan.arity())
        {
            return Some(*id);
        }
        self.queries
            .iter()
            .find(|(_, query)| query.plan == *plan && !query.is_all_time())
            .map(|(id, _)| *id)
    }

    fn install(&mut self, plan: Plan, view: Option<ViewId>) -> Result<QueryId, SqlError> {
        let relations: BTreeSet<Arc<str>> = plan.reads();
        let parents = relations
            .iter()
            .filter_map(|name| self.views.get(name).copied())
            .collect();
        let query = Maintained::install(&mut self.timely, plan, view, parents)?;
        self.last_id += 1;
        self.queries.insert(self.last_id, query);
        Ok(self.last_id)
    }

    fn remove(&mut self, id: QueryId) {
        if let Some(query) = self.queries.remove(&id) {
            query.uninstall(&mut self.timely);
        }
    }

    /// Evaluates a block that comes or goes at `time`, without letting it enter. Its newest `dt` is `newest_dt_us`.
    ///
    /// # Errors
    /// The block cannot be read.
    pub(crate) fn prepare(
        &self,
        block: &Block,
        newest_dt_us: Option<i64>,
        diff: i64,
        time: Time,
    ) -> Result<PreparedBatch, StoreError> {
        let mut batch = PreparedBatch::default();
        let evaluated = Evaluated::new(block);
        for (id, query) in &self.queries {
            let prepared: Vec<Prepared> = query
                .parts
                .changes
                .iter()
                .map(|input| match input.all_time {
                    // Nothing leaves an all-time aggregate but an error.
                    Some(_) if diff < 0 && !input.has_errors() => Ok(Prepared::default()),
                    _ if input.is_over(newest_dt_us, time) => Ok(Prepared::default()),
                    _ => input.prepare(&evaluated, diff, time),
                })
                .collect::<Result<_, _>>()?;
            if !prepared.iter().all(Prepared::is_empty) {
                batch.0.insert(*id, prepared);
            }
        }
        Ok(batch)
    }

    /// Writes how all-time aggregates have changed since the last seal, once `batch` is visible, and one shard of each.
    ///
    /// # Errors
    /// The store cannot be written.
    pub(crate) fn save_groups(
        &self,
        write: &Transaction<'_>,
        batch: &PreparedBatch,
        seal: u64,
    ) -> Result<(), StoreError> {
        let nothing = Prepared::default();
        let shard = (seal % SHARDS as u64) as usize;
        for (query, prepared) in self.queries.iter().map(|(id, q)| (q, batch.0.get(id))) {
            for (at, id) in query.stored_aggregates() {
                let input = &query.parts.changes[at];
                let prepared = prepared.map_or(&nothing, |prepared| &prepared[at]);
                write.put_delta(id, seal, input.delta(prepared))?;
                write.put_shard(id, shard, seal, input.shard(shard, prepared))?;
                write.delete_old_deltas(id, seal)?;
            }
        }
        write.put_seal(seal)
    }

    /// The store holds all groups as they are now.
    pub(crate) fn saved(&mut self) {
        for query in self.queries.values_mut() {
            query
                .parts
                .changes
                .iter_mut()
                .for_each(changes::Changes::saved);
        }
    }

    /// Writes all groups of a view that has just been created, as they are after `seal`.
    ///
    /// # Errors
    /// The store cannot be written.
    pub(crate) fn save_view(
        &self,
        name: &str,
        write: &Transaction<'_>,
        seal: u64,
    ) -> Result<(), StoreError> {
        let nothing = Prepared::default();
        let query = &self.queries[&self.views[name]];
        for (at, id) in query.stored_aggregates() {
            for shard in 0..SHARDS {
                let entries = query.parts.changes[at].shard(shard, &nothing);
                write.put_shard(id, shard, seal, entries)?;
            }
        }
        Ok(())
    }

    /// Lets a prepared batch enter at `time`; it becomes visible when the time is closed.
    pub(crate) fn feed(&mut self, batch: PreparedBatch, diff: i64, time: Time) {
        for (id, prepared) in batch.0 {
            let query = self
                .queries
                .get_mut(&id)
                .expect("no query goes while a batch is written");
            for (input, prepared) in query.parts.changes.iter_mut().zip(prepared) {
                if diff < 0 && input.all_time.is_some() {
                    input.forget_errors(prepared);
                } else {
                    input.feed(prepared, time);
                }
            }
            query.has_news = true;
        }
    }

    /// Changes a row of `ingest_position` at `time`.
    pub(crate) fn update_position(&mut self, row: Row, time: Time, diff: i64) {
        operators::update(&mut self.positions, row.clone(), diff);
        self.position_updates.push((row, time, diff));
    }

    /// Closes every time up to `time` and tells subscribers.
    pub(crate) fn close(&mut self, time: Time) {
        let time = time.max(self.closed_ms);
        let mut brought_out: BTreeMap<QueryId, Vec<(Row, Time, i64)>> = BTreeMap::new();
        let positions = std::mem::take(&mut self.position_updates);
        for (id, query) in &mut self.queries {
            for at in 0..query.parts.relations.len() {
                let name = &query.parts.relations[at].name;
                let updates = match self.views.get(name) {
                    Some(parent) => brought_out.get(parent).map(Vec::as_slice),
                    None => (**name == *INGEST_POSITION).then_some(&*positions),
                };
                query.feed_updates(at, updates.unwrap_or_default());
            }
            if query.has_work(time) {
                query.advance(time + 1);
                query.work_off(&mut self.timely);
                brought_out.insert(*id, query.take_output());
            }
        }
        self.closed_ms = time;
        self.tell(brought_out);
    }

    fn tell(&mut self, mut brought_out: BTreeMap<QueryId, Vec<(Row, Time, i64)>>) {
        let time = self.closed_ms;
        let failed: Vec<(QueryId, SqlError)> = self
            .queries
            .iter()
            .filter(|(_, query)| !query.subscribers.is_empty())
            .filter_map(|(id, _)| self.error_of(*id).map(|error| (*id, error)))
            .collect();
        for (id, error) in failed {
            self.queries
                .get_mut(&id)
                .expect("listed above")
                .fail(&error);
        }
        for (id, query) in &mut self.queries {
            query.tell(
                brought_out.remove(id).unwrap_or_default(),
                time,
                PROGRESS_MS,
                &self.feeds,
            );
        }
        let unused: Vec<QueryId> = self
            .queries
            .iter()
            .filter(|(_, query)| query.view.is_none() && query.unused_ms(time) > UNUSED_KEPT_MS)
            .map(|(id, _)| *id)
            .collect();
        for id in unused {
            self.remove(id);
        }
    }

    /// An error of the query or of one that it reads.
    fn error_of(&self, id: QueryId) -> Option<SqlError> {
        let query = self.queries.get(&id)?;
        let own = query.parts.errors.borrow().first();
        own.or_else(|| {
            query
                .parents
                .iter()
                .find_map(|parent| self.error_of(*parent))
        })
    }

    /// When a row comes or goes by itself next.
    pub(crate) fn next_wake_ms(&self) -> Option<Time> {
        self.queries
            .values()
            .filter_map(Maintained::next_wake_ms)
            .min()
    }
}

fn too_large() -> SqlError {
    SqlError::new(
        SqlState::ProgramLimitExceeded,
        format!(
            "queries would hold more than {} MiB of the retained changes",
            QUERY_BYTES_MAX >> 20
        ),
    )
    .hint("Ask for fewer columns, add a filter, or aggregate.")
}
