//! Scalar expressions over the values of one row: SQL's three-valued logic, and Postgres' errors where it has them.
//!
//! The planner has resolved every name and checked every type, so what is evaluated here can only fail as Postgres fails: an
//! overflow, a division by zero, a text that has not the form of the type it is cast to. Evaluation borrows what it can: a
//! predicate over text copies no text and counts no references.

mod arithmetic;
mod calendar;
mod cast;
mod columns;
mod function;
mod pattern;
mod strings;

use std::borrow::Cow;
use std::sync::Arc;

use super::error::{SqlError, SqlState};
use super::plan::Plan;
use super::value::{Type, Value};

pub(crate) use arithmetic::divide_numeric;
pub use calendar::Field;
pub use function::Function;
pub(crate) use function::several_rows;
pub use pattern::{Pattern, PatternKind};
pub(crate) use strings::array_text;

/// An expression whose columns are resolved and whose types fit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Expr {
    /// A column of the input, by position.
    Column(usize),
    /// A constant and its type (NULL has one too).
    Literal(Value, Type),
    /// A function or an operator applied to its arguments.
    Call(Function, Vec<Expr>),
    /// LIKE or a regular expression with a constant pattern, compiled once.
    Matches(Box<Expr>, Arc<Pattern>),
    /// `a IN (constants)`, looked up instead of compared one by one.
    In(Box<Expr>, Arc<Constants>),
    /// A column of a query around this one. Only [`super::fold`] evaluates it: no relation that changes is planned with one.
    Outer {
        /// How many queries outwards, from 1.
        depth: usize,
        /// The column there, by position.
        column: usize,
    },
    /// A query inside an expression. Only [`super::fold`] evaluates it.
    Subquery(Subquery, Box<Plan>),
}

/// How a query stands in an expression.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subquery {
    /// Its only value; NULL for no row.
    Scalar,
    /// Whether it has a row.
    Exists,
    /// Whether the comparison with one of its values is true.
    Any(Function, Box<Expr>),
    /// All its values, as an array's text.
    Array,
}

/// The right side of an `IN`, without NULLs and sorted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Constants {
    values: Vec<Value>,
    has_null: bool,
}

impl Constants {
    /// The set of these values.
    pub fn new(values: impl IntoIterator<Item = Value>) -> Self {
        let mut values: Vec<Value> = values.into_iter().collect();
        let all = values.len();
        values.retain(|value| *value != Value::Null);
        let has_null = values.len() < all;
        values.sort();
        values.dedup();
        Constants { values, has_null }
    }

    /// `value IN (these)`; `None` is unknown.
    fn contains(&self, value: &Value) -> Option<bool> {
        if self.values.is_empty() && !self.has_null {
            // Nothing is among nothing, not even what is unknown.
            return Some(false);
        }
        if *value == Value::Null {
            return None;
        }
        let found = match self.values.len() {
            0..=8 => self.values.contains(value),
            _ => self.values.binary_search(value).is_ok(),
        };
        if found {
            Some(true)
        } else if self.has_null {
            None
        } else {
            Some(false)
        }
    }

    /// The values, sorted, without NULL.
    pub fn values(&self) -> &[Value] {
        &self.values
    }
}

impl Expr {
    /// The constant of that value.
    pub fn literal(value: Value, ty: Type) -> Self {
        Expr::Literal(value, ty)
    }

    /// The constant `true`.
    pub fn always() -> Self {
        Expr::Literal(Value::Bool(true), Type::Bool)
    }

    /// The expression's value over one row.
    ///
    /// # Errors
    /// What Postgres calls an error: a division by zero, an overflow, a cast of text that has not the type's form.
    pub fn eval(&self, row: &[Value]) -> Result<Value, SqlError> {
        self.evaluate(row).map(Cow::into_owned)
    }

    /// The expression's value over one row, borrowed where it stands in the row or in the expression already.
    ///
    /// # Errors
    /// As [`Expr::eval`].
    pub fn evaluate<'a>(&'a self, row: &'a [Value]) -> Result<Cow<'a, Value>, SqlError> {
        match self {
            Expr::Column(at) => Ok(Cow::Borrowed(&row[*at])),
            Expr::Literal(value, _) => Ok(Cow::Borrowed(value)),
            Expr::Call(function, arguments) => function.apply(arguments, row),
            Expr::Matches(input, pattern) => {
                let input = input.evaluate(row)?;
                Ok(Cow::Owned(match input.as_ref() {
                    Value::Text(text) => Value::Bool(pattern.matches(text)),
                    _ => Value::Null,
                }))
            }
            Expr::In(input, constants) => {
                let input = input.evaluate(row)?;
                Ok(Cow::Owned(three_valued(constants.contains(&input))))
            }
            Expr::Outer { .. } | Expr::Subquery(..) => Err(SqlError::new(
                SqlState::InternalError,
                "a subquery reached an operator that evaluates single rows",
            )),
        }
    }

    /// Whether the predicate is true over the row: neither false nor NULL.
    ///
    /// # Errors
    /// As [`Expr::eval`].
    pub fn is_true(&self, row: &[Value]) -> Result<bool, SqlError> {
        Ok(*self.evaluate(row)? == Value::Bool(true))
    }
}

fn three_valued(known: Option<bool>) -> Value {
    known.map_or(Value::Null, Value::Bool)
}

/// The error for a value whose type the planner should not have let through.
fn mistyped(what: impl std::fmt::Debug) -> SqlError {
    SqlError::new(
        SqlState::InternalError,
        format!("{what:?} was given a value of a type it has no meaning for"),
    )
}
