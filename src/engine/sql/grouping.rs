//! From the rows of FROM to groups of them: what the select list, HAVING and ORDER BY say of the rows is said of keys and aggregates.

use super::bind::AGGREGATE_BASE;
use super::per_row::is_per_row;
use super::scope::Scope;
use crate::engine::error::{SqlError, SqlState};
use crate::engine::expr::{Expr, Subquery};
use crate::engine::plan::Aggregate;

/// The rows that the select list sees: those of FROM, or groups of them.
pub(super) struct Grouping {
    pub(super) keys: Vec<Expr>,
    pub(super) aggregates: Vec<Aggregate>,
}

impl Grouping {
    /// The expression over a group's row: keys, then aggregates.
    pub(super) fn regrouped(&self, expr: &Expr, scope: &Scope<'_>) -> Result<Expr, SqlError> {
        if let Some(at) = self.keys.iter().position(|key| key == expr) {
            return Ok(Expr::Column(at));
        }
        Ok(match expr {
            Expr::Column(at) => Expr::Column(self.column(*at, scope)?),
            Expr::Literal(..) | Expr::Outer { .. } => expr.clone(),
            Expr::Call(function, arguments) => Expr::Call(
                *function,
                arguments
                    .iter()
                    .map(|argument| self.regrouped(argument, scope))
                    .collect::<Result<_, _>>()?,
            ),
            Expr::Matches(input, pattern) => {
                Expr::Matches(Box::new(self.regrouped(input, scope)?), pattern.clone())
            }
            Expr::In(input, constants) => {
                Expr::In(Box::new(self.regrouped(input, scope)?), constants.clone())
            }
            Expr::Subquery(kind, plan) => {
                let kind = match kind {
                    Subquery::Any(function, left) => {
                        Subquery::Any(*function, Box::new(self.regrouped(left, scope)?))
                    }
                    other => other.clone(),
                };
                // The subquery's own references to this query's rows become references to groups.
                let whole = Expr::Subquery(Subquery::Exists, plan.clone());
                let mut unknown = None;
                whole.visit_columns(&mut |at| {
                    unknown = self.column(at, scope).err().or(unknown.take())
                });
                if let Some(error) = unknown {
                    return Err(error);
                }
                match whole.map_columns(&|at| self.column(at, scope).unwrap_or(at)) {
                    Expr::Subquery(_, plan) => Expr::Subquery(kind, plan),
                    other => other,
                }
            }
        })
    }

    fn column(&self, at: usize, scope: &Scope<'_>) -> Result<usize, SqlError> {
        if is_per_row(at) {
            return Ok(at);
        }
        if let Some(aggregate) = at.checked_sub(AGGREGATE_BASE) {
            return Ok(self.keys.len() + aggregate);
        }
        if let Some(key) = self.keys.iter().position(|key| *key == Expr::Column(at)) {
            return Ok(key);
        }
        let name = scope
            .columns
            .get(at)
            .map_or_else(String::new, |column| match &column.table {
                Some(table) => format!("{table}.{}", column.column.name),
                None => column.column.name.to_string(),
            });
        Err(SqlError::new(
            SqlState::GroupingError,
            format!(
                "column \"{name}\" must appear in the GROUP BY clause or be used in an aggregate function"
            ),
        ))
    }
}

/// An aggregate is in the expression, or something that is known even later.
pub(super) fn has_aggregate(expr: &Expr) -> bool {
    let mut found = false;
    expr.visit_columns(&mut |at| found |= at >= AGGREGATE_BASE);
    found
}
