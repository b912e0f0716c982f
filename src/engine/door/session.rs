//! One client's session: its messages in their order, and what they change. Running a statement is [`super::execute`]'s.

use std::sync::Arc;

use super::Shared;
use super::apart::Apart;
use super::backend::Severity;
use super::encoding::Format;
use super::frontend::{Message, Target};
use super::memory::Memory;
use super::parameters;
use super::planned::{Planned, Planner};
use super::portal::{Portal, Portals, Prepared, Statements};
use super::settings::Settings;
use super::transactions::Transaction;
use super::wire::{Ended, Interrupt, Wire};
use crate::engine::error::{SqlError, SqlState};
use crate::engine::handle::Engine;
use crate::engine::sql::{self, Statement};
use crate::engine::system;

/// How long a session's last words may take.
const GOODBYE_MAX: std::time::Duration = std::time::Duration::from_secs(1);

/// What ends a statement or the session early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The statement has failed.
    Statement(SqlError),
    /// The session is over, and is told why.
    Session(SqlError),
    /// The connection is over.
    Ended(Ended),
}

impl From<SqlError> for Stop {
    fn from(error: SqlError) -> Self {
        Stop::Statement(error)
    }
}

impl From<Ended> for Stop {
    fn from(ended: Ended) -> Self {
        Stop::Ended(ended)
    }
}

impl From<Interrupt> for Stop {
    fn from(interrupt: Interrupt) -> Self {
        match interrupt {
            Interrupt::Cancel => Stop::Statement(SqlError::new(
                SqlState::QueryCanceled,
                "canceling statement due to user request",
            )),
            Interrupt::Timeout => Stop::Statement(SqlError::new(
                SqlState::QueryCanceled,
                "canceling statement due to statement timeout",
            )),
            Interrupt::Ended(ended) => Stop::Ended(ended),
        }
    }
}

/// One client's session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) wire: Wire,
    pub(crate) engine: Engine,
    /// What the client makes the session keep.
    pub(crate) memory: Memory,
    /// What of the session's answers waits for the client.
    pub(crate) answers: Memory,
    /// Where large constant queries are evaluated.
    pub(crate) folding: Apart,
    /// Where large answers are read and ordered: a step each, so that none waits for long.
    pub(crate) reading: Apart,
    pub(crate) identity: system::Session,
    pub(crate) settings: Settings,
    pub(crate) transaction: Transaction,
    pub(crate) statements: Statements,
    pub(crate) portals: Portals,
    /// After an error, messages of the extended protocol are skipped up to the next Sync.
    skipping: bool,
}

impl Session {
    /// A session that has been let in.
    pub(crate) fn new(
        wire: Wire,
        shared: &Shared,
        identity: system::Session,
        settings: Settings,
    ) -> Session {
        Session {
            wire,
            engine: shared.engine.clone(),
            transaction: Transaction::new(&shared.memory),
            memory: shared.memory.clone(),
            answers: shared.answers.clone(),
            folding: shared.folding.clone(),
            reading: shared.reading.clone(),
            identity,
            settings,
            statements: Statements::default(),
            portals: Portals::default(),
            skipping: false,
        }
    }

    /// Serves the client until one side leaves.
    pub(crate) async fn run(mut self) {
        let error = match self.serve().await {
            Stop::Ended(Ended::Gone) => return,
            Stop::Ended(Ended::Shutdown) => SqlError::new(
                SqlState::AdminShutdown,
                "terminating connection due to administrator command",
            ),
            Stop::Ended(Ended::Protocol(error)) => {
                SqlError::new(SqlState::ProtocolViolation, error.to_string())
            }
            Stop::Ended(Ended::Refused(error)) | Stop::Session(error) | Stop::Statement(error) => {
                error
            }
        };
        self.wire.out.error(Severity::Fatal, &error);
        // The client may take its time; the session does not wait for it.
        let _ = tokio::time::timeout(GOODBYE_MAX, self.wire.flush()).await;
    }

    async fn serve(&mut self) -> Stop {
        self.wire.out.ready(self.transaction.status);
        if let Err(ended) = self.wire.flush().await {
            return ended.into();
        }
        loop {
            if let Err(stop) = self.round().await {
                return stop;
            }
        }
    }

    /// One message, with what its failure does to the protocol.
    async fn round(&mut self) -> Result<(), Stop> {
        self.wire.is_owed = self.transaction.written.len() > 0;
        let message = self.wire.next().await?;
        let extended = message.is_extended();
        if self.skipping && extended {
            return Ok(());
        }
        self.wire.begin_statement(self.settings.statement_timeout());
        match self.message(message).await {
            Err(Stop::Statement(error)) => {
                tracing::debug!(state = error.state.code(), "a statement failed: {error}");
                self.wire.out.error(Severity::Error, &error);
                self.transaction.fail();
                if extended {
                    self.skipping = true;
                } else {
                    self.wire.out.ready(self.transaction.status);
                }
                self.wire.flush().await?;
                Ok(())
            }
            other => other,
        }
    }

