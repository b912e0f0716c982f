//! Scalar expressions over the values of one row: SQL's three-valued logic, and Postgres' errors where it has them.
//!
//! The planner has resolved every name and checked every type, so what is evaluated here can only fail as Postgres fails: an
//! overflow, a division by zero, a text that has not the form of the type it is cast to. Evaluation borrows what it can: a
//! predicate over text copies no text and counts no references.

mod arithmetic;
mod calendar;
mod cast;
mod columns;
mod pattern;
mod strings;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use super::error::{SqlError, SqlState};
use super::plan::Plan;
use super::value::{Type, Value};

pub(crate) use arithmetic::divide_numeric;
pub use calendar::Field;
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

/// The functions and operators. Arguments have the types that the planner gave them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    /// `a = b`
    Equal,
    /// `a <> b`
    NotEqual,
    /// `a < b`
    Less,
    /// `a <= b`
    LessOrEqual,
    /// `a > b`
    Greater,
    /// `a >= b`
    GreaterOrEqual,
    /// `a IS NOT DISTINCT FROM b`
    NotDistinct,
    /// `a AND b AND ...`
    And,
    /// `a OR b OR ...`
    Or,
    /// `NOT a`
    Not,
    /// `a IS NULL`
    IsNull,
    /// `a IS TRUE`
    IsTrue,
    /// `a IS FALSE`
    IsFalse,
    /// `a + b`
    Add,
    /// `a - b`
    Subtract,
    /// `a * b`
    Multiply,
    /// `a / b`
    Divide,
    /// `a % b`
    Modulo,
    /// `a & b`
    BitAnd,
    /// `a | b`
    BitOr,
    /// `-a`
    Negate,
    /// `abs(a)`
    Abs,
    /// `floor(a)`
    Floor,
    /// `ceil(a)`
    Ceil,
    /// `round(a [, digits])`
    Round,
    /// `a || b`
    Concat,
    /// `lower(a)`
    Lower,
    /// `upper(a)`
    Upper,
    /// `length(a)`, in characters
    Length,
    /// `substring(a FROM start [FOR count])`
    Substring,
    /// `strpos(a, part)`
    Position,
    /// `left(a, count)`
    Left,
    /// `right(a, count)`
    Right,
    /// `replace(a, from, to)`
    Replace,
    /// `ltrim(a, characters)`
    TrimStart,
    /// `rtrim(a, characters)`
    TrimEnd,
    /// `btrim(a, characters)`
    Trim,
    /// `starts_with(a, part)`
    StartsWith,
    /// `split_part(a, separator, n)`
    SplitPart,
    /// `quote_ident(a)`
    QuoteIdent,
    /// `coalesce(a, ...)`
    Coalesce,
    /// `nullif(a, b)`
    NullIf,
    /// `CASE WHEN a THEN b ... ELSE z END`: conditions and results in turn, then the last result.
    Case,
    /// `greatest(a, ...)`
    Greatest,
    /// `least(a, ...)`
    Least,
    /// A pattern that is not constant.
    Match(PatternKind),
    /// `date_trunc('field', a)`
    DateTrunc(Field),
    /// `extract(field FROM a)`: numeric
    Extract(Field),
    /// `to_timestamp(seconds)`
    ToTimestamp,
    /// A point in time in whole milliseconds since the epoch, rounded down, as Materialize turns it into `mz_timestamp`.
    Milliseconds,
    /// `CAST(a AS type)`
    Cast(Type),
    /// An integer of 16 or 32 bits: the value as it is, or an overflow.
    FitsBits(u32),
    /// `a = ANY (array)`: the array in its text form.
    EqualsAny(Type),
    /// `array_to_string(array, separator)`: the array in its text form.
    ArrayToString,
    /// `array[n]`, from 1: the array in its text form.
    ArrayElement,
    /// `array_length(array, 1)`: the array in its text form.
    ArrayLength,
    /// `ARRAY[a, ...]`: an array's text form.
    MakeArray,
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

