//! Evaluates a plan over relations whose rows are at hand, from scratch.
//!
//! Two uses: a SELECT over constants (pg_catalog, `SELECT 1`) is answered with it, and tests hold the dataflow against it, so it
//! shares nothing with the dataflow but expressions. It is written to be read, not to be fast; only joins look for equal
//! keys, because psql joins a thousand rows of pg_attribute with a hundred of pg_type.

mod aggregate;
mod join;

use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use super::error::{SqlError, SqlState};
use super::expr::{Expr, Function, Subquery, array_text, several_rows};
use super::plan::{OrderKey, Plan};
use super::value::{Row, Type, Value};

/// What an evaluation may cost; one that costs more is refused (54000).
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// The most rows that one operator may give, so that a join does not fill the memory.
    rows_max: usize,
    /// The most rows and pairs of rows that all operators may look at together, so that subqueries within subqueries come to an
    /// end.
    steps_max: usize,
}

impl Effort {
    /// Catalogs have thousands of rows, and tools join them with each other: some milliseconds, a megabyte.
    pub const SMALL: Effort = Effort {
        rows_max: 20_000,
        steps_max: 1_000_000,
    };

    /// A few seconds, a few hundred megabytes.
    pub const LARGE: Effort = Effort {
        rows_max: 2_000_000,
        steps_max: 20_000_000,
    };
}

/// The rows of a plan, each as often as it is there, in no useful order.
///
/// `relation` gives all rows of a maintained relation, with all its columns.
///
/// # Errors
/// What an expression of the plan fails with; a subquery with more than one row; too many rows.
pub fn fold(
    plan: &Plan,
    relation: &dyn Fn(&str) -> Vec<Row>,
    now_ms: u64,
) -> Result<Vec<Row>, SqlError> {
    Folder::new(relation, now_ms, Effort::LARGE).rows(plan, &Outside::none())
}

/// The rows of a plan that reads no maintained relation.
///
/// # Errors
/// As [`fold`].
pub fn constant(plan: &Plan, now_ms: u64) -> Result<Vec<Row>, SqlError> {
    constant_within(plan, now_ms, Effort::LARGE)
}

/// The same, if it costs no more than `effort`.
///
/// # Errors
/// As [`fold`].
pub fn constant_within(plan: &Plan, now_ms: u64, effort: Effort) -> Result<Vec<Row>, SqlError> {
    Folder::new(&|_| Vec::new(), now_ms, effort).rows(plan, &Outside::none())
}

/// The value of an expression that reads no row, though perhaps constant subqueries.
///
/// # Errors
/// As [`fold`].
pub fn value(expr: &Expr, now_ms: u64) -> Result<Value, SqlError> {
    let folder = Folder::new(&|_| Vec::new(), now_ms, Effort::SMALL);
    folder.eval(expr, &[], &Outside::none())
}

/// Whether an expression of the plan reads a row of a query around it.
pub fn reads_outside(plan: &Plan) -> bool {
    plan_reads_outside(plan, 0)
}

fn plan_reads_outside(plan: &Plan, level: usize) -> bool {
    let mut found = false;
    plan.visit_exprs(&mut |expr| found |= expr_reads_outside(expr, level));
    found
}

fn expr_reads_outside(expr: &Expr, level: usize) -> bool {
    match expr {
        Expr::Column(_) | Expr::Literal(..) => false,
        Expr::Outer { depth, .. } => *depth > level,
        Expr::Call(_, arguments) => arguments
            .iter()
            .any(|argument| expr_reads_outside(argument, level)),
        Expr::Matches(input, _) | Expr::In(input, _) => expr_reads_outside(input, level),
        Expr::Subquery(kind, plan) => {
            let left = match kind {
                Subquery::Any(_, left) => expr_reads_outside(left, level),
                _ => false,
            };
            left || plan_reads_outside(plan, level + 1)
        }
    }
}

/// The rows of the queries around the one being evaluated, innermost first.
struct Outside<'o> {
    row: &'o [Value],
    next: Option<&'o Outside<'o>>,
}

