//! Syntax trees of expressions to typed expressions: names are resolved, types checked, constants computed.

use std::cell::{Cell, RefCell};

use sqlparser::ast;

use super::bound::{Bound, call, called};
use super::context::Context;
use super::cursor::fold;
use super::per_row::PerRow;
use super::scope::{Found, Scope};
use super::text;
use crate::engine::error::{SqlError, SqlState};
use crate::engine::expr::{Expr, Function};
use crate::engine::plan::Aggregate;
use crate::engine::value::Type;

/// How deep expressions, subqueries and functions defined by SQL may nest once they are bound; chains of AND and OR do not count.
/// Each level costs stack here and wherever the expression is evaluated.
const BIND_DEPTH_MAX: usize = 128;

/// Columns from here on are aggregates that have not got their place in the grouped row yet.
pub(super) const AGGREGATE_BASE: usize = 1 << 32;

/// Where an expression stands.
pub(super) struct Place<'p> {
    /// The clause, for errors.
    pub(super) clause: &'static str,
    /// Where aggregates are gathered; without it they are not allowed.
    pub(super) aggregates: Option<&'p RefCell<Vec<Aggregate>>>,
    /// Where numbers of rows, and functions that give several, are gathered; without it they are not allowed.
    pub(super) per_row: Option<&'p PerRow>,
}

impl Place<'static> {
    pub(super) const fn plain(clause: &'static str) -> Self {
        Place {
            clause,
            aggregates: None,
            per_row: None,
        }
    }
}

/// Binds the expressions of one statement.
pub(super) struct Binder<'a> {
    pub(super) context: &'a Context<'a>,
    /// `mz_now()` was used as a value.
    pub(super) uses_now: Cell<bool>,
    depth: Cell<usize>,
}

impl<'a> Binder<'a> {
    pub(super) fn new(context: &'a Context<'a>) -> Self {
        Binder {
            context,
            uses_now: Cell::new(false),
            depth: Cell::new(0),
        }
    }

    /// Runs `work` one level deeper.
    pub(super) fn nested<T>(
        &self,
        work: impl FnOnce() -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        let depth = self.depth.get();
        if depth >= BIND_DEPTH_MAX {
            return Err(SqlError::new(
                SqlState::ProgramLimitExceeded,
                format!("expression is nested more than {BIND_DEPTH_MAX} levels deep"),
            ));
        }
        self.depth.set(depth + 1);
        let result = work();
        self.depth.set(depth);
        result
    }

