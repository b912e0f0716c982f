//! The engine as a sink: batches go in by COPY, one transaction each, and how far the data reaches is asked of the data.
//!
//! It does not hold anything back: what was not acknowledged is read again from the stream. The embedded engine knows
//! each `meta.id` and drops repeats itself. Materialize does not: for it an [`Account`] is kept of what is there, and only what its
//! views can evaluate is sent ([`super::strict`]).

mod account;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::SinkExt;
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow, Statement};

use account::Account;

use super::batch::Batch;
use super::resume::Position;
use super::sink::{Sent, SinkError};
use super::strict;
use crate::copy_text;
use crate::core::address::Address;
use crate::core::connection::{self, Connection};
use crate::core::dialect::Dialect;

/// How long changes gather for Materialize though it is idle: each COPY is a durable write of its own there and takes some 30 ms.
const LINGER_MATERIALIZE: Duration = Duration::from_millis(100);

/// COPY text is handed over in pieces of this size, so that a batch is not held a second time as text.
const PIECE_BYTES: usize = 64 << 10;

/// An engine without an answer for so long counts as lost. A batch takes milliseconds; a busy disk may take seconds.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(60);

/// A connection that takes changes.
pub(super) struct EngineSink {
    link: Link,
    copy: Statement,
    /// `None` where the engine itself knows its position and drops repeats.
    account: Option<Account>,
}

impl EngineSink {
    /// Connects; `lost` is the session of an earlier sink whose last batch was not acknowledged.
    pub(super) async fn open(address: &Address, lost: Option<&str>) -> Result<Self, SinkError> {
        let connection = connection::connect(address).await?;
        let address = address.to_string();
        if connection.dialect == Dialect::Tail {
            let version = connection.version;
            return Err(SinkError::FileOnly { address, version });
        }
        let copy = connection.client.prepare("COPY wikirecent FROM STDIN");
        let copy = copy.await.map_err(|error| sort(&address, &error))?;
        let link = Link {
            address,
            connection,
        };
        let account = match link.connection.dialect {
            Dialect::Subscribe => Some(Account::open(&link, lost).await?),
            Dialect::Embedded | Dialect::Tail => None,
        };
        Ok(EngineSink {
            link,
            copy,
            account,
        })
    }

    pub(super) fn linger(&self) -> Duration {
        match self.link.connection.dialect {
            Dialect::Subscribe => LINGER_MATERIALIZE,
            Dialect::Embedded | Dialect::Tail => Duration::ZERO,
        }
    }

    /// The session to wait for when this sink is lost.
    pub(super) fn session(&self) -> Option<String> {
        self.account.as_ref()?.session()
    }

    pub(super) async fn position(&self) -> Result<Position, SinkError> {
        if let Some(account) = &self.account {
            return Ok(account.reach());
        }
        let query = "SELECT topic, partition, timestamp_ms, event_offset FROM ingest_position";
        let rows = self.link.rows(query, ANSWER_WAIT_MAX).await?;
        Ok(marks(&rows).0)
    }

    /// Sends what is not there already of a batch.
    pub(super) async fn send(&mut self, batch: &Batch) -> Result<Sent, SinkError> {
        let rest = match &self.account {
            Some(account) => account.without_repeats(&self.link, batch).await?,
            None => None,
        };
        let new = rest.as_ref().unwrap_or(batch);
        let sent = Sent {
            durable: new.len() as u64,
            repeats: (batch.len() - new.len()) as u64,
        };
        if new.is_empty() {
            return Ok(sent);
        }
        self.link.answered(self.copy(new), ANSWER_WAIT_MAX).await?;
        if let Some(account) = &mut self.account {
            account.note(new);
        }
        Ok(sent)
    }

    async fn copy(&self, batch: &Batch) -> Result<u64, tokio_postgres::Error> {
        let Connection {
            client, dialect, ..
        } = &self.link.connection;
        let copy = client.copy_in::<_, Bytes>(&self.copy).await?;
        let mut copy = std::pin::pin!(copy);
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        let mut line = Vec::new();
        for entry in batch.entries() {
            line.clear();
            let document = match dialect {
                Dialect::Subscribe => strict::document(&entry.json),
                Dialect::Embedded | Dialect::Tail => String::from_utf8_lossy(&entry.json),
            };
            copy_text::encode_column(&mut line, Some(&document));
            line.push(b'\n');
            if piece.len() + line.len() > PIECE_BYTES && !piece.is_empty() {
                copy.send(piece.split().freeze()).await?;
            }
            piece.extend_from_slice(&line);
        }
        copy.send(piece.freeze()).await?;
        copy.finish().await
    }
}

/// A connection, and the name that errors give it.
struct Link {
    address: String,
    connection: Connection,
}

impl Link {
    /// The first value of an answer; `None` also where the engine does not take the question.
    async fn value_if_known(&self, question: &str) -> Result<Option<String>, SinkError> {
        match self.rows(question, ANSWER_WAIT_MAX).await {
            Ok(rows) => Ok(rows.first().and_then(|row| text(row, 0)).map(str::to_owned)),
            Err(SinkError::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn rows(
        &self,
        query: &str,
        wait_max: Duration,
    ) -> Result<Vec<SimpleQueryRow>, SinkError> {
        let answer = self.connection.client.simple_query(query);
        let messages = self.answered(answer, wait_max).await?;
        let row = |message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        };
        Ok(messages.into_iter().filter_map(row).collect())
    }

    async fn answered<T>(
        &self,
        question: impl Future<Output = Result<T, tokio_postgres::Error>>,
        wait_max: Duration,
    ) -> Result<T, SinkError> {
        match tokio::time::timeout(wait_max, question).await {
            Ok(answer) => answer.map_err(|error| sort(&self.address, &error)),
            Err(_) => Err(SinkError::Lost {
                address: self.address.clone(),
                reason: format!("no answer within {} s", wait_max.as_secs()),
            }),
        }
    }
}

/// The position that rows of topic, partition, time and offset tell, and the newest time of all of them, also of those without a topic.
fn marks(rows: &[SimpleQueryRow]) -> (Position, Option<i64>) {
    let mut position = Position::default();
    let mut newest_ms = None;
    for row in rows {
        let number = |at: usize| text(row, at).and_then(|text| text.parse().ok());
        let timestamp_ms: Option<i64> = number(2);
        newest_ms = newest_ms.max(timestamp_ms);
        if let (Some(topic), Some(partition), Some(timestamp_ms)) =
            (text(row, 0), number(1), timestamp_ms)
        {
            position.note(topic, partition, timestamp_ms, number(3));
        }
    }
    (position, newest_ms)
}

/// A value of a row; one that the engine did not send is missing, as NULL is.
fn text(row: &SimpleQueryRow, at: usize) -> Option<&str> {
    row.try_get(at).ok().flatten()
}

/// Sorts what an engine or the connection to it says.
fn sort(address: &str, error: &tokio_postgres::Error) -> SinkError {
    let address = address.to_owned();
    let reason = connection::describe(error);
    match error.as_db_error() {
        None => SinkError::Lost { address, reason },
        Some(answer) if connection::is_passing(answer) => SinkError::Busy { address, reason },
        Some(answer) if answer.code().code().starts_with("22") => {
            SinkError::BadData { address, reason }
        }
        Some(_) => SinkError::Refused { address, reason },
    }
}
