//! The filters and windows that stand directly over `recentchanges`, run over the columns of a block.
//!
//! Most queries begin alike (`type IN ('edit', 'new')`, the last hour), so an expression is evaluated once a row for all of
//! them; and only for rows that no step before it has refused: most rows of the past fail at a window, and their titles
//! are never read.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use super::linear::{Span, Step, bound_ms};
use crate::engine::error::SqlError;
use crate::engine::expr::{Expr, Function};
use crate::engine::relations::DT;
use crate::engine::store::StoreError;
use crate::engine::store::block::Block;
use crate::engine::value::Value;

/// Why a row could not be looked at.
pub(super) enum Failure {
    /// An expression cannot be evaluated: the row's own error.
    Row(SqlError),
    /// The block cannot be read.
    Block(StoreError),
}

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Self {
        Failure::Row(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Failure::Block(error)
    }
}

impl From<Failure> for SqlError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Row(error) => error,
            Failure::Block(error) => error.into_sql(),
        }
    }
}

/// A block, and what is already known of its rows.
pub(super) struct Evaluated<'a> {
    pub(super) block: &'a Block,
    truths: RefCell<HashMap<Expr, Rc<Memo<Option<bool>>>>>,
    bounds: RefCell<HashMap<Expr, Rc<Memo<Option<i64>>>>>,
}

impl<'a> Evaluated<'a> {
    pub(super) fn new(block: &'a Block) -> Self {
        Evaluated {
            block,
            truths: RefCell::default(),
            bounds: RefCell::default(),
        }
    }
}

/// One expression over the rows of a block, and its values as far as they are known.
struct Memo<T> {
    /// Over `columns`, in their order.
    expr: Expr,
    columns: Vec<usize>,
    known: Vec<Cell<Option<T>>>,
}

impl<T: Copy> Memo<T> {
    fn new(expr: &Expr, rows: usize) -> Self {
        let mut columns = Vec::new();
        expr.visit_columns(&mut |column| {
            if !columns.contains(&column) {
                columns.push(column);
            }
        });
        let place = |column| columns.iter().position(|c| *c == column);
        Memo {
            expr: expr.map_columns(&|column| place(column).expect("visited above")),
            columns,
            known: vec![Cell::new(None); rows],
        }
    }

    fn get(
        &self,
        block: &Block,
        at: usize,
        evaluate: impl Fn(&Expr, &[Value]) -> Result<T, SqlError>,
    ) -> Result<T, Failure> {
        if let Some(known) = self.known[at].get() {
            return Ok(known);
        }
        let value = match self.columns[..] {
            [column] => evaluate(&self.expr, std::slice::from_ref(&block.values(column)?[at]))?,
            _ => {
                let row = self
                    .columns
                    .iter()
                    .map(|column| Ok(block.values(*column)?[at].clone()))
                    .collect::<Result<Vec<_>, StoreError>>()?;
                evaluate(&self.expr, &row)?
            }
        };
        self.known[at].set(Some(value));
        Ok(value)
    }
}

/// The steps, over the columns of `recentchanges`.
#[derive(Debug)]
pub(super) struct Selection(Vec<Condition>);

#[derive(Debug)]
enum Condition {
    /// All of these are true.
    All(Vec<Expr>),
    /// Time is within these bounds.
    Within {
        from_ms: Option<Expr>,
        until_ms: Option<Expr>,
    },
}

impl Selection {
    /// Steps without a projection; `columns` are those of `recentchanges` that they see.
    pub(super) fn new(steps: Vec<Step>, columns: &[usize]) -> Self {
        let place = |expr: Expr| expr.map_columns(&|column| columns[column]);
        let conditions = steps
            .into_iter()
            .map(|step| match step {
                Step::Filter(predicate) => {
                    Condition::All(predicate.conjuncts().into_iter().map(place).collect())
                }
                Step::Window { from_ms, until_ms } => Condition::Within {
                    from_ms: from_ms.map(place),
                    until_ms: until_ms.map(place),
                },
                Step::Project(_) => unreachable!("a selection ends before the first projection"),
            })
            .collect();
        Selection(conditions)
    }

    /// Rows come and go by themselves.
    pub(super) fn has_window(&self) -> bool {
        self.0
            .iter()
            .any(|condition| matches!(condition, Condition::Within { .. }))
    }

