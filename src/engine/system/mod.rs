//! pg_catalog and information_schema: relations built from the catalog, as constant rows, at the moment a statement is planned.
//!
//! The planner asks for them by name when a query names one, and runs over them as over anything else; nothing here knows SQL.
//! Clients read little of them but name many columns: a column that the engine has no use for holds what PostgreSQL would say
//! of a plain relation. Every oid is a `bigint`, like every integer of the engine.

mod absent;
mod functions;
mod information_schema;
mod pg_catalog;
mod table;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::catalog::Catalog;
use super::error::SqlError;
use super::sql;
use super::value::{Column, Row};
pub use functions::mz_version;
use table::Table;

/// The schema that everything made by people is in.
pub const PUBLIC: &str = "public";
/// The schema of PostgreSQL's catalog.
pub const PG_CATALOG: &str = "pg_catalog";
/// The schema of the SQL standard's catalog.
pub const INFORMATION_SCHEMA: &str = "information_schema";

/// Who everything belongs to: the engine has one role, whatever its clients call themselves.
const OWNER: &str = "materialize";

/// What a session is, as far as its own statements can see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// `current_user`: what the client called itself.
    pub user: String,
    /// `current_database()`: what the client called it.
    pub database: String,
    /// `pg_backend_pid()`
    pub pid: i32,
    /// Settings by name in lower case, for `current_setting` and pg_settings.
    pub settings: BTreeMap<Arc<str>, Setting>,
}

/// A setting of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Setting {
    /// What it is now.
    pub value: String,
    /// What RESET makes it.
    pub default: String,
    /// What it is for.
    pub description: &'static str,
    /// It only shows something.
    pub is_fixed: bool,
}

/// A system relation as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SystemRelation {
    columns: Vec<Column>,
    rows: Vec<Row>,
}

/// What a session's queries can name: the catalog's relations, and those of the system beside them.
pub struct Relations<'a> {
    /// The relations that people and the engine have made.
    pub catalog: &'a Catalog,
    /// Who asks.
    pub session: &'a Session,
}

impl sql::Relations for Relations<'_> {
    fn relation(&self, name: &sql::Name) -> Result<Option<sql::Resolved>, SqlError> {
        if let Some(resolved) = self.catalog.relation(name)? {
            return Ok(Some(resolved));
        }
        let schema = name.schema.as_deref().unwrap_or(PG_CATALOG);
        let Some(table) = tables().find(|table| table.schema == schema && table.name == name.name)
        else {
            return Ok(None);
        };
        let built = table.build(&Context {
            catalog: self.catalog,
            session: self.session,
        });
        Ok(Some(sql::Resolved {
            columns: built.columns,
            rows: sql::Rows::Constant(built.rows),
            order: Vec::new(),
        }))
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.catalog.names()
    }

    fn function(&self, name: &str, arguments: usize) -> Option<String> {
        functions::body(name, arguments, self.session)
    }
}

/// What the rows are built from.
struct Context<'a> {
    catalog: &'a Catalog,
    session: &'a Session,
}

fn tables() -> impl Iterator<Item = &'static Table> {
    pg_catalog::TABLES
        .iter()
        .chain(information_schema::TABLES)
        .chain(absent::TABLES)
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::catalog::{Kind, Relation};
    use crate::engine::value::{Type, Value};

    fn catalog() -> Catalog {
        let column = |name: &str, ty| Column {
            name: name.into(),
            ty,
            nullable: false,
        };
        let counter = Relation {
            oid: 20_001,
            name: "counter".into(),
            columns: vec![column("count", Type::BigInt)],
            kind: Kind::BuiltIn,
        };
        let input = Relation {
            oid: 20_000,
            name: "wikirecent".into(),
            columns: vec![column("data", Type::Text)],
            kind: Kind::Input,
        };
        Catalog {
            relations: [counter, input]
                .map(|relation| (relation.name.clone(), Arc::new(relation)))
                .into(),
        }
    }

    fn session() -> Session {
        Session {
            user: "ann".into(),
            database: "materialize".into(),
            pid: 7,
            settings: [("server_version".into(), Setting::default())].into(),
        }
    }

    #[test]
    fn every_table_builds_and_its_rows_fit_its_columns() {
        for table in tables() {
            let built = table.build(&Context {
                catalog: &catalog(),
                session: &session(),
            });
            for row in &built.rows {
                assert_eq!(row.values().len(), built.columns.len(), "{}", table.name);
                for (value, column) in row.values().iter().zip(&built.columns) {
                    let fits = match value {
                        Value::Null => column.nullable,
                        Value::Bool(_) => column.ty == Type::Bool,
                        Value::BigInt(_) => column.ty == Type::BigInt,
                        Value::Double(_) => column.ty == Type::Double,
                        Value::Text(_) => column.ty == Type::Text,
                        _ => false,
                    };
                    assert!(fits, "{}.{}: {value:?}", table.name, column.name);
                }
            }
        }
    }

    #[test]
    fn no_two_tables_share_a_number_or_a_name() {
        let mut numbers: Vec<_> = tables().map(|table| table.oid).collect();
        let mut names: Vec<_> = tables().map(|table| (table.schema, table.name)).collect();
        let count = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        names.sort_unstable();
        names.dedup();
        assert_eq!((numbers.len(), names.len()), (count, count));
    }
}
