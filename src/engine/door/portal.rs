//! What a session keeps by name: prepared statements, and portals (which cursors are, too: `DECLARE c` and a Bind to portal
//! `c` make the same thing, and Describe and FETCH find both).

use std::collections::HashMap;
use std::sync::Arc;

use super::answer::Answer;
use super::encoding::{Field, Format};
use super::memory::Kept;
use super::planned::Planned;
use super::stream::Subscription;
use crate::engine::error::{SqlError, SqlState};
use crate::engine::sql::Statement;

/// Prepared statements and portals that a session may keep, each: drivers cache a hundred or so. One more is refused (54000).
const NAMED_MAX: usize = 1_000;

/// A prepared statement.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// What it was parsed from.
    pub(crate) text: Arc<str>,
    /// `None` for an empty text.
    pub(crate) statement: Option<Statement>,
    /// The types of its parameters, in pg_type's numbers.
    pub(crate) parameter_types: Vec<u32>,
    /// Its columns, when it returns rows.
    pub(crate) fields: Option<Vec<Field>>,
    /// What all of this is counted as.
    pub(crate) _kept: Kept,
}

/// A statement with its parameters, perhaps partly run.
#[derive(Debug)]
pub(crate) struct Portal {
    /// What to do; `None` for an empty text.
    pub(crate) planned: Option<Planned>,
    /// The form of its columns.
    pub(crate) formats: Vec<Format>,
    /// How far it has come.
    pub(crate) state: State,
    /// What all of this is counted as.
    pub(crate) kept: Kept,
}

/// How far a portal has come.
#[derive(Debug)]
pub(crate) enum State {
    /// Not run yet.
    New,
    /// Rows that are left of its result.
    Rows(Answer),
    /// A subscription.
    Feed(Box<Subscription>),
    /// Nothing is left.
    Done,
}

impl Portal {
    /// A portal that has not been run.
    pub(crate) fn new(planned: Option<Planned>, formats: Vec<Format>, kept: Kept) -> Portal {
        Portal {
            planned,
            formats,
            state: State::New,
            kept,
        }
    }

    /// Its columns, when it returns rows.
    pub(crate) fn fields(&self) -> Option<&[Field]> {
        self.planned.as_ref()?.fields()
    }
}

/// The prepared statements of a session.
pub(crate) type Statements = Named<Arc<Prepared>>;

/// The portals of a session.
pub(crate) type Portals = Named<Portal>;

/// A bounded set of things with names; the unnamed one is replaced without a word.
#[derive(Debug)]
pub(crate) struct Named<T> {
    items: HashMap<String, T>,
    taken: SqlState,
    missing: SqlState,
    kind: &'static str,
}

impl<T> Named<T> {
    fn new(kind: &'static str, taken: SqlState, missing: SqlState) -> Self {
        Named {
            items: HashMap::new(),
            taken,
            missing,
            kind,
        }
    }

    /// Keeps an item.
    ///
    /// # Errors
    /// The name is taken, or there are too many.
    pub(crate) fn insert(&mut self, name: String, item: T) -> Result<(), SqlError> {
        if !name.is_empty() {
            self.check_free(&name)?;
            if self.items.len() >= NAMED_MAX {
                return Err(SqlError::new(
                    SqlState::ProgramLimitExceeded,
                    format!("more than {NAMED_MAX} {}s in one session", self.kind),
                ));
            }
        }
        self.items.insert(name, item);
        Ok(())
    }

    /// # Errors
    /// The name is taken.
    pub(crate) fn check_free(&self, name: &str) -> Result<(), SqlError> {
        if self.items.contains_key(name) {
            return Err(SqlError::new(
                self.taken,
                format!("{} \"{name}\" already exists", self.kind),
            ));
        }
        Ok(())
    }

    /// The item of that name.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn get(&self, name: &str) -> Result<&T, SqlError> {
        self.items.get(name).ok_or_else(|| self.is_missing(name))
    }

    /// Takes the item of that name out.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn take(&mut self, name: &str) -> Result<T, SqlError> {
        self.items.remove(name).ok_or_else(|| self.is_missing(name))
    }

    /// Forgets the item of that name, if there is one.
    pub(crate) fn remove(&mut self, name: &str) {
        self.items.remove(name);
    }

    /// Puts an item back that was taken.
    pub(crate) fn put_back(&mut self, name: String, item: T) {
        self.items.insert(name, item);
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.items.clear();
    }

    fn is_missing(&self, name: &str) -> SqlError {
        SqlError::new(
            self.missing,
            format!("{} \"{name}\" does not exist", self.kind),
        )
    }
}

impl Default for Named<Arc<Prepared>> {
    fn default() -> Self {
        Named::new(
            "prepared statement",
            SqlState::DuplicatePreparedStatement,
            SqlState::InvalidSqlStatementName,
        )
    }
}

impl Default for Named<Portal> {
    fn default() -> Self {
        Named::new(
            "cursor",
            SqlState::DuplicateCursor,
            SqlState::InvalidCursorName,
        )
    }
}
