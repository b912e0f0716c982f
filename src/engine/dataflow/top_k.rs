//! ORDER BY with LIMIT: an ordered index of all rows, of which the first few are shown.
//!
//! The index holds each row once, packed so that comparing bytes is comparing by the order asked for: first the order's
//! keys, then whatever of the row they do not already hold. A batch that touches nothing near the top costs its inserts and
//! one walk over the rows shown.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::errors::Errors;
use super::operators::{Collection, difference, in_order, update};
use crate::engine::error::SqlError;
use crate::engine::expr::Expr;
use crate::engine::packed::{Direction, Packed, decode, encode, normalised};
use crate::engine::plan::OrderKey;
use crate::engine::value::{Row, Value};

/// Shows `limit` rows after skipping `offset`.
pub(super) fn top_k<'scope>(
    input: Collection<'scope, Row, i64>,
    order: &[OrderKey],
    offset: u64,
    limit: Option<u64>,
    errors: Rc<RefCell<Errors>>,
) -> Collection<'scope, Row, i64> {
    let order = Order::new(order);
    let mut index: BTreeMap<Packed, i64> = BTreeMap::new();
    let mut shown: BTreeMap<Packed, i64> = BTreeMap::new();
    in_order(input, "TopK", Vec::new(), move |updates, out| {
        for (row, diff) in updates {
            match order.pack(row.values()) {
                Ok(packed) => update(&mut index, packed, diff),
                Err(error) => errors.borrow_mut().update(error, diff),
            }
        }
        let now = first_rows(&index, offset, limit.unwrap_or(u64::MAX));
        for (packed, diff) in difference(&shown, &now) {
            out.push((order.unpack(&packed), diff));
        }
        shown = now;
    })
}

/// The rows from `offset` on, at most `limit` of them.
pub(super) fn first_rows(
    index: &BTreeMap<Packed, i64>,
    offset: u64,
    limit: u64,
) -> BTreeMap<Packed, i64> {
    let (mut skip, mut left) = (offset, limit);
    let mut rows = BTreeMap::new();
    for (row, count) in index {
        if left == 0 {
            break;
        }
        // A negative count would be an error of an operator before this one; it shows no rows.
        let copies = u64::try_from(*count).unwrap_or(0);
        let here = copies.saturating_sub(skip).min(left);
        skip = skip.saturating_sub(copies);
        left -= here;
        if here > 0 {
            rows.insert(row.clone(), here.cast_signed());
        }
    }
    rows
}

/// Ties are broken as rows compare, where NULL is the least value.
const REST: Direction = Direction {
    descending: false,
    nulls_first: true,
};

/// How rows are packed for the index.
#[derive(Debug)]
pub(super) struct Order(Vec<OrderKey>);

impl Order {
    pub(super) fn new(order: &[OrderKey]) -> Order {
        Order(order.to_vec())
    }

    /// A row as bytes that compare as the order wants.
    pub(super) fn pack(&self, row: &[Value]) -> Result<Packed, SqlError> {
        let mut bytes = Vec::with_capacity(48);
        let mut held = vec![false; row.len()];
        for key in &self.0 {
            let value = key.expr.eval(row)?;
            if let Expr::Column(at) = key.expr {
                held[at] = is_restorable(&value);
            }
            encode(&normalised(value), direction(key), &mut bytes);
        }
        for (value, _) in row.iter().zip(&held).filter(|(_, held)| !**held) {
            encode(value, REST, &mut bytes);
        }
        Ok(Packed::from_bytes(&bytes))
    }

    /// The row that was packed.
    pub(super) fn unpack(&self, packed: &Packed) -> Row {
        let mut rest = packed.as_bytes();
        let mut held: BTreeMap<usize, Value> = BTreeMap::new();
        for key in &self.0 {
            let value = decode(&mut rest, direction(key)).expect("packed by the same order");
            if let Expr::Column(at) = key.expr
                && is_restorable(&value)
            {
                held.insert(at, value);
            }
        }
        let mut values = Vec::new();
        loop {
            let value = match held.remove(&values.len()) {
                Some(value) => value,
                None if rest.is_empty() => break,
                None => decode(&mut rest, REST).expect("packed by the same order"),
            };
            values.push(value);
        }
        values.into_iter().collect()
    }
}

/// A numeric or a double is ordered by what it equals, which does not tell how it was written.
fn is_restorable(value: &Value) -> bool {
    !matches!(value, Value::Numeric(_) | Value::Double(_))
}

fn direction(key: &OrderKey) -> Direction {
    Direction {
        descending: key.descending,
        nulls_first: key.nulls_first,
    }
}
