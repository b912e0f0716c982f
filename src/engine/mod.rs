//! The embedded engine: SQL -> plan -> dataflow, a worker thread, a store of one file, and the door where Postgres clients
//! come in. It knows nobody downstream.

pub mod catalog;
pub mod error;
pub mod expr;
pub mod handle;
pub mod plan;
pub mod system;
pub mod value;
