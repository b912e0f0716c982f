//! Ingest: changes from Wikimedia's stream, or from a recording, into an engine or into a recording.
//!
//! ```text
//! live       \                                                   / engine (COPY)
//!             source --> sse::Decoder --> admission --> batch --> sink
//! recording  /           bytes -> events  what is new             \ recording (a line a change)
//!                  ^                                                |
//!                  +--------- resume: where the data ends <---------+
//! ```
//!
//! There is no checkpoint: how far the stream was read is asked of the data in the sink, at the start and after every reconnect, and
//! the stream is resumed a little before that. What comes twice is known by `meta.id`. So whatever dies in between, nothing is lost
//! and nothing counted twice. It knows `core`'s connection, not the engine behind it.

mod admission;
mod batch;
mod engine;
mod live;
mod pipeline;
mod record;
mod recording;
mod report;
mod resume;
mod seen;
mod sink;
mod source;
pub mod sse;
pub mod status;
mod strict;

use std::future::pending;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use admission::{Admission, Verdict};
pub use batch::{BATCH_BYTES_MAX, BATCH_CHANGES_MAX, Batch, Entry};
pub use live::{Config as LiveConfig, ConfigError, Loss, SILENCE_MAX};
pub use record::{Config as RecordConfig, Rotate};
pub use recording::{Config as RecordingConfig, Input, Speed};
pub use resume::{Mark, Position, REWIND_MS};
pub use seen::Key;
pub use sink::{Remedy, SinkError, Target};
pub use source::Source;
pub use status::Status;

/// How long a batch that is on its way when the process is asked to end may take: `serve` promises to stop within five seconds.
const FLUSH_WAIT_MAX: Duration = Duration::from_secs(4);

/// What to ingest.
#[derive(Debug)]
pub struct Config {
    /// Where changes come from.
    pub source: Source,
    /// Where they go.
    pub target: Target,
    /// When to end.
    pub limits: Limits,
    /// Where state and counters are told, a few times a second at most.
    pub status: watch::Sender<Status>,
}

/// When an ingester ends by itself. Without limits it ends with its source, and a live stream has no end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// After so long.
    pub run_for: Option<Duration>,
    /// After so many changes that were kept.
    pub changes_max: Option<u64>,
    /// Once caught up with the present.
    pub until_now: bool,
    /// Give up when source or sink cannot be reached for so long; `None` is never.
    pub give_up_after: Option<Duration>,
}

/// What an ingester did, when it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// The last state and the counters.
    pub status: Status,
}

/// Why an ingester ended without being done.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The source's address or settings make no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The recording cannot be opened.
    #[error("could not open {path:?}: {reason}")]
    Recording {
        /// Its path.
        path: std::path::PathBuf,
        /// What the operating system says.
        reason: std::io::Error,
    },
    /// The source cannot be read, or cannot be reached for too long.
    #[error(transparent)]
    Source(Loss),
    /// The sink cannot be used, or cannot be reached for too long.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// It was asked to end, and the sink did not acknowledge what was on its way.
    #[error("ended before the sink acknowledged {changes} of the changes that were read")]
    NotDurable {
        /// How many.
        changes: u64,
    },
}

impl IngestError {
    /// What helps, as a full sentence, where something does.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            IngestError::Config(_) => Some("Check --source and --contact."),
            IngestError::Recording { .. } => {
                Some("Name an event stream's address, a file, or - for stdin with --source.")
            }
            IngestError::Source(loss) => loss.hint(),
            IngestError::Sink(error) => Some(error.hint()),
            IngestError::NotDurable { .. } => {
                Some("Nothing is lost: the next run reads them again.")
            }
        }
    }
}

/// Ingests until the source ends, a limit is reached, or `shutdown` resolves; what was read is durable in the sink when it returns
/// without an error.
///
/// # Errors
/// See [`IngestError`]. What may pass is retried, for ever unless `limits.give_up_after` says otherwise.
pub async fn run(
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> Result<Summary, IngestError> {
    let stop = CancellationToken::new();
    let status = config.status.subscribe();
    let run_for = config.limits.run_for;
    let work = pipeline::run(config, stop.clone());
    tokio::pin!(work, shutdown);
    let timer = async {
        match run_for {
            Some(wait) => tokio::time::sleep(wait).await,
            None => pending().await,
        }
    };
    tokio::select! {
        outcome = &mut work => return outcome,
        () = &mut shutdown => {}
        () = timer => {
            stop.cancel();
            tokio::select! {
                outcome = &mut work => return outcome,
                () = &mut shutdown => {}
            }
        }
    }
    stop.cancel();
    match tokio::time::timeout(FLUSH_WAIT_MAX, work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(IngestError::NotDurable {
            changes: status.borrow().counters.pending(),
        }),
    }
}
