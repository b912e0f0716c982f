//! The select list: its columns, and the names they go by.

use std::sync::Arc;

use sqlparser::ast;

use super::bind::{Binder, Place};
use super::column_names::column_name;
use super::cursor::{fold, name_of};
use super::scope::{Scope, missing_table};
use crate::engine::error::{SqlError, SqlState};
use crate::engine::expr::Expr;
use crate::engine::value::Column;

/// One column of the select list.
pub(super) struct Output {
    pub(super) expr: Expr,
    pub(super) column: Column,
}

impl Binder<'_> {
    pub(super) fn outputs(
        &self,
        items: &[ast::SelectItem],
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Vec<Output>, SqlError> {
        let mut outputs = Vec::with_capacity(items.len());
        for item in items {
            match item {
                ast::SelectItem::UnnamedExpr(expr) => {
                    outputs.push(self.output(expr, column_name(expr), scope, place)?);
                }
                ast::SelectItem::ExprWithAlias { expr, alias } => {
                    if alias.quote_style == Some('\'') {
                        return Err(SqlError::new(
                            SqlState::SyntaxError,
                            format!("expected a column's name, found '{}'", alias.value),
                        ));
                    }
                    let name = fold(&alias.value, alias.quote_style);
                    outputs.push(self.output(expr, name, scope, place)?);
                }
                ast::SelectItem::Wildcard(options) => {
                    refuse_wildcard_options(options)?;
                    if scope.columns.is_empty() {
                        return Err(SqlError::new(
                            SqlState::SyntaxError,
                            "SELECT * with no tables specified is not valid",
                        ));
                    }
                    outputs.extend(all_columns(scope, None));
                }
                ast::SelectItem::QualifiedWildcard(
                    ast::SelectItemQualifiedWildcardKind::ObjectName(name),
                    options,
                ) => {
                    refuse_wildcard_options(options)?;
                    let name = name_of(name)?;
                    let qualifier: Vec<String> =
                        name.schema.iter().chain([&name.name]).cloned().collect();
                    if !scope.has_table(&qualifier) {
                        return Err(missing_table(&name.to_string()));
                    }
                    outputs.extend(all_columns(scope, Some(&qualifier)));
                }
                other => {
                    return Err(SqlError::unsupported(format_args!("select item {other}")));
                }
            }
        }
        Ok(outputs)
    }

    fn output(
        &self,
        expr: &ast::Expr,
        name: String,
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Output, SqlError> {
        let bound = self.bind(expr, scope, place)?;
        let (expr, ty) = self.settled(bound)?;
        let nullable = match &expr {
            Expr::Column(at) => scope
                .columns
                .get(*at)
                .is_none_or(|column| column.column.nullable),
            _ => true,
        };
        Ok(Output {
            expr,
            column: Column {
                name: Arc::from(name),
                ty,
                nullable,
            },
        })
    }
}

pub(super) fn only_output(
    name: &str,
    outputs: &[Output],
    clause: &str,
) -> Result<Option<Expr>, SqlError> {
    let mut found = outputs
        .iter()
        .filter(|output| *output.column.name == *name)
        .map(|output| &output.expr);
    let Some(first) = found.next() else {
        return Ok(None);
    };
    if found.any(|other| other != first) {
        return Err(SqlError::new(
            SqlState::AmbiguousColumn,
            format!("{clause} \"{name}\" is ambiguous"),
        ));
    }
    Ok(Some(first.clone()))
}

fn all_columns(scope: &Scope<'_>, qualifier: Option<&[String]>) -> Vec<Output> {
    scope
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| match qualifier {
            Some(qualifier) => column.is_of(qualifier),
            None => !column.qualified_only,
        })
        .map(|(at, column)| Output {
            expr: Expr::Column(at),
            column: column.column.clone(),
        })
        .collect()
}

fn refuse_wildcard_options(options: &ast::WildcardAdditionalOptions) -> Result<(), SqlError> {
    if options.opt_ilike.is_some()
        || options.opt_exclude.is_some()
        || options.opt_except.is_some()
        || options.opt_replace.is_some()
        || options.opt_rename.is_some()
        || options.opt_alias.is_some()
    {
        return Err(SqlError::unsupported("a star with options"));
    }
    Ok(())
}
