//! A query's body when it is no SELECT: UNION, VALUES, TABLE, and queries in parentheses.

use sqlparser::ast;

use super::bind::{Binder, Place};
use super::bound::Bound;
use super::casts;
use super::query::one_row;
use super::scope::{Names, Planned, Scope};
use super::statement::Name;
use crate::engine::error::{SqlError, SqlState};
use crate::engine::expr::{Expr, Function};
use crate::engine::plan::Plan;
use crate::engine::value::{Column, Value};

impl Binder<'_> {
    /// A query's body.
    pub(super) fn set_expr(
        &self,
        body: &ast::SetExpr,
        names: &Names<'_>,
    ) -> Result<Planned, SqlError> {
        self.nested(|| match body {
            ast::SetExpr::Select(select) => Ok(self.select(select, &[], names)?.planned()),
            ast::SetExpr::Query(query) => self.query(query, names),
            ast::SetExpr::Values(values) => self.values(values, names),
            ast::SetExpr::SetOperation { .. } => self.union(body, names),
            ast::SetExpr::Table(table) => {
                let name = Name {
                    schema: table.schema_name.clone(),
                    name: table.table_name.clone().unwrap_or_default(),
                };
                self.relation(&name, names)
            }
            _ => Err(SqlError::unsupported(
                "a statement that changes data inside a query",
            )),
        })
    }

    /// A chain of UNIONs, which leans to the left, member by member.
    pub(super) fn union(
        &self,
        body: &ast::SetExpr,
        names: &Names<'_>,
    ) -> Result<Planned, SqlError> {
        let mut members = Vec::new();
        let mut rest = body;
        while let ast::SetExpr::SetOperation {
            left,
            op,
            set_quantifier,
            right,
        } = rest
        {
            use ast::SetQuantifier::{All, Distinct, None};
            let distinct = match (op, set_quantifier) {
                (ast::SetOperator::Union, All) => false,
                (ast::SetOperator::Union, None | Distinct) => true,
                (op, _) => return Err(SqlError::unsupported(op)),
            };
            members.push((distinct, right.as_ref()));
            rest = left;
        }
        let mut planned = vec![self.set_expr(rest, names)?];
        let mut distinct_up_to = 0;
        for (distinct, member) in members.into_iter().rev() {
            planned.push(self.set_expr(member, names)?);
            if distinct {
                distinct_up_to = planned.len();
            }
        }
        self.united(planned, distinct_up_to)
    }

    /// UNION ALL of the members, of which the first so many are united without repeats: UNION makes all before it distinct.
    pub(super) fn united(
        &self,
        mut members: Vec<Planned>,
        distinct_up_to: usize,
    ) -> Result<Planned, SqlError> {
        let mut columns = members
            .first()
            .map(|first| first.columns.clone())
            .unwrap_or_default();
        for member in &members[1..] {
            if member.columns.len() != columns.len() {
                return Err(SqlError::new(
                    SqlState::SyntaxError,
                    "each UNION query must have the same number of columns",
                ));
            }
            for (column, other) in columns.iter_mut().zip(&member.columns) {
                column.ty = casts::common(column.ty, other.ty).ok_or_else(|| {
                    SqlError::new(
                        SqlState::DatatypeMismatch,
                        format!(
                            "UNION types {} and {} cannot be matched",
                            column.ty, other.ty
                        ),
                    )
                })?;
                column.nullable |= other.nullable;
            }
        }
        let mut inputs: Vec<Plan> = members
            .drain(..)
            .map(|member| retyped(member, &columns))
            .collect();
        if distinct_up_to > 0 {
            let rest = inputs.split_off(distinct_up_to);
            let distinct = Plan::Distinct {
                input: Box::new(Plan::UnionAll { inputs }),
            };
            inputs = std::iter::once(distinct).chain(rest).collect();
        }
        let plan = match inputs.len() {
            1 => inputs.remove(0),
            _ => Plan::UnionAll { inputs },
        };
        Ok(Planned {
            plan,
            columns,
            order: Vec::new(),
        })
    }

    pub(super) fn values(
        &self,
        values: &ast::Values,
        names: &Names<'_>,
    ) -> Result<Planned, SqlError> {
        let scope = Scope::empty(names.clone());
        let place = Place::plain("VALUES");
        let rows = values
            .rows
            .iter()
            .map(|row| self.bind_all(&row.content, &scope, &place))
            .collect::<Result<Vec<_>, _>>()?;
        let arity = rows.first().map_or(0, Vec::len);
        if rows.iter().any(|row| row.len() != arity) {
            return Err(SqlError::new(
                SqlState::SyntaxError,
                "VALUES lists must all be the same length",
            ));
        }
        let mut types = Vec::with_capacity(arity);
        for at in 0..arity {
            let column: Vec<Bound> = rows.iter().map(|row| row[at].clone()).collect();
            types.push(self.common_type("VALUES", &column)?);
        }
        let rows = rows
            .into_iter()
            .map(|row| {
                row.into_iter()
                    .zip(&types)
                    .map(|(bound, ty)| self.coerce(bound, *ty))
                    .collect::<Result<Vec<Expr>, _>>()
            })
            .collect::<Result<Vec<_>, _>>()?;
        let columns = types
            .into_iter()
            .enumerate()
            .map(|(at, ty)| Column {
                name: format!("column{}", at + 1).into(),
                ty,
                nullable: true,
            })
            .collect();
        Ok(Planned {
            plan: rows_of(arity, rows),
            columns,
            order: Vec::new(),
        })
    }
}

/// VALUES of constants are rows; with subqueries or outer columns in them each row is a projection of its own.
fn rows_of(arity: usize, rows: Vec<Vec<Expr>>) -> Plan {
    let is_literal = |expr: &Expr| matches!(expr, Expr::Literal(..));
    if rows.iter().flatten().all(is_literal) {
        let rows = rows
            .into_iter()
            .map(|row| {
                row.into_iter()
                    .map(|expr| match expr {
                        Expr::Literal(value, _) => value,
                        _ => Value::Null,
                    })
                    .collect()
            })
            .collect();
        return Plan::Constant { arity, rows };
    }
    Plan::UnionAll {
        inputs: rows
            .into_iter()
            .map(|columns| Plan::Project {
                input: Box::new(one_row()),
                columns,
            })
            .collect(),
    }
}

/// The member with its columns cast to the types of the union.
fn retyped(member: Planned, columns: &[Column]) -> Plan {
    let same = member
        .columns
        .iter()
        .zip(columns)
        .all(|(own, wanted)| own.ty == wanted.ty);
    if same {
        return member.plan;
    }
    let casts = member
        .columns
        .iter()
        .zip(columns)
        .enumerate()
        .map(|(at, (own, wanted))| {
            if own.ty == wanted.ty {
                Expr::Column(at)
            } else {
                Expr::Call(Function::Cast(wanted.ty), vec![Expr::Column(at)])
            }
        })
        .collect();
    Plan::Project {
        input: Box::new(member.plan),
        columns: casts,
    }
}
