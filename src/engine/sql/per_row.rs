//! What a select list asks of its rows together: their numbers (`row_number() OVER (...)`), and functions that give several rows
//! (`unnest`, `_pg_expandarray`).
//!
//! Each is gathered where it stands, and a column beyond all others stands for it until its operator has made it: first the
//! numbers, then the several rows. As in Postgres all functions that give several rows go through them side by side.

use std::cell::RefCell;

use sqlparser::ast;

use super::bind::{Binder, Place};
use super::bound::{Bound, call, called};
use super::grouping::Grouping;
use super::query::ordered_by;
use super::scope::Scope;
use super::table_functions::{ELEMENTS_MAX, array_length, series};
use crate::engine::error::{SqlError, SqlState};
use crate::engine::expr::{Expr, Function};
use crate::engine::plan::{JoinKind, OrderKey, Plan};
use crate::engine::value::Type;

/// Columns from here on stand for the numbers of rows.
const NUMBERS: usize = 2 << 32;

/// This column stands for the place in the arrays that functions go through.
const PLACE: usize = 3 << 32;

/// What has been gathered.
#[derive(Default)]
pub(super) struct PerRow {
    numbers: RefCell<Vec<Numbering>>,
    /// The length of the longest array.
    places: RefCell<Option<Expr>>,
}

#[derive(PartialEq)]
struct Numbering {
    partition: Vec<Expr>,
    order: Vec<OrderKey>,
}

/// The column stands for something that belongs to the row, not to its group.
pub(super) fn is_per_row(column: usize) -> bool {
    column >= NUMBERS
}

impl PerRow {
    /// Says of groups what was said of rows.
    pub(super) fn regroup(
        &mut self,
        grouping: &Grouping,
        scope: &Scope<'_>,
    ) -> Result<(), SqlError> {
        for numbering in self.numbers.get_mut() {
            let order = numbering.order.iter_mut().map(|key| &mut key.expr);
            for expr in numbering.partition.iter_mut().chain(order) {
                *expr = grouping.regrouped(expr, scope)?;
            }
        }
        if let Some(length) = self.places.get_mut() {
            *length = grouping.regrouped(length, scope)?;
        }
        Ok(())
    }

    /// The rows with the columns that were asked for, and what turns expressions over the columns that stand for them into expressions over
    /// these.
    pub(super) fn applied(self, mut plan: Plan) -> (Plan, impl Fn(&Expr) -> Expr) {
        let first_number = plan.arity();
        for numbering in self.numbers.into_inner() {
            plan = Plan::Number {
                input: Box::new(plan),
                partition: numbering.partition,
                order: numbering.order,
                limit: None,
            };
        }
        let place = plan.arity();
        let made = move |expr: &Expr| {
            expr.map_columns(&|at| match at {
                PLACE => place,
                at if at >= NUMBERS => first_number + at - NUMBERS,
                at => at,
            })
        };
        if let Some(length) = self.places.into_inner() {
            plan = Plan::Join {
                left: Box::new(plan),
                right: Box::new(series(1, ELEMENTS_MAX)),
                kind: JoinKind::Inner,
                on: Expr::Call(
                    Function::LessOrEqual,
                    vec![Expr::Column(place), made(&length)],
                ),
            };
        }
        (plan, made)
    }
}

impl Binder<'_> {
    /// A function with OVER.
    pub(super) fn window_function(
        &self,
        name: &str,
        function: &ast::Function,
        over: &ast::WindowType,
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Bound, SqlError> {
        let has_arguments = !matches!(&function.args, ast::FunctionArguments::List(list)
            if list.args.is_empty() && list.clauses.is_empty());
        let ast::WindowType::WindowSpec(spec) = over else {
            return Err(SqlError::unsupported("a named window"));
        };
        if name != "row_number" || has_arguments || function.filter.is_some() {
            return Err(SqlError::unsupported(format_args!(
                "the window function {name}()"
            )));
        }
        let per_row = place.per_row.ok_or_else(|| {
            SqlError::new(
                SqlState::WindowingError,
                format!("window functions are not allowed in {}", place.clause),
            )
        })?;
        let inside = Place {
            per_row: None,
            ..*place
        };
        let bind = |expr: &ast::Expr| {
            let bound = self.bind(expr, scope, &inside)?;
            Ok::<Expr, SqlError>(self.settled(bound)?.0)
        };
        let partition = spec
            .partition_by
            .iter()
            .map(bind)
            .collect::<Result<_, _>>()?;
        let order = ordered_by(&spec.order_by, bind)?;
        let numbering = Numbering { partition, order };
        let mut numbers = per_row.numbers.borrow_mut();
        let at = numbers.iter().position(|known| *known == numbering);
        let at = at.unwrap_or_else(|| {
            numbers.push(numbering);
            numbers.len() - 1
        });
        Ok(Bound::Typed(Expr::Column(NUMBERS + at), Type::BigInt))
    }

    /// `unnest(array)`, or `_pg_expandarray(array)`, whose rows are pairs of an element and its place.
    pub(super) fn several_rows(
        &self,
        name: &str,
        array: Bound,
        place: &Place<'_>,
    ) -> Result<Bound, SqlError> {
        let per_row = place.per_row.ok_or_else(|| {
            SqlError::new(
                SqlState::FeatureNotSupported,
                format!(
                    "set-returning functions are not allowed in {}",
                    place.clause
                ),
            )
        })?;
        let array = self.coerce(array, Type::Text)?;
        let length = array_length(array.clone());
        let mut places = per_row.places.borrow_mut();
        *places = Some(match places.take() {
            Some(other) if other != length => {
                call(Function::Greatest, vec![other, length], Type::BigInt)
            }
            _ => length,
        });
        let at = Bound::Typed(Expr::Column(PLACE), Type::BigInt);
        let element = vec![array, Expr::Column(PLACE)];
        let element = called(Function::ArrayElement, element, Type::Text);
        if name == "unnest" {
            return Ok(element);
        }
        self.sql_function("'(' || $1 || ',' || $2 || ')'", vec![element, at])
    }

    /// `(pair).x` and `(pair).n` of `_pg_expandarray`: there are no other composite values, and these are texts, as arrays are.
    pub(super) fn field(&self, pair: Bound, field: &str) -> Result<Bound, SqlError> {
        let part = match field {
            "x" => 1,
            "n" => 2,
            _ => return Err(SqlError::unsupported("a field of a composite value")),
        };
        let body = format!("CAST(split_part(btrim($1, '()'), ',', {part}) AS bigint)");
        self.sql_function(&body, vec![pair])
    }
}
