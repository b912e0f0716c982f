//! Whole queries: WITH, set operations, VALUES, ORDER BY and LIMIT.

use std::rc::Rc;
use std::sync::Arc;

use sqlparser::ast;

use super::bind::{Binder, Place};
use super::bound::Bound;
use super::cursor::fold;
use super::scope::{Names, Planned, Scope, ScopeColumn};
use crate::engine::error::{SqlError, SqlState};
use crate::engine::expr::{Expr, Function};
use crate::engine::plan::{OrderKey, Plan};
use crate::engine::value::{Column, Type, Value};

/// A query before the columns that only its order needs are taken away.
pub(super) struct Ordered {
    /// Its rows may have more columns than are shown.
    pub(super) plan: Plan,
    /// The columns shown.
    pub(super) columns: Vec<Column>,
    /// Over the plan's columns.
    pub(super) order: Vec<OrderKey>,
}

impl Ordered {
    /// The query with the columns shown alone, and as much of its order as they tell.
    pub(super) fn planned(self) -> Planned {
        let shown = self.columns.len();
        let is_shown = |key: &OrderKey| matches!(key.expr, Expr::Column(at) if at < shown);
        let order = self.order.into_iter().take_while(is_shown).collect();
        let plan = if self.plan.arity() > shown {
            Plan::Project {
                input: Box::new(self.plan),
                columns: (0..shown).map(Expr::Column).collect(),
            }
        } else {
            self.plan
        };
        Planned {
            plan,
            columns: self.columns,
            order,
        }
    }
}

