//! One maintained query: its dataflow, what it holds, and who listens.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use differential_dataflow::consolidation::consolidate_updates;
use timely::dataflow::ProbeHandle;
use timely::worker::Worker as Timely;

use super::linear::Span;
use super::operators::{Time, update};
use super::render::{Parts, render};
use super::selection::Evaluated;
use super::{QueryId, ViewId};
use crate::engine::budget::Budget;
use crate::engine::error::SqlError;
use crate::engine::feed::{Subscriber, Tick};
use crate::engine::packed::Packed;
use crate::engine::plan::Plan;
use crate::engine::store::groups::AggregateId;
use crate::engine::store::{BlockInfo, StoreError};
use crate::engine::value::Row;

/// A query whose rows are kept up to date.
pub(super) struct Maintained {
    pub(super) plan: Plan,
    pub(super) view: Option<ViewId>,
    /// The views that it reads.
    pub(super) parents: Vec<QueryId>,
    pub(super) parts: Parts,
    pub(super) subscribers: Vec<Subscriber>,
    /// Since when nobody subscribes.
    pub(super) unused_since_ms: Option<Time>,
    /// Something has entered since the dataflow last ran.
    pub(super) has_news: bool,
    /// How much has entered while it was brought up to date.
    hydrated_bytes: usize,
    /// The dataflow's next open time. It stays behind while nothing happens.
    open_ms: Time,
    probe: ProbeHandle<Time>,
    output: Rc<RefCell<Vec<(Row, Time, i64)>>>,
    /// The rows, unless they follow from the groups of the last operator.
    held: Option<BTreeMap<Packed, i64>>,
    dataflow: usize,
    told_ms: Time,
}

impl Maintained {
    /// Builds the dataflow of a plan.
    ///
    /// # Errors
    /// The plan has an operator that is not maintained.
    pub(super) fn install(
        timely: &mut Timely,
        plan: Plan,
        view: Option<ViewId>,
        parents: Vec<QueryId>,
    ) -> Result<Self, SqlError> {
        let dataflow = timely.next_dataflow_index();
        let probe = ProbeHandle::new();
        let output = Rc::new(RefCell::new(Vec::new()));
        let mut parts = Parts::default();
        let rendered = timely.dataflow::<Time, _, _>(|scope| {
            let rows = render(&plan, scope, &mut parts)?;
            let output = output.clone();
            rows.inspect_batch(move |_, updates| output.borrow_mut().extend_from_slice(updates))
                .probe_with(&probe);
            Ok(())
        });
        if let Err(error) = rendered {
            drop(parts);
            timely.drop_dataflow(dataflow);
            return Err(error);
        }
        if view.is_some() {
            let all_time = parts
                .changes
                .iter_mut()
                .filter(|input| input.can_be_all_time());
            (0..)
                .zip(all_time)
                .for_each(|(number, input)| input.all_time = Some(number));
        }
        let held = parts.top.is_none().then(BTreeMap::new);
        Ok(Maintained {
            plan,
            view,
            parents,
            parts,
            subscribers: Vec::new(),
            unused_since_ms: None,
            has_news: false,
            hydrated_bytes: 0,
            open_ms: 0,
            probe,
            output,
            held,
            dataflow,
            told_ms: 0,
        })
    }

    /// Takes the dataflow apart.
    pub(super) fn uninstall(self, timely: &mut Timely) {
        let dataflow = self.dataflow;
        drop(self);
        timely.drop_dataflow(dataflow);
    }

    /// It counts over all time: no other query has the same rows.
    pub(super) fn is_all_time(&self) -> bool {
        self.parts
            .changes
            .iter()
            .any(|input| input.all_time.is_some())
    }

    /// The inputs whose groups are stored, and under which number.
    pub(super) fn stored_aggregates(&self) -> Vec<(usize, AggregateId)> {
        let Some(view) = &self.view else {
            return Vec::new();
        };
        let inputs = self.parts.changes.iter().enumerate();
        inputs
            .filter_map(|(at, input)| {
                let (oid, aggregate) = (view.oid, input.all_time?);
                Some((at, AggregateId { oid, aggregate }))
            })
            .collect()
    }

    /// About how much it holds of what entered while it was brought up to date.
    pub(super) fn held_bytes(&self) -> usize {
        self.hydrated_bytes.saturating_sub(self.parts.freed.get())
    }

    /// While it is brought up to date nobody listens: rows that follow from groups need not be made.
    pub(super) fn set_quiet(&mut self, is_quiet: bool) {
        if let Some((groups, linear)) = &self.parts.top {
            let mut groups = groups.borrow_mut();
            let can_be_quiet = linear.only_chooses_columns() && groups.aggregates.cannot_fail();
            groups.is_quiet = is_quiet && can_be_quiet;
        }
    }

    /// Which inputs have anything to learn from a block of the past; one that is `stored` is already counted in all-time groups.
    pub(super) fn inputs_of(&self, info: &BlockInfo, stored: bool, closed_ms: Time) -> Vec<usize> {
        let inputs = self.parts.changes.iter().enumerate();
        inputs
            .filter(|(_, input)| !(stored && input.all_time.is_some()))
            .filter(|(_, input)| !input.is_over(info.newest_dt_us, closed_ms))
            .map(|(at, _)| at)
            .collect()
    }

