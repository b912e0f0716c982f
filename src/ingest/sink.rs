//! Where changes go: one interface over an engine and a recording, and the one decision what is retried.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::core::address::Address;
use crate::core::connection::ConnectError;

use super::batch::Batch;
use super::engine::EngineSink;
use super::record::{self, Recorder};
use super::resume::Position;

/// Where changes go.
#[derive(Debug, Clone)]
pub enum Target {
    /// An engine, over its Postgres port.
    Engine(Address),
    /// A file.
    Recording(record::Config),
}

/// An open sink.
pub(super) enum Sink {
    Engine(EngineSink),
    Recording(Recorder),
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// Changes that are durable now.
    pub(super) durable: u64,
    /// Changes that were there already.
    pub(super) repeats: u64,
}

/// Why a sink cannot be used, or why it did not take a batch.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// No connection to the engine.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection was lost; what became of the batch is not known.
    #[error("lost the engine at {address:?}: {reason}")]
    Lost {
        /// Which.
        address: String,
        /// What happened.
        reason: String,
    },
    /// The engine is there and cannot do it now: it stops, or its disk is full.
    #[error("the engine at {address:?} cannot take changes now: {reason}")]
    Busy {
        /// Which.
        address: String,
        /// In its words.
        reason: String,
    },
    /// The engine refused the data of a batch; nothing of it arrived.
    #[error("the engine at {address:?} refused a batch: {reason}")]
    BadData {
        /// Which.
        address: String,
        /// In its words.
        reason: String,
    },
    /// The engine refused, and will refuse again.
    #[error("the engine at {address:?} does not take changes: {reason}")]
    Refused {
        /// Which.
        address: String,
        /// In its words.
        reason: String,
    },
    /// Materialize up to 0.26 has no way in but a file.
    #[error("the engine at {address:?} is {version}, which takes changes only from a file")]
    FileOnly {
        /// Which.
        address: String,
        /// What it says it is.
        version: String,
    },
    /// The recording cannot be written.
    #[error("could not {action} {path:?}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Another process writes the recording.
    #[error("{path:?} is being written by another wikitop")]
    InUse {
        /// The file.
        path: PathBuf,
    },
}

/// What to do about a [`SinkError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Open the sink again, later.
    Reopen,
    /// Find the change that is refused, by halves, and leave it out.
    Split,
    /// Nothing helps.
    GiveUp,
}

impl SinkError {
    /// What to do about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            SinkError::Connect(error) if error.is_transient() => Remedy::Reopen,
            SinkError::Lost { .. } | SinkError::Busy { .. } => Remedy::Reopen,
            SinkError::BadData { .. } => Remedy::Split,
            // A full disk can be emptied; a directory in the file's place stays one.
            SinkError::File { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull
                | io::ErrorKind::Interrupted
                | io::ErrorKind::QuotaExceeded => Remedy::Reopen,
                _ => Remedy::GiveUp,
            },
            SinkError::Connect(_)
            | SinkError::Refused { .. }
            | SinkError::FileOnly { .. }
            | SinkError::InUse { .. } => Remedy::GiveUp,
        }
    }

    /// What helps, as a full sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            SinkError::Connect(error) => error.hint(),
            SinkError::Lost { .. } | SinkError::Busy { .. } | SinkError::BadData { .. } => {
                "Run the same command again: it goes on where the engine's data ends."
            }
            SinkError::Refused { .. } => "Prepare the engine with `wikitop init-views`.",
            SinkError::FileOnly { .. } => {
                "Write the file with --record FILE and name it in `wikitop init-views --recording FILE`."
            }
            SinkError::File { .. } => "Name a file that can be written with --record FILE.",
            SinkError::InUse { .. } => "Give each ingester a file of its own with --record FILE.",
        }
    }
}

impl Target {
    /// Opens the sink; `lost` is the session of an earlier one whose last batch was not acknowledged.
    pub(super) async fn open(&self, lost: Option<&str>) -> Result<Sink, SinkError> {
        match self {
            Target::Engine(address) => EngineSink::open(address, lost).await.map(Sink::Engine),
            Target::Recording(config) => Recorder::open(config.clone()).await.map(Sink::Recording),
        }
    }
}

impl Sink {
    /// How far the data in the sink reaches.
    pub(super) async fn position(&mut self) -> Result<Position, SinkError> {
        match self {
            Sink::Engine(engine) => engine.position().await,
            Sink::Recording(recorder) => Ok(recorder.position()),
        }
    }

    /// The session in which a batch may still become durable after this sink is lost.
    pub(super) fn session(&self) -> Option<String> {
        match self {
            Sink::Engine(engine) => engine.session(),
            Sink::Recording(_) => None,
        }
    }

    /// How long a batch may gather although the sink is idle.
    pub(super) fn linger(&self) -> Duration {
        match self {
            Sink::Engine(engine) => engine.linger(),
            Sink::Recording(_) => Duration::ZERO,
        }
    }

    /// Makes a batch durable. The sink goes in and comes out, so that the future owns all it works with.
    pub(super) async fn send(self, batch: Batch) -> (Sink, Batch, Result<Sent, SinkError>) {
        match self {
            Sink::Engine(mut engine) => {
                let sent = engine.send(&batch).await;
                (Sink::Engine(engine), batch, sent)
            }
            Sink::Recording(recorder) => {
                let (recorder, batch, sent) = recorder.send(batch).await;
                (Sink::Recording(recorder), batch, sent)
            }
        }
    }

    /// Brings everything that was sent to rest.
    pub(super) async fn close(self) -> Result<(), SinkError> {
        match self {
            Sink::Engine(_) => Ok(()),
            Sink::Recording(recorder) => recorder.close().await,
        }
    }
}
