//! The engine as a sink: batches go in by COPY, one transaction each, and how far the data reaches is asked of the data.
//!
//! It does not hold anything back: what was not acknowledged is read again from the stream. The embedded engine knows
//! each `meta.id` and drops repeats itself. Materialize does not, so for it [`EngineSink`] asks which changes of a batch are there
//! already, as long as that is possible, and sends only what its views can evaluate ([`super::strict`]).

use std::collections::HashSet;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{SinkExt, TryStreamExt};
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow, Statement};

use super::batch::Batch;
use super::resume::{Position, REWIND_MS};
use super::seen::{self, Key};
use super::sink::{Sent, SinkError};
use super::strict;
use crate::copy_text;
use crate::core::address::Address;
use crate::core::connection::{self, Connection};
use crate::core::dialect::Dialect;

/// How long changes gather for Materialize though it is idle: each COPY is a durable write of its own there and takes some 30 ms.
const LINGER_MATERIALIZE: Duration = Duration::from_millis(100);

/// A COPY whose client has gone may be committing still: it takes some 30 ms there. Asked sooner than this, the data could lack
/// what arrives a moment later, and it would be sent twice.
const SETTLE_MATERIALIZE: Duration = Duration::from_millis(500);

/// COPY text is handed over in pieces of this size, so that a batch is not held a second time as text.
const PIECE_BYTES: usize = 64 << 10;

/// An engine without an answer for so long counts as lost. A batch takes milliseconds; a busy disk may take seconds.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(60);

/// How far back the position is searched in Materialize, which has no index for it: first an hour, then a day, then as long as the
/// stream retains anything.
const SEARCH_HOURS: [i64; 3] = [1, 24, 31 * 24];

/// A connection that takes changes.
pub(super) struct EngineSink {
    address: String,
    connection: Connection,
    copy: Statement,
    /// Changes up to this time may be there already; `None` when the engine itself drops repeats.
    unsure_until_ms: Option<i64>,
}

impl EngineSink {
    pub(super) async fn open(address: &Address) -> Result<Self, SinkError> {
        let connection = connection::connect(address).await?;
        let address = address.to_string();
        if connection.dialect == Dialect::Tail {
            let version = connection.version;
            return Err(SinkError::FileOnly { address, version });
        }
        let copy = connection.client.prepare("COPY wikirecent FROM STDIN");
        let copy = copy.await.map_err(|error| sort(&address, &error))?;
        let mut sink = EngineSink {
            address,
            connection,
            copy,
            unsure_until_ms: None,
        };
        if sink.connection.dialect == Dialect::Subscribe {
            tokio::time::sleep(SETTLE_MATERIALIZE).await;
            let newest_ms = match sink.position().await?.newest_ms() {
                Some(newest_ms) => Some(newest_ms),
                None => sink.newest_ever().await?,
            };
            sink.unsure_until_ms = Some(newest_ms.unwrap_or(i64::MIN));
        }
        Ok(sink)
    }

    pub(super) fn linger(&self) -> Duration {
        match self.connection.dialect {
            Dialect::Subscribe => LINGER_MATERIALIZE,
            Dialect::Embedded | Dialect::Tail => Duration::ZERO,
        }
    }

    pub(super) async fn position(&self) -> Result<Position, SinkError> {
        match self.connection.dialect {
            Dialect::Subscribe => {
                for hours in SEARCH_HOURS {
                    let position = self.marks(&position_within(hours)).await?;
                    if !position.is_empty() {
                        return Ok(position);
                    }
                }
                Ok(Position::default())
            }
            Dialect::Embedded | Dialect::Tail => {
                let query =
                    "SELECT topic, partition, timestamp_ms, event_offset FROM ingest_position";
                self.marks(query).await
            }
        }
    }

