//! The account that an ingester keeps of Materialize, which knows neither the identities of changes nor how far they reach.
//!
//! How far the data reaches is searched for once a session and noted from then on: each question there reads the whole table. And as
//! long as a change may be there already, because an earlier session or another process brought it, the data is asked for it.
//!
//! The surprising fact: a COPY whose client is gone may still be committing, and what was asked before it has committed would be
//! sent twice. So nothing is asked before the lost session has left Materialize's list of sessions.

use std::collections::HashSet;
use std::time::Duration;

use futures::TryStreamExt;
use jiff::Timestamp;
use tokio::time::{Instant, sleep};
use tokio_postgres::SimpleQueryMessage;

use super::{Link, marks, text};
use crate::change::Change;
use crate::ingest::batch::{Batch, Entry};
use crate::ingest::resume::{Position, REWIND_MS};
use crate::ingest::seen::{self, Key};
use crate::ingest::sink::SinkError;
use crate::ingest::strict;

/// How long the COPY of an ingester that nobody remembers, because its process is gone, may still be committing: a full batch takes
/// a third of a second there, and a busy machine a few times that.
const SETTLE: Duration = Duration::from_secs(2);

/// How long a lost session may stay in Materialize's list: longer than this machine's TCP goes on delivering what was sent. Then what
/// is still to come cannot come any more, and the list has missed the end of the connection.
const GONE_WAIT_MAX: Duration = Duration::from_secs(90);

/// How often the list of sessions is read meanwhile.
const GONE_ASK_EVERY: Duration = Duration::from_millis(100);

/// How long Materialize may search the whole table, at some 2 microseconds a change.
const SEARCH_WAIT_MAX: Duration = Duration::from_secs(900);

/// How far back the position is searched in Materialize, which has no index for it: first an hour, which is all that a restart needs,
/// then as long as the stream retains anything.
const SEARCH_HOURS: [i64; 2] = [1, 31 * 24];

/// How far around the times of a batch its changes are looked for: engines may keep times to another fraction of a second.
const LOOK_AROUND_MS: i64 = 1_000;

/// What Materialize leaves to its ingester to know.
pub(super) struct Account {
    /// The number under which Materialize lists this session, if it says.
    session: Option<String>,
    /// How far the data reached when the session began, and what was acknowledged since.
    reach: Position,
    /// Changes up to this time may be there already.
    unsure_until_ms: i64,
}

impl Account {
    /// Opens the account of a new session; `lost` is an earlier one whose last batch was not acknowledged.
    pub(super) async fn open(link: &Link, lost: Option<&str>) -> Result<Account, SinkError> {
        let session = link.value_if_known("SELECT pg_backend_pid()").await?;
        match lost {
            Some(lost) => wait_until_gone(link, lost).await?,
            None => sleep(SETTLE).await,
        }
        let (reach, newest_ms) = search(link).await?;
        Ok(Account {
            session,
            reach,
            unsure_until_ms: newest_ms.unwrap_or(i64::MIN),
        })
    }

    /// The session to wait for when its last batch is not acknowledged.
    pub(super) fn session(&self) -> Option<String> {
        self.session.clone()
    }

    /// How far the data reaches.
    pub(super) fn reach(&self) -> Position {
        self.reach.clone()
    }

    /// Asks which of a batch's changes are there, and returns the others. Only changes up to the position that was found when the
    /// session began can be there: later ones were acknowledged to this process, which does not send them again. `None` is a batch of
    /// which nothing can be there.
    pub(super) async fn without_repeats(
        &self,
        link: &Link,
        batch: &Batch,
    ) -> Result<Option<Batch>, SinkError> {
        let Some((from_ms, until_ms)) = batch.span_ms() else {
            return Ok(None);
        };
        if from_ms > self.unsure_until_ms.saturating_add(REWIND_MS) {
            return Ok(None);
        }
        let mut new: HashSet<Key> = batch.entries().iter().map(identity).collect();
        let search = strike_out(link, &mut new, from_ms, until_ms);
        link.answered(search, SEARCH_WAIT_MAX).await?;
        let mut rest = batch.clone();
        rest.retain(|entry| new.contains(&identity(entry)));
        Ok(Some(rest))
    }

    /// Advances over an acknowledged batch.
    pub(super) fn note(&mut self, batch: &Batch) {
        for entry in batch.entries() {
            let Ok(change) = Change::read(&entry.json) else {
                continue;
            };
            let meta = &change.meta;
            if let (Some(topic), Some(partition), Some(dt_ms)) =
                (&meta.topic, meta.partition, meta.dt_ms)
            {
                self.reach.note(topic, partition, dt_ms, meta.offset);
            }
        }
    }
}

/// A session leaves the list after the last of its transactions has ended.
async fn wait_until_gone(link: &Link, lost: &str) -> Result<(), SinkError> {
    let question =
        format!("SELECT count(*) FROM mz_internal.mz_sessions WHERE connection_id = {lost}");
    let deadline = Instant::now() + GONE_WAIT_MAX;
    loop {
        match link.value_if_known(&question).await?.as_deref() {
            Some("0") => return Ok(()),
            Some(_) if Instant::now() < deadline => sleep(GONE_ASK_EVERY).await,
            Some(_) => {
                tracing::warn!("the lost session {lost} is still in the engine's list of sessions");
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
async fn search(link: &Link) -> Result<(Position, Option<i64>), SinkError> {
    for hours in SEARCH_HOURS {
        let rows = link.rows(&position_within(hours), SEARCH_WAIT_MAX).await?;
        let (position, newest_ms) = marks(&rows);
        if newest_ms.is_some() {
            return Ok((position, newest_ms));
        }
    }
    // A replayed recording may be of any age.
    let query = "SELECT (extract(epoch FROM max((data->'meta'->>'dt')::timestamptz)) * 1000)::bigint FROM wikirecent";
    let rows = link.rows(query, SEARCH_WAIT_MAX).await?;
    let newest_ms = rows.first().and_then(|row| text(row, 0)?.parse().ok());
    Ok((Position::default(), newest_ms))
}

/// The position in Materialize: bounded in time, since a `max` over all changes ever would read them all.
fn position_within(hours: i64) -> String {
    format!(
        "SELECT data->'meta'->>'topic', (data->'meta'->>'partition')::bigint, \
         (extract(epoch FROM max((data->'meta'->>'dt')::timestamptz)) * 1000)::bigint, max((data->'meta'->>'offset')::bigint) \
         FROM wikirecent WHERE (data->'meta'->>'dt')::timestamptz > now() - INTERVAL '{hours} hours' GROUP BY 1, 2"
    )
}

/// Removes from `new` what is there within a span of time.
async fn strike_out(
    link: &Link,
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
    let rows = link.connection.client.simple_query_raw(&query).await?;
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
