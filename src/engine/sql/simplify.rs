//! Makes a plan carry only the columns that are used, and takes out operators that do nothing.
//!
//! A plan is a key: equal queries share one dataflow. So two ways of writing the same thing should end as one plan, as far as that
//! is cheap.

use std::collections::BTreeSet;

use crate::engine::expr::Expr;
use crate::engine::plan::{Aggregate, OrderKey, Plan};

/// The plan, with all its columns, and nothing in it that is not used.
pub(super) fn simplified(plan: Plan) -> Plan {
    let all = (0..plan.arity()).collect();
    let (plan, kept) = pruned(plan, &all);
    restored(plan, &kept, &all)
}

/// The plan with at least the `used` columns, and which of its old columns it still has, in their order.
fn pruned(plan: Plan, used: &BTreeSet<usize>) -> (Plan, Vec<usize>) {
    match plan {
        Plan::Get { name, columns } => {
            let kept: Vec<usize> = used.iter().copied().collect();
            let columns = kept.iter().map(|at| columns[*at]).collect();
            (Plan::Get { name, columns }, kept)
        }
        Plan::Constant { arity, rows } => {
            let kept: Vec<usize> = used.iter().copied().collect();
            if kept.len() == arity {
                return (Plan::Constant { arity, rows }, kept);
            }
            let rows = rows
                .iter()
                .map(|row| kept.iter().map(|at| row.values()[*at].clone()).collect())
                .collect();
            let arity = kept.len();
            (Plan::Constant { arity, rows }, kept)
        }
        Plan::Project { input, columns } => project(*input, columns, used),
        Plan::Filter { input, predicate } => {
            let (input, kept) = pruned(*input, &with(used, [&predicate]));
            let predicate = moved(&predicate, &kept);
            let input = Box::new(input);
            (Plan::Filter { input, predicate }, kept)
        }
        Plan::Window {
            input,
            from_ms,
            until_ms,
        } => {
            let wanted = with(used, from_ms.iter().chain(&until_ms));
            let (input, kept) = pruned(*input, &wanted);
            let plan = Plan::Window {
                input: Box::new(input),
                from_ms: from_ms.map(|from| moved(&from, &kept)),
                until_ms: until_ms.map(|until| moved(&until, &kept)),
            };
            (plan, kept)
        }
        Plan::Aggregate {
            input,
            keys,
            aggregates,
        } => aggregate(*input, keys, aggregates, used),
        // Whether a row is a repeat depends on all its columns.
        Plan::Distinct { input } => {
            let plan = Plan::Distinct {
                input: Box::new(simplified(*input)),
            };
            let all = (0..plan.arity()).collect();
            (plan, all)
        }
        Plan::TopK {
            input,
            order,
            limit,
            offset,
        } => {
            let wanted = with(used, order.iter().map(|key| &key.expr));
            let (input, kept) = pruned(*input, &wanted);
            let order = order
                .into_iter()
                .map(|key| OrderKey {
                    expr: moved(&key.expr, &kept),
                    ..key
                })
                .collect();
            let plan = Plan::TopK {
                input: Box::new(input),
                order,
                limit,
                offset,
            };
            (plan, kept)
        }
        Plan::Number {
            input,
            partition,
            order,
            limit,
        } => {
            let arity = input.arity();
            let below = used.range(..arity).copied().collect();
            if !used.contains(&arity) && limit.is_none() {
                return pruned(*input, &below);
            }
            let exprs = partition.iter().chain(order.iter().map(|key| &key.expr));
            let (input, mut kept) = pruned(*input, &with(&below, exprs));
            let plan = Plan::Number {
                partition: partition.iter().map(|key| moved(key, &kept)).collect(),
                order: order
                    .into_iter()
                    .map(|key| OrderKey {
                        expr: moved(&key.expr, &kept),
                        ..key
                    })
                    .collect(),
                input: Box::new(input),
                limit,
            };
            kept.push(arity);
            (plan, kept)
        }
        Plan::UnionAll { inputs } => {
            let inputs = inputs
                .into_iter()
                .map(|input| {
                    let (input, kept) = pruned(input, used);
                    restored(input, &kept, used)
                })
                .collect();
            (Plan::UnionAll { inputs }, used.iter().copied().collect())
        }
        Plan::Join {
            left,
            right,
            kind,
            on,
        } => {
            let arity = left.arity();
            let wanted = with(used, [&on]);
            let (left, left_kept) = pruned(*left, &wanted.range(..arity).copied().collect());
            let right_wanted = wanted.range(arity..).map(|at| at - arity).collect();
            let (right, right_kept) = pruned(*right, &right_wanted);
            let kept: Vec<usize> = left_kept
                .into_iter()
                .chain(right_kept.into_iter().map(|at| at + arity))
                .collect();
            let plan = Plan::Join {
                left: Box::new(left),
                right: Box::new(right),
                kind,
                on: moved(&on, &kept),
            };
            (plan, kept)
        }
    }
}

