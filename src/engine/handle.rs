//! The engine as its sessions see it: a handle that sends typed commands to the worker thread and awaits its answers.
//!
//! Only planned, typed input passes through here, so nothing that came from the network can upset the worker.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::catalog::{Catalog, Relation};
use super::dataflow::scan::{Scan, Shape};
use super::error::{SqlError, SqlState};
use super::feed::{Feed, Tick};
use super::plan::Query;
use super::store::batch::Batch;

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
    /// Begin to answer a query that needs no dataflow.
    Scan {
        /// The query.
        shape: Box<Shape>,
        /// Answers with the scan, for whoever asked to run.
        reply: oneshot::Sender<Result<Scan, SqlError>>,
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

/// The rows of a query as of now.
#[derive(Debug)]
pub(crate) enum Selected {
    /// All of them, without an order.
    Snapshot(Tick),
    /// They are there to be read.
    Scan(Box<Scan>),
}

fn stopped() -> SqlError {
    SqlError::new(SqlState::AdminShutdown, "the engine is shutting down")
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
        self.append_read(batch).await
    }

    /// As [`Engine::append`], when the documents have been read as they came.
    pub(crate) async fn append_read(&self, batch: Batch) -> Result<Appended, SqlError> {
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

    /// A query's rows as of now.
    ///
    /// # Errors
    /// As [`Engine::subscribe`].
    pub(crate) async fn select(&self, query: Arc<Query>) -> Result<Selected, SqlError> {
        if let Some(shape) = Shape::of(&query.plan) {
            let shape = Box::new(shape);
            let scan = self.ask(|reply| Command::Scan { shape, reply }).await?;
            return Ok(Selected::Scan(Box::new(scan)));
        }
        let mut feed = self.subscribe(query).await?;
        // The first tick is the snapshot; a feed without one has ended with the engine.
        let snapshot = feed.ticks.recv().await.unwrap_or_else(|| Err(stopped()));
        snapshot.map(Selected::Snapshot)
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
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(command(reply))
            .await
            .map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}
