//! Calls of aggregate functions: gathered where the SELECT asked for them, and a column to be filled in where they stood.

use sqlparser::ast;

use super::bind::{AGGREGATE_BASE, Binder, Place};
use super::bound::{Bound, call, called};
use super::functions::plain_argument;
use super::query::ordered_by;
use super::scope::Scope;
use super::signatures::no_function;
use crate::engine::error::{SqlError, SqlState};
use crate::engine::expr::{Expr, Function};
use crate::engine::plan::{Aggregate, AggregateFunction, OrderKey};
use crate::engine::value::Type::{self, BigInt, Bool, Double, Numeric, Text};

/// What one call of an aggregate function says.
struct Call<'f> {
    arguments: &'f [ast::FunctionArg],
    distinct: bool,
    order: &'f [ast::OrderByExpr],
}

impl Binder<'_> {
    pub(super) fn aggregate(
        &self,
        name: &str,
        aggregate: AggregateFunction,
        function: &ast::Function,
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Bound, SqlError> {
        if place.aggregates.is_none() {
            return Err(SqlError::new(
                SqlState::GroupingError,
                format!("aggregate functions are not allowed in {}", place.clause),
            ));
        }
        let inside = Place::plain("an aggregate function");
        let mut filter = function
            .filter
            .as_deref()
            .map(|filter| self.condition(filter, scope, &Place::plain("FILTER")))
            .transpose()?;
        let Call {
            arguments,
            distinct,
            order,
        } = taken_apart(name, function)?;
        let order = ordered_by(order, |expr| {
            let bound = self.bind(expr, scope, &inside)?;
            Ok(self.settled(bound)?.0)
        })?;
        let bound = arguments
            .iter()
            .filter(|argument| !is_star(argument))
            .map(|argument| self.bind(plain_argument(argument)?, scope, &inside))
            .collect::<Result<Vec<_>, _>>()?;
        let mut separator = None;
        let (argument, ty) = match (name, &bound[..], arguments) {
            ("count", [], [_]) if !distinct => (None, BigInt),
            ("string_agg", [_, _], _) => {
                let mut texts = bound
                    .into_iter()
                    .map(|bound| self.as_given_text(name, bound));
                let text = texts.next().transpose()?;
                separator = texts.next().transpose()?;
                (text, Text)
            }
            (_, [_], [_]) if name != "string_agg" => {
                let mut bound = bound.into_iter();
                let argument = bound.next().unwrap_or(Bound::Null);
                let (argument, ty) = self.aggregated(name, aggregate, argument)?;
                (Some(argument), ty)
            }
            _ => return Err(no_function(name, &bound)),
        };
        if distinct && order.iter().any(|key| Some(&key.expr) != argument.as_ref()) {
            return Err(SqlError::new(
                SqlState::InvalidColumnReference,
                "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list",
            ));
        }
        if let (Some(_), Some(text)) = (&separator, &argument) {
            // What is NULL is no part of the text.
            let is_null = call(Function::IsNull, vec![text.clone()], Bool);
            let is_known = call(Function::Not, vec![is_null], Bool);
            filter = Some(Expr::all(filter.into_iter().chain([is_known]).collect()));
        }
        let value = self.gathered(
            place,
            Aggregate {
                function: aggregate,
                argument,
                distinct,
                filter,
                order,
            },
        );
        Ok(match separator {
            Some(separator) => called(Function::ArrayToString, vec![value, separator], ty),
            None => Bound::Typed(value, ty),
        })
    }

    fn as_given_text(&self, name: &str, bound: Bound) -> Result<Expr, SqlError> {
        match bound.ty() {
            None | Some(Text) => self.coerce(bound, Text),
            Some(_) => Err(no_function(name, &[bound])),
        }
    }

    /// The column that stands for the aggregate.
    fn gathered(&self, place: &Place<'_>, aggregate: Aggregate) -> Expr {
        use AggregateFunction::{Array, Max, Min};
        let order: Vec<OrderKey> = match aggregate.function {
            Array => aggregate.order,
            _ => Vec::new(),
        };
        let aggregate = Aggregate {
            // The smallest of several equal values is that value.
            distinct: aggregate.distinct && !matches!(aggregate.function, Min | Max),
            order,
            ..aggregate
        };
        let mut gathered = match place.aggregates {
            Some(gathered) => gathered.borrow_mut(),
            None => unreachable!("asked before"),
        };
        let known = gathered.iter().position(|known| *known == aggregate);
        let at = known.unwrap_or_else(|| {
            gathered.push(aggregate);
            gathered.len() - 1
        });
        Expr::Column(AGGREGATE_BASE + at)
    }

    /// The aggregate's argument and the type of its result.
    fn aggregated(
        &self,
        name: &str,
        aggregate: AggregateFunction,
        argument: Bound,
    ) -> Result<(Expr, Type), SqlError> {
        use AggregateFunction::{Array, Avg, Count, Max, Min, Sum};
        let of_booleans = name.starts_with("bool_") || name == "every";
        let (expr, ty) = match (aggregate, argument) {
            (Sum | Avg, argument) if argument.ty().is_none() => {
                (self.coerce(argument, Double)?, Double)
            }
            (_, argument) if of_booleans && argument.ty().is_none() => {
                (self.coerce(argument, Bool)?, Bool)
            }
            (_, argument) => self.settled(argument)?,
        };
        let result = match (aggregate, ty) {
            (Count, _) => BigInt,
            (Array, _) => Text,
            (Min | Max, ty) if of_booleans == (ty == Bool) => ty,
            (Sum | Avg, BigInt | Numeric) => Numeric,
            (Sum | Avg, Double) => Double,
            _ => return Err(no_function(name, &[Bound::Typed(expr, ty)])),
        };
        Ok((expr, result))
    }
}

fn is_star(argument: &ast::FunctionArg) -> bool {
    let ast::FunctionArg::Unnamed(argument) = argument else {
        return false;
    };
    matches!(argument, ast::FunctionArgExpr::Wildcard)
}

fn taken_apart<'f>(name: &str, function: &'f ast::Function) -> Result<Call<'f>, SqlError> {
    let ast::FunctionArguments::List(list) = &function.args else {
        return Err(SqlError::unsupported(format_args!(
            "such a call of {name}()"
        )));
    };
    let order = match &list.clauses[..] {
        [] => &[][..],
        [ast::FunctionArgumentClause::OrderBy(order)] => order,
        _ => {
            return Err(SqlError::unsupported(format_args!(
                "a clause inside the call of {name}()"
            )));
        }
    };
    Ok(Call {
        arguments: &list.args,
        distinct: list.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct),
        order,
    })
}

pub(super) fn aggregate_named(name: &str) -> Option<AggregateFunction> {
    Some(match name {
        "count" => AggregateFunction::Count,
        "sum" => AggregateFunction::Sum,
        // False comes before true.
        "min" | "bool_and" | "every" => AggregateFunction::Min,
        "max" | "bool_or" => AggregateFunction::Max,
        "avg" => AggregateFunction::Avg,
        "array_agg" | "string_agg" => AggregateFunction::Array,
        _ => return None,
    })
}
