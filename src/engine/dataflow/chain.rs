//! A chain of row-by-row operators that stands on `recentchanges`: a selection over the columns of a block, and what becomes of
//! the rows that it leaves.

use std::collections::BTreeSet;

use super::linear::{Linear, Span};
use super::operators::Time;
use super::selection::{Evaluated, Failure, Selecting, Selection};
use crate::engine::expr::Expr;
use crate::engine::plan::Plan;
use crate::engine::relations::RECENTCHANGES;
use crate::engine::store::block::Block;
use crate::engine::value::Value;

/// The chain.
#[derive(Debug)]
pub(super) struct Chain {
    /// Columns of `recentchanges`, by position; expressions see them in this order.
    columns: Vec<usize>,
    selection: Selection,
    rest: Linear,
    /// The columns that are fetched for rows that were selected: where expressions see them.
    fetched: Vec<usize>,
}

impl Chain {
    /// A chain over these columns of `recentchanges`. `used` are the expressions that will be evaluated over its rows; `None`:
    /// rows are used as they are.
    pub(super) fn new(columns: &[usize], mut linear: Linear, used: Option<&[&Expr]>) -> Self {
        let steps = linear.take_selection();
        let fetched = match (linear.first_exprs(), used) {
            (Some(exprs), _) => read_by(&exprs),
            (None, Some(exprs)) => read_by(exprs),
            (None, None) => (0..columns.len()).collect(),
        };
        Chain {
            columns: columns.to_vec(),
            selection: Selection::new(steps, columns),
            rest: linear,
            fetched,
        }
    }

    /// Rows can come and go by themselves.
    pub(super) fn has_window(&self) -> bool {
        self.selection.has_window() || self.rest.has_window()
    }

    /// Of changes whose newest `dt`, in microseconds, is `newest_dt_us`, nothing is there at `time` or later.
    pub(super) fn is_over(&self, newest_dt_us: Option<i64>, time: Time) -> bool {
        self.selection.is_over(newest_dt_us, time)
    }

    /// The selection, at work on a block.
    pub(super) fn over<'a>(&self, evaluated: &'a Evaluated<'a>) -> Selecting<'a> {
        self.selection.over(evaluated)
    }

    /// Leaves in `row` what becomes of a row that was selected for a span, and answers with the span that is left of it; `None`:
    /// nothing.
    pub(super) fn finish(
        &self,
        block: &Block,
        at: usize,
        span: Span,
        row: &mut Vec<Value>,
    ) -> Result<Option<Span>, Failure> {
        row.clear();
        row.resize(self.columns.len(), Value::Null);
        for column in &self.fetched {
            row[*column] = block.values(self.columns[*column])?[at].clone();
        }
        if self.rest.is_identity() {
            return Ok(Some(span));
        }
        let inner = self.rest.run(row)?;
        Ok(inner.and_then(|inner| span.intersection(inner)))
    }

    /// An expression over the finished row that is a column of the change itself, which need not be fetched.
    pub(super) fn column_of<'b>(
        &self,
        expr: &Expr,
        block: &'b Block,
        at: usize,
    ) -> Result<Option<&'b Value>, Failure> {
        Ok(match expr {
            Expr::Column(column) if self.rest.is_identity() => {
                Some(&block.values(self.columns[*column])?[at])
            }
            _ => None,
        })
    }
}

/// The columns that a plan takes of `recentchanges`, if that is all that it does.
pub(super) fn columns_of_changes(plan: &Plan) -> Option<&[usize]> {
    match plan {
        Plan::Get { name, columns } if **name == *RECENTCHANGES => Some(columns),
        _ => None,
    }
}

/// The columns that expressions read, each once.
fn read_by(exprs: &[&Expr]) -> Vec<usize> {
    let mut columns = BTreeSet::new();
    for expr in exprs {
        expr.visit_columns(&mut |column| {
            columns.insert(column);
        });
    }
    columns.into_iter().collect()
}
