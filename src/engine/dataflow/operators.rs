//! The stateful operators, on timely dataflow.
//!
//! They all see time in the same way: updates may arrive in any order, and several times may be under way at once (a minute
//! of passing time retracts rows at many milliseconds), so an operator acts on a time only when the frontier says that nothing of
//! it is still to come, and then in order. What an operator knows is shared with the query that it belongs to, which reads it
//! between two steps to answer new subscribers: nothing is held twice.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Bound;
use std::rc::Rc;

use differential_dataflow::difference::{Abelian, IsZero, Semigroup};
use differential_dataflow::{AsCollection, Data, VecCollection};
use hashbrown::HashMap;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::Operator;

use super::errors::Errors;
use super::linear::Span;
use super::totals::{Aggregates, Totals};
use crate::engine::error::SqlError;
use crate::engine::packed::Packed;
use crate::engine::store::groups::{SHARDS, shard_of};
use crate::engine::value::{Row, Value};

/// Updates of a time that is not closed, and the right to send what follows from them.
type Held<D, R> = (Capability<Time>, Vec<(D, R)>);

/// Time is milliseconds since the epoch.
pub(super) type Time = u64;
pub(super) type Collection<'scope, D, R> = VecCollection<'scope, Time, D, R>;

/// Calls `logic` once for each closed time that has updates, in order of time.
pub(super) fn in_order<'scope, D1, R1, D2, R2>(
    input: Collection<'scope, D1, R1>,
    name: &str,
    first: Vec<(D2, R2)>,
    mut logic: impl FnMut(Vec<(D1, R1)>, &mut Vec<(D2, R2)>) + 'static,
) -> Collection<'scope, D2, R2>
where
    D1: Data,
    R1: Semigroup + 'static,
    D2: Data,
    R2: Semigroup + 'static,
{
    input
        .inner
        .unary_frontier(Pipeline, name, move |capability, _| {
            let mut first = Some((capability, first));
            let mut waiting: BTreeMap<Time, Held<D1, R1>> = BTreeMap::new();
            let mut out = Vec::new();
            move |(input, frontier), output| {
                if let Some((capability, mut rows)) = first.take() {
                    let time = *capability.time();
                    output
                        .session(&capability)
                        .give_iterator(rows.drain(..).map(|(data, diff)| (data, time, diff)));
                }
                input.for_each(|capability, batch| {
                    for (data, time, diff) in batch.drain(..) {
                        waiting
                            .entry(time)
                            .or_insert_with(|| (capability.delayed(&time, 0), Vec::new()))
                            .1
                            .push((data, diff));
                    }
                });
                while let Some(entry) = waiting.first_entry() {
                    if frontier.less_equal(entry.key()) {
                        break;
                    }
                    let (time, (capability, updates)) = entry.remove_entry();
                    logic(updates, &mut out);
                    output
                        .session(&capability)
                        .give_iterator(out.drain(..).map(|(data, diff)| (data, time, diff)));
                }
            }
        })
        .as_collection()
}

