//! pg_catalog: the relations that drivers and tools read, in the shape of PostgreSQL 9.5 (the version the engine claims) with
//! the later columns that newer clients ask for without looking.

mod classes;
mod cluster;
mod settings;
mod types;

use super::table::Table;
pub(super) use classes::{Entry, definition, entries};
pub(super) use types::type_entry;

/// The one role and owner of everything.
const OWNER_OID: i64 = 10;

/// The relations of this schema.
pub(super) const TABLES: &[&Table] = &[
    &classes::PG_NAMESPACE,
    &classes::PG_CLASS,
    &classes::PG_ATTRIBUTE,
    &classes::PG_TABLES,
    &classes::PG_VIEWS,
    &types::PG_TYPE,
    &types::PG_PROC,
    &types::PG_COLLATION,
    &types::PG_LANGUAGE,
    &types::PG_AM,
    &cluster::PG_DATABASE,
    &cluster::PG_ROLES,
    &cluster::PG_USER,
    &cluster::PG_TABLESPACE,
    &cluster::PG_STAT_ACTIVITY,
    &settings::PG_SETTINGS,
    &settings::PG_SHOW_ALL_SETTINGS,
];
