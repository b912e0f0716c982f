//! Running what has been planned: rows to the client, changes to the engine, transactions and cursors in the session.

use std::sync::Arc;
use std::time::Duration;

use pgwire::messages::response::TransactionStatus;

use super::answer::Answer;
use super::backend::Outbox;
use super::copy_in::{Batch, Decoder, check_document};
use super::encoding::{self, Format, Line};
use super::frontend::Message;
use super::memory::Kept;
use super::planned::{self, Planned, Rows};
use super::portal::{Portal, State};
use super::session::{Session, Stop, Transaction};
use super::stream::{Sent, Subscription};
use super::wire::{Ended, Wire};
use crate::engine::catalog::Kind;
use crate::engine::error::{SqlError, SqlState};
use crate::engine::plan::Query;
use crate::engine::sql::{self, CopyOptions, CreateView, Discard, FetchCount, Name, Statement};
use crate::engine::value::Row;
use crate::engine::{fold, system};

/// Savepoints that a transaction may have open; one more is refused (54000).
const SAVEPOINTS_MAX: usize = 1_000;

impl Session {
    /// Runs a portal, or goes on with one that was suspended, up to `rows_max` rows.
    pub(crate) async fn execute(
        &mut self,
        portal: &mut Portal,
        rows_max: Option<u64>,
    ) -> Result<(), Stop> {
        let Some(planned) = &portal.planned else {
            self.wire.out.empty_query();
            return Ok(());
        };
        if let State::New = portal.state {
            portal.state = match planned {
                Planned::Select(plan) => State::Rows(self.answer(plan.query.clone()).await?),
                Planned::Rows(rows) => State::Rows(self.known(rows)),
                Planned::Subscribe(plan) => {
                    self.wire.out.notice(
                        "NOTICE",
                        "01000",
                        "streaming SUBSCRIBE rows directly requires a client that does not buffer output",
                    );
                    State::Feed(Box::new(Subscription::open(&self.engine, plan).await?))
                }
                Planned::Fetch {
                    cursor,
                    count,
                    timeout,
                    ..
                } => {
                    let formats = portal.formats.clone();
                    let (cursor, count, timeout) = (cursor.clone(), *count, *timeout);
                    self.fetch(cursor, count, timeout, &formats).await?;
                    State::Done
                }
                Planned::CopyOut { source, options } => {
                    let (source, options) = (source.clone(), options.clone());
                    self.copy_out(&source, &options).await?;
                    State::Done
                }
                Planned::Insert(query) => {
                    let query = query.clone();
                    self.insert(query).await?;
                    State::Done
                }
                Planned::CopyIn(options) => {
                    let options = options.clone();
                    self.copy_in(&options).await?;
                    State::Done
                }
                Planned::CreateView(query, statement) => {
                    let (query, statement) = (query.clone(), statement.clone());
                    self.create_view(query, &statement).await?;
                    State::Done
                }
                Planned::Declare { cursor, source } => {
                    let (cursor, source) = (cursor.clone(), source.clone());
                    let kept = std::mem::replace(&mut portal.kept, self.memory.nothing());
                    self.declare(cursor, Portal::new(Some(*source), Vec::new(), kept))
                        .await?;
                    State::Done
                }
                Planned::Command(statement) => {
                    let statement = statement.clone();
                    let kept = std::mem::replace(&mut portal.kept, self.memory.nothing());
                    self.command(statement, kept).await?;
                    State::Done
                }
            };
            if let State::Done = portal.state {
                return Ok(());
            }
        }
        let formats = portal.formats.clone();
        match &mut portal.state {
            State::Rows(rows) => {
                let sent = send_rows(&mut self.wire, rows, rows_max, &formats).await?;
                match sent {
                    Sent::Some(_) => self.wire.out.suspended(),
                    Sent::All(count) => {
                        let tag = match planned_tag(&portal.planned) {
                            Some(tag) => tag.to_owned(),
                            None => format!("SELECT {count}"),
                        };
                        self.wire.out.complete(tag);
                        portal.state = State::Done;
                    }
                }
            }
            State::Feed(subscription) => {
                self.wire.no_deadline();
                let shape = subscription.shape();
                let write = |out: &mut Outbox, event: &_| shape.data_row(out, event, &formats);
                match subscription.stream(&mut self.wire, rows_max, write).await? {
                    Sent::Some(_) => self.wire.out.suspended(),
                    Sent::All(count) => {
                        self.wire.out.complete(format!("SUBSCRIBE {count}"));
                        portal.state = State::Done;
                    }
                }
            }
            State::New | State::Done => self.wire.out.complete("SELECT 0"),
        }
        Ok(())
    }

