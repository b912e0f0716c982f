//! Queries inside expressions. One that depends on nothing is computed here and now; the others stay, for [`crate::engine::fold`].

use sqlparser::ast;

use super::bind::{Binder, Place};
use super::bound::Bound;
use super::casts;
use super::conditions::any_of;
use super::scope::{Names, Planned, Scope};
use crate::engine::error::{SqlError, SqlState};
use crate::engine::expr::{Expr, Function, Subquery};
use crate::engine::fold::{self, Effort};
use crate::engine::plan::Plan;
use crate::engine::value::{Type, Value};

impl Binder<'_> {
    pub(super) fn subquery(
        &self,
        expr: &ast::Expr,
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Bound, SqlError> {
        match expr {
            ast::Expr::Subquery(query) => {
                let planned = self.inner_query(query, scope)?;
                let ty = only_column(&planned)?;
                self.finished(Subquery::Scalar, planned.plan, ty)
            }
            ast::Expr::Exists { subquery, negated } => {
                let planned = self.inner_query(subquery, scope)?;
                let exists = self.finished(Subquery::Exists, planned.plan, Type::Bool)?;
                self.negated_if(*negated, exists)
            }
            ast::Expr::InSubquery {
                expr,
                subquery,
                negated,
            } => {
                let found = self.any_of_query(Function::Equal, expr, subquery, scope, place)?;
                self.negated_if(*negated, found)
            }
            other => Err(SqlError::unsupported(format_args!("{other}"))),
        }
    }

    /// `ARRAY(query)`
    pub(super) fn array_of_query(
        &self,
        query: &ast::Query,
        scope: &Scope<'_>,
    ) -> Result<Bound, SqlError> {
        let planned = self.inner_query(query, scope)?;
        only_column(&planned)?;
        self.finished(Subquery::Array, planned.plan, Type::Text)
    }

    /// `left = ANY (query)`, and the other comparisons.
    pub(super) fn any_of_query(
        &self,
        function: Function,
        left: &ast::Expr,
        query: &ast::Query,
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Bound, SqlError> {
        let left = self.bind(left, scope, place)?;
        let mut planned = self.inner_query(query, scope)?;
        let right_ty = only_column(&planned)?;
        let ty = match left.ty() {
            None => right_ty,
            Some(left_ty) => casts::common(left_ty, right_ty).ok_or_else(|| {
                SqlError::new(
                    SqlState::UndefinedFunction,
                    format!("operator does not exist: {left_ty} = {right_ty}"),
                )
            })?,
        };
        if ty != right_ty {
            planned.plan = Plan::Project {
                input: Box::new(planned.plan),
                columns: vec![Expr::Call(Function::Cast(ty), vec![Expr::Column(0)])],
            };
        }
        let left = self.coerce(left, ty)?;
        if function == Function::Equal && self.is_constant(&planned.plan) {
            let items = self
                .rows_of(&planned.plan)?
                .into_iter()
                .map(|value| Expr::Literal(value, ty))
                .collect();
            return Ok(Bound::Typed(any_of(left, items, ty), Type::Bool));
        }
        Ok(Bound::Typed(
            Expr::Subquery(
                Subquery::Any(function, Box::new(left)),
                Box::new(planned.plan),
            ),
            Type::Bool,
        ))
    }

    fn inner_query(&self, query: &ast::Query, scope: &Scope<'_>) -> Result<Planned, SqlError> {
        let names = Names {
            ctes: scope.names.ctes.clone(),
            outer: Some(scope),
        };
        self.nested(|| self.query(query, &names))
    }

    /// Depends on no relation, on no row outside it, and not on the time.
    fn is_constant(&self, plan: &Plan) -> bool {
        plan.reads().is_empty() && !fold::reads_outside(plan)
    }

    fn rows_of(&self, plan: &Plan) -> Result<Vec<Value>, SqlError> {
        let rows = fold::constant_within(plan, self.context.now_ms, Effort::SMALL)?;
        Ok(rows
            .iter()
            .filter_map(|row| row.values().first().cloned())
            .collect())
    }

    fn finished(&self, kind: Subquery, plan: Plan, ty: Type) -> Result<Bound, SqlError> {
        let constant = self.is_constant(&plan);
        let expr = Expr::Subquery(kind, Box::new(plan));
        if !constant {
            return Ok(Bound::Typed(expr, ty));
        }
        let value = fold::value(&expr, self.context.now_ms)?;
        Ok(Bound::constant(value, ty))
    }

    /// Subqueries over relations that change, of which no join could be made, cannot be kept up to date.
    pub(super) fn check_subqueries(&self, plan: &Plan) -> Result<(), SqlError> {
        if plan.reads().is_empty() {
            return Ok(());
        }
        let mut found = false;
        plan.visit_exprs(&mut |expr| found |= expr.has_subquery());
        if found {
            return Err(
                SqlError::unsupported("such a subquery over relations that change").hint(
                    "A subquery that reads no row around it may stand in WHERE, HAVING and the select list; Materialize runs the \
                     full language: start wikitop with --materialize URL.",
                ),
            );
        }
        Ok(())
    }
}

fn only_column(planned: &Planned) -> Result<Type, SqlError> {
    match &planned.columns[..] {
        [column] => Ok(column.ty),
        _ => Err(SqlError::new(
            SqlState::SyntaxError,
            "subquery must return only one column",
        )),
    }
}