impl Function {
    fn apply<'a>(
        self,
        arguments: &'a [Expr],
        row: &'a [Value],
    ) -> Result<Cow<'a, Value>, SqlError> {
        match self {
            Function::And => any_decides(arguments, row, false),
            Function::Or => any_decides(arguments, row, true),
            Function::Coalesce => {
                for argument in arguments {
                    let value = argument.evaluate(row)?;
                    if *value != Value::Null {
                        return Ok(value);
                    }
                }
                Ok(Cow::Owned(Value::Null))
            }
            Function::Case => {
                let mut pairs = arguments.chunks_exact(2);
                for pair in &mut pairs {
                    if pair[0].is_true(row)? {
                        return pair[1].evaluate(row);
                    }
                }
                match pairs.remainder() {
                    [otherwise] => otherwise.evaluate(row),
                    _ => Ok(Cow::Owned(Value::Null)),
                }
            }
            Function::Greatest => extreme(arguments, row, Ordering::Greater),
            Function::Least => extreme(arguments, row, Ordering::Less),
            Function::MakeArray => {
                let values = arguments
                    .iter()
                    .map(|argument| argument.evaluate(row))
                    .collect::<Result<Vec<_>, _>>()?;
                let text = strings::array_text(values.iter().map(AsRef::as_ref));
                Ok(Cow::Owned(Value::Text(text.into())))
            }
            _ => self.apply_values(arguments, row),
        }
    }

    /// The functions that see all their arguments' values.
    fn apply_values<'a>(
        self,
        arguments: &'a [Expr],
        row: &'a [Value],
    ) -> Result<Cow<'a, Value>, SqlError> {
        match arguments {
            [only] => {
                let value = only.evaluate(row)?;
                match (self, value.as_ref()) {
                    // What changes nothing is passed on as it is.
                    (Function::Cast(ty), inner) if inner.ty() == Some(ty) => Ok(value),
                    (_, inner) => self.unary(inner).map(Cow::Owned),
                }
            }
            [left, right] => {
                let (left, right) = (left.evaluate(row)?, right.evaluate(row)?);
                self.binary(&left, &right).map(Cow::Owned)
            }
            _ => {
                let values = arguments
                    .iter()
                    .map(|argument| argument.eval(row))
                    .collect::<Result<Vec<_>, _>>()?;
                self.many(&values).map(Cow::Owned)
            }
        }
    }

    fn unary(self, value: &Value) -> Result<Value, SqlError> {
        match self {
            Function::IsNull => return Ok(Value::Bool(*value == Value::Null)),
            Function::IsTrue => return Ok(Value::Bool(*value == Value::Bool(true))),
            Function::IsFalse => return Ok(Value::Bool(*value == Value::Bool(false))),
            _ => {}
        }
        if *value == Value::Null {
            return Ok(Value::Null);
        }
        match self {
            Function::Not => Ok(Value::Bool(*value != Value::Bool(true))),
            Function::Cast(ty) => cast::cast(value, ty),
            Function::FitsBits(bits) => cast::fits_bits(value, bits),
            Function::DateTrunc(field) => calendar::date_trunc(field, value),
            Function::Extract(field) => calendar::extract(field, value),
            Function::ToTimestamp => calendar::to_timestamp(value),
            Function::Milliseconds => calendar::milliseconds(value),
            Function::Negate
            | Function::Abs
            | Function::Floor
            | Function::Ceil
            | Function::Round => arithmetic::unary(self, value),
            _ => strings::unary(self, value),
        }
    }

    fn binary(self, left: &Value, right: &Value) -> Result<Value, SqlError> {
        if self == Function::NotDistinct {
            let same = match (left, right) {
                (Value::Null, Value::Null) => true,
                _ => left.sql_cmp(right) == Some(Ordering::Equal),
            };
            return Ok(Value::Bool(same));
        }
        if self == Function::NullIf {
            return Ok(match left.sql_cmp(right) {
                Some(Ordering::Equal) => Value::Null,
                _ => left.clone(),
            });
        }
        if let Some(wanted) = self.comparison() {
            return Ok(three_valued(left.sql_cmp(right).map(wanted)));
        }
        if *left == Value::Null || *right == Value::Null {
            return Ok(Value::Null);
        }
        match self {
            Function::Add
            | Function::Subtract
            | Function::Multiply
            | Function::Divide
            | Function::Modulo
            | Function::BitAnd
            | Function::BitOr => arithmetic::binary(self, left, right),
            Function::Round => arithmetic::round_to(left, right),
            Function::Match(kind) => pattern::match_dynamic(kind, left, right),
            _ => strings::binary(self, left, right),
        }
    }

    fn many(self, values: &[Value]) -> Result<Value, SqlError> {
        if values.contains(&Value::Null) {
            return Ok(Value::Null);
        }
        strings::many(self, values)
    }

    /// For a comparison: which orders make it true.
    fn comparison(self) -> Option<fn(Ordering) -> bool> {
        Some(match self {
            Function::Equal => Ordering::is_eq,
            Function::NotEqual => Ordering::is_ne,
            Function::Less => Ordering::is_lt,
            Function::LessOrEqual => Ordering::is_le,
            Function::Greater => Ordering::is_gt,
            Function::GreaterOrEqual => Ordering::is_ge,
            _ => return None,
        })
    }
}

/// AND and OR: one argument equal to `decisive` decides; otherwise a NULL leaves it unknown.
fn any_decides<'a>(
    arguments: &'a [Expr],
    row: &'a [Value],
    decisive: bool,
) -> Result<Cow<'a, Value>, SqlError> {
    let mut answer = Value::Bool(!decisive);
    for argument in arguments {
        match argument.evaluate(row)?.as_ref() {
            Value::Bool(bool) if *bool == decisive => {
                return Ok(Cow::Owned(Value::Bool(decisive)));
            }
            Value::Null => answer = Value::Null,
            _ => {}
        }
    }
    Ok(Cow::Owned(answer))
}

/// GREATEST and LEAST: NULLs do not take part.
fn extreme<'a>(
    arguments: &'a [Expr],
    row: &'a [Value],
    wanted: Ordering,
) -> Result<Cow<'a, Value>, SqlError> {
    let mut best = Cow::Owned(Value::Null);
    for argument in arguments {
        let value = argument.evaluate(row)?;
        let better = match value.sql_cmp(&best) {
            Some(order) => order == wanted,
            None => *best == Value::Null,
        };
        if better {
            best = value;
        }
    }
    Ok(best)
}

/// The error for a value whose type the planner should not have let through.
fn mistyped(what: impl std::fmt::Debug) -> SqlError {
    SqlError::new(
        SqlState::InternalError,
        format!("{what:?} was given a value of a type it has no meaning for"),
    )
}