    async fn message(&mut self, message: Message) -> Result<(), Stop> {
        match message {
            Message::Query(text) => {
                self.simple(&text).await?;
                self.wire.out.ready(self.transaction.status);
                self.wire.flush().await?;
            }
            Message::Parse { name, sql, types } => {
                let prepared = self.prepare(&sql, types)?;
                self.statements.insert(name, Arc::new(prepared))?;
                self.wire.out.parsed();
            }
            Message::Bind {
                portal,
                statement,
                parameter_formats,
                parameters: values,
                result_formats,
            } => {
                let prepared = self.statements.get(&statement)?.clone();
                let formats = Format::list(&parameter_formats)?;
                let planned = match &prepared.statement {
                    Some(statement) => {
                        self.transaction.check(statement)?;
                        let types = &prepared.parameter_types;
                        let parameters = parameters::bound(types, &values, &formats)?;
                        Some(self.planner(&prepared.text).plan(statement, &parameters)?)
                    }
                    None => None,
                };
                let kept = self.memory.statement(&prepared.text)?;
                let portal_made = Portal::new(planned, Format::list(&result_formats)?, kept);
                self.portals.insert(portal, portal_made)?;
                self.wire.out.bound();
            }
            Message::Describe(Target::Statement, name) => {
                let prepared = self.statements.get(&name)?;
                self.wire.out.parameters(prepared.parameter_types.clone());
                match &prepared.fields {
                    Some(fields) => self.wire.out.row_description(fields, &[]),
                    None => self.wire.out.no_data(),
                }
            }
            Message::Describe(Target::Portal, name) => {
                let portal = self.portals.get(&name)?;
                match portal.fields() {
                    Some(fields) => self.wire.out.row_description(fields, &portal.formats),
                    None => self.wire.out.no_data(),
                }
            }
            Message::Execute { portal, rows_max } => {
                let rows_max = (rows_max > 0).then_some(u64::from(rows_max));
                self.run_portal(portal, rows_max).await?;
                self.wire.flush_if_large().await?;
            }
            Message::Close(Target::Statement, name) => {
                self.statements.remove(&name);
                self.wire.out.closed();
            }
            Message::Close(Target::Portal, name) => {
                self.portals.remove(&name);
                self.wire.out.closed();
            }
            Message::Flush => self.wire.flush().await?,
            Message::Sync => {
                self.skipping = false;
                if !self.transaction.is_open() {
                    self.portals.clear();
                }
                self.wire.out.ready(self.transaction.status);
                self.wire.flush().await?;
            }
            // A client that had sent on when its COPY failed: its data has nowhere to go.
            Message::CopyData(_) | Message::CopyDone | Message::CopyFail(_) => {}
            Message::Password => {}
            Message::Terminate => return Err(Stop::Ended(Ended::Gone)),
        }
        Ok(())
    }

    /// The statements of a Query message, one after another until one fails.
    async fn simple(&mut self, text: &str) -> Result<(), Stop> {
        let statements = sql::parse(text)?;
        if statements.is_empty() {
            self.wire.out.empty_query();
        }
        for statement in statements {
            self.transaction.check(&statement)?;
            let planned = self.planner(text).plan(&statement, &[])?;
            // FETCH finds its columns' formats in its cursor; everything else of the simple protocol is text.
            if let Some(fields) = planned.fields() {
                self.wire.out.row_description(fields, &[]);
            }
            let mut portal = Portal::new(Some(planned), Vec::new(), self.memory.statement(text)?);
            self.execute(&mut portal, None).await?;
        }
        Ok(())
    }

    /// A portal is taken out while it runs, because running it may change the set of portals; a portal that has failed is gone.
    async fn run_portal(&mut self, name: String, rows_max: Option<u64>) -> Result<(), Stop> {
        let mut portal = self.portals.take(&name)?;
        self.execute(&mut portal, rows_max).await?;
        let ended = matches!(
            portal.planned,
            Some(Planned::Command(Statement::Commit | Statement::Rollback))
        );
        if !ended {
            self.portals.put_back(name, portal);
        }
        Ok(())
    }

    /// What statements are planned against, as of now.
    pub(crate) fn planner<'a>(&'a self, text: &'a str) -> Planner<'a> {
        Planner {
            catalog: self.engine.catalog(),
            identity: &self.identity,
            settings: &self.settings,
            statements: &self.statements,
            portals: &self.portals,
            text,
        }
    }

    fn prepare(&self, text: &str, types: Vec<u32>) -> Result<Prepared, SqlError> {
        let mut statements = sql::parse(text)?;
        let statement = statements.pop();
        if !statements.is_empty() {
            return Err(SqlError::new(
                SqlState::SyntaxError,
                "cannot insert multiple commands into a prepared statement",
            ));
        }
        if let Some(statement) = &statement {
            self.transaction.check(statement)?;
        }
        let kept = self.memory.statement(text)?;
        self.planner(text).prepared(statement, types, kept)
    }
}
