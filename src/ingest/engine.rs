//! The engine as a sink: batches go in by COPY, one transaction each, and how far the data reaches is asked of the data.
//!
//! It does not hold anything back: what was not acknowledged is read again from the stream. The embedded engine knows
//! each `meta.id` and drops repeats itself. Materialize does not, so for it [`EngineSink`] asks which changes of a batch are there
//! already, as long as that is possible, and sends only what its views can evaluate ([`super::strict`]).
//!
//! The surprising fact: a COPY whose client is gone may still be committing, and what was asked before it has committed would be
//! sent twice. So nothing is asked before the lost session has left Materialize's list of sessions.

use std::collections::HashSet;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{SinkExt, TryStreamExt};
use jiff::Timestamp;
use tokio::time::{Instant, sleep};
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow, Statement};

use super::batch::{Batch, Entry};
use super::resume::{Position, REWIND_MS};
use super::seen::{self, Key};
use super::sink::{Sent, SinkError};
use super::strict;
use crate::change::Change;
use crate::copy_text;
use crate::core::address::Address;
use crate::core::connection::{self, Connection};
use crate::core::dialect::Dialect;

/// How long changes gather for Materialize though it is idle: each COPY is a durable write of its own there and takes some 30 ms.
const LINGER_MATERIALIZE: Duration = Duration::from_millis(100);

/// How long the COPY of an ingester that nobody remembers, because its process is gone, may still be committing: a full batch takes
/// a third of a second there, and a busy machine a few times that.
const SETTLE: Duration = Duration::from_secs(2);

/// How long a lost session may stay in Materialize's list: longer than this machine's TCP goes on delivering what was sent. Then what
/// is still to come cannot come any more, and the list has missed the end of the connection.
const GONE_WAIT_MAX: Duration = Duration::from_secs(90);

/// How often the list of sessions is read meanwhile.
const GONE_ASK_EVERY: Duration = Duration::from_millis(100);

/// COPY text is handed over in pieces of this size, so that a batch is not held a second time as text.
const PIECE_BYTES: usize = 64 << 10;

/// An engine without an answer for so long counts as lost. A batch takes milliseconds; a busy disk may take seconds.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(60);

/// The same for what Materialize has to search the whole table for, at some 2 microseconds a change.
const SEARCH_WAIT_MAX: Duration = Duration::from_secs(900);

/// How far back the position is searched in Materialize, which has no index for it: first an hour, which is all that a restart needs,
/// then as long as the stream retains anything.
const SEARCH_HOURS: [i64; 2] = [1, 31 * 24];

/// How far around the times of a batch its changes are looked for: engines may keep times to another fraction of a second.
const LOOK_AROUND_MS: i64 = 1_000;

/// A connection that takes changes.
pub(super) struct EngineSink {
    address: String,
    connection: Connection,
    copy: Statement,
    /// `None` where the engine itself knows its position and drops repeats.
    account: Option<Account>,
}

