//! One SELECT: FROM, WHERE, GROUP BY, HAVING, the select list, DISTINCT, and what ORDER BY needs of them.

use std::cell::RefCell;

use sqlparser::ast;

use super::bind::{Binder, Place};
use super::cursor::fold;
use super::filter::filter;
use super::from::From;
use super::grouping::{Grouping, has_aggregate};
use super::outputs::{Output, only_output};
use super::per_row::PerRow;
use super::query::{Ordered, order_key, position};
use super::scope::{Names, Scope};
use crate::engine::error::{SqlError, SqlState};
use crate::engine::expr::Expr;
use crate::engine::plan::{OrderKey, Plan};
use crate::engine::value::Column;

/// Which rows of the select list stay.
#[derive(PartialEq)]
enum Distinct {
    /// All.
    No,
    /// One of equal ones.
    Rows,
    /// The first of those for which these are equal.
    On(Vec<Expr>),
}

/// Everything that is said of the rows that the select list sees.
fn shown<'e>(
    outputs: &'e mut [Output],
    order: &'e mut [OrderKey],
    distinct: &'e mut Distinct,
) -> impl Iterator<Item = &'e mut Expr> {
    let on = match distinct {
        Distinct::On(keys) => &mut keys[..],
        Distinct::No | Distinct::Rows => &mut [],
    };
    let outputs = outputs.iter_mut().map(|output| &mut output.expr);
    let order = order.iter_mut().map(|key| &mut key.expr);
    outputs.chain(order).chain(on)
}

