//! Cursors: DECLARE and FETCH, over rows that are there and over subscriptions.

use std::time::Duration;

use super::answer::Answer;
use super::encoding::Format;
use super::execute::send_rows;
use super::planned::Planned;
use super::portal::{Portal, State};
use super::session::{Session, Stop};
use super::stream::{Sent, Subscription};
use super::wire::Wire;
use crate::engine::error::{SqlError, SqlState};
use crate::engine::sql::FetchCount;

impl Session {
    /// `DECLARE ... CURSOR FOR`
    pub(super) async fn declare(&mut self, cursor: String, mut portal: Portal) -> Result<(), Stop> {
        if !self.transaction.is_open() {
            return Err(SqlError::new(
                SqlState::NoActiveSqlTransaction,
                "DECLARE CURSOR can only be used in transaction blocks",
            )
            .into());
        }
        self.portals.check_free(&cursor)?;
        if let Some(Planned::Subscribe(plan)) = &portal.planned {
            // A subscription begins when it is declared, so that nothing between here and the first FETCH is missed.
            let subscription = Subscription::open(&self.engine, plan).await?;
            portal.state = State::Feed(Box::new(subscription));
        }
        self.portals.insert(cursor, portal)?;
        self.wire.out.complete("DECLARE CURSOR");
        Ok(())
    }

    /// `FETCH`
    pub(super) async fn fetch(
        &mut self,
        name: String,
        count: FetchCount,
        timeout: Option<Duration>,
        formats: &[Format],
    ) -> Result<(), Stop> {
        let mut cursor = self.portals.take(&name)?;
        let rows_max = match count {
            FetchCount::Rows(rows) => Some(rows),
            FetchCount::All => None,
        };
        let sent = self
            .fetch_from(&mut cursor, rows_max, timeout, formats)
            .await?;
        self.portals.put_back(name, cursor);
        self.wire.out.complete(format!("FETCH {sent}"));
        Ok(())
    }

    async fn fetch_from(
        &mut self,
        cursor: &mut Portal,
        rows_max: Option<u64>,
        timeout: Option<Duration>,
        formats: &[Format],
    ) -> Result<u64, Stop> {
        if let (State::New, Some(planned)) = (&cursor.state, &cursor.planned) {
            cursor.state = match planned {
                Planned::Select(plan) => State::Rows(self.answer(plan.query.clone()).await?),
                Planned::Rows(rows) => State::Rows(Answer::known(rows.rows.clone())),
                _ => State::Done,
            };
        }
        match &mut cursor.state {
            State::New | State::Done => Ok(0),
            State::Rows(_) if rows_max == Some(0) => Ok(0),
            State::Rows(rows) => match send_rows(&mut self.wire, rows, rows_max, formats).await? {
                Sent::All(sent) | Sent::Some(sent) => Ok(sent),
            },
            State::Feed(subscription) => {
                self.wire.no_deadline();
                fetch_events(
                    &mut self.wire,
                    subscription,
                    rows_max.unwrap_or(u64::MAX),
                    timeout,
                    formats,
                )
                .await
            }
        }
    }
}

/// FETCH from a subscription: what is there, waiting for the first row; with a timeout, all that comes until then.
async fn fetch_events(
    wire: &mut Wire,
    subscription: &mut Subscription,
    rows_max: u64,
    timeout: Option<Duration>,
    formats: &[Format],
) -> Result<u64, Stop> {
    let deadline = timeout.map(|timeout| tokio::time::Instant::now() + timeout);
    let shape = subscription.shape();
    let mut sent = 0;
    while sent < rows_max {
        if let Some(event) = subscription.take() {
            shape.data_row(&mut wire.out, &event, formats);
            wire.flush_if_large().await?;
            sent += 1;
            continue;
        }
        if subscription.is_over() || (timeout.is_none() && sent > 0) {
            break;
        }
        tokio::select! {
            filled = subscription.fill() => filled?,
            interrupt = wire.interrupted() => return Err(interrupt.into()),
            () = super::wire::reached(deadline) => break,
        }
    }
    Ok(sent)
}
