//! Where `recentchanges` enters a dataflow: blocks of columns in, consolidated updates out.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use differential_dataflow::difference::{IsZero, Semigroup};
use differential_dataflow::input::InputSession;
use hashbrown::{Equivalent, HashMap};

use super::chain::Chain;
use super::errors::Errors;
use super::linear::{Linear, Span};
use super::operators::{Groups, Time};
use super::selection::{Evaluated, Failure};
use super::totals::{Aggregates, Totals};
use crate::engine::error::SqlError;
use crate::engine::expr::Expr;
use crate::engine::packed::{Direction, Packed, encode, normalised};
use crate::engine::plan::Aggregate;
use crate::engine::store::StoreError;
use crate::engine::store::block::Block;
use crate::engine::store::groups::{Entries, shard_of};
use crate::engine::value::{Row, Value};

/// What enters a dataflow, and when it is there.
pub(super) type Entry<D> = (D, Span);

/// One place of a plan that reads `recentchanges`.
pub(super) struct Changes {
    chain: Chain,
    shape: Shape,
    errors: Rc<RefCell<Errors>>,
    /// The number under which the groups are stored, if they are over all time.
    pub(super) all_time: Option<u32>,
    /// How groups have changed since they were last stored.
    unsaved: BTreeMap<Packed, Totals>,
}

/// What enters: rows, or what they add to their groups.
pub(super) enum Shape {
    Rows(InputSession<Time, Entry<Row>, i64>),
    Groups {
        keys: Vec<Expr>,
        groups: Rc<RefCell<Groups>>,
        session: InputSession<Time, Entry<Packed>, Totals>,
    },
}

/// A block as it will enter: evaluated, not yet visible.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    rows: Vec<(Entry<Row>, i64)>,
    groups: HashMap<Entry<Packed>, Totals>,
    errors: Vec<(SqlError, i64)>,
}

/// An [`Entry`] of a group that is looked up before it is made.
#[derive(Hash)]
struct EntryOf<'a>(&'a [u8], Span);

impl Equivalent<Entry<Packed>> for EntryOf<'_> {
    fn equivalent(&self, (key, span): &Entry<Packed>) -> bool {
        self.0 == key.as_bytes() && self.1 == *span
    }
}

impl Prepared {
    /// Nothing will change.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.groups.is_empty() && self.errors.is_empty()
    }

    /// About how much memory the rows will take.
    pub(super) fn bytes(&self) -> usize {
        let rows = self.rows.iter().map(|((row, _), _)| row_bytes(row));
        rows.sum::<usize>() + 64 * self.groups.len()
    }

    fn add(&mut self, key: &[u8], span: Span, totals: Totals) {
        match self.groups.get_mut(&EntryOf(key, span)) {
            Some(known) => known.plus_equals(&totals),
            None => {
                self.groups.insert((Packed::from_bytes(key), span), totals);
            }
        }
    }
}

/// About how much memory a row takes where it is held.
pub(super) fn row_bytes(row: &Row) -> usize {
    let value = |value: &Value| match value {
        Value::Text(text) => 16 + text.len(),
        _ => 16,
    };
    64 + row.values().iter().map(value).sum::<usize>()
}

impl Changes {
    /// Reads these columns of `recentchanges` through a chain.
    pub(super) fn new(
        columns: &[usize],
        linear: Linear,
        shape: Shape,
        errors: Rc<RefCell<Errors>>,
    ) -> Self {
        let chain = match &shape {
            Shape::Rows(_) => Chain::new(columns, linear, None),
            Shape::Groups { keys, groups, .. } => {
                let groups = groups.borrow();
                let keys = keys.iter().filter(|key| !matches!(key, Expr::Column(_)));
                let functions = groups.aggregates.functions().iter();
                let used: Vec<&Expr> = keys.chain(functions.flat_map(Aggregate::exprs)).collect();
                Chain::new(columns, linear, Some(&used))
            }
        };
        Changes {
            chain,
            shape,
            errors,
            all_time: None,
            unsaved: BTreeMap::new(),
        }
    }