    /// Lets a block of the past enter.
    pub(super) fn hydrate_block(
        &mut self,
        inputs: &[usize],
        block: &Evaluated<'_>,
        closed_ms: Time,
    ) -> Result<(), StoreError> {
        for at in inputs {
            let input = &mut self.parts.changes[*at];
            let prepared = input.prepare(block, 1, closed_ms)?;
            self.hydrated_bytes += prepared.bytes();
            input.feed(prepared, self.open_ms);
        }
        Ok(())
    }

    /// Lets rows of a relation enter at the open time.
    pub(super) fn feed_relation(&mut self, at: usize, rows: impl Iterator<Item = (Row, i64)>) {
        let session = &mut self.parts.relations[at].session;
        rows.for_each(|(row, diff)| session.update(row, diff));
    }

    /// Lets updates of a relation enter, each at its time.
    pub(super) fn feed_updates(&mut self, at: usize, updates: &[(Row, Time, i64)]) {
        let session = &mut self.parts.relations[at].session;
        for (row, time, diff) in updates {
            session.update_at(row.clone(), *time, *diff);
        }
        self.has_news |= !updates.is_empty();
    }

    /// Works off the open time and opens the next: only for a dataflow that is being brought up to date.
    pub(super) fn step(&mut self, timely: &mut Timely) {
        self.advance(self.open_ms + 1);
        self.work_off(timely);
        self.take_output();
    }

    /// Something would happen if the dataflow ran up to `time`.
    pub(super) fn has_work(&self, time: Time) -> bool {
        self.has_news || self.next_wake_ms().is_some_and(|wake| wake <= time)
    }

    /// When a row comes or goes by itself next.
    pub(super) fn next_wake_ms(&self) -> Option<Time> {
        self.parts.wakes.iter().filter_map(|wake| wake.get()).min()
    }

    /// Nothing more enters before `time`.
    pub(super) fn advance(&mut self, time: Time) {
        self.open_ms = time;
        self.parts
            .changes
            .iter_mut()
            .for_each(|input| input.advance(time));
        for relation in &mut self.parts.relations {
            relation.session.advance_to(time);
            relation.session.flush();
        }
        self.has_news = false;
    }

    /// Runs the dataflow until everything before the open time is worked off.
    pub(super) fn work_off(&self, timely: &mut Timely) {
        while self.probe.less_than(&self.open_ms) {
            timely.step();
        }
    }

    /// What the dataflow has brought out since it was last asked, in no order.
    pub(super) fn take_output(&mut self) -> Vec<(Row, Time, i64)> {
        let updates = std::mem::take(&mut *self.output.borrow_mut());
        if let Some(held) = &mut self.held {
            for (row, _, diff) in &updates {
                update(held, Packed::row(row.values()), *diff);
            }
        }
        updates
    }

    /// The rows as they are at the last time that was worked off.
    pub(super) fn rows(&self) -> Box<dyn Iterator<Item = (Row, i64)> + '_> {
        match (&self.held, &self.parts.top) {
            (Some(held), _) => Box::new(held.iter().map(|(row, diff)| (row.unpack(), *diff))),
            (None, Some((groups, linear))) => {
                let mut scratch = Vec::new();
                Box::new(groups_rows(groups.clone()).filter_map(move |row| {
                    // A row that fails is among the query's errors already.
                    scratch.clear();
                    scratch.extend_from_slice(row.values());
                    let span = linear.run(&mut scratch).ok()?;
                    debug_assert!(span.is_none_or(|span| span == Span::ALWAYS));
                    span.map(|_| (scratch.drain(..).collect(), 1))
                }))
            }
            (None, None) => unreachable!("rows are held unless groups have them"),
        }
    }

    /// Tells subscribers what happened up to `time`, or that nothing did when they have heard nothing for long.
    pub(super) fn tell(
        &mut self,
        mut updates: Vec<(Row, Time, i64)>,
        time: Time,
        progress_ms: u64,
        budget: &Arc<Budget>,
    ) {
        if !self.subscribers.is_empty() {
            consolidate_updates(&mut updates);
            updates.sort_by_key(|(_, time, _)| *time);
        }
        if !updates.is_empty() || time >= self.told_ms + progress_ms {
            self.told_ms = time;
            if !self.subscribers.is_empty() {
                let tick = Tick::new(updates.into(), time + 1, budget);
                self.subscribers
                    .retain(|subscriber| subscriber.send(tick.clone(), budget));
            }
        }
        self.subscribers.retain(|subscriber| !subscriber.is_gone());
        if self.subscribers.is_empty() {
            self.unused_since_ms.get_or_insert(time);
        }
    }

    /// Ends all feeds with an error.
    pub(super) fn fail(&mut self, error: &SqlError) {
        self.subscribers
            .drain(..)
            .for_each(|subscriber| subscriber.fail(error.clone()));
    }

    /// For how long nobody has subscribed.
    pub(super) fn unused_ms(&self, now_ms: Time) -> u64 {
        self.unused_since_ms
            .map_or(0, |since| now_ms.saturating_sub(since))
    }
}

/// All rows of groups, a page of them at a time: a million rows are never there at once.
fn groups_rows(groups: Rc<RefCell<super::operators::Groups>>) -> impl Iterator<Item = Row> {
    const PAGE: usize = 1024;
    let mut after: Option<Packed> = None;
    let mut page = Vec::new().into_iter();
    let mut is_over = false;
    std::iter::from_fn(move || {
        loop {
            if let Some(row) = page.next() {
                return Some(row);
            }
            if is_over {
                return None;
            }
            let groups = groups.borrow();
            let (rows, last) = groups.page(after.as_ref(), PAGE);
            page = rows.into_iter();
            is_over = last.is_none();
            after = last;
        }
    })
}
