//! Logs, by `tracing`, to stderr; stdout belongs to data.
//!
//! What the levels mean, everywhere in wikitop:
//! - `error`: something was given up; a person has to act;
//! - `warn`: something is wrong and is being dealt with (a lost connection, input that was skipped);
//! - `info`: the life of the process (what listens, who is connected to what, a summary a minute);
//! - `debug`: each batch, each reconnect attempt, each client;
//! - `trace`: each message.
//!
//! So nothing is logged per event unless `trace` is asked for. No level logs a password: addresses are logged through
//! their `Display`, which has none.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use super::{progress, screen};

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging; to be called once, before anything logs.
pub fn init(filter: &str, format: LogFormat) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(stderr)
        .with_ansi(console::colors_enabled_stderr());
    match format {
        LogFormat::Text => builder.with_target(false).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}

/// A log line on the terminal where a view is live scrolls by above the view.
fn stderr() -> io::Stderr {
    let stderr = io::stderr();
    if stderr.is_terminal() {
        screen::make_way();
        progress::make_way();
    }
    stderr
}