    /// Rows that were known when the statement was planned.
    fn known(&self, rows: &Rows) -> Answer {
        Answer::kept(rows.rows.clone(), self.memory.nothing())
    }

    /// A query's rows as of now, in its order.
    async fn answer(&mut self, query: Arc<Query>) -> Result<Answer, Stop> {
        if query.plan.reads().is_empty() {
            let mut kept = self.memory.nothing();
            let folded = move || {
                let rows = fold::constant(&query.plan, planned::now_ms())?;
                let rows = query.present(rows.into_iter().map(|row| (row, 1)))?;
                kept.at_least(rows.iter().map(Row::bytes).sum())?;
                Ok(Answer::kept(rows, kept))
            };
            return apart(&mut self.wire, folded).await;
        }
        let engine = self.engine.clone();
        let snapshot = async {
            let mut feed = engine.subscribe(query.clone()).await?;
            // The first tick is the snapshot; a feed without one has ended with the engine.
            feed.ticks.recv().await.unwrap_or_else(|| {
                Err(SqlError::new(
                    SqlState::AdminShutdown,
                    "the engine is shutting down",
                ))
            })
        };
        let tick = tokio::select! {
            tick = snapshot => tick?,
            interrupt = self.wire.interrupted() => return Err(interrupt.into()),
        };
        let present = move || {
            let rows = tick.updates.iter();
            let rows = query.present(rows.map(|(row, _, diff)| (row.clone(), *diff)))?;
            Ok(Answer::held(rows, tick.held()))
        };
        apart(&mut self.wire, present).await
    }