    /// Binds an expression.
    pub(super) fn bind(
        &self,
        expr: &ast::Expr,
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Bound, SqlError> {
        self.nested(|| self.bind_here(expr, scope, place))
    }

    /// Binds an expression that must have the type.
    pub(super) fn bind_as(
        &self,
        expr: &ast::Expr,
        ty: Type,
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Expr, SqlError> {
        let bound = self.bind(expr, scope, place)?;
        self.coerce(bound, ty)
    }

    /// Binds a condition.
    pub(super) fn condition(
        &self,
        expr: &ast::Expr,
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Expr, SqlError> {
        let bound = self.bind(expr, scope, place)?;
        self.boolean(bound, place.clause)
    }

    pub(super) fn boolean(&self, bound: Bound, clause: &str) -> Result<Expr, SqlError> {
        match bound.ty() {
            None | Some(Type::Bool) => self.coerce(bound, Type::Bool),
            Some(other) => Err(SqlError::new(
                SqlState::DatatypeMismatch,
                format!("argument of {clause} must be type boolean, not type {other}"),
            )),
        }
    }

    fn bind_here(
        &self,
        expr: &ast::Expr,
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Bound, SqlError> {
        use ast::Expr as E;
        match expr {
            E::Identifier(ident) => self.column(std::slice::from_ref(ident), scope),
            E::CompoundIdentifier(idents) => self.column(idents, scope),
            E::Value(value) => self.value(&value.value, scope),
            E::Nested(inner) => self.bind(inner, scope, place),
            E::Collate { expr, .. } => self.bind(expr, scope, place),
            E::BinaryOp { left, op, right } => self.binary(expr, left, op, right, scope, place),
            E::UnaryOp { op, expr } => self.unary(*op, expr, scope, place),
            E::IsNull(inner) => self.is_null(inner, false, scope, place),
            E::IsNotNull(inner) => self.is_null(inner, true, scope, place),
            E::IsTrue(inner) => self.is_bool(inner, Function::IsTrue, false, scope, place),
            E::IsNotTrue(inner) => self.is_bool(inner, Function::IsTrue, true, scope, place),
            E::IsFalse(inner) => self.is_bool(inner, Function::IsFalse, false, scope, place),
            E::IsNotFalse(inner) => self.is_bool(inner, Function::IsFalse, true, scope, place),
            E::IsUnknown(inner) => self.is_bool(inner, Function::IsNull, false, scope, place),
            E::IsNotUnknown(inner) => self.is_bool(inner, Function::IsNull, true, scope, place),
            E::IsDistinctFrom(left, right) => self.is_distinct(left, right, true, scope, place),
            E::IsNotDistinctFrom(left, right) => self.is_distinct(left, right, false, scope, place),
            E::InList {
                expr,
                list,
                negated,
            } => {
                let found = self.in_list(expr, list, scope, place)?;
                self.negated_if(*negated, found)
            }
            E::Between {
                expr,
                negated,
                low,
                high,
            } => self.between(expr, low, high, *negated, scope, place),
            E::Like { .. } | E::ILike { .. } | E::SimilarTo { .. } | E::RLike { .. } => {
                self.like(expr, scope, place)
            }
            E::InSubquery { .. } | E::Exists { .. } | E::Subquery(_) => {
                self.subquery(expr, scope, place)
            }
            E::AnyOp {
                left,
                compare_op,
                right,
                ..
            } => self.any(left, compare_op, right, scope, place),
            E::AllOp {
                left,
                compare_op: ast::BinaryOperator::NotEq,
                right,
            } => {
                let found = self.any(left, &ast::BinaryOperator::Eq, right, scope, place)?;
                self.negated_if(true, found)
            }
            E::Cast {
                kind: ast::CastKind::Cast | ast::CastKind::DoubleColon,
                expr,
                data_type,
                format: None,
                ..
            } => {
                let bound = self.bind(expr, scope, place)?;
                self.cast(bound, data_type)
            }
            E::TypedString(typed) => {
                let literal = self.value(&typed.value.value, scope)?;
                self.cast(literal, &typed.data_type)
            }
            E::Interval(interval) => self.interval(interval),
            E::Case {
                operand,
                conditions,
                else_result,
                ..
            } => self.case(
                operand.as_deref(),
                conditions,
                else_result.as_deref(),
                scope,
                place,
            ),
            E::Array(array) => {
                let items = self.bind_all(&array.elem, scope, place)?;
                self.array(items)
            }
            E::CompoundFieldAccess { root, access_chain } => {
                self.element(root, access_chain, scope, place)
            }
            E::Function(function) => self.function(function, scope, place),
            _ => self.special_syntax(expr, scope, place),
        }
    }

    pub(super) fn bind_all(
        &self,
        exprs: &[ast::Expr],
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Vec<Bound>, SqlError> {
        exprs
            .iter()
            .map(|expr| self.bind(expr, scope, place))
            .collect()
    }

    fn column(&self, idents: &[ast::Ident], scope: &Scope<'_>) -> Result<Bound, SqlError> {
        let names: Vec<String> = idents
            .iter()
            .map(|ident| fold(&ident.value, ident.quote_style))
            .collect();
        let Some((name, qualifier)) = names.split_last() else {
            return Err(SqlError::unsupported("an empty name"));
        };
        let found = scope.find(qualifier, name).map_err(|error| {
            idents
                .first()
                .map_or(error.clone(), |ident| self.at(error, ident.span.start))
        })?;
        let Found { depth, at, column } = found;
        let expr = match depth {
            0 => Expr::Column(at),
            depth => Expr::Outer { depth, column: at },
        };
        Ok(Bound::Typed(expr, column.ty))
    }

    /// The error at a place of the text, when the text is known.
    pub(super) fn at(&self, error: SqlError, location: sqlparser::tokenizer::Location) -> SqlError {
        if self.context.sql.is_empty() || error.position.is_some() {
            return error;
        }
        text::located(error, self.context.sql, location)
    }

    pub(super) fn array(&self, items: Vec<Bound>) -> Result<Bound, SqlError> {
        let (items, _) = self.coerce_all("ARRAY", items)?;
        Ok(called(Function::MakeArray, items, Type::Text))
    }

    /// `array[n]`, `table.array[n]` and `(pair).n`
    fn element(
        &self,
        root: &ast::Expr,
        chain: &[ast::AccessExpr],
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Bound, SqlError> {
        use ast::AccessExpr::{Dot, Subscript};
        // Without parentheses the dots before a bracket belong to the array's name.
        let mut idents: Vec<ast::Ident> = match root {
            ast::Expr::Identifier(ident) => vec![ident.clone()],
            ast::Expr::CompoundIdentifier(idents) => idents.clone(),
            _ => Vec::new(),
        };
        let mut chain = chain;
        while let ([Dot(ast::Expr::Identifier(part)), rest @ ..], false) =
            (chain, idents.is_empty())
        {
            idents.push(part.clone());
            chain = rest;
        }
        let root = match idents.is_empty() {
            true => self.bind(root, scope, place)?,
            false => self.column(&idents, scope)?,
        };
        match chain {
            [] => Ok(root),
            [Subscript(ast::Subscript::Index { index })] => {
                let array = self.coerce(root, Type::Text)?;
                let index = self.bind_as(index, Type::BigInt, scope, place)?;
                let element = call(Function::ArrayElement, vec![array, index], Type::Text);
                Ok(Bound::Element(element))
            }
            [Dot(ast::Expr::Identifier(field))] => {
                self.field(root, &fold(&field.value, field.quote_style))
            }
            _ => Err(SqlError::unsupported("a field of a composite value")),
        }
    }
}
