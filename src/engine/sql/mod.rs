//! SQL: text to statements ([`parse`]), statements' queries to plans.
//!
//! It knows relations by what a [`Relations`] says of them, and nothing of dataflows or sessions. Statements that are not queries
//! are the door's to carry out.

mod parse;
mod session_parse;
mod statement;
mod text;

pub use parse::parse;
pub use sqlparser::ast;
pub use statement::{
    CopyFormat, CopyOptions, CreateView, Discard, FetchCount, Name, Show, ShowKind, Source,
    Statement, Subscribe,
};
pub use text::{DEPTH_MAX, STATEMENT_BYTES_MAX};

/// The only database.
pub const DATABASE: &str = "materialize";

#[cfg(test)]
mod parse_tests;
