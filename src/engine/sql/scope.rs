//! The columns that an expression can name, and the queries around it.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::bound::Bound;
use super::context::closest;
use crate::engine::error::{SqlError, SqlState};
use crate::engine::plan::{OrderKey, Plan};
use crate::engine::value::Column;

/// A planned query or relation: its operator, and what its columns are called.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub(super) plan: Plan,
    pub(super) columns: Vec<Column>,
    /// The order that it was asked for in, over its columns. A query that only passes its rows on, and names no order, keeps it:
    /// who selects from `top10` wants to see ranks, and Postgres does it so with subqueries.
    pub(super) order: Vec<OrderKey>,
}

/// The names around a query: those of its WITH, and the rows of the queries that it stands in.
#[derive(Clone)]
pub(super) struct Names<'s> {
    pub(super) ctes: Rc<BTreeMap<String, Rc<Planned>>>,
    pub(super) outer: Option<&'s Scope<'s>>,
}

/// One column of a scope.
#[derive(Debug, Clone)]
pub(super) struct ScopeColumn {
    /// What its table is called there.
    pub(super) table: Option<Arc<str>>,
    /// The schema, when the table was named with one and has no alias.
    pub(super) schema: Option<Arc<str>>,
    pub(super) column: Column,
    /// Only found with its table's name: the second of two columns that USING made one.
    pub(super) qualified_only: bool,
}

/// The columns that an expression can name.
pub(super) struct Scope<'s> {
    pub(super) columns: Vec<ScopeColumn>,
    pub(super) names: Names<'s>,
    /// The arguments of the function whose SQL body is being bound.
    pub(super) arguments: Option<&'s [Bound]>,
}

/// A name, resolved.
pub(super) struct Found<'s> {
    /// How many queries outwards; 0 is here.
    pub(super) depth: usize,
    /// Its position there.
    pub(super) at: usize,
    pub(super) column: &'s Column,
}

impl<'s> Scope<'s> {
    /// No columns, within these names.
    pub(super) fn empty(names: Names<'s>) -> Self {
        Scope {
            columns: Vec::new(),
            names,
            arguments: None,
        }
    }

    /// Finds `column` or `table.column` or `schema.table.column`, here or in a query around.
    pub(super) fn find(&self, qualifier: &[String], name: &str) -> Result<Found<'_>, SqlError> {
        let mut scope = self;
        let mut depth = 0;
        loop {
            if let Some(at) = scope.find_here(qualifier, name)? {
                return Ok(Found {
                    depth,
                    at,
                    column: &scope.columns[at].column,
                });
            }
            match scope.names.outer {
                Some(outer) => {
                    scope = outer;
                    depth += 1;
                }
                None => return Err(self.unknown_column(qualifier, name)),
            }
        }
    }

    pub(super) fn find_here(
        &self,
        qualifier: &[String],
        name: &str,
    ) -> Result<Option<usize>, SqlError> {
        let mut found = self.columns.iter().enumerate().filter(|(_, candidate)| {
            *candidate.column.name == *name
                && candidate.is_of(qualifier)
                && !(qualifier.is_empty() && candidate.qualified_only)
        });
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(SqlError::new(
                SqlState::AmbiguousColumn,
                format!("column reference \"{name}\" is ambiguous"),
            )),
            (first, _) => Ok(first.map(|(at, _)| at)),
        }
    }

    /// A table of that name is here.
    pub(super) fn has_table(&self, qualifier: &[String]) -> bool {
        self.columns.iter().any(|column| column.is_of(qualifier))
    }

    fn unknown_column(&self, qualifier: &[String], name: &str) -> SqlError {
        let mut table_known = qualifier.is_empty();
        let mut scope = Some(self);
        while let Some(here) = scope {
            table_known |= here.has_table(qualifier);
            scope = here.names.outer;
        }
        if !table_known {
            return missing_table(&qualifier.join("."));
        }
        let shown: Vec<&str> = qualifier.iter().map(String::as_str).chain([name]).collect();
        let shown = if qualifier.is_empty() {
            format!("\"{name}\"")
        } else {
            shown.join(".")
        };
        let error = SqlError::new(
            SqlState::UndefinedColumn,
            format!("column {shown} does not exist"),
        );
        let candidates = self
            .columns
            .iter()
            .filter(|column| qualifier.is_empty() || column.is_of(qualifier))
            .map(|column| &*column.column.name);
        match closest(name, candidates) {
            Some(candidate) => error.hint(format!("Perhaps you meant the column \"{candidate}\".")),
            None => error,
        }
    }
}

/// The error for a table name that qualifies a column and is not in FROM.
pub(super) fn missing_table(name: &str) -> SqlError {
    SqlError::new(
        SqlState::UndefinedTable,
        format!("missing FROM-clause entry for table \"{name}\""),
    )
}

impl ScopeColumn {
    pub(super) fn is_of(&self, qualifier: &[String]) -> bool {
        let is = |own: &Option<Arc<str>>, wanted: &String| own.as_deref() == Some(wanted.as_str());
        match qualifier {
            [] => true,
            [table] => is(&self.table, table),
            [schema, table] | [_, schema, table] => {
                is(&self.table, table) && is(&self.schema, schema)
            }
            _ => false,
        }
    }
}
