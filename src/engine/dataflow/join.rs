//! Joins on equal columns: the one operator that is differential dataflow's own from end to end.

use std::cell::RefCell;
use std::rc::Rc;

use differential_dataflow::AsCollection;
use timely::dataflow::operators::vec::Map;

use super::errors::Errors;
use super::operators::Collection;
use crate::engine::error::SqlError;
use crate::engine::expr::{Expr, Function};
use crate::engine::packed::{Direction, Packed, encode, normalised};
use crate::engine::plan::JoinKind;
use crate::engine::value::{Row, Value};

/// A side of a join: its rows, and how many columns they have.
type Side<'scope> = (Collection<'scope, Row, i64>, usize);

/// Pairs of rows for which `on` is true.
///
/// # Errors
/// No column of the left must equal one of the right: every pair would have to be looked at.
pub(super) fn join<'scope>(
    (left, left_width): Side<'scope>,
    (right, right_width): Side<'scope>,
    kind: JoinKind,
    on: &Expr,
    errors: Rc<RefCell<Errors>>,
) -> Result<Collection<'scope, Row, i64>, SqlError> {
    let (left_keys, right_keys) = equal_columns(on, left_width);
    if left_keys.is_empty() {
        return Err(SqlError::unsupported(
            "a join over changing rows without an equality between columns of both sides",
        ));
    }
    let by_left = by_key(left.clone(), left_keys);
    let by_right = by_key(right, right_keys);
    let on = on.clone();
    let matched = by_left
        .join_map(by_right, |_, left, right| (left.clone(), right.clone()))
        .inner
        .flat_map(move |((left, right), time, diff)| {
            let pair: Row = [left.unpack(), right.unpack()]
                .iter()
                .flat_map(|row| row.values().iter().cloned())
                .collect();
            match on.is_true(pair.values()) {
                Ok(is_true) => is_true.then_some(((left, pair), time, diff)),
                Err(error) => {
                    errors.borrow_mut().update(error, diff);
                    None
                }
            }
        })
        .as_collection();
    let pairs = matched.clone().map(|(_, pair)| pair);
    if kind == JoinKind::Inner {
        return Ok(pairs);
    }
    let partnered = matched.map(|(left, _)| left).distinct_core::<i64>();
    let alone = left
        .map(|row| (Packed::row(row.values()), ()))
        .antijoin(partnered)
        .map(move |(left, ())| {
            let nulls = std::iter::repeat_n(Value::Null, right_width);
            left.unpack()
                .values()
                .iter()
                .cloned()
                .chain(nulls)
                .collect()
        });
    Ok(pairs.concat(alone))
}

/// The columns that must be equal, as positions in the left and in the right side.
fn equal_columns(on: &Expr, left_width: usize) -> (Vec<usize>, Vec<usize>) {
    on.clone()
        .conjuncts()
        .iter()
        .filter_map(|conjunct| match conjunct {
            Expr::Call(Function::Equal, sides) => match sides[..] {
                [Expr::Column(a), Expr::Column(b)]
                    if a.min(b) < left_width && a.max(b) >= left_width =>
                {
                    Some((a.min(b), a.max(b) - left_width))
                }
                _ => None,
            },
            _ => None,
        })
        .unzip()
}

/// Rows by their key columns; NULL equals nothing, so a row with one has no partner.
fn by_key<'scope>(
    rows: Collection<'scope, Row, i64>,
    columns: Vec<usize>,
) -> Collection<'scope, (Packed, Packed), i64> {
    rows.inner
        .flat_map(move |(row, time, diff)| {
            let mut key = Vec::new();
            for at in &columns {
                match &row.values()[*at] {
                    Value::Null => return None,
                    value => encode(&normalised(value.clone()), Direction::ASCENDING, &mut key),
                }
            }
            let key = Packed::from_bytes(&key);
            Some(((key, Packed::row(row.values())), time, diff))
        })
        .as_collection()
}
