//! Functions in FROM: `generate_series(1, 3) AS n`, `unnest(array) AS item`, and any other as the one row of its value.
//!
//! Clients use them over what the catalog says; there is no LATERAL, so their arguments see the queries around them but not the
//! items beside them.

use sqlparser::ast;

use super::bind::{Binder, Place};
use super::bound::{Bound, call};
use super::cursor::{fold, name_of};
use super::query::one_row;
use super::scope::{Names, Planned, Scope};
use crate::engine::error::{SqlError, SqlState};
use crate::engine::expr::{Expr, Function};
use crate::engine::plan::Plan;
use crate::engine::value::{Column, Row, Type, Value};

/// The longest series: what clients count is columns and schemas. A longer one is refused (54000).
const SERIES_MAX: i64 = 10_000;

/// The elements that `unnest` looks for: arrays here are short texts of the catalog. A longer one is refused, because its length
/// does not fit [`Function::FitsBits`]; nothing is ever left out.
pub(super) const ELEMENTS_MAX: i64 = 127;

const PLACE: Place<'static> = Place::plain("a function in FROM");

impl Binder<'_> {
    /// A function as a relation of one column.
    pub(super) fn table_function(
        &self,
        name: &ast::ObjectName,
        arguments: &[ast::FunctionArg],
        alias: Option<&ast::TableAlias>,
        names: &Names<'_>,
    ) -> Result<Planned, SqlError> {
        let written = name_of(name)?;
        if arguments.is_empty() && self.context.relations.relation(&written)?.is_some() {
            // `pg_get_keywords()` and its kind are relations that are called.
            return self.relation(&written, names);
        }
        let function = written.name;
        let scope = Scope::empty(names.clone());
        let bound = arguments
            .iter()
            .map(|argument| match argument {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => {
                    self.bind(expr, &scope, &PLACE)
                }
                other => Err(SqlError::unsupported(format_args!("the argument {other}"))),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let (plan, ty) = match (function.as_str(), bound.len()) {
            ("generate_series", 2) => (self.series(bound)?, Type::BigInt),
            ("unnest", 1) => (self.elements(bound)?, Type::Text),
            _ => {
                let (value, ty) = self.settled(self.apply_named(&function, bound)?)?;
                let plan = Plan::Project {
                    input: Box::new(one_row()),
                    columns: vec![value],
                };
                (plan, ty)
            }
        };
        Ok(one_column(plan, ty, &function, alias))
    }

    /// `unnest(array)`, which has a syntax of its own.
    pub(super) fn unnest(
        &self,
        arrays: &[ast::Expr],
        alias: Option<&ast::TableAlias>,
        names: &Names<'_>,
    ) -> Result<Planned, SqlError> {
        let [array] = arrays else {
            return Err(SqlError::unsupported("unnest() of several arrays"));
        };
        let array = self.bind(array, &Scope::empty(names.clone()), &PLACE)?;
        let plan = self.elements(vec![array])?;
        Ok(one_column(plan, Type::Text, "unnest", alias))
    }

    fn series(&self, bounds: Vec<Bound>) -> Result<Plan, SqlError> {
        let mut ends = Vec::new();
        for bound in bounds {
            let end = self.coerce(bound, Type::BigInt)?;
            match crate::engine::fold::value(&end, self.context.now_ms)? {
                Value::BigInt(end) => ends.push(end),
                // A series without an end is empty.
                _ => return Ok(series(1, 0)),
            }
        }
        let (first, last) = (ends[0], ends[1]);
        if last.saturating_sub(first) >= SERIES_MAX {
            return Err(SqlError::new(
                SqlState::ProgramLimitExceeded,
                format!("generate_series() of more than {SERIES_MAX} rows"),
            ));
        }
        Ok(series(first, last))
    }

    /// One row for each place that the array has.
    fn elements(&self, array: Vec<Bound>) -> Result<Plan, SqlError> {
        let mut array = array.into_iter();
        let array = match array.next() {
            Some(array) => self.coerce(array, Type::Text)?,
            None => return Ok(series(1, 0)),
        };
        let length = array_length(array.clone());
        let place = Expr::Column(0);
        Ok(Plan::Project {
            input: Box::new(Plan::Filter {
                input: Box::new(series(1, ELEMENTS_MAX)),
                predicate: call(
                    Function::LessOrEqual,
                    vec![place.clone(), length],
                    Type::Bool,
                ),
            }),
            columns: vec![call(Function::ArrayElement, vec![array, place], Type::Text)],
        })
    }
}

/// The column goes by the alias, or by the function's name.
fn one_column(plan: Plan, ty: Type, function: &str, alias: Option<&ast::TableAlias>) -> Planned {
    let name = match alias {
        Some(alias) => fold(&alias.name.value, alias.name.quote_style),
        None => function.to_owned(),
    };
    Planned {
        plan,
        columns: vec![Column {
            name: name.into(),
            ty,
            nullable: true,
        }],
        order: Vec::new(),
    }
}

/// The array's length; one over [`ELEMENTS_MAX`] is an error.
pub(super) fn array_length(array: Expr) -> Expr {
    let length = call(Function::ArrayLength, vec![array], Type::BigInt);
    call(Function::FitsBits(8), vec![length], Type::BigInt)
}

pub(super) fn series(first: i64, last: i64) -> Plan {
    Plan::Constant {
        arity: 1,
        rows: (first..=last)
            .map(|n| Row::from_iter([Value::BigInt(n)]))
            .collect(),
    }
}
