//! From plan to dataflow.
//!
//! Row-by-row operators are fused wherever they stand, and those over `recentchanges` run outside the dataflow, over the
//! columns of a block: what enters is already filtered, projected, and for aggregates added up, one update a group.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use differential_dataflow::collection::concatenate;
use differential_dataflow::difference::Abelian;
use differential_dataflow::input::InputSession;
use differential_dataflow::{AsCollection, Data};
use timely::dataflow::Scope;
use timely::dataflow::operators::ToStream;
use timely::dataflow::operators::vec::Map;

use super::chain::columns_of_changes;
use super::changes::{Changes, Entry, Shape, pack_key};
use super::errors::Errors;
use super::join::join;
use super::linear::Linear;
use super::number::number;
use super::operators::{Collection, Groups, Time, aggregate, temporal};
use super::skyband::{SKYBAND_MAX, skyband};
use super::top_k::{Order, top_k};
use super::totals::{Aggregates, Totals};
use crate::engine::error::SqlError;
use crate::engine::expr::Expr;
use crate::engine::packed::Packed;
use crate::engine::plan::{Aggregate, Plan};
use crate::engine::value::{Row, Value};

/// Where a dataflow takes the rows of another relation.
pub(super) struct RelationInput {
    pub(super) name: Arc<str>,
    pub(super) session: InputSession<Time, Row, i64>,
}

/// What rendering leaves in the hands of the query: its inputs, and what its operators share with it.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) changes: Vec<Changes>,
    pub(super) relations: Vec<RelationInput>,
    pub(super) errors: Rc<RefCell<Errors>>,
    /// When temporal operators have something to do by themselves.
    pub(super) wakes: Vec<Rc<Cell<Option<Time>>>>,
    /// About how many bytes of what has entered are no longer held.
    pub(super) freed: Rc<Cell<usize>>,
    /// All groups of the aggregation that is the plan's last operator but row-by-row ones, and those.
    pub(super) top: Option<(Rc<RefCell<Groups>>, Linear)>,
}

/// Builds the dataflow of a plan.
///
/// # Errors
/// An operator that the engine does not maintain.
pub(super) fn render<'scope>(
    plan: &Plan,
    scope: Scope<'scope, Time>,
    parts: &mut Parts,
) -> Result<Collection<'scope, Row, i64>, SqlError> {
    let (chain, input) = Linear::split(plan);
    if let Some(columns) = columns_of_changes(input) {
        let linear = Linear::new(&chain);
        return Ok(changes_rows(columns, linear, None, scope, parts));
    }
    let top = &mut None;
    let rows = match input {
        Plan::Get { name, columns } => relation(name, columns, scope, parts),
        Plan::Constant { rows, .. } => {
            let rows: Vec<_> = rows.iter().map(|row| (row.clone(), 0, 1)).collect();
            rows.to_stream(scope).as_collection()
        }
        Plan::Aggregate {
            input,
            keys,
            aggregates,
        } => {
            let (rows, groups) = aggregation(input, keys, aggregates, scope, parts)?;
            *top = Some(groups);
            rows
        }
        Plan::Distinct { input } => {
            let keys: Vec<Expr> = (0..input.arity()).map(Expr::Column).collect();
            let (rows, groups) = aggregation(input, &keys, &[], scope, parts)?;
            *top = Some(groups);
            rows
        }
        Plan::TopK {
            input,
            order,
            limit,
            offset,
        } => {
            let last = limit.and_then(|limit| limit.checked_add(*offset));
            let (below, changes) = Linear::split(input);
            let rows = match columns_of_changes(changes) {
                Some(columns) => {
                    let wanted = last.map(|last| (Order::new(order), last));
                    changes_rows(columns, Linear::new(&below), wanted, scope, parts)
                }
                None => render(input, scope, parts)?,
            };
            top_k(rows, order, *offset, *limit, parts.errors.clone())
        }
        Plan::Number {
            input,
            partition,
            order,
            limit,
        } => {
            let input = render(input, scope, parts)?;
            number(input, partition, order, *limit, parts.errors.clone())
        }
        Plan::UnionAll { inputs } => {
            let inputs = inputs
                .iter()
                .map(|input| render(input, scope, parts))
                .collect::<Result<Vec<_>, _>>()?;
            concatenate(scope, inputs)
        }
        Plan::Join {
            left,
            right,
            kind,
            on,
        } => {
            let (left, right) = (
                (render(left, scope, parts)?, left.arity()),
                (render(right, scope, parts)?, right.arity()),
            );
            join(left, right, *kind, on, parts.errors.clone())?
        }
        Plan::Filter { .. } | Plan::Project { .. } | Plan::Window { .. } => {
            unreachable!("they are the chain")
        }
    };
    let linear = Linear::new(&chain);
    // Rendering an input has left its own groups here, which are not the top's.
    parts.top = top
        .take()
        .filter(|_| !linear.has_window())
        .map(|groups| (groups, linear.clone()));
    Ok(run_linear(rows, linear, parts))
}

