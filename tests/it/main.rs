//! Integration tests: one binary, so that everything is linked once; a module a boundary.

#![allow(clippy::unwrap_used)]

mod clients;
mod end_to_end;
mod ingest;
mod materialize;
mod operator;
mod page;
mod push;
mod store;
mod support;
