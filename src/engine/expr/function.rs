//! The functions and operators of expressions, and how each is applied to its arguments.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::{Expr, Field, PatternKind, arithmetic, calendar, cast, pattern, strings, three_valued};
use crate::engine::error::{SqlError, SqlState};
use crate::engine::value::{Type, Value};

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
    /// `b`, unless `a`, the number of rows of a subquery that must have at most one, is greater than one.
    OnlyRow,
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

impl Function {
    pub(super) fn apply<'a>(
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
        if self == Function::OnlyRow {
            return match left {
                Value::BigInt(..=1) => Ok(right.clone()),
                _ => Err(several_rows()),
            };
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

/// The error for a subquery that should have one row.
pub(crate) fn several_rows() -> SqlError {
    SqlError::new(
        SqlState::CardinalityViolation,
        "more than one row returned by a subquery used as an expression",
    )
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
