//! One connection's stream of updates, from the first statement to the first error.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{Kind, Type};
use tokio_postgres::{CopyOutStream, Statement};

use super::{SubscribeError, Target};
use crate::core::address::Address;
use crate::core::connection::{self, Connection};
use crate::core::frame::Column;
use crate::core::update::{Decoder, Update};

/// The stream and the connection that carries it.
pub(super) struct Feed {
    columns: Arc<[Column]>,
    decoder: Decoder,
    stream: Pin<Box<CopyOutStream>>,
    /// Dropping a statement sends a message, and none belongs into a running COPY.
    _statements: [Statement; 2],
    _connection: Connection,
}

/// Why there is no feed, or no more of it.
#[derive(Debug)]
pub(super) enum FeedError {
    /// This may pass.
    Passing(String),
    /// This will not.
    Permanent(SubscribeError),
}

impl Feed {
    /// Connects and asks; the engine may take so long to begin to answer.
    pub(super) async fn open(
        address: &Address,
        target: &Target,
        wait_max: Duration,
    ) -> Result<Self, FeedError> {
        let connection = match connection::connect(address).await {
            Ok(connection) => connection,
            Err(error) if error.is_transient() => {
                return Err(FeedError::Passing(error.to_string()));
            }
            Err(error) => return Err(FeedError::Permanent(error.into())),
        };
        match tokio::time::timeout(wait_max, Feed::begin(connection, target)).await {
            Ok(begun) => begun.map_err(|error| refused(&error)),
            Err(_) => Err(FeedError::Passing(format!(
                "the engine has not answered for {wait_max:?}"
            ))),
        }
    }

    async fn begin(connection: Connection, target: &Target) -> Result<Self, tokio_postgres::Error> {
        let Connection {
            client, dialect, ..
        } = &connection;
        let row = client.prepare(&dialect.describe(target)).await?;
        let copy = client.prepare(&dialect.subscribe(target)).await?;
        let stream = client.copy_out(&copy).await?;
        let columns: Arc<[Column]> = row
            .columns()
            .iter()
            .map(|column| Column {
                name: column.name().to_owned(),
                ty: sql_name(column.type_()),
            })
            .collect();
        Ok(Feed {
            decoder: Decoder::new(columns.len()),
            stream: Box::pin(stream),
            columns,
            _statements: [row, copy],
            _connection: connection,
        })
    }

    pub(super) fn columns(&self) -> &Arc<[Column]> {
        &self.columns
    }

    /// The next update; `None` when the engine says that there will be no more. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Option<Update>, FeedError> {
        loop {
            match self.decoder.next_update() {
                Ok(Some(update)) => return Ok(Some(update)),
                Ok(None) => {}
                Err(error) => return Err(FeedError::Passing(error.to_string())),
            }
            match self.stream.next().await {
                Some(Ok(chunk)) => self.decoder.push(chunk),
                Some(Err(error)) => {
                    return Err(FeedError::Passing(connection::describe(&error)));
                }
                None => return Ok(None),
            }
        }
    }
}

/// Sorts the errors with which an engine answers a statement.
fn refused(error: &tokio_postgres::Error) -> FeedError {
    let Some(answer) = error.as_db_error() else {
        return FeedError::Passing(connection::describe(error));
    };
    let message = answer.message().to_owned();
    if connection::is_passing(answer) {
        return FeedError::Passing(message);
    }
    let code = answer.code();
    let is_unknown =
        *code == SqlState::UNDEFINED_TABLE || message.starts_with("unknown catalog item");
    FeedError::Permanent(if is_unknown {
        SubscribeError::UnknownRelation(message)
    } else if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        SubscribeError::NotAllowed(message)
    } else {
        SubscribeError::Rejected {
            message,
            hint: answer.hint().map(str::to_owned),
        }
    })
}

/// A type by the name that SQL gives it; Postgres' catalog has other names for some.
fn sql_name(ty: &Type) -> String {
    if let Kind::Array(member) = ty.kind() {
        return format!("{}[]", sql_name(member));
    }
    let name = match ty.name() {
        "bool" => "boolean",
        "int2" => "smallint",
        "int4" => "integer",
        "int8" => "bigint",
        "float4" => "real",
        "float8" => "double precision",
        "bpchar" => "character",
        "varchar" => "character varying",
        "timestamp" => "timestamp without time zone",
        "timestamptz" => "timestamp with time zone",
        "time" => "time without time zone",
        "timetz" => "time with time zone",
        other => other,
    };
    name.to_owned()
}