impl Binder<'_> {
    /// A query inside another one.
    pub(super) fn query(&self, query: &ast::Query, names: &Names<'_>) -> Result<Planned, SqlError> {
        self.nested(|| Ok(self.ordered_query(query, names)?.planned()))
    }

    pub(super) fn ordered_query(
        &self,
        query: &ast::Query,
        names: &Names<'_>,
    ) -> Result<Ordered, SqlError> {
        refuse_clauses(query)?;
        let with;
        let names = match &query.with {
            Some(clause) => {
                with = self.with_names(clause, names)?;
                &with
            }
            None => names,
        };
        let order_by = order_items(query.order_by.as_ref())?;
        let mut ordered = match query.body.as_ref() {
            ast::SetExpr::Select(select) => self.select(select, order_by, names)?,
            body => {
                let planned = self.set_expr(body, names)?;
                self.order_by_output(planned, order_by)?
            }
        };
        let (limit, offset) = self.limits(query)?;
        if limit.is_some() || offset > 0 {
            ordered.plan = Plan::TopK {
                input: Box::new(ordered.plan),
                order: ordered.order.clone(),
                limit,
                offset,
            };
        }
        Ok(ordered)
    }

    fn with_names<'s>(&self, with: &ast::With, names: &Names<'s>) -> Result<Names<'s>, SqlError> {
        if with.recursive {
            return Err(SqlError::unsupported("WITH RECURSIVE"));
        }
        let mut names = names.clone();
        for cte in &with.cte_tables {
            let mut planned = self.query(&cte.query, &names)?;
            rename(&mut planned.columns, &cte.alias)?;
            let name = fold(&cte.alias.name.value, cte.alias.name.quote_style);
            let mut ctes = (*names.ctes).clone();
            ctes.insert(name, Rc::new(planned));
            names.ctes = Rc::new(ctes);
        }
        Ok(names)
    }

    /// ORDER BY over the output alone: names and positions, and expressions of them.
    fn order_by_output(
        &self,
        planned: Planned,
        order_by: &[ast::OrderByExpr],
    ) -> Result<Ordered, SqlError> {
        let names = Names {
            ctes: Rc::default(),
            outer: None,
        };
        let scope = Scope {
            columns: planned
                .columns
                .iter()
                .map(|column| ScopeColumn {
                    table: None,
                    schema: None,
                    column: column.clone(),
                    qualified_only: false,
                })
                .collect(),
            ..Scope::empty(names)
        };
        if order_by.is_empty() {
            return Ok(Ordered {
                plan: planned.plan,
                columns: planned.columns,
                order: planned.order,
            });
        }
        let order = order_by
            .iter()
            .map(|item| {
                let expr = match position(&item.expr, planned.columns.len(), "ORDER BY")? {
                    Some(at) => Expr::Column(at),
                    None => {
                        let bound = self.bind(&item.expr, &scope, &Place::plain("ORDER BY"))?;
                        self.settled(bound)?.0
                    }
                };
                order_key(expr, item)
            })
            .collect::<Result<_, _>>()?;
        Ok(Ordered {
            plan: planned.plan,
            columns: planned.columns,
            order,
        })
    }

    /// LIMIT and OFFSET, or FETCH FIRST.
    fn limits(&self, query: &ast::Query) -> Result<(Option<u64>, u64), SqlError> {
        let (mut limit, mut offset) = (None, 0);
        match &query.limit_clause {
            Some(ast::LimitClause::LimitOffset {
                limit: limit_expr,
                offset: offset_expr,
                ..
            }) => {
                if let Some(expr) = limit_expr {
                    limit = self.row_count(expr, "LIMIT")?;
                }
                if let Some(expr) = offset_expr {
                    offset = self.row_count(&expr.value, "OFFSET")?.unwrap_or(0);
                }
            }
            Some(ast::LimitClause::OffsetCommaLimit { .. }) => {
                return Err(SqlError::new(
                    SqlState::SyntaxError,
                    "LIMIT #,# is not SQL; use LIMIT and OFFSET",
                ));
            }
            None => {}
        }
        if let Some(fetch) = &query.fetch {
            if fetch.with_ties || fetch.percent {
                return Err(SqlError::unsupported("FETCH ... WITH TIES"));
            }
            limit = match &fetch.quantity {
                Some(quantity) => self.row_count(quantity, "FETCH")?,
                None => Some(1),
            };
        }
        Ok((limit, offset))
    }

    /// A constant number of rows; NULL is no limit.
    fn row_count(&self, expr: &ast::Expr, clause: &'static str) -> Result<Option<u64>, SqlError> {
        let names = Names {
            ctes: Rc::default(),
            outer: None,
        };
        let scope = Scope::empty(names);
        let bound = self.bind(expr, &scope, &Place::plain(clause))?;
        let count = match bound {
            // Numbers of any kind count rows, as in Postgres.
            Bound::Typed(expr, Type::Numeric | Type::Double) => {
                super::bound::call(Function::Cast(Type::BigInt), vec![expr], Type::BigInt)
            }
            other => self.coerce(other, Type::BigInt)?,
        };
        match count.eval(&[]) {
            Ok(Value::BigInt(count)) => u64::try_from(count).map(Some).map_err(|_| {
                SqlError::new(
                    SqlState::InvalidRowCount,
                    format!("{clause} must not be negative"),
                )
            }),
            Ok(_) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The input of a SELECT without FROM: one row without columns.
pub(super) fn one_row() -> Plan {
    Plan::Constant {
        arity: 0,
        rows: vec![std::iter::empty().collect()],
    }
}

/// Gives columns the names of an alias with a column list: `AS t (a, b)`.
pub(super) fn rename(columns: &mut [Column], alias: &ast::TableAlias) -> Result<(), SqlError> {
    if alias.columns.len() > columns.len() {
        return Err(SqlError::new(
            SqlState::InvalidColumnReference,
            format!(
                "table \"{}\" has {} columns available but {} columns specified",
                alias.name.value,
                columns.len(),
                alias.columns.len()
            ),
        ));
    }
    for (column, renamed) in columns.iter_mut().zip(&alias.columns) {
        column.name = Arc::from(fold(&renamed.name.value, renamed.name.quote_style));
    }
    Ok(())
}

fn order_items(order_by: Option<&ast::OrderBy>) -> Result<&[ast::OrderByExpr], SqlError> {
    match order_by {
        None => Ok(&[]),
        Some(ast::OrderBy {
            kind: ast::OrderByKind::Expressions(items),
            interpolate: None,
        }) => Ok(items),
        Some(_) => Err(SqlError::unsupported("ORDER BY ALL")),
    }
}

/// The keys of an ORDER BY that stands inside an expression: a number there is a constant, not a position.
pub(super) fn ordered_by(
    items: &[ast::OrderByExpr],
    bind: impl Fn(&ast::Expr) -> Result<Expr, SqlError>,
) -> Result<Vec<OrderKey>, SqlError> {
    items
        .iter()
        .map(|item| order_key(bind(&item.expr)?, item))
        .collect()
}

/// One key of ORDER BY: NULLs are larger than everything, unless it says otherwise.
pub(super) fn order_key(expr: Expr, item: &ast::OrderByExpr) -> Result<OrderKey, SqlError> {
    let descending = match item.options.sort {
        None | Some(ast::OrderBySort::Asc) => false,
        Some(ast::OrderBySort::Desc) => true,
        Some(_) => return Err(SqlError::unsupported("ORDER BY ... USING")),
    };
    if item.with_fill.is_some() {
        return Err(SqlError::unsupported("ORDER BY ... WITH FILL"));
    }
    Ok(OrderKey {
        expr,
        descending,
        nulls_first: item.options.nulls_first.unwrap_or(descending),
    })
}

/// `ORDER BY 2`: the position of an output column, from 0.
pub(super) fn position(
    expr: &ast::Expr,
    columns: usize,
    clause: &str,
) -> Result<Option<usize>, SqlError> {
    let ast::Expr::Value(value) = expr else {
        return Ok(None);
    };
    let ast::Value::Number(digits, _) = &value.value else {
        return match &value.value {
            ast::Value::Placeholder(_) | ast::Value::Null => Ok(None),
            _ => Err(SqlError::new(
                SqlState::SyntaxError,
                format!("non-integer constant in {clause}"),
            )),
        };
    };
    digits
        .parse::<usize>()
        .ok()
        .and_then(|number| number.checked_sub(1))
        .filter(|at| *at < columns)
        .map(Some)
        .ok_or_else(|| {
            SqlError::new(
                SqlState::InvalidColumnReference,
                format!("{clause} position {digits} is not in select list"),
            )
        })
}

fn refuse_clauses(query: &ast::Query) -> Result<(), SqlError> {
    let clause = if !query.locks.is_empty() {
        "FOR UPDATE"
    } else if query.for_clause.is_some() {
        "a FOR clause"
    } else if query.settings.is_some() || query.format_clause.is_some() {
        "SETTINGS"
    } else if !query.pipe_operators.is_empty() {
        "the pipe operator"
    } else {
        return Ok(());
    };
    Err(SqlError::unsupported(clause))
}