impl Outside<'_> {
    fn none() -> Self {
        Outside {
            row: &[],
            next: None,
        }
    }

    fn value(&self, depth: usize, column: usize) -> Option<&Value> {
        let mut here = self;
        for _ in 1..depth {
            here = here.next?;
        }
        here.row.get(column)
    }
}

struct Folder<'r> {
    relation: &'r dyn Fn(&str) -> Vec<Row>,
    now_ms: u64,
    effort: Effort,
    steps: Cell<usize>,
}

impl<'r> Folder<'r> {
    fn new(relation: &'r dyn Fn(&str) -> Vec<Row>, now_ms: u64, effort: Effort) -> Self {
        Folder {
            relation,
            now_ms,
            effort,
            steps: Cell::new(0),
        }
    }

    /// An operator has given `rows`.
    fn check_rows(&self, rows: usize) -> Result<(), SqlError> {
        let rows_max = self.effort.rows_max;
        if rows > rows_max {
            let message = format!("an intermediate result has more than {rows_max} rows");
            return Err(SqlError::new(SqlState::ProgramLimitExceeded, message));
        }
        Ok(())
    }

    /// An operator looks at so many rows or pairs.
    fn spend(&self, steps: usize) -> Result<(), SqlError> {
        let steps_max = self.effort.steps_max;
        self.steps.set(self.steps.get().saturating_add(steps));
        if self.steps.get() > steps_max {
            let message = format!("the query looks at more than {steps_max} rows");
            return Err(SqlError::new(SqlState::ProgramLimitExceeded, message));
        }
        Ok(())
    }
}

