//! How a query is brought up to date: from stored groups, from the retained changes, and from the relations that it reads.

use super::maintained::Maintained;
use super::selection::Evaluated;
use super::{Dataflows, QUERY_BYTES_MAX, QueryId, too_large};
use crate::engine::error::SqlError;
use crate::engine::packed::Packed;
use crate::engine::relations::INGEST_POSITION;
use crate::engine::store::{BlockInfo, Store, StoreError};

/// Rows that enter a dataflow in one step while it is brought up to date, so that a million of them are never under way at
/// once.
const HYDRATION_ROWS: usize = 8_192;

/// Why a query is there that somebody has just made.
const HYDRATED: &str = "it is being brought up to date";

/// Where a dataflow that is brought up to date finds the past.
pub(crate) struct Past<'a> {
    pub(crate) store: &'a Store,
    pub(crate) blocks: &'a [BlockInfo],
    /// The groups of all-time aggregates are stored; otherwise they are counted from the retained changes.
    pub(crate) groups_are_stored: bool,
}

impl Dataflows {
    /// Brings queries up to date. Their dataflows run through times of their own from 0 on, one a chunk, before they join the
    /// others at the closed time.
    pub(super) fn hydrate(&mut self, ids: &[QueryId], past: &Past<'_>) -> Result<(), SqlError> {
        let closed_ms = self.closed_ms;
        for id in ids {
            self.hydrated(*id).set_quiet(true);
            self.hydrate_groups(*id, past)
                .map_err(StoreError::into_sql)?;
        }
        for info in past.blocks {
            self.hydrate_block(ids, info, past)?;
        }
        for id in ids {
            self.hydrate_relations(*id);
            let query = self.queries.get_mut(id).expect(HYDRATED);
            query.advance(closed_ms + 1);
            query.work_off(&mut self.timely);
            query.take_output();
            query.set_quiet(false);
        }
        Ok(())
    }

    fn hydrated(&mut self, id: QueryId) -> &mut Maintained {
        self.queries.get_mut(&id).expect(HYDRATED)
    }

    /// Lets a block of the past enter the queries that have anything to learn from it; one that nobody asks is never read.
    fn hydrate_block(
        &mut self,
        ids: &[QueryId],
        info: &BlockInfo,
        past: &Past<'_>,
    ) -> Result<(), SqlError> {
        let closed_ms = self.closed_ms;
        let stored = info.sealed && past.groups_are_stored;
        let block = past.store.block(*info).map_err(StoreError::into_sql)?;
        let evaluated = Evaluated::new(&block);
        for id in ids {
            let query = self.queries.get_mut(id).expect(HYDRATED);
            let inputs = query.inputs_of(info, stored, closed_ms);
            if inputs.is_empty() {
                continue;
            }
            query
                .hydrate_block(&inputs, &evaluated, closed_ms)
                .map_err(StoreError::into_sql)?;
            query.step(&mut self.timely);
            if self.held_bytes(*id) > QUERY_BYTES_MAX {
                return Err(too_large());
            }
        }
        Ok(())
    }

    fn hydrate_groups(&mut self, id: QueryId, past: &Past<'_>) -> Result<(), StoreError> {
        if !past.groups_are_stored {
            return Ok(());
        }
        let query = self.queries.get_mut(&id).expect(HYDRATED);
        for (at, stored) in query.stored_aggregates() {
            let mut fed = 0;
            past.store.groups(stored, |key, totals| {
                let key = Packed::from_bytes(key);
                key.values()
                    .map_err(|error| StoreError::Damaged(error.to_string()))?;
                let totals = query.parts.changes[at].decode(totals)?;
                query.parts.changes[at].feed_group(key, totals);
                fed += 1;
                if fed % HYDRATION_ROWS == 0 {
                    query.step(&mut self.timely);
                }
                Ok(())
            })?;
            query.step(&mut self.timely);
        }
        Ok(())
    }

    fn hydrate_relations(&mut self, id: QueryId) {
        let mut query = self.queries.remove(&id).expect(HYDRATED);
        for at in 0..query.parts.relations.len() {
            let name = query.parts.relations[at].name.clone();
            match self.views.get(&name).map(|parent| &self.queries[parent]) {
                Some(parent) => {
                    let mut rows = parent.rows().peekable();
                    while rows.peek().is_some() {
                        query.feed_relation(at, rows.by_ref().take(HYDRATION_ROWS));
                        query.step(&mut self.timely);
                    }
                }
                None if *name == *INGEST_POSITION => {
                    let rows = self
                        .positions
                        .iter()
                        .map(|(row, diff)| (row.clone(), *diff));
                    query.feed_relation(at, rows);
                    query.step(&mut self.timely);
                }
                None => {}
            }
        }
        self.queries.insert(id, query);
    }
}
