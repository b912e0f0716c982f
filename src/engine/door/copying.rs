//! COPY and INSERT: rows out to the client, documents in to the engine.

use std::sync::Arc;

use super::backend::Outbox;
use super::batch::Batch;
use super::copy_in::Decoder;
use super::encoding::Line;
use super::frontend::Message;
use super::planned::Planned;
use super::session::{Session, Stop};
use super::stream::{Sent, Subscription};
use super::wire::{Ended, Wire};
use crate::engine::error::{SqlError, SqlState};
use crate::engine::plan::Query;
use crate::engine::sql::CopyOptions;

impl Session {
    /// `COPY (...) TO STDOUT`
    pub(super) async fn copy_out(
        &mut self,
        source: &Planned,
        options: &CopyOptions,
    ) -> Result<(), Stop> {
        let mut line = Line::new(options)?;
        let fields = source.fields().unwrap_or_default().to_vec();
        let header = |wire: &mut Wire, line: &mut Line| {
            wire.out.copy_out(fields.len());
            if options.header {
                for field in &fields {
                    line.put(&crate::engine::value::Value::Text(field.name.clone()));
                }
                line.send(&mut wire.out);
            }
        };
        let count = match source {
            Planned::Subscribe(plan) => {
                let mut subscription = Subscription::open(&self.engine, plan).await?;
                header(&mut self.wire, &mut line);
                self.wire.no_deadline();
                let shape = subscription.shape();
                let write = |out: &mut Outbox, event: &_| shape.copy_row(out, event, &mut line);
                match subscription.stream(&mut self.wire, None, write).await? {
                    Sent::All(count) | Sent::Some(count) => count,
                }
            }
            Planned::Select(plan) => {
                let mut answer = self.answer(plan.query.clone()).await?;
                header(&mut self.wire, &mut line);
                let mut count = 0;
                while let Some(row) = answer.next(&mut self.wire).await? {
                    row.values().iter().for_each(|value| line.put(value));
                    line.send(&mut self.wire.out);
                    self.wire.flush_if_large().await?;
                    count += 1;
                }
                count
            }
            _ => {
                return Err(SqlError::new(
                    SqlState::SyntaxError,
                    "COPY TO needs a query or a subscription",
                )
                .into());
            }
        };
        self.wire.out.copy_done();
        self.wire.out.complete(format!("COPY {count}"));
        Ok(())
    }

    /// `COPY wikirecent FROM STDIN`
    pub(super) async fn copy_in(&mut self, options: &CopyOptions) -> Result<(), Stop> {
        self.check_writable("COPY FROM")?;
        let mut decoder = Decoder::new(options, &self.memory)?;
        self.wire.out.copy_in(1);
        self.wire.flush().await?;
        self.wire.is_owed = true;
        loop {
            match self.wire.next().await? {
                Message::CopyData(piece) => decoder.push(&piece)?,
                Message::CopyDone => break,
                Message::CopyFail(reason) => {
                    return Err(SqlError::new(
                        SqlState::QueryCanceled,
                        format!("COPY from stdin failed: {reason}"),
                    )
                    .into());
                }
                // Drivers send the Sync that ends the round ahead of the data; PostgreSQL skips it, too.
                Message::Flush | Message::Sync => {}
                Message::Terminate => return Err(Ended::Gone.into()),
                _ => {
                    return Err(Stop::Session(SqlError::new(
                        SqlState::ProtocolViolation,
                        "unexpected message type during COPY from stdin",
                    )));
                }
            }
        }
        let batch = decoder.finish()?;
        let count = batch.len();
        self.write(batch).await?;
        self.wire.out.complete(format!("COPY {count}"));
        Ok(())
    }

    /// `INSERT INTO wikirecent`
    pub(super) async fn insert(&mut self, query: Arc<Query>) -> Result<(), Stop> {
        self.check_writable("INSERT")?;
        let mut answer = self.answer(query).await?;
        let mut batch = Batch::new(&self.memory);
        while let Some(row) = answer.next(&mut self.wire).await? {
            let Some(document) = row.values().first().and_then(|value| value.text()) else {
                return Err(SqlError::new(
                    SqlState::NotNullViolation,
                    "null value in column \"data\" of relation \"wikirecent\"",
                )
                .into());
            };
            batch.push(document.as_bytes(), || "in INSERT".to_owned())?;
        }
        let count = batch.len();
        self.write(batch).await?;
        self.wire.out.complete(format!("INSERT 0 {count}"));
        Ok(())
    }

    /// Outside a transaction the batch is durable when this returns; inside, it waits for COMMIT.
    async fn write(&mut self, batch: Batch) -> Result<(), SqlError> {
        if self.transaction.is_open() {
            return self.transaction.written.extend(batch);
        }
        self.append(batch).await
    }

    /// The batch is durable when this returns.
    pub(super) async fn append(&mut self, batch: Batch) -> Result<(), SqlError> {
        if batch.len() == 0 {
            return Ok(());
        }
        let (read, kept) = batch.into_read();
        let appended = self.engine.append_read(read).await?;
        drop(kept);
        tracing::debug!(
            kept = appended.kept,
            repeats = appended.repeats,
            "appended a batch"
        );
        Ok(())
    }
}
