//! The names of columns that have no alias.

use sqlparser::ast;

use super::casts;
use super::cursor::{fold, name_of};

/// What Postgres calls a column that has no alias.
pub(super) fn column_name(expr: &ast::Expr) -> String {
    named(expr).unwrap_or_else(|| "?column?".to_owned())
}

fn named(expr: &ast::Expr) -> Option<String> {
    use ast::Expr as E;
    Some(match expr {
        E::Identifier(ident) => fold(&ident.value, ident.quote_style),
        E::CompoundIdentifier(idents) => {
            let ident = idents.last()?;
            fold(&ident.value, ident.quote_style)
        }
        E::Nested(inner) | E::Collate { expr: inner, .. } => return named(inner),
        E::CompoundFieldAccess { root, access_chain } => match access_chain.last() {
            Some(ast::AccessExpr::Dot(field)) => return named(field),
            _ => return named(root),
        },
        E::Function(function) => name_of(&function.name).ok()?.name,
        E::Cast {
            expr, data_type, ..
        } => match named(expr) {
            Some(name) => name,
            None => casts::target(data_type).ok()?.1.to_owned(),
        },
        E::TypedString(typed) => casts::target(&typed.data_type).ok()?.1.to_owned(),
        E::Interval(_) => "interval".to_owned(),
        E::Value(value) if matches!(value.value, ast::Value::Boolean(_)) => "bool".to_owned(),
        E::Case { else_result, .. } => match else_result.as_deref().and_then(named) {
            Some(name) => name,
            None => "case".to_owned(),
        },
        E::Exists { .. } => "exists".to_owned(),
        E::Array(_) => "array".to_owned(),
        E::Extract { .. } => "extract".to_owned(),
        E::Ceil { .. } => "ceil".to_owned(),
        E::Floor { .. } => "floor".to_owned(),
        E::Position { .. } => "position".to_owned(),
        E::Substring { .. } => "substring".to_owned(),
        E::Trim { trim_where, .. } => match trim_where {
            Some(ast::TrimWhereField::Leading) => "ltrim".to_owned(),
            Some(ast::TrimWhereField::Trailing) => "rtrim".to_owned(),
            _ => "btrim".to_owned(),
        },
        E::Subquery(query) => match query.body.as_ref() {
            ast::SetExpr::Select(select) => match select.projection.first()? {
                ast::SelectItem::UnnamedExpr(expr) => return named(expr),
                ast::SelectItem::ExprWithAlias { alias, .. } => {
                    fold(&alias.value, alias.quote_style)
                }
                _ => return None,
            },
            _ => return None,
        },
        _ => return None,
    })
}