/// Brings rows when their span begins and takes them away when it is over.
///
/// What is to come lies in a queue ordered by time, held open by one capability for its earliest entry. It does not lie in
/// the dataflow as updates of the future: an arrangement looks at all of those again whenever it closes a batch. `next`
/// tells the worker when to wake up though nothing arrives.
pub(super) fn temporal<'scope, D, R>(
    input: Collection<'scope, (D, Span), R>,
    next: Rc<Cell<Option<Time>>>,
) -> Collection<'scope, D, R>
where
    D: Data,
    R: Abelian + 'static,
{
    input
        .inner
        .unary_frontier(Pipeline, "Temporal", move |capability, _| {
            drop(capability);
            let mut queue: BTreeMap<(Time, D), R> = BTreeMap::new();
            let mut held: Option<Capability<Time>> = None;
            move |(input, frontier), output| {
                input.for_each(|capability, batch| {
                    for ((data, span), time, diff) in batch.drain(..) {
                        let from = span.from_ms.max(time);
                        if from > span.until_ms {
                            continue;
                        }
                        if span.until_ms < Time::MAX {
                            let mut gone = diff.clone();
                            gone.negate();
                            let leaves = span.until_ms + 1;
                            expect(&mut queue, (leaves, data.clone()), gone);
                        }
                        expect(&mut queue, (from, data), diff);
                    }
                    if let Some(((earliest, _), _)) = queue.first_key_value()
                        && held.as_ref().is_none_or(|held| held.time() > earliest)
                    {
                        held = Some(capability.delayed(earliest, 0));
                    }
                });
                if frontier.is_empty() {
                    // The query is gone: nobody waits for its future.
                    queue.clear();
                }
                if let Some(capability) = &held {
                    let mut session = output.session(capability);
                    while let Some(first) = queue.first_entry()
                        && !frontier.less_equal(&first.key().0)
                    {
                        let ((time, data), diff) = first.remove_entry();
                        session.give((data, time, diff));
                    }
                }
                let earliest = queue.first_key_value().map(|((time, _), _)| *time);
                next.set(earliest);
                match (earliest, &mut held) {
                    (Some(earliest), Some(held)) => held.downgrade(&earliest),
                    (_, held) => *held = None,
                }
            }
        })
        .as_collection()
}

/// Adds to what happens at a time; what comes and goes at once does not happen.
fn expect<D: Ord, R: Semigroup>(queue: &mut BTreeMap<(Time, D), R>, at: (Time, D), diff: R) {
    match queue.entry(at) {
        Entry::Vacant(vacant) => {
            vacant.insert(diff);
        }
        Entry::Occupied(mut known) => {
            known.get_mut().plus_equals(&diff);
            if known.get().is_zero() {
                known.remove();
            }
        }
    }
}

/// The groups of an aggregation and what is known of each.
#[derive(Debug)]
pub(super) struct Groups {
    pub(super) aggregates: Aggregates,
    /// Nobody needs to hear of rows now: they follow from the groups.
    pub(super) is_quiet: bool,
    /// By [`shard_of`], which is how they are stored.
    shards: Vec<BTreeMap<Packed, Totals>>,
    /// Without keys there is exactly one group, even over no input.
    is_global: bool,
}

/// The row of a group before and after a change.
type RowChange = [Result<Option<Row>, SqlError>; 2];

impl Groups {
    pub(super) fn new(aggregates: Aggregates, keys: usize) -> Self {
        Groups {
            aggregates,
            is_quiet: false,
            shards: vec![BTreeMap::new(); SHARDS],
            is_global: keys == 0,
        }
    }

    /// What is known of a group.
    pub(super) fn get(&self, key: &Packed) -> Option<&Totals> {
        self.shards[shard_of(key.as_bytes())].get(key)
    }

    /// All groups of a shard.
    pub(super) fn shard(&self, shard: usize) -> &BTreeMap<Packed, Totals> {
        &self.shards[shard]
    }

    /// The output row of a group of these totals.
    fn row(&self, key: &[Value], totals: Option<&Totals>) -> Result<Option<Row>, SqlError> {
        let values = match totals {
            Some(totals) => self.aggregates.finish(totals)?,
            None => None,
        };
        let values = match values {
            None if self.is_global => self.aggregates.of_nothing(),
            None => return Ok(None),
            Some(values) => values,
        };
        Ok(Some(key.iter().cloned().chain(values).collect()))
    }

