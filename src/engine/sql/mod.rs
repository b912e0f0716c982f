//! SQL: text to statements ([`parse`]), queries to plans ([`plan_query`]).
//!
//! It knows relations by what a [`Relations`] says of them, and nothing of dataflows or sessions. Statements that are not queries
//! are the door's to carry out.

mod aggregates;
mod bind;
mod bound;
mod calendar;
mod casts;
mod column_names;
mod conditions;
mod context;
mod copy_parse;
mod cursor;
mod decorrelate;
mod filter;
mod from;
mod functions;
mod grouping;
mod literals;
mod operators;
mod outputs;
mod parse;
mod per_row;
mod query;
mod scope;
mod select;
mod session_parse;
mod set_operations;
mod signatures;
mod simplify;
mod statement;
mod subquery;
mod table_functions;
mod temporal;
mod text;

use std::cell::RefCell;

pub use context::{Context, Parameters, Purpose, Relations, Resolved, Rows};
pub use parse::parse;
pub use sqlparser::ast;
pub use statement::{
    CopyFormat, CopyOptions, CreateView, Discard, FetchCount, Name, Show, ShowKind, Source,
    Statement, Subscribe,
};
pub use text::{DEPTH_MAX, STATEMENT_BYTES_MAX, TOKENS_MAX};

use super::error::{SqlError, SqlState};
use super::plan::Query;
use super::value::{Column, Type, Value};
use bind::{Binder, Place};
use scope::{Names, Scope};

/// The only database.
pub const DATABASE: &str = "materialize";

/// The schema of everything that people make.
pub const SCHEMA: &str = "public";

/// Parameters that a statement can have: what the protocol can count.
const PARAMETERS_MAX: usize = 65_535;

/// Plans a query.
///
/// # Errors
/// Names that are not there, types that do not fit, and SQL that the engine does not speak.
pub fn plan_query(query: &ast::Query, context: &Context<'_>) -> Result<Query, SqlError> {
    let binder = Binder::new(context);
    let ordered = binder.ordered_query(query, &outermost())?;
    let columns = ordered.columns.clone();
    let (plan, order) = match context.purpose {
        Purpose::Once => (ordered.plan, ordered.order),
        Purpose::Maintained => {
            let planned = ordered.planned();
            (planned.plan, planned.order)
        }
    };
    let mut plan = plan;
    if !plan.reads().is_empty() {
        decorrelate::decorrelate(&mut plan);
    }
    let plan = simplify::simplified(plan);
    binder.check_subqueries(&plan)?;
    if binder.uses_now.get() && !plan.reads().is_empty() {
        return Err(literals::now_misplaced());
    }
    Ok(Query {
        plan,
        columns,
        order,
    })
}

/// What a client is told of a query before its parameters are known: their types, and the columns it will give.
///
/// `declared` are the types that the client has said, by position; the others are found out from where the parameters stand, and are
/// text where that says nothing.
///
/// # Errors
/// As [`plan_query`].
pub fn describe(
    query: &ast::Query,
    declared: &[Option<Type>],
    context: &Context<'_>,
) -> Result<(Vec<Type>, Vec<Column>), SqlError> {
    let types = RefCell::new(declared.to_vec());
    let context = Context {
        parameters: Parameters::Infer(&types),
        ..*context
    };
    let planned = plan_query(query, &context)?;
    let types = types
        .into_inner()
        .into_iter()
        .map(|ty| ty.unwrap_or(Type::Text))
        .collect();
    Ok((types, planned.columns))
}

/// The value of an expression that stands alone, such as `UP TO`'s or EXECUTE's argument.
///
/// # Errors
/// As [`plan_query`], and what evaluating it fails with.
pub fn constant(expr: &ast::Expr, context: &Context<'_>) -> Result<(Value, Type), SqlError> {
    let binder = Binder::new(context);
    let scope = Scope::empty(outermost());
    let bound = binder.bind(expr, &scope, &Place::plain("a constant"))?;
    let (expr, ty) = binder.settled(bound)?;
    Ok((super::fold::value(&expr, context.now_ms)?, ty))
}

/// The type that a declared parameter has.
///
/// # Errors
/// 42704 for a type that there is not, 0A000 for one that the engine does not have.
pub fn declared_type(data_type: &ast::DataType) -> Result<Type, SqlError> {
    casts::declared(data_type)
}

/// A time as milliseconds since the epoch, for `UP TO`: a number of them, or a point in time.
///
/// # Errors
/// 22023 for any other value.
pub fn milliseconds(value: &Value) -> Result<u64, SqlError> {
    let ms = match value {
        Value::BigInt(ms) => Some(*ms),
        Value::TimestampTz(micros) => Some(micros.div_euclid(1_000)),
        Value::Text(text) => match Value::parse(text, Type::BigInt) {
            Ok(Value::BigInt(ms)) => Some(ms),
            _ => return milliseconds(&Value::parse(text, Type::TimestampTz)?),
        },
        _ => None,
    };
    ms.and_then(|ms| u64::try_from(ms).ok()).ok_or_else(|| {
        SqlError::new(
            SqlState::InvalidParameterValue,
            "a time must be milliseconds since the epoch or a timestamptz",
        )
    })
}

fn outermost() -> Names<'static> {
    Names {
        ctes: std::rc::Rc::default(),
        outer: None,
    }
}

#[cfg(test)]
mod parse_tests;
#[cfg(test)]
mod plan_tests;
#[cfg(test)]
mod postgres_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
pub(crate) mod random_queries;
