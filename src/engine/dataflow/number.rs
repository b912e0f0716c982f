//! Rows and their numbers: one ordered index a partition.
//!
//! A row that comes first moves all others of its partition by one: that is what numbers are, and why a `limit` pays. What is
//! looked at is the partitions that a batch touches, up to the limit.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::errors::Errors;
use super::operators::{Collection, difference, in_order, update};
use super::top_k::Order;
use crate::engine::error::SqlError;
use crate::engine::expr::Expr;
use crate::engine::packed::{Direction, Packed, encode, normalised};
use crate::engine::plan::OrderKey;
use crate::engine::value::{Row, Value};

/// The rows of a partition, in order, and how often each is there.
type Index = BTreeMap<Packed, i64>;

/// Each row with its number within its partition, from 1, up to `limit`.
pub(super) fn number<'scope>(
    input: Collection<'scope, Row, i64>,
    partition: &[Expr],
    order: &[OrderKey],
    limit: Option<u64>,
    errors: Rc<RefCell<Errors>>,
) -> Collection<'scope, Row, i64> {
    let (partition, order) = (partition.to_vec(), Order::new(order));
    let limit = limit.unwrap_or(u64::MAX);
    let mut partitions: BTreeMap<Packed, Index> = BTreeMap::new();
    in_order(input, "Number", Vec::new(), move |updates, out| {
        let mut touched: BTreeMap<Packed, Vec<(Packed, i64)>> = BTreeMap::new();
        for (row, diff) in updates {
            match (key(&partition, &row), order.pack(row.values())) {
                (Ok(key), Ok(packed)) => touched.entry(key).or_default().push((packed, diff)),
                (Err(error), _) | (_, Err(error)) => errors.borrow_mut().update(error, diff),
            }
        }
        for (key, changes) in touched {
            let index = partitions.entry(key.clone()).or_default();
            let before = numbered(index, &order, limit);
            for (packed, diff) in changes {
                update(index, packed, diff);
            }
            let after = numbered(index, &order, limit);
            if index.is_empty() {
                partitions.remove(&key);
            }
            let changed = difference(&before, &after).into_iter();
            out.extend(changed.map(|(row, diff)| (row.unpack(), diff)));
        }
    })
}

fn key(partition: &[Expr], row: &Row) -> Result<Packed, SqlError> {
    let mut packed = Vec::new();
    for expr in partition {
        let value = normalised(expr.eval(row.values())?);
        encode(&value, Direction::ASCENDING, &mut packed);
    }
    Ok(Packed::from_bytes(&packed))
}

/// The first rows of a partition with their numbers. No two are equal, as no two have the same number.
fn numbered(index: &Index, order: &Order, limit: u64) -> BTreeMap<Packed, i64> {
    let mut number: u64 = 0;
    let mut rows = BTreeMap::new();
    for (packed, count) in index {
        // A negative count would be an error of an operator before this one; it shows no rows.
        for _ in 0..*count {
            if number == limit {
                return rows;
            }
            number += 1;
            let number = Value::BigInt(number.cast_signed());
            let values: Vec<Value> = order.unpack(packed).values().to_vec();
            rows.insert(Packed::row(&[values, vec![number]].concat()), 1);
        }
    }
    rows
}