/// The rows of `recentchanges` that a chain leaves; if only the first of them in an order are wanted, without those that can
/// never be one.
fn changes_rows<'scope>(
    columns: &[usize],
    linear: Linear,
    wanted: Option<(Order, u64)>,
    scope: Scope<'scope, Time>,
    parts: &mut Parts,
) -> Collection<'scope, Row, i64> {
    let mut session = InputSession::new();
    let mut rows = session.to_collection(scope);
    if let Some((order, k)) = wanted
        && k <= SKYBAND_MAX
        && !linear.has_beginnings()
    {
        rows = skyband(rows, order, k, parts.freed.clone());
    }
    let rows = spans(rows, linear.has_window(), parts);
    let errors = parts.errors.clone();
    let changes = Changes::new(columns, linear, Shape::Rows(session), errors);
    parts.changes.push(changes);
    parts.top = None;
    rows
}

/// The rows of a view or of another relation that the worker keeps.
fn relation<'scope>(
    name: &Arc<str>,
    columns: &[usize],
    scope: Scope<'scope, Time>,
    parts: &mut Parts,
) -> Collection<'scope, Row, i64> {
    let mut session = InputSession::new();
    let rows: Collection<'scope, Row, i64> = session.to_collection(scope);
    parts.relations.push(RelationInput {
        name: name.clone(),
        session,
    });
    let columns = columns.to_vec();
    rows.map(move |row| columns.iter().map(|at| row.values()[*at].clone()).collect())
}

/// The rows of an aggregation, and the groups behind them.
type Aggregated<'scope> = (Collection<'scope, Row, i64>, Rc<RefCell<Groups>>);

/// An aggregation. Straight over `recentchanges` its rows are added up before they enter the dataflow.
fn aggregation<'scope>(
    input: &Plan,
    keys: &[Expr],
    functions: &[Aggregate],
    scope: Scope<'scope, Time>,
    parts: &mut Parts,
) -> Result<Aggregated<'scope>, SqlError> {
    let aggregates = Aggregates::new(functions);
    let groups = Rc::new(RefCell::new(Groups::new(aggregates.clone(), keys.len())));
    let (chain, below) = Linear::split(input);
    let keyed = match columns_of_changes(below) {
        Some(columns) => {
            let linear = Linear::new(&chain);
            let mut session = InputSession::new();
            let keyed = session.to_collection(scope);
            let keyed = spans(keyed, linear.has_window(), parts);
            let shape = Shape::Groups {
                keys: keys.to_vec(),
                groups: groups.clone(),
                session,
            };
            let errors = parts.errors.clone();
            let changes = Changes::new(columns, linear, shape, errors);
            parts.changes.push(changes);
            keyed
        }
        None => {
            let rows = render(input, scope, parts)?;
            add_up(rows, keys.to_vec(), aggregates, parts.errors.clone())
        }
    };
    let rows = aggregate(keyed, groups.clone(), parts.errors.clone());
    Ok((rows, groups))
}

/// Each row as what it adds to its group.
fn add_up<'scope>(
    rows: Collection<'scope, Row, i64>,
    keys: Vec<Expr>,
    aggregates: Aggregates,
    errors: Rc<RefCell<Errors>>,
) -> Collection<'scope, Packed, Totals> {
    rows.inner
        .flat_map(
            move |(row, time, diff)| match keyed(&keys, &aggregates, row.values(), diff) {
                Ok((key, totals)) => Some((key, time, totals)),
                Err(error) => {
                    errors.borrow_mut().update(error, diff);
                    None
                }
            },
        )
        .as_collection()
}

/// The group of a row, and what `diff` copies of it add.
fn keyed(
    keys: &[Expr],
    aggregates: &Aggregates,
    row: &[Value],
    diff: i64,
) -> Result<(Packed, Totals), SqlError> {
    let mut packed = Vec::with_capacity(24);
    for key in keys {
        pack_key(&*key.evaluate(row)?, &mut packed);
    }
    Ok((Packed::from_bytes(&packed), aggregates.of_row(row, diff)?))
}

/// Lets rows come and go with their spans, or forgets the spans when there are none.
fn spans<'scope, D, R>(
    rows: Collection<'scope, Entry<D>, R>,
    has_window: bool,
    parts: &mut Parts,
) -> Collection<'scope, D, R>
where
    D: Data,
    R: Abelian + 'static,
{
    if !has_window {
        return rows.map(|(data, _)| data);
    }
    let wake = Rc::new(Cell::new(None));
    parts.wakes.push(wake.clone());
    temporal(rows, wake)
}

/// Runs a chain over the rows of an operator.
fn run_linear<'scope>(
    rows: Collection<'scope, Row, i64>,
    linear: Linear,
    parts: &mut Parts,
) -> Collection<'scope, Row, i64> {
    if linear.is_identity() {
        return rows;
    }
    let (errors, has_window) = (parts.errors.clone(), linear.has_window());
    let mut scratch = Vec::new();
    let spanned: Collection<'scope, Entry<Row>, i64> = rows
        .inner
        .flat_map(move |(row, time, diff)| {
            scratch.extend_from_slice(row.values());
            let span = linear.run(&mut scratch);
            let row = scratch.drain(..);
            match span {
                Ok(span) => span.map(|span| ((row.collect(), span), time, diff)),
                Err(error) => {
                    errors.borrow_mut().update(error, diff);
                    None
                }
            }
        })
        .as_collection();
    spans(spanned, has_window, parts)
}
