//! `wikitop` is `top` for Wikipedia: an event-driven pipeline that nothing polls.
//!
//! ```text
//! Wikimedia --> ingest --> engine --> core --> web      --> browser
//! (SSE stream,             |           |
//!  or a recording)         |           +-----> terminal --> terminal
//!                          |
//!           embedded (default), or Materialize
//! ```
//!
//! Between the engine and everything after it pass only SQL and bytes of the Postgres protocol, so that the two engines
//! cannot be told apart. `engine` and `core` do not know each other; `web` and `terminal` know `core`; `ingest` knows
//! `core`'s connection; only `commands` knows everyone.
//!
//! What must stay true:
//! - nothing is lost and nothing counted twice, across reconnects, crashes, restarts and repeats;
//! - a frame is atomic: a client sees all changes of one timestamp or none;
//! - every queue, buffer, line and retry has a bound with a name and a reason;
//! - what is shown is what the stream held; what was skipped is counted by reason.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod change;
pub mod cli;
pub mod commands;
pub mod copy_text;
pub mod core;
pub mod engine;
pub mod ingest;
pub mod retry;
pub mod terminal;
pub mod web;
