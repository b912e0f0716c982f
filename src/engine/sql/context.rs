//! What a query is planned against: the relations there are, the time it is, and the values of its parameters.

use std::cell::RefCell;
use std::sync::Arc;

use super::statement::Name;
use crate::engine::catalog::{Catalog, Kind};
use crate::engine::error::{SqlError, SqlState};
use crate::engine::plan::OrderKey;
use crate::engine::value::{Column, Row, Type, Value};

/// Relations (and functions defined by SQL) by name. [`Catalog`] is one; a session's has the relations of pg_catalog beside it.
pub trait Relations {
    /// The relation of that name, if there is one.
    ///
    /// # Errors
    /// A relation that is there and cannot be read.
    fn relation(&self, name: &Name) -> Result<Option<Resolved>, SqlError>;

    /// The names that a misspelt one may have meant.
    fn names(&self) -> Vec<Arc<str>>;

    /// The SQL expression that a function stands for, its arguments written as `$1`, `$2`, ...: how the functions of pg_catalog are
    /// made. `to_regclass` and its kind also serve casts of text to these types; `regclassout` and its kind casts of numbers.
    fn function(&self, name: &str, arguments: usize) -> Option<String> {
        let _ = (name, arguments);
        None
    }
}

/// A relation as a query reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// Its columns.
    pub columns: Vec<Column>,
    /// Where its rows are.
    pub rows: Rows,
    /// The order that its definition asks for, over its columns; none of most.
    pub order: Vec<OrderKey>,
}

/// Where a relation's rows are.
#[derive(Debug, Clone, PartialEq)]
pub enum Rows {
    /// The engine maintains them under this name.
    Maintained(Arc<str>),
    /// Here they are.
    Constant(Vec<Row>),
}

/// What a query is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A SELECT: answered once, in its order; `now()` is the time of planning.
    Once,
    /// A view or a subscription: kept up to date; only temporal filters see the time.
    Maintained,
}

/// The parameters `$1`, `$2`, ... of a statement.
#[derive(Debug)]
pub enum Parameters<'a> {
    /// Their values, of these types.
    Values(&'a [(Value, Type)]),
    /// Not known yet: their types are being asked for. What is known already, and what is found out.
    Infer(&'a RefCell<Vec<Option<Type>>>),
}

/// Everything that planning depends on.
pub struct Context<'a> {
    /// The relations.
    pub relations: &'a dyn Relations,
    /// The time, in milliseconds since the epoch.
    pub now_ms: u64,
    /// What the query is for.
    pub purpose: Purpose,
    /// The parameters.
    pub parameters: Parameters<'a>,
    /// The text that the query was parsed from, for the positions of errors; it may be empty.
    pub sql: &'a str,
}

impl<'a> Context<'a> {
    /// A query without parameters.
    pub fn new(relations: &'a dyn Relations, now_ms: u64, purpose: Purpose) -> Self {
        Context {
            relations,
            now_ms,
            purpose,
            parameters: Parameters::Values(&[]),
            sql: "",
        }
    }
}

impl Relations for Catalog {
    fn relation(&self, name: &Name) -> Result<Option<Resolved>, SqlError> {
        if name
            .schema
            .as_deref()
            .is_some_and(|schema| schema != super::SCHEMA)
        {
            return Ok(None);
        }
        let Some(relation) = self.get(&name.name) else {
            return Ok(None);
        };
        if relation.kind == Kind::Input {
            return Err(SqlError::new(
                SqlState::WrongObjectType,
                format!("\"{}\" takes changes and does not keep them", relation.name),
            )
            .hint("Select from recentchanges, which has a row for each change."));
        }
        Ok(Some(Resolved {
            columns: relation.columns.clone(),
            rows: Rows::Maintained(relation.name.clone()),
            order: match &relation.kind {
                Kind::View { query, .. } => query.order.clone(),
                Kind::Input | Kind::BuiltIn => Vec::new(),
            },
        }))
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.relations
            .values()
            .filter(|relation| relation.kind != Kind::Input)
            .map(|relation| relation.name.clone())
            .collect()
    }
}

/// The candidate that looks most like `name`, if one looks enough like it.
pub(super) fn closest<'n>(
    name: &str,
    candidates: impl Iterator<Item = &'n str>,
) -> Option<&'n str> {
    candidates
        .map(|candidate| (edit_distance(name, candidate), candidate))
        .min()
        .filter(|(distance, _)| *distance <= name.chars().count() / 3 + 1)
        .map(|(_, candidate)| candidate)
}

/// How many characters must be put in, taken out or changed (Levenshtein).
fn edit_distance(left: &str, right: &str) -> usize {
    // Names are short; what is longer need not be exact.
    let right: Vec<char> = right.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, wanted) in left.chars().take(64).enumerate() {
        let mut diagonal = above;
        row[0] = above + 1;
        for at in 0..right.len() {
            let changed = diagonal + usize::from(right[at] != wanted);
            diagonal = row[at + 1];
            row[at + 1] = changed.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row[right.len()]
}