    async fn copy_out(&mut self, source: &Planned, options: &CopyOptions) -> Result<(), Stop> {
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
                while let Some(row) = answer.next() {
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

    async fn copy_in(&mut self, options: &CopyOptions) -> Result<(), Stop> {
        let mut decoder = Decoder::new(options, &self.memory)?;
        self.wire.out.copy_in(1);
        self.wire.flush().await?;
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

    async fn insert(&mut self, query: Arc<Query>) -> Result<(), Stop> {
        let mut answer = self.answer(query).await?;
        let mut batch = Batch::new(&self.memory);
        while let Some(row) = answer.next() {
            let Some(document) = row.values().first().and_then(|value| value.text()) else {
                return Err(SqlError::new(
                    SqlState::NotNullViolation,
                    "null value in column \"data\" of relation \"wikirecent\"",
                )
                .into());
            };
            check_document(document.as_bytes(), || "in INSERT".to_owned())?;
            batch.push(bytes::Bytes::from(document.into_owned()))?;
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

    async fn append(&self, batch: Batch) -> Result<(), SqlError> {
        if batch.len() == 0 {
            return Ok(());
        }
        let (documents, kept) = batch.into_documents();
        let appended = self.engine.append(documents).await?;
        drop(kept);
        tracing::debug!(
            kept = appended.kept,
            repeats = appended.repeats,
            "appended a batch"
        );
        Ok(())
    }

    async fn create_view(&mut self, query: Arc<Query>, view: &CreateView) -> Result<(), Stop> {
        self.not_in_transaction("CREATE VIEW")?;
        let name: Arc<str> = own_name(&view.name)?.into();
        let exists = self.engine.catalog().get(&name).is_some();
        if exists && view.if_not_exists {
            let message = format!("relation \"{name}\" already exists, skipping");
            self.wire.out.notice("NOTICE", "42P07", &message);
            self.wire.out.complete("CREATE VIEW");
            return Ok(());
        }
        let sql = view.sql.as_str().into();
        let relation = self.engine.create_view(name.clone(), sql, query).await?;
        if let Kind::View { since_ms, .. } = relation.kind {
            let since = crate::engine::value::Value::TimestampTz(
                i64::try_from(since_ms)
                    .unwrap_or(i64::MAX)
                    .saturating_mul(1_000),
            );
            let since = since.text().unwrap_or_default().into_owned();
            let message = format!("view \"{name}\" sees changes since {since}");
            self.wire.out.notice("NOTICE", "00000", &message);
        }
        self.wire.out.complete("CREATE VIEW");
        Ok(())
    }

    async fn drop_views(
        &mut self,
        names: Vec<Name>,
        if_exists: bool,
        cascade: bool,
    ) -> Result<(), Stop> {
        self.not_in_transaction("DROP VIEW")?;
        for name in names {
            let name = own_name(&name)?;
            let catalog = self.engine.catalog();
            let Some(relation) = catalog.get(&name) else {
                let message = format!("view \"{name}\" does not exist");
                if if_exists {
                    let message = format!("{message}, skipping");
                    self.wire.out.notice("NOTICE", "00000", &message);
                    continue;
                }
                return Err(SqlError::new(SqlState::UndefinedTable, message).into());
            };
            if cascade {
                for user in catalog.users_of(&relation.name) {
                    self.engine.drop_view(user).await?;
                }
            }
            self.engine.drop_view(relation.name.clone()).await?;
        }
        self.wire.out.complete("DROP VIEW");
        Ok(())
    }

    fn not_in_transaction(&self, statement: &str) -> Result<(), SqlError> {
        if !self.transaction.is_open() {
            return Ok(());
        }
        Err(SqlError::new(
            SqlState::ActiveSqlTransaction,
            format!("{statement} cannot be run inside a transaction block"),
        )
        .hint("Run it by itself: with autocommit on, in drivers that begin transactions unasked."))
    }

    async fn declare(&mut self, cursor: String, mut portal: Portal) -> Result<(), Stop> {
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

    async fn fetch(
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
                Planned::Rows(rows) => State::Rows(self.known(rows)),
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

    /// `kept` is what the statement is counted as: it goes to what outlives it.
    async fn command(&mut self, statement: Statement, kept: Kept) -> Result<(), Stop> {
        match statement {
            Statement::Begin => {
                if self.transaction.is_open() {
                    self.warn("25001", "there is already a transaction in progress");
                } else {
                    self.transaction.status = TransactionStatus::Transaction;
                }
                self.wire.out.complete("BEGIN");
            }
            Statement::Commit => self.commit().await?,
            Statement::Rollback => {
                if !self.transaction.is_open() {
                    self.warn("25P01", "there is no transaction in progress");
                }
                self.end_transaction();
                self.wire.out.complete("ROLLBACK");
            }
            Statement::Savepoint(name) => {
                self.in_transaction("SAVEPOINT")?;
                if self.transaction.savepoints.len() >= SAVEPOINTS_MAX {
                    let message = format!("more than {SAVEPOINTS_MAX} savepoints");
                    return Err(SqlError::new(SqlState::ProgramLimitExceeded, message).into());
                }
                let written = self.transaction.written.len();
                self.transaction.savepoints.push((name, written));
                self.wire.out.complete("SAVEPOINT");
            }
            Statement::Release(name) => {
                self.in_transaction("RELEASE SAVEPOINT")?;
                let at = self.savepoint(&name)?;
                self.transaction.savepoints.truncate(at);
                self.wire.out.complete("RELEASE");
            }
            Statement::RollbackTo(name) => {
                self.in_transaction("ROLLBACK TO SAVEPOINT")?;
                let at = self.savepoint(&name)?;
                let written = self.transaction.savepoints[at].1;
                self.transaction.savepoints.truncate(at + 1);
                self.transaction.written.truncate(written);
                self.transaction.status = TransactionStatus::Transaction;
                self.wire.out.complete("ROLLBACK");
            }
            Statement::Set { name, values, .. } => {
                let changed = match values {
                    Some(values) => self.settings.set(&name, &values.join(", "))?,
                    None => self.settings.reset(&name)?,
                };
                self.settings_changed(changed);
                self.wire.out.complete("SET");
            }
            Statement::Reset(name) => {
                match name {
                    Some(name) => {
                        let changed = self.settings.reset(&name)?;
                        self.settings_changed(changed);
                    }
                    None => self.reset_all(),
                }
                self.wire.out.complete("RESET");
            }
            Statement::Close(name) => {
                match name {
                    Some(name) => drop(self.portals.take(&name)?),
                    None => self.portals.clear(),
                }
                self.wire.out.complete("CLOSE CURSOR");
            }
            Statement::Prepare {
                name,
                parameters,
                statement,
            } => {
                let types = parameters
                    .iter()
                    .map(|parameter| sql::declared_type(parameter).map(encoding::oid_of))
                    .collect::<Result<_, _>>()?;
                let prepared = self.planner("").prepared(Some(*statement), types, kept)?;
                self.statements.check_free(&name)?;
                self.statements.insert(name, Arc::new(prepared))?;
                self.wire.out.complete("PREPARE");
            }
            Statement::Deallocate(name) => {
                match name {
                    Some(name) => drop(self.statements.take(&name)?),
                    None => self.statements.clear(),
                }
                self.wire.out.complete("DEALLOCATE");
            }
            Statement::Discard(discard) => {
                if discard == Discard::All {
                    self.not_in_transaction("DISCARD ALL")?;
                    self.statements.clear();
                    self.portals.clear();
                    self.reset_all();
                }
                self.wire.out.complete(match discard {
                    Discard::All => "DISCARD ALL",
                    Discard::Nothing => "DISCARD",
                });
            }
            Statement::DropView {
                names,
                if_exists,
                cascade,
            } => self.drop_views(names, if_exists, cascade).await?,
            Statement::Unlisten => self.wire.out.complete("UNLISTEN"),
            other => {
                return Err(SqlError::new(
                    SqlState::InternalError,
                    format!("statement was not planned: {other:?}"),
                )
                .into());
            }
        }
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), Stop> {
        let failed = self.transaction.status == TransactionStatus::Error;
        if !self.transaction.is_open() {
            self.warn("25P01", "there is no transaction in progress");
        }
        // The block is over, whatever becomes of its batch.
        let written = self.end_transaction().written;
        if failed {
            self.wire.out.complete("ROLLBACK");
            return Ok(());
        }
        self.append(written).await?;
        self.wire.out.complete("COMMIT");
        Ok(())
    }

    fn end_transaction(&mut self) -> Transaction {
        self.portals.clear();
        std::mem::replace(&mut self.transaction, Transaction::new(&self.memory))
    }

    fn in_transaction(&self, statement: &str) -> Result<(), SqlError> {
        if self.transaction.is_open() {
            return Ok(());
        }
        Err(SqlError::new(
            SqlState::NoActiveSqlTransaction,
            format!("{statement} can only be used in transaction blocks"),
        ))
    }

    fn savepoint(&self, name: &str) -> Result<usize, SqlError> {
        let mut savepoints = self.transaction.savepoints.iter();
        savepoints
            .rposition(|savepoint| savepoint.0 == name)
            .ok_or_else(|| {
                SqlError::new(
                    SqlState::InvalidSavepoint,
                    format!("savepoint \"{name}\" does not exist"),
                )
            })
    }

    fn warn(&mut self, code: &str, message: &str) {
        self.wire.out.notice("WARNING", code, message);
    }

    fn settings_changed(&mut self, changed: Option<(&'static str, String)>) {
        self.identity.settings = self.settings.values().clone();
        if let Some((name, value)) = changed {
            self.wire.out.parameter(name, &value);
        }
    }

    fn reset_all(&mut self) {
        self.settings.reset_all();
        self.settings_changed(None);
        for (name, value) in self.settings.reported() {
            self.wire.out.parameter(name, value);
        }
    }
}

/// Tags of statements that return rows and are no SELECT.
fn planned_tag(planned: &Option<Planned>) -> Option<&'static str> {
    match planned {
        Some(Planned::Rows(Rows { tag, .. })) => *tag,
        _ => None,
    }
}

/// The name of a relation that people make; they all live in one schema.
fn own_name(name: &Name) -> Result<String, SqlError> {
    match name.schema.as_deref() {
        None | Some(system::PUBLIC) => Ok(name.name.clone()),
        Some(system::PG_CATALOG | system::INFORMATION_SCHEMA) => Err(SqlError::new(
            SqlState::InsufficientPrivilege,
            format!("permission denied: \"{name}\" is a system catalog"),
        )),
        Some(schema) => Err(SqlError::new(
            SqlState::InvalidSchemaName,
            format!("schema \"{schema}\" does not exist"),
        )),
    }
}

/// Does work that may take a while, such as sorting a large result, on a thread of its own: the threads that serve sessions never
/// wait for it. Work whose client has left is not waited for either; what it may hold is bounded where it is done.
async fn apart<T: Send + 'static>(
    wire: &mut Wire,
    work: impl FnOnce() -> Result<T, SqlError> + Send + 'static,
) -> Result<T, Stop> {
    tokio::select! {
        done = tokio::task::spawn_blocking(work) => {
            let failed = |_| SqlError::new(SqlState::InternalError, "the statement's work panicked");
            Ok(done.map_err(failed)??)
        }
        interrupt = wire.interrupted() => Err(interrupt.into()),
    }
}

/// Sends rows up to `rows_max`.
async fn send_rows(
    wire: &mut Wire,
    answer: &mut Answer,
    rows_max: Option<u64>,
    formats: &[Format],
) -> Result<Sent, Stop> {
    let mut sent = 0;
    while let Some(row) = answer.next() {
        wire.out
            .data_row(|bytes| encoding::data_row(bytes, &row, formats));
        wire.flush_if_large().await?;
        sent += 1;
        if Some(sent) == rows_max {
            break;
        }
    }
    if Some(sent) == rows_max && !answer.is_over() {
        return Ok(Sent::Some(sent));
    }
    Ok(Sent::All(sent))
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