fn project(input: Plan, columns: Vec<Expr>, used: &BTreeSet<usize>) -> (Plan, Vec<usize>) {
    let kept: Vec<usize> = used.iter().copied().collect();
    let columns: Vec<Expr> = kept.iter().map(|at| columns[*at].clone()).collect();
    let (input, input_kept) = pruned(input, &with(&BTreeSet::new(), &columns));
    let columns: Vec<Expr> = columns
        .iter()
        .map(|column| moved(column, &input_kept))
        .collect();
    (projection(input, columns), kept)
}

fn aggregate(
    input: Plan,
    keys: Vec<Expr>,
    aggregates: Vec<Aggregate>,
    used: &BTreeSet<usize>,
) -> (Plan, Vec<usize>) {
    // All keys stay: they are what makes the groups.
    let groups = keys.len();
    let kept: Vec<usize> = (0..groups).chain(used.range(groups..).copied()).collect();
    let aggregates: Vec<Aggregate> = kept[groups..]
        .iter()
        .map(|at| aggregates[at - groups].clone())
        .collect();
    let exprs = keys
        .iter()
        .chain(aggregates.iter().flat_map(Aggregate::exprs));
    let (input, input_kept) = pruned(input, &with(&BTreeSet::new(), exprs));
    let plan = Plan::Aggregate {
        keys: keys.iter().map(|key| moved(key, &input_kept)).collect(),
        aggregates: aggregates
            .into_iter()
            .map(|mut aggregate| {
                aggregate
                    .exprs_mut()
                    .for_each(|expr| *expr = moved(expr, &input_kept));
                aggregate
            })
            .collect(),
        input: Box::new(input),
    };
    (plan, kept)
}

/// A projection, unless it changes nothing; over another one of plain columns the two are one.
fn projection(input: Plan, columns: Vec<Expr>) -> Plan {
    let same = columns.len() == input.arity()
        && columns
            .iter()
            .enumerate()
            .all(|(at, column)| *column == Expr::Column(at));
    if same {
        return input;
    }
    if let Plan::Project {
        input: inner,
        columns: inner_columns,
    } = &input
        && columns
            .iter()
            .all(|column| matches!(column, Expr::Column(_)))
    {
        let columns = columns
            .iter()
            .map(|column| match column {
                Expr::Column(at) => inner_columns[*at].clone(),
                other => other.clone(),
            })
            .collect();
        return projection((**inner).clone(), columns);
    }
    Plan::Project {
        input: Box::new(input),
        columns,
    }
}

/// The plan, whose columns are `kept`, with exactly the `wanted` ones.
fn restored(plan: Plan, kept: &[usize], wanted: &BTreeSet<usize>) -> Plan {
    let columns = wanted
        .iter()
        .map(|at| moved(&Expr::Column(*at), kept))
        .collect();
    projection(plan, columns)
}

/// The columns, and those that the expressions read.
fn with<'e>(
    columns: &BTreeSet<usize>,
    exprs: impl IntoIterator<Item = &'e Expr>,
) -> BTreeSet<usize> {
    let mut all = columns.clone();
    for expr in exprs {
        expr.visit_columns(&mut |at| {
            all.insert(at);
        });
    }
    all
}

/// The expression over an input of which these columns are left.
fn moved(expr: &Expr, kept: &[usize]) -> Expr {
    expr.map_columns(&|at| {
        kept.binary_search(&at)
            .expect("a column that an expression reads is kept")
    })
}