    /// At most `max` output rows of the groups after `after`, in the order of their keys, and the last group looked at unless
    /// there are no more; a group that cannot be evaluated has no row.
    pub(super) fn page(&self, after: Option<&Packed>, max: usize) -> (Vec<Row>, Option<Packed>) {
        if self.is_global {
            let row = self.row(&[], self.get(&Packed::row(&[])));
            return (row.ok().flatten().into_iter().collect(), None);
        }
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut shards: Vec<_> = self
            .shards
            .iter()
            .map(|shard| {
                shard
                    .range::<Packed, _>((start, Bound::Unbounded))
                    .peekable()
            })
            .collect();
        // Where the next group of each shard is, the least first.
        let mut next: BinaryHeap<_> = shards
            .iter_mut()
            .enumerate()
            .filter_map(|(at, shard)| Some(Reverse((shard.peek()?.0, at))))
            .collect();
        let (mut rows, mut last) = (Vec::new(), None);
        for _ in 0..max {
            let Some(Reverse((_, at))) = next.pop() else {
                return (rows, None);
            };
            let (key, totals) = shards[at].next().expect("it was seen in front");
            next.extend(shards[at].peek().map(|(key, _)| Reverse((*key, at))));
            let row = self.row(key.unpack().values(), Some(totals));
            rows.extend(row.ok().flatten());
            last = Some(key);
        }
        (rows, last.cloned())
    }

    /// Adds to the totals of a group.
    pub(super) fn add(&mut self, key: Packed, change: &Totals) {
        match self.shards[shard_of(key.as_bytes())].entry(key) {
            Entry::Vacant(vacant) => {
                vacant.insert(change.clone());
            }
            Entry::Occupied(mut group) => {
                group.get_mut().plus_equals(change);
                if group.get().is_zero() {
                    group.remove();
                }
            }
        }
    }

    /// Adds to the totals of a group, and answers with its row before and after.
    fn change(&mut self, key: Packed, change: &Totals) -> RowChange {
        let values = key.unpack();
        let before = self.row(values.values(), self.get(&key));
        self.add(key.clone(), change);
        let after = self.row(values.values(), self.get(&key));
        [before, after]
    }
}

/// Adds up the totals of each group and brings out one row a group.
pub(super) fn aggregate<'scope>(
    input: Collection<'scope, Packed, Totals>,
    groups: Rc<RefCell<Groups>>,
    errors: Rc<RefCell<Errors>>,
) -> Collection<'scope, Row, i64> {
    let (first, _) = groups.borrow().page(None, 1);
    let first = first.into_iter().map(|row| (row, 1)).collect();
    in_order(input, "Aggregate", first, move |updates, out| {
        let (groups, errors) = (&mut *groups.borrow_mut(), &mut *errors.borrow_mut());
        if groups.is_quiet {
            updates
                .into_iter()
                .for_each(|(key, change)| groups.add(key, &change));
            return;
        }
        let mut changes: HashMap<Packed, Totals> = HashMap::with_capacity(updates.len());
        for (key, change) in updates {
            changes.entry(key).or_default().plus_equals(&change);
        }
        for (key, change) in changes {
            let rows = groups.change(key, &change);
            if rows[0].is_ok() && rows[0] == rows[1] {
                continue;
            }
            for (row, diff) in rows.into_iter().zip([-1, 1]) {
                match row {
                    Ok(row) => out.extend(row.map(|row| (row, diff))),
                    Err(error) => errors.update(error, diff),
                }
            }
        }
    })
}

/// What differs between two multisets of packed rows, as updates.
pub(super) fn difference(
    before: &BTreeMap<Packed, i64>,
    after: &BTreeMap<Packed, i64>,
) -> Vec<(Packed, i64)> {
    let gone = before
        .iter()
        .map(|(row, count)| (row, after.get(row).copied().unwrap_or(0) - count));
    let new = after
        .iter()
        .filter(|(row, _)| !before.contains_key(*row))
        .map(|(row, count)| (row, *count));
    gone.chain(new)
        .filter(|(_, diff)| *diff != 0)
        .map(|(row, diff)| (row.clone(), diff))
        .collect()
}

/// Adds a difference to a multiset.
pub(super) fn update<K: Ord>(multiset: &mut BTreeMap<K, i64>, key: K, diff: i64) {
    match multiset.entry(key) {
        Entry::Vacant(vacant) => {
            vacant.insert(diff);
        }
        Entry::Occupied(mut count) => {
            *count.get_mut() += diff;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}
