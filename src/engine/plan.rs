//! A query as the engine runs it: relational operators over typed, resolved expressions.
//!
//! `sql` makes plans, `dataflow` renders them, [`super::fold`] evaluates the parts of them that are constant. A plan is a
//! value: equal plans are equal queries, and share one dataflow. Nothing in it can fail to resolve, and whatever in it can
//! fail to evaluate (a division, a cast, an overflow) fails as an [`super::error::SqlError`] of that query alone.

use std::sync::Arc;

use super::expr::Expr;
use super::value::{Column, Row};

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
}

impl Aggregate {
    /// Its value over a set of rows follows from running totals alone, whatever the rows were: its past can be kept without
    /// them.
    pub fn is_accumulable(&self) -> bool {
        use AggregateFunction::{Avg, Count, Max, Min, Sum};
        match self.function {
            Count | Sum | Avg => !self.distinct,
            Min | Max => false,
        }
    }
}

/// A planned query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// What to maintain.
    pub plan: Plan,
    /// The output columns.
    pub columns: Vec<Column>,
    /// In which order a SELECT shows the rows; a SUBSCRIBE has none. Expressions are over the output columns.
    pub order: Vec<OrderKey>,
}
