//! The engine as its sessions see it: a handle that sends typed commands to the worker thread and awaits its answers.
//!
//! Only planned, typed input passes through here, so nothing that came from the network can upset the worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{mpsc, oneshot, watch};

use super::catalog::{Catalog, Relation};
use super::error::{SqlError, SqlState};
use super::plan::Query;
use super::store::batch::Batch;
use super::value::Row;

/// Commands that wait for the worker. It takes them one after another; what does not fit waits in its sender, which is how
/// a fast ingester is slowed down to what the disk takes.
pub const COMMANDS_MAX: usize = 64;

/// What sessions ask of the worker.
#[derive(Debug)]
pub(crate) enum Command {
    /// Make these changes durable, then visible.
    Append {
        /// Documents, read, but not yet known to be new.
        batch: Box<Batch>,
        /// Answers when they are durable and visible.
        reply: oneshot::Sender<Result<Appended, SqlError>>,
    },
    /// Start (or join) the dataflow of a query.
    Subscribe {
        /// The query.
        query: Arc<Query>,
        /// Answers with the feed, whose first tick is the snapshot.
        reply: oneshot::Sender<Result<Feed, SqlError>>,
    },
    /// Define a view.
    CreateView {
        /// Its name, folded.
        name: Arc<str>,
        /// The statement, as it was written.
        sql: Arc<str>,
        /// Its plan.
        query: Arc<Query>,
        /// Answers with the new relation; a name that is taken is an error.
        reply: oneshot::Sender<Result<Arc<Relation>, SqlError>>,
    },
    /// Forget a view.
    DropView {
        /// Its name, folded.
        name: Arc<str>,
        /// Answers when it is gone; a view that others use is refused.
        reply: oneshot::Sender<Result<(), SqlError>>,
    },
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Appended {
    /// Documents that were new and counted.
    pub kept: u64,
    /// Documents whose `meta.id` was there already.
    pub repeats: u64,
    /// The service's own probes.
    pub canaries: u64,
    /// At which time the batch is visible, in milliseconds since the epoch.
    pub timestamp_ms: u64,
}

/// All changes of a query's rows, tick by tick.
#[derive(Debug)]
pub struct Feed {
    /// The time of the snapshot.
    pub as_of_ms: u64,
    /// The ticks, first the snapshot. Bounded: a subscriber that does not drain it is cut off with an error.
    pub ticks: Ticks,
}

/// The receiving end of a feed.
///
/// What waits in it is counted, so that the bound is on updates, which have a size, and not only on ticks, which have none.
#[derive(Debug)]
pub struct Ticks {
    queue: mpsc::UnboundedReceiver<Result<Tick, SqlError>>,
    waiting: Arc<Waiting>,
}

/// What a subscriber has not yet taken.
#[derive(Debug, Default)]
struct Waiting {
    ticks: AtomicUsize,
    updates: AtomicUsize,
}

/// Ticks that may wait for a subscriber: a minute of them when sixteen batches a second arrive. A subscriber that is further
/// behind is cut off with 53400.
pub const FEED_TICKS_MAX: usize = 1024;

/// Updates that may wait for a subscriber beyond the snapshot, some tens of megabytes; then as [`FEED_TICKS_MAX`].
pub const FEED_UPDATES_MAX: usize = 262_144;

impl Ticks {
    /// The next tick; an error is the last one. `None`: the engine has stopped. Cancel safe.
    pub async fn recv(&mut self) -> Option<Result<Tick, SqlError>> {
        let tick = self.queue.recv().await?;
        if let Ok(tick) = &tick {
            self.waiting.ticks.fetch_sub(1, Ordering::Relaxed);
            let updates = tick.updates.len();
            self.waiting.updates.fetch_sub(updates, Ordering::Relaxed);
        }
        Some(tick)
    }
}

/// The worker's end of a feed.
#[derive(Debug)]
pub(crate) struct Subscriber {
    queue: mpsc::UnboundedSender<Result<Tick, SqlError>>,
    waiting: Arc<Waiting>,
    updates_max: usize,
}

impl Subscriber {
    /// Both ends of a feed whose first tick is `snapshot`.
    pub(crate) fn new(snapshot: Tick) -> (Self, Ticks) {
        let (sender, queue) = mpsc::unbounded_channel();
        let waiting = Arc::new(Waiting::default());
        let subscriber = Subscriber {
            queue: sender,
            waiting: waiting.clone(),
            updates_max: snapshot.updates.len() + FEED_UPDATES_MAX,
        };
        subscriber.send(snapshot);
        (subscriber, Ticks { queue, waiting })
    }