    /// Its groups are counted over all time in a view: they follow from running totals alone and never leave by themselves.
    pub(super) fn can_be_all_time(&self) -> bool {
        match &self.shape {
            Shape::Rows(_) => false,
            Shape::Groups { groups, .. } => {
                !self.chain.has_window() && groups.borrow().aggregates.are_accumulable()
            }
        }
    }

    /// Of changes whose newest `dt`, in microseconds, is `newest_dt_us`, nothing is there at `time` or later.
    pub(super) fn is_over(&self, newest_dt_us: Option<i64>, time: Time) -> bool {
        self.chain.is_over(newest_dt_us, time)
    }

    /// Evaluates a block that comes (`diff` 1) or goes (-1) at `time`.
    ///
    /// # Errors
    /// The block cannot be read.
    pub(super) fn prepare(
        &self,
        evaluated: &Evaluated<'_>,
        diff: i64,
        time: Time,
    ) -> Result<Prepared, StoreError> {
        let selecting = self.chain.over(evaluated);
        let mut preparing = Preparing {
            input: self,
            block: evaluated.block,
            diff,
            time,
            row: Vec::new(),
            key: Vec::new(),
            prepared: Prepared::default(),
        };
        for at in 0..evaluated.block.rows() {
            let taken = match selecting.span(at) {
                Ok(Some(span)) => preparing.take(at, span),
                Ok(None) => Ok(()),
                Err(failure) => Err(failure),
            };
            match taken {
                Ok(()) => {}
                Err(Failure::Row(error)) => preparing.prepared.errors.push((error, diff)),
                Err(Failure::Block(error)) => return Err(error),
            }
        }
        Ok(preparing.prepared)
    }

    /// Lets what was prepared enter at `time`.
    pub(super) fn feed(&mut self, prepared: Prepared, time: Time) {
        self.count_errors(prepared.errors);
        match &mut self.shape {
            Shape::Rows(session) => {
                session.advance_to(time);
                for (row, diff) in prepared.rows {
                    session.update(row, diff);
                }
            }
            Shape::Groups { session, .. } => {
                session.advance_to(time);
                for (entry, totals) in prepared.groups {
                    if self.all_time.is_some() {
                        let unsaved = self.unsaved.entry(entry.0.clone()).or_default();
                        unsaved.plus_equals(&totals);
                    }
                    session.update(entry, totals);
                }
            }
        }
    }

    /// Forgets the errors of rows that leave the retained window; over all time nothing else leaves.
    pub(super) fn forget_errors(&self, prepared: Prepared) {
        self.count_errors(prepared.errors);
    }

    fn count_errors(&self, errors: Vec<(SqlError, i64)>) {
        let mut known = self.errors.borrow_mut();
        for (error, diff) in errors {
            known.update(error, diff);
        }
    }

    /// Lets a stored part of a group's totals enter. When nothing stands on the aggregation there is nobody to tell: it goes
    /// to where the groups are held.
    pub(super) fn feed_group(&mut self, key: Packed, totals: Totals) {
        let Shape::Groups {
            session, groups, ..
        } = &mut self.shape
        else {
            unreachable!("only groups are stored")
        };
        let groups = &mut *groups.borrow_mut();
        if groups.is_quiet {
            groups.add(key, &totals);
        } else {
            session.update((key, Span::ALWAYS), totals);
        }
    }

    /// Reads the totals of a stored group.
    pub(super) fn decode(&self, bytes: &[u8]) -> Result<Totals, StoreError> {
        match &self.shape {
            Shape::Groups { groups, .. } => Ok(groups.borrow().aggregates.decode(bytes)?),
            Shape::Rows(_) => unreachable!("only groups are stored"),
        }
    }

