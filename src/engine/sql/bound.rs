//! Expressions while they are bound.
//!
//! A string literal, NULL and a parameter have no type of their own: each takes the type that its place wants, as in Postgres.

use super::bind::Binder;
use super::casts;
use super::context::Parameters;
use crate::engine::error::{SqlError, SqlState};
use crate::engine::expr::{Expr, Function};
use crate::engine::value::{Type, Value};

/// A bound expression.
#[derive(Debug, Clone)]
pub(super) enum Bound {
    /// Of this type.
    Typed(Expr, Type),
    /// A string literal: of any type that it can be read as.
    Text(String),
    /// NULL.
    Null,
    /// A parameter whose type is being asked for, from 0.
    Parameter(usize),
    /// An element of an array. Arrays are texts that do not say of what type, so it can be read as any.
    Element(Expr),
}

impl Bound {
    pub(super) fn ty(&self) -> Option<Type> {
        match self {
            Bound::Typed(_, ty) => Some(*ty),
            Bound::Text(_) | Bound::Null | Bound::Parameter(_) | Bound::Element(_) => None,
        }
    }

    pub(super) fn constant(value: Value, ty: Type) -> Self {
        Bound::Typed(Expr::Literal(value, ty), ty)
    }

    /// The type's name for errors.
    pub(super) fn type_name(&self) -> String {
        self.ty()
            .map_or_else(|| "unknown".to_owned(), |ty| ty.to_string())
    }
}

impl Binder<'_> {
    /// The expression as one of the type, by an implicit cast where there is one.
    pub(super) fn coerce(&self, bound: Bound, ty: Type) -> Result<Expr, SqlError> {
        match bound {
            Bound::Typed(expr, from) if from == ty => Ok(expr),
            Bound::Typed(expr, from) if casts::is_implicit(from, ty) => {
                Ok(call(Function::Cast(ty), vec![expr], ty))
            }
            Bound::Typed(_, from) => Err(SqlError::new(
                SqlState::DatatypeMismatch,
                format!("an expression of type {from} stands where type {ty} is wanted"),
            )),
            Bound::Text(text) => Ok(Expr::Literal(Value::parse(&text, ty)?, ty)),
            Bound::Null => Ok(Expr::Literal(Value::Null, ty)),
            Bound::Element(text) if ty == Type::Text => Ok(text),
            Bound::Element(text) => Ok(call(Function::Cast(ty), vec![text], ty)),
            Bound::Parameter(at) => {
                if let Parameters::Infer(types) = &self.context.parameters
                    && let Some(slot) = types.borrow_mut().get_mut(at)
                {
                    slot.get_or_insert(ty);
                }
                Ok(Expr::Literal(Value::Null, ty))
            }
        }
    }

    /// What nothing has given a type is text.
    pub(super) fn settled(&self, bound: Bound) -> Result<(Expr, Type), SqlError> {
        match bound {
            Bound::Typed(expr, ty) => Ok((expr, ty)),
            other => Ok((self.coerce(other, Type::Text)?, Type::Text)),
        }
    }

    /// The one type that all of them can have.
    pub(super) fn common_type(&self, what: &str, bounds: &[Bound]) -> Result<Type, SqlError> {
        let mut common = None;
        for ty in bounds.iter().filter_map(Bound::ty) {
            common = Some(match common {
                None => ty,
                Some(so_far) => casts::common(so_far, ty).ok_or_else(|| {
                    SqlError::new(
                        SqlState::DatatypeMismatch,
                        format!("{what} types {so_far} and {ty} cannot be matched"),
                    )
                })?,
            });
        }
        Ok(common.unwrap_or(Type::Text))
    }

    pub(super) fn coerce_all(
        &self,
        what: &str,
        bounds: Vec<Bound>,
    ) -> Result<(Vec<Expr>, Type), SqlError> {
        let ty = self.common_type(what, &bounds)?;
        let exprs = bounds
            .into_iter()
            .map(|bound| self.coerce(bound, ty))
            .collect::<Result<_, _>>()?;
        Ok((exprs, ty))
    }
}

/// The call as a bound expression, computed when its arguments are constant.
pub(super) fn called(function: Function, arguments: Vec<Expr>, ty: Type) -> Bound {
    Bound::Typed(call(function, arguments, ty), ty)
}

/// The call, computed when its arguments are constant.
pub(super) fn call(function: Function, arguments: Vec<Expr>, ty: Type) -> Expr {
    computed(Expr::Call(function, arguments), ty)
}

/// The literal that the expression always is. An error waits until the expression is evaluated, which a CASE may never do.
pub(super) fn computed(expr: Expr, ty: Type) -> Expr {
    let is_literal = |expr: &Expr| matches!(expr, Expr::Literal(..));
    let constant = match &expr {
        Expr::Call(_, arguments) => arguments.iter().all(is_literal),
        Expr::Matches(input, _) | Expr::In(input, _) => is_literal(input),
        _ => false,
    };
    match constant.then(|| expr.eval(&[])) {
        Some(Ok(value)) => Expr::Literal(value, ty),
        _ => expr,
    }
}
