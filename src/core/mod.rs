//! Shared by every subcommand: the connection to an engine, and the subscription whose reducer turns its diff stream into
//! state.
//!
//! The module shares its name with the standard crate: write `crate::core`.
//!
//! ```text
//! address --> connection --> COPY (SUBSCRIBE ...) TO STDOUT --> update --> reducer --> frame --> state
//! ```

pub mod address;
pub mod catalog;
pub mod connection;
pub mod dialect;
pub mod frame;
pub mod json;
pub mod reducer;
pub mod relations;
pub mod schema;
pub mod subscription;
pub mod update;
