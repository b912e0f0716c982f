//! CREATE VIEW and DROP VIEW.

use std::sync::Arc;

use super::session::{Session, Stop};
use crate::engine::catalog::Kind;
use crate::engine::error::{SqlError, SqlState};
use crate::engine::plan::Query;
use crate::engine::sql::{CreateView, Name};
use crate::engine::system;

impl Session {
    /// `CREATE VIEW`
    pub(super) async fn create_view(
        &mut self,
        query: Arc<Query>,
        view: &CreateView,
    ) -> Result<(), Stop> {
        self.check_writable("CREATE VIEW")?;
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

    /// `DROP VIEW`
    pub(super) async fn drop_views(
        &mut self,
        names: Vec<Name>,
        if_exists: bool,
        cascade: bool,
    ) -> Result<(), Stop> {
        self.check_writable("DROP VIEW")?;
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