impl Folder<'_> {
    fn rows(&self, plan: &Plan, outside: &Outside<'_>) -> Result<Vec<Row>, SqlError> {
        let rows = match plan {
            Plan::Get { name, columns } => (self.relation)(name)
                .iter()
                .map(|row| columns.iter().map(|at| row.values()[*at].clone()).collect())
                .collect(),
            Plan::Constant { rows, .. } => rows.clone(),
            Plan::Project { input, columns } => self
                .rows(input, outside)?
                .iter()
                .map(|row| {
                    columns
                        .iter()
                        .map(|column| self.eval(column, row.values(), outside))
                        .collect()
                })
                .collect::<Result<_, _>>()?,
            Plan::Filter { input, predicate } => {
                let mut kept = Vec::new();
                for row in self.rows(input, outside)? {
                    if self.is_true(predicate, row.values(), outside)? {
                        kept.push(row);
                    }
                }
                kept
            }
            Plan::Window {
                input,
                from_ms,
                until_ms,
            } => {
                let mut kept = Vec::new();
                for row in self.rows(input, outside)? {
                    if self.is_open(from_ms.as_ref(), until_ms.as_ref(), &row, outside)? {
                        kept.push(row);
                    }
                }
                kept
            }
            Plan::Aggregate {
                input,
                keys,
                aggregates,
            } => {
                let rows = self.rows(input, outside)?;
                self.grouped(&rows, keys, aggregates, outside)?
            }
            Plan::Distinct { input } => {
                let mut seen = HashSet::new();
                let mut rows = self.rows(input, outside)?;
                rows.retain(|row| seen.insert(row.clone()));
                rows
            }
            Plan::TopK {
                input,
                order,
                limit,
                offset,
            } => {
                let rows = self.rows(input, outside)?;
                let sorted = self.sorted(rows, order, outside)?;
                let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
                sorted
                    .into_iter()
                    .skip(count(*offset))
                    .take(limit.map_or(usize::MAX, count))
                    .collect()
            }
            Plan::Number {
                input,
                partition,
                order,
                limit,
            } => {
                let rows = self.rows(input, outside)?;
                let mut last: HashMap<Vec<Value>, i64> = HashMap::new();
                let mut numbered = Vec::new();
                for row in self.sorted(rows, order, outside)? {
                    let partition = partition
                        .iter()
                        .map(|key| self.eval(key, row.values(), outside))
                        .collect::<Result<Vec<_>, _>>()?;
                    let number = last.entry(partition).or_default();
                    *number += 1;
                    if limit.is_none_or(|limit| number.unsigned_abs() <= limit) {
                        let number = Value::BigInt(*number);
                        numbered.push(row.values().iter().cloned().chain([number]).collect());
                    }
                }
                numbered
            }
            Plan::UnionAll { inputs } => {
                let mut rows = Vec::new();
                for input in inputs {
                    rows.extend(self.rows(input, outside)?);
                }
                rows
            }
            Plan::Join {
                left,
                right,
                kind,
                on,
            } => self.joined(left, right, *kind, on, outside)?,
        };
        self.check_rows(rows.len())?;
        self.spend(rows.len() + 1)?;
        Ok(rows)
    }

    /// Whether the present time lies within the row's window.
    fn is_open(
        &self,
        from: Option<&Expr>,
        until: Option<&Expr>,
        row: &Row,
        outside: &Outside<'_>,
    ) -> Result<bool, SqlError> {
        let now = i64::try_from(self.now_ms).unwrap_or(i64::MAX);
        let bound = |expr: Option<&Expr>, open: &dyn Fn(i64) -> bool| match expr {
            None => Ok::<bool, SqlError>(true),
            Some(expr) => match self.eval(expr, row.values(), outside)? {
                Value::BigInt(ms) => Ok(open(ms)),
                _ => Ok(false),
            },
        };
        Ok(bound(from, &|from| from <= now)? && bound(until, &|until| now <= until)?)
    }

    fn sorted(
        &self,
        rows: Vec<Row>,
        order: &[OrderKey],
        outside: &Outside<'_>,
    ) -> Result<Vec<Row>, SqlError> {
        let mut keyed = rows
            .into_iter()
            .map(|row| {
                let keys = order
                    .iter()
                    .map(|key| self.eval(&key.expr, row.values(), outside))
                    .collect::<Result<Vec<_>, _>>()?;
                Ok((keys, row))
            })
            .collect::<Result<Vec<_>, SqlError>>()?;
        keyed.sort_by(|(left_keys, left), (right_keys, right)| {
            order
                .iter()
                .zip(left_keys.iter().zip(right_keys))
                .map(|(key, (left, right))| key.compare_values(left, right))
                .find(|order| order.is_ne())
                .unwrap_or_else(|| left.cmp(right))
        });
        Ok(keyed.into_iter().map(|(_, row)| row).collect())
    }

    fn is_true(
        &self,
        predicate: &Expr,
        row: &[Value],
        outside: &Outside<'_>,
    ) -> Result<bool, SqlError> {
        Ok(self.eval(predicate, row, outside)? == Value::Bool(true))
    }

    /// The expression's value: first its subqueries and its columns of outer rows become constants, then it is evaluated as ever.
    fn eval(&self, expr: &Expr, row: &[Value], outside: &Outside<'_>) -> Result<Value, SqlError> {
        if !expr.has_subquery() {
            return expr.eval(row);
        }
        match expr {
            // AND, OR, CASE and COALESCE must not evaluate what they do not need.
            Expr::Call(Function::And | Function::Or | Function::Case | Function::Coalesce, _) => {
                self.eval_lazily(expr, row, outside)
            }
            _ => self.closed(expr, row, outside)?.eval(row),
        }
    }

    fn eval_lazily(
        &self,
        expr: &Expr,
        row: &[Value],
        outside: &Outside<'_>,
    ) -> Result<Value, SqlError> {
        let Expr::Call(function, arguments) = expr else {
            return expr.eval(row);
        };
        let mut known: Vec<Expr> = Vec::with_capacity(arguments.len());
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let value = self.eval(argument, row, outside)?;
            match (function, &value) {
                (Function::And, Value::Bool(false)) | (Function::Or, Value::Bool(true)) => {
                    return Ok(value);
                }
                (Function::Coalesce, value) if *value != Value::Null => return Ok(value.clone()),
                // A condition, unless it is the last argument, which is CASE's ELSE.
                (Function::Case, value) if rest.len() > 0 => {
                    let result = rest.next();
                    if let (Value::Bool(true), Some(result)) = (value, result) {
                        return self.eval(result, row, outside);
                    }
                }
                (Function::Case, _) => return Ok(value),
                _ => known.push(Expr::Literal(value, Type::Bool)),
            }
        }
        match function {
            Function::Case | Function::Coalesce => Ok(Value::Null),
            _ => Expr::Call(*function, known).eval(row),
        }
    }

    /// The expression without subqueries and outer columns.
    fn closed(&self, expr: &Expr, row: &[Value], outside: &Outside<'_>) -> Result<Expr, SqlError> {
        // A constant's type is only for the planner; here values are what counts.
        let constant = |value| Expr::Literal(value, Type::Text);
        Ok(match expr {
            Expr::Column(_) | Expr::Literal(..) => expr.clone(),
            Expr::Outer { depth, column } => {
                constant(outside.value(*depth, *column).cloned().ok_or_else(|| {
                    SqlError::new(SqlState::InternalError, "an outer row is missing")
                })?)
            }
            Expr::Call(function, arguments) => Expr::Call(
                *function,
                arguments
                    .iter()
                    .map(|argument| Ok(constant(self.eval(argument, row, outside)?)))
                    .collect::<Result<_, SqlError>>()?,
            ),
            Expr::Matches(input, pattern) => Expr::Matches(
                Box::new(constant(self.eval(input, row, outside)?)),
                pattern.clone(),
            ),
            Expr::In(input, constants) => Expr::In(
                Box::new(constant(self.eval(input, row, outside)?)),
                constants.clone(),
            ),
            Expr::Subquery(kind, plan) => constant(self.subquery(kind, plan, row, outside)?),
        })
    }

    fn subquery(
        &self,
        kind: &Subquery,
        plan: &Plan,
        row: &[Value],
        outside: &Outside<'_>,
    ) -> Result<Value, SqlError> {
        let inside = Outside {
            row,
            next: Some(outside),
        };
        let rows = self.rows(plan, &inside)?;
        let mut values = rows.iter().filter_map(|row| row.values().first());
        Ok(match kind {
            Subquery::Exists => Value::Bool(!rows.is_empty()),
            Subquery::Scalar => match (values.next(), values.next()) {
                (_, Some(_)) => {
                    return Err(several_rows());
                }
                (first, None) => first.cloned().unwrap_or(Value::Null),
            },
            Subquery::Array => Value::Text(array_text(values).into()),
            Subquery::Any(function, left) => {
                let left = Expr::Literal(self.eval(left, row, outside)?, Type::Text);
                let tests = values
                    .map(|value| {
                        let right = Expr::Literal(value.clone(), Type::Text);
                        Expr::Call(*function, vec![left.clone(), right])
                    })
                    .collect();
                Expr::Call(Function::Or, tests).eval(&[])?
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::plan::JoinKind;

    /// Pairs of twenty numbers with twenty, for which `on` is true.
    fn pairs(on: bool) -> Plan {
        let numbers = || Plan::Constant {
            arity: 1,
            rows: (0..20)
                .map(|number| [Value::BigInt(number)].into_iter().collect())
                .collect(),
        };
        Plan::Join {
            left: Box::new(numbers()),
            right: Box::new(numbers()),
            kind: JoinKind::Inner,
            on: Expr::Literal(Value::Bool(on), Type::Bool),
        }
    }

    #[test]
    fn what_costs_too_much_is_refused() {
        let within = |on, rows_max, steps_max| {
            let effort = Effort {
                rows_max,
                steps_max,
            };
            let rows = constant_within(&pairs(on), 0, effort);
            rows.map(|rows| rows.len()).map_err(|error| error.state)
        };
        let refused = Err(SqlState::ProgramLimitExceeded);
        assert_eq!(within(true, 400, 1_000), Ok(400));
        assert_eq!(within(true, 399, 1_000), refused);
        // Pairs that come to nothing have been looked at, too.
        assert_eq!(within(false, 20, 1_000), Ok(0));
        assert_eq!(within(false, 20, 400), refused);
    }
}
