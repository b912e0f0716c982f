//! Conditions that have a syntax of their own: IS, BETWEEN, IN, ANY and CASE.

use std::sync::Arc;

use sqlparser::ast;

use super::bind::{Binder, Place};
use super::bound::{Bound, call, called, computed};
use super::operators::comparison;
use super::scope::Scope;
use crate::engine::error::{SqlError, SqlState};
use crate::engine::expr::{Constants, Expr, Function};
use crate::engine::value::{Type, Value};

impl Binder<'_> {
    pub(super) fn is_null(
        &self,
        inner: &ast::Expr,
        negated: bool,
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Bound, SqlError> {
        let inner = self.bind(inner, scope, place)?;
        let (inner, _) = self.settled(inner)?;
        self.negated_if(negated, called(Function::IsNull, vec![inner], Type::Bool))
    }

    pub(super) fn is_bool(
        &self,
        inner: &ast::Expr,
        function: Function,
        negated: bool,
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Bound, SqlError> {
        let inner = self.bind(inner, scope, place)?;
        let inner = self.boolean(inner, "IS TRUE")?;
        self.negated_if(negated, called(function, vec![inner], Type::Bool))
    }

    pub(super) fn is_distinct(
        &self,
        left: &ast::Expr,
        right: &ast::Expr,
        distinct: bool,
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Bound, SqlError> {
        let left = self.bind(left, scope, place)?;
        let right = self.bind(right, scope, place)?;
        let same = self.compare(Function::NotDistinct, left, right)?;
        self.negated_if(distinct, same)
    }

    pub(super) fn between(
        &self,
        expr: &ast::Expr,
        low: &ast::Expr,
        high: &ast::Expr,
        negated: bool,
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Bound, SqlError> {
        let expr = self.bind(expr, scope, place)?;
        let low = self.bind(low, scope, place)?;
        let high = self.bind(high, scope, place)?;
        let above = self.compare(Function::GreaterOrEqual, expr.clone(), low)?;
        let below = self.compare(Function::LessOrEqual, expr, high)?;
        let both = vec![
            self.coerce(above, Type::Bool)?,
            self.coerce(below, Type::Bool)?,
        ];
        self.negated_if(negated, called(Function::And, both, Type::Bool))
    }

    pub(super) fn in_list(
        &self,
        expr: &ast::Expr,
        list: &[ast::Expr],
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Bound, SqlError> {
        let mut all = vec![self.bind(expr, scope, place)?];
        for item in list {
            all.push(self.bind(item, scope, place)?);
        }
        let (mut exprs, ty) = self.coerce_all("IN", all).map_err(no_comparison)?;
        let left = exprs.remove(0);
        Ok(Bound::Typed(any_of(left, exprs, ty), Type::Bool))
    }

    pub(super) fn any(
        &self,
        left: &ast::Expr,
        op: &ast::BinaryOperator,
        right: &ast::Expr,
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Bound, SqlError> {
        if let ast::Expr::Subquery(query) = right {
            let function =
                comparison(op).ok_or_else(|| SqlError::unsupported(format_args!("{op} ANY")))?;
            return self.any_of_query(function, left, query, scope, place);
        }
        if *op != ast::BinaryOperator::Eq {
            return Err(SqlError::unsupported(format_args!("{op} ANY")));
        }
        let mut array = right;
        while let ast::Expr::Nested(inner) = array {
            array = inner;
        }
        if let ast::Expr::Array(array) = array {
            return self.in_list(left, &array.elem, scope, place);
        }
        let left = self.bind(left, scope, place)?;
        let (left, ty) = self.settled(left)?;
        let right = self.bind(array, scope, place)?;
        let right = self.coerce(right, Type::Text)?;
        Ok(called(
            Function::EqualsAny(ty),
            vec![left, right],
            Type::Bool,
        ))
    }

    pub(super) fn case(
        &self,
        operand: Option<&ast::Expr>,
        conditions: &[ast::CaseWhen],
        otherwise: Option<&ast::Expr>,
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Bound, SqlError> {
        let operand = operand
            .map(|operand| self.bind(operand, scope, place))
            .transpose()?;
        let mut tests = Vec::with_capacity(conditions.len());
        let mut results = Vec::with_capacity(conditions.len() + 1);
        for when in conditions {
            let condition = self.bind(&when.condition, scope, place)?;
            tests.push(match &operand {
                Some(operand) => {
                    let equal = self.compare(Function::Equal, operand.clone(), condition)?;
                    self.coerce(equal, Type::Bool)?
                }
                None => self.boolean(condition, "CASE WHEN")?,
            });
            results.push(self.bind(&when.result, scope, place)?);
        }
        results.push(match otherwise {
            Some(otherwise) => self.bind(otherwise, scope, place)?,
            None => Bound::Null,
        });
        let (results, ty) = self.coerce_all("CASE", results)?;
        let mut results = results.into_iter();
        let mut arguments: Vec<Expr> = tests
            .into_iter()
            .zip(results.by_ref())
            .flat_map(|(test, result)| [test, result])
            .collect();
        arguments.extend(results);
        Ok(called(Function::Case, arguments, ty))
    }

    pub(super) fn negated_if(&self, negated: bool, bound: Bound) -> Result<Bound, SqlError> {
        if !negated {
            return Ok(bound);
        }
        let inner = self.coerce(bound, Type::Bool)?;
        Ok(called(Function::Not, vec![inner], Type::Bool))
    }
}

/// `left IN (items)`
pub(super) fn any_of(left: Expr, items: Vec<Expr>, ty: Type) -> Expr {
    let constants: Option<Vec<Value>> = items
        .iter()
        .map(|item| match item {
            Expr::Literal(value, _) => Some(value.clone()),
            _ => None,
        })
        .collect();
    match constants {
        // Intervals can be equal and look different, so they are compared one by one.
        Some(values) if ty != Type::Interval => {
            let constants = Constants::new(values);
            computed(Expr::In(Box::new(left), Arc::new(constants)), Type::Bool)
        }
        _ => {
            let equal = items
                .into_iter()
                .map(|item| call(Function::Equal, vec![left.clone(), item], Type::Bool))
                .collect();
            call(Function::Or, equal, Type::Bool)
        }
    }
}

fn no_comparison(error: SqlError) -> SqlError {
    SqlError {
        state: SqlState::UndefinedFunction,
        ..error
    }
}
