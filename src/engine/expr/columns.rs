//! Which columns an expression reads, moving them, and taking conjunctions apart: the planner's tools.

use super::{Expr, Function, Subquery};

impl Expr {
    /// Calls `visit` with every column of the input that the expression reads, subqueries' outer references included.
    pub fn visit_columns(&self, visit: &mut impl FnMut(usize)) {
        self.visit_columns_at(0, &mut |column| visit(column));
    }

    fn visit_columns_at(&self, level: usize, visit: &mut dyn FnMut(usize)) {
        match self {
            Expr::Column(at) if level == 0 => visit(*at),
            Expr::Outer { depth, column } if *depth == level => visit(*column),
            Expr::Column(_) | Expr::Literal(..) | Expr::Outer { .. } => {}
            Expr::Call(_, arguments) => arguments
                .iter()
                .for_each(|argument| argument.visit_columns_at(level, visit)),
            Expr::Matches(input, _) | Expr::In(input, _) => input.visit_columns_at(level, visit),
            Expr::Subquery(kind, plan) => {
                if let Subquery::Any(_, left) = kind {
                    left.visit_columns_at(level, visit);
                }
                plan.visit_exprs(&mut |expr| expr.visit_columns_at(level + 1, visit));
            }
        }
    }

    /// The same expression over an input whose columns have moved.
    pub fn map_columns(&self, map: &impl Fn(usize) -> usize) -> Self {
        let mut moved = self.clone();
        moved.rewrite_columns(0, &|column| map(column));
        moved
    }

    fn rewrite_columns(&mut self, level: usize, map: &dyn Fn(usize) -> usize) {
        match self {
            Expr::Column(at) if level == 0 => *at = map(*at),
            Expr::Outer { depth, column } if *depth == level => *column = map(*column),
            Expr::Column(_) | Expr::Literal(..) | Expr::Outer { .. } => {}
            Expr::Call(_, arguments) => arguments
                .iter_mut()
                .for_each(|argument| argument.rewrite_columns(level, map)),
            Expr::Matches(input, _) | Expr::In(input, _) => input.rewrite_columns(level, map),
            Expr::Subquery(kind, plan) => {
                if let Subquery::Any(_, left) = kind {
                    left.rewrite_columns(level, map);
                }
                plan.visit_exprs_mut(&mut |expr| expr.rewrite_columns(level + 1, map));
            }
        }
    }

    /// The same expression seen from `depth` queries further inside.
    pub(crate) fn seen_from_inside(&self, depth: usize) -> Self {
        let mut moved = self.clone();
        if depth > 0 {
            moved.move_inside(0, depth);
        }
        moved
    }

    fn move_inside(&mut self, level: usize, by: usize) {
        match self {
            Expr::Column(at) if level == 0 => {
                *self = Expr::Outer {
                    depth: by,
                    column: *at,
                }
            }
            Expr::Outer { depth, .. } if *depth >= level.max(1) => *depth += by,
            Expr::Column(_) | Expr::Literal(..) | Expr::Outer { .. } => {}
            Expr::Call(_, arguments) => arguments
                .iter_mut()
                .for_each(|argument| argument.move_inside(level, by)),
            Expr::Matches(input, _) | Expr::In(input, _) => input.move_inside(level, by),
            Expr::Subquery(kind, plan) => {
                if let Subquery::Any(_, left) = kind {
                    left.move_inside(level, by);
                }
                plan.visit_exprs_mut(&mut |expr| expr.move_inside(level + 1, by));
            }
        }
    }

    /// Whether only [`crate::engine::fold`] can evaluate it: it has a subquery in it, or reads a row of a query around its own.
    pub fn has_subquery(&self) -> bool {
        match self {
            Expr::Column(_) | Expr::Literal(..) => false,
            Expr::Outer { .. } | Expr::Subquery(..) => true,
            Expr::Call(_, arguments) => arguments.iter().any(Expr::has_subquery),
            Expr::Matches(input, _) | Expr::In(input, _) => input.has_subquery(),
        }
    }

    /// The predicate's conjuncts: what `AND` joins at its top.
    pub fn conjuncts(self) -> Vec<Expr> {
        match self {
            Expr::Call(Function::And, arguments) => {
                arguments.into_iter().flat_map(Expr::conjuncts).collect()
            }
            other => vec![other],
        }
    }

    /// The conjunction of predicates; without any it is true.
    pub fn all(mut predicates: Vec<Expr>) -> Expr {
        match predicates.len() {
            0 => Expr::always(),
            1 => predicates.remove(0),
            _ => Expr::Call(Function::And, predicates),
        }
    }
}