    /// The time of the newest change that is there, when none is recent: a replayed recording may be of any age.
    async fn newest_ever(&self) -> Result<Option<i64>, SinkError> {
        let query = "SELECT (extract(epoch FROM max((data->'meta'->>'dt')::timestamptz)) * 1000)::bigint FROM wikirecent";
        let answer = self.connection.client.simple_query(query);
        let answer = self.answered(answer).await?;
        Ok(answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => text(row, 0)?.parse().ok(),
            _ => None,
        }))
    }

    async fn marks(&self, query: &str) -> Result<Position, SinkError> {
        let answer = self.connection.client.simple_query(query);
        let answer = self.answered(answer).await?;
        let mut position = Position::default();
        for message in &answer {
            let SimpleQueryMessage::Row(row) = message else {
                continue;
            };
            let number = |at: usize| text(row, at).and_then(|text| text.parse().ok());
            if let (Some(topic), Some(partition), Some(timestamp_ms)) =
                (text(row, 0), number(1), number(2))
            {
                position.note(topic, partition, timestamp_ms, number(3));
            }
        }
        Ok(position)
    }

    /// Sends a batch; what is there already leaves it.
    pub(super) async fn send(&mut self, batch: &mut Batch) -> Result<Sent, SinkError> {
        let repeats = self.drop_repeats(batch).await? as u64;
        if batch.is_empty() {
            return Ok(Sent {
                durable: 0,
                repeats,
            });
        }
        self.answered(self.copy(batch)).await?;
        let durable = batch.len() as u64;
        Ok(Sent { durable, repeats })
    }

    async fn copy(&self, batch: &Batch) -> Result<u64, tokio_postgres::Error> {
        let copy = self
            .connection
            .client
            .copy_in::<_, Bytes>(&self.copy)
            .await?;
        let mut copy = std::pin::pin!(copy);
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        let mut line = Vec::new();
        for entry in batch.entries() {
            line.clear();
            let document = match self.connection.dialect {
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

    /// Where the engine does not know identities: asks which of the batch's changes are there. Only the changes up to the position
    /// found at the connection's start can be: later ones were acknowledged to this process, which does not send them again.
    async fn drop_repeats(&mut self, batch: &mut Batch) -> Result<usize, SinkError> {
        let (Some(unsure_until_ms), Some((from_ms, until_ms))) =
            (self.unsure_until_ms, batch.span_ms())
        else {
            return Ok(0);
        };
        if from_ms > unsure_until_ms.saturating_add(REWIND_MS) {
            return Ok(0);
        }
        let mut new: HashSet<Key> = batch
            .entries()
            .iter()
            .filter_map(|entry| entry.key)
            .collect();
        self.answered(self.strike_out(&mut new, from_ms, until_ms))
            .await?;
        Ok(batch.retain(|entry| entry.key.is_none_or(|key| new.contains(&key))))
    }

    /// Removes from `new` what is there within a span of time.
    async fn strike_out(
        &self,
        new: &mut HashSet<Key>,
        from_ms: i64,
        until_ms: i64,
    ) -> Result<(), tokio_postgres::Error> {
        let query = format!(
            "SELECT data->'meta'->>'id' FROM wikirecent WHERE (data->'meta'->>'dt')::timestamptz \
             BETWEEN to_timestamp({from_ms}::double / 1000) - INTERVAL '1 second' AND to_timestamp({until_ms}::double / 1000) + INTERVAL '1 second'"
        );
        let rows = self.connection.client.simple_query_raw(&query).await?;
        let mut rows = std::pin::pin!(rows);
        while let Some(message) = rows.try_next().await? {
            if let SimpleQueryMessage::Row(row) = message
                && let Some(id) = text(&row, 0)
            {
                new.remove(&seen::key(id));
            }
        }
        Ok(())
    }

    async fn answered<T>(
        &self,
        question: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, SinkError> {
        match tokio::time::timeout(ANSWER_WAIT_MAX, question).await {
            Ok(answer) => answer.map_err(|error| sort(&self.address, &error)),
            Err(_) => Err(SinkError::Lost {
                address: self.address.clone(),
                reason: format!("no answer within {} s", ANSWER_WAIT_MAX.as_secs()),
            }),
        }
    }
}

/// A value of a row; one that the engine did not send is missing, as NULL is.
fn text(row: &SimpleQueryRow, at: usize) -> Option<&str> {
    row.try_get(at).ok().flatten()
}

/// The position in Materialize: bounded in time, since a `max` over all changes ever would read them all.
fn position_within(hours: i64) -> String {
    format!(
        "SELECT data->'meta'->>'topic', (data->'meta'->>'partition')::bigint, \
         (extract(epoch FROM max((data->'meta'->>'dt')::timestamptz)) * 1000)::bigint, max((data->'meta'->>'offset')::bigint) \
         FROM wikirecent WHERE (data->'meta'->>'dt')::timestamptz > now() - INTERVAL '{hours} hours' GROUP BY 1, 2"
    )
}

/// Sorts what an engine or the connection to it says.
fn sort(address: &str, error: &tokio_postgres::Error) -> SinkError {
    let address = address.to_owned();
    let reason = connection::describe(error);
    match error.code() {
        None => SinkError::Lost { address, reason },
        Some(code) if connection::is_passing(code) => SinkError::Busy { address, reason },
        Some(code) if code.code().starts_with("22") => SinkError::BadData { address, reason },
        Some(_) => SinkError::Refused { address, reason },
    }
}