/// What Materialize leaves to its ingester to know.
struct Account {
    /// The number under which Materialize lists this session, if it says.
    session: Option<String>,
    /// How far the data reached when the session began, and what was acknowledged since: other than a question this costs nothing.
    reach: Position,
    /// Changes up to this time may be there already.
    unsure_until_ms: i64,
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
        let mut sink = EngineSink {
            address,
            connection,
            copy,
            account: None,
        };
        if sink.connection.dialect == Dialect::Subscribe {
            sink.account = Some(sink.open_account(lost).await?);
        }
        Ok(sink)
    }

    pub(super) fn linger(&self) -> Duration {
        match self.connection.dialect {
            Dialect::Subscribe => LINGER_MATERIALIZE,
            Dialect::Embedded | Dialect::Tail => Duration::ZERO,
        }
    }

    /// The session to wait for when this sink is lost.
    pub(super) fn session(&self) -> Option<String> {
        self.account.as_ref()?.session.clone()
    }

    pub(super) async fn position(&self) -> Result<Position, SinkError> {
        if let Some(account) = &self.account {
            return Ok(account.reach.clone());
        }
        let query = "SELECT topic, partition, timestamp_ms, event_offset FROM ingest_position";
        let rows = self.rows(query, ANSWER_WAIT_MAX).await?;
        Ok(marks(&rows).0)
    }

    async fn open_account(&self, lost: Option<&str>) -> Result<Account, SinkError> {
        let session = self.value_if_known("SELECT pg_backend_pid()").await?;
        match lost {
            Some(lost) => self.wait_until_gone(lost).await?,
            None => sleep(SETTLE).await,
        }
        let (reach, newest_ms) = self.search().await?;
        Ok(Account {
            session,
            reach,
            unsure_until_ms: newest_ms.unwrap_or(i64::MIN),
        })
    }

    /// A session leaves the list after the last of its transactions has ended.
    async fn wait_until_gone(&self, lost: &str) -> Result<(), SinkError> {
        let question =
            format!("SELECT count(*) FROM mz_internal.mz_sessions WHERE connection_id = {lost}");
        let deadline = Instant::now() + GONE_WAIT_MAX;
        loop {
            match self.value_if_known(&question).await?.as_deref() {
                Some("0") => return Ok(()),
                Some(_) if Instant::now() < deadline => sleep(GONE_ASK_EVERY).await,
                Some(_) => {
                    tracing::warn!(
                        "the lost session {lost} is still in the engine's list of sessions"
                    );
                    return Ok(());
                }
                None => {
                    sleep(SETTLE).await;
                    return Ok(());
                }
            }
        }
    }

    /// How far the data reaches, and the time of the newest change.
    async fn search(&self) -> Result<(Position, Option<i64>), SinkError> {
        for hours in SEARCH_HOURS {
            let rows = self.rows(&position_within(hours), SEARCH_WAIT_MAX).await?;
            let (position, newest_ms) = marks(&rows);
            if newest_ms.is_some() {
                return Ok((position, newest_ms));
            }
        }
        // A replayed recording may be of any age.
        let query = "SELECT (extract(epoch FROM max((data->'meta'->>'dt')::timestamptz)) * 1000)::bigint FROM wikirecent";
        let rows = self.rows(query, SEARCH_WAIT_MAX).await?;
        let newest_ms = rows.first().and_then(|row| text(row, 0)?.parse().ok());
        Ok((Position::default(), newest_ms))
    }

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

    /// Sends what is not there already of a batch.
    pub(super) async fn send(&mut self, batch: &Batch) -> Result<Sent, SinkError> {
        let looked_for = self.without_repeats(batch).await?;
        let new = looked_for.as_ref().unwrap_or(batch);
        let sent = Sent {
            durable: new.len() as u64,
            repeats: (batch.len() - new.len()) as u64,
        };
        if new.is_empty() {
            return Ok(sent);
        }
        self.answered(self.copy(new), ANSWER_WAIT_MAX).await?;
        if let Some(account) = &mut self.account {
            new.entries().iter().for_each(|entry| account.note(entry));
        }
        Ok(sent)
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

    /// Where the engine does not know identities: asks which of the batch's changes are there, and returns the others. Only changes up
    /// to the position found at the connection's start can be there: later ones were acknowledged to this process, which does not send
    /// them again. `None` is a batch that nothing can be missing from.
    async fn without_repeats(&self, batch: &Batch) -> Result<Option<Batch>, SinkError> {
        let (Some(account), Some((from_ms, until_ms))) = (&self.account, batch.span_ms()) else {
            return Ok(None);
        };
        if from_ms > account.unsure_until_ms.saturating_add(REWIND_MS) {
            return Ok(None);
        }
        let mut new: HashSet<Key> = batch.entries().iter().map(identity).collect();
        let search = self.strike_out(&mut new, from_ms, until_ms);
        self.answered(search, SEARCH_WAIT_MAX).await?;
        let mut rest = batch.clone();
        rest.retain(|entry| new.contains(&identity(entry)));
        Ok(Some(rest))
    }

    /// Removes from `new` what is there within a span of time.
    async fn strike_out(
        &self,
        new: &mut HashSet<Key>,
        from_ms: i64,
        until_ms: i64,
    ) -> Result<(), tokio_postgres::Error> {
        let query = format!(
            "SELECT coalesce(data->'meta'->>'id', data::text) FROM wikirecent WHERE (data->'meta'->>'dt')::timestamptz \
             BETWEEN '{}'::timestamptz AND '{}'::timestamptz",
            time_bound(from_ms.saturating_sub(LOOK_AROUND_MS)),
            time_bound(until_ms.saturating_add(LOOK_AROUND_MS)),
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

impl Account {
    /// Advances to an acknowledged change.
    fn note(&mut self, entry: &Entry) {
        let Ok(change) = Change::read(&entry.json) else {
            return;
        };
        let meta = &change.meta;
        if let (Some(topic), Some(partition), Some(dt_ms)) =
            (&meta.topic, meta.partition, meta.dt_ms)
        {
            self.reach.note(topic, partition, dt_ms, meta.offset);
        }
    }
}

/// What a change is known by; one without an identity by all that it says, in the form in which Materialize shows it.
fn identity(entry: &Entry) -> Key {
    entry
        .key
        .unwrap_or_else(|| seen::key(&strict::as_shown(&entry.json)))
}

/// A time of changes that Materialize takes ([`super::strict`]), from 1970 to the end of the calendar.
fn time_bound(ms: i64) -> Timestamp {
    let ms = ms.clamp(0, Timestamp::MAX.as_millisecond());
    Timestamp::from_millisecond(ms).expect("it is clamped")
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
    match error.as_db_error() {
        None => SinkError::Lost { address, reason },
        Some(answer) if connection::is_passing(answer) => SinkError::Busy { address, reason },
        Some(answer) if answer.code().code().starts_with("22") => {
            SinkError::BadData { address, reason }
        }
        Some(_) => SinkError::Refused { address, reason },
    }
}
