//! A query as the engine runs it: relational operators over typed, resolved expressions.
//!
//! `sql` makes plans, `dataflow` renders them, [`super::fold`] evaluates the parts of them that are constant. A plan is a
//! value: equal plans are equal queries, and share one dataflow. Nothing in it can fail to resolve, and whatever in it can
//! fail to evaluate (a division, a cast, an overflow) fails as an [`super::error::SqlError`] of that query alone.

mod explain;
mod walk;

pub use explain::ColumnNames;

use std::cmp::Ordering;
use std::sync::Arc;

use super::error::SqlError;
use super::expr::{Expr, array_text};
use super::value::{Column, Row, Value};

/// A relational operator. Columns are known by position.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Plan {
    /// All rows of a relation that the engine maintains: `recentchanges`, `ingest_position` or a view, by catalog name.
    Get {
        /// Name in the catalog, folded.
        name: Arc<str>,
        /// Columns used, by position in the relation: the others are never carried.
        columns: Vec<usize>,
    },
    /// Rows known when the query was planned: VALUES, a SELECT without FROM, the relations of pg_catalog.
    Constant {
        /// How many columns the rows have, also when there are none.
        arity: usize,
        /// The rows; equal rows count.
        rows: Vec<Row>,
    },
    /// One expression an output column.
    Project {
        /// Where the rows come from.
        input: Box<Plan>,
        /// The output columns.
        columns: Vec<Expr>,
    },
    /// Rows for which the predicate is true (neither false nor NULL).
    Filter {
        /// Where the rows come from.
        input: Box<Plan>,
        /// A boolean expression without `mz_now()`.
        predicate: Expr,
    },
    /// Rows that are there only for a while: the temporal filters `mz_now() <= e` and `mz_now() >= e`.
    ///
    /// Both bounds are inclusive, milliseconds since the epoch as `bigint`; NULL means never there. A strict comparison has been
    /// turned into an inclusive one by the planner.
    Window {
        /// Where the rows come from.
        input: Box<Plan>,
        /// There from this time on (`mz_now() >= from`).
        from_ms: Option<Expr>,
        /// There up to this time (`mz_now() <= until`).
        until_ms: Option<Expr>,
    },
    /// Groups and their aggregates; output columns are the keys, then the aggregates.
    ///
    /// Without keys there is exactly one output row, even over no input.
    Aggregate {
        /// Where the rows come from.
        input: Box<Plan>,
        /// Grouping expressions; NULLs are one group.
        keys: Vec<Expr>,
        /// The aggregates.
        aggregates: Vec<Aggregate>,
    },
    /// Each row once.
    Distinct {
        /// Where the rows come from.
        input: Box<Plan>,
    },
    /// ORDER BY with LIMIT and OFFSET: a set of rows, not an order of them. Ties left by `order` are broken by the whole row.
    TopK {
        /// Where the rows come from.
        input: Box<Plan>,
        /// The order that decides.
        order: Vec<OrderKey>,
        /// At most so many rows.
        limit: Option<u64>,
        /// After skipping so many.
        offset: u64,
    },
    /// Each row with its number among those of its partition, from 1, as one more column: `row_number()` and DISTINCT ON.
    Number {
        /// Where the rows come from.
        input: Box<Plan>,
        /// Rows for which these are equal are numbered together.
        partition: Vec<Expr>,
        /// The order that decides. Ties are broken by the whole row.
        order: Vec<OrderKey>,
        /// Only rows with a number up to this one stay.
        limit: Option<u64>,
    },
    /// All rows of all inputs.
    UnionAll {
        /// Where the rows come from; same number and types of columns.
        inputs: Vec<Plan>,
    },
    /// Pairs of rows; output columns are the left's, then the right's.
    Join {
        /// The left input.
        left: Box<Plan>,
        /// The right input.
        right: Box<Plan>,
        /// Which unmatched rows stay.
        kind: JoinKind,
        /// Over the columns of both.
        on: Expr,
    },
}

/// Which rows without a partner a join keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JoinKind {
    /// None.
    Inner,
    /// Those of the left, with NULLs for the right.
    Left,
}

/// One key of an order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OrderKey {
    /// What is compared, over the input's columns.
    pub expr: Expr,
    /// Largest first.
    pub descending: bool,
    /// NULLs before everything else.
    pub nulls_first: bool,
}

/// One aggregate of a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Aggregate {
    /// Which function.
    pub function: AggregateFunction,
    /// Its argument; `count(*)` has none.
    pub argument: Option<Expr>,
    /// Each distinct argument once.
    pub distinct: bool,
    /// FILTER (WHERE ...).
    pub filter: Option<Expr>,
    /// In which order the arguments come, where that matters; ties are broken by the argument itself.
    pub order: Vec<OrderKey>,
}

