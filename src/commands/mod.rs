//! The commands: wiring and shutdown only; the one place that knows everyone.
//!
//! Each command is a plain `Config` and `run(config, shutdown) -> anyhow::Result<()>`. Its owner is `main`, which gives it a
//! future that resolves when the process is asked to end; what a failure means for the caller of the process is a
//! [`failure::Failure`] in the error.

pub mod engine;
pub mod failure;
pub mod ingest;
pub mod init_views;
pub mod output;
pub mod serve;
pub mod service;
pub mod signals;
pub mod tail;
