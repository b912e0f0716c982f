//! FROM: relations, subqueries and joins, and which columns they bring into scope.

use std::sync::Arc;

use sqlparser::ast;

use super::bind::{Binder, Place};
use super::bound::call;
use super::context::{Rows, closest};
use super::cursor::{fold, name_of};
use super::query::{one_row, rename};
use super::scope::{Names, Planned, Scope, ScopeColumn};
use super::statement::Name;
use crate::engine::error::{SqlError, SqlState};
use crate::engine::expr::{Expr, Function};
use crate::engine::plan::{JoinKind, OrderKey, Plan};
use crate::engine::value::{Column, Type};

/// A FROM item: its rows, and its columns with the names they go by.
struct Item {
    plan: Plan,
    columns: Vec<ScopeColumn>,
    /// The order that a single item has of its own.
    order: Vec<OrderKey>,
}

/// A whole FROM clause.
pub(super) struct From<'s> {
    pub(super) plan: Plan,
    pub(super) scope: Scope<'s>,
    /// The order of its only item.
    pub(super) order: Vec<OrderKey>,
}

impl Binder<'_> {
    /// The whole FROM clause; without one there is one row without columns.
    pub(super) fn from<'s>(
        &self,
        tables: &[ast::TableWithJoins],
        names: &Names<'s>,
    ) -> Result<From<'s>, SqlError> {
        let mut whole: Option<Item> = None;
        for table in tables {
            let mut item = self.table_factor(&table.relation, names)?;
            for join in &table.joins {
                item = self.join(item, join, names)?;
            }
            whole = Some(match whole {
                None => item,
                Some(left) => joined(left, item, JoinKind::Inner, Expr::always()),
            });
        }
        let scope = Scope::empty(names.clone());
        Ok(match whole {
            None => From {
                plan: one_row(),
                scope,
                order: Vec::new(),
            },
            Some(item) => {
                unique_tables(tables)?;
                From {
                    plan: item.plan,
                    scope: Scope {
                        columns: item.columns,
                        ..scope
                    },
                    order: item.order,
                }
            }
        })
    }

    fn table_factor(&self, factor: &ast::TableFactor, names: &Names<'_>) -> Result<Item, SqlError> {
        match factor {
            ast::TableFactor::Table {
                name,
                alias,
                args: None,
                with_ordinality: false,
                sample: None,
                version: None,
                json_path: None,
                with_hints,
                partitions,
                index_hints,
            } if with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => {
                let written = name_of(name)?;
                let planned = self.relation(&written, names).map_err(|error| {
                    match name.0.first().and_then(ast::ObjectNamePart::as_ident) {
                        Some(ident) => self.at(error, ident.span.start),
                        None => error,
                    }
                })?;
                let schema = written.schema.as_deref().map(Arc::from);
                item(planned, alias.as_ref(), Some((&written.name, schema)))
            }
            ast::TableFactor::Derived {
                lateral: false,
                subquery,
                alias,
                sample: None,
            } => {
                let planned = self.query(subquery, names)?;
                item(planned, alias.as_ref(), None)
            }
            ast::TableFactor::NestedJoin {
                table_with_joins,
                alias: None,
            } => self.nested(|| {
                let mut item = self.table_factor(&table_with_joins.relation, names)?;
                for join in &table_with_joins.joins {
                    item = self.join(item, join, names)?;
                }
                Ok(item)
            }),
            ast::TableFactor::Derived { lateral: true, .. } => {
                Err(SqlError::unsupported("LATERAL"))
            }
            ast::TableFactor::Table {
                name,
                alias,
                args: Some(arguments),
                with_ordinality: false,
                ..
            } => {
                let planned = self.table_function(name, &arguments.args, alias.as_ref(), names)?;
                let own_name = name_of(name)?.name;
                item(planned, alias.as_ref(), Some((&own_name, None)))
            }
            ast::TableFactor::UNNEST {
                alias,
                array_exprs,
                with_ordinality: false,
                ..
            } => {
                let planned = self.unnest(array_exprs, alias.as_ref(), names)?;
                item(planned, alias.as_ref(), Some(("unnest", None)))
            }
            ast::TableFactor::Function { name, .. } => Err(SqlError::unsupported(format_args!(
                "function {name}() in FROM"
            ))),
            ast::TableFactor::Table { .. } => Err(SqlError::unsupported("such a clause in FROM")),
            _ => Err(SqlError::unsupported("such an item in FROM")),
        }
    }

    /// A relation by its name: one of WITH, or one of the catalog.
    pub(super) fn relation(&self, name: &Name, names: &Names<'_>) -> Result<Planned, SqlError> {
        if name.schema.is_none()
            && let Some(planned) = names.ctes.get(&name.name)
        {
            return Ok((**planned).clone());
        }
        let Some(resolved) = self.context.relations.relation(name)? else {
            return Err(self.unknown_relation(name));
        };
        let arity = resolved.columns.len();
        let plan = match resolved.rows {
            Rows::Maintained(name) => Plan::Get {
                name,
                columns: (0..arity).collect(),
            },
            Rows::Constant(rows) => Plan::Constant { arity, rows },
        };
        Ok(Planned {
            plan,
            columns: resolved.columns,
            order: resolved.order,
        })
    }

    fn unknown_relation(&self, name: &Name) -> SqlError {
        let error = SqlError::new(
            SqlState::UndefinedTable,
            format!("unknown catalog item '{name}'"),
        );
        let known = self.context.relations.names();
        match closest(&name.name, known.iter().map(|name| &**name)) {
            Some(candidate) => error.hint(format!("Perhaps you meant \"{candidate}\".")),
            None => error.hint("SHOW VIEWS lists what there is."),
        }
    }

    fn join(&self, left: Item, join: &ast::Join, names: &Names<'_>) -> Result<Item, SqlError> {
        use ast::JoinOperator as J;
        let right = self.table_factor(&join.relation, names)?;
        match &join.join_operator {
            J::Join(constraint) | J::Inner(constraint) => {
                self.constrained(left, right, JoinKind::Inner, constraint, names)
            }
            J::Left(constraint) | J::LeftOuter(constraint) => {
                self.constrained(left, right, JoinKind::Left, constraint, names)
            }
            J::Right(constraint) | J::RightOuter(constraint) => {
                let arity = left.columns.len();
                let swapped = self.constrained(right, left, JoinKind::Left, constraint, names)?;
                Ok(rotated(swapped, arity))
            }
            J::CrossJoin(ast::JoinConstraint::None) => {
                Ok(joined(left, right, JoinKind::Inner, Expr::always()))
            }
            J::FullOuter(_) => Err(SqlError::unsupported("FULL JOIN")),
            _ => Err(SqlError::unsupported("such a join")),
        }
    }

    fn constrained(
        &self,
        left: Item,
        right: Item,
        kind: JoinKind,
        constraint: &ast::JoinConstraint,
        names: &Names<'_>,
    ) -> Result<Item, SqlError> {
        match constraint {
            ast::JoinConstraint::On(condition) => {
                let mut both = joined(left, right, kind, Expr::always());
                let scope = Scope {
                    columns: both.columns.clone(),
                    ..Scope::empty(names.clone())
                };
                let condition = self.condition(condition, &scope, &Place::plain("JOIN/ON"))?;
                if let Plan::Join { on, .. } = &mut both.plan {
                    *on = condition;
                }
                Ok(both)
            }
            ast::JoinConstraint::Using(columns) => {
                let columns = columns
                    .iter()
                    .map(|column| Ok(name_of(column)?.name))
                    .collect::<Result<Vec<_>, SqlError>>()?;
                using(left, right, kind, &columns)
            }
            ast::JoinConstraint::Natural => {
                let shared: Vec<String> = left
                    .columns
                    .iter()
                    .map(|column| column.column.name.to_string())
                    .filter(|name| {
                        right
                            .columns
                            .iter()
                            .any(|other| *other.column.name == **name)
                    })
                    .collect();
                using(left, right, kind, &shared)
            }
            ast::JoinConstraint::None => Err(SqlError::new(
                SqlState::SyntaxError,
                "a join needs ON or USING",
            )),
        }
    }
}