    /// Queues a tick. False: the subscriber is gone, or too far behind and told so; it is to be forgotten.
    pub(crate) fn send(&self, tick: Tick) -> bool {
        let updates = tick.updates.len();
        let ahead = (
            self.waiting.ticks.fetch_add(1, Ordering::Relaxed),
            self.waiting.updates.fetch_add(updates, Ordering::Relaxed),
        );
        if ahead.0 < FEED_TICKS_MAX && ahead.1 + updates <= self.updates_max {
            return self.queue.send(Ok(tick)).is_ok();
        }
        self.fail(
            SqlError::new(
                SqlState::ConfigurationLimitExceeded,
                "the subscriber reads more slowly than the query changes",
            )
            .hint("Subscribe again: the new snapshot holds what was missed."),
        );
        false
    }

    /// Ends the feed with an error.
    pub(crate) fn fail(&self, error: SqlError) {
        // A subscriber that is gone needs no error.
        let _ = self.queue.send(Err(error));
    }

    /// The subscriber has gone away.
    pub(crate) fn is_gone(&self) -> bool {
        self.queue.is_closed()
    }
}

/// What happened up to a time.
#[derive(Debug, Clone)]
pub struct Tick {
    /// Updates (row, time, diff), consolidated, in order of time; shared by all subscribers of the query.
    pub updates: Arc<[(Row, u64, i64)]>,
    /// No update before this time is still to come, in milliseconds since the epoch.
    pub upper_ms: u64,
}

/// A handle of the running engine; cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    commands: mpsc::Sender<Command>,
    catalog: watch::Receiver<Arc<Catalog>>,
}

impl Engine {
    /// A handle on a worker that takes `commands` and publishes its catalog.
    pub(crate) fn new(
        commands: mpsc::Sender<Command>,
        catalog: watch::Receiver<Arc<Catalog>>,
    ) -> Self {
        Engine { commands, catalog }
    }

    /// The catalog as it is now.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.borrow().clone()
    }

    /// Makes changes durable and visible, one JSON document each.
    ///
    /// # Errors
    /// A document is no JSON object (22P04, naming it), or the store cannot write (53100, 58030): nothing of the batch is
    /// visible then.
    pub async fn append(&self, documents: Vec<bytes::Bytes>) -> Result<Appended, SqlError> {
        // The worker is one thread for everybody: reading the documents is left to others.
        let batch = tokio::task::spawn_blocking(move || Batch::read(&documents))
            .await
            .map_err(|_| SqlError::new(SqlState::InternalError, "reading the batch failed"))??;
        let batch = Box::new(batch);
        self.ask(|reply| Command::Append { batch, reply }).await
    }

    /// Starts a feed of a query's rows.
    ///
    /// # Errors
    /// The query cannot be evaluated over what is there.
    pub async fn subscribe(&self, query: Arc<Query>) -> Result<Feed, SqlError> {
        self.ask(|reply| Command::Subscribe { query, reply }).await
    }

    /// Defines a view, kept across restarts.
    ///
    /// # Errors
    /// 42P07 for a name that is taken.
    pub async fn create_view(
        &self,
        name: Arc<str>,
        sql: Arc<str>,
        query: Arc<Query>,
    ) -> Result<Arc<Relation>, SqlError> {
        self.ask(|reply| Command::CreateView {
            name,
            sql,
            query,
            reply,
        })
        .await
    }

    /// Forgets a view.
    ///
    /// # Errors
    /// 42P01 for an unknown name, 2BP01 when others use it (naming them), 42809 for what is no view.
    pub async fn drop_view(&self, name: Arc<str>) -> Result<(), SqlError> {
        self.ask(|reply| Command::DropView { name, reply }).await
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, SqlError>>) -> Command,
    ) -> Result<T, SqlError> {
        let stopped = || SqlError::new(SqlState::AdminShutdown, "the engine is shutting down");
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(command(reply))
            .await
            .map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}
