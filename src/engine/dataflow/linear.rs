//! Filters, projections and windows in a row, fused: what happens to one row without looking at any other.

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

    /// A row of this span is there at `time_ms`.
    pub(super) fn holds_at(self, time_ms: u64) -> bool {
        (self.from_ms..=self.until_ms).contains(&time_ms)
    }

    /// What both spans have in common.
    pub(super) fn intersection(self, other: Span) -> Option<Span> {
        let both = Span {
            from_ms: self.from_ms.max(other.from_ms),
            until_ms: self.until_ms.min(other.until_ms),
        };
        (both.from_ms <= both.until_ms).then_some(both)
    }

    /// Cuts the span at bounds in milliseconds. `None`: it is never there; a bound that is NULL is never met.
    pub(super) fn within(
        self,
        from: Option<Option<i64>>,
        until: Option<Option<i64>>,
    ) -> Option<Self> {
        let mut span = self;
        if let Some(from) = from {
            span.from_ms = span.from_ms.max(u64::try_from(from?).unwrap_or(0));
        }
        if let Some(until) = until {
            span.until_ms = span.until_ms.min(u64::try_from(until?).ok()?);
        }
        Some(span)
    }
}

/// One operator of a chain.
#[derive(Debug, Clone)]
pub(super) enum Step {
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

    /// Fuses a chain, given bottom first.
    pub(crate) fn new(chain: &[&Plan]) -> Self {
        let steps = chain
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
        Linear { steps }
    }

    /// Takes off the steps before the first projection, which see the columns of the input.
    pub(super) fn take_selection(&mut self) -> Vec<Step> {
        let end = self
            .steps
            .iter()
            .position(|step| matches!(step, Step::Project(_)));
        self.steps
            .drain(..end.unwrap_or(self.steps.len()))
            .collect()
    }

    /// What the first step looks at; `None`: there is none, and whatever follows looks at the input itself.
    pub(super) fn first_exprs(&self) -> Option<Vec<&Expr>> {
        Some(match self.steps.first()? {
            Step::Filter(predicate) => vec![predicate],
            Step::Project(columns) => columns.iter().collect(),
            Step::Window { from_ms, until_ms } => from_ms.iter().chain(until_ms).collect(),
        })
    }

    /// Rows can come and go by themselves.
    pub(crate) fn has_window(&self) -> bool {
        self.steps
            .iter()
            .any(|step| matches!(step, Step::Window { .. }))
    }

    /// Rows can come later than they arrive.
    pub(super) fn has_beginnings(&self) -> bool {
        let begins = |step: &Step| {
            matches!(
                step,
                Step::Window {
                    from_ms: Some(_),
                    ..
                }
            )
        };
        self.steps.iter().any(begins)
    }

    /// Nothing happens at all.
    pub(crate) fn is_identity(&self) -> bool {
        self.steps.is_empty()
    }

    /// Every row comes through, and none can fail: columns are chosen and put in order, nothing more.
    pub(super) fn only_chooses_columns(&self) -> bool {
        let is_column = |expr: &Expr| matches!(expr, Expr::Column(_));
        self.steps.iter().all(|step| match step {
            Step::Project(columns) => columns.iter().all(is_column),
            Step::Filter(_) | Step::Window { .. } => false,
        })
    }

    /// Runs a row through the chain. Answers with the span in which the result is there, and leaves the result in `row`;
    /// `None`: it is never there.
    ///
    /// # Errors
    /// An expression cannot be evaluated.
    pub(crate) fn run(&self, row: &mut Vec<Value>) -> Result<Option<Span>, SqlError> {
        let mut span = Span::ALWAYS;
        for step in &self.steps {
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
                    let bound = |expr: &Option<Expr>| {
                        expr.as_ref().map(|expr| bound_ms(expr, row)).transpose()
                    };
                    match span.within(bound(from_ms)?, bound(until_ms)?) {
                        Some(within) => span = within,
                        None => return Ok(None),
                    }
                }
            }
        }
        Ok((span.from_ms <= span.until_ms).then_some(span))
    }
}

/// The bound of a temporal filter over one row, in milliseconds since the epoch.
pub(super) fn bound_ms(bound: &Expr, row: &[Value]) -> Result<Option<i64>, SqlError> {
    match &*bound.evaluate(row)? {
        Value::BigInt(ms) => Ok(Some(*ms)),
        Value::Null => Ok(None),
        _ => Err(SqlError::new(
            SqlState::InternalError,
            "the bound of a temporal filter is no number of milliseconds",
        )),
    }
}