/// The item under its alias, or its own name.
fn item(
    mut planned: Planned,
    alias: Option<&ast::TableAlias>,
    named: Option<(&str, Option<Arc<str>>)>,
) -> Result<Item, SqlError> {
    if let Some(alias) = alias {
        rename(&mut planned.columns, alias)?;
    }
    let (table, schema) = match (alias, named) {
        (Some(alias), _) => {
            let name = fold(&alias.name.value, alias.name.quote_style);
            (Some(Arc::from(name)), None)
        }
        (None, Some((name, schema))) => (Some(Arc::from(name)), schema),
        (None, None) => (None, None),
    };
    Ok(Item {
        plan: planned.plan,
        order: planned.order,
        columns: planned
            .columns
            .into_iter()
            .map(|column| ScopeColumn {
                table: table.clone(),
                schema: schema.clone(),
                column,
                qualified_only: false,
            })
            .collect(),
    })
}

fn joined(left: Item, right: Item, kind: JoinKind, on: Expr) -> Item {
    let mut columns = left.columns;
    columns.extend(right.columns.into_iter().map(|mut column| {
        column.column.nullable |= kind == JoinKind::Left;
        column
    }));
    Item {
        plan: Plan::Join {
            left: Box::new(left.plan),
            right: Box::new(right.plan),
            kind,
            on,
        },
        columns,
        order: Vec::new(),
    }
}

