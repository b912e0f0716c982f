//! Evaluates a plan over relations whose rows are at hand, from scratch.
//!
//! Two uses: a SELECT over constants (pg_catalog, `SELECT 1`) is answered with it, and tests hold the dataflow against it, so it
//! shares nothing with the dataflow but expressions. It is written to be read, not to be fast; only joins look for equal
//! keys, because psql joins a thousand rows of pg_attribute with a hundred of pg_type.

mod aggregate;
mod join;

use std::collections::{HashMap, HashSet};

use super::error::{SqlError, SqlState};
use super::expr::{Expr, Function, Subquery, array_text, several_rows};
use super::plan::{OrderKey, Plan};
use super::value::{Row, Type, Value};

/// The most rows that one operator may give here: catalogs have thousands. A join that makes more is refused (54000) before it
/// fills the memory.
const ROWS_MAX: usize = 2_000_000;

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
    Folder { relation, now_ms }.rows(plan, &Outside::none())
}

/// The rows of a plan that reads no maintained relation.
///
/// # Errors
/// As [`fold`].
pub fn constant(plan: &Plan, now_ms: u64) -> Result<Vec<Row>, SqlError> {
    fold(plan, &|_| Vec::new(), now_ms)
}

/// The value of an expression that reads no row, though perhaps constant subqueries.
///
/// # Errors
/// As [`fold`].
pub fn value(expr: &Expr, now_ms: u64) -> Result<Value, SqlError> {
    let folder = Folder {
        relation: &|_| Vec::new(),
        now_ms,
    };
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
        check_count(rows.len())?;
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

fn check_count(rows: usize) -> Result<(), SqlError> {
    if rows > ROWS_MAX {
        return Err(SqlError::new(
            SqlState::ProgramLimitExceeded,
            format!("an intermediate result has more than {ROWS_MAX} rows"),
        ));
    }
    Ok(())
}
