//! Statements that need no plan: settings, prepared statements, cursors that close.

use std::sync::Arc;

use super::encoding;
use super::memory::Kept;
use super::session::{Session, Stop};
use super::settings::Settings;
use crate::engine::error::{SqlError, SqlState};
use crate::engine::sql::{self, Discard, Statement};

impl Session {
    /// `kept` is what the statement is counted as: it goes to what outlives it.
    pub(super) async fn command(&mut self, statement: Statement, kept: Kept) -> Result<(), Stop> {
        match statement {
            Statement::Set {
                name,
                values,
                local,
            } => {
                self.set(&name, values.as_deref(), local)?;
                self.wire.out.complete("SET");
            }
            Statement::Reset(name) => {
                match name {
                    Some(name) => self.set(&name, None, false)?,
                    None => self.reset_all(),
                }
                self.wire.out.complete("RESET");
            }
            Statement::Close(name) => {
                let tag = match name {
                    Some(name) => {
                        self.portals.take(&name)?;
                        "CLOSE CURSOR"
                    }
                    None => {
                        self.portals.clear();
                        "CLOSE CURSOR ALL"
                    }
                };
                self.wire.out.complete(tag);
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
                let tag = match name {
                    Some(name) => {
                        self.statements.take(&name)?;
                        "DEALLOCATE"
                    }
                    None => {
                        self.statements.clear();
                        "DEALLOCATE ALL"
                    }
                };
                self.wire.out.complete(tag);
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

    /// Sets a setting, or back to its default; `local`ly, for the open block alone.
    fn set(&mut self, name: &str, values: Option<&[String]>, local: bool) -> Result<(), SqlError> {
        let value = values.map(|values| values.join(", "));
        let set = |settings: &mut Settings| match &value {
            Some(value) => settings.set(name, value),
            None => settings.reset(name),
        };
        if local && !self.transaction.is_open() {
            let statement = match name.starts_with("transaction_") {
                true => "SET TRANSACTION",
                false => "SET LOCAL",
            };
            let message = format!("{statement} can only be used in transaction blocks");
            self.warn("25P01", &message);
            return set(&mut self.settings.clone()).map(drop);
        }
        let changed = set(&mut self.settings)?;
        if !local {
            // It has just succeeded with the same settings.
            self.transaction.set(|after| drop(set(after)));
        }
        self.settings_changed(changed);
        Ok(())
    }

    /// Other settings: the client is told what is different.
    pub(super) fn replace_settings(&mut self, settings: Settings) {
        let before = std::mem::replace(&mut self.settings, settings);
        self.settings_changed(None);
        let changed = self.settings.reported().zip(before.reported());
        for (now, _) in changed.filter(|(now, before)| now != before) {
            self.wire.out.parameter(now.0, now.1);
        }
    }

    fn settings_changed(&mut self, changed: Option<(&'static str, String)>) {
        self.identity.settings = self.settings.values().clone();
        if let Some((name, value)) = changed {
            self.wire.out.parameter(name, &value);
        }
    }

    fn reset_all(&mut self) {
        let mut settings = self.settings.clone();
        settings.reset_all();
        self.transaction.set(Settings::reset_all);
        self.replace_settings(settings);
    }
}

/// A statement that should have been planned.
pub(super) fn not_planned(statement: &Statement) -> SqlError {
    SqlError::new(
        SqlState::InternalError,
        format!("statement was not planned: {statement:?}"),
    )
}
