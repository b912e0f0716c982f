//! `wikitop serve`: engine, views, ingest and page in one process.

use std::path::PathBuf;
use std::time::Duration;

use crate::commands::ingest::Feed;

/// What `serve` was told.
#[derive(Debug, Clone)]
pub struct Config {
    /// The engine that keeps the views.
    pub engine: EngineChoice,
    /// Where the page is served.
    pub listen: String,
    /// Where the changes come from; `None` leaves ingesting to others.
    pub feed: Option<Feed>,
    /// Print the addresses as one JSON line on stdout once everything listens.
    pub ready_json: bool,
    /// Origins beside the page's own whose pages may connect.
    pub allow_origins: Vec<String>,
}

/// The engine that keeps the views.
#[derive(Debug, Clone)]
pub enum EngineChoice {
    /// The one inside.
    Embedded {
        /// Where it keeps its state; `None` is `wikitop` in the XDG data home.
        data_dir: Option<PathBuf>,
        /// Where it listens for Postgres clients.
        pg_listen: String,
        /// How long it keeps single changes.
        retain: Duration,
    },
    /// Materialize, elsewhere.
    Materialize {
        /// Its address, which may hold a password.
        url: String,
        /// The cluster that keeps the views, where it has clusters.
        cluster: Option<String>,
    },
}
