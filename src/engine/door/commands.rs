//! Statements that need no plan: settings, prepared statements, cursors that close.

use std::sync::Arc;

use super::encoding;
use super::memory::Kept;
use super::session::{Session, Stop};
use crate::engine::error::{SqlError, SqlState};
use crate::engine::sql::{self, Discard, Statement};

impl Session {
    /// `kept` is what the statement is counted as: it goes to what outlives it.
    pub(super) async fn command(&mut self, statement: Statement, kept: Kept) -> Result<(), Stop> {
        match statement {
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
            other => self.transaction(other).await?,
        }
        Ok(())
    }

    /// Tells something that is no error.
    pub(super) fn warn(&mut self, code: &str, message: &str) {
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

/// A statement that should have been planned.
pub(super) fn not_planned(statement: &Statement) -> SqlError {
    SqlError::new(
        SqlState::InternalError,
        format!("statement was not planned: {statement:?}"),
    )
}
