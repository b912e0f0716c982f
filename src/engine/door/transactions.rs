//! Transaction blocks. Reading needs none: every statement sees one time. What a block is for here is writing: its changes are
//! kept in the session and become one batch at COMMIT.

use pgwire::messages::response::TransactionStatus;

use super::batch::Batch;
use super::commands::not_planned;
use super::memory::Memory;
use super::session::{Session, Stop};
use super::settings::Settings;
use crate::engine::error::{SqlError, SqlState};
use crate::engine::sql::Statement;

/// Savepoints that a transaction may have open; one more is refused (54000).
const SAVEPOINTS_MAX: usize = 1_000;

/// Where a session stands in a transaction. Changes written in one are kept here until COMMIT, which sends them as one batch.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) status: TransactionStatus,
    pub(crate) written: Batch,
    /// Savepoints by name, each with its mark in what had been written.
    pub(crate) savepoints: Vec<(String, usize)>,
    /// The settings as they will be after the block.
    after: Option<Box<After>>,
}

/// What SET in a block comes to. (ROLLBACK TO takes no SET back, as few clients would notice.)
#[derive(Debug)]
struct After {
    commit: Settings,
    rollback: Settings,
}

impl Transaction {
    /// None open.
    pub(crate) fn new(memory: &Memory) -> Self {
        Transaction {
            status: TransactionStatus::Idle,
            written: Batch::new(memory),
            savepoints: Vec::new(),
            after: None,
        }
    }

    /// A setting has been set for longer than the block.
    pub(crate) fn set(&mut self, set: impl FnOnce(&mut Settings)) {
        if let Some(after) = &mut self.after {
            set(&mut after.commit);
        }
    }

    /// A block is open, failed or not.
    pub(crate) fn is_open(&self) -> bool {
        self.status != TransactionStatus::Idle
    }

    /// A statement has failed.
    pub(crate) fn fail(&mut self) {
        if self.is_open() {
            self.status = TransactionStatus::Error;
        }
    }

    /// In a failed block only its end is done.
    pub(crate) fn check(&self, statement: &Statement) -> Result<(), SqlError> {
        let ends = matches!(
            statement,
            Statement::Commit | Statement::Rollback | Statement::RollbackTo(_)
        );
        if self.status == TransactionStatus::Error && !ends {
            return Err(SqlError::new(
                SqlState::InFailedSqlTransaction,
                "current transaction is aborted, commands ignored until end of transaction block",
            ));
        }
        Ok(())
    }
}

impl Session {
    /// Runs a statement that begins, ends or marks a block.
    pub(super) async fn transaction(&mut self, statement: Statement) -> Result<(), Stop> {
        match statement {
            Statement::Begin { read_only } => {
                if self.transaction.is_open() {
                    self.warn("25001", "there is already a transaction in progress");
                } else {
                    self.begin(read_only)?;
                }
                self.wire.out.complete("BEGIN");
            }
            Statement::Commit => self.commit().await?,
            Statement::Rollback => {
                if !self.transaction.is_open() {
                    self.warn("25P01", "there is no transaction in progress");
                }
                self.end_transaction(false);
                self.wire.out.complete("ROLLBACK");
            }
            Statement::Savepoint(name) => {
                self.in_transaction("SAVEPOINT")?;
                if self.transaction.savepoints.len() >= SAVEPOINTS_MAX {
                    let message = format!("more than {SAVEPOINTS_MAX} savepoints");
                    return Err(SqlError::new(SqlState::ProgramLimitExceeded, message).into());
                }
                let mark = self.transaction.written.mark();
                self.transaction.savepoints.push((name, mark));
                self.wire.out.complete("SAVEPOINT");
            }
            Statement::Release(name) => {
                self.in_transaction("RELEASE SAVEPOINT")?;
                let at = self.savepoint(&name)?;
                let mark = self.transaction.savepoints[at].1;
                self.transaction.savepoints.truncate(at);
                self.transaction.written.unmark(mark);
                self.wire.out.complete("RELEASE");
            }
            Statement::RollbackTo(name) => {
                self.in_transaction("ROLLBACK TO SAVEPOINT")?;
                let at = self.savepoint(&name)?;
                let mark = self.transaction.savepoints[at].1;
                self.transaction.savepoints.truncate(at + 1);
                self.transaction.written.truncate(mark);
                self.transaction.status = TransactionStatus::Transaction;
                self.wire.out.complete("ROLLBACK");
            }
            other => return Err(not_planned(&other).into()),
        }
        Ok(())
    }

    fn begin(&mut self, read_only: Option<bool>) -> Result<(), SqlError> {
        self.transaction.status = TransactionStatus::Transaction;
        self.transaction.after = Some(Box::new(After {
            commit: self.settings.clone(),
            rollback: self.settings.clone(),
        }));
        let read_only = match read_only {
            Some(read_only) => read_only,
            None => self.settings.is_on("default_transaction_read_only"),
        };
        let read_only = if read_only { "on" } else { "off" };
        self.settings.set("transaction_read_only", read_only)?;
        Ok(())
    }

    /// Refuses to write where only reading was asked for.
    pub(super) fn check_writable(&self, statement: &str) -> Result<(), SqlError> {
        let setting = if self.transaction.is_open() {
            "transaction_read_only"
        } else {
            "default_transaction_read_only"
        };
        if !self.settings.is_on(setting) {
            return Ok(());
        }
        Err(SqlError::new(
            SqlState::ReadOnlySqlTransaction,
            format!("cannot execute {statement} in a read-only transaction"),
        ))
    }

    async fn commit(&mut self) -> Result<(), Stop> {
        let failed = self.transaction.status == TransactionStatus::Error;
        if !self.transaction.is_open() {
            self.warn("25P01", "there is no transaction in progress");
        }
        // The block is over, whatever becomes of its batch.
        let written = self.end_transaction(!failed).written;
        if failed {
            self.wire.out.complete("ROLLBACK");
            return Ok(());
        }
        self.append(written).await?;
        self.wire.out.complete("COMMIT");
        Ok(())
    }

    fn end_transaction(&mut self, commits: bool) -> Transaction {
        self.portals.clear();
        let mut ended = std::mem::replace(&mut self.transaction, Transaction::new(&self.memory));
        if let Some(after) = ended.after.take() {
            let After { commit, rollback } = *after;
            self.replace_settings(if commits { commit } else { rollback });
        }
        ended
    }

    /// Refuses a statement that cannot be taken back.
    pub(super) fn not_in_transaction(&self, statement: &str) -> Result<(), SqlError> {
        if !self.transaction.is_open() {
            return Ok(());
        }
        Err(SqlError::new(
            SqlState::ActiveSqlTransaction,
            format!("{statement} cannot be run inside a transaction block"),
        )
        .hint("Run it by itself: with autocommit on, in drivers that begin transactions unasked."))
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
}
