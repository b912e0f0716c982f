//! What the tests stand on: the built binary, a loopback EventStreams, fixture changes.

#![allow(dead_code, reason = "each boundary uses the part it needs")]

pub(crate) mod changes;
pub(crate) mod eventstreams;
pub(crate) mod process;
pub(crate) mod scripted_engine;