/// The aggregate functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AggregateFunction {
    /// `count`: bigint.
    Count,
    /// `sum`: numeric over bigint and numeric, double over double.
    Sum,
    /// `min`
    Min,
    /// `max`
    Max,
    /// `avg`: numeric over bigint and numeric, double over double.
    Avg,
    /// `array_agg`: an array's text. It is the only one that sees NULLs and knows an order.
    Array,
}

impl Aggregate {
    /// Its value over a set of rows follows from running totals alone, whatever the rows were: its past can be kept without
    /// them.
    pub fn is_accumulable(&self) -> bool {
        use AggregateFunction::{Array, Avg, Count, Max, Min, Sum};
        match self.function {
            Count | Sum | Avg => !self.distinct,
            Min | Max | Array => false,
        }
    }

    /// The arguments of `array_agg` in their order, each with the values that ORDER BY asks for before it, as an array's text.
    pub(crate) fn array_of(&self, mut rows: Vec<Row>) -> Value {
        if rows.is_empty() {
            return Value::Null;
        }
        let is_null = |row: &Row| row.values().last() == Some(&Value::Null);
        rows.sort_by(|left, right| {
            self.order
                .iter()
                .zip(left.values().iter().zip(right.values()))
                .map(|(key, (left, right))| key.compare_values(left, right))
                .find(|order| order.is_ne())
                .unwrap_or_else(|| (is_null(left), left).cmp(&(is_null(right), right)))
        });
        if self.distinct {
            rows.dedup();
        }
        Value::Text(array_text(rows.iter().filter_map(|row| row.values().last())).into())
    }
}

/// A planned query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// What to maintain. A SELECT's rows may have more columns than `columns`: what only ORDER BY asked for follows them.
    pub plan: Plan,
    /// The output columns.
    pub columns: Vec<Column>,
    /// In which order a SELECT shows the rows; a view keeps it for those who select from it, a SUBSCRIBE has no use for it.
    /// Expressions are over the plan's columns.
    pub order: Vec<OrderKey>,
}

impl OrderKey {
    /// How two rows compare by this key.
    ///
    /// # Errors
    /// The expression's own.
    pub fn compare(&self, left: &Row, right: &Row) -> Result<Ordering, SqlError> {
        let (left, right) = (
            self.expr.evaluate(left.values())?,
            self.expr.evaluate(right.values())?,
        );
        Ok(self.compare_values(&left, &right))
    }

    /// How two values of this key compare.
    pub fn compare_values(&self, left: &Value, right: &Value) -> Ordering {
        let null_is = if self.nulls_first {
            Ordering::Less
        } else {
            Ordering::Greater
        };
        match (left, right) {
            (Value::Null, Value::Null) => Ordering::Equal,
            (Value::Null, _) => null_is,
            (_, Value::Null) => null_is.reverse(),
            _ => {
                let order = left.sql_cmp(right).unwrap_or(Ordering::Equal);
                if self.descending {
                    order.reverse()
                } else {
                    order
                }
            }
        }
    }
}

impl Query {
    /// A SELECT's rows are shown as the plan brings them out.
    pub fn shows_rows_as_they_are(&self) -> bool {
        self.order.is_empty() && self.columns.len() == self.plan.arity()
    }

    /// A SELECT's rows as they are shown: each as often as it is there, in order, without the columns that only ORDER BY needed.
    /// What ORDER BY leaves open is ordered by the whole row, so that equal contents look equal.
    ///
    /// # Errors
    /// An expression of ORDER BY's own.
    pub fn present(
        &self,
        rows: impl IntoIterator<Item = (Row, i64)>,
    ) -> Result<Vec<Row>, SqlError> {
        let mut keyed = Vec::new();
        for (row, count) in rows {
            let keys = self
                .order
                .iter()
                .map(|key| key.expr.eval(row.values()))
                .collect::<Result<Vec<Value>, _>>()?;
            for _ in 1..count {
                keyed.push((keys.clone(), row.clone()));
            }
            if count > 0 {
                keyed.push((keys, row));
            }
        }
        keyed.sort_by(|(left_keys, left), (right_keys, right)| {
            self.order
                .iter()
                .zip(left_keys.iter().zip(right_keys))
                .map(|(key, (left, right))| key.compare_values(left, right))
                .find(|order| order.is_ne())
                .unwrap_or_else(|| left.cmp(right))
        });
        let shown = self.columns.len();
        Ok(keyed
            .into_iter()
            .map(|(_, row)| match row.values().get(..shown) {
                Some(values) if values.len() < row.values().len() => {
                    values.iter().cloned().collect()
                }
                _ => row,
            })
            .collect())
    }
}
