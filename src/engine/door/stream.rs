//! Subscriptions on their way to a client: ticks become events, events become rows or lines of COPY, and a tick's rows leave in
//! one write.

use std::collections::VecDeque;

use bytes::{BufMut, BytesMut};
use futures::FutureExt;

use super::backend::Outbox;
use super::changefeed::{Changefeed, Course, Event};
use super::encoding::{self, Format, Line};
use super::planned::SubscribePlan;
use super::session::Stop;
use super::wire::Wire;
use crate::engine::error::{SqlError, SqlState};
use crate::engine::feed::{Held, Ticks};
use crate::engine::handle::Engine;
use crate::engine::value::Value;

/// Events that are read ahead of their client: ticks that are ready are sent together, but no more than this at a time, so
/// that what a slow client leaves stays in the feed, whose bound it then meets.
const READ_AHEAD_EVENTS: usize = 4096;

/// A running subscription.
#[derive(Debug)]
pub(crate) struct Subscription {
    ticks: Ticks,
    feed: Changefeed,
    course: Course,
    waiting: VecDeque<Event>,
    /// What the waiting events are counted as.
    held: Vec<Held>,
    shape: Shape,
}

/// What a subscription's rows look like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// `mz_progressed` is there.
    progress: bool,
    /// How many columns the query has.
    columns: usize,
}

/// Whether all that was asked for has been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The subscription is over, after so many rows.
    All(u64),
    /// As many rows as were asked for; there may be more.
    Some(u64),
}

impl Subscription {
    /// Starts a subscription.
    pub(crate) async fn open(engine: &Engine, plan: &SubscribePlan) -> Result<Self, SqlError> {
        let feed = engine.subscribe(plan.query.clone()).await?;
        let (changefeed, first) =
            Changefeed::open(feed.as_of_ms, plan.progress, plan.snapshot, plan.up_to_ms)?;
        Ok(Subscription {
            ticks: feed.ticks,
            feed: changefeed,
            course: Course::Running,
            waiting: first.into_iter().collect(),
            held: Vec::new(),
            shape: Shape {
                progress: plan.progress,
                columns: plan.query.columns.len(),
            },
        })
    }

    /// What its rows look like.
    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// The next event that is there already.
    pub(crate) fn take(&mut self) -> Option<Event> {
        self.waiting.pop_front()
    }

    /// No event is there, and none will come.
    pub(crate) fn is_over(&self) -> bool {
        self.course == Course::Ended && self.waiting.is_empty()
    }

    /// Waits for a tick, and takes those that are ready with it. Cancel safe.
    pub(crate) async fn fill(&mut self) -> Result<(), Stop> {
        let mut tick = self.ticks.recv().await;
        if self.waiting.is_empty() {
            self.held.clear();
        }
        loop {
            let tick_now = tick.ok_or_else(|| {
                Stop::Session(SqlError::new(
                    SqlState::AdminShutdown,
                    "the engine is shutting down",
                ))
            })?;
            // A subscriber that was too slow is told so and hung up on: it would be too slow again.
            let tick_now = tick_now.map_err(|error| match error.state {
                SqlState::ConfigurationLimitExceeded => Stop::Session(error),
                _ => Stop::Statement(error),
            })?;
            self.held.push(tick_now.held());
            self.course = self
                .feed
                .tick(&tick_now, |event| self.waiting.push_back(event));
            if self.course == Course::Ended || self.waiting.len() >= READ_AHEAD_EVENTS {
                return Ok(());
            }
            match self.ticks.recv().now_or_never() {
                Some(ready) => tick = ready,
                None => return Ok(()),
            }
        }
    }

    /// Sends events as they come, up to `rows_max`.
    pub(crate) async fn stream(
        &mut self,
        wire: &mut Wire,
        rows_max: Option<u64>,
        mut write: impl FnMut(&mut Outbox, &Event),
    ) -> Result<Sent, Stop> {
        let mut sent = 0;
        loop {
            while let Some(event) = self.take() {
                write(&mut wire.out, &event);
                sent += 1;
                if Some(sent) == rows_max {
                    return Ok(Sent::Some(sent));
                }
                wire.flush_if_large().await?;
            }
            if self.is_over() {
                return Ok(Sent::All(sent));
            }
            wire.flush().await?;
            tokio::select! {
                filled = self.fill() => filled?,
                interrupt = wire.interrupted() => return Err(interrupt.into()),
            }
        }
    }
}

impl Shape {
    /// Writes an event as a DataRow.
    pub(crate) fn data_row(self, out: &mut Outbox, event: &Event, formats: &[Format]) {
        let leading = 2 + usize::from(self.progress);
        out.data_row(|bytes| {
            bytes.put_i16((leading + self.columns) as i16);
            let mut at = 0;
            let mut put = |bytes: &mut BytesMut, value: &Value| {
                encoding::column(bytes, value, Format::of(formats, at));
                at += 1;
            };
            let (time, progressed, diff, row) = match event {
                Event::Progress(time) => (*time, true, Value::Null, None),
                Event::Update(time, diff, row) => {
                    (*time, false, Value::BigInt(*diff), Some(row.values()))
                }
            };
            put(bytes, &Value::Numeric(time.into()));
            if self.progress {
                put(bytes, &Value::Bool(progressed));
            }
            put(bytes, &diff);
            for column in 0..self.columns {
                let value = row.and_then(|row| row.get(column));
                put(bytes, value.unwrap_or(&Value::Null));
            }
        });
    }

    /// Writes an event as a row of COPY.
    pub(crate) fn copy_row(self, out: &mut Outbox, event: &Event, line: &mut Line) {
        match event {
            Event::Progress(time) => {
                line.put(&Value::Numeric((*time).into()));
                line.put(&Value::Bool(true));
                (0..=self.columns).for_each(|_| line.put(&Value::Null));
            }
            Event::Update(time, diff, row) => {
                line.put(&Value::Numeric((*time).into()));
                if self.progress {
                    line.put(&Value::Bool(false));
                }
                line.put(&Value::BigInt(*diff));
                let shown = row.values().iter().take(self.columns);
                shown.for_each(|value| line.put(value));
            }
        }
        line.send(out);
    }
}
