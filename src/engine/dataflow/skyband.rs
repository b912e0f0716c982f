//! Which changes a top-k can forget: those before which `k` others come that stay at least as long.
//!
//! Changes only ever leave because their window is over or because they are no longer retained, which takes the oldest
//! first. So a change with `k` better ones that came no earlier and leave no earlier will never be among the first `k`: what is
//! left is the k-skyband (Mouratidis, Bakiras and Papadias, "Continuous monitoring of top-k queries over sliding windows",
//! SIGMOD 2006, section 5). Of "the newest 20 of the last hour" it is about those 20 instead of a hundred thousand.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use super::changes::{Entry, row_bytes};
use super::linear::Span;
use super::operators::{Collection, in_order};
use super::top_k::Order;
use crate::engine::packed::Packed;
use crate::engine::value::Row;

/// The largest `k` for which it is worth while: forgetting one change takes as many comparisons.
pub(super) const SKYBAND_MAX: u64 = 1_024;

/// So many changes are held before any is forgotten, so that it is not looked at after every single one.
const HELD_MIN: usize = 64;

/// A change that may come to be shown, by its place in the order, and then by when it leaves.
type Place = (Packed, u64);

/// When it came last, counted in batches, and how many copies there are.
#[derive(Clone, Copy)]
struct Held {
    arrival: u64,
    copies: i64,
}

/// Takes away again what can be forgotten; `freed` grows by about how many bytes that was.
pub(super) fn skyband<'scope>(
    input: Collection<'scope, Entry<Row>, i64>,
    order: Order,
    k: u64,
    freed: Rc<Cell<usize>>,
) -> Collection<'scope, Entry<Row>, i64> {
    let k = usize::try_from(k).expect("at most SKYBAND_MAX");
    let held: RefCell<BTreeMap<Place, Held>> = RefCell::default();
    let (mut arrival, mut held_max) = (0, HELD_MIN);
    in_order(input, "Skyband", Vec::new(), move |updates, out| {
        let held = &mut *held.borrow_mut();
        arrival += 1;
        for ((row, span), diff) in updates {
            // What cannot be ordered is an error that the top-k will report.
            let Ok(packed) = order.pack(row.values()) else {
                out.push(((row, span), diff));
                continue;
            };
            if count(held, (packed, span.until_ms), arrival, diff) {
                out.push(((row, span), diff));
            }
        }
        if held.len() <= held_max {
            return;
        }
        for place in forgettable(held, k) {
            let copies = held.remove(&place).expect("listed a line ago").copies;
            let (row, span) = (order.unpack(&place.0), until(place.1));
            freed.set(freed.get() + row_bytes(&row));
            out.push(((row, span), -copies));
        }
        held_max = HELD_MIN.max(2 * held.len());
    })
}

fn until(until_ms: u64) -> Span {
    Span {
        until_ms,
        ..Span::ALWAYS
    }
}

/// Counts copies of a change. False: it leaves, but has been forgotten before.
fn count(held: &mut BTreeMap<Place, Held>, place: Place, arrival: u64, diff: i64) -> bool {
    if diff > 0 {
        let known = held.entry(place).or_insert(Held { arrival, copies: 0 });
        known.arrival = arrival;
        known.copies += diff;
        return true;
    }
    let Some(known) = held.get_mut(&place) else {
        return false;
    };
    known.copies += diff;
    if known.copies == 0 {
        held.remove(&place);
    }
    true
}

/// The changes that `k` better ones outlive. Not all of them: it is enough to look at the `k` that came last.
fn forgettable(held: &BTreeMap<Place, Held>, k: usize) -> Vec<Place> {
    let mut latest: Vec<(u64, u64)> = Vec::with_capacity(k);
    let mut least = (u64::MAX, u64::MAX);
    let mut forgettable = Vec::new();
    for (place, Held { arrival, .. }) in held {
        let life = (*arrival, place.1);
        let is_full = latest.len() == k;
        if is_full && life.0 <= least.0 && life.1 <= least.1 {
            forgettable.push(place.clone());
            continue;
        }
        if is_full {
            let first = (0..k)
                .min_by_key(|at| latest[*at])
                .filter(|at| latest[*at] < life);
            let Some(first) = first else { continue };
            latest[first] = life;
        } else {
            latest.push(life);
        }
        let least_of = |part: fn(&(u64, u64)) -> u64| latest.iter().map(part).min();
        least = (
            least_of(|life| life.0).unwrap_or(0),
            least_of(|life| life.1).unwrap_or(0),
        );
    }
    forgettable
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What is forgotten would not have been shown, whatever has left by then.
        #[test]
        fn nothing_is_forgotten_that_could_be_shown(
            changes in prop::collection::vec((any::<u8>(), 0..20_u64, 0..20_u64), 0..60),
            k in 1..6_usize,
        ) {
            let mut held = BTreeMap::new();
            for (rank, until, arrival) in changes {
                held.insert((Packed::from_bytes(&[rank]), until), Held { arrival, copies: 1 });
            }
            let forgotten = forgettable(&held, k);
            for now in 0..21 {
                for retained_from in 0..21 {
                    let there = held.iter().filter(|(place, held)| place.1 >= now && held.arrival >= retained_from);
                    for (shown, _) in there.take(k) {
                        prop_assert!(!forgotten.contains(shown));
                    }
                }
            }
        }

        #[test]
        fn what_comes_in_order_leaves_only_the_last(total in 50..200_u64, k in 1..20_usize) {
            // The newest first, as they come: each outlives all before it.
            let held = (0..total)
                .map(|at| {
                    let rank = (total - at).to_be_bytes();
                    ((Packed::from_bytes(&rank), at), Held { arrival: at, copies: 1 })
                })
                .collect::<BTreeMap<_, _>>();
            prop_assert_eq!(forgettable(&held, k).len() as u64, total - k as u64);
        }
    }
}
