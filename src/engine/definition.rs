//! A view's stored definition: its statement, planned again at every start.
//!
//! Plans are not stored, so they may improve from one version to the next; what they count over all time is stored by group
//! and must still fit.

use super::catalog::Catalog;
use super::error::{SqlError, SqlState};
use super::plan::Query;
use super::sql::{self, Context, Purpose, Statement};

/// Plans the statement of a view against the relations that were there before it.
pub(crate) type Replan = fn(&str, &Catalog) -> Result<Query, SqlError>;

/// Plans a `CREATE VIEW` statement.
///
/// # Errors
/// The statement is another one, or reads what is not in the catalog: a view over pg_catalog would not survive a restart.
pub(crate) fn replan(sql: &str, catalog: &Catalog) -> Result<Query, SqlError> {
    let statements = sql::parse(sql)?;
    let [Statement::CreateView(view)] = statements.as_slice() else {
        return Err(SqlError::new(
            SqlState::InternalError,
            "a stored view is no CREATE VIEW statement",
        ));
    };
    // A maintained query does not look at the time of planning.
    let mut context = Context::new(catalog, 0, Purpose::Maintained);
    context.sql = sql;
    let mut query = sql::plan_query(&view.query, &context)?;
    for (column, name) in query.columns.iter_mut().zip(&view.columns) {
        column.name = name.as_str().into();
    }
    Ok(query)
}