    /// No more updates before `time`.
    pub(super) fn advance(&mut self, time: Time) {
        match &mut self.shape {
            Shape::Rows(session) => {
                session.advance_to(time);
                session.flush();
            }
            Shape::Groups { session, .. } => {
                session.advance_to(time);
                session.flush();
            }
        }
    }

    /// How the groups will differ from the stored ones once `prepared` is visible.
    pub(super) fn delta(&self, prepared: &Prepared) -> Entries {
        let mut changes: BTreeMap<&Packed, Totals> = self
            .unsaved
            .iter()
            .map(|(key, change)| (key, change.clone()))
            .collect();
        for ((key, _), change) in &prepared.groups {
            changes.entry(key).or_default().plus_equals(change);
        }
        entries(changes.iter().map(|(key, change)| (*key, change)))
    }

    /// The groups of a shard as they will be once `prepared` is visible.
    pub(super) fn shard(&self, shard: usize, prepared: &Prepared) -> Entries {
        let Shape::Groups { groups, .. } = &self.shape else {
            unreachable!("only groups are stored")
        };
        let groups = groups.borrow();
        let mut changed: BTreeMap<&Packed, Totals> = BTreeMap::new();
        for ((key, _), change) in &prepared.groups {
            if shard_of(key.as_bytes()) == shard {
                let known = || groups.get(key).cloned().unwrap_or_default();
                changed.entry(key).or_insert_with(known).plus_equals(change);
            }
        }
        let unchanged = groups
            .shard(shard)
            .iter()
            .filter(|(key, _)| !changed.contains_key(key));
        let changed = changed.iter().map(|(key, totals)| (*key, totals));
        entries(unchanged.chain(changed))
    }

    /// The store holds all groups as they are now.
    pub(super) fn saved(&mut self) {
        self.unsaved.clear();
    }

    /// A row that is expected to leave has failed; see [`Errors`].
    pub(super) fn has_errors(&self) -> bool {
        !self.errors.borrow().is_empty()
    }
}

/// A block on its way to being [`Prepared`].
struct Preparing<'a> {
    input: &'a Changes,
    block: &'a Block,
    diff: i64,
    time: Time,
    row: Vec<Value>,
    key: Vec<u8>,
    prepared: Prepared,
}

impl Preparing<'_> {
    /// Takes a row that was selected.
    fn take(&mut self, at: usize, mut span: Span) -> Result<(), Failure> {
        let Changes { chain, shape, .. } = self.input;
        match chain.finish(self.block, at, span, &mut self.row)? {
            Some(left) if left.until_ms >= self.time => span = left,
            _ => return Ok(()),
        }
        let (keys, groups) = match shape {
            Shape::Rows(_) => {
                let row = self.row.drain(..).collect();
                self.prepared.rows.push(((row, span), self.diff));
                return Ok(());
            }
            Shape::Groups { keys, groups, .. } => (keys, groups),
        };
        self.key.clear();
        for key in keys {
            match chain.column_of(key, self.block, at)? {
                Some(value) => pack_key(value, &mut self.key),
                None => pack_key(&*key.evaluate(&self.row)?, &mut self.key),
            }
        }
        let totals = groups.borrow().aggregates.of_row(&self.row, self.diff)?;
        self.prepared.add(&self.key, span, totals);
        Ok(())
    }
}

/// Appends one value of a group's key.
pub(super) fn pack_key(value: &Value, key: &mut Vec<u8>) {
    match value {
        Value::Numeric(_) | Value::Double(_) => {
            encode(&normalised(value.clone()), Direction::ASCENDING, key);
        }
        other => encode(other, Direction::ASCENDING, key),
    }
}

/// Groups as they are stored; one without totals is none.
fn entries<'a>(groups: impl Iterator<Item = (&'a Packed, &'a Totals)>) -> Entries {
    let mut entries = Entries::default();
    for (key, totals) in groups.filter(|(_, totals)| !totals.is_zero()) {
        entries.push(key.as_bytes(), &Aggregates::encode(totals));
    }
    entries
}
