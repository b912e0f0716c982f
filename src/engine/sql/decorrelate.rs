//! Subqueries of expressions, over relations that change: each becomes a join, and where it stood stands a column of it.
//!
//! That is how they can be kept up to date. It is done for those that read no row around them, in WHERE, HAVING and the select list;
//! `x IN (...)` as a condition on its own has a cheaper way ([`super::filter`]). A value that changes and stands beside every row changes every
//! row: there is no other way to say it.

use crate::engine::expr::{Expr, Function, Subquery};
use crate::engine::fold;
use crate::engine::plan::{Aggregate, AggregateFunction, JoinKind, Plan};
use crate::engine::value::{Type, Value};

/// Makes joins of subqueries, everywhere in the plan.
pub(super) fn decorrelate(plan: &mut Plan) {
    plan.inputs_mut().into_iter().for_each(decorrelate);
    match plan {
        Plan::Filter { input, predicate } => {
            let arity = input.arity();
            if beside(input, [predicate]) {
                // What was joined has served.
                let filtered = std::mem::replace(plan, nothing());
                *plan = Plan::Project {
                    input: Box::new(filtered),
                    columns: (0..arity).map(Expr::Column).collect(),
                };
            }
        }
        Plan::Project { input, columns } => {
            beside(input, columns.iter_mut());
        }
        _ => {}
    }
}

fn nothing() -> Plan {
    Plan::Constant {
        arity: 0,
        rows: Vec::new(),
    }
}

/// Puts the subqueries' values beside the input's rows; false when there are none.
fn beside<'e>(input: &mut Plan, exprs: impl IntoIterator<Item = &'e mut Expr>) -> bool {
    let before = input.arity();
    for expr in exprs {
        replace(expr, input);
    }
    input.arity() > before
}

/// Replaces the subqueries in an expression over `input` by columns that are joined to it.
fn replace(expr: &mut Expr, input: &mut Plan) {
    match expr {
        Expr::Column(_) | Expr::Literal(..) | Expr::Outer { .. } => {}
        Expr::Call(_, arguments) => {
            for argument in arguments {
                replace(argument, input);
            }
        }
        Expr::Matches(inner, _) | Expr::In(inner, _) => replace(inner, input),
        Expr::Subquery(kind, plan) => {
            if let Subquery::Any(_, left) = kind {
                replace(left, input);
            }
            if plan.reads().is_empty() || fold::reads_outside(plan) {
                return;
            }
            decorrelate(plan);
            let value = match kind {
                Subquery::Scalar => scalar((**plan).clone(), input),
                Subquery::Exists => exists((**plan).clone(), input),
                Subquery::Any(Function::Equal, left) if !left.has_subquery() => {
                    membership((**left).clone(), (**plan).clone(), input)
                }
                Subquery::Any(..) | Subquery::Array => return,
            };
            *expr = value;
        }
    }
}

/// The only value, NULL for none, an error for several.
fn scalar(values: Plan, input: &mut Plan) -> Expr {
    let of_values = counted(values, AggregateFunction::Min);
    let only = Expr::Call(Function::OnlyRow, vec![Expr::Column(0), Expr::Column(1)]);
    joined(projected(of_values, vec![only]), input)
}

fn exists(rows: Plan, input: &mut Plan) -> Expr {
    let any = is_zero(Expr::Column(0));
    let any = Expr::Call(Function::Not, vec![any]);
    joined(
        projected(counted(rows, AggregateFunction::Count), vec![any]),
        input,
    )
}

/// `left IN (values)` with all three answers.
fn membership(left: Expr, values: Plan, input: &mut Plan) -> Expr {
    let of_values = counted(values.clone(), AggregateFunction::Count);
    let none = is_zero(Expr::Column(0));
    let some_null = Expr::Call(Function::NotEqual, vec![Expr::Column(0), Expr::Column(1)]);
    let none = joined(projected(of_values, vec![none, some_null]), input);
    let Expr::Column(at) = none else {
        return none;
    };
    let some_null = Expr::Column(at + 1);

    let width = input.arity();
    let with_left = projected(taken(input), columns_and(width, left));
    *input = Plan::Join {
        left: Box::new(with_left),
        right: Box::new(Plan::Distinct {
            input: Box::new(values),
        }),
        kind: JoinKind::Left,
        on: equal(width, width + 1),
    };
    let is_null = |expr| Expr::Call(Function::IsNull, vec![expr]);
    let constant = |value| Expr::Literal(value, Type::Bool);
    let found = Expr::Call(Function::Not, vec![is_null(Expr::Column(width + 1))]);
    Expr::Call(
        Function::Case,
        vec![
            none,
            constant(Value::Bool(false)),
            is_null(Expr::Column(width)),
            constant(Value::Null),
            found,
            constant(Value::Bool(true)),
            some_null,
            constant(Value::Null),
            constant(Value::Bool(false)),
        ],
    )
}

/// One row: how many rows there are, and an aggregate of their first column (of nothing, when they have none).
fn counted(rows: Plan, function: AggregateFunction) -> Plan {
    let aggregate = |function, argument| Aggregate {
        function,
        argument,
        distinct: false,
        filter: None,
        order: Vec::new(),
    };
    Plan::Aggregate {
        aggregates: vec![
            aggregate(AggregateFunction::Count, None),
            aggregate(function, (rows.arity() > 0).then_some(Expr::Column(0))),
        ],
        input: Box::new(rows),
        keys: Vec::new(),
    }
}

/// Puts the one row of `single` beside every row of the input, by a column of zeros on both sides; the first column of it.
fn joined(single: Plan, input: &mut Plan) -> Expr {
    let zero = Expr::Literal(Value::BigInt(0), Type::BigInt);
    let (width, single_width) = (input.arity(), single.arity());
    let left = projected(taken(input), columns_and(width, zero.clone()));
    let right = projected(single, columns_and(single_width, zero));
    *input = Plan::Join {
        left: Box::new(left),
        right: Box::new(right),
        kind: JoinKind::Inner,
        on: equal(width, width + 1 + single_width),
    };
    Expr::Column(width + 1)
}

fn taken(plan: &mut Plan) -> Plan {
    std::mem::replace(plan, nothing())
}

fn projected(input: Plan, columns: Vec<Expr>) -> Plan {
    Plan::Project {
        input: Box::new(input),
        columns,
    }
}

fn columns_and(width: usize, last: Expr) -> Vec<Expr> {
    (0..width).map(Expr::Column).chain([last]).collect()
}

fn equal(left: usize, right: usize) -> Expr {
    let sides = vec![Expr::Column(left), Expr::Column(right)];
    Expr::Call(Function::Equal, sides)
}

fn is_zero(expr: Expr) -> Expr {
    let zero = Expr::Literal(Value::BigInt(0), Type::BigInt);
    Expr::Call(Function::Equal, vec![expr, zero])
}
