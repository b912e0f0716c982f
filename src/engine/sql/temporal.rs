//! Temporal filters: conditions on `mz_now()`, which become windows of time in which a row is there.
//!
//! `mz_now()` is in whole milliseconds. A point in time is compared as Materialize compares it: rounded down to its millisecond.

use sqlparser::ast;

use super::bind::{Binder, Place};
use super::bound::{Bound, call};
use super::cursor::name_of;
use super::literals::now_misplaced;
use super::operators::comparison;
use super::scope::Scope;
use crate::engine::error::{SqlError, SqlState};
use crate::engine::expr::{Expr, Function};
use crate::engine::value::{Type, Value};

/// The bounds that temporal filters set: the row is there from the latest of the first to the earliest of the second.
#[derive(Default)]
pub(super) struct Bounds {
    pub(super) from_ms: Vec<Expr>,
    pub(super) until_ms: Vec<Expr>,
}

impl Binder<'_> {
    /// Takes a condition on `mz_now()` up into the bounds; false when it is none.
    pub(super) fn temporal(
        &self,
        condition: &ast::Expr,
        scope: &Scope<'_>,
        bounds: &mut Bounds,
    ) -> Result<bool, SqlError> {
        match condition {
            ast::Expr::Between {
                expr,
                negated: false,
                low,
                high,
            } if is_now(expr) => {
                self.bound(Function::GreaterOrEqual, low, scope, bounds)?;
                self.bound(Function::LessOrEqual, high, scope, bounds)?;
                Ok(true)
            }
            ast::Expr::BinaryOp { left, op, right } => {
                let Some(function) = comparison(op) else {
                    return Ok(false);
                };
                match (is_now(left), is_now(right)) {
                    (false, false) => return Ok(false),
                    (true, true) => return Err(now_misplaced()),
                    (true, false) => self.bound(function, right, scope, bounds)?,
                    (false, true) => self.bound(flipped(function), left, scope, bounds)?,
                }
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// `mz_now() <function> other`
    fn bound(
        &self,
        function: Function,
        other: &ast::Expr,
        scope: &Scope<'_>,
        bounds: &mut Bounds,
    ) -> Result<(), SqlError> {
        let bound = self.bind(other, scope, &Place::plain("WHERE"))?;
        let one = || Expr::Literal(Value::BigInt(1), Type::BigInt);
        let shifted = |by, ms| call(by, vec![ms, one()], Type::BigInt);
        match function {
            Function::LessOrEqual => bounds.until_ms.push(self.milliseconds(bound, false)?),
            Function::GreaterOrEqual => bounds.from_ms.push(self.milliseconds(bound, true)?),
            Function::Less => {
                let ms = self.milliseconds(bound, true)?;
                bounds.until_ms.push(shifted(Function::Subtract, ms));
            }
            Function::Greater => {
                let ms = self.milliseconds(bound, false)?;
                bounds.from_ms.push(shifted(Function::Add, ms));
            }
            Function::Equal => {
                bounds.from_ms.push(self.milliseconds(bound.clone(), true)?);
                bounds.until_ms.push(self.milliseconds(bound, false)?);
            }
            _ => return Err(now_misplaced()),
        }
        Ok(())
    }

    /// What `mz_now()` is compared with, in whole milliseconds. A number's fraction is rounded to the side that keeps the comparison
    /// what it is.
    fn milliseconds(&self, bound: Bound, up: bool) -> Result<Expr, SqlError> {
        match bound {
            Bound::Typed(expr, Type::TimestampTz) => {
                Ok(call(Function::Milliseconds, vec![expr], Type::BigInt))
            }
            Bound::Typed(_, Type::Timestamp | Type::Date) => {
                let moment = self.coerce(bound, Type::TimestampTz)?;
                Ok(call(Function::Milliseconds, vec![moment], Type::BigInt))
            }
            Bound::Typed(expr, Type::BigInt) => Ok(expr),
            Bound::Typed(expr, Type::Numeric) => {
                let rounding = if up { Function::Ceil } else { Function::Floor };
                let whole = call(rounding, vec![expr], Type::Numeric);
                Ok(call(
                    Function::Cast(Type::BigInt),
                    vec![whole],
                    Type::BigInt,
                ))
            }
            Bound::Text(text) if text.trim().bytes().all(|byte| byte.is_ascii_digit()) => {
                self.coerce(Bound::Text(text), Type::BigInt)
            }
            Bound::Typed(_, ty) => Err(SqlError::new(
                SqlState::UndefinedFunction,
                format!("mz_now() cannot be compared with a value of type {ty}"),
            )
            .hint("Compare it with a timestamptz, or with milliseconds since the epoch.")),
            untyped => {
                let expr = self.coerce(untyped, Type::TimestampTz)?;
                Ok(call(Function::Milliseconds, vec![expr], Type::BigInt))
            }
        }
    }
}

/// One bound for several. GREATEST and LEAST pass over NULLs, and a row with an unknown bound is never there: so then each must be
/// known, which are conditions of their own.
pub(super) fn tightest(mut bounds: Vec<Expr>, function: Function) -> (Option<Expr>, Vec<Expr>) {
    if bounds.len() < 2 {
        return (bounds.pop(), Vec::new());
    }
    let known = bounds
        .iter()
        .map(|bound| {
            let is_null = call(Function::IsNull, vec![bound.clone()], Type::Bool);
            call(Function::Not, vec![is_null], Type::Bool)
        })
        .collect();
    (Some(call(function, bounds, Type::BigInt)), known)
}

fn is_now(expr: &ast::Expr) -> bool {
    match expr {
        ast::Expr::Nested(inner) => is_now(inner),
        ast::Expr::Function(function) => name_of(&function.name)
            .is_ok_and(|name| matches!(name.name.as_str(), "mz_now" | "mz_logical_timestamp")),
        _ => false,
    }
}

fn flipped(function: Function) -> Function {
    match function {
        Function::Less => Function::Greater,
        Function::LessOrEqual => Function::GreaterOrEqual,
        Function::Greater => Function::Less,
        Function::GreaterOrEqual => Function::LessOrEqual,
        other => other,
    }
}
