//! WHERE: its conditions go as far down the plan as they can. Two kinds become operators of their own: temporal filters become windows,
//! and `x IN (SELECT ...)` over relations that change becomes a join.

use sqlparser::ast;

use super::bind::{Binder, Place};
use super::operators::chain;
use super::scope::Scope;
use super::temporal::{Bounds, tightest};
use crate::engine::error::SqlError;
use crate::engine::expr::{Expr, Function, Subquery};
use crate::engine::fold;
use crate::engine::plan::{JoinKind, Plan};

impl Binder<'_> {
    /// The rows that WHERE's condition keeps.
    pub(super) fn filtered(
        &self,
        input: Plan,
        condition: &ast::Expr,
        scope: &Scope<'_>,
    ) -> Result<Plan, SqlError> {
        let mut bounds = Bounds::default();
        let mut conjuncts = Vec::new();
        let mut members = vec![condition];
        while let Some(member) = members.pop() {
            match member {
                ast::Expr::Nested(inner) => members.push(inner),
                ast::Expr::BinaryOp {
                    op: ast::BinaryOperator::And,
                    ..
                } => members.extend(chain(member, &ast::BinaryOperator::And).into_iter().rev()),
                member => {
                    if !self.temporal(member, scope, &mut bounds)? {
                        let conjunct = self.condition(member, scope, &Place::plain("WHERE"))?;
                        conjuncts.extend(conjunct.conjuncts());
                    }
                }
            }
        }
        let always = Expr::always();
        conjuncts.retain(|conjunct| *conjunct != always);
        let (from_ms, from_known) = tightest(bounds.from_ms, Function::Greatest);
        let (until_ms, until_known) = tightest(bounds.until_ms, Function::Least);
        conjuncts.extend(from_known);
        conjuncts.extend(until_known);
        let (memberships, conjuncts) = conjuncts.into_iter().partition(is_membership);
        let mut kept = filter(input, conjuncts);
        if from_ms.is_some() || until_ms.is_some() {
            kept = Plan::Window {
                input: Box::new(kept),
                from_ms,
                until_ms,
            };
        }
        Ok(memberships.into_iter().fold(kept, semi_joined))
    }
}

/// `x IN (SELECT ...)` over a relation that changes, and on its own. (Over constants it is computed where it stands.)
fn is_membership(conjunct: &Expr) -> bool {
    matches!(conjunct, Expr::Subquery(Subquery::Any(Function::Equal, left), plan)
        if !left.has_subquery() && !plan.reads().is_empty() && !fold::reads_outside(plan))
}

/// The rows whose value is among those of a query: a join with its distinct values. A row for which that is false and one for which
/// it is unknown are both left out, so NULLs need no care.
fn semi_joined(input: Plan, membership: Expr) -> Plan {
    let Expr::Subquery(Subquery::Any(_, value), values) = membership else {
        return filter(input, vec![membership]);
    };
    let arity = input.arity();
    let all = || (0..arity).map(Expr::Column);
    let with_value = Plan::Project {
        input: Box::new(input),
        columns: all().chain([*value]).collect(),
    };
    let joined = Plan::Join {
        left: Box::new(with_value),
        right: Box::new(Plan::Distinct { input: values }),
        kind: JoinKind::Inner,
        on: Expr::Call(
            Function::Equal,
            vec![Expr::Column(arity), Expr::Column(arity + 1)],
        ),
    };
    Plan::Project {
        input: Box::new(joined),
        columns: all().collect(),
    }
}

/// The rows for which all conjuncts are true. In a join each conjunct goes as far down as the columns that it reads.
pub(super) fn filter(plan: Plan, conjuncts: Vec<Expr>) -> Plan {
    use crate::engine::plan::JoinKind::Inner;
    if conjuncts.is_empty() {
        return plan;
    }
    let Plan::Join {
        left,
        right,
        kind,
        on,
    } = plan
    else {
        return Plan::Filter {
            input: Box::new(plan),
            predicate: Expr::all(conjuncts),
        };
    };
    let arity = left.arity();
    let (mut to_left, mut to_right, mut to_both, mut above) = (vec![], vec![], vec![], vec![]);
    for conjunct in conjuncts {
        let (mut reads_left, mut reads_right) = (false, false);
        conjunct.visit_columns(&mut |at| {
            reads_left |= at < arity;
            reads_right |= at >= arity;
        });
        match (reads_left, reads_right) {
            (true, false) => to_left.push(conjunct),
            (false, true) if kind == Inner => to_right.push(conjunct),
            (true, true) if kind == Inner => to_both.push(conjunct),
            _ => above.push(conjunct),
        }
    }
    let to_right = to_right
        .into_iter()
        .map(|conjunct| conjunct.map_columns(&|at| at - arity))
        .collect();
    let always = Expr::always();
    to_both.extend(on.conjuncts().into_iter().filter(|old| *old != always));
    let joined = Plan::Join {
        left: Box::new(filter(*left, to_left)),
        right: Box::new(filter(*right, to_right)),
        kind,
        on: Expr::all(to_both),
    };
    if above.is_empty() {
        joined
    } else {
        Plan::Filter {
            input: Box::new(joined),
            predicate: Expr::all(above),
        }
    }
}