    /// No change whose `dt`, in microseconds, is at most `newest` is there at `time_ms` or later. Only what grows with `dt`
    /// can be known so; of anything else the answer is false.
    pub(super) fn is_over(&self, newest: Option<i64>, time_ms: u64) -> bool {
        self.0.iter().any(|condition| {
            let Condition::Within {
                until_ms: Some(until),
                ..
            } = condition
            else {
                return false;
            };
            if !grows_with(until, DT) {
                return false;
            }
            let dt = newest.map_or(Value::Null, Value::TimestampTz);
            match bound_ms(&until.map_columns(&|_| 0), &[dt]) {
                Ok(Some(until)) => u64::try_from(until).is_ok_and(|until| until < time_ms),
                Ok(None) => true,
                Err(_) => false,
            }
        })
    }

    /// Takes hold of what is known of a block's rows.
    pub(super) fn over<'a>(&self, evaluated: &'a Evaluated<'a>) -> Selecting<'a> {
        let rows = evaluated.block.rows();
        let truth = |expr: &Expr| remember(&evaluated.truths, expr, rows);
        let bound = |expr: &Option<Expr>| {
            expr.as_ref()
                .map(|expr| remember(&evaluated.bounds, expr, rows))
        };
        let conditions = self
            .0
            .iter()
            .map(|condition| match condition {
                Condition::All(exprs) => Known::All(exprs.iter().map(truth).collect()),
                Condition::Within { from_ms, until_ms } => {
                    Known::Within(bound(from_ms), bound(until_ms))
                }
            })
            .collect();
        Selecting {
            block: evaluated.block,
            conditions,
        }
    }
}

fn remember<T: Copy>(
    memos: &RefCell<HashMap<Expr, Rc<Memo<T>>>>,
    expr: &Expr,
    rows: usize,
) -> Rc<Memo<T>> {
    let mut memos = memos.borrow_mut();
    if let Some(memo) = memos.get(expr) {
        return memo.clone();
    }
    let memo = Rc::new(Memo::new(expr, rows));
    memos.insert(expr.clone(), memo.clone());
    memo
}

/// A selection at work on a block.
pub(super) struct Selecting<'a> {
    block: &'a Block,
    conditions: Vec<Known>,
}

enum Known {
    All(Vec<Rc<Memo<Option<bool>>>>),
    Within(Option<Rc<Memo<Option<i64>>>>, Option<Rc<Memo<Option<i64>>>>),
}

impl Selecting<'_> {
    /// The span in which a row is there; `None`: it is refused.
    pub(super) fn span(&self, at: usize) -> Result<Option<Span>, Failure> {
        let mut span = Span::ALWAYS;
        for condition in &self.conditions {
            match condition {
                Known::All(predicates) => {
                    if !self.all(predicates, at)? {
                        return Ok(None);
                    }
                }
                Known::Within(from, until) => {
                    let bound = |memo: &Option<Rc<Memo<Option<i64>>>>| {
                        memo.as_ref()
                            .map(|memo| memo.get(self.block, at, bound_ms))
                            .transpose()
                    };
                    match span.within(bound(from)?, bound(until)?) {
                        Some(within) => span = within,
                        None => return Ok(None),
                    }
                }
            }
        }
        Ok((span.from_ms <= span.until_ms).then_some(span))
    }

    /// As AND is evaluated: what is false decides; what is unknown does not, and what comes after it may still fail.
    fn all(&self, predicates: &[Rc<Memo<Option<bool>>>], at: usize) -> Result<bool, Failure> {
        let mut all = true;
        for predicate in predicates {
            match predicate.get(self.block, at, truth)? {
                Some(false) => return Ok(false),
                Some(true) => {}
                None => all = false,
            }
        }
        Ok(all)
    }
}

fn truth(predicate: &Expr, row: &[Value]) -> Result<Option<bool>, SqlError> {
    Ok(match *predicate.evaluate(row)? {
        Value::Bool(truth) => Some(truth),
        _ => None,
    })
}

/// The greater the column, the greater the value, or the same; and NULL for NULL.
fn grows_with(expr: &Expr, column: usize) -> bool {
    match expr {
        Expr::Column(at) => *at == column,
        Expr::Call(Function::Add | Function::Subtract, arguments) => match &arguments[..] {
            [left, Expr::Literal(..)] => grows_with(left, column),
            _ => false,
        },
        Expr::Call(Function::DateTrunc(_) | Function::Milliseconds, arguments) => arguments
            .iter()
            .all(|argument| grows_with(argument, column)),
        _ => false,
    }
}
