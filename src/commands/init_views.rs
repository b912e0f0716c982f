//! `wikitop init-views`: the views in an engine, created where they are missing.

use std::path::PathBuf;

/// What `init-views` was told.
#[derive(Debug, Clone)]
pub struct Config {
    /// The engine's address, which may hold a password; `None` is the local one.
    pub materialize: Option<String>,
    /// The cluster that keeps the views, where there are clusters.
    pub cluster: Option<String>,
    /// For Materialize 0.26: the recording to read, as the server sees it.
    pub recording: Option<String>,
    /// Print the SQL instead of running it.
    pub print: bool,
    /// The engine to print for; `None` asks the one at the address.
    pub dialect: Option<DialectName>,
    /// Remove what was made.
    pub drop: bool,
    /// The user's own views, created after the built-in ones.
    pub file: Option<PathBuf>,
}

/// An engine's dialect, as a user names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DialectName {
    /// The engine inside `wikitop serve`.
    Embedded,
    /// Current releases of Materialize.
    Subscribe,
    /// The 0.26 line of Materialize.
    Tail,
}