/// USING: the named columns are equal, and an unqualified name means the left one.
fn using(left: Item, right: Item, kind: JoinKind, columns: &[String]) -> Result<Item, SqlError> {
    let arity = left.columns.len();
    let find = |item: &Item, name: &str| {
        let mut found = item
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| *column.column.name == *name && !column.qualified_only);
        match (found.next(), found.next()) {
            (Some((at, column)), None) => Ok((at, column.column.clone())),
            (None, _) => Err(SqlError::new(
                SqlState::UndefinedColumn,
                format!("column \"{name}\" specified in USING clause does not exist"),
            )),
            _ => Err(SqlError::new(
                SqlState::AmbiguousColumn,
                format!("common column name \"{name}\" appears more than once"),
            )),
        }
    };
    let mut conditions = Vec::new();
    let mut hidden = Vec::new();
    for name in columns {
        let (left_at, left_column) = find(&left, name)?;
        let (right_at, right_column) = find(&right, name)?;
        conditions.push(equal(
            (left_at, &left_column),
            (arity + right_at, &right_column),
        )?);
        hidden.push(arity + right_at);
    }
    let mut both = joined(left, right, kind, Expr::all(conditions));
    for at in hidden {
        both.columns[at].qualified_only = true;
    }
    Ok(both)
}

fn equal(left: (usize, &Column), right: (usize, &Column)) -> Result<Expr, SqlError> {
    let ty = super::casts::common(left.1.ty, right.1.ty).ok_or_else(|| {
        SqlError::new(
            SqlState::DatatypeMismatch,
            format!(
                "JOIN/USING types {} and {} cannot be matched",
                left.1.ty, right.1.ty
            ),
        )
    })?;
    let cast = |(at, column): (usize, &Column)| {
        if column.ty == ty {
            Expr::Column(at)
        } else {
            call(Function::Cast(ty), vec![Expr::Column(at)], ty)
        }
    };
    Ok(call(
        Function::Equal,
        vec![cast(left), cast(right)],
        Type::Bool,
    ))
}

/// A right join was planned as a left join of the other side: puts the last `arity` columns first again.
fn rotated(item: Item, arity: usize) -> Item {
    let all = item.columns.len();
    let order: Vec<usize> = (all - arity..all).chain(0..all - arity).collect();
    Item {
        plan: Plan::Project {
            input: Box::new(item.plan),
            columns: order.iter().copied().map(Expr::Column).collect(),
        },
        columns: order
            .into_iter()
            .map(|at| item.columns[at].clone())
            .collect(),
        order: Vec::new(),
    }
}

/// Two items of one FROM must not go by the same name.
fn unique_tables(tables: &[ast::TableWithJoins]) -> Result<(), SqlError> {
    let mut seen = Vec::new();
    let factors = tables.iter().flat_map(|table| {
        std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation))
    });
    for factor in factors {
        let name = match factor {
            ast::TableFactor::Table {
                alias: Some(alias), ..
            }
            | ast::TableFactor::Derived {
                alias: Some(alias), ..
            } => Name::bare(fold(&alias.name.value, alias.name.quote_style)),
            ast::TableFactor::Table {
                name, alias: None, ..
            } => name_of(name)?,
            _ => continue,
        };
        if seen.contains(&name) {
            return Err(SqlError::new(
                SqlState::DuplicateAlias,
                format!("table name \"{}\" specified more than once", name.name),
            ));
        }
        seen.push(name);
    }
    Ok(())
}
