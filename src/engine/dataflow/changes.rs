//! Where `recentchanges` enters a dataflow: blocks of columns in, consolidated updates out.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use differential_dataflow::difference::{IsZero, Semigroup};
use differential_dataflow::input::InputSession;

use super::errors::Errors;
use super::linear::{Linear, Span};
use super::operators::{Groups, Time};
use super::render::keyed;
use super::totals::Totals;
use crate::engine::error::SqlError;
use crate::engine::expr::Expr;
use crate::engine::packed::Packed;
use crate::engine::store::StoreError;
use crate::engine::store::block::Block;
use crate::engine::value::{Row, Value};

/// What enters a dataflow, and when it is there.
pub(super) type Entry<D> = (D, Span);

/// One place of a plan that reads `recentchanges`.
pub(super) struct Changes {
    /// Columns of the relation, by position; expressions see them in this order.
    columns: Vec<usize>,
    linear: Linear,
    shape: Shape,
    errors: Rc<RefCell<Errors>>,
    /// The number under which the groups are stored, if they are over all time.
    pub(super) all_time: Option<u32>,
    /// Groups that have changed since they were last stored.
    touched: BTreeSet<Packed>,
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
    rows: HashMap<Entry<Row>, i64>,
    groups: HashMap<Entry<Packed>, Totals>,
    errors: Vec<(SqlError, i64)>,
}

impl Prepared {
    /// Nothing will change.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.groups.is_empty() && self.errors.is_empty()
    }

    /// About how much memory the rows will take.
    pub(super) fn bytes(&self) -> usize {
        let text = |value: &Value| match value {
            Value::Text(text) => text.len(),
            _ => 0,
        };
        let row = |row: &Row| 64 + row.values().iter().map(|v| 16 + text(v)).sum::<usize>();
        self.rows.keys().map(|(data, _)| row(data)).sum::<usize>() + 64 * self.groups.len()
    }
}

impl Changes {
    pub(super) fn new(
        columns: &[usize],
        linear: Linear,
        shape: Shape,
        errors: Rc<RefCell<Errors>>,
    ) -> Self {
        Changes {
            columns: columns.to_vec(),
            linear,
            shape,
            errors,
            all_time: None,
            touched: BTreeSet::new(),
        }
    }

    /// Its groups are counted over all time in a view: they follow from running totals alone and never leave by themselves.
    pub(super) fn can_be_all_time(&self) -> bool {
        match &self.shape {
            Shape::Rows(_) => false,
            Shape::Groups { groups, .. } => {
                !self.linear.has_window() && groups.borrow().aggregates.are_accumulable()
            }
        }
    }

    /// Evaluates a block that comes (`diff` 1) or goes (-1) at `time`.
    ///
    /// # Errors
    /// The block cannot be read.
    pub(super) fn prepare(
        &self,
        block: &Block,
        diff: i64,
        time: Time,
    ) -> Result<Prepared, StoreError> {
        let mut prepared = Prepared::default();
        let mut row = Vec::new();
        let failure = RefCell::new(None);
        for at in 0..block.rows() {
            let fetch = |column: usize| match block.values(self.columns[column]) {
                Ok(values) => values[at].clone(),
                Err(error) => {
                    failure.replace(Some(error));
                    Value::Null
                }
            };
            match self.linear.run(&mut row, fetch) {
                Ok(Some(span)) if span.until_ms >= time => {
                    self.prepare_row(&row, span, diff, &mut prepared);
                }
                Ok(_) => {}
                Err(error) => prepared.errors.push((error, diff)),
            }
        }
        match failure.into_inner() {
            Some(error) => Err(error),
            None => Ok(prepared),
        }
    }

    fn prepare_row(&self, row: &[Value], span: Span, diff: i64, prepared: &mut Prepared) {
        match &self.shape {
            Shape::Rows(_) => {
                let row = row.iter().cloned().collect();
                *prepared.rows.entry((row, span)).or_default() += diff;
            }
            Shape::Groups { keys, groups, .. } => {
                match keyed(keys, &groups.borrow().aggregates, row, diff) {
                    Ok((key, totals)) => prepared
                        .groups
                        .entry((key, span))
                        .or_default()
                        .plus_equals(&totals),
                    Err(error) => prepared.errors.push((error, diff)),
                }
            }
        }
    }

    /// Lets what was prepared enter at `time`.
    pub(super) fn feed(&mut self, prepared: Prepared, time: Time) {
        for (error, diff) in prepared.errors {
            self.errors.borrow_mut().update(error, diff);
        }
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
                        self.touched.insert(entry.0.clone());
                    }
                    session.update(entry, totals);
                }
            }
        }
    }

    /// Forgets the errors of rows that leave the retained window; over all time nothing else leaves.
    pub(super) fn forget_errors(&self, prepared: Prepared) {
        for (error, diff) in prepared.errors {
            self.errors.borrow_mut().update(error, diff);
        }
    }

    /// Lets stored groups enter.
    pub(super) fn feed_group(&mut self, key: Packed, totals: Totals) {
        if let Shape::Groups { session, .. } = &mut self.shape {
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

    /// The groups that differ from the stored ones once `prepared` is visible, with their totals as they will be then.
    pub(super) fn unsaved<'a>(
        &'a self,
        prepared: &'a Prepared,
    ) -> impl Iterator<Item = (Packed, Option<Vec<u8>>)> + 'a {
        let keys: BTreeSet<&Packed> = self
            .touched
            .iter()
            .chain(prepared.groups.keys().map(|(key, _)| key))
            .collect();
        keys.into_iter().map(|key| {
            let Shape::Groups { groups, .. } = &self.shape else {
                unreachable!("only groups are stored")
            };
            let known = groups.borrow().totals.get(key).cloned();
            let mut totals = known.unwrap_or_default();
            if let Some(change) = prepared.groups.get(&(key.clone(), Span::ALWAYS)) {
                totals.plus_equals(change);
            }
            let bytes = (!totals.is_zero()).then(|| super::totals::Aggregates::encode(&totals));
            (key.clone(), bytes)
        })
    }

    /// The store holds all groups as they are now.
    pub(super) fn saved(&mut self) {
        self.touched.clear();
    }

    /// A row that is expected to leave has failed; see [`Errors`].
    pub(super) fn has_errors(&self) -> bool {
        !self.errors.borrow().is_empty()
    }
}
