//! `wikitop ingest`: changes into an engine or into a recording, as a daemon or as a cron job.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

/// What `ingest` was told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the changes come from.
    pub feed: Feed,
    /// Where they go.
    pub sink: SinkChoice,
    /// End after so long.
    pub run_for: Option<Duration>,
    /// End after so many changes.
    pub max_changes: Option<u64>,
    /// End once caught up with the present.
    pub until_now: bool,
}

/// Where changes come from.
#[derive(Debug, Clone)]
pub struct Feed {
    /// An EventStreams URL, a recording's path, or `-` for stdin.
    pub source: String,
    /// The pace of a recording.
    pub speed: Speed,
    /// Where to start when nothing was read yet; `None` is now.
    pub since: Option<Since>,
    /// How Wikimedia can reach the user.
    pub contact: Option<String>,
}

/// The pace of a recording.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// So many times its own pace; positive and finite.
    Times(f64),
    /// As fast as the sink takes it.
    Max,
}

/// A start in the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// So long before the command starts.
    Ago(Duration),
    /// At this time.
    At(Timestamp),
}

/// Where changes go.
#[derive(Debug, Clone)]
pub enum SinkChoice {
    /// An engine.
    Engine {
        /// Its address, which may hold a password; `None` is the local one.
        materialize: Option<String>,
    },
    /// A file of one line `data: {json}` a change.
    Recording {
        /// The file that is appended to.
        file: PathBuf,
        /// When a new file begins.
        rotate: Option<Rotate>,
    },
}

/// When a recording begins a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotate {
    /// Once it holds so many bytes.
    Size(u64),
    /// Every hour.
    Hourly,
}
