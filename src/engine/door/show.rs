//! SHOW and EXPLAIN: what the engine says of itself, as rows.

use super::encoding::Field;
use super::planned::{Planner, Rows};
use crate::engine::catalog::{Catalog, Kind, Relation};
use crate::engine::error::{SqlError, SqlState};
use crate::engine::expr::{Pattern, PatternKind};
use crate::engine::plan::Query;
use crate::engine::sql::{Name, Show, ShowKind};
use crate::engine::system;
use crate::engine::value::{Row, Value};

/// The rows of a SHOW.
pub(crate) fn rows(show: &Show, planner: &Planner<'_>) -> Result<Rows, SqlError> {
    match show {
        Show::Objects { kind, schema, like } => {
            objects(*kind, schema.as_deref(), like.as_deref(), planner)
        }
        Show::Columns(name) => {
            let relation = relation(planner, name)?;
            let columns = relation.columns.iter().map(|column| {
                [
                    text(&column.name),
                    Value::Bool(column.nullable),
                    text(column.ty.to_string()),
                ]
            });
            let mut shown = table(&["name", "nullable", "type"], columns);
            shown.fields[1] = Field::bool("nullable");
            Ok(shown)
        }
        Show::Create(name) => {
            let relation = relation(planner, name)?;
            let sql = match &relation.kind {
                Kind::View { sql, .. } => text(sql),
                Kind::Input => text("CREATE TABLE wikirecent (data jsonb NOT NULL)"),
                Kind::BuiltIn => {
                    return Err(SqlError::new(
                        SqlState::WrongObjectType,
                        format!("\"{name}\" is kept by the engine itself, no statement made it"),
                    ));
                }
            };
            Ok(table(
                &["name", "create_sql"],
                [[text(&relation.name), sql]],
            ))
        }
        Show::Setting(name) => {
            let value = planner.settings.get(name)?;
            Ok(table(&[name.as_str()], [[text(value)]]))
        }
        Show::All => {
            let settings = planner
                .settings
                .all()
                .map(|(name, value, description)| [text(name), text(value), text(description)]);
            Ok(table(&["name", "setting", "description"], settings))
        }
    }
}

/// The rows of EXPLAIN: the plan, a line a row.
pub(crate) fn explained(query: &Query, catalog: &Catalog) -> Rows {
    let plan = query.plan.explained(&|relation, at| {
        let column = catalog.get(relation)?.columns.get(at)?;
        Some(column.name.clone())
    });
    let mut rows = table(&["QUERY PLAN"], plan.lines().map(|line| [text(line)]));
    rows.tag = Some("EXPLAIN");
    rows
}

/// What is listed: everything with a name, sorted by it. `SHOW VIEWS` lists `recentchanges` and `ingest_position`, too:
/// they are not made by people, but they are read like every other view, and who may read a thing must be able to find it.
fn objects(
    kind: ShowKind,
    schema: Option<&str>,
    like: Option<&str>,
    planner: &Planner<'_>,
) -> Result<Rows, SqlError> {
    let like = like
        .map(|pattern| Pattern::new(LIKE, pattern))
        .transpose()?;
    let in_schema = schema.is_none_or(|schema| schema == system::PUBLIC);
    let names: Vec<String> = match kind {
        ShowKind::Databases => vec![planner.identity.database.clone()],
        ShowKind::Schemas => vec![
            system::INFORMATION_SCHEMA.to_owned(),
            system::PG_CATALOG.to_owned(),
            system::PUBLIC.to_owned(),
        ],
        ShowKind::Clusters => vec!["default".to_owned()],
        _ => planner
            .catalog
            .relations
            .values()
            .filter(|relation| in_schema && is_listed(relation, kind))
            .map(|relation| relation.name.to_string())
            .collect(),
    };
    let names = names
        .into_iter()
        .filter(|name| like.as_ref().is_none_or(|pattern| pattern.matches(name)))
        .map(|name| [text(name)]);
    Ok(table(&["name"], names))
}

const LIKE: PatternKind = PatternKind::Like {
    escape: Some('\\'),
    ignore_case: false,
};

fn is_listed(relation: &Relation, kind: ShowKind) -> bool {
    match kind {
        ShowKind::Views => relation.kind != Kind::Input,
        ShowKind::MaterializedViews => matches!(relation.kind, Kind::View { .. }),
        ShowKind::Tables => relation.kind == Kind::Input,
        ShowKind::Objects => true,
        _ => false,
    }
}

fn relation<'a>(planner: &'a Planner<'_>, name: &Name) -> Result<&'a Relation, SqlError> {
    let relation = match name.schema.as_deref() {
        None | Some(system::PUBLIC) => planner.catalog.get(&name.name),
        Some(_) => None,
    };
    relation.map(|relation| &**relation).ok_or_else(|| {
        SqlError::new(
            SqlState::UndefinedTable,
            format!("relation \"{name}\" does not exist"),
        )
        .hint("SHOW OBJECTS lists what there is.")
    })
}

fn text(text: impl AsRef<str>) -> Value {
    Value::Text(text.as_ref().into())
}

/// Rows of text columns.
fn table<const N: usize>(names: &[&str; N], rows: impl IntoIterator<Item = [Value; N]>) -> Rows {
    Rows {
        fields: names.iter().map(|name| Field::text(name)).collect(),
        rows: rows.into_iter().map(Row::from_iter).collect(),
        tag: None,
    }
}
