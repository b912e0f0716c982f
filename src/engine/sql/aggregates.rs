//! Calls of aggregate functions: gathered where the SELECT asked for them, and a column to be filled in where they stood.

use sqlparser::ast;

use super::bind::{AGGREGATE_BASE, Binder, Bound, Place};
use super::functions::{no_function, plain_argument};
use super::scope::Scope;
use crate::engine::error::{SqlError, SqlState};
use crate::engine::expr::Expr;
use crate::engine::plan::{Aggregate, AggregateFunction};
use crate::engine::value::Type::{self, BigInt, Bool, Double, Numeric};

impl Binder<'_> {
    pub(super) fn aggregate(
        &self,
        aggregate: AggregateFunction,
        function: &ast::Function,
        list: &[ast::FunctionArg],
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Bound, SqlError> {
        let Some(gathered) = place.aggregates else {
            return Err(SqlError::new(
                SqlState::GroupingError,
                format!("aggregate functions are not allowed in {}", place.clause),
            ));
        };
        let inside = Place::plain("an aggregate function");
        let filter = function
            .filter
            .as_deref()
            .map(|filter| self.condition(filter, scope, &Place::plain("FILTER")))
            .transpose()?;
        let distinct = matches!(&function.args, ast::FunctionArguments::List(list)
            if list.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct));
        let is_star = matches!(
            list,
            [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Wildcard)]
        );
        let (argument, ty) = match (aggregate, list) {
            (AggregateFunction::Count, _) if is_star && !distinct => (None, BigInt),
            (_, [argument]) if !is_star => {
                let argument = self.bind(plain_argument(argument)?, scope, &inside)?;
                let (argument, ty) = self.aggregated(aggregate, argument)?;
                (Some(argument), ty)
            }
            _ => {
                let name = &function.name;
                return Err(SqlError::new(
                    SqlState::UndefinedFunction,
                    format!(
                        "function {name} with {} arguments does not exist",
                        list.len()
                    ),
                ));
            }
        };
        // The smallest of several equal values is that value.
        let matters = !matches!(aggregate, AggregateFunction::Min | AggregateFunction::Max);
        let aggregate = Aggregate {
            function: aggregate,
            argument,
            distinct: distinct && matters,
            filter,
        };
        let mut gathered = gathered.borrow_mut();
        let at = gathered
            .iter()
            .position(|known| *known == aggregate)
            .unwrap_or_else(|| {
                gathered.push(aggregate);
                gathered.len() - 1
            });
        Ok(Bound::Typed(Expr::Column(AGGREGATE_BASE + at), ty))
    }

    /// The aggregate's argument and the type of its result.
    pub(super) fn aggregated(
        &self,
        aggregate: AggregateFunction,
        argument: Bound,
    ) -> Result<(Expr, Type), SqlError> {
        use AggregateFunction::{Avg, Count, Max, Min, Sum};
        let (expr, ty) = match (aggregate, argument) {
            (Sum | Avg, argument @ (Bound::Text(_) | Bound::Null | Bound::Parameter(_))) => {
                (self.coerce(argument, Double)?, Double)
            }
            (_, argument) => self.settled(argument)?,
        };
        let result = match (aggregate, ty) {
            (Count, _) => BigInt,
            (Min | Max, ty) if ty != Bool => ty,
            (Sum | Avg, BigInt | Numeric) => Numeric,
            (Sum | Avg, Double) => Double,
            _ => {
                let name = format!("{aggregate:?}").to_lowercase();
                return Err(no_function(&name, &[Bound::Typed(expr, ty)]));
            }
        };
        Ok((expr, result))
    }
}

pub(super) fn aggregate_named(name: &str) -> Option<AggregateFunction> {
    Some(match name {
        "count" => AggregateFunction::Count,
        "sum" => AggregateFunction::Sum,
        "min" => AggregateFunction::Min,
        "max" => AggregateFunction::Max,
        "avg" => AggregateFunction::Avg,
        _ => return None,
    })
}
