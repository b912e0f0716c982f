//! Queries that are answered once and need no dataflow: each of their rows follows from one change, so the answer is read off
//! the retained blocks, one after another, and never stands in memory as a whole.
//!
//! It is the snapshot that a subscription would begin with: the same chain of row-by-row operators as at the entrance of a
//! dataflow, over the same blocks, at the closed time. A scan runs wherever its reader likes, and the worker goes on meanwhile:
//! each block is read as it was when the scan began.

use std::collections::{BTreeMap, VecDeque};

use super::QUERY_BYTES_MAX;
use super::chain::{Chain, columns_of_changes};
use super::linear::Linear;
use super::operators::{Time, update};
use super::selection::Evaluated;
use super::too_large;
use super::top_k::{Order, first_rows};
use crate::engine::error::SqlError;
use crate::engine::packed::Packed;
use crate::engine::plan::Plan;
use crate::engine::store::BlockInfo;
use crate::engine::store::block::Block;
use crate::engine::value::{Row, Value};

/// A query that can be scanned.
#[derive(Debug)]
pub(crate) struct Shape {
    below: Chain,
    pick: Pick,
    above: Linear,
}

/// Which of the rows are wanted.
#[derive(Debug)]
enum Pick {
    /// Any of them: which ones a LIMIT without ORDER BY leaves out is open, so it leaves out those that come last.
    Any { skip: u64, left: u64 },
    /// The first in an order.
    First {
        order: Order,
        offset: u64,
        limit: u64,
        index: BTreeMap<Packed, i64>,
        /// How many rows the index holds, and how many bytes they are packed.
        held: (u64, usize),
    },
}

/// A query that is being scanned.
pub(crate) struct Scan {
    shape: Shape,
    blocks: VecDeque<Block>,
    at_ms: Time,
}

impl std::fmt::Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan")
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

impl Shape {
    /// The shape of a plan, if it can be scanned.
    pub(crate) fn of(plan: &Plan) -> Option<Shape> {
        let (chain, input) = Linear::split(plan);
        let Plan::TopK {
            input,
            order,
            limit,
            offset,
        } = input
        else {
            return Some(Shape {
                below: Chain::new(columns_of_changes(input)?, Linear::new(&chain), None),
                pick: Pick::Any {
                    skip: 0,
                    left: u64::MAX,
                },
                above: Linear::new(&[]),
            });
        };
        let (below, changes) = Linear::split(input);
        let pick = match limit {
            limit if order.is_empty() => Pick::Any {
                skip: *offset,
                left: limit.unwrap_or(u64::MAX),
            },
            Some(limit) => Pick::First {
                order: Order::new(order),
                offset: *offset,
                limit: *limit,
                index: BTreeMap::new(),
                held: (0, 0),
            },
            None => return None,
        };
        Some(Shape {
            below: Chain::new(columns_of_changes(changes)?, Linear::new(&below), None),
            pick,
            above: Linear::new(&chain),
        })
    }

    /// A stored block has nothing to say at `time_ms`.
    pub(crate) fn is_over(&self, info: &BlockInfo, time_ms: Time) -> bool {
        self.below.is_over(info.newest_dt_us, time_ms)
    }
}

impl Scan {
    /// A scan over these blocks, at `at_ms`.
    pub(crate) fn new(shape: Shape, blocks: VecDeque<Block>, at_ms: Time) -> Scan {
        Scan {
            shape,
            blocks,
            at_ms,
        }
    }

    /// The rows that the next block brings, perhaps none; `None` after the last one. May take long.
    ///
    /// # Errors
    /// An expression cannot be evaluated, the store cannot be read, or the rows of an ORDER BY are too many.
    pub(crate) fn step(&mut self) -> Result<Option<Vec<Row>>, SqlError> {
        if let Pick::Any { left: 0, .. } = self.shape.pick {
            return Ok(None);
        }
        let Some(block) = self.blocks.pop_front() else {
            return self.rest();
        };
        let Shape { below, pick, above } = &mut self.shape;
        let evaluated = Evaluated::new(&block);
        let selecting = below.over(&evaluated);
        let mut picked = Vec::new();
        let mut scratch = Vec::new();
        for at in 0..block.rows() {
            let Some(span) = selecting.span(at)? else {
                continue;
            };
            let left = below.finish(&block, at, span, &mut scratch)?;
            if !left.is_some_and(|span| span.holds_at(self.at_ms)) {
                continue;
            }
            match pick {
                Pick::Any { skip, .. } if *skip > 0 => *skip -= 1,
                Pick::Any { left: 0, .. } => break,
                Pick::Any { left, .. } => {
                    *left -= 1;
                    picked.extend(output(above, &scratch, self.at_ms)?);
                }
                Pick::First {
                    order,
                    offset,
                    limit,
                    index,
                    held,
                } => {
                    let wanted = offset.saturating_add(*limit);
                    keep_first(index, held, order.pack(&scratch)?, wanted)?;
                }
            }
        }
        Ok(Some(picked))
    }

    /// What comes after the last block.
    fn rest(&mut self) -> Result<Option<Vec<Row>>, SqlError> {
        let Pick::First {
            order,
            offset,
            limit,
            index,
            ..
        } = &mut self.shape.pick
        else {
            return Ok(None);
        };
        let index = std::mem::take(index);
        if index.is_empty() {
            return Ok(None);
        }
        let mut rows = Vec::new();
        for (packed, count) in first_rows(&index, *offset, *limit) {
            let row = order.unpack(&packed);
            for _ in 0..count {
                rows.extend(output(&self.shape.above, row.values(), self.at_ms)?);
            }
        }
        Ok(Some(rows))
    }
}

/// Adds a row to the index, and takes the last one away when there are more than `wanted`.
fn keep_first(
    index: &mut BTreeMap<Packed, i64>,
    (rows, bytes): &mut (u64, usize),
    row: Packed,
    wanted: u64,
) -> Result<(), SqlError> {
    if *rows >= wanted && index.last_key_value().is_none_or(|(last, _)| row >= *last) {
        return Ok(());
    }
    *rows += 1;
    *bytes += row.as_bytes().len();
    update(index, row, 1);
    if *rows > wanted
        && let Some((last, _)) = index.last_key_value()
    {
        let last = last.clone();
        *rows -= 1;
        *bytes -= last.as_bytes().len();
        update(index, last, -1);
    }
    if *bytes > QUERY_BYTES_MAX {
        return Err(too_large());
    }
    Ok(())
}

/// What the chain above a LIMIT makes of a row.
fn output(above: &Linear, row: &[Value], at_ms: Time) -> Result<Option<Row>, SqlError> {
    let mut row = row.to_vec();
    let span = above.run(&mut row)?;
    let is_there = span.is_some_and(|span| span.holds_at(at_ms));
    Ok(is_there.then(|| row.into_iter().collect()))
}
