//! `wikitop tail`: a view or a query, followed in a terminal or into a pipe.

use std::time::Duration;

/// What `tail` was told.
#[derive(Debug, Clone)]
pub struct Config {
    /// A view's name or a query; `None` lists what can be tailed.
    pub target: Option<String>,
    /// The engine's address, which may hold a password; `None` is the local one.
    pub materialize: Option<String>,
    /// How to write it; `None` is a table on a terminal and JSON elsewhere.
    pub format: Option<Format>,
    /// Begin with the columns.
    pub header: bool,
    /// Print the rows as they are now, and end.
    pub snapshot_only: bool,
    /// Leave out the rows that are already there.
    pub no_snapshot: bool,
    /// Say also when time passed and nothing changed.
    pub progress: bool,
    /// End after so long.
    pub run_for: Option<Duration>,
    /// End after so many frames, the snapshot among them.
    pub max_frames: Option<u64>,
}

/// How updates are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One frame a line, as the page receives it.
    Json,
    /// One update a line: time, diff, columns.
    Csv,
    /// One update a line in COPY text form: time, diff, columns.
    Copy,
    /// A table for people.
    Table,
}
