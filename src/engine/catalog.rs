//! The relations that queries can name, as an immutable value: a statement is planned against one catalog from start to end.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::plan::Query;
use super::value::Column;

/// What a relation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `wikirecent`: changes go in, as one JSON document a row.
    Input,
    /// `recentchanges` and `ingest_position`: kept by the engine itself.
    BuiltIn,
    /// Defined by SQL.
    View {
        /// The statement that made it, as it was written.
        sql: Arc<str>,
        /// Its plan.
        query: Arc<Query>,
        /// It sees changes from this time on, in milliseconds since the epoch.
        since_ms: u64,
    },
}

/// One relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Its number, for pg_catalog; never used twice.
    pub oid: u32,
    /// Its name, folded.
    pub name: Arc<str>,
    /// Its columns.
    pub columns: Vec<Column>,
    /// What it is.
    pub kind: Kind,
}

/// All relations, by folded name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    /// The relations.
    pub relations: BTreeMap<Arc<str>, Arc<Relation>>,
}

impl Catalog {
    /// The relation of that name; `useredits` is the ancestor's name of `user_edits`.
    pub fn get(&self, name: &str) -> Option<&Arc<Relation>> {
        let name = if name == "useredits" {
            "user_edits"
        } else {
            name
        };
        self.relations.get(name)
    }

    /// The views that stand on a relation, directly or through others, those first that no other stands on: the order to drop
    /// them in.
    pub fn users_of(&self, name: &str) -> Vec<Arc<str>> {
        let mut users = Vec::new();
        self.collect_users(name, &mut users);
        users
    }

    fn collect_users(&self, name: &str, users: &mut Vec<Arc<str>>) {
        for relation in self.relations.values() {
            let Kind::View { query, .. } = &relation.kind else {
                continue;
            };
            if query.plan.reads().contains(name) && !users.contains(&relation.name) {
                self.collect_users(&relation.name, users);
                users.push(relation.name.clone());
            }
        }
    }
}
