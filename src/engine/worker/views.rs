//! The views: made, dropped, and planned again when the store is opened.

use std::sync::Arc;

use super::Worker;
use crate::engine::catalog::{Catalog, Kind, Relation};
use crate::engine::dataflow::{Past, ViewId};
use crate::engine::definition::Replan;
use crate::engine::error::{SqlError, SqlState};
use crate::engine::plan::Query;
use crate::engine::store::{StoreError, StoredView};

impl Worker {
    /// Defines a view, with all retained changes counted in it.
    pub(super) fn create_view(
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

    /// Forgets a view that no other uses.
    pub(super) fn drop_view(&mut self, name: &str) -> Result<(), SqlError> {
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
pub(super) fn restore(
    view: &StoredView,
    catalog: &Catalog,
    replan: Replan,
) -> Result<Relation, SqlError> {
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
