//! Filters, projections and windows in a row, fused: what happens to one row without looking at any other.

use std::collections::BTreeSet;

use crate::engine::error::{SqlError, SqlState};
use crate::engine::expr::Expr;
use crate::engine::plan::Plan;
use crate::engine::value::Value;

/// From when to when a row is there, both inclusive, in milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Span {
    pub(crate) from_ms: u64,
    pub(crate) until_ms: u64,
}

impl Span {
    /// There as long as nobody takes it away.
    pub(crate) const ALWAYS: Span = Span {
        from_ms: 0,
        until_ms: u64::MAX,
    };
}

#[derive(Debug, Clone)]
enum Step {
    Filter(Expr),
    Project(Vec<Expr>),
    Window {
        from_ms: Option<Expr>,
        until_ms: Option<Expr>,
    },
}

/// A fused chain of row-by-row operators.
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    steps: Vec<Step>,
    /// The input columns that a step is the first to look at; those of the last entry are needed by whatever follows. They are
    /// fetched only for rows that come so far: most rows of the past fail at a window, and their titles are never decoded.
    fetches: Vec<Vec<usize>>,
    width: usize,
}

impl Linear {
    /// Splits a plan into the chain at its top and what that stands on.
    pub(crate) fn split(plan: &Plan) -> (Vec<&Plan>, &Plan) {
        let (mut chain, mut rest) = (Vec::new(), plan);
        while let Plan::Filter { input, .. }
        | Plan::Project { input, .. }
        | Plan::Window { input, .. } = rest
        {
            chain.push(rest);
            rest = input;
        }
        chain.reverse();
        (chain, rest)
    }

    /// Fuses a chain, given bottom first, over an input of `width` columns. `used` are expressions that will be evaluated over
    /// its output; `None`: the whole output is.
    pub(crate) fn new(chain: &[&Plan], width: usize, used: Option<&[&Expr]>) -> Self {
        let steps: Vec<Step> = chain
            .iter()
            .map(|plan| match plan {
                Plan::Filter { predicate, .. } => Step::Filter(predicate.clone()),
                Plan::Project { columns, .. } => Step::Project(columns.clone()),
                Plan::Window {
                    from_ms, until_ms, ..
                } => Step::Window {
                    from_ms: from_ms.clone(),
                    until_ms: until_ms.clone(),
                },
                _ => unreachable!("a chain holds row-by-row operators only"),
            })
            .collect();
        let mut fetched = BTreeSet::new();
        let mut fetches = Vec::new();
        let mut fetch = |exprs: &[&Expr]| -> Vec<usize> {
            let mut columns = BTreeSet::new();
            exprs.iter().for_each(|expr| {
                expr.visit_columns(&mut |column| {
                    columns.insert(column);
                });
            });
            columns
                .into_iter()
                .filter(|column| fetched.insert(*column))
                .collect()
        };
        let mut projected = false;
        for step in &steps {
            let exprs: Vec<&Expr> = match step {
                _ if projected => Vec::new(),
                Step::Filter(predicate) => vec![predicate],
                Step::Project(columns) => columns.iter().collect(),
                Step::Window { from_ms, until_ms } => from_ms.iter().chain(until_ms).collect(),
            };
            fetches.push(fetch(&exprs));
            projected |= matches!(step, Step::Project(_));
        }
        fetches.push(match used {
            _ if projected => Vec::new(),
            Some(used) => fetch(used),
            None => (0..width)
                .filter(|column| fetched.insert(*column))
                .collect(),
        });
        Linear {
            steps,
            fetches,
            width,
        }
    }

    /// Rows can come and go by themselves.
    pub(crate) fn has_window(&self) -> bool {
        self.steps
            .iter()
            .any(|step| matches!(step, Step::Window { .. }))
    }

    /// Nothing happens at all.
    pub(crate) fn is_identity(&self) -> bool {
        self.steps.is_empty()
    }

    /// Runs one row, whose columns `fetch` gives, through the chain. Answers with the span in which the result is there, and
    /// leaves the result in `row`; `None`: it is never there.
    ///
    /// # Errors
    /// An expression cannot be evaluated.
    pub(crate) fn run(
        &self,
        row: &mut Vec<Value>,
        fetch: impl Fn(usize) -> Value,
    ) -> Result<Option<Span>, SqlError> {
        row.clear();
        row.resize(self.width, Value::Null);
        let mut span = Span::ALWAYS;
        for (step, columns) in self.steps.iter().zip(&self.fetches) {
            columns
                .iter()
                .for_each(|column| row[*column] = fetch(*column));
            match step {
                Step::Filter(predicate) => {
                    if !predicate.is_true(row)? {
                        return Ok(None);
                    }
                }
                Step::Project(columns) => {
                    *row = columns
                        .iter()
                        .map(|column| column.eval(row))
                        .collect::<Result<_, _>>()?;
                }
                Step::Window { from_ms, until_ms } => {
                    if let Some(bound) = from_ms {
                        let Some(from_ms) = bound_ms(bound, row)? else {
                            return Ok(None);
                        };
                        span.from_ms = span.from_ms.max(u64::try_from(from_ms).unwrap_or(0));
                    }
                    if let Some(bound) = until_ms {
                        let Some(until_ms) = bound_ms(bound, row)? else {
                            return Ok(None);
                        };
                        let Ok(until_ms) = u64::try_from(until_ms) else {
                            return Ok(None);
                        };
                        span.until_ms = span.until_ms.min(until_ms);
                    }
                }
            }
        }
        let last = self.fetches.last().expect("one more entry than steps");
        last.iter().for_each(|column| row[*column] = fetch(*column));
        Ok((span.from_ms <= span.until_ms).then_some(span))
    }
}

fn bound_ms(bound: &Expr, row: &[Value]) -> Result<Option<i64>, SqlError> {
    match &*bound.evaluate(row)? {
        Value::BigInt(ms) => Ok(Some(*ms)),
        Value::Null => Ok(None),
        _ => Err(SqlError::new(
            SqlState::InternalError,
            "the bound of a temporal filter is no number of milliseconds",
        )),
    }
}