impl Binder<'_> {
    pub(super) fn select(
        &self,
        select: &ast::Select,
        order_by: &[ast::OrderByExpr],
        names: &Names<'_>,
    ) -> Result<Ordered, SqlError> {
        refuse_clauses(select)?;
        let From {
            plan,
            scope,
            order: inherited,
        } = self.from(&select.from, names)?;
        let rows = match &select.selection {
            Some(condition) => self.filtered(plan, condition, &scope)?,
            None => plan,
        };

        let aggregates = RefCell::new(Vec::new());
        let mut per_row = PerRow::default();
        let place = |clause| Place {
            clause,
            aggregates: Some(&aggregates),
            per_row: Some(&per_row),
        };
        let having_place = Place {
            per_row: None,
            ..place("HAVING")
        };
        let mut outputs = self.outputs(&select.projection, &scope, &place("SELECT"))?;
        let keys = self.group_keys(&select.group_by, &select.projection, &outputs, &scope)?;
        let mut having = select
            .having
            .as_ref()
            .map(|having| self.condition(having, &scope, &having_place))
            .transpose()?;
        let mut order = order_by
            .iter()
            .map(|item| {
                let expr = self.order_expr(&item.expr, &outputs, &scope, &place("ORDER BY"))?;
                order_key(expr, item)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut distinct = match &select.distinct {
            None | Some(ast::Distinct::All) => Distinct::No,
            Some(ast::Distinct::Distinct) => Distinct::Rows,
            Some(ast::Distinct::On(exprs)) => Distinct::On(
                exprs
                    .iter()
                    .map(|expr| self.order_expr(expr, &outputs, &scope, &place("DISTINCT ON")))
                    .collect::<Result<_, _>>()?,
            ),
        };

        let mut plan = rows;
        let aggregates = aggregates.into_inner();
        let passes_rows_on = keys.is_empty() && aggregates.is_empty() && having.is_none();
        if order.is_empty() && passes_rows_on && distinct == Distinct::No {
            let is_shown = |key: &OrderKey| outputs.iter().any(|output| output.expr == key.expr);
            order = inherited.into_iter().take_while(is_shown).collect();
        }
        if !passes_rows_on {
            let grouping = Grouping { keys, aggregates };
            for expr in shown(&mut outputs, &mut order, &mut distinct) {
                *expr = grouping.regrouped(expr, &scope)?;
            }
            per_row.regroup(&grouping, &scope)?;
            having = having
                .map(|having| grouping.regrouped(&having, &scope))
                .transpose()?;
            plan = Plan::Aggregate {
                input: Box::new(plan),
                keys: grouping.keys,
                aggregates: grouping.aggregates,
            };
        }
        if let Some(predicate) = having {
            plan = filter(plan, predicate.conjuncts());
        }
        let (plan, made) = per_row.applied(plan);
        for expr in shown(&mut outputs, &mut order, &mut distinct) {
            *expr = made(expr);
        }
        projected(plan, outputs, order, distinct)
    }

    /// GROUP BY's expressions: positions and names of the select list, or expressions of FROM's columns.
    fn group_keys(
        &self,
        group_by: &ast::GroupByExpr,
        items: &[ast::SelectItem],
        outputs: &[Output],
        scope: &Scope<'_>,
    ) -> Result<Vec<Expr>, SqlError> {
        let ast::GroupByExpr::Expressions(exprs, modifiers) = group_by else {
            return Err(SqlError::unsupported("GROUP BY ALL"));
        };
        if !modifiers.is_empty() {
            return Err(SqlError::unsupported("GROUP BY with modifiers"));
        }
        let mut keys = Vec::new();
        for expr in exprs {
            let key = match position(expr, outputs.len(), "GROUP BY")? {
                Some(at) => outputs[at].expr.clone(),
                None => match self.output_named(expr, items, outputs, scope)? {
                    Some(output) => output,
                    None => {
                        let bound = self.bind(expr, scope, &Place::plain("GROUP BY"))?;
                        self.settled(bound)?.0
                    }
                },
            };
            if has_aggregate(&key) {
                return Err(SqlError::new(
                    SqlState::GroupingError,
                    "aggregate functions are not allowed in GROUP BY",
                ));
            }
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        Ok(keys)
    }

    /// In GROUP BY a name means FROM's column first, and only then one of the select list.
    fn output_named(
        &self,
        expr: &ast::Expr,
        items: &[ast::SelectItem],
        outputs: &[Output],
        scope: &Scope<'_>,
    ) -> Result<Option<Expr>, SqlError> {
        let ast::Expr::Identifier(ident) = expr else {
            return Ok(None);
        };
        let name = fold(&ident.value, ident.quote_style);
        if scope.find_here(&[], &name)?.is_some() {
            return Ok(None);
        }
        let aliased = items
            .iter()
            .any(|item| matches!(item, ast::SelectItem::ExprWithAlias { .. }));
        if !aliased {
            return Ok(None);
        }
        only_output(&name, outputs, "GROUP BY")
    }

    /// In ORDER BY and DISTINCT ON a name means a column of the select list first, a number its position.
    fn order_expr(
        &self,
        expr: &ast::Expr,
        outputs: &[Output],
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Expr, SqlError> {
        if let Some(at) = position(expr, outputs.len(), place.clause)? {
            return Ok(outputs[at].expr.clone());
        }
        if let ast::Expr::Identifier(ident) = expr {
            let name = fold(&ident.value, ident.quote_style);
            if let Some(expr) = only_output(&name, outputs, place.clause)? {
                return Ok(expr);
            }
        }
        let bound = self.bind(expr, scope, place)?;
        Ok(self.settled(bound)?.0)
    }
}

/// The select list over the rows, then DISTINCT. What ORDER BY needs and the list has not follows as further columns.
fn projected(
    input: Plan,
    outputs: Vec<Output>,
    mut order: Vec<OrderKey>,
    distinct: Distinct,
) -> Result<Ordered, SqlError> {
    let (mut exprs, columns): (Vec<Expr>, Vec<Column>) = outputs
        .into_iter()
        .map(|output| (output.expr, output.column))
        .unzip();
    for key in &mut order {
        let at = exprs.iter().position(|expr| *expr == key.expr);
        if at.is_none() && distinct == Distinct::Rows {
            return Err(SqlError::new(
                SqlState::InvalidColumnReference,
                "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
            ));
        }
        let at = at.unwrap_or(exprs.len());
        let expr = std::mem::replace(&mut key.expr, Expr::Column(at));
        if at == exprs.len() {
            exprs.push(expr);
        }
    }
    let partition = match &distinct {
        Distinct::On(keys) => partition(keys, &order, &mut exprs)?,
        Distinct::No | Distinct::Rows => Vec::new(),
    };
    let mut plan = Plan::Project {
        input: Box::new(input),
        columns: exprs,
    };
    match distinct {
        Distinct::No => {}
        Distinct::Rows => {
            plan = Plan::Distinct {
                input: Box::new(plan),
            }
        }
        Distinct::On(_) => {
            plan = Plan::Number {
                input: Box::new(plan),
                partition,
                order: order.clone(),
                limit: Some(1),
            }
        }
    }
    Ok(Ordered {
        plan,
        columns,
        order,
    })
}

/// The columns of DISTINCT ON, which come first in ORDER BY when there is one; what the select list has not becomes a further
/// column.
fn partition(
    keys: &[Expr],
    order: &[OrderKey],
    exprs: &mut Vec<Expr>,
) -> Result<Vec<Expr>, SqlError> {
    let mut columns = Vec::new();
    for key in keys {
        let at = exprs.iter().position(|expr| expr == key);
        let at = at.unwrap_or_else(|| {
            exprs.push(key.clone());
            exprs.len() - 1
        });
        columns.push(Expr::Column(at));
    }
    let leading = &order[..order.len().min(keys.len())];
    if leading.iter().any(|key| !columns.contains(&key.expr)) {
        return Err(SqlError::new(
            SqlState::InvalidColumnReference,
            "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
        ));
    }
    Ok(columns)
}

fn refuse_clauses(select: &ast::Select) -> Result<(), SqlError> {
    let clause = if select.into.is_some() {
        "SELECT INTO"
    } else if !select.lateral_views.is_empty() {
        "LATERAL VIEW"
    } else if !select.named_window.is_empty() || select.qualify.is_some() {
        "WINDOW"
    } else if select.top.is_some() {
        "TOP"
    } else if select.prewhere.is_some() || !select.connect_by.is_empty() {
        "such a WHERE clause"
    } else if !select.cluster_by.is_empty()
        || !select.distribute_by.is_empty()
        || !select.sort_by.is_empty()
    {
        "CLUSTER BY"
    } else if select.exclude.is_some()
        || select.value_table_mode.is_some()
        || select.select_modifiers.is_some()
    {
        "such a SELECT clause"
    } else {
        return Ok(());
    };
    Err(SqlError::unsupported(clause))
}
