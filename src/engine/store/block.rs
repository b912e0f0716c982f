//! Changes in columns: how they are read from JSON, kept, expired and asked.
//!
//! A block does not know where it lies: its columns are in memory, or come from the store one by one when a query asks for
//! them first.

use std::cell::OnceCell;

use super::StoreError;
use super::column::Column;
use crate::change::Change;
use crate::engine::relations::{CHANGE_COLUMNS, DT};
use crate::engine::value::Value;

/// Where the columns of a block come from that is not in memory.
pub(crate) trait Lazy: Send {
    /// The column at that place of `recentchanges`.
    fn column(&self, at: usize) -> Result<Column, StoreError>;
}

/// Some changes.
pub(crate) struct Block {
    rows: usize,
    columns: Vec<OnceCell<Column>>,
    values: Vec<OnceCell<Vec<Value>>>,
    lazy: Option<Box<dyn Lazy>>,
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Block")
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl Block {
    /// A block that is filled by [`Block::push`] and [`Block::append`].
    pub(crate) fn new() -> Self {
        let columns = CHANGE_COLUMNS
            .iter()
            .map(|(_, ty)| OnceCell::from(Column::new(*ty)))
            .collect();
        Block {
            rows: 0,
            columns,
            values: vec![OnceCell::new(); CHANGE_COLUMNS.len()],
            lazy: None,
        }
    }

    /// A block whose columns are fetched when they are asked for.
    pub(crate) fn lazy(rows: usize, lazy: Box<dyn Lazy>) -> Self {
        Block {
            rows,
            columns: vec![OnceCell::new(); CHANGE_COLUMNS.len()],
            values: vec![OnceCell::new(); CHANGE_COLUMNS.len()],
            lazy: Some(lazy),
        }
    }

    /// How many changes.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The values of one column of `recentchanges`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn values(&self, at: usize) -> Result<&[Value], StoreError> {
        if self.values[at].get().is_none() {
            let values = self.column(at)?.values(CHANGE_COLUMNS[at].1)?;
            // It was empty a line ago, and nobody else is here.
            let _ = self.values[at].set(values);
        }
        Ok(self.values[at].get().expect("set above"))
    }

    /// The newest `dt`, in microseconds since the epoch; `None`: no change has one.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn newest_dt_us(&self) -> Result<Option<i64>, StoreError> {
        Ok(match self.column(DT)? {
            Column::Int(times) => times.iter().flatten().copied().max(),
            Column::Bool(_) | Column::Text(_) => unreachable!("dt is a time"),
        })
    }

    /// One typed column of `recentchanges`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn column(&self, at: usize) -> Result<&Column, StoreError> {
        if let (None, Some(lazy)) = (self.columns[at].get(), &self.lazy) {
            let _ = self.columns[at].set(lazy.column(at)?);
        }
        Ok(self.columns[at]
            .get()
            .expect("a block without a store has all its columns"))
    }

    /// All columns, in their order.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn columns(&self) -> Result<Vec<&Column>, StoreError> {
        (0..CHANGE_COLUMNS.len())
            .map(|at| self.column(at))
            .collect()
    }

    /// Appends all changes of `other`.
    ///
    /// # Errors
    /// The store, where `other` is, cannot be read.
    pub(crate) fn append(&mut self, other: &Block) -> Result<(), StoreError> {
        for at in 0..CHANGE_COLUMNS.len() {
            let from = other.column(at)?;
            self.column_mut(at).append(from);
        }
        self.rows += other.rows;
        Ok(())
    }

    /// Keeps the changes for which `keep` is true.
    pub(crate) fn retain(&mut self, keep: &[bool]) {
        for at in 0..CHANGE_COLUMNS.len() {
            self.column_mut(at).retain(keep);
        }
        self.rows = keep.iter().filter(|keep| **keep).count();
    }

    /// Appends one change.
    pub(crate) fn push(&mut self, change: &Change<'_>) {
        let mut at = 0..CHANGE_COLUMNS.len();
        let meta = &change.meta;
        // In the order of CHANGE_COLUMNS.
        self.push_text(at.next(), change.r_schema.as_deref());
        self.push_bool(at.next(), change.bot);
        self.push_text(at.next(), change.comment.as_deref());
        self.push_int(at.next(), change.id);
        self.push_int(at.next(), change.length_new);
        self.push_int(at.next(), change.length_old);
        self.push_text(at.next(), meta.uri.as_deref());
        self.push_text(at.next(), meta.id.as_deref());
        self.push_bool(at.next(), change.minor);
        self.push_int(at.next(), change.namespace);
        self.push_text(at.next(), change.parsedcomment.as_deref());
        self.push_int(at.next(), change.revision_new);
        self.push_int(at.next(), change.revision_old);
        self.push_text(at.next(), change.server_name.as_deref());
        self.push_text(at.next(), change.server_script_path.as_deref());
        self.push_text(at.next(), change.server_url.as_deref());
        self.push_int(at.next(), change.timestamp_s);
        self.push_text(at.next(), change.title.as_deref());
        self.push_text(at.next(), change.kind.as_deref());
        self.push_text(at.next(), change.user.as_deref());
        self.push_text(at.next(), change.wiki.as_deref());
        self.push_int(at.next(), meta.dt_ms.and_then(|ms| ms.checked_mul(1000)));
        self.rows += 1;
    }

    fn push_text(&mut self, at: Option<usize>, text: Option<&str>) {
        if let Some(Column::Text(texts)) = at.map(|at| self.column_mut(at)) {
            texts.push(text);
        }
    }

    fn push_int(&mut self, at: Option<usize>, int: Option<i64>) {
        if let Some(Column::Int(ints)) = at.map(|at| self.column_mut(at)) {
            ints.push(int);
        }
    }

    fn push_bool(&mut self, at: Option<usize>, bool: Option<bool>) {
        if let Some(Column::Bool(bools)) = at.map(|at| self.column_mut(at)) {
            bools.push(bool);
        }
    }

    fn column_mut(&mut self, at: usize) -> &mut Column {
        self.values[at].take();
        self.columns[at]
            .get_mut()
            .expect("only blocks in memory are changed")
    }
}
